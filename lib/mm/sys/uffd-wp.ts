/** UFFDIO_WRITEPROTECT: writes to pages are reported, or no longer. Floor 6.
 * @source fs/userfaultfd.c userfaultfd_writeprotect; mm/userfaultfd.c mwriteprotect_range (v6.18)
 */
import { EAGAIN, EINVAL, ENOENT, ESRCH, OK } from "../../flags/Errno.ts"
import * as UFFD from "../../flags/UffdFlags.ts"
import { mmgetNotZero } from "../area/mm.ts"
import { fget, fput } from "../area/object.ts"
import { mmapUnlock, needMmap, READ, tryMmap } from "../area/mmap-lock.ts"
import { isWp, wakeUserfault } from "../area/uffd.ts"
import type { AreaStops } from "../area/vma.ts"
import type { Verb } from "../base/stop.ts"
import { addrOf, lowBits, pageOf, type Vpn, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { protectWrites, resolveWrites } from "../page/protect.ts"
import type { File } from "../store/files.ts"
import type { Task } from "../store/tasks.ts"
import type { Uffd } from "../store/uffds.ts"
import { mmput, mmputAsync, mmputUnlessLast } from "./process.ts"
import { isChanging, isRange, uffdFile } from "./uffd-args.ts"
import { isMode } from "./uffd-fill.ts"

/** Protects `[start, start + len)` against writes, or lets them through again and wakes who waits.
 * @param mode - UffdFlags WRITEPROTECT_MODE_*: WP protects; DONTWAKE goes without it only
 * @returns OK | EBADF | ENOTTY | EAGAIN the address space is changing | EINVAL arguments | ENOENT a part is not registered for it,
 *   or nothing is there | ENOMEM no room for a marker | ESRCH no address space any more
 * @partial areas before the one that failed are changed
 * @locks takes mmap read
 */
export function* uffdWriteprotect(
  k: Kernel,
  task: Task,
  fd: Word,
  start: Word,
  len: Word,
  mode: Word
): Verb<AreaStops> {
  const f = uffdFile(k, task, fd)
  if (f < 0) return f
  return isChanging(k, f) ? EAGAIN : yield* doWriteprotect(k, f, start, len, mode)
}

/** `uffdWriteprotect` of an open file. */
export function* doWriteprotect(k: Kernel, f: File, start: Word, len: Word, mode: Word): Verb<AreaStops> {
  const c = k.files.private(f)
  if (!isRange(start, len)) return EINVAL
  if (!isMode(mode, UFFD.WRITEPROTECT_MODE_WP | UFFD.WRITEPROTECT_MODE_DONTWAKE)) return EINVAL
  const wp = (lowBits(mode) & UFFD.WRITEPROTECT_MODE_WP) !== 0
  const dontWake = (lowBits(mode) & UFFD.WRITEPROTECT_MODE_DONTWAKE) !== 0
  if (wp && dontWake) return EINVAL
  const mm = k.uffds.mm(c)
  const from = pageOf(start)
  const to = from + pageOf(len)
  if (!mmgetNotZero(k, mm)) return ESRCH
  fget(k, f)
  let uses = true // `whileUsed` in place: a generator less in the way of every fault that is answered
  try {
    if (k.runs.preempt) yield k.runs.point()
    if (!tryMmap(k, mm, READ)) yield needMmap(k, mm, READ)
    let r: number
    try {
      r = protectRange(k, c, from, to, wp)
    } finally {
      mmapUnlock(k, mm, READ)
    }
    uses = false
    if (!mmputUnlessLast(k, mm)) yield* mmput(k, mm)
    if (r === OK && !wp && !dontWake) wakeUserfault(k, c, addrOf(from), addrOf(to))
    return r
  } finally {
    if (uses) mmputAsync(k, mm)
    fput(k, f)
  }
}

function protectRange(k: Kernel, c: Uffd, start: Vpn, end: Vpn, wp: boolean): number {
  if (k.uffds.changing(c) !== 0) return EAGAIN
  const mm = k.uffds.mm(c)
  let r: number = ENOENT
  for (let v = k.maple.find(mm, start); v !== 0 && k.vmas.startOf(v) < end; v = k.maple.next(mm, v)) {
    if (!isWp(k, v)) return ENOENT
    const from = Math.max(start, k.vmas.startOf(v))
    const to = Math.min(end, k.vmas.endOf(v))
    r = OK
    if (wp) r = protectWrites(k, v, from, to)
    else resolveWrites(k, v, from, to)
    if (r < 0) return r
  }
  return r
}
