/** Entries follow a protection: their area's new one (mprotect), or a userfaultfd's write protection. Floor 4.
 * @source mm/mprotect.c change_pte_range, can_change_pte_writable; mm/userfaultfd.c uffd_wp_range (v6.18)
 */
import { VM_SHARED, VM_UFFD_WP, VM_WRITE } from "../../flags/bits.ts"
import { ENOMEM, OK } from "../../flags/Errno.ts"
import { DIRTY, EXEC, PRESENT, PROTNONE, SPECIAL, UFFD_WP, WRITE, ZERO } from "../../flags/PteFlags.ts"
import { usesMarkers } from "../area/uffd.ts"
import { leafOf, type Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { F_ANON, F_EXCLUSIVE } from "../store/frames.ts"
import type { Vma } from "../store/vmas.ts"
import { invalidateEnd, invalidateStart } from "./notifier.ts"
import { pageProt } from "./prot.ts"
import { flushRange } from "./tlb.ts"

const OWN = F_ANON | F_EXCLUSIVE

/** Rewrites the entries of `[start, end)` of `v`, whose flags are the new ones already, and flushes.
 * @locks mmap write, `v` write-locked
 */
export function changeProtection(k: Kernel, v: Vma, start: Vpn, end: Vpn): void {
  const mm = k.vmas.mmOf(v)
  const pgd = k.mms.pgd(mm)
  const prot = pageProt(k, v)
  const lo = k.vmas.flags(v)
  // a private page that is ours alone and dirty may be written at once, a shared one that was written before; the others fault
  const reuse = (lo & (VM_WRITE | VM_SHARED)) === VM_WRITE
  const again = (lo & (VM_WRITE | VM_SHARED)) === (VM_WRITE | VM_SHARED) && (prot & WRITE) === 0
  const protectedBy = (lo & VM_UFFD_WP) !== 0 ? UFFD_WP : 0
  const first = leafOf(start)
  const last = leafOf(end - 1)
  const ent = k.ptes.ent
  let changed = false
  invalidateStart(k, mm, start, end)
  for (let l = k.ptes.nextLeaf(pgd, first, last + 1); l >= 0; l = k.ptes.nextLeaf(pgd, l + 1, last + 1)) {
    const t = k.ptes.leafTable(pgd, l)
    if (k.ptes.pop[t] === 0) continue
    const a = l === first ? start & 511 : 0
    const b = l === last ? ((end - 1) & 511) + 1 : 512
    for (let s = (t << 10) | (a << 1), e = (t << 10) + (b << 1); s < e; s += 2) {
      const f = ent[s + 1]!
      if ((f & PRESENT) === 0) continue
      let g = (f & ~(WRITE | EXEC | PROTNONE)) | prot
      if ((f & (ZERO | SPECIAL)) !== 0) g &= (f & SPECIAL) !== 0 ? ~0 : ~WRITE
      else if ((f & DIRTY) !== 0 && (f & protectedBy) === 0) {
        if (again || (reuse && (k.frames.flags(ent[s]!) & OWN) === OWN)) g |= WRITE
      }
      if (g === f) continue
      ent[s + 1] = g
      changed = true
    }
  }
  if (changed) flushRange(k, mm, start, end)
  invalidateEnd(k, mm, start, end)
}

/** Protects pages `[start, end)` of `v` against writes, and flushes. Pages that are not there get markers, where the context
 * has them; anonymous memory that nobody touched stays unprotected otherwise.
 * @returns OK | ENOMEM no table for markers
 * @partial pages before that are protected
 * @locks mmap or VMA, read or stronger; `v` has VM_UFFD_WP
 */
export function protectWrites(k: Kernel, v: Vma, start: Vpn, end: Vpn): number {
  const mm = k.vmas.mmOf(v)
  const pgd = k.mms.pgd(mm)
  const marks = usesMarkers(k, v)
  const last = leafOf(end - 1)
  invalidateStart(k, mm, start, end)
  let r = OK
  for (let l = leafOf(start); l <= last && r === OK; l++) {
    if (!marks) l = k.ptes.nextLeaf(pgd, l, last + 1)
    if (l < 0) break
    r = protectLeaf(k, pgd, l, Math.max(start, l * 512), Math.min(end, l * 512 + 512), marks)
  }
  flushRange(k, mm, start, end)
  invalidateEnd(k, mm, start, end)
  return r
}

/** Pages `[start, end)`, all in leaf table number `leaf`. */
function protectLeaf(k: Kernel, pgd: number, leaf: number, start: Vpn, end: Vpn, marks: boolean): number {
  const t = marks ? k.ptes.leafTableAlloc(pgd, leaf) : k.ptes.leafTable(pgd, leaf)
  if (t === 0) return ENOMEM
  for (let at: number = start; at < end; at++) {
    const s = (t << 10) | ((at & 511) << 1)
    const f = k.ptes.bits(s)
    if ((f & PRESENT) !== 0 || (f === 0 && marks)) protectEntry(k, s)
  }
  return OK
}

/** Protects the entry `slot` against writes: a page's, or by a marker; other markers take the bit along. Flushes nothing.
 * @locks as `protectWrites`
 * @source fs/proc/task_mmu.c make_uffd_wp_pte (v6.18)
 */
export function protectEntry(k: Kernel, slot: number): void {
  const f = k.ptes.bits(slot)
  if (f === 0) k.ptes.set(slot, 0, UFFD_WP)
  else k.ptes.setBits(slot, (f | UFFD_WP) & ~WRITE)
}

/** Takes the write protection off pages `[start, end)` of `v`, markers included, and flushes. What may be written without
 * asking anybody may be written at once.
 * @locks mmap or VMA, read or stronger
 */
export function resolveWrites(k: Kernel, v: Vma, start: Vpn, end: Vpn): void {
  const mm = k.vmas.mmOf(v)
  const pgd = k.mms.pgd(mm)
  const lo = k.vmas.flags(v)
  const prot = pageProt(k, v) & WRITE
  const last = leafOf(end - 1)
  invalidateStart(k, mm, start, end)
  for (let l = k.ptes.nextLeaf(pgd, leafOf(start), last + 1); l >= 0; l = k.ptes.nextLeaf(pgd, l + 1, last + 1)) {
    const t = k.ptes.leafTable(pgd, l)
    if (k.ptes.pop[t] === 0) continue
    for (let at = Math.max(start, l * 512), e = Math.min(end, l * 512 + 512); at < e; at++) {
      const s = (t << 10) | ((at & 511) << 1)
      const f = k.ptes.bits(s)
      if (f === UFFD_WP) k.ptes.clear(s)
      if ((f & PRESENT) === 0) continue
      const g = (f & ~(UFFD_WP | WRITE)) | ((f & (ZERO | SPECIAL)) === 0 ? prot : 0)
      k.ptes.setBits(s, mayWrite(k, lo, k.ptes.pfn(s), g) ? g | WRITE : g)
    }
  }
  flushRange(k, mm, start, end)
  invalidateEnd(k, mm, start, end)
}

/** May the present entry `bits` of an area with flags `lo` allow writes without a fault? */
function mayWrite(k: Kernel, lo: number, pfn: number, bits: number): boolean {
  if ((lo & VM_WRITE) === 0 || (bits & (PROTNONE | ZERO | SPECIAL)) !== 0) return false
  return (lo & VM_SHARED) !== 0 ? (bits & DIRTY) !== 0 : (k.frames.flags(pfn) & OWN) === OWN
}
