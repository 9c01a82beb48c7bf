/** What the ioctls of a userfaultfd have in common: their descriptor, a range, and where their result goes. Floor 6.
 *
 *     uffdX   of a descriptor; the struct comes as arguments, and what Linux stores in its last field is in `k.out[0]`,
 *             0 where it stores nothing
 *     doX     of an open file, which it holds; `into` says where in a caller's memory the result goes as well
 */
import { EAGAIN, EBADF, EFAULT, EINVAL, ENOTTY, OK } from "../../flags/Errno.ts"
import type { Verb } from "../base/stop.ts"
import { lowBits, offsetInPage, pageOf, TASK_PAGES, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { FaultStops } from "../page/fault.ts"
import { FILE_UFFD, type File } from "../store/files.ts"
import type { Mm } from "../store/mms.ts"
import type { Task } from "../store/tasks.ts"
import { copyToUser } from "./usercopy.ts"

/** Where in a caller's memory a result goes: the last field of an ioctl's struct, 8 bytes. */
export interface Into {
  readonly mm: Mm
  readonly at: bigint
}

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

/** The userfaultfd behind a descriptor, for an ioctl that resolves faults.
 * @returns file | as `uffdFile` | EAGAIN the address space changes: that is stored, too
 */
export function steadyFile(k: Kernel, task: Task, fd: Word): number {
  k.out[0] = 0
  const f = uffdFile(k, task, fd)
  return f < 0 || !isChanging(k, f) ? f : (k.out[0] = EAGAIN)
}

/** Has a change of its address space been announced that nobody has heard of yet? */
export const isChanging = (k: Kernel, f: File): boolean => k.uffds.changing(k.files.private(f)) !== 0

/** Stores a result in a caller's memory.
 * @returns OK | EFAULT
 * @locks none held
 */
export function* store(k: Kernel, result: number, into: Into): Verb<FaultStops> {
  const word = new Uint8Array(8)
  new DataView(word.buffer).setBigInt64(0, BigInt(result), true)
  return (yield* copyToUser(k, into.mm, into.at, word)) === 0 ? OK : EFAULT
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
