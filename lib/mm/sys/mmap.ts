/** mmap: check, place, replace, let the owner have a say, merge or link. Floor 6.
 *
 *     do_mmap       every check, in Linux's order; nothing has changed yet
 *     mmapRegion    seals, old areas out, limits, charge | old pages gone | hook | merge or insert
 *     populate      after the lock is gone
 *
 * @source mm/mmap.c ksys_mmap_pgoff, do_mmap; mm/vma.c mmap_region, __mmap_region (v6.18)
 */
import {
  VM_ACCOUNT,
  VM_DONTDUMP,
  VM_EXEC,
  VM_GROWSDOWN,
  VM_LOCKED,
  VM_LOCKED_MASK,
  VM_MAYEXEC,
  VM_MAYREAD,
  VM_MAYSHARE,
  VM_MAYWRITE,
  VM_NOHUGEPAGE,
  VM_NORESERVE,
  VM_READ,
  VM_SHARED,
  VM_SPECIAL,
  VM_SYNC,
  VM_WIPEONFORK,
  VM_WRITE,
  VMH_DROPPABLE
} from "../../flags/bits.ts"
import {
  EACCES,
  EAGAIN,
  EBADF,
  EEXIST,
  EINTR,
  EINVAL,
  ENODEV,
  ENOMEM,
  EOPNOTSUPP,
  EOVERFLOW,
  EPERM,
  OK
} from "../../flags/Errno.ts"
import * as MAP from "../../flags/MapFlags.ts"
import { EXEC, READ, WRITE } from "../../flags/ProtFlags.ts"
import { canDoMlock, enoughMemory, isAccountable, mayExpandVm, mlockFutureOk, vmStatAccount } from "../area/account.ts"
import { getUnmappedArea } from "../area/gap.ts"
import { mergeNewRange, type Range } from "../area/merge.ts"
import { mmapUnlock, needMmap, tryMmap, WRITE as WRITE_MODE } from "../area/mmap-lock.ts"
import { fget, fput } from "../area/object.ts"
import { hasHook, needHook } from "../area/ops.ts"
import { type Gathered, gatherVmas, insertVma, removeVma, unaccountGathered } from "../area/vma.ts"
import { H_MMAP, KILLABLE, type Verb } from "../base/stop.ts"
import { T_MMAP } from "../base/trace.ts"
import { addrOf, lowBits, offsetInPage, pageOf, pagesUp, type Vpn, type Word, WORD_PAGES } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { vmOpsOf } from "../object/file.ts"
import { F_SEAL_FUTURE_WRITE, F_SEAL_WRITE, shmemZeroSetup } from "../object/shmem.ts"
import type { FaultStops } from "../page/fault.ts"
import { ZAP_UNMAP, zapNow } from "../page/zap.ts"
import {
  type File,
  FILE_APPEND,
  FILE_DEVICE,
  FILE_DIR,
  FILE_NOEXEC,
  FILE_PIPE,
  FILE_REGULAR,
  FILE_SHMEM,
  FILE_ZERO,
  FMODE_READ,
  FMODE_WRITE
} from "../store/files.ts"
import { LOCKED_VM, type Mm } from "../store/mms.ts"
import { VMA_ATTACHED } from "../store/vmas.ts"
import { hugeAddress, hugeFile, hugeHook, hugeLength, MAX_FILE_PAGES } from "./hugetlb.ts"
import { clearGathered } from "./munmap.ts"
import { mmPopulate } from "./populate.ts"

/** PR_MDWE_REFUSE_EXEC_GAIN. */
const MDWE_REFUSE = 1

/** Everything known about a mapping that is about to be made. */
interface Request {
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

/** Maps `len` bytes of a file, a device or anonymous memory.
 * @param addr - hint, or with MAP_FIXED the place; bytes
 * @param len - bytes, rounded up to pages
 * @param prot - ProtFlags
 * @param flags - MapFlags
 * @param fd - descriptor; ignored with MAP_ANONYMOUS
 * @param off - byte offset within the file
 * @returns byte address | EINVAL EBADF ENOMEM EOVERFLOW EEXIST EPERM EAGAIN EOPNOTSUPP EACCES ENODEV, in the order of
 *   docs/spec/linux-mm.md L-MMAP-E1.. | the driver's own error
 * @partial where the mmap hook of a MAP_FIXED mapping fails, what was there is gone
 * @locks takes mmap write; population afterwards takes what faults take
 */
export function* mmap(
  k: Kernel,
  task: number,
  addr: Word,
  len: Word,
  prot: Word,
  flags: Word,
  fd: Word,
  off: Word
): Verb<FaultStops> {
  if (offsetInPage(off) !== 0) return EINVAL
  let fl = lowBits(flags)
  let file = 0
  let pages = pagesUp(len)
  if ((fl & MAP.ANONYMOUS) === 0) {
    file = k.tasks.file(task, lowBits(fd))
    if (file === 0) return EBADF
    if ((fl & MAP.HUGETLB) !== 0) return EINVAL
  } else if ((fl & MAP.HUGETLB) !== 0) {
    pages = hugeLength(fl, pages)
    if (pages < 0) return pages
  }
  const mm = k.tasks.mm(task)
  fget(k, file) // the descriptor may be closed while the lock is waited for
  try {
    if (k.runs.preempt) yield k.runs.point()
    if (!tryMmap(k, mm, WRITE_MODE)) yield needMmap(k, mm, WRITE_MODE)
    const q: Request = { mm, task, start: 0, pages, pgoff: pageOf(off), lo: 0, hi: 0, file, flags: fl }
    let r: number
    try {
      r = check(k, q, addr, pageOf(len) === 0 && offsetInPage(len) === 0, lowBits(prot))
      fl = q.flags
      if (r >= 0) r = yield* mmapRegion(k, q)
    } finally {
      mmapUnlock(k, mm, WRITE_MODE)
    }
    if (r < 0) return r
    k.trace.point(T_MMAP, mm, q.start, pages)
    if ((q.lo & VM_LOCKED) !== 0 || (fl & (MAP.POPULATE | MAP.NONBLOCK)) === MAP.POPULATE)
      yield* mmPopulate(k, mm, q.start, q.start + pages, false)
    return addrOf(q.start)
  } finally {
    fput(k, file)
  }
}

/** do_mmap up to the point where something changes. Fills in the request. */
function check(k: Kernel, q: Request, addr: Word, empty: boolean, prot: number): number {
  if (empty) return EINVAL
  if ((q.flags & MAP.FIXED_NOREPLACE) !== 0) q.flags |= MAP.FIXED
  let hint = pageOf(addr)
  if ((q.flags & MAP.FIXED) === 0 && hint !== 0 && hint * 4096 < k.config.lsmMinAddr)
    hint = Math.ceil(k.config.lsmMinAddr / 4096)
  if (q.pages === 0) return ENOMEM
  if (k.maple.size(q.mm) > k.config.maxMapCount) return ENOMEM
  const def = k.mms.defFlags(q.mm)
  q.lo = protBits(prot) | flagBits(q.flags) | def | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC
  const aligned = offsetInPage(addr) === 0
  const hugetlb = (q.flags & MAP.HUGETLB) !== 0
  if (hugetlb) {
    const bad = hugeAddress(q.flags, hint, aligned, q.pages)
    if (bad < 0) return bad
  }
  const huge = q.file === 0 && (q.flags & MAP.TYPE) !== MAP.SHARED
  const at = getUnmappedArea(k, q.mm, hint, aligned ? 0 : offsetInPage(addr), q.pages, q.flags, huge)
  if (at < 0) return at
  q.start = at
  if ((q.flags & MAP.FIXED_NOREPLACE) !== 0) {
    const v = k.maple.find(q.mm, at)
    if (v !== 0 && k.vmas.startOf(v) < at + q.pages) return EEXIST
  }
  if ((q.flags & MAP.LOCKED) !== 0 && !canDoMlock(k, q.task)) return EPERM
  if (!mlockFutureOk(k, q.mm, q.lo, q.pages)) return EAGAIN
  const r = hugetlb ? hugeFile(q.flags, q.pgoff, q.pages) : q.file !== 0 ? checkFile(k, q) : checkAnonymous(q)
  if (r < 0) return r
  if ((q.flags & MAP.NORESERVE) !== 0 && k.config.overcommit !== 2) q.lo |= VM_NORESERVE
  return OK
}

const protBits = (prot: number): number =>
  ((prot & READ) !== 0 ? VM_READ : 0) | ((prot & WRITE) !== 0 ? VM_WRITE : 0) | ((prot & EXEC) !== 0 ? VM_EXEC : 0)

const flagBits = (fl: number): number =>
  ((fl & MAP.GROWSDOWN) !== 0 ? VM_GROWSDOWN : 0) |
  ((fl & MAP.LOCKED) !== 0 ? VM_LOCKED : 0) |
  ((fl & MAP.SYNC) !== 0 ? VM_SYNC : 0) |
  ((fl & MAP.STACK) !== 0 ? VM_NOHUGEPAGE : 0)

function checkFile(k: Kernel, q: Request): number {
  const kind = k.files.kind(q.file)
  const mode = k.files.mode(q.file)
  const type = q.flags & MAP.TYPE
  const isRegular = kind === FILE_REGULAR || kind === FILE_SHMEM
  if (q.pgoff + q.pages > (isRegular ? MAX_FILE_PAGES : WORD_PAGES - 1)) return EOVERFLOW
  if (type !== MAP.SHARED && type !== MAP.SHARED_VALIDATE && type !== MAP.PRIVATE) return EINVAL
  if (type !== MAP.PRIVATE) {
    if (type !== MAP.SHARED && (q.flags & ~MAP.LEGACY_MASK) !== 0) return EOPNOTSUPP
    if ((q.lo & VM_WRITE) !== 0 && (mode & FMODE_WRITE) === 0) return EACCES
    if ((k.files.flags(q.file) & FILE_APPEND) !== 0 && (mode & FMODE_WRITE) !== 0) return EACCES
    q.lo |= VM_SHARED | VM_MAYSHARE
    if ((mode & FMODE_WRITE) === 0) q.lo &= ~(VM_MAYWRITE | VM_SHARED)
  }
  if ((mode & FMODE_READ) === 0) return EACCES
  if ((k.files.flags(q.file) & FILE_NOEXEC) !== 0) {
    if ((q.lo & VM_EXEC) !== 0) return EPERM
    q.lo &= ~VM_MAYEXEC
  }
  if (
    kind === FILE_DIR ||
    kind === FILE_PIPE ||
    (kind === FILE_DEVICE && ((k.ops[k.files.ops(q.file)]!.hooks >> H_MMAP) & 1) === 0)
  )
    return ENODEV
  if ((q.lo & VM_GROWSDOWN) !== 0) return EINVAL
  return checkSeals(k, q)
}

/** memfd seals: no new writable shared mapping, and none that could become so. */
function checkSeals(k: Kernel, q: Request): number {
  const seals = k.files.seals(k.files.obj(q.file))
  if ((seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) === 0 || (q.lo & VM_SHARED) === 0) return OK
  if ((q.lo & VM_WRITE) !== 0) return EPERM
  q.lo &= ~VM_MAYWRITE
  return OK
}

function checkAnonymous(q: Request): number {
  const type = q.flags & MAP.TYPE
  if (type === MAP.SHARED) {
    if ((q.lo & VM_GROWSDOWN) !== 0) return EINVAL
    q.lo |= VM_SHARED | VM_MAYSHARE
    q.pgoff = 0
    return OK
  }
  if (type === MAP.DROPPABLE) {
    if ((q.flags & (MAP.LOCKED | MAP.HUGETLB)) !== 0 || (q.lo & VM_GROWSDOWN) !== 0) return EINVAL
    q.hi |= VMH_DROPPABLE
    q.lo |= VM_NORESERVE | VM_WIPEONFORK | VM_DONTDUMP
  } else if (type !== MAP.PRIVATE) return EINVAL
  q.pgoff = q.start
  return OK
}

/** mmap_region: from here on the address space changes. */
function* mmapRegion(k: Kernel, q: Request): Verb<"NEED_LOCK" | "NEED_HOOK" | "PREEMPT"> {
  if (k.mms.mdwe(q.mm) & MDWE_REFUSE && (q.lo & (VM_WRITE | VM_EXEC)) === (VM_WRITE | VM_EXEC)) return EACCES
  const end = q.start + q.pages
  const gathered = yield* gatherVmas(k, q.mm, q.start, end)
  if (typeof gathered === "number") return gathered
  const charged = prepare(k, q, gathered)
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
    r = (q.flags & MAP.HUGETLB) !== 0 ? hugeHook(q.pgoff) : yield* install(k, q)
    return r
  } finally {
    if (r < 0 && (q.lo & VM_ACCOUNT) !== 0) k.committed -= q.pages
  }
}

/** Limits and commitment for the difference between old and new. Returns pages charged, or an errno. */
function prepare(k: Kernel, q: Request, g: Gathered): number {
  if (!mayExpandVm(k, q.mm, q.lo, q.pages - g.pages)) return ENOMEM
  if (!isAccountable(q.lo)) {
    k.committed -= g.accounted
    return 0
  }
  const charge = q.pages - g.accounted
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

/** Merges the new range into its neighbours, or makes an area of its own; tells a driver about the latter only. */
function* install(k: Kernel, q: Request): Verb<"NEED_LOCK" | "NEED_HOOK" | "PREEMPT"> {
  const end = q.start + q.pages
  k.maple.neighbours(q.mm, q.start)
  const range: Range = {
    mm: q.mm,
    prev: k.maple.near[0]!,
    middle: 0,
    next: k.maple.near[1]!,
    start: q.start,
    end,
    pgoff: q.pgoff,
    lo: q.lo,
    hi: q.hi,
    file: q.file,
    anon: 0,
    copiedFrom: 0,
    justExpand: false
  }
  const sharedZero =
    q.file === 0 ? (q.lo & VM_SHARED) !== 0 : k.files.kind(q.file) === FILE_ZERO && (q.lo & VM_MAYSHARE) !== 0
  if (!sharedZero) {
    const merged = yield* mergeNewRange(k, range)
    if (merged > 0) {
      account(k, q, merged)
      return OK
    }
  }
  return yield* installNew(k, q, sharedZero)
}

function* installNew(k: Kernel, q: Request, sharedZero: boolean): Verb<"NEED_HOOK"> {
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
    if (k.files.kind(file) !== FILE_DEVICE) k.vmas.setObj(v, k.files.obj(file))
  }
  if (hasHook(k, v, H_MMAP)) {
    let r = EINTR // what a killed hook leaves behind
    try {
      r = yield needHook(k, v, H_MMAP, q.start, KILLABLE)
    } finally {
      if (r < 0) undoHook(k, v, file)
    }
    if (r < 0) return r
    q.lo = k.vmas.flags(v)
  }
  insertVma(k, v)
  account(k, q, v)
  return OK
}

/** The hook failed: the fresh area was never visible; what it inserted goes. */
function undoHook(k: Kernel, v: number, file: File): void {
  zapNow(k, v, k.vmas.startOf(v), k.vmas.endOf(v), ZAP_UNMAP)
  k.anon.unlinkAll(v)
  fput(k, file)
  k.vmas.free(v)
}

/** __mmap_complete: statistics, and the lock that was asked for. */
function account(k: Kernel, q: Request, v: number): void {
  vmStatAccount(k, q.mm, q.lo, q.pages)
  if ((q.lo & VM_LOCKED) === 0) return
  if ((k.vmas.flags(v) & VM_SPECIAL) !== 0 || (q.hi & VMH_DROPPABLE) !== 0) {
    k.vmas.setFlags(v, k.vmas.flags(v) & ~VM_LOCKED_MASK, k.vmas.flagsHi(v))
    q.lo &= ~VM_LOCKED_MASK
  } else k.mms.addStat(q.mm, LOCKED_VM, q.pages)
}
