/** The machine that a log is replayed on: like the recorder's, with room for any program. Floor 9. */
import type { KernelConfig } from "../../mm/base/config.ts"
import { vmBugOn } from "../../mm/base/debug.ts"
import { TASK_PAGES } from "../../mm/base/units.ts"
import type { Kernel } from "../../mm/kernel.ts"
import { RLIMIT_MEMLOCK, RLIMIT_STACK, type Task } from "../../mm/store/tasks.ts"
import { boot } from "../../mm/sys/boot.ts"
import { spawn } from "../../mm/sys/process.ts"

const MIB = 2 ** 20
/** What the recorder's machine had, in pages. Far more than the frames that stand for it. */
const RAM_PAGES = (24 * 1024 * MIB) / 4096
/** Host memory is committed only as rows are used. */
const sizes = {
  frames: 1 << 17,
  maxTables: 1 << 13,
  maxVmas: 1 << 18,
  maxMms: 2048,
  maxFiles: 1 << 14,
  maxAnon: 1 << 18,
  maxRuns: 16
}

/** Boots it.
 * @param other - where it is unlike the recorder's
 */
export const bootForReplay = (other: Partial<KernelConfig> = {}): Kernel =>
  boot({
    ...sizes,
    ramPages: RAM_PAGES,
    maxMapCount: 65530,
    mmapMinAddr: 4096,
    lsmMinAddr: 65536,
    overcommit: 0,
    mmapBase: TASK_PAGES,
    ...other
  })

/** A process with an empty address space, and the limits that a process has that nobody told otherwise. */
export function newProcess(k: Kernel, pid: number): Task {
  const task = spawn(k, `process ${pid}`)
  if (task < 0) vmBugOn(`more processes at once than there is room for: ${k.config.maxMms}`)
  k.tasks.setRlimit(task, RLIMIT_MEMLOCK, 8 * MIB, 8 * MIB)
  k.tasks.setRlimit(task, RLIMIT_STACK, 8 * MIB, Infinity)
  return task
}
