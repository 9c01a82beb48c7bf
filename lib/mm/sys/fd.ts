/** close and dup: what descriptors have to do with open files. Floor 6.
 * @source fs/file.c close_fd, ksys_dup (v6.18)
 */
import { EBADF, OK } from "../../flags/Errno.ts"
import { fget, fput } from "../area/object.ts"
import { lowBits, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { installFd } from "../object/file.ts"
import type { Task } from "../store/tasks.ts"

/** Closes a descriptor. Areas keep what they map open.
 * @returns OK | EBADF
 */
export function close(k: Kernel, task: Task, fd: Word): number {
  const f = k.tasks.file(task, lowBits(fd))
  if (f === 0) return EBADF
  k.tasks.setFile(task, lowBits(fd), 0)
  fput(k, f)
  return OK
}

/** A second descriptor, the lowest free one, of the same open file.
 * @returns descriptor | EBADF | EMFILE
 */
export function dup(k: Kernel, task: Task, fd: Word): number {
  const f = k.tasks.file(task, lowBits(fd))
  if (f === 0) return EBADF
  fget(k, f)
  return installFd(k, task, f)
}
