/** setrlimit, and the memory options of prctl. Floor 6.
 * @source kernel/sys.c do_prlimit, prctl_set_mdwe (v6.18)
 */
import { EINVAL, EPERM, OK } from "../../flags/Errno.ts"
import { registerOf, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { CAP_SYS_RESOURCE } from "../store/tasks.ts"

const LIMITS = 16
export const PR_SET_MDWE = 65
export const PR_GET_MDWE = 66
export const PR_MDWE_REFUSE_EXEC_GAIN = 1
export const PR_MDWE_NO_INHERIT = 2

const RLIM_INFINITY = 0xffff_ffff_ffff_ffffn
const limitOf = (x: Word): number => (registerOf(x) === RLIM_INFINITY ? Infinity : Number(registerOf(x)))

/** Sets both limits of `resource` for `task`, in bytes.
 * @returns OK | EINVAL no such resource, or soft above hard | EPERM raising the hard one without CAP_SYS_RESOURCE
 */
export function setrlimit(k: Kernel, task: number, resource: Word, soft: Word, hard: Word): number {
  const res = Number(registerOf(resource))
  if (res >= LIMITS || registerOf(soft) > registerOf(hard)) return EINVAL
  if (limitOf(hard) > k.tasks.rlimitMax(task, res) && !k.tasks.capable(task, CAP_SYS_RESOURCE)) return EPERM
  k.tasks.setRlimit(task, res, limitOf(soft), limitOf(hard))
  return OK
}

/** PR_SET_MDWE: from now on no memory of `task` becomes executable that was writable. There is no way back.
 * @returns OK | EINVAL unknown bits, NO_INHERIT alone, other arguments | EPERM set otherwise already
 */
export function setMdwe(k: Kernel, task: number, bits: Word, ...rest: readonly Word[]): number {
  if (rest.some((x) => registerOf(x) !== 0n)) return EINVAL
  const want = registerOf(bits)
  if ((want & ~3n) !== 0n || want === 2n) return EINVAL
  const mm = k.tasks.mm(task)
  const have = k.mms.mdwe(mm)
  if (have !== 0 && have !== Number(want)) return EPERM
  k.mms.setMdwe(mm, Number(want))
  return OK
}
