/** Flags of msync.
 * @source include/uapi/asm-generic/mman-common.h MS_* (v6.18)
 */

/** Nothing has to be stored before the call returns; not with `SYNC`. */
export const ASYNC = 1
/** EBUSY where the range is locked. */
export const INVALIDATE = 2
/** Storing has ended when the call returns. */
export const SYNC = 4
