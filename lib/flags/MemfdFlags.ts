/** Flags of memfd_create.
 * @source include/uapi/linux/memfd.h (v6.18)
 */

/** exec closes it. */
export const CLOEXEC = 1
/** Seals may be added. */
export const ALLOW_SEALING = 2
/** Of huge pages; the size's logarithm stands from bit 26 on. */
export const HUGETLB = 4
/** Not executable, and sealed to stay so. */
export const NOEXEC_SEAL = 8
/** Executable. */
export const EXEC = 16
