/** get_user_pages: the frame behind a user address, faulted in and referenced. Floor 4.
 * @source mm/gup.c get_user_pages, check_vma_flags (v6.18)
 */
import { VM_IO, VM_PFNMAP, VM_READ, VM_WRITE } from "../../flags/bits.ts"
import { EFAULT, ENOMEM } from "../../flags/Errno.ts"
import { type Access, FAULT_OK, FAULT_OOM, READ, WRITE } from "../../flags/FaultFlags.ts"
import { SPECIAL } from "../../flags/PteFlags.ts"
import { assertMmapLocked } from "../area/mmap-lock.ts"
import type { Verb } from "../base/stop.ts"
import type { Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { ZERO_PFN } from "../store/frames.ts"
import type { Mm } from "../store/mms.ts"
import { NO_SLOT } from "../store/ptes.ts"
import { markAccessed } from "./accessed.ts"
import { type FaultStops, resolve } from "./fault.ts"

/** Frame of page `vpn` of `mm`, with a reference that the caller puts.
 * @returns frame number | EFAULT nothing there, not allowed, or a special mapping (VM_IO, VM_PFNMAP) | ENOMEM
 * @locks mmap read or write
 */
export function* getUserPage(k: Kernel, mm: Mm, vpn: Vpn, write: boolean): Verb<Exclude<FaultStops, "NEED_LOCK">> {
  assertMmapLocked(k, mm)
  const access: Access = write ? WRITE : READ
  for (;;) {
    const v = k.maple.lookup(mm, vpn)
    if (v === 0) return EFAULT
    const lo = k.vmas.flags(v)
    if ((lo & (VM_IO | VM_PFNMAP)) !== 0 || (lo & (write ? VM_WRITE : VM_READ)) === 0) return EFAULT
    const code = yield* resolve(k, v, vpn, access)
    if (code === FAULT_OOM) return ENOMEM
    if (code !== FAULT_OK) return EFAULT
    const slot = k.ptes.slot(k.mms.pgd(mm), vpn)
    if (slot === NO_SLOT || !k.ptes.isPresent(slot)) continue // zapped while a hook ran
    if ((k.ptes.bits(slot) & SPECIAL) !== 0) return EFAULT
    const p = k.ptes.pfn(slot)
    k.frames.get(k.frames.folio(p))
    if (p !== ZERO_PFN) markAccessed(k, p) // FOLL_TOUCH
    return p
  }
}
