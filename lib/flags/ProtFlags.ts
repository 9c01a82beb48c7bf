/** Protection bits of mmap and mprotect.
 * @source include/uapi/asm-generic/mman-common.h (v6.18)
 */

/** No access. */
export const NONE = 0
/** Reads. */
export const READ = 1
/** Writes. */
export const WRITE = 2
/** Instruction fetches. */
export const EXEC = 4
/** Atomic operations; accepted, no effect. */
export const SEM = 8
/** mprotect: extend the change down to the start of a growing-down VMA. */
export const GROWSDOWN = 0x01000000
/** mprotect: extend the change up; always EINVAL on x86. */
export const GROWSUP = 0x02000000
