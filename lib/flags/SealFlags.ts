/** Seals of memory files: what can no longer be done to them.
 * @source include/uapi/linux/fcntl.h F_SEAL_* (v6.18)
 */

/** Add seals. */
export const SEAL = 1
/** Become smaller. */
export const SHRINK = 2
/** Become larger. */
export const GROW = 4
/** Be written. */
export const WRITE = 8
/** Be written, except through writable mappings that there are. */
export const FUTURE_WRITE = 16
/** Become executable, or not executable any more. */
export const EXEC = 32
