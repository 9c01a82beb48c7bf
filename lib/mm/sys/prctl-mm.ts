/** prctl(PR_SET_MM): where a process says its segments, heap, arguments and environment lie. Floor 6.
 * UNLIKE LINUX: there is no auxiliary vector and no executable to be set; EINVAL.
 * @source kernel/sys.c prctl_set_mm, prctl_set_mm_map, validate_prctl_map_addr (v6.18)
 */
import * as PR from "../../flags/PrctlFlags.ts"
import { EFAULT, EINVAL, EPERM, OK } from "../../flags/Errno.ts"
import { mmapUnlock, needMmap, READ, tryMmap } from "../area/mmap-lock.ts"
import type { Verb } from "../base/stop.ts"
import { isZero, lowBits, registerOf, TASK_SIZE, vpnOf, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { FaultStops } from "../page/fault.ts"
import {
  ARG_END,
  ARG_START,
  BRK,
  END_CODE,
  END_DATA,
  ENV_END,
  ENV_START,
  type Mm,
  START_BRK,
  START_CODE,
  START_DATA,
  START_STACK
} from "../store/mms.ts"
import { CAP_SYS_ADMIN, CAP_SYS_RESOURCE, RLIMIT_DATA, type Task } from "../store/tasks.ts"
import { copyFromUser, copyToUser } from "./usercopy.ts"

/** Options 1..11, and the words of a map from 0 on in `mapped`. */
const single = [
  START_CODE,
  END_CODE,
  START_DATA,
  END_DATA,
  START_STACK,
  START_BRK,
  BRK,
  ARG_START,
  ARG_END,
  ENV_START,
  ENV_END
]
const mapped = [
  START_CODE,
  END_CODE,
  START_DATA,
  END_DATA,
  START_BRK,
  BRK,
  START_STACK,
  ARG_START,
  ARG_END,
  ENV_START,
  ENV_END
]
const MAP_BYTES = 104

/** Sets one address, or all of them.
 * @returns OK | EINVAL unknown option, arguments it does not take, an address outside user space, a pair in the wrong order,
 *   above RLIMIT_DATA | EPERM without CAP_SYS_RESOURCE | EFAULT
 * @locks takes mmap read
 */
export function* prctlSetMm(k: Kernel, task: Task, option: Word, addr: Word, c: Word, d: Word): Verb<FaultStops> {
  const opt = lowBits(option)
  const takesLength = opt === PR.SET_MM_AUXV || opt === PR.SET_MM_MAP || opt === PR.SET_MM_MAP_SIZE
  if (!isZero(d) || (!isZero(c) && !takesLength)) return EINVAL
  if (opt === PR.SET_MM_MAP_SIZE) {
    const size = new Uint8Array(Uint32Array.of(MAP_BYTES).buffer)
    return (yield* copyToUser(k, k.tasks.mm(task), addr, size)) === 0 ? OK : EFAULT
  }
  if (opt === PR.SET_MM_MAP) return yield* setMap(k, task, addr, c)
  if (!k.tasks.capable(task, CAP_SYS_RESOURCE)) return EPERM
  const field = single[opt - 1]
  const to = Number(registerOf(addr))
  if (field === undefined || !isUser(k, to)) return EINVAL
  const mm = k.tasks.mm(task)
  if (!tryMmap(k, mm, READ)) yield needMmap(k, mm, READ)
  try {
    const before = k.mms.stat(mm, field)
    k.mms.setStat(mm, field, to)
    let r = isSound(k, task, mm) ? OK : EINVAL
    const isMapped = k.maple.find(mm, vpnOf(to)) !== 0
    if (r === OK && (opt === PR.SET_MM_START_STACK || opt >= PR.SET_MM_ARG_START) && !isMapped) r = EFAULT
    if (r !== OK) k.mms.setStat(mm, field, before)
    return r
  } finally {
    mmapUnlock(k, mm, READ)
  }
}

/** All of them from a structure in the caller's memory. No capability is asked for. */
function* setMap(k: Kernel, task: Task, addr: Word, length: Word): Verb<FaultStops> {
  if (lowBits(length) !== MAP_BYTES) return EINVAL
  const bytes = new Uint8Array(MAP_BYTES)
  const mm = k.tasks.mm(task)
  if ((yield* copyFromUser(k, mm, addr, bytes)) !== 0) return EFAULT
  const from = new DataView(bytes.buffer)
  const before = mapped.map((field) => k.mms.stat(mm, field))
  mapped.forEach((field, i) => k.mms.setStat(mm, field, Number(from.getBigUint64(8 * i, true))))
  const setsExecutable = from.getInt32(100, true) !== -1
  let r = !isSound(k, task, mm) || from.getUint32(96, true) !== 0 ? EINVAL : OK
  if (r === OK && setsExecutable) r = k.tasks.capable(task, CAP_SYS_ADMIN) ? EINVAL : EPERM
  if (r !== OK) mapped.forEach((field, i) => k.mms.setStat(mm, field, before[i]!))
  return r
}

const isUser = (k: Kernel, addr: number): boolean => addr >= k.config.mmapMinAddr && addr < TASK_SIZE

/** Do all addresses lie in user space, in order, within RLIMIT_DATA? */
function isSound(k: Kernel, task: Task, mm: Mm): boolean {
  const at = (field: number): number => k.mms.stat(mm, field)
  if (!mapped.every((field) => isUser(k, at(field)))) return false
  if (at(START_CODE) >= at(END_CODE) || at(START_DATA) > at(END_DATA) || at(START_BRK) > at(BRK)) return false
  if (at(ARG_START) > at(ARG_END) || at(ENV_START) > at(ENV_END)) return false
  return at(BRK) - at(START_BRK) + (at(END_DATA) - at(START_DATA)) <= k.tasks.rlimit(task, RLIMIT_DATA)
}
