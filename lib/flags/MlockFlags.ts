/** Flags of mlock2.
 * @source include/uapi/asm-generic/mman-common.h (v6.18)
 */

/** Lock pages when they are touched, do not bring them in. */
export const ONFAULT = 1
