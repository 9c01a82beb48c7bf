/** The two 32-bit halves of `vm_flags_t`, as the core keeps them. Floor 0, internal.
 *
 * Linux's word has 64 bits and bit 42 is in use; JavaScript's bit operators see 32, signed. So the core keeps a VMA's
 * flags as two int32: `VM_*` are bits 0..31 of the low half, `VMH_*` bits 32..63 of the word as bits of the high half.
 * @source include/linux/mm.h (v6.18), x86-64 values
 */
export const VM_READ = 0x1
export const VM_WRITE = 0x2
export const VM_EXEC = 0x4
export const VM_SHARED = 0x8
export const VM_MAYREAD = 0x10
export const VM_MAYWRITE = 0x20
export const VM_MAYEXEC = 0x40
export const VM_MAYSHARE = 0x80
export const VM_GROWSDOWN = 0x100
export const VM_UFFD_MISSING = 0x200
export const VM_PFNMAP = 0x400
export const VM_MAYBE_GUARD = 0x800
export const VM_UFFD_WP = 0x1000
export const VM_LOCKED = 0x2000
export const VM_IO = 0x4000
export const VM_SEQ_READ = 0x8000
export const VM_RAND_READ = 0x10000
export const VM_DONTCOPY = 0x20000
export const VM_DONTEXPAND = 0x40000
export const VM_LOCKONFAULT = 0x80000
export const VM_ACCOUNT = 0x100000
export const VM_NORESERVE = 0x200000
export const VM_HUGETLB = 0x400000
export const VM_SYNC = 0x800000
export const VM_ARCH_1 = 0x1000000
export const VM_WIPEONFORK = 0x2000000
export const VM_DONTDUMP = 0x4000000
export const VM_SOFTDIRTY = 0x8000000
export const VM_MIXEDMAP = 0x10000000
export const VM_HUGEPAGE = 0x20000000
export const VM_NOHUGEPAGE = 0x40000000
/** Bit 31: negative as an int32. */
export const VM_MERGEABLE = 0x80000000 | 0
export const VMH_ALLOW_ANY_UNCACHED = 1 << (39 - 32)
export const VMH_DROPPABLE = 1 << (40 - 32)
export const VMH_UFFD_MINOR = 1 << (41 - 32)
export const VMH_SEALED = 1 << (42 - 32)

/** Areas whose faults a userfaultfd answers; VMH_UFFD_MINOR is the third of these. */
export const VM_UFFD = VM_UFFD_MISSING | VM_UFFD_WP

export const VM_ACCESS = VM_READ | VM_WRITE | VM_EXEC
export const VM_LOCKED_MASK = VM_LOCKED | VM_LOCKONFAULT
/** Such VMAs never merge and are not populated by mlock. */
export const VM_SPECIAL = VM_IO | VM_DONTEXPAND | VM_PFNMAP | VM_MIXEDMAP
/** Their entries cannot be rebuilt by faults, so fork copies them. */
export const VM_COPY_ON_FORK = VM_PFNMAP | VM_MIXEDMAP | VM_UFFD_WP | VM_MAYBE_GUARD
/** Bits that do not stand in the way of a merge; the merged VMA gets the union of them. */
export const VM_IGNORE_MERGE = VM_SOFTDIRTY | VM_MAYBE_GUARD

/** A page that becomes private on write: not shared, but may become writable. */
export const isCowMapping = (lo: number): boolean => (lo & (VM_SHARED | VM_MAYWRITE)) === VM_MAYWRITE
