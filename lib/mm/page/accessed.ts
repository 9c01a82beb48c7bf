/** A page was used: how reclaim ages it. What a locked area maps is on no list of reclaim's, and does not age. Floor 4.
 * @source mm/swap.c folio_mark_accessed, without the generations of CONFIG_LRU_GEN; mm/mlock.c mlock_folio (v6.18)
 */
import { VM_LOCKED } from "../../flags/bits.ts"
import type { Pfn, Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { F_ACTIVE, F_ANON, F_CACHE, F_LEFT_LOCKED, F_REFERENCED } from "../store/frames.ts"
import { NO_SLOT } from "../store/ptes.ts"
import type { Vma } from "../store/vmas.ts"

/** Frame `p` was used: referenced the first time, active the second. */
export function markAccessed(k: Kernel, p: Pfn): void {
  const flags = k.frames.flags(p)
  if ((flags & F_REFERENCED) === 0) k.frames.setFlag(p, F_REFERENCED)
  else if ((flags & F_ACTIVE) === 0 && !isLocked(k, p)) {
    k.frames.setFlag(p, F_ACTIVE)
    k.frames.clearFlag(p, F_REFERENCED)
  }
}

/** Does a locked area map frame `p`, or did one leave it locked? Asks all areas that may: not for every page. */
export function isLocked(k: Kernel, p: Pfn): boolean {
  if (k.frames.has(p, F_LEFT_LOCKED)) return true
  const of = k.frames.mapping(p)
  const index = k.frames.index(p)
  const locks = (v: Vma): boolean => (k.vmas.flags(v) & VM_LOCKED) !== 0 && maps(k, v, index, p)
  if (k.frames.has(p, F_ANON)) {
    let found = false
    k.anon.forEachVma(of, (v) => (found ||= locks(v)))
    return found
  }
  if (!k.frames.has(p, F_CACHE)) return false
  for (let v = k.mappings.find(of, index, index + 1); v !== 0; v = k.mappings.next(v, index, index + 1))
    if (locks(v)) return true
  return false
}

/** Does `v` map frame `p`, which is page `index` of what both belong to? */
function maps(k: Kernel, v: Vma, index: number, p: Pfn): boolean {
  const vpn: Vpn = k.vmas.startOf(v) + index - k.vmas.pgoff(v)
  if (!k.vmas.covers(v, vpn)) return false
  const slot = k.ptes.slot(k.mms.pgd(k.vmas.mmOf(v)), vpn)
  return slot !== NO_SLOT && k.ptes.isPresent(slot) && k.ptes.pfn(slot) === p
}
