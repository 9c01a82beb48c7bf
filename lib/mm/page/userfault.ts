/** Faults that a userfaultfd answers: which ones, and waiting for the answer. Floor 4.
 *
 *     plain piece:  handleUserfault  ->  FAULT_SIGBUS | FAULT_USERFAULT, operands in k.need
 *     whoever holds the lock gives it back, and in the same turn:  userfaultWait  ->  look again | FAULT_SIGBUS
 *
 * A message is queued and waited for in one turn with the look at the entry that found it missing, so no answer is lost.
 * @source fs/userfaultfd.c handle_userfault, userfault_msg (v6.18)
 */
import { VM_UFFD_MISSING, VMH_UFFD_MINOR } from "../../flags/bits.ts"
import { FAULT_OK, FAULT_OOM, FAULT_SIGBUS } from "../../flags/FaultFlags.ts"
import * as UFFD from "../../flags/UffdFlags.ts"
import { OPS_SHMEM } from "../area/ops.ts"
import { anonVmaPrepare } from "../area/rmap.ts"
import { isMissing, uffdGet, uffdPut, wakeReaders } from "../area/uffd.ts"
import { KILLABLE, U_FAULT, type Verb, WAIT_UFFD } from "../base/stop.ts"
import { addrOf, PAGE_SIZE, type Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { TASK_DEAD } from "../store/tasks.ts"
import { Q_PENDING } from "../store/uffds.ts"
import type { Vma } from "../store/vmas.ts"
import { FAULT_USERFAULT } from "./need.ts"

/** Who touches the memory: the process itself, or the kernel on its behalf. */
export const USER_MODE = 0
export const KERNEL_MODE = 1
/** What touches memory. */
export type Mode = typeof USER_MODE | typeof KERNEL_MODE

/** The userfaultfd of `v` is to be asked.
 * @param flags - PAGEFAULT_FLAG_*
 * @returns FAULT_SIGBUS it asked for that | FAULT_USERFAULT, with `k.need` filled in
 */
export function handleUserfault(k: Kernel, v: Vma, flags: number): number {
  const c = k.vmas.uffd(v)
  if (k.uffds.has(c, UFFD.FEATURE_SIGBUS)) return FAULT_SIGBUS
  k.need[0] = c
  k.need[1] = flags
  return FAULT_USERFAULT
}

/** Page `vpn` of the anonymous area `v` is missing. A write makes the anon_vma first, whatever comes of it.
 * @returns FAULT_OK nobody is to be asked | FAULT_OOM | as `handleUserfault`
 */
export function anonymousUserfault(k: Kernel, v: Vma, write: boolean): number {
  if (!isMissing(k, v)) return FAULT_OK
  if (write && !anonVmaPrepare(k, v)) return FAULT_OOM
  return handleUserfault(k, v, write ? UFFD.PAGEFAULT_FLAG_WRITE : 0)
}

/** Page `pgoff` of the object behind `v` is not mapped: cached, or a hole, is it answered for?
 * @returns FAULT_OK nobody is to be asked | as `handleUserfault`
 * @source mm/shmem.c shmem_get_folio_gfp (v6.18)
 */
export function objectUserfault(k: Kernel, v: Vma, pgoff: number, write: boolean): number {
  const lo = k.vmas.flags(v)
  const hi = k.vmas.flagsHi(v)
  if ((lo & VM_UFFD_MISSING) === 0 && (hi & VMH_UFFD_MINOR) === 0) return FAULT_OK
  const o = k.vmas.obj(v)
  if (k.vmas.ops(v) !== OPS_SHMEM || pgoff * PAGE_SIZE >= k.files.size[o]!) return FAULT_OK
  const writing = write ? UFFD.PAGEFAULT_FLAG_WRITE : 0
  if (k.xarray.load(o, pgoff) === 0) return isMissing(k, v) ? handleUserfault(k, v, writing) : FAULT_OK
  return (hi & VMH_UFFD_MINOR) !== 0 ? handleUserfault(k, v, writing | UFFD.PAGEFAULT_FLAG_MINOR) : FAULT_OK
}

/** Asks context `c` about page `vpn`, and waits until somebody wakes the current run.
 * @param flags - PAGEFAULT_FLAG_*
 * @param offset - of the access within its page
 * @returns FAULT_OK look again | FAULT_SIGBUS nobody will be asked
 * @locks none held; `c` was found in this turn
 */
export function* userfaultWait(
  k: Kernel,
  c: number,
  flags: number,
  vpn: Vpn,
  offset: number,
  mode: Mode
): Verb<"WAIT_UFFD"> {
  const r = k.runs.current
  const task = k.runs.task[r]!
  if (task !== 0 && k.tasks.state(task) === TASK_DEAD) return FAULT_SIGBUS
  if (mode === KERNEL_MODE && (k.uffds.flags(c) & UFFD.USER_MODE_ONLY) !== 0) return FAULT_SIGBUS
  if (k.uffds.isReleased(c)) return FAULT_OK
  const at = addrOf(vpn) + (k.uffds.has(c, UFFD.FEATURE_EXACT_ADDRESS) ? offset : 0)
  const thread = k.uffds.has(c, UFFD.FEATURE_THREAD_ID) ? task : 0
  uffdGet(k, c)
  try {
    k.uffds.setMessage(r, UFFD.EVENT_PAGEFAULT, flags, at, thread, 0)
    k.runs.a[r] = c
    k.runs.at[r] = at
    k.runs.enqueue(k.runs.uffdQueue(c, Q_PENDING))
    wakeReaders(k, c)
    // UNLIKE LINUX: there are no signal handlers here, for which the kernel lets a fault go and take its message along
    yield k.runs.stop<"WAIT_UFFD">(WAIT_UFFD | KILLABLE | (U_FAULT << 4))
    return FAULT_OK
  } finally {
    uffdPut(k, c)
  }
}
