/** Population: faults on the kernel's behalf after mmap, brk, mlock; errors end it quietly. Floor 6.
 * @source mm/gup.c __mm_populate, populate_vma_page_range (v6.18)
 */
import { VM_ACCESS, VM_IO, VM_LOCKONFAULT, VM_PFNMAP, VM_SHARED, VM_WRITE } from "../../flags/bits.ts"
import { EFAULT, ENOMEM, OK } from "../../flags/Errno.ts"
import { FAULT_OK, FAULT_OOM, READ as READING, WRITE as WRITING } from "../../flags/FaultFlags.ts"
import { DIRTY, PRESENT, SPECIAL, WRITE, ZERO } from "../../flags/PteFlags.ts"
import { mmapUnlock, needMmap, READ, tryMmap } from "../area/mmap-lock.ts"
import type { Verb } from "../base/stop.ts"
import type { Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { isSecret } from "../object/secret.ts"
import { markAccessed } from "../page/accessed.ts"
import { type FaultStops, resolve } from "../page/fault.ts"
import { FAULT_USERFAULT } from "../page/need.ts"
import { KERNEL_MODE, userfaultWait } from "../page/userfault.ts"
import { bitsAt, follow } from "../page/walk.ts"
import { F_DIRTY } from "../store/frames.ts"
import type { Mm } from "../store/mms.ts"
import type { Vma } from "../store/vmas.ts"

/** Faults in pages `[start, end)` as far as they are mapped: private writable ones by a write, the others by a read.
 * I/O and PFN maps are passed over. A userfaultfd is waited for without the lock, and the area looked up again.
 * @param strict - the first page that cannot be had ends it; else it goes on with the next area, and nobody hears of it
 * @returns OK | EFAULT a page that cannot be had | ENOMEM out of memory; the pages before it are there
 * @locks takes mmap read, area by area
 */
export function* mmPopulate(k: Kernel, mm: Mm, start: Vpn, end: Vpn, strict: boolean): Verb<FaultStops> {
  for (let at: number = start; at < end;) {
    let c = 0
    let flags = 0
    let to = end
    if (!tryMmap(k, mm, READ)) yield needMmap(k, mm, READ)
    try {
      const v = k.maple.find(mm, at)
      if (v === 0 || k.vmas.startOf(v) >= end) return OK
      at = Math.max(at, k.vmas.startOf(v))
      to = Math.min(end, k.vmas.endOf(v))
      const r = (k.vmas.flags(v) & (VM_IO | VM_PFNMAP)) !== 0 ? to : yield* populateVma(k, v, at, to)
      if (r < 0 && strict) return r
      at = r < 0 ? to : r
      if (at < to) {
        c = k.need[0]!
        flags = k.need[1]!
      }
    } finally {
      mmapUnlock(k, mm, READ)
    }
    if (at === to) continue
    const code = yield* userfaultWait(k, c, flags, at, 0, KERNEL_MODE)
    if (code === FAULT_OK) continue
    if (strict) return EFAULT
    at = to
  }
  return OK
}

/** Faults in pages `[from, to)` of `v`: nothing for VM_LOCKONFAULT; an area nobody may access has none to give.
 * @returns `to` | the page that a userfaultfd is to be asked about, `k.need` as of FAULT_USERFAULT | EFAULT | ENOMEM
 * @locks mmap read or write
 */
export function* populateVma(k: Kernel, v: Vma, from: Vpn, to: Vpn): Verb<"NEED_HOOK" | "NEED_PAGE" | "PREEMPT"> {
  const lo = k.vmas.flags(v)
  if ((lo & VM_LOCKONFAULT) !== 0) return to
  const write = (lo & (VM_WRITE | VM_SHARED)) === VM_WRITE
  if ((lo & (VM_IO | VM_PFNMAP)) !== 0 || (lo & VM_ACCESS) === 0 || isSecret(k, v)) return EFAULT
  for (let p: number = from; p < to; p++) {
    if (isThere(k, v, p, write)) continue
    const code = yield* resolve(k, v, p, write ? WRITING : READING)
    if (code === FAULT_USERFAULT) return p
    if (code !== FAULT_OK) return code === FAULT_OOM ? ENOMEM : EFAULT
    isThere(k, v, p, write) // found now, and used
  }
  return to
}

/** Is page `vpn` of `v` there for a read or a write? Then it counts as used, and one that is to be written as dirty, though its
 * entry says neither.
 * @locks mmap read or write
 * @source mm/gup.c follow_page_pte, FOLL_TOUCH (v6.18)
 */
export function isThere(k: Kernel, v: Vma, vpn: Vpn, write: boolean): boolean {
  const mm = k.vmas.mmOf(v)
  const bits = bitsAt(k, mm, vpn)
  if ((bits & PRESENT) === 0 || (write && (bits & WRITE) === 0)) return false
  if ((bits & (SPECIAL | ZERO)) !== 0) return true
  const p = follow(k, mm, vpn)
  if (write && (bits & DIRTY) === 0) k.frames.setFlag(p, F_DIRTY)
  markAccessed(k, p)
  return true
}
