/** process_madvise: a vector of advice, to oneself or to another process. Floor 6.
 * @source mm/madvise.c SYSCALL_DEFINE5(process_madvise); lib/iov_iter.c import_iovec; kernel/fork.c mm_access (v6.18)
 */
import * as MADV from "../../flags/AdviceFlags.ts"
import { EACCES, EFAULT, EINVAL, EPERM, ESRCH, OK } from "../../flags/Errno.ts"
import { enter } from "../area/mm.ts"
import type { Verb } from "../base/stop.ts"
import { lowBits, registerOf, TASK_SIZE, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { FaultStops } from "../page/fault.ts"
import { CAP_SYS_NICE, CAP_SYS_PTRACE, type Task } from "../store/tasks.ts"
import { type AdviceRange, vectorMadvise } from "./madvise.ts"
import { pidfdTask } from "./pidfd.ts"
import { whileUsed } from "./process.ts"
import { copyFromUser } from "./usercopy.ts"

export type { AdviceRange as Range } from "./madvise.ts"

const MAX_VECTOR = 1024
/** MAX_RW_COUNT: what lies beyond so many bytes of a vector is left out. */
const MAX_RW = 0x7fff_f000
const REMOTE: ReadonlySet<number> = new Set([MADV.COLD, MADV.PAGEOUT, MADV.WILLNEED, MADV.COLLAPSE])

/** Gives advice about memory of the process that `pidfd` names. The ranges are a vector of addresses and lengths in the
 * caller's memory.
 * @returns as `processMadvise` | EFAULT the vector | EBADF no descriptor of a process | ESRCH it is gone
 */
export function* processMadviseFd(
  k: Kernel,
  task: Task,
  pidfd: Word,
  vector: Word,
  count: Word,
  advice: Word,
  flags: Word
): Verb<FaultStops> {
  const n = lowBits(count) >>> 0
  if (lowBits(flags) !== 0 || n > MAX_VECTOR) return EINVAL
  const bytes = new Uint8Array(16 * n)
  if (n > 0 && (yield* copyFromUser(k, enter(k, task), vector, bytes)) !== 0) return EFAULT
  const from = new DataView(bytes.buffer)
  const ranges = Array.from({ length: n }, (_, i): AdviceRange => {
    return [from.getBigUint64(16 * i, true), from.getBigUint64(16 * i + 8, true)]
  })
  const bad = checkRanges(ranges)
  if (bad < 0) return bad
  const target = pidfdTask(k, task, pidfd)
  return target < 0 ? target : yield* processMadvise(k, task, target, ranges, advice, flags)
}

/** Gives advice about ranges of `target`, one after another.
 * @returns bytes of the ranges that were done | the errno of the first, if not even that was | EINVAL flags, too long a vector,
 *   a length above 2^63, advice that is none, or none for others | EFAULT not user space | ESRCH it has no memory any more |
 *   EACCES its memory may not be looked at | EPERM without CAP_SYS_NICE for others
 * @partial ranges before the failing one are done
 * @locks as `vectorMadvise`
 */
export function* processMadvise(
  k: Kernel,
  task: Task,
  target: Task,
  ranges: readonly AdviceRange[],
  advice: Word,
  flags: Word
): Verb<FaultStops> {
  if (lowBits(flags) !== 0 || ranges.length > MAX_VECTOR) return EINVAL
  const bad = checkRanges(ranges)
  if (bad < 0) return bad
  const own = enter(k, task)
  const mm = k.tasks.mm(target)
  const a = lowBits(advice)
  if (mm === 0) return ESRCH
  if (mm !== own) {
    if (!mayLookAt(k, task, target)) return EACCES
    if (!REMOTE.has(a)) return EINVAL
    if (!k.tasks.capable(task, CAP_SYS_NICE)) return EPERM
  }
  return yield* whileUsed(k, mm, ESRCH, () => vectorMadvise(k, mm, cut(ranges), a))
}

/** Lengths of all of them first, then places. */
function checkRanges(ranges: readonly AdviceRange[]): number {
  if (ranges.some(([, len]) => registerOf(len) >= 2n ** 63n)) return EINVAL
  return ranges.some(([addr, len]) => registerOf(addr) + registerOf(len) > BigInt(TASK_SIZE)) ? EFAULT : OK
}

/** The ranges, up to so many bytes in all. */
function cut(ranges: readonly AdviceRange[]): readonly AdviceRange[] {
  let left = MAX_RW
  return ranges.map(([addr, len]): AdviceRange => {
    const bytes = Math.min(Number(registerOf(len)), left)
    left -= bytes
    return [addr, bytes]
  })
}

/** May `task` look at the memory of `target`? Its own user's processes, if they may not do more than it.
 * @source kernel/ptrace.c __ptrace_may_access, PTRACE_MODE_READ_FSCREDS (v6.18)
 */
function mayLookAt(k: Kernel, task: Task, target: Task): boolean {
  if (k.tasks.capable(task, CAP_SYS_PTRACE)) return true
  const isSameUser = k.tasks.uid(task) === k.tasks.uid(target) && k.tasks.gid(task) === k.tasks.gid(target)
  return isSameUser && (k.tasks.caps(target) & ~k.tasks.caps(task)) === 0
}
