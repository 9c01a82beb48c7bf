/** process_mrelease: the memory of a process that was killed goes before it does. Floor 6.
 * @source mm/oom_kill.c process_mrelease, __oom_reap_task_mm, task_will_free_mem (v6.18)
 */
import { VM_HUGETLB, VM_PFNMAP, VM_SHARED } from "../../flags/bits.ts"
import { EINVAL, ESRCH, OK } from "../../flags/Errno.ts"
import { enter } from "../area/mm.ts"
import { mmapUnlock, needMmap, READ, tryMmap } from "../area/mmap-lock.ts"
import type { Verb } from "../base/stop.ts"
import { isZero, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { ZAP_COWS, zapNow } from "../page/zap.ts"
import type { Mm } from "../store/mms.ts"
import { type Task, TASK_LIVE } from "../store/tasks.ts"
import { pidfdTask } from "./pidfd.ts"
import { whileUsed } from "./process.ts"

/** Frees the private memory of the dying process that `pidfd` names; what is shared, huge, or a driver's stays until it is gone.
 * @returns OK | EINVAL flags, or a process that shares its memory with one that lives on, or lives on itself | EBADF | ESRCH it
 *   has no memory any more
 * @locks takes its mmap read
 */
export function* processMrelease(k: Kernel, task: Task, pidfd: Word, flags: Word): Verb<"NEED_LOCK" | "NEED_HOOK"> {
  if (!isZero(flags)) return EINVAL
  enter(k, task)
  const target = pidfdTask(k, task, pidfd)
  if (target < 0) return target
  const mm = k.tasks.mm(target)
  if (mm === 0) return ESRCH
  if (!willBeFree(k, mm)) return EINVAL
  return yield* whileUsed(k, mm, ESRCH, () => reap(k, mm))
}

/** Will everybody who runs in `mm` soon be gone? */
function willBeFree(k: Kernel, mm: Mm): boolean {
  for (let t = 1; t < k.tasks.limit(); t++)
    if (k.tasks.state(t) === TASK_LIVE && k.tasks.mm(t) === mm && !k.tasks.isDying(t)) return false
  return true
}

function* reap(k: Kernel, mm: Mm): Verb<"NEED_LOCK"> {
  if (!tryMmap(k, mm, READ)) yield needMmap(k, mm, READ)
  try {
    for (let v = k.maple.find(mm, 0); v !== 0; v = k.maple.next(mm, v)) {
      const lo = k.vmas.flags(v)
      if ((lo & (VM_HUGETLB | VM_PFNMAP)) !== 0 || (k.vmas.ops(v) !== 0 && (lo & VM_SHARED) !== 0)) continue
      zapNow(k, v, k.vmas.startOf(v), k.vmas.endOf(v), ZAP_COWS)
    }
    return OK
  } finally {
    mmapUnlock(k, mm, READ)
  }
}
