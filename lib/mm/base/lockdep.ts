/** Lock classes and the one table of their order. Floor 1.
 *
 * An edge `a > b` says: b may be taken while a is held. What follows from two edges follows (the order is transitive).
 * `vma/Lockdep.ts` derives its types from the same keys; a test compares both and refuses cycles.
 * @source mm/rmap.c "Lock ordering in mm", Documentation/mm/process_addrs.rst (v6.18)
 */
export const lockClasses = {
  mmap_lock: "sleeps",
  vma_lock: "sleeps",
  i_mmap_rwsem: "sleeps",
  anon_vma: "sleeps",
  page_table_lock: "spins"
} as const

/** A lock class of the core. */
export type LockClass = keyof typeof lockClasses

/** Everything that may be taken inside a class. */
export const lockOrder = {
  "mmap_lock > vma_lock": true,
  "mmap_lock > i_mmap_rwsem": true,
  "mmap_lock > anon_vma": true,
  "mmap_lock > page_table_lock": true,
  "vma_lock > i_mmap_rwsem": true,
  "vma_lock > anon_vma": true,
  "vma_lock > page_table_lock": true,
  "i_mmap_rwsem > anon_vma": true,
  "i_mmap_rwsem > page_table_lock": true,
  "anon_vma > page_table_lock": true
} as const

/** May `inner` be taken while `outer` is held? */
export const mayNest = (outer: string, inner: string): boolean => `${outer} > ${inner}` in lockOrder
