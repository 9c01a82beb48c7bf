/** The flag word of a VMA as a user of the library sees it: 64 bits, a bigint.
 *
 * Bit 31 and the complement of a mask do not survive JavaScript's 32-bit operators, so the public word is a bigint.
 * @source include/linux/mm.h, rust/kernel/mm/virt.rs (v6.18), x86-64 values
 */

/** No flag set. */
export const NONE = 0x0n
/** Reads are allowed. */
export const READ = 0x1n
/** Writes are allowed. */
export const WRITE = 0x2n
/** Execution is allowed. */
export const EXEC = 0x4n
/** Writes reach the object and other mappers. */
export const SHARED = 0x8n
/** mprotect may add `READ`. */
export const MAYREAD = 0x10n
/** mprotect may add `WRITE`. */
export const MAYWRITE = 0x20n
/** mprotect may add `EXEC`. */
export const MAYEXEC = 0x40n
/** Mapped with MAP_SHARED; stays when a read-only file took `SHARED` away. */
export const MAYSHARE = 0x80n
/** A stack: grows towards lower addresses on a fault below it. */
export const GROWSDOWN = 0x100n
/** userfaultfd tracks missing pages. */
export const UFFD_MISSING = 0x200n
/** Raw page frame numbers, no `struct page` behind them. */
export const PFNMAP = 0x400n
/** Guard regions were used here once. */
export const MAYBE_GUARD = 0x800n
/** userfaultfd tracks writes. */
export const UFFD_WP = 0x1000n
/** Pages are locked into memory. */
export const LOCKED = 0x2000n
/** Memory-mapped I/O or alike: other kernel code must not touch the pages. */
export const IO = 0x4000n
/** MADV_SEQUENTIAL was applied. */
export const SEQ_READ = 0x8000n
/** MADV_RANDOM was applied. */
export const RAND_READ = 0x10000n
/** fork skips it. */
export const DONTCOPY = 0x20000n
/** mremap may not grow it. */
export const DONTEXPAND = 0x40000n
/** Pages are locked when they are faulted in. */
export const LOCKONFAULT = 0x80000n
/** Counted against the commit limit. */
export const ACCOUNT = 0x100000n
/** Not counted against the commit limit, by request. */
export const NORESERVE = 0x200000n
/** A hugetlb VMA. */
export const HUGETLB = 0x400000n
/** Synchronous DAX faults. */
export const SYNC = 0x800000n
/** Meaning depends on the architecture. */
export const ARCH_1 = 0x1000000n
/** A forked child sees zeroes. */
export const WIPEONFORK = 0x2000000n
/** Left out of core dumps. */
export const DONTDUMP = 0x4000000n
/** Not clean in the sense of soft-dirty tracking. */
export const SOFTDIRTY = 0x8000000n
/** Pages with and without `struct page` may both be mapped. */
export const MIXEDMAP = 0x10000000n
/** MADV_HUGEPAGE was applied. */
export const HUGEPAGE = 0x20000000n
/** MADV_NOHUGEPAGE was applied. */
export const NOHUGEPAGE = 0x40000000n
/** KSM may merge its pages. */
export const MERGEABLE = 0x80000000n
/** Stage-2 mappings may be uncached in any way. */
export const ALLOW_ANY_UNCACHED = 1n << 39n
/** Pages may be dropped under memory pressure. */
export const DROPPABLE = 1n << 40n
/** userfaultfd tracks minor faults. */
export const UFFD_MINOR = 1n << 41n
/** Sealed: no unmapping, moving or changing. */
export const SEALED = 1n << 42n
/** Such VMAs never merge: IO, DONTEXPAND, PFNMAP, MIXEDMAP. */
export const SPECIAL = IO | DONTEXPAND | PFNMAP | MIXEDMAP
/** fork copies their page tables, because faults cannot rebuild them. */
export const COPY_ON_FORK = PFNMAP | MIXEDMAP | UFFD_WP | MAYBE_GUARD
