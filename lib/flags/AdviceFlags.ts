/** Advice of madvise and process_madvise.
 * @source include/uapi/asm-generic/mman-common.h (v6.18)
 */

/** No special treatment. */
export const NORMAL = 0
/** Expect references in no order. */
export const RANDOM = 1
/** Expect references in sequence. */
export const SEQUENTIAL = 2
/** Will need these pages. */
export const WILLNEED = 3
/** Does not need these pages: they go, private data with them. */
export const DONTNEED = 4
/** May be freed when memory is short, until written again. */
export const FREE = 8
/** Free the object's pages behind the range. */
export const REMOVE = 9
/** fork skips the range. */
export const DONTFORK = 10
/** Undoes `DONTFORK`. */
export const DOFORK = 11
/** KSM may merge equal pages. */
export const MERGEABLE = 12
/** KSM may not. */
export const UNMERGEABLE = 13
/** Huge pages are worth having here. */
export const HUGEPAGE = 14
/** Huge pages are not. */
export const NOHUGEPAGE = 15
/** Left out of core dumps. */
export const DONTDUMP = 16
/** Undoes `DONTDUMP`. */
export const DODUMP = 17
/** A forked child sees zeroes. */
export const WIPEONFORK = 18
/** Undoes `WIPEONFORK`. */
export const KEEPONFORK = 19
/** These pages are not expected soon. */
export const COLD = 20
/** Reclaim these pages now. */
export const PAGEOUT = 21
/** Fault in as for reading. */
export const POPULATE_READ = 22
/** Fault in as for writing. */
export const POPULATE_WRITE = 23
/** As `DONTNEED`, locked memory too. */
export const DONTNEED_LOCKED = 24
/** Make huge pages of the range now. */
export const COLLAPSE = 25
/** Any access to the range is a SIGSEGV from now on. */
export const GUARD_INSTALL = 102
/** Undoes `GUARD_INSTALL`. */
export const GUARD_REMOVE = 103
