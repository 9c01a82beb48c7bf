/** ioctl(2) of files that are the kernel's own; a device's is for whoever has its driver. Floor 6.
 * @source fs/ioctl.c vfs_ioctl (v6.18)
 */
import { EBADF, ENOTTY } from "../../flags/Errno.ts"
import { fget, fput } from "../area/object.ts"
import type { Verb } from "../base/stop.ts"
import { lowBits, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { FaultStops } from "../page/fault.ts"
import { ioctlProc } from "../proc/file.ts"
import { type File, FILE_PROC, FILE_UFFD, FILE_UFFD_DEVICE } from "../store/files.ts"
import type { Task } from "../store/tasks.ts"
import { uffdDeviceIoctl } from "./uffd-device.ts"
import { uffdIoctl } from "./uffd-ioctl.ts"

/** Performs a command of /proc's maps and pagemap, of a userfaultfd, or of /dev/userfaultfd. The file stays open meanwhile.
 * @param arg - mostly the address of a struct
 * @returns what the command answers | EBADF | ENOTTY the file has no commands
 * @locks none held
 */
export function* ioctl(k: Kernel, task: Task, fd: Word, command: Word, arg: Word): Verb<FaultStops> {
  const f = k.tasks.file(task, lowBits(fd))
  if (f === 0) return EBADF
  fget(k, f)
  try {
    return yield* perform(k, task, f, command, arg)
  } finally {
    fput(k, f)
  }
}

function* perform(k: Kernel, task: Task, f: File, command: Word, arg: Word): Verb<FaultStops> {
  switch (k.files.kind(f)) {
    case FILE_PROC:
      return yield* ioctlProc(k, task, f, command, arg)
    case FILE_UFFD:
      return yield* uffdIoctl(k, task, f, command, arg)
    case FILE_UFFD_DEVICE:
      return uffdDeviceIoctl(k, task, command, arg)
    default:
      return ENOTTY
  }
}
