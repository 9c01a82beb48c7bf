/** mremap's part in page tables: entries move, pages stay where they are. Floor 4.
 * @source mm/mremap.c move_page_tables, move_ptes, move_normal_pmd (v6.18)
 */
import { ENOMEM, OK } from "../../flags/Errno.ts"
import { indexOf, leafOf, type Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { Mm } from "../store/mms.ts"
import { NO_SLOT } from "../store/ptes.ts"
import { invalidateEnd, invalidateStart } from "./notifier.ts"
import { flushRange } from "./tlb.ts"

/** Moves the used entries of `[from, from + pages)` to `to`, where every entry is none; markers move too. Bits of `lost` do
 * not, and a marker of nothing else is gone.
 * @returns OK | ENOMEM no table left, and everything is back where it was
 * @locks mmap write, both areas write-locked
 */
export function movePageTables(k: Kernel, mm: Mm, from: Vpn, to: Vpn, pages: number, lost = 0): number {
  invalidateStart(k, mm, from, from + pages)
  const moved = moveEntries(k, mm, from, to, pages, lost)
  flushRange(k, mm, from, from + pages)
  let r = OK
  if (moved < pages) {
    moveEntries(k, mm, to, from, moved, 0)
    flushRange(k, mm, to, to + moved)
    r = ENOMEM
  }
  invalidateEnd(k, mm, from, from + pages)
  return r
}

/** Moves what the tables of `[from, from + pages)` hold, a whole table at once where that goes and nothing is lost, else entry by
 * entry. A table that is there but empty is met by one at the new place. Returns how many pages it got through.
 */
function moveEntries(k: Kernel, mm: Mm, from: Vpn, to: Vpn, pages: number, lost: number): number {
  const pgd = k.mms.pgd(mm)
  const end = from + pages
  const last = leafOf(end - 1)
  for (let l = k.ptes.nextLeaf(pgd, leafOf(from), last + 1); l >= 0; l = k.ptes.nextLeaf(pgd, l + 1, last + 1)) {
    const t = k.ptes.leafTable(pgd, l)
    for (let at = Math.max(from, l * 512), e = Math.min(end, l * 512 + 512); at < e;) {
      const there = to + (at - from)
      const next = Math.min(e, at + 512 - indexOf(there)) // as far as one table reaches on both sides
      if (next - at < 512 || lost !== 0 || !k.ptes.moveLeaf(pgd, l, leafOf(there))) {
        const slot = k.ptes.slotAlloc(pgd, there)
        if (slot === NO_SLOT) return at - from
        if (k.ptes.pop[t] !== 0) moveExtent(k, (t << 10) | (indexOf(at) << 1), slot, next - at, lost)
      }
      at = next
    }
  }
  return pages
}

/** Moves the used ones of `n` entries that lie in one table to others that lie in one table, without bits of `lost`. */
function moveExtent(k: Kernel, from: number, to: number, n: number, lost: number): void {
  for (let i = 0; i < 2 * n; i += 2) {
    if (k.ptes.isNone(from + i)) continue
    const bits = k.ptes.bits(from + i) & ~lost
    if (bits !== 0) k.ptes.set(to + i, k.ptes.pfn(from + i), bits)
    k.ptes.clear(from + i)
  }
}
