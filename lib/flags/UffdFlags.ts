/** Words of userfaultfd: flags, features, modes, ioctl numbers, events.
 * @source include/uapi/linux/userfaultfd.h (v6.18)
 */

/** The only version of the interface there is: what `UFFDIO_API` is asked for. */
export const API = 0xaa

// ---- userfaultfd(2)
/** Reads do not wait. */
export const NONBLOCK = 0x800
/** The descriptor is closed by execve. */
export const CLOEXEC = 0x80000
/** Only faults of user mode are answered; nobody needs a right for that. */
export const USER_MODE_ONLY = 1

// ---- features: bits of a 64-bit word, all in its low half
/** Write-protect faults are told from missing pages. */
export const FEATURE_PAGEFAULT_FLAG_WP = 1 << 0
/** fork is reported, and the child's areas get a descriptor of their own. */
export const FEATURE_EVENT_FORK = 1 << 1
/** mremap is reported, and the moved area stays registered. */
export const FEATURE_EVENT_REMAP = 1 << 2
/** Advice that drops pages is reported before it does. */
export const FEATURE_EVENT_REMOVE = 1 << 3
/** Missing pages of hugetlbfs. */
export const FEATURE_MISSING_HUGETLBFS = 1 << 4
/** Missing pages of shared memory. */
export const FEATURE_MISSING_SHMEM = 1 << 5
/** munmap is reported. */
export const FEATURE_EVENT_UNMAP = 1 << 6
/** Nobody waits: a fault is a SIGBUS at once. */
export const FEATURE_SIGBUS = 1 << 7
/** Messages name the thread. */
export const FEATURE_THREAD_ID = 1 << 8
/** Minor faults of hugetlbfs. */
export const FEATURE_MINOR_HUGETLBFS = 1 << 9
/** Minor faults of shared memory. */
export const FEATURE_MINOR_SHMEM = 1 << 10
/** Messages have the address of the access, not of its page. */
export const FEATURE_EXACT_ADDRESS = 1 << 11
/** Write protection of hugetlbfs and shared memory. */
export const FEATURE_WP_HUGETLBFS_SHMEM = 1 << 12
/** Write protection of anonymous pages that are not there yet. */
export const FEATURE_WP_UNPOPULATED = 1 << 13
/** UFFDIO_POISON. */
export const FEATURE_POISON = 1 << 14
/** Writes to protected pages go through, and only take the protection away. */
export const FEATURE_WP_ASYNC = 1 << 15
/** UFFDIO_MOVE. */
export const FEATURE_MOVE = 1 << 16
/** All of them. */
export const FEATURES = 0x1ffff

// ---- ioctl numbers: bit positions of the masks below
/** Lets it answer for a range. */
export const REGISTER = 0x00
/** Lets it answer for a range no longer. */
export const UNREGISTER = 0x01
/** Wakes who waits in a range. */
export const WAKE = 0x02
/** Copies pages to where none are. */
export const COPY = 0x03
/** Fills a range with zeroes. */
export const ZEROPAGE = 0x04
/** Moves pages within a process. */
export const MOVE = 0x05
/** Protects a range against writes, or lets them through. */
export const WRITEPROTECT = 0x06
/** Maps pages that the object has. */
export const CONTINUE = 0x07
/** Makes every access a SIGBUS. */
export const POISON = 0x08
/** Bit 63 of the mask. */
export const API_IOCTL = 0x3f
/** What a descriptor can do: REGISTER, UNREGISTER, API. */
export const API_IOCTLS = 0x8000000000000003n
/** What can be done with a registered range of memory. */
export const RANGE_IOCTLS = 0x1fc
/** The same where the range holds huge pages: no ZEROPAGE, no MOVE. */
export const RANGE_IOCTLS_BASIC = 0x1cc

// ---- commands of ioctl(2), each with a struct in memory: direction, its size, 0xaa, number
/** struct uffdio_api: api, features, ioctls. */
export const IOCTL_API = 0xc018aa3f
/** struct uffdio_register: start, len, mode; ioctls. */
export const IOCTL_REGISTER = 0xc020aa00
/** struct uffdio_range: start, len. */
export const IOCTL_UNREGISTER = 0x8010aa01
/** struct uffdio_range. */
export const IOCTL_WAKE = 0x8010aa02
/** struct uffdio_copy: dst, src, len, mode; copy. */
export const IOCTL_COPY = 0xc028aa03
/** struct uffdio_zeropage: start, len, mode; zeropage. */
export const IOCTL_ZEROPAGE = 0xc020aa04
/** struct uffdio_move: dst, src, len, mode; move. */
export const IOCTL_MOVE = 0xc028aa05
/** struct uffdio_writeprotect: start, len, mode. */
export const IOCTL_WRITEPROTECT = 0xc018aa06
/** struct uffdio_continue: start, len, mode; mapped. */
export const IOCTL_CONTINUE = 0xc020aa07
/** struct uffdio_poison: start, len, mode; updated. */
export const IOCTL_POISON = 0xc020aa08
/** Of /dev/userfaultfd: a descriptor; its argument are the flags of userfaultfd(2). */
export const IOCTL_NEW = 0xaa00

// ---- modes
/** Register: faults on missing pages. */
export const REGISTER_MODE_MISSING = 1
/** Register: writes to protected pages. */
export const REGISTER_MODE_WP = 2
/** Register: pages that are in the page cache, but not mapped. */
export const REGISTER_MODE_MINOR = 4
/** Who waits is not woken. */
export const COPY_MODE_DONTWAKE = 1
/** The page is write-protected from the start. */
export const COPY_MODE_WP = 2
/** Who waits is not woken. */
export const ZEROPAGE_MODE_DONTWAKE = 1
/** Protect; without it, take the protection away. */
export const WRITEPROTECT_MODE_WP = 1
/** Bit 1 here, bit 0 in all other modes. */
export const WRITEPROTECT_MODE_DONTWAKE = 2
/** Who waits is not woken. */
export const CONTINUE_MODE_DONTWAKE = 1
/** The page is write-protected from the start. */
export const CONTINUE_MODE_WP = 2
/** Who waits is not woken. */
export const POISON_MODE_DONTWAKE = 1
/** Who waits is not woken. */
export const MOVE_MODE_DONTWAKE = 1
/** Source pages that are not there are passed over. */
export const MOVE_MODE_ALLOW_SRC_HOLES = 2

// ---- messages
/** Bytes of a message. */
export const MESSAGE_SIZE = 32
/** Somebody waits for a page. */
export const EVENT_PAGEFAULT = 0x12
/** A process forked; its child has a descriptor of its own. */
export const EVENT_FORK = 0x13
/** Memory was moved. */
export const EVENT_REMAP = 0x14
/** Pages are about to be dropped. */
export const EVENT_REMOVE = 0x15
/** Memory was unmapped. */
export const EVENT_UNMAP = 0x16
/** The fault was a write. */
export const PAGEFAULT_FLAG_WRITE = 1
/** The page is write-protected. */
export const PAGEFAULT_FLAG_WP = 2
/** The page is in the page cache, but not mapped. */
export const PAGEFAULT_FLAG_MINOR = 4
