/** Bits of a page-table entry, as the simulated MMU keeps them: software names for the x86-64 bits, not their values.
 * @source arch/x86/include/asm/pgtable_types.h (v6.18)
 */

/** The entry translates. */
export const PRESENT = 1
/** Writes are allowed. */
export const WRITE = 2
/** Written through this entry. */
export const DIRTY = 4
/** Touched through this entry. */
export const YOUNG = 8
/** The shared page of zeroes: no reference, no mapcount. */
export const ZERO = 16
/** No frame behind the number: a raw page frame number. */
export const SPECIAL = 32
/** No access from user mode: the area forbids every access, the page stays. */
export const PROTNONE = 64
/** Instruction fetches are allowed. */
export const EXEC = 128
/** No page: a guard marker, any access is a SIGSEGV. Never together with PRESENT. */
export const GUARD = 256
/** A userfaultfd tracks writes; without PRESENT, a marker of that for a page that is not there. */
export const UFFD_WP = 512
/** No page: a poison marker, any access is a SIGBUS. Never together with PRESENT. */
export const POISON = 1024
