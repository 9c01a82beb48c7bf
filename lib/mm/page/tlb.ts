/** Flushing, and frames that wait for it: cleared entries first, then the flush, then the frames are put. Floor 4.
 * @source mm/mmu_gather.c, arch/x86/mm/tlb.c (v6.18)
 */
import type { Pfn, Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { Mm } from "../store/mms.ts"
import { GATHER } from "../store/runs.ts"

/** Above so many pages a whole address space is flushed instead (tlb_single_page_flush_ceiling). */
const SINGLE_PAGE_CEILING = 33

/** The processor uses the translations of `mm` from now on. */
export function switchMm(k: Kernel, mm: Mm): void {
  k.activeMm = mm
  let tag = k.mms.asn(mm)
  if (!k.tlb.isFresh(tag)) {
    tag = k.tlb.newTag()
    k.mms.setAsn(mm, tag)
  }
  k.tlb.use(tag)
}

/** Forgets every translation of `mm`: it takes a new number, now or when it next runs. */
export function flushMm(k: Kernel, mm: Mm): void {
  k.mms.setAsn(mm, 0)
  if (k.activeMm === mm) switchMm(k, mm)
  k.tlb.flushes++
}

/** Forgets the translations of pages `[start, end)` of `mm`. */
export function flushRange(k: Kernel, mm: Mm, start: Vpn, end: Vpn): void {
  if (end - start > SINGLE_PAGE_CEILING) flushMm(k, mm)
  else for (let v = start; v < end; v++) k.tlb.flushPage(v)
}

/** Keeps frame `p`, whose entry was just cleared, until the flush. False when the batch is full: flush and put first. */
export function gatherFrame(k: Kernel, p: Pfn): boolean {
  const r = k.runs.current << 9
  const n = k.runs.gather[r]! + 1
  k.runs.gather[r] = n
  k.runs.gather[r + n] = p
  return n < GATHER
}

/** Puts the frames that waited for the flush. */
export function putGathered(k: Kernel): void {
  const r = k.runs.current << 9
  const n = k.runs.gather[r]!
  k.runs.gather[r] = 0
  for (let i = 1; i <= n; i++) k.frames.put(k.runs.gather[r + i]!)
}
