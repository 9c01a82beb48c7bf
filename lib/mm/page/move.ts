/** mremap's part in page tables: entries move, pages stay where they are. Floor 4.
 * @source mm/mremap.c move_page_tables, move_ptes (v6.18)
 */
import { ENOMEM, OK } from "../../flags/Errno.ts"
import { leafOf, type Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { Mm } from "../store/mms.ts"
import { NO_SLOT } from "../store/ptes.ts"
import { invalidateEnd, invalidateStart } from "./notifier.ts"
import { flushRange } from "./tlb.ts"

/** Moves the used entries of `[from, from + pages)` to `to`, where every entry is none; markers move too.
 * @returns OK | ENOMEM no table left, and everything is back where it was
 * @locks mmap write, both areas write-locked
 */
export function movePageTables(k: Kernel, mm: Mm, from: Vpn, to: Vpn, pages: number): number {
  invalidateStart(k, mm, from, from + pages)
  const moved = moveEntries(k, mm, from, to, pages)
  flushRange(k, mm, from, from + pages)
  let r = OK
  if (moved < pages) {
    moveEntries(k, mm, to, from, moved)
    flushRange(k, mm, to, to + moved)
    r = ENOMEM
  }
  invalidateEnd(k, mm, from, from + pages)
  return r
}

/** Moves entries one by one; returns how many pages it got through. */
function moveEntries(k: Kernel, mm: Mm, from: Vpn, to: Vpn, pages: number): number {
  const pgd = k.mms.pgd(mm)
  const end = from + pages
  const last = leafOf(end - 1)
  for (let l = k.ptes.nextLeaf(pgd, leafOf(from), last + 1); l >= 0; l = k.ptes.nextLeaf(pgd, l + 1, last + 1)) {
    const t = k.ptes.leafTable(pgd, l)
    if (k.ptes.pop[t] === 0) continue
    for (let at = Math.max(from, l * 512), e = Math.min(end, l * 512 + 512); at < e; at++) {
      const a = (t << 10) | ((at & 511) << 1)
      if (k.ptes.isNone(a)) continue
      const b = k.ptes.slotAlloc(pgd, to + (at - from))
      if (b === NO_SLOT) return at - from
      k.ptes.set(b, k.ptes.pfn(a), k.ptes.bits(a))
      k.ptes.clear(a)
    }
  }
  return pages
}
