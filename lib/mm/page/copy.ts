/** fork's part in page tables: what the child gets a copy of, and what it will fault in by itself. Floor 4.
 * @source mm/memory.c copy_page_range, copy_present_ptes, vma_needs_copy (v6.18)
 */
import { isCowMapping, VM_COPY_ON_FORK, VM_SHARED, VM_UFFD_WP } from "../../flags/bits.ts"
import { ENOMEM, OK } from "../../flags/Errno.ts"
import { DIRTY, GUARD, POISON, PRESENT, SPECIAL, UFFD_WP, WRITE, YOUNG, ZERO } from "../../flags/PteFlags.ts"
import { leafOf } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { F_ANON, F_EXCLUSIVE, F_SWAPBACKED } from "../store/frames.ts"
import { type Mm, RSS_ANON, RSS_FILE, RSS_SHMEM } from "../store/mms.ts"
import type { Vma } from "../store/vmas.ts"
import { invalidateEnd, invalidateStart } from "./notifier.ts"

/** Must the child's tables be filled from the parent's? Else faults rebuild them. */
export const needsCopy = (k: Kernel, parent: Vma, child: Vma): boolean =>
  (k.vmas.flags(child) & VM_COPY_ON_FORK) !== 0 || k.vmas.anon(parent) !== 0

/** Copies the entries of `parent` to `child`, same pages, write-protecting private ones on both sides.
 * @returns OK | ENOMEM no table left
 * @partial what was copied stays: the caller tears the child down
 * @locks both mmap locks, write; the parent's TLB is flushed by the caller, once
 */
export function copyPageRange(k: Kernel, parent: Vma, child: Vma): number {
  if (!needsCopy(k, parent, child)) return OK
  if (!isCowMapping(k.vmas.flags(parent))) return copyEntries(k, parent, child)
  // the parent's private pages become read-only: whoever watches it must forget that they were not
  invalidateStart(k, k.vmas.mmOf(parent), k.vmas.startOf(parent), k.vmas.endOf(parent))
  const r = copyEntries(k, parent, child)
  invalidateEnd(k, k.vmas.mmOf(parent), k.vmas.startOf(parent), k.vmas.endOf(parent))
  return r
}

function copyEntries(k: Kernel, parent: Vma, child: Vma): number {
  const from = k.mms.pgd(k.vmas.mmOf(parent))
  const mm = k.vmas.mmOf(child)
  const to = k.mms.pgd(mm)
  const start = k.vmas.startOf(parent)
  const end = k.vmas.endOf(parent)
  const first = leafOf(start)
  const last = leafOf(end - 1)
  const cow = isCowMapping(k.vmas.flags(parent))
  // what the child's entries lose: a shared page is clean there; protection, where its area is not registered
  const lost =
    YOUNG |
    ((k.vmas.flags(parent) & VM_SHARED) !== 0 ? DIRTY : 0) |
    ((k.vmas.flags(child) & VM_UFFD_WP) === 0 ? UFFD_WP : 0)
  const head = k.ptes.nextLeaf(from, first, last + 1)
  // the child gets every table that the parent has there, used or not; upper ones come with their leaves, as a rule
  if ((head < 0 || first >>> 9 !== last >>> 9) && !k.ptes.copyLevels(from, to, first, last + 1)) return ENOMEM
  for (let l = head; l >= 0; l = k.ptes.nextLeaf(from, l + 1, last + 1)) {
    const t = k.ptes.leafTable(from, l)
    const u = k.ptes.leafTableAlloc(to, l)
    if (u === 0) return ENOMEM
    if (k.ptes.pop[t] === 0) continue
    copyLeaf(k, mm, t, u, l === first ? start & 511 : 0, l === last ? ((end - 1) & 511) + 1 : 512, cow, lost)
  }
  return OK
}

function copyLeaf(k: Kernel, mm: Mm, t: number, u: number, a: number, b: number, cow: boolean, lost: number): void {
  const ent = k.ptes.ent
  const d = (u - t) << 10
  let used = 0
  let anon = 0
  let file = 0
  let shmem = 0
  for (let s = (t << 10) | (a << 1), e = (t << 10) + (b << 1); s < e; s += 2) {
    const f = ent[s + 1]!
    if (f === 0) continue
    const p = ent[s]!
    let g = f & ~lost
    if (g === 0) continue // a marker that means nothing there
    if ((f & PRESENT) !== 0 && (f & (ZERO | SPECIAL)) === 0) {
      const ff = k.frames.flags(p)
      k.frames.addMap(p)
      if ((ff & F_ANON) !== 0) {
        anon++
        k.frames.clearFlag(p, F_EXCLUSIVE) // PageAnonExclusive: neither side may write in place any more
      } else if ((ff & F_SWAPBACKED) !== 0) shmem++
      else file++
    } else if ((f & (GUARD | POISON)) !== 0) g &= ~UFFD_WP
    if (cow) {
      if ((f & WRITE) !== 0) ent[s + 1] = f & ~WRITE
      g &= ~WRITE
    }
    ent[s + d] = p
    ent[s + d + 1] = g
    used++
  }
  k.ptes.pop[u] = k.ptes.pop[u]! + used
  k.mms.addRss(mm, RSS_ANON, anon)
  k.mms.addRss(mm, RSS_FILE, file)
  k.mms.addRss(mm, RSS_SHMEM, shmem)
}
