/** mmap_region: old areas out, limits, charge; then the new one, by merge or from scratch. Floor 6.
 * @source mm/vma.c mmap_region, __mmap_region (v6.18)
 */
import {
  VM_ACCOUNT,
  VM_EXEC,
  VM_LOCKED,
  VM_LOCKED_MASK,
  VM_NORESERVE,
  VM_SHARED,
  VM_SPECIAL,
  VM_WRITE,
  VMH_DROPPABLE
} from "../../flags/bits.ts"
import { EACCES, EINTR, ENOMEM, OK } from "../../flags/Errno.ts"
import { enoughMemory, isAccountable, mayExpandVm, vmStatAccount } from "../area/account.ts"
import { mergeNewRange, mergeNow, planNewRange, type Range } from "../area/merge.ts"
import { announceMapping, fget, fput } from "../area/object.ts"
import { hasHook, needHook } from "../area/ops.ts"
import type { Unmapped } from "../area/uffd-events.ts"
import { type AreaStops, type Gathered, gatherVmas, insertVma, removeVma, unaccountGathered } from "../area/vma.ts"
import { ksmVmaFlags } from "../area/vm-flags.ts"
import { canStartWrite } from "../area/vma-lock.ts"
import { H_ADD_MAPPING, H_MMAP, KILLABLE, type Verb } from "../base/stop.ts"
import { type Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { vmOpsOf } from "../object/file.ts"
import { shmemZeroSetup } from "../object/shmem.ts"
import { GIVE_UP } from "../page/need.ts"
import { ZAP_UNMAP, zapNow } from "../page/zap.ts"
import { type File, FILE_DEVICE, FILE_OBJECT, FILE_ZERO } from "../store/files.ts"
import { LOCKED_VM, type Mm } from "../store/mms.ts"
import { VMA_ATTACHED, type Vma } from "../store/vmas.ts"
import { clearGathered, freeTables } from "./munmap.ts"

/** PR_MDWE_REFUSE_EXEC_GAIN. */
const MDWE_REFUSE = 1

/** Everything known about a mapping that is about to be made. */
export interface Request {
  mm: Mm
  task: number
  start: Vpn
  pages: number
  pgoff: number
  lo: number
  hi: number
  file: File
  flags: number
}

/** mmap_region: from here on the address space changes.
 * @param told - userfaultfds to be told of what it replaces; grows. Absent: nobody is told
 */
export function* mmapRegion(k: Kernel, q: Request, told?: Unmapped[]): Verb<AreaStops> {
  if (isDenied(k, q)) return EACCES
  const end = q.start + q.pages
  const gathered = yield* gatherVmas(k, q.mm, q.start, end, told)
  if (typeof gathered === "number") return gathered
  const charged = prepare(k, q, gathered.pages, gathered.accounted)
  if (charged < 0) {
    reattach(k, gathered)
    return charged
  }
  // what was there goes: pages first, then its owners are told
  unaccountGathered(k, q.mm, gathered)
  k.committed += gathered.accounted // the charge was made net of it
  yield* clearGathered(k, q.mm, gathered)
  for (const v of gathered.vmas) yield* removeVma(k, v)
  let r = EINTR // unless it gets to the end: a hook may be killed
  try {
    const refused = askOwner(k, q)
    if (refused === OK && !isDevice(k, q)) q.lo = ksmVmaFlags(k, q.mm, q.lo, q.hi)
    r = refused < 0 ? refused : yield* install(k, q)
    return r
  } finally {
    if (r < 0 && (q.lo & VM_ACCOUNT) !== 0) k.committed -= q.pages
  }
}

/** mmap_prepare: the owner of the file may refuse the mapping, or change its flags, before it is merged or made. */
const askOwner = (k: Kernel, q: Request): number =>
  q.file === 0 ? OK : (k.ops[vmOpsOf(k, q.file)]?.prepare?.(k, q) ?? OK)

/** Limits and commitment for the difference between old and new. Returns pages charged, or an errno. */
function prepare(k: Kernel, q: Request, pages: number, accounted: number): number {
  if (!mayExpandVm(k, q.mm, q.lo, q.pages - pages)) return ENOMEM
  if (!isAccountable(q.lo)) {
    k.committed -= accounted
    return 0
  }
  const charge = q.pages - accounted
  if (charge !== 0 && enoughMemory(k, q.mm, charge) !== OK) return ENOMEM
  q.lo |= VM_ACCOUNT
  return q.pages
}

/** Puts gathered areas back where they were: nothing of them has changed. */
function reattach(k: Kernel, g: Gathered): void {
  for (const v of g.vmas) {
    k.maple.insert(k.vmas.mmOf(v), v)
    k.vmas.setState(v, VMA_ATTACHED)
  }
}

/** As `mmapRegion`, in one plain turn, where nothing has to wait: the place is free, and no driver has a say.
 * @returns OK | errno | GIVE_UP, nothing has changed
 */
export function regionNow(k: Kernel, q: Request): number {
  if (q.file !== 0 && isDriven(k, q.file)) return GIVE_UP
  k.maple.neighbours(q.mm, q.start)
  const below = k.maple.near[0]!
  const above = k.maple.near[1]!
  if (above !== 0 && (k.vmas.startOf(above) < q.start + q.pages || !canStartWrite(k, above))) return GIVE_UP
  if (below !== 0 && !canStartWrite(k, below)) return GIVE_UP
  if (isDenied(k, q)) return EACCES
  const charged = prepare(k, q, 0, 0)
  if (charged < 0) return charged
  const sharedZero = isSharedZero(k, q)
  const refused = askOwner(k, q)
  if (refused < 0) {
    k.committed -= charged
    return refused
  }
  q.lo = ksmVmaFlags(k, q.mm, q.lo, q.hi)
  const plan = sharedZero ? undefined : planNewRange(k, rangeOf(q, below, above))
  const merged = plan === undefined ? 0 : mergeNow(k, plan)
  const v = merged > 0 ? merged : newArea(k, q, sharedZero)
  if (v < 0) {
    if ((q.lo & VM_ACCOUNT) !== 0) k.committed -= q.pages
    return v
  }
  if (merged <= 0) insertVma(k, v)
  account(k, q, v)
  return OK
}

/** A driver sets flags in its hook, and only then is it known whether KSM may merge the memory. */
const isDevice = (k: Kernel, q: Request): boolean => q.file !== 0 && k.files.kind(q.file) === FILE_DEVICE

/** Has a driver or a user's object a say? */
const isDriven = (k: Kernel, f: File): boolean => k.files.kind(f) === FILE_DEVICE || k.files.kind(f) === FILE_OBJECT

/** Would it be writable and executable where MDWE forbids that? */
const isDenied = (k: Kernel, q: Request): boolean =>
  (k.mms.mdwe(q.mm) & MDWE_REFUSE) !== 0 && (q.lo & (VM_WRITE | VM_EXEC)) === (VM_WRITE | VM_EXEC)

/** Merges the new range into its neighbours, or makes an area of its own; tells a driver about the latter only. */
function* install(k: Kernel, q: Request): Verb<"NEED_LOCK" | "NEED_HOOK" | "PREEMPT"> {
  if (q.file !== 0 && k.files.kind(q.file) === FILE_OBJECT) return yield* installObject(k, q)
  k.maple.neighbours(q.mm, q.start)
  const sharedZero = isSharedZero(k, q)
  if (!sharedZero) {
    const merged = yield* mergeNewRange(k, rangeOf(q, k.maple.near[0]!, k.maple.near[1]!))
    if (merged > 0) {
      account(k, q, merged)
      return OK
    }
  }
  const v = newArea(k, q, sharedZero)
  if (v < 0) return v
  if (hasHook(k, v, H_MMAP)) {
    let r = EINTR // what a killed hook leaves behind
    try {
      r = yield needHook(k, v, H_MMAP, q.start, KILLABLE)
    } finally {
      if (r < 0) undoHook(k, v, k.vmas.file(v))
    }
    if (r < 0) return r
    q.lo = ksmVmaFlags(k, q.mm, k.vmas.flags(v), q.hi)
    k.vmas.setFlags(v, q.lo, k.vmas.flagsHi(v))
  }
  insertVma(k, v)
  account(k, q, v)
  return OK
}

/** The same for an object of a user's: it is told of each mapping, also of one that merges. */
function* installObject(k: Kernel, q: Request): Verb<"NEED_LOCK" | "NEED_HOOK" | "PREEMPT"> {
  const v = newArea(k, q, false)
  if (v < 0) return v
  if (hasHook(k, v, H_ADD_MAPPING)) {
    const r = yield* announceMapping(k, v, q.start, q.start + q.pages)
    if (r < 0) {
      undoHook(k, v, q.file)
      return r
    }
  }
  k.maple.neighbours(q.mm, q.start)
  const merged = yield* mergeNewRange(k, rangeOf(q, k.maple.near[0]!, k.maple.near[1]!))
  if (merged > 0) undoHook(k, v, q.file)
  else insertVma(k, v)
  account(k, q, merged > 0 ? merged : v)
  return OK
}

/** The new range, as merging wants to know it. */
const rangeOf = (q: Request, below: Vma, above: Vma): Range => ({
  mm: q.mm,
  prev: below,
  middle: 0,
  next: above,
  start: q.start,
  end: q.start + q.pages,
  pgoff: q.pgoff,
  lo: q.lo,
  hi: q.hi,
  policy: 0,
  file: q.file,
  anon: 0,
  uffd: 0,
  copiedFrom: 0,
  justExpand: false
})

/** Shared memory without a name: it gets a file of its own. A zero device that was opened for reading only took VM_SHARED
 * away, and stays what it is.
 */
const isSharedZero = (k: Kernel, q: Request): boolean =>
  (q.lo & VM_SHARED) !== 0 && (q.file === 0 || k.files.kind(q.file) === FILE_ZERO)

/** A detached area for the new range, with its file and owner; or ENOMEM, or the owner's refusal. */
function newArea(k: Kernel, q: Request, sharedZero: boolean): number {
  const v = k.vmas.alloc(q.mm, q.start, q.start + q.pages)
  if (v === 0) return ENOMEM
  if (!k.maple.reserve(1)) {
    k.vmas.free(v)
    return ENOMEM
  }
  let file = q.file
  if (sharedZero) {
    file = shmemZeroSetup(k, q.mm, q.pages, (q.lo & VM_NORESERVE) === 0)
    if (file === 0) {
      k.vmas.free(v)
      return ENOMEM
    }
    q.pgoff = q.file === 0 ? 0 : q.pgoff
  } else fget(k, file)
  k.vmas.setFlags(v, q.lo, q.hi)
  k.vmas.setPgoff(v, q.pgoff)
  k.vmas.setFile(v, file)
  if (file !== 0 && k.files.kind(file) !== FILE_ZERO) {
    k.vmas.setOps(v, vmOpsOf(k, file))
    k.vmas.setObj(v, k.files.obj(file))
    const refused = k.ops[k.vmas.ops(v)]?.mapped?.(k, v) ?? OK
    if (refused < 0) {
      fput(k, file)
      k.vmas.free(v)
      return refused
    }
    q.lo = k.vmas.flags(v)
  }
  return v
}

/** The hook failed: the fresh area was never visible; what it inserted goes, and the tables that only it needed. */
function undoHook(k: Kernel, v: number, file: File): void {
  zapNow(k, v, k.vmas.startOf(v), k.vmas.endOf(v), ZAP_UNMAP)
  freeTables(k, k.vmas.mmOf(v), k.vmas.startOf(v), k.vmas.endOf(v))
  k.anon.unlinkAll(v)
  fput(k, file)
  k.vmas.free(v)
}

/** __mmap_complete: statistics, and the lock that was asked for. */
function account(k: Kernel, q: Request, v: number): void {
  vmStatAccount(k, q.mm, q.lo, q.pages)
  if ((q.lo & VM_LOCKED) === 0) return
  if ((k.vmas.flags(v) & VM_SPECIAL) !== 0 || (q.hi & VMH_DROPPABLE) !== 0) {
    k.vmas.setFlags(v, k.vmas.flags(v) & ~VM_LOCKED_MASK, k.vmas.flagsHi(v)) // it is populated all the same
  } else k.mms.addStat(q.mm, LOCKED_VM, q.pages)
}
