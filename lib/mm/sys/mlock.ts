/** mlock, mlock2, munlock, mlockall, munlockall. Floor 6.
 * @source mm/mlock.c do_mlock, apply_vma_lock_flags, mlock_fixup, apply_mlockall_flags (v6.18)
 */
import * as MCL from "../../flags/MlockallFlags.ts"
import * as MLOCK from "../../flags/MlockFlags.ts"
import { VM_LOCKED, VM_LOCKED_MASK, VM_LOCKONFAULT, VM_SPECIAL, VMH_DROPPABLE } from "../../flags/bits.ts"
import { EAGAIN, EINVAL, ENOMEM, EPERM, OK } from "../../flags/Errno.ts"
import { canDoMlock } from "../area/account.ts"
import { enter } from "../area/mm.ts"
import { mmapUnlock, needMmap, tryMmap, WRITE } from "../area/mmap-lock.ts"
import { type AreaStops, vmaModifyFlags } from "../area/vma.ts"
import type { Verb } from "../base/stop.ts"
import {
  highBits,
  lowBits,
  offsetInPage,
  pageOf,
  pagesUp,
  registerOf,
  TASK_PAGES,
  type Vpn,
  type Word,
  WORD_PAGES
} from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { isSecret } from "../object/secret.ts"
import type { FaultStops } from "../page/fault.ts"
import { LOCKED_VM, type Mm, TOTAL_VM } from "../store/mms.ts"
import { CAP_IPC_LOCK, RLIMIT_MEMLOCK } from "../store/tasks.ts"
import type { Vma } from "../store/vmas.ts"
import { mmPopulate } from "./populate.ts"

/** Locks the pages of `[addr, addr + len)` into memory: both ends are rounded outwards.
 * @param flags - 0 | MLOCK_ONFAULT
 * @returns OK | EINVAL flags, or the range wraps | EPERM no right to | ENOMEM the limit, a hole, or a page that cannot be had |
 *   EAGAIN out of memory while bringing pages in
 * @partial areas before a hole are locked; an area whose pages could not be had stays locked
 * @locks takes mmap write, then what population takes
 */
export function* mlock(k: Kernel, task: number, addr: Word, len: Word, flags: Word = 0): Verb<FaultStops> {
  if ((lowBits(flags) & ~MLOCK.ONFAULT) !== 0 || highBits(flags) !== 0) return EINVAL
  if (!canDoMlock(k, task)) return EPERM
  const mm = enter(k, task)
  const start = pageOf(addr)
  const pages = pagesUp(registerOf(len) + BigInt(offsetInPage(addr)))
  const limit = Math.floor(k.tasks.rlimit(task, RLIMIT_MEMLOCK) / 4096)
  const free = k.tasks.capable(task, CAP_IPC_LOCK)
  if (k.runs.preempt) yield k.runs.point()
  if (!tryMmap(k, mm, WRITE)) yield needMmap(k, mm, WRITE)
  try {
    let locked = pages + k.mms.stat(mm, LOCKED_VM)
    if (locked > limit && !free) locked -= lockedIn(k, mm, start, start + pages)
    if (locked > limit && !free) return ENOMEM
    const r = yield* applyLockFlags(k, mm, start, pages, lowBits(flags) === 0 ? VM_LOCKED : VM_LOCKED_MASK)
    if (r < 0) return r
  } finally {
    mmapUnlock(k, mm, WRITE)
  }
  const r = yield* mmPopulate(k, mm, start, start + pages, true)
  return r === OK ? OK : r === ENOMEM ? EAGAIN : ENOMEM
}

/** Unlocks the pages of `[addr, addr + len)`.
 * @returns OK | EINVAL the range wraps | ENOMEM a hole, or too many areas
 * @partial areas before the hole are unlocked
 * @locks takes mmap write
 */
export function* munlock(k: Kernel, task: number, addr: Word, len: Word): Verb<AreaStops> {
  const mm = enter(k, task)
  if (k.runs.preempt) yield k.runs.point()
  if (!tryMmap(k, mm, WRITE)) yield needMmap(k, mm, WRITE)
  try {
    return yield* applyLockFlags(k, mm, pageOf(addr), pagesUp(registerOf(len) + BigInt(offsetInPage(addr))), 0)
  } finally {
    mmapUnlock(k, mm, WRITE)
  }
}

/** Locks everything there is (MCL_CURRENT), everything to come (MCL_FUTURE), or both.
 * @returns OK | EINVAL flags | EPERM no right to | ENOMEM the limit
 * @locks takes mmap write, then what population takes
 */
export function* mlockall(k: Kernel, task: number, flags: Word): Verb<FaultStops> {
  const f = lowBits(flags)
  if (f === 0 || (f & ~(MCL.CURRENT | MCL.FUTURE | MCL.ONFAULT)) !== 0 || f === MCL.ONFAULT) return EINVAL
  if (!canDoMlock(k, task)) return EPERM
  const mm = enter(k, task)
  if (k.runs.preempt) yield k.runs.point()
  if (!tryMmap(k, mm, WRITE)) yield needMmap(k, mm, WRITE)
  try {
    const limit = Math.floor(k.tasks.rlimit(task, RLIMIT_MEMLOCK) / 4096)
    if ((f & MCL.CURRENT) !== 0 && k.mms.stat(mm, TOTAL_VM) > limit && !k.tasks.capable(task, CAP_IPC_LOCK))
      return ENOMEM
    const bits = (f & MCL.ONFAULT) !== 0 ? VM_LOCKED_MASK : VM_LOCKED
    k.mms.setDefFlags(mm, (k.mms.defFlags(mm) & ~VM_LOCKED_MASK) | ((f & MCL.FUTURE) !== 0 ? bits : 0))
    if ((f & MCL.CURRENT) === 0) return OK
    yield* flagAll(k, mm, bits)
  } finally {
    mmapUnlock(k, mm, WRITE)
  }
  yield* mmPopulate(k, mm, 0, TASK_PAGES, false)
  return OK
}

/** Unlocks everything, now and to come.
 * @returns OK
 * @locks takes mmap write
 */
export function* munlockall(k: Kernel, task: number): Verb<AreaStops> {
  const mm = enter(k, task)
  if (k.runs.preempt) yield k.runs.point()
  if (!tryMmap(k, mm, WRITE)) yield needMmap(k, mm, WRITE)
  try {
    k.mms.setDefFlags(mm, k.mms.defFlags(mm) & ~VM_LOCKED_MASK)
    yield* flagAll(k, mm, 0)
    return OK
  } finally {
    mmapUnlock(k, mm, WRITE)
  }
}

/** Errors of single areas are ignored. */
function* flagAll(k: Kernel, mm: Mm, bits: number): Verb<AreaStops, void> {
  for (let v = k.maple.find(mm, 0); v !== 0;) {
    const end = k.vmas.endOf(v)
    yield* mlockFixup(k, v, k.vmas.startOf(v), end, bits)
    v = k.maple.find(mm, end)
  }
}

/** Pages of `[start, end)` that lie in locked areas. */
function lockedIn(k: Kernel, mm: Mm, start: Vpn, end: Vpn): number {
  let n = 0
  for (let v = k.maple.find(mm, start); v !== 0 && k.vmas.startOf(v) < end; v = k.maple.next(mm, v))
    if ((k.vmas.flags(v) & VM_LOCKED) !== 0) n += Math.min(end, k.vmas.endOf(v)) - Math.max(start, k.vmas.startOf(v))
  return n
}

/** Area by area, up to the first hole. */
function* applyLockFlags(k: Kernel, mm: Mm, start: Vpn, pages: number, bits: number): Verb<AreaStops> {
  if (pages === 0) return OK
  const end = start + pages
  if (end >= WORD_PAGES) return EINVAL
  for (let at = start; at < end;) {
    const v = k.maple.lookup(mm, at)
    if (v === 0) return ENOMEM
    const to = Math.min(k.vmas.endOf(v), end)
    const r = yield* mlockFixup(k, v, at, to, bits)
    if (r < 0) return r
    at = to
  }
  return OK
}

/** Gives `[start, end)` of `v` these lock bits. Special, droppable and secret memory is passed over. */
function* mlockFixup(k: Kernel, v: Vma, start: Vpn, end: Vpn, bits: number): Verb<AreaStops> {
  const old = k.vmas.flags(v)
  const lo = (old & ~(VM_LOCKED | VM_LOCKONFAULT)) | bits
  if (lo === old || (old & VM_SPECIAL) !== 0 || (k.vmas.flagsHi(v) & VMH_DROPPABLE) !== 0 || isSecret(k, v)) return OK
  const mm = k.vmas.mmOf(v)
  const w = yield* vmaModifyFlags(k, v, start, end, lo, k.vmas.flagsHi(v))
  if (w < 0) return w
  if ((lo & VM_LOCKED) === 0) k.mms.addStat(mm, LOCKED_VM, start - end)
  else if ((old & VM_LOCKED) === 0) k.mms.addStat(mm, LOCKED_VM, end - start)
  return OK
}
