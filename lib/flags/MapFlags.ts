/** Flags of mmap, x86-64 values.
 * @source include/uapi/asm-generic/mman.h, mman-common.h, arch/x86/include/uapi/asm/mman.h (v6.18)
 */

/** Changes reach the object and other mappers. */
export const SHARED = 0x1
/** Changes are private to the mapping. */
export const PRIVATE = 0x2
/** As `SHARED`, but unknown flags are refused with EOPNOTSUPP. */
export const SHARED_VALIDATE = 0x3
/** Anonymous memory that the kernel may drop. */
export const DROPPABLE = 0x8
/** Mask of the four kinds above. */
export const TYPE = 0xf
/** Exactly at the address given; what is mapped there goes. */
export const FIXED = 0x10
/** No file. */
export const ANONYMOUS = 0x20
/** Below 2 GiB. */
export const MAP_32BIT = 0x40
/** Above 4 GiB. */
export const ABOVE4G = 0x80
/** A stack. */
export const GROWSDOWN = 0x100
/** Ignored. */
export const DENYWRITE = 0x800
/** Ignored. */
export const EXECUTABLE = 0x1000
/** Lock the pages, as mlock does. */
export const LOCKED = 0x2000
/** No commit accounting. */
export const NORESERVE = 0x4000
/** Fault the pages in. */
export const POPULATE = 0x8000
/** With `POPULATE`: do not. */
export const NONBLOCK = 0x10000
/** Suitable for a thread's stack. */
export const STACK = 0x20000
/** Huge pages. */
export const HUGETLB = 0x40000
/** Synchronous faults on DAX files. */
export const SYNC = 0x80000
/** As `FIXED`, but EEXIST where something is mapped. */
export const FIXED_NOREPLACE = 0x100000
/** No-MMU only; ignored. */
export const UNINITIALIZED = 0x4000000
/** Where the huge page size's logarithm starts. */
export const HUGE_SHIFT = 26
/** What MAP_SHARED knows; it ignores everything else. @source include/linux/mman.h LEGACY_MAP_MASK (v6.18) */
export const LEGACY_MASK =
  SHARED |
  PRIVATE |
  FIXED |
  ANONYMOUS |
  DENYWRITE |
  EXECUTABLE |
  UNINITIALIZED |
  GROWSDOWN |
  LOCKED |
  NORESERVE |
  POPULATE |
  NONBLOCK |
  STACK |
  HUGETLB |
  MAP_32BIT |
  ABOVE4G |
  (0x3f << HUGE_SHIFT)
