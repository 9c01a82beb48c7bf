/** anon_vma: making one on the first write, and who may share his neighbour's. Floor 3.
 * @source mm/rmap.c __anon_vma_prepare; mm/vma.c find_mergeable_anon_vma, anon_vma_compatible (v6.18)
 */
import { VM_ACCESS, VM_IGNORE_MERGE } from "../../flags/bits.ts"
import type { Kernel } from "../kernel.ts"
import type { Vma } from "../store/vmas.ts"

/** Gives `v` an anon_vma before its first anonymous page; false when none is left.
 * @locks VMA read and mmap read at least: two faulters of one area must not both do it
 */
export function anonVmaPrepare(k: Kernel, v: Vma): boolean {
  return k.vmas.anon(v) !== 0 || k.anon.prepare(v, mergeableAnonVma(k, v))
}

/** The anon_vma of the neighbour above, else of the one below, that may later merge with `v`; 0 if none. */
function mergeableAnonVma(k: Kernel, v: Vma): number {
  const mm = k.vmas.mmOf(v)
  const next = k.maple.next(mm, v)
  if (next !== 0 && compatible(k, v, next)) {
    const a = reusable(k, next)
    if (a !== 0) return a
  }
  const prev = k.maple.prev(mm, v)
  return prev !== 0 && compatible(k, prev, v) ? reusable(k, prev) : 0
}

const reusable = (k: Kernel, v: Vma): number => (k.vmas.anon(v) !== 0 && k.anon.singular(v) ? k.vmas.anon(v) : 0)

/** Could `a` and `b` (just above it) become one area once their protection is equal? */
function compatible(k: Kernel, a: Vma, b: Vma): boolean {
  const s = k.vmas
  return (
    s.endOf(a) === s.startOf(b) &&
    s.file(a) === s.file(b) &&
    ((s.flags(a) ^ s.flags(b)) & ~(VM_ACCESS | VM_IGNORE_MERGE)) === 0 &&
    s.flagsHi(a) === s.flagsHi(b) &&
    s.policy(a) === s.policy(b) &&
    s.pgoff(b) === s.pgoff(a) + s.pages(a)
  )
}
