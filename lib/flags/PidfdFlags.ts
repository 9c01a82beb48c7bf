/** Flags of pidfd_open(2), and what names the caller where a call wants a descriptor of a process.
 * @source include/uapi/linux/pidfd.h (v6.18)
 */

/** Names a thread. */
export const THREAD = 0o200
/** Nobody who waits for the process by it is held up. */
export const NONBLOCK = 0o4000
/** Not open: the caller's own thread. */
export const SELF_THREAD = -10_000
/** Not open: the caller. */
export const SELF_PROCESS = -10_001
