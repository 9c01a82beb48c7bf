/** read(2): from where the open file is, into the caller's memory. Floor 6.
 * @source fs/read_write.c vfs_read, ksys_read (v6.18)
 */
import { EBADF, EFAULT, EINVAL } from "../../flags/Errno.ts"
import { fget, fput } from "../area/object.ts"
import type { Verb } from "../base/stop.ts"
import { lowBits, registerOf, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { FaultStops } from "../page/fault.ts"
import {
  FILE_DIR,
  FILE_HUGETLB,
  FILE_PROC,
  FILE_REGULAR,
  FILE_SHMEM,
  FILE_UFFD,
  FILE_ZERO,
  FMODE_READ
} from "../store/files.ts"
import type { Task } from "../store/tasks.ts"
import { isUser, MAX_RW, preadUser } from "./file.ts"
import { uffdReadUser } from "./uffd-read.ts"

/** Kinds of files that can be read; a directory answers so that it cannot. */
const READABLE: ReadonlySet<number> = new Set([
  FILE_REGULAR,
  FILE_SHMEM,
  FILE_HUGETLB,
  FILE_ZERO,
  FILE_DIR,
  FILE_PROC,
  FILE_UFFD
])

/** Reads up to `len` bytes of an open file from its position on, which moves along; of a userfaultfd, whole messages.
 * UNLIKE LINUX: two reads at once of one open file may begin at the same place; drivers and pipes have nothing to read.
 * @returns bytes read, 0 at the end | EBADF not open, or not for reading | EINVAL a file that cannot be read | EFAULT the memory
 *   cannot be written | EISDIR | of a userfaultfd as `uffdReadUser`
 * @locks none held
 */
export function* read(k: Kernel, task: Task, fd: Word, addr: Word, len: Word): Verb<FaultStops> {
  const f = k.tasks.file(task, lowBits(fd))
  if (f === 0 || (k.files.mode(f) & FMODE_READ) === 0) return EBADF
  const kind = k.files.kind(f)
  if (!READABLE.has(kind)) return EINVAL
  if (!isUser(addr, len)) return EFAULT
  fget(k, f)
  try {
    if (kind === FILE_UFFD) return yield* uffdReadUser(k, task, f, addr, Math.min(Number(registerOf(len)), MAX_RW))
    const from = k.files.position(f)
    const n = yield* preadUser(k, task, fd, addr, len, from)
    if (n > 0) k.files.setPosition(f, from + n)
    return n
  } finally {
    fput(k, f)
  }
}
