/** A machine and its processes for tests of the core: everything on the spot, nothing waits. Floor 9, internal. */
import { type KernelConfig, tiny } from "../../mm/base/config.ts"
import { KernelBug, vmBugOn } from "../../mm/base/debug.ts"
import type { StopName, Verb } from "../../mm/base/stop.ts"
import type { Kernel } from "../../mm/kernel.ts"
import { BRK, START_BRK } from "../../mm/store/mms.ts"
import { boot } from "../../mm/sys/boot.ts"
import { drainMmput, exit, reap, spawn } from "../../mm/sys/process.ts"
import { runNow, type SyncHook } from "../../mm/sys/run-now.ts"
import { drainReleased } from "../../mm/sys/userfaultfd.ts"

/** First page of pictures: 256 MiB, at the start of a leaf table. */
export const HERE = 0x10000
/** First page of a process's heap. */
export const HEAP = 0x8000

/** Boots a machine of 64 frames. */
export const bootTiny = (config: Partial<KernelConfig> = {}): Kernel => boot({ ...tiny, ...config })

/** Drives a verb to its end on the spot, the release of device files included. Throws where it would have to wait.
 * @param hook - answers drivers' hooks; without one every hook agrees
 */
export function call<W extends StopName>(k: Kernel, verb: () => Verb<W>, hook?: SyncHook): number {
  const r: unknown = runNow(k, verb, hook)
  if (typeof r !== "number") return vmBugOn("a verb had to wait, and nobody else runs")
  settle(k)
  return r
}

/** What whoever drove a verb owes afterwards: device files whose last holder went are closed. */
export function settle(k: Kernel): void {
  if (k.released.length > 0) runNow(k, () => drainReleased(k))
  if (k.deferredMmput.length > 0) runNow(k, () => drainMmput(k))
}

/** A process with an empty address space and a heap of no bytes at page HEAP. Throws when rows ran out. */
export function spawnTask(k: Kernel, name = "test"): number {
  const t = spawn(k, name)
  if (t < 0) throw new KernelBug(`no process for a test: ${t}`)
  k.mms.setStat(k.tasks.mm(t), START_BRK, HEAP * 4096)
  k.mms.setStat(k.tasks.mm(t), BRK, HEAP * 4096)
  return t
}

/** Ends a process and frees its row. */
export function endTask(k: Kernel, task: number): void {
  call(k, () => exit(k, task))
  reap(k, task)
}
