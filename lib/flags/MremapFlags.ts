/** Flags of mremap.
 * @source include/uapi/linux/mman.h (v6.18)
 */

/** It may go elsewhere. */
export const MAYMOVE = 1
/** Exactly at the new address given; what is mapped there goes. */
export const FIXED = 2
/** The old place stays mapped, without its pages. */
export const DONTUNMAP = 4
