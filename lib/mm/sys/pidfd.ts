/** pidfd_open, and what a descriptor of a process names. Floor 6.
 * @source kernel/pid.c pidfd_open, pidfd_get_task (v6.18)
 */
import * as PIDFD from "../../flags/PidfdFlags.ts"
import { EBADF, EINVAL, ENFILE, ESRCH } from "../../flags/Errno.ts"
import { lowBits, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { installFd } from "../object/file.ts"
import { type File, FILE_NONBLOCK, FILE_PIDFD, FILE_THREAD, FMODE_READ, FMODE_WRITE } from "../store/files.ts"
import { type Task, TASK_FREE } from "../store/tasks.ts"

/** A descriptor that goes on naming process `pid`, also when it has ended.
 * @returns descriptor, closed by exec | EINVAL flags, no possible pid | ESRCH | EMFILE | ENFILE
 */
export function pidfdOpen(k: Kernel, task: Task, pid: Word, flags: Word): number {
  if ((lowBits(flags) & ~(PIDFD.NONBLOCK | PIDFD.THREAD)) !== 0) return EINVAL
  const target = lowBits(pid)
  if (target <= 0) return EINVAL
  if (target >= k.tasks.limit() || k.tasks.state(target) === TASK_FREE) return ESRCH
  const f = k.files.allocFile(FILE_PIDFD, 0, FMODE_READ | FMODE_WRITE, "anon_inode:[pidfd]")
  if (f === 0) return ENFILE
  k.files.setPrivate(f, nameOf(k, target))
  const isNonblock = (lowBits(flags) & PIDFD.NONBLOCK) !== 0
  const isThread = (lowBits(flags) & PIDFD.THREAD) !== 0
  k.files.setFlags(f, (isNonblock ? FILE_NONBLOCK : 0) | (isThread ? FILE_THREAD : 0))
  const fd = installFd(k, task, f)
  if (fd >= 0) k.tasks.setCloexec(task, fd)
  return fd
}

/** A process and which of the row's processes it is, in one word. */
const nameOf = (k: Kernel, t: Task): number =>
  (k.tasks.generation(t) % Math.floor(2 ** 31 / k.tasks.max)) * k.tasks.max + t

/** The process that descriptor `pidfd` names; the caller, by two numbers that are no descriptors.
 * @returns task row | EBADF no such descriptor, or not of a process | ESRCH it is gone
 */
export function pidfdTask(k: Kernel, task: Task, pidfd: Word): number {
  const fd = lowBits(pidfd)
  if (fd === PIDFD.SELF_THREAD || fd === PIDFD.SELF_PROCESS) return task
  const f = k.tasks.file(task, fd)
  if (f === 0 || k.files.kind(f) !== FILE_PIDFD) return EBADF
  const target = targetOf(k, f)
  return target === 0 ? ESRCH : target
}

/** The process that the open file `f` names; 0 if it is gone. */
function targetOf(k: Kernel, f: File): Task {
  const target = k.files.private(f) % k.tasks.max
  return k.tasks.state(target) !== TASK_FREE && nameOf(k, target) === k.files.private(f) ? target : 0
}

/** The lines that /proc/PID/fdinfo adds for it. There is one pid namespace.
 * @source fs/pidfs.c pidfd_show_fdinfo (v6.18)
 */
export function pidfdFdinfo(k: Kernel, f: File): string {
  const pid = targetOf(k, f) || -1
  return `Pid:\t${pid}\nNSpid:\t${pid}\n`
}
