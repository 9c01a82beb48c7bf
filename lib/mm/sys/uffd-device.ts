/** /dev/userfaultfd: userfaultfds for whoever may open a file. Floor 6.
 * @source fs/userfaultfd.c userfaultfd_dev_ioctl, userfaultfd_misc (v6.18)
 */
import { EACCES, EINVAL, ENFILE } from "../../flags/Errno.ts"
import { IOCTL_NEW } from "../../flags/UffdFlags.ts"
import { lowBits, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { FILE_UFFD_DEVICE } from "../store/files.ts"
import { CAP_DAC_OVERRIDE, type Task } from "../store/tasks.ts"
import { newUserfaultfd } from "./userfaultfd.ts"

/** Its path. It is root's, with mode 0600. */
export const UFFD_DEVICE = "/dev/userfaultfd"

/** An open file of it, held by the caller.
 * @param mode - FMODE_READ and FMODE_WRITE
 * @returns file row | EACCES neither root's nor with CAP_DAC_OVERRIDE | ENFILE
 */
export function openUffdDevice(k: Kernel, task: Task, mode: number): number {
  if (k.tasks.uid(task) !== 0 && !k.tasks.capable(task, CAP_DAC_OVERRIDE)) return EACCES
  const f = k.files.allocFile(FILE_UFFD_DEVICE, 0, mode, UFFD_DEVICE)
  return f === 0 ? ENFILE : f
}

/** USERFAULTFD_IOC_NEW: a userfaultfd for the caller's address space; who may open the device needs no other right.
 * @param flags - as of `userfaultfd`
 * @returns descriptor | EINVAL no such command, or flags | ENOMEM | ENFILE | EMFILE
 */
export const uffdDeviceIoctl = (k: Kernel, task: Task, command: Word, flags: Word): number =>
  lowBits(command) >>> 0 === IOCTL_NEW ? newUserfaultfd(k, task, flags) : EINVAL
