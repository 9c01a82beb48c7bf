/** Anonymous pages: the shared page of zeroes on the first read, a page of one's own on the first write. Floor 4.
 * @source mm/memory.c do_anonymous_page (v6.18)
 */
import { VM_WRITE } from "../../flags/bits.ts"
import { FAULT_OK, FAULT_OOM } from "../../flags/FaultFlags.ts"
import { DIRTY, PRESENT, WRITE, YOUNG, ZERO } from "../../flags/PteFlags.ts"
import { anonVmaPrepare } from "../area/rmap.ts"
import type { Pfn, Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { ZERO_PFN } from "../store/frames.ts"
import { RSS_ANON } from "../store/mms.ts"
import type { Vma } from "../store/vmas.ts"
import { pageProt } from "./prot.ts"

/** Index of page `vpn` of `v` within its anon_vma (linear_page_index). */
export const anonIndex = (k: Kernel, v: Vma, vpn: Vpn): number => k.vmas.pgoff(v) + (vpn - k.vmas.startOf(v))

/** Maps the page of zeroes at the empty entry `slot`: no reference, no RSS, no anon_vma. */
export function mapZeroPage(k: Kernel, v: Vma, slot: number): number {
  k.ptes.set(slot, ZERO_PFN, PRESENT | ZERO | YOUNG | (pageProt(k, v) & ~WRITE))
  return FAULT_OK
}

/** Gives page `vpn` of `v` a fresh page of zeroes at `slot`, which is empty or maps the zero page.
 * @returns FAULT_OK | FAULT_OOM, nothing mapped
 */
export function mapFreshPage(k: Kernel, v: Vma, vpn: Vpn, slot: number): number {
  if (!anonVmaPrepare(k, v)) return FAULT_OOM
  const p = k.frames.allocZeroed()
  if (p === 0) return FAULT_OOM
  mapOwnPage(k, v, vpn, slot, p)
  return FAULT_OK
}

/** Makes frame `p` (reference 1, the caller's, handed over) the exclusive anonymous page behind `slot`. */
export function mapOwnPage(k: Kernel, v: Vma, vpn: Vpn, slot: number, p: Pfn): void {
  k.frames.setAnon(p, k.vmas.anon(v), anonIndex(k, v, vpn))
  k.mms.addRss(k.vmas.mmOf(v), RSS_ANON, 1)
  const writable = (k.vmas.flags(v) & VM_WRITE) !== 0 ? WRITE : 0
  k.ptes.set(slot, p, PRESENT | DIRTY | YOUNG | writable | (pageProt(k, v) & ~WRITE))
}
