/** Open files of /proc: maps and pagemap behind a descriptor. Floor 6.
 *
 * Whoever opens one is asked for the right to look at the process; what is read later is that process's, whoever reads it.
 * @source fs/proc/base.c proc_mem_open; fs/proc/task_mmu.c proc_pid_maps_operations, proc_pagemap_operations (v6.18)
 */
import { EACCES, EFAULT, EINVAL, ENFILE, ENOENT, ENOTTY, ESRCH } from "../../flags/Errno.ts"
import { mmgrab } from "../area/mm.ts"
import type { Verb } from "../base/stop.ts"
import { lowBits, registerOf, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { FaultStops } from "../page/fault.ts"
import { type File, FILE_NOEXEC, FILE_PROC, FILE_PROC_PAGEMAP, FILE_SHOW_PFN } from "../store/files.ts"
import type { Mm } from "../store/mms.ts"
import { CAP_SYS_ADMIN, type Task, TASK_LIVE } from "../store/tasks.ts"
import { whileUsed } from "../sys/process.ts"
import { copyToUser } from "../sys/usercopy.ts"
import { maps } from "./maps.ts"
import { pagemapRead } from "./pagemap.ts"
import { PAGEMAP_SCAN, pagemapScan } from "./pagemap-scan.ts"
import { PROCMAP_QUERY, procmapIoctl } from "./procmap-query.ts"

/** An open file of `/proc/self/NAME` or `/proc/PID/NAME`, held by the caller. The address space is grabbed, not used: it
 * may end before the file is closed.
 * @param mode - FMODE_READ and FMODE_WRITE
 * @returns file row | ENOENT no such file or process | EACCES the process may do what the caller may not | ESRCH pagemap of
 *   a process without an address space | ENFILE
 */
export function openProc(k: Kernel, task: Task, path: string, mode: number): number {
  const [, who = "", name = ""] = /^\/proc\/(self|[1-9]\d*)\/(maps|pagemap)$/.exec(path) ?? []
  const pid = who === "self" ? task : Number(who)
  if (name === "" || pid >= k.tasks.limit() || k.tasks.state(pid) !== TASK_LIVE) return ENOENT
  if (pid !== task && (k.tasks.caps(pid) & ~k.tasks.caps(task)) !== 0) return EACCES
  const mm = k.tasks.mm(pid)
  const isPagemap = name === "pagemap"
  if (isPagemap && mm === 0) return ESRCH
  const f = k.files.allocFile(FILE_PROC, 0, mode, path)
  if (f === 0) return ENFILE
  const showsPfn = k.tasks.capable(task, CAP_SYS_ADMIN)
  k.files.setFlags(f, FILE_NOEXEC | (isPagemap ? FILE_PROC_PAGEMAP : 0) | (showsPfn ? FILE_SHOW_PFN : 0))
  k.files.setPrivate(f, mm)
  if (mm !== 0) mmgrab(k, mm)
  return f
}

const isPagemapFile = (k: Kernel, f: File): boolean => (k.files.flags(f) & FILE_PROC_PAGEMAP) !== 0

/** read(2) at an offset, into the caller's memory.
 * @returns bytes read; 0 at the end, and of a process that is gone | EINVAL pagemap: not in words of 8 bytes | EFAULT
 * @locks as the file's own
 */
export function* preadProc(k: Kernel, task: Task, f: File, addr: Word, len: number, off: Word): Verb<FaultStops> {
  const mm: Mm = k.files.private(f)
  const caller = k.tasks.mm(task)
  const at = Number(registerOf(addr))
  if (isPagemapFile(k, f)) {
    const showPfn = (k.files.flags(f) & FILE_SHOW_PFN) !== 0
    return yield* whileUsed(k, mm, 0, () => pagemapRead(k, mm, showPfn, off, len, { mm: caller, addr: at }))
  }
  // UNLIKE LINUX: one call makes the whole text and gives what was asked of it; there a call gives at most a page of lines.
  const text = new TextEncoder().encode(yield* whileUsed(k, mm, "", () => maps(k, mm)))
  const from = Number(registerOf(off))
  const bytes = text.subarray(Math.min(from, text.length), from + len)
  return (yield* copyToUser(k, caller, at, bytes)) === 0 ? bytes.length : EFAULT
}

/** ioctl(2): PROCMAP_QUERY of maps, PAGEMAP_SCAN of pagemap.
 * @returns what the command answers | ENOTTY, of pagemap EINVAL: no such command
 */
export function* ioctlProc(k: Kernel, task: Task, f: File, command: Word, arg: Word): Verb<FaultStops> {
  const mm: Mm = k.files.private(f)
  const caller = k.tasks.mm(task)
  const wanted = lowBits(command) >>> 0
  if (isPagemapFile(k, f)) return wanted === PAGEMAP_SCAN ? yield* pagemapScan(k, caller, mm, arg) : EINVAL
  return wanted === PROCMAP_QUERY ? yield* procmapIoctl(k, caller, mm, arg) : ENOTTY
}
