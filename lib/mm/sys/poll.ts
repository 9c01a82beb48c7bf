/** poll(2) of one descriptor, as it is now. Floor 6.
 * @source fs/select.c do_pollfd; include/linux/poll.h vfs_poll, DEFAULT_POLLMASK (v6.18)
 */
import * as POLL from "../../flags/PollFlags.ts"
import { lowBits, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { type File, FILE_PIDFD, FILE_PIPE, FILE_UFFD, FMODE_WRITE } from "../store/files.ts"
import { type Task, TASK_LIVE } from "../store/tasks.ts"
import { pidfdTask } from "./pidfd.ts"
import { pollOf } from "./userfaultfd.ts"

/** What a descriptor is ready for, of what is asked. A file that has no say is ready for everything.
 * @param events - PollFlags; ERR, HUP and NVAL need not be asked for
 * @returns PollFlags, 0 nothing: also of a negative descriptor, which is passed over; NVAL it is not open
 */
export function poll(k: Kernel, task: Task, fd: Word, events: Word): number {
  const number = lowBits(fd)
  if (number < 0) return 0
  const f = k.tasks.file(task, number)
  if (f === 0) return POLL.NVAL
  return maskOf(k, task, number, f) & (lowBits(events) | POLL.ERR | POLL.HUP)
}

function maskOf(k: Kernel, task: Task, fd: number, f: File): number {
  switch (k.files.kind(f)) {
    case FILE_UFFD:
      return pollOf(k, f)
    case FILE_PIDFD:
      return pidfdMask(k, pidfdTask(k, task, fd))
    case FILE_PIPE:
      return (k.files.mode(f) & FMODE_WRITE) === 0 ? 0 : POLL.OUT | POLL.WRNORM // nobody writes into one here
    default:
      return POLL.IN | POLL.OUT | POLL.RDNORM | POLL.WRNORM
  }
}

/** A process that has ended can be waited for; one that was waited for is gone.
 * @source fs/pidfs.c pidfd_poll (v6.18)
 */
function pidfdMask(k: Kernel, process: number): number {
  if (process < 0) return POLL.IN | POLL.RDNORM | POLL.HUP
  return k.tasks.state(process) === TASK_LIVE ? 0 : POLL.IN | POLL.RDNORM
}
