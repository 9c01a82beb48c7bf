/** Taking pages out of page tables. Floor 4. The areas stay; the next access faults.
 *
 *     clear entries (rmap, RSS)  ->  flush  ->  put the frames  ->  [munmap: free the tables]
 *
 * @source mm/memory.c zap_pte_range, zap_page_range_single, unmap_vmas, free_pgtables (v6.18)
 */
import { VM_MIXEDMAP, VM_PFNMAP, VM_RAND_READ, VM_SEQ_READ, VM_UFFD_WP } from "../../flags/bits.ts"
import { DIRTY, GUARD, POISON, PRESENT, SPECIAL, UFFD_WP, YOUNG, ZERO } from "../../flags/PteFlags.ts"
import { assertVmaStable } from "../area/vma-lock.ts"
import { T_ZAP } from "../base/trace.ts"
import { leafOf, type Vpn, WORD_PAGES } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { F_ANON, F_DIRTY, F_SWAPBACKED } from "../store/frames.ts"
import { type Mm, RSS_ANON, RSS_FILE, RSS_SHMEM } from "../store/mms.ts"
import type { Vma } from "../store/vmas.ts"
import { markAccessed } from "./accessed.ts"
import { invalidateEnd, invalidateStart } from "./notifier.ts"
import { flushMm, flushRange, gatherFrame, putGathered } from "./tlb.ts"

/** Zap private copies too. */
export const ZAP_COWS = 1
/** Only pages of the object; private copies and poison stay. */
export const ZAP_SKIP_COWS = 2
/** Everything: the area itself goes. Otherwise guards stay, and outside anonymous memory what a userfaultfd protects stays
 *  protected, page or no page.
 */
export const ZAP_UNMAP = 3

/** Clears the entries of pages `[start, end)` of `v`; frames wait in the run's gather until `putGathered`.
 * Returns whether anything was cleared. Everything in one turn; a full batch is flushed and put on the way.
 * @locks mmap or VMA, read or stronger, or `v` is detached
 */
export function zapRange(k: Kernel, v: Vma, start: Vpn, end: Vpn, which: number): boolean {
  const mm = k.vmas.mmOf(v)
  const pgd = k.mms.pgd(mm)
  const first = leafOf(start)
  const last = leafOf(end - 1)
  const lo = k.vmas.flags(v)
  const recency = (lo & (VM_SEQ_READ | VM_RAND_READ)) === 0 ? YOUNG : 0 // vma_has_recency
  const marks = which !== ZAP_UNMAP && k.vmas.ops(v) !== 0
  const kept = (which === ZAP_UNMAP ? 0 : GUARD) | (which === ZAP_SKIP_COWS ? POISON : 0) | (marks ? UFFD_WP : 0)
  const rearmed = marks && (lo & VM_UFFD_WP) !== 0 ? UFFD_WP : 0
  let cleared = false
  for (let l = k.ptes.nextLeaf(pgd, first, last + 1); l >= 0; l = k.ptes.nextLeaf(pgd, l + 1, last + 1)) {
    const t = k.ptes.leafTable(pgd, l)
    if (k.ptes.pop[t] === 0) continue
    const a = l === first ? start & 511 : 0
    const b = l === last ? ((end - 1) & 511) + 1 : 512
    if (zapLeaf(k, mm, t, a, b, which, recency, kept, rearmed)) cleared = true
  }
  return cleared
}

/** Entries `[a, b)` of leaf table `t`. Counters are settled once. Bits of `recency` in an entry mean that its page was used;
 * markers of `kept` stay; a page whose entry has bits of `rearmed` leaves them behind as a marker.
 */
function zapLeaf(
  k: Kernel,
  mm: Mm,
  t: number,
  a: number,
  b: number,
  which: number,
  recency: number,
  kept: number,
  rearmed: number
): boolean {
  const ent = k.ptes.ent
  const frames = k.frames
  let used = 0
  let marked = 0
  let anon = 0
  let shmem = 0
  let file = 0
  for (let s = (t << 10) | (a << 1), e = (t << 10) + (b << 1); s < e; s += 2) {
    const f = ent[s + 1]!
    if (f === 0) continue
    const p = ent[s]!
    if ((f & PRESENT) !== 0 && (f & (ZERO | SPECIAL)) === 0) {
      const ff = frames.flags(p)
      if ((ff & F_ANON) !== 0) {
        if (which === ZAP_SKIP_COWS) continue
        anon++
      } else {
        if ((ff & F_SWAPBACKED) !== 0) shmem++
        else file++
        if ((f & DIRTY) !== 0) frames.setFlag(p, F_DIRTY)
        if ((f & recency) !== 0) markAccessed(k, p)
      }
      used++
      ent[s] = 0
      ent[s + 1] = f & rearmed
      if ((f & rearmed) !== 0) marked++
      frames.dropMap(p)
      if (!gatherFrame(k, p)) {
        // the batch is full, maybe with pages of other tables and areas: nobody may reach any of them when they are put
        flushMm(k, mm)
        putGathered(k)
      }
      continue
    }
    if ((f & PRESENT) === 0 && (f & kept) !== 0) continue
    used++
    ent[s] = 0
    ent[s + 1] = f & rearmed
    if ((f & rearmed) !== 0) marked++
  }
  if (used === 0) return false
  k.ptes.pop[t] = k.ptes.pop[t]! - used + marked
  if (anon !== 0) k.mms.addRss(mm, RSS_ANON, 0 - anon)
  if (shmem !== 0) k.mms.addRss(mm, RSS_SHMEM, 0 - shmem)
  if (file !== 0) k.mms.addRss(mm, RSS_FILE, 0 - file)
  return true
}

/** Clears, flushes and puts in one turn.
 * @locks as `zapRange`
 */
export function zapNow(k: Kernel, v: Vma, start: Vpn, end: Vpn, which: number): void {
  if (start >= end) return
  const mm = k.vmas.mmOf(v)
  k.mms.updateHiwaterRss(mm)
  invalidateStart(k, mm, start, end)
  if (zapRange(k, v, start, end, which)) {
    flushRange(k, mm, start, end)
    putGathered(k)
  }
  invalidateEnd(k, mm, start, end)
}

/** Zaps `len` pages from `vpn` of `v`, private copies included. A range that is not inside `v` is not zapped at all:
 * warned once, no error, as the reference has it.
 * @param vpn - page number; may be anything
 * @param len - pages; may be anything
 * @locks mmap or VMA, read or stronger. Faults may fill the range again at once.
 * @source rust/kernel/mm/virt.rs VmaRef::zap_page_range_single; mm/memory.c zap_page_range_single (v6.18)
 */
export function zapPageRangeSingle(k: Kernel, v: Vma, vpn: Vpn, len: number): void {
  assertVmaStable(k, v)
  const end = vpn + len
  const whole = Number.isInteger(vpn) && Number.isInteger(len)
  if (!whole || len < 0 || end >= WORD_PAGES || vpn < k.vmas.startOf(v) || end > k.vmas.endOf(v)) {
    k.warn.once(
      "zapPageRangeSingle",
      `zap_page_range_single: pages [${vpn}, ${end}) are not inside area [${k.vmas.startOf(v)}, ${k.vmas.endOf(v)}); nothing is zapped`
    )
    return
  }
  k.trace.point(T_ZAP, k.vmas.mmOf(v), vpn, len)
  zapNow(k, v, vpn, end, ZAP_COWS)
}

/** The guarded form for drivers: nothing happens unless `v` is a PFN or mixed map.
 * @source mm/memory.c zap_vma_ptes (v6.18)
 */
export function zapVmaPtes(k: Kernel, v: Vma, vpn: Vpn, len: number): void {
  if ((k.vmas.flags(v) & (VM_PFNMAP | VM_MIXEDMAP)) !== 0) zapPageRangeSingle(k, v, vpn, len)
}

/** Frees the tables of `[start, end)` that lie wholly inside and are empty; the levels above stay.
 * @locks as for entries: mmap or VMA, read or stronger
 * @source mm/memory.c zap_pte_range; mm/pt_reclaim.c (v6.18)
 */
export function reclaimTables(k: Kernel, mm: Mm, start: Vpn, end: Vpn): void {
  const pgd = k.mms.pgd(mm)
  const hi = leafOf(end)
  for (let l = k.ptes.nextLeaf(pgd, leafOf(start + 511), hi); l >= 0; l = k.ptes.nextLeaf(pgd, l + 1, hi))
    if (k.ptes.pop[k.ptes.leafTable(pgd, l)] === 0) k.ptes.freeLeaf(pgd, l)
}

/** Frees the page tables that no area can use: those inside `[start, end)` and, at its edges, those that reach no further
 * than `floor` (end of the area below) and `ceiling` (start of the one above).
 * @locks mmap write, or the areas are detached
 */
export function freePgtables(k: Kernel, mm: Mm, start: Vpn, end: Vpn, floor: Vpn, ceiling: Vpn): void {
  const pgd = k.mms.pgd(mm)
  let lo = leafOf(start)
  let hi = leafOf(end - 1) + 1
  if (floor > 0 && leafOf(floor - 1) >= lo) lo++
  if (ceiling !== Infinity && leafOf(ceiling) < hi) hi--
  if (lo < hi) k.ptes.freeRange(pgd, lo, hi, floor, ceiling)
}
