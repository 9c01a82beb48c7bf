/** mprotect's part in page tables: entries follow their area's new protection. Floor 4.
 * @source mm/mprotect.c change_pte_range, can_change_pte_writable (v6.18)
 */
import { VM_SHARED, VM_WRITE } from "../../flags/bits.ts"
import { DIRTY, EXEC, PRESENT, PROTNONE, SPECIAL, WRITE, ZERO } from "../../flags/PteFlags.ts"
import { leafOf, type Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { F_ANON, F_EXCLUSIVE } from "../store/frames.ts"
import type { Vma } from "../store/vmas.ts"
import { invalidateEnd, invalidateStart } from "./notifier.ts"
import { pageProt } from "./prot.ts"
import { flushRange } from "./tlb.ts"

/** Rewrites the entries of `[start, end)` of `v`, whose flags are the new ones already, and flushes.
 * @locks mmap write, `v` write-locked
 */
export function changeProtection(k: Kernel, v: Vma, start: Vpn, end: Vpn): void {
  const mm = k.vmas.mmOf(v)
  const pgd = k.mms.pgd(mm)
  const prot = pageProt(k, v)
  const lo = k.vmas.flags(v)
  // a private page that is ours alone and dirty may be written at once; the others fault
  const reuse = (lo & (VM_WRITE | VM_SHARED)) === VM_WRITE
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
      else if (
        reuse &&
        (f & DIRTY) !== 0 &&
        (k.frames.flags(ent[s]!) & (F_ANON | F_EXCLUSIVE)) === (F_ANON | F_EXCLUSIVE)
      )
        g |= WRITE
      if (g === f) continue
      ent[s + 1] = g
      changed = true
    }
  }
  if (changed) flushRange(k, mm, start, end)
  invalidateEnd(k, mm, start, end)
}
