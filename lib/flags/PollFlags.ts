/** What a descriptor is ready for.
 * @source include/uapi/asm-generic/poll.h (v6.18)
 */

/** There is something to read. */
export const IN = 0x001
/** There is something urgent. */
export const PRI = 0x002
/** Writes would not wait. */
export const OUT = 0x004
/** Something is wrong with it; always told. */
export const ERR = 0x008
/** The other end is gone; always told. */
export const HUP = 0x010
/** It is not open; always told. */
export const NVAL = 0x020
/** As IN. */
export const RDNORM = 0x040
/** As OUT. */
export const WRNORM = 0x100
