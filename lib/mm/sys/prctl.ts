/** prctl, as far as it is about memory. Floor 6.
 * @source kernel/sys.c prctl, prctl_set_mm, prctl_set_mdwe, prctl_set_thp_disable; mm/ksm.c ksm_enable_merge_any (v6.18)
 */
import * as PR from "../../flags/PrctlFlags.ts"
import { VM_MERGEABLE } from "../../flags/bits.ts"
import { EINVAL, EPERM, OK } from "../../flags/Errno.ts"
import { enter } from "../area/mm.ts"
import { mmapUnlock, needMmap, tryMmap, WRITE } from "../area/mmap-lock.ts"
import { ksmVmaFlags } from "../area/vm-flags.ts"
import { tryStartWrite, vmaStartWrite } from "../area/vma-lock.ts"
import type { Verb } from "../base/stop.ts"
import { isZero, lowBits, registerOf, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { FaultStops } from "../page/fault.ts"
import { MMF_DISABLE_THP, MMF_DISABLE_THP_EXCEPT_ADVISED, MMF_VM_MERGE_ANY, type Mm } from "../store/mms.ts"
import type { Task } from "../store/tasks.ts"
import { prctlSetMm } from "./prctl-mm.ts"

/** Is the option about memory, so that `prctl` here answers as Linux does? */
export const isMemoryOption = (option: number): boolean => memoryOptions.has(option)
const memoryOptions: ReadonlySet<number> = new Set([
  PR.SET_MM,
  PR.SET_THP_DISABLE,
  PR.GET_THP_DISABLE,
  PR.SET_MDWE,
  PR.GET_MDWE,
  PR.SET_MEMORY_MERGE,
  PR.GET_MEMORY_MERGE,
  PR.SET_TAGGED_ADDR_CTRL,
  PR.GET_TAGGED_ADDR_CTRL,
  PR.SET_VMA
])

/** One of the options above.
 * @returns what the option answers | EINVAL unknown option, or arguments that it does not take. So do PR_SET_VMA, since
 *   areas have no names here (CONFIG_ANON_VMA_NAME=n), and tagged addresses, which x86-64 has by another call
 */
export function* prctl(k: Kernel, task: Task, option: Word, a: Word, b: Word, c: Word, d: Word): Verb<FaultStops> {
  const mm = enter(k, task)
  switch (lowBits(option)) {
    case PR.SET_MM:
      return yield* prctlSetMm(k, task, a, b, c, d)
    case PR.SET_THP_DISABLE:
      return yield* setThpDisable(k, mm, a, b, c, d)
    case PR.GET_THP_DISABLE:
      return noneOf(a, b, c, d) ? thpDisabled(k, mm) : EINVAL
    case PR.SET_MDWE:
      return setMdwe(k, task, a, b, c, d)
    case PR.GET_MDWE:
      return noneOf(a, b, c, d) ? k.mms.mdwe(mm) : EINVAL
    case PR.SET_MEMORY_MERGE:
      return noneOf(b, c, d) ? yield* setMemoryMerge(k, mm, a) : EINVAL
    case PR.GET_MEMORY_MERGE:
      return !noneOf(a, b, c, d) ? EINVAL : (k.mms.flags(mm) & MMF_VM_MERGE_ANY) !== 0 ? 1 : 0
    default:
      return EINVAL
  }
}

const noneOf = (...words: readonly Word[]): boolean => words.every(isZero)

/** PR_SET_MDWE: from now on no memory of `task` becomes executable that was writable. There is no way back.
 * @returns OK | EINVAL unknown bits, NO_INHERIT alone, other arguments | EPERM set otherwise already
 */
export function setMdwe(k: Kernel, task: Task, bits: Word, ...rest: readonly Word[]): number {
  const want = registerOf(bits)
  if (!noneOf(...rest) || (want & ~3n) !== 0n || want === 2n) return EINVAL
  const mm = k.tasks.mm(task)
  const have = k.mms.mdwe(mm)
  if (have !== 0 && have !== Number(want)) return EPERM
  k.mms.setMdwe(mm, Number(want))
  return OK
}

/** PR_SET_THP_DISABLE: no huge pages, or only where they were advised. There are none here; the answer is kept. */
function* setThpDisable(k: Kernel, mm: Mm, a: Word, b: Word, c: Word, d: Word): Verb<"NEED_LOCK"> {
  const only = registerOf(b)
  if (!noneOf(c, d) || (isZero(a) && only !== 0n)) return EINVAL
  if ((only & ~BigInt(PR.THP_DISABLE_EXCEPT_ADVISED)) !== 0n) return EINVAL
  if (!tryMmap(k, mm, WRITE)) yield needMmap(k, mm, WRITE)
  const kept = k.mms.flags(mm) & ~(MMF_DISABLE_THP | MMF_DISABLE_THP_EXCEPT_ADVISED)
  const want = isZero(a) ? 0 : only === 0n ? MMF_DISABLE_THP : MMF_DISABLE_THP_EXCEPT_ADVISED
  k.mms.setFlags(mm, kept | want)
  mmapUnlock(k, mm, WRITE)
  return OK
}

const thpDisabled = (k: Kernel, mm: Mm): number => {
  const flags = k.mms.flags(mm)
  if ((flags & MMF_DISABLE_THP) !== 0) return 1
  return (flags & MMF_DISABLE_THP_EXCEPT_ADVISED) !== 0 ? 1 | PR.THP_DISABLE_EXCEPT_ADVISED : 0
}

/** PR_SET_MEMORY_MERGE: KSM may, or may not, merge equal pages of all private memory, now and to come. Areas are not merged
 * for having equal flags afterwards.
 */
function* setMemoryMerge(k: Kernel, mm: Mm, on: Word): Verb<"NEED_LOCK" | "PREEMPT"> {
  if (!tryMmap(k, mm, WRITE)) yield needMmap(k, mm, WRITE)
  try {
    const flags = k.mms.flags(mm)
    if (((flags & MMF_VM_MERGE_ANY) !== 0) === !isZero(on)) return OK
    k.mms.setFlags(mm, flags ^ MMF_VM_MERGE_ANY)
    for (const v of k.maple.list(mm)) {
      const lo = k.vmas.flags(v)
      const hi = k.vmas.flagsHi(v)
      const want = isZero(on) ? lo & ~VM_MERGEABLE : ksmVmaFlags(k, mm, lo, hi)
      if (want === lo) continue
      if (!tryStartWrite(k, v)) yield* vmaStartWrite(k, v)
      k.vmas.setFlags(v, want, hi)
    }
    return OK
  } finally {
    mmapUnlock(k, mm, WRITE)
  }
}
