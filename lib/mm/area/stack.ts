/** Stack growth: a fault in the hole below a growing-down area moves its start. Floor 3.
 * @source mm/vma.c expand_downwards, acct_stack_growth (v6.18)
 */
import { VM_ACCESS, VM_ACCOUNT, VM_GROWSDOWN, VM_LOCKED } from "../../flags/bits.ts"
import { EFAULT, ENOMEM, EPERM, OK } from "../../flags/Errno.ts"
import { T_STACK_GROWTH } from "../base/trace.ts"
import { PAGE_SIZE, STACK_GUARD_PAGES, type Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { LOCKED_VM } from "../store/mms.ts"
import { RLIMIT_STACK } from "../store/tasks.ts"
import type { Vma } from "../store/vmas.ts"
import { enoughMemory, mayExpandVm, mlockFutureOk, vmStatAccount } from "./account.ts"
import { taskFor } from "./mm.ts"
import { assertMmapWrite } from "./mmap-lock.ts"
import { moveBounds } from "./object.ts"
import { anonVmaPrepare } from "./rmap.ts"

/** Moves the start of `v` down to page `vpn`.
 * @returns OK | EFAULT it does not grow | EPERM below the minimum address | ENOMEM guard gap, limit or commitment
 * @locks mmap write; no reader is inside `v`
 */
export function expandStack(k: Kernel, v: Vma, vpn: Vpn): number {
  const mm = k.vmas.mmOf(v)
  assertMmapWrite(k, mm)
  const lo = k.vmas.flags(v)
  if ((lo & VM_GROWSDOWN) === 0) return EFAULT
  if (vpn * PAGE_SIZE < k.config.lsmMinAddr) return EPERM
  const prev = k.maple.below(mm, vpn)
  if (prev !== 0) {
    const p = k.vmas.flags(prev)
    if ((p & VM_GROWSDOWN) === 0 && (p & VM_ACCESS) !== 0 && vpn - k.vmas.endOf(prev) < STACK_GUARD_PAGES) return ENOMEM
  }
  if (!anonVmaPrepare(k, v)) return ENOMEM
  const start = k.vmas.startOf(v)
  if (vpn >= start) return OK
  const grow = start - vpn
  if (grow > k.vmas.pgoff(v)) return ENOMEM
  const r = acctStackGrowth(k, v, k.vmas.endOf(v) - vpn, grow)
  if (r !== OK) return r
  if ((lo & VM_LOCKED) !== 0) k.mms.addStat(mm, LOCKED_VM, grow)
  vmStatAccount(k, mm, lo, grow)
  moveBounds(k, v, k.vmas.pgoff(v) - grow, vpn, k.vmas.endOf(v))
  k.trace.point(T_STACK_GROWTH, mm, vpn, grow)
  return OK
}

function acctStackGrowth(k: Kernel, v: Vma, sizePages: number, grow: number): number {
  const mm = k.vmas.mmOf(v)
  const lo = k.vmas.flags(v)
  if (!mayExpandVm(k, mm, lo, grow)) return ENOMEM
  if (sizePages * PAGE_SIZE > k.tasks.rlimit(taskFor(k, mm), RLIMIT_STACK)) return ENOMEM
  if (!mlockFutureOk(k, mm, lo, grow)) return ENOMEM
  const r = enoughMemory(k, mm, grow)
  // UNLIKE LINUX: growth of an area without VM_ACCOUNT is checked but not charged; Linux charges it and never gives it back.
  if (r === OK && (lo & VM_ACCOUNT) === 0) k.committed -= grow
  return r
}
