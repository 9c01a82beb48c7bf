/** Lock levels: a lattice of interfaces. A stronger level *is* every weaker one. Floor 8, internal.
 *
 * `VmaRead`, `MmapRead`, `MmapWrite`, `VmaWrite`, from weak to strong.
 *
 * The keys are unique symbols whose names are the message: "Property '[mmapWriteLocked]' is missing".
 * @source include/linux/mmap_lock.h, Documentation/mm/process_addrs.rst (v6.18)
 */
declare const vmaReadLocked: unique symbol
declare const mmapReadLocked: unique symbol
declare const mmapWriteLocked: unique symbol
declare const vmaWriteLocked: unique symbol

/** This VMA will not go away nor change: its own read lock, or anything stronger. */
export interface VmaRead {
  readonly [vmaReadLocked]: true
}
/** No VMA of this address space will go away or change: `mmap_lock` for reading, or stronger. */
export interface MmapRead extends VmaRead {
  readonly [mmapReadLocked]: true
}
/** Nobody else holds `mmap_lock`: it is taken for writing. */
export interface MmapWrite extends MmapRead {
  readonly [mmapWriteLocked]: true
}
/** `mmap_lock` for writing and `vma_start_write()`: the only level at which a VMA's fields may change. */
export interface VmaWrite extends MmapWrite {
  readonly [vmaWriteLocked]: true
}
