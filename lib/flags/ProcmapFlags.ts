/** What PROCMAP_QUERY, the ioctl of /proc/PID/maps, may be asked for, and what it says of the area it finds.
 * @source include/uapi/linux/fs.h enum procmap_query_flags (v6.18)
 */

/** Only a readable area; of the answer: it is readable. */
export const VMA_READABLE = 0x1
/** Only a writable area. */
export const VMA_WRITABLE = 0x2
/** Only an executable area. */
export const VMA_EXECUTABLE = 0x4
/** Only an area that was mapped shared. */
export const VMA_SHARED = 0x8
/** The area that covers the address, or the first behind it. */
export const COVERING_OR_NEXT_VMA = 0x10
/** Only an area of a file. */
export const FILE_BACKED_VMA = 0x20
