/** How fallocate(2) changes a file; none of them allocates, and makes the file longer where that is needed.
 * @source include/uapi/linux/falloc.h (v6.18)
 */

/** The file keeps its size. */
export const KEEP_SIZE = 1
/** Makes a hole: the bytes read as zeroes, and their pages are free. Only with KEEP_SIZE. */
export const PUNCH_HOLE = 2
