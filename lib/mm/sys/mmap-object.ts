/** Mapping an object by itself, not by a descriptor: the call of a sandbox's kernel. Floor 6.
 *
 * Checks, in this order: length, its rounding, offset, its overflow, address, permissions against their ceiling, and what
 * goes with what; then place, limits, what was there, the object's say. What follows is `mmapRegion`, as for mmap(2).
 * @source gvisor pkg/sentry/mm/syscalls.go MMap, pkg/sentry/mm/vma.go createVMALocked
 */
import {
  VM_EXEC,
  VM_GROWSDOWN,
  VM_LOCKED,
  VM_LOCKONFAULT,
  VM_MAYEXEC,
  VM_MAYREAD,
  VM_MAYSHARE,
  VM_MAYWRITE,
  VM_NOHUGEPAGE,
  VM_READ,
  VM_SHARED,
  VM_WRITE
} from "../../flags/bits.ts"
import { EACCES, EAGAIN, EEXIST, EINVAL, ENOMEM, EOVERFLOW, EPERM, OK } from "../../flags/Errno.ts"
import { FIXED, MAP_32BIT } from "../../flags/MapFlags.ts"
import { EXEC, READ, WRITE } from "../../flags/ProtFlags.ts"
import { canDoMlock, mayExpandVm, mlockFutureOk } from "../area/account.ts"
import { getUnmappedArea, startGap } from "../area/gap.ts"
import { mmapUnlock, needMmap, tryMmap, WRITE as WRITE_MODE } from "../area/mmap-lock.ts"
import { fget, fput } from "../area/object.ts"
import { T_MMAP } from "../base/trace.ts"
import type { Verb } from "../base/stop.ts"
import {
  addrOf,
  isZero,
  offsetInPage,
  PAGE_SIZE,
  pageOf,
  pagesUp,
  TASK_PAGES,
  type Vpn,
  type Word,
  WORD_PAGES
} from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { FaultStops } from "../page/fault.ts"
import type { File } from "../store/files.ts"
import { mmapRegion, type Request } from "./mmap-region.ts"
import { munmap } from "./munmap.ts"
import { mmPopulate } from "./populate.ts"

/** Not locked, locked and made resident, locked once resident. The greater of two is what counts. */
export const MLOCK_NONE = 0
export const MLOCK_EAGER = 1
export const MLOCK_LAZY = 2

/** What is asked for. Permissions are ProtFlags. */
export interface ObjectRequest {
  /** The open file that stands for the object; 0: anonymous memory. */
  readonly file: File
  readonly length: Word
  readonly offset: Word
  readonly addr: Word
  /** At `addr` or nowhere. */
  readonly fixed: boolean
  /** With `fixed`: what is there goes. */
  readonly unmap: boolean
  /** With `fixed`: if something is there, EEXIST. */
  readonly noReplace: boolean
  readonly map32Bit: boolean
  readonly perms: number
  /** Reading included, if anything is. */
  readonly maxPerms: number
  readonly private: boolean
  readonly growsDown: boolean
  readonly stack: boolean
  /** Make every page resident before it returns. */
  readonly precommit: boolean
  /** With `precommit`: if that fails, so does the mapping. */
  readonly required: boolean
  readonly mlock: number
  /** With `fixed` and `unmap`: also where nothing may be mapped, below the lowest address. */
  readonly force: boolean
}

/** Maps an object.
 * @returns byte address | EINVAL ENOMEM EOVERFLOW EACCES EEXIST EPERM EAGAIN | the object's own errno
 * @partial where the object refuses, what `unmap` replaced is gone
 * @locks takes mmap write; precommitment takes what faults take
 */
export function* mmapObject(k: Kernel, task: number, o: ObjectRequest): Verb<FaultStops> {
  const pages = pagesUp(o.length)
  const bad = refuses(o, pages, k.config.memmap === "2020" ? ENOMEM : EOVERFLOW)
  if (bad !== OK) return bad
  const mm = k.tasks.mm(task)
  const file = o.file
  const pgoff = file === 0 ? 0 : pageOf(o.offset)
  const q: Request = { mm, task, start: 0, pages, pgoff, lo: 0, hi: 0, file, flags: o.fixed ? FIXED : 0 }
  fget(k, file)
  try {
    if (k.runs.preempt) yield k.runs.point()
    if (!tryMmap(k, mm, WRITE_MODE)) yield needMmap(k, mm, WRITE_MODE)
    let r: number
    try {
      q.lo = flagsOf(o) | k.mms.defFlags(mm)
      r = findPlace(k, q, o)
      if (r === OK) r = limits(k, q, o)
      if (r === OK) r = yield* mmapRegion(k, q)
    } finally {
      mmapUnlock(k, mm, WRITE_MODE)
    }
    if (r < 0) return r
    k.trace.point(T_MMAP, mm, q.start, pages)
    return yield* populate(k, q, o)
  } finally {
    fput(k, file)
  }
}

/** @param overflow - errno for an offset that wraps: the one thing in which the revision of 2020 differs from today's */
function refuses(o: ObjectRequest, pages: number, overflow: number): number {
  if (isZero(o.length)) return EINVAL
  if (pages === 0) return ENOMEM
  if (o.file !== 0) {
    if (offsetInPage(o.offset) !== 0) return EINVAL
    if (pageOf(o.offset) + pages >= WORD_PAGES) return overflow
  }
  if (o.fixed && offsetInPage(o.addr) !== 0) return EINVAL
  if ((o.perms & ~o.maxPerms) !== 0) return EACCES
  if ((o.unmap && !o.fixed) || (o.noReplace && (!o.fixed || o.unmap))) return EINVAL
  return o.growsDown && o.file !== 0 ? EINVAL : OK
}

function flagsOf(o: ObjectRequest): number {
  const bit = (is: boolean, lo: number): number => (is ? lo : 0)
  const shared = !o.private
  return (
    bit((o.perms & READ) !== 0, VM_READ) |
    bit((o.perms & WRITE) !== 0, VM_WRITE) |
    bit((o.perms & EXEC) !== 0, VM_EXEC) |
    bit((o.maxPerms & READ) !== 0, VM_MAYREAD) |
    bit((o.maxPerms & WRITE) !== 0, VM_MAYWRITE) |
    bit((o.maxPerms & EXEC) !== 0, VM_MAYEXEC) |
    bit(shared, VM_MAYSHARE) |
    bit(shared && (o.file === 0 || (o.maxPerms & WRITE) !== 0), VM_SHARED) |
    bit(o.growsDown, VM_GROWSDOWN) |
    bit(o.stack, VM_NOHUGEPAGE) |
    bit(o.mlock >= MLOCK_EAGER, VM_LOCKED) |
    bit(o.mlock === MLOCK_LAZY, VM_LOCKONFAULT)
  )
}

/** Puts the place into `q.start`. */
function findPlace(k: Kernel, q: Request, o: ObjectRequest): number {
  let hint = pageOf(o.addr)
  if (!o.fixed && hint !== 0) hint = Math.max(hint, Math.ceil(k.config.lsmMinAddr / PAGE_SIZE))
  if (o.fixed && o.unmap && o.force) {
    if (hint + q.pages > TASK_PAGES) return ENOMEM
    q.start = hint
  } else {
    const flags = o.fixed ? FIXED : o.map32Bit ? MAP_32BIT : 0
    const at = getUnmappedArea(k, q.mm, hint, 0, q.pages, flags, q.file, q.pgoff)
    if (at < 0) return at
    q.start = at
  }
  if (q.file === 0) q.pgoff = q.start
  if (!o.fixed || o.unmap) return OK
  const v = k.maple.find(q.mm, q.start)
  if (o.noReplace) return v !== 0 && k.vmas.startOf(v) < q.start + q.pages ? EEXIST : OK
  return v !== 0 && startGap(k, v) < q.start + q.pages ? ENOMEM : OK
}

/** RLIMIT_AS first, less what is going to be replaced; then locked memory. */
function limits(k: Kernel, q: Request, o: ObjectRequest): number {
  let replaced = 0
  if (o.unmap) {
    const end: Vpn = q.start + q.pages
    for (let v = k.maple.find(q.mm, q.start); v !== 0 && k.vmas.startOf(v) < end; v = k.maple.next(q.mm, v))
      replaced += Math.min(k.vmas.endOf(v), end) - Math.max(k.vmas.startOf(v), q.start)
  }
  if (!mayExpandVm(k, q.mm, q.lo, q.pages - replaced)) return ENOMEM
  if ((q.lo & VM_LOCKED) === 0) return OK
  if (!canDoMlock(k, q.task)) return EPERM
  return mlockFutureOk(k, q.mm, q.lo, q.pages) ? OK : EAGAIN
}

/** Makes resident what is to be. A failure is nobody's business unless it was required. */
function* populate(k: Kernel, q: Request, o: ObjectRequest): Verb<FaultStops> {
  if (!o.precommit && (q.lo & VM_LOCKED) === 0) return addrOf(q.start)
  const r = yield* mmPopulate(k, q.mm, q.start, q.start + q.pages, o.required)
  if (r === OK || !o.required) return addrOf(q.start)
  yield* munmap(k, q.task, addrOf(q.start), addrOf(q.pages))
  return r
}
