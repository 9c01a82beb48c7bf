/** process_madvise: a vector of advice, to oneself or to another process. Floor 6.
 * @source mm/madvise.c SYSCALL_DEFINE5(process_madvise), vector_madvise (v6.18)
 */
import * as MADV from "../../flags/AdviceFlags.ts"
import { EINVAL, EPERM } from "../../flags/Errno.ts"
import type { Verb } from "../base/stop.ts"
import { isZero, lowBits, registerOf, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { FaultStops } from "../page/fault.ts"
import { CAP_SYS_NICE } from "../store/tasks.ts"
import { isAdvice, madviseMm } from "./madvise.ts"

/** An element of the vector: byte address, length. */
export type Range = readonly [addr: Word, len: Word]
const MAX_VECTOR = 1024
const REMOTE: ReadonlySet<number> = new Set([MADV.COLD, MADV.PAGEOUT, MADV.WILLNEED, MADV.COLLAPSE])

/** Gives advice about ranges of `target`, one after another.
 * @returns bytes of the elements that were done | the errno of the first, if not even that was | EINVAL flags, too long a
 *   vector, unknown advice or none for others | EPERM without CAP_SYS_NICE for others
 * @partial elements before the failing one are done
 * @locks as `madvise`
 */
export function* processMadvise(
  k: Kernel,
  task: number,
  target: number,
  ranges: readonly Range[],
  advice: Word,
  flags: Word
): Verb<FaultStops> {
  if (!isZero(flags) || ranges.length > MAX_VECTOR) return EINVAL
  const a = lowBits(advice)
  if (!isAdvice(a)) return EINVAL
  const mm = k.tasks.mm(target)
  if (mm !== k.tasks.mm(task)) {
    if (!REMOTE.has(a)) return EINVAL
    if (!k.tasks.capable(task, CAP_SYS_NICE)) return EPERM
  }
  let done = 0
  for (const [addr, len] of ranges) {
    const r = yield* madviseMm(k, mm, addr, len, a)
    if (r < 0) return done > 0 ? done : r
    done += Number(registerOf(len))
  }
  return done
}
