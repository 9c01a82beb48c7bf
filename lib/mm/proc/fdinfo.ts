/** /proc/PID/fdinfo/FD: what is known of a descriptor. Floor 6.
 * @source fs/proc/fd.c seq_show; fs/userfaultfd.c userfaultfd_show_fdinfo; fs/pidfs.c pidfd_show_fdinfo (v6.18)
 */
import type { Kernel } from "../kernel.ts"
import {
  type File,
  FILE_APPEND,
  FILE_NONBLOCK,
  FILE_PIDFD,
  FILE_PIPE,
  FILE_THREAD,
  FILE_UFFD,
  FMODE_READ,
  FMODE_WRITE
} from "../store/files.ts"
import type { Task } from "../store/tasks.ts"
import { pidfdFdinfo } from "../sys/pidfd.ts"
import { uffdFdinfo } from "../sys/userfaultfd.ts"

const O_WRONLY = 0o1
const O_RDWR = 0o2
const O_EXCL = 0o200
const O_APPEND = 0o2000
const O_NONBLOCK = 0o4000
const O_LARGEFILE = 0o100000
const O_CLOEXEC = 0o2000000

/** Files that nobody opens by a name in a file system: they are not told to be large. */
const ANONYMOUS: ReadonlySet<number> = new Set([FILE_UFFD, FILE_PIDFD, FILE_PIPE])

/** Position and flags of descriptor `fd`, and what a userfaultfd and a pidfd add; undefined if it is not open. mnt_id and ino are not
 * there: no file system stands behind.
 */
export function fdinfo(k: Kernel, task: Task, fd: number): string | undefined {
  const f = k.tasks.file(task, fd)
  if (f === 0) return undefined
  const flags = flagsOf(k, f) | (k.tasks.closesOnExec(task, fd) ? O_CLOEXEC : 0)
  const kind = k.files.kind(f)
  const own = kind === FILE_UFFD ? uffdFdinfo(k, f) : kind === FILE_PIDFD ? pidfdFdinfo(k, f) : ""
  return `pos:\t${k.files.position(f)}\nflags:\t0${flags.toString(8)}\n${own}`
}

function flagsOf(k: Kernel, f: File): number {
  const mode = k.files.mode(f)
  const access = (mode & FMODE_WRITE) === 0 ? 0 : (mode & FMODE_READ) === 0 ? O_WRONLY : O_RDWR
  return (
    access |
    ((k.files.flags(f) & FILE_APPEND) !== 0 ? O_APPEND : 0) |
    ((k.files.flags(f) & FILE_NONBLOCK) !== 0 ? O_NONBLOCK : 0) |
    ((k.files.flags(f) & FILE_THREAD) !== 0 ? O_EXCL : 0) |
    (ANONYMOUS.has(k.files.kind(f)) ? 0 : O_LARGEFILE)
  )
}
