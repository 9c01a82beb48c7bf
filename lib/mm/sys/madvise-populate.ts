/** MADV_POPULATE_READ, MADV_POPULATE_WRITE: pages are faulted in; the first that cannot be had ends it. Floor 6.
 * @source mm/madvise.c madvise_populate; mm/gup.c faultin_page_range (v6.18)
 */
import { VM_IO, VM_PFNMAP, VM_READ, VM_WRITE } from "../../flags/bits.ts"
import { EFAULT, EHWPOISON, EINVAL, ENOMEM, OK } from "../../flags/Errno.ts"
import {
  type Access,
  FAULT_HWPOISON,
  FAULT_OK,
  FAULT_OOM,
  READ as READING,
  WRITE as WRITING
} from "../../flags/FaultFlags.ts"
import type { Verb } from "../base/stop.ts"
import type { Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { type FaultStops, resolve } from "../page/fault.ts"
import { FAULT_USERFAULT } from "../page/need.ts"
import { KERNEL_MODE, userfaultWait } from "../page/userfault.ts"
import { goOnWalking, letWalkGo, type WalkLock } from "./madvise-discard.ts"
import { isSecret } from "../object/secret.ts"
import { isThere } from "./populate.ts"

/** Faults in pages `[start, end)`.
 * @returns OK | ENOMEM a hole, or out of memory | EINVAL not such memory | EFAULT a page that cannot be had | EHWPOISON
 * @partial pages before the failing one are there
 * @locks mmap read, which goes while a userfaultfd is waited for
 */
export function* populate(k: Kernel, lock: WalkLock, start: Vpn, end: Vpn, write: boolean): Verb<FaultStops> {
  const access: Access = write ? WRITING : READING
  for (let at: number = start; at < end;) {
    const v = k.maple.lookup(lock.mm, at)
    if (v === 0) return ENOMEM
    const lo = k.vmas.flags(v)
    if ((lo & (VM_IO | VM_PFNMAP)) !== 0 || (lo & (write ? VM_WRITE : VM_READ)) === 0 || isSecret(k, v)) return EINVAL
    for (const to = Math.min(end, k.vmas.endOf(v)); at < to; at++) {
      if (isThere(k, v, at, write)) continue
      let code = yield* resolve(k, v, at, access)
      if (code === FAULT_USERFAULT) {
        const c = k.need[0]!
        const flags = k.need[1]!
        letWalkGo(k, lock)
        code = yield* userfaultWait(k, c, flags, at, 0, KERNEL_MODE)
        yield* goOnWalking(k, lock)
        if (code === FAULT_OK) break // look the area up again
      }
      if (code === FAULT_HWPOISON) return EHWPOISON
      if (code !== FAULT_OK) return code === FAULT_OOM ? ENOMEM : EFAULT
      isThere(k, v, at, write) // found now, and used
    }
  }
  return OK
}
