/** What every ioctl of a userfaultfd begins with: its descriptor, a range, and holding on to both. Floor 6.
 *
 * An ioctl's struct comes as arguments; what Linux stores in its last field is in `k.out[0]`, 0 where it stores nothing.
 */
import { EBADF, EINVAL, ENOTTY } from "../../flags/Errno.ts"
import { mmgetNotZero } from "../area/mm.ts"
import { fget, fput } from "../area/object.ts"
import { lowBits, offsetInPage, pageOf, TASK_PAGES, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { FILE_UFFD, type File } from "../store/files.ts"
import type { Task } from "../store/tasks.ts"
import { mmputAsync } from "./process.ts"

/** The userfaultfd behind a descriptor, handshake or not.
 * @returns file | EBADF | ENOTTY another kind of file
 */
export function anyUffdFile(k: Kernel, task: Task, fd: Word): number {
  const f = k.tasks.file(task, lowBits(fd))
  if (f === 0) return EBADF
  return k.files.kind(f) === FILE_UFFD ? f : ENOTTY
}

/** The userfaultfd behind a descriptor, for an ioctl that needs a handshake first.
 * @returns file; its `private` is the context | EBADF | ENOTTY another kind of file | EINVAL no handshake yet
 */
export function uffdFile(k: Kernel, task: Task, fd: Word): number {
  const f = anyUffdFile(k, task, fd)
  return f < 0 || k.uffds.isInitialized(k.files.private(f)) ? f : EINVAL
}

/** Is `[start, start + len)` a range of whole pages of user space, and not empty?
 * @source fs/userfaultfd.c validate_range (v6.18)
 */
export function isRange(start: Word, len: Word): boolean {
  if (offsetInPage(start) !== 0 || offsetInPage(len) !== 0) return false
  const at = pageOf(start)
  const pages = pageOf(len)
  return pages > 0 && at < TASK_PAGES && pages <= TASK_PAGES - at
}

/** Holds userfaultfd `f` and the address space it answers for until `letGo`; false, and nothing is held, when that has no
 * user left.
 */
export function hold(k: Kernel, f: File): boolean {
  if (!mmgetNotZero(k, k.uffds.mm(k.files.private(f)))) return false
  fget(k, f)
  return true
}

/** Undoes `hold`. */
export function letGo(k: Kernel, f: File): void {
  mmputAsync(k, k.uffds.mm(k.files.private(f)))
  fput(k, f)
}
