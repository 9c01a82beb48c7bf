/** Bits of a word of /proc/PID/pagemap. The low 55 bits are a frame number: of the page that is present, or 0 for who may
 * not know it.
 * @source Documentation/admin-guide/mm/pagemap.rst, fs/proc/task_mmu.c (v6.18)
 */

/** The frame number. */
export const PFRAME_MASK = (1n << 55n) - 1n
/** Written since the bits were cleared; this machine does not track that. */
export const SOFT_DIRTY = 1n << 55n
/** No other entry maps the page. */
export const MMAP_EXCLUSIVE = 1n << 56n
/** Write-protected by userfaultfd. */
export const UFFD_WP = 1n << 57n
/** A guard region. */
export const GUARD_REGION = 1n << 58n
/** A page of a file, or of shared anonymous memory. */
export const FILE = 1n << 61n
/** No page, but a marker: here a guard. */
export const SWAP = 1n << 62n
/** A page is mapped. */
export const PRESENT = 1n << 63n
