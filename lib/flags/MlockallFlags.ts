/** Flags of mlockall.
 * @source include/uapi/asm-generic/mman.h MCL_* (v6.18)
 */

/** Everything that is mapped now. */
export const CURRENT = 1
/** Everything that will be mapped. */
export const FUTURE = 2
/** With one of the others: lock pages when they are touched, do not bring them in. */
export const ONFAULT = 4
