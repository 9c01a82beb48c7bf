/** clone with CLONE_VM, and vfork: tasks that run in one address space. Floor 6.
 * @source kernel/fork.c copy_process, copy_mm (v6.18)
 */
import { EAGAIN, EINVAL } from "../../flags/Errno.ts"
import { enter, mmget } from "../area/mm.ts"
import type { Verb } from "../base/stop.ts"
import { lowBits, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { Task } from "../store/tasks.ts"
import { copyFiles, fork, type ForkStops } from "./process.ts"

/** The child runs in the parent's address space. */
export const CLONE_VM = 0x100
/** The parent waits until the child has exited, or runs another program. The caller sees to that. */
export const CLONE_VFORK = 0x4000
const CLONE_SIGHAND = 0x800
const CLONE_THREAD = 0x10000

/** A child of `task`: with a copy of its memory, or, with CLONE_VM, in the same memory. It has limits, rights and descriptors of
 * its own, equal to the parent's.
 * UNLIKE LINUX: nothing else is shared, whatever the flags say.
 * @returns the child's task row | EINVAL flags that do not go together | EAGAIN no row | as `fork`
 * @locks with CLONE_VM none
 */
export function* clone(k: Kernel, task: Task, flags: Word, name: string): Verb<ForkStops> {
  const fl = lowBits(flags)
  if ((fl & CLONE_THREAD) !== 0 && (fl & CLONE_SIGHAND) === 0) return EINVAL
  if ((fl & CLONE_SIGHAND) !== 0 && (fl & CLONE_VM) === 0) return EINVAL
  if ((fl & CLONE_VM) === 0) return yield* fork(k, task, name)
  const mm = enter(k, task)
  const t = k.tasks.alloc(task, name)
  if (t === 0) return EAGAIN
  mmget(k, mm)
  k.tasks.setMm(t, mm)
  copyFiles(k, task, t)
  return t
}
