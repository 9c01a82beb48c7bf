/** setrlimit. Floor 6.
 * @source kernel/sys.c do_prlimit (v6.18)
 */
import { EINVAL, EPERM, OK } from "../../flags/Errno.ts"
import { registerOf, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { CAP_SYS_RESOURCE } from "../store/tasks.ts"

const LIMITS = 16
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
