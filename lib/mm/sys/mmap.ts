/** mmap: check, place, replace, let the owner have a say, merge or link. Floor 6.
 *
 *     do_mmap       every check, in Linux's order; nothing has changed yet
 *     mmapRegion    seals, old areas out, limits, charge | old pages gone | hook | merge or insert
 *     populate      after the lock is gone
 *
 * @source mm/mmap.c ksys_mmap_pgoff, do_mmap; mm/vma.c mmap_region, __mmap_region (v6.18)
 */
import * as SEAL from "../../flags/SealFlags.ts"
import {
  VM_DONTDUMP,
  VM_EXEC,
  VM_GROWSDOWN,
  VM_HUGETLB,
  VM_LOCKED,
  VM_MAYEXEC,
  VM_MAYREAD,
  VM_MAYSHARE,
  VM_MAYWRITE,
  VM_NOHUGEPAGE,
  VM_NORESERVE,
  VM_READ,
  VM_SHARED,
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
import { canDoMlock, mlockFutureOk } from "../area/account.ts"
import { getUnmappedArea } from "../area/gap.ts"
import { enter } from "../area/mm.ts"
import { mmapUnlock, needMmap, tryMmap, WRITE as WRITE_MODE } from "../area/mmap-lock.ts"
import { fget, fput } from "../area/object.ts"
import { dropUnmapped, type Unmapped, userfaultfdUnmapComplete } from "../area/uffd-events.ts"
import type { AreaStops } from "../area/vma.ts"
import { H_MMAP, type Verb } from "../base/stop.ts"
import { T_MMAP } from "../base/trace.ts"
import { addrOf, isZero, lowBits, offsetInPage, pageOf, pagesUp, type Word, WORD_PAGES } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { hugetlbSetup, hugeUnit } from "../object/hugetlb.ts"
import type { FaultStops } from "../page/fault.ts"
import { GIVE_UP } from "../page/need.ts"
import {
  FILE_APPEND,
  FILE_DEVICE,
  FILE_DIR,
  FILE_HUGETLB,
  FILE_NOEXEC,
  FILE_PIPE,
  FILE_PROC,
  FILE_REGULAR,
  FILE_SECRET,
  FILE_SHM,
  FILE_SHMEM,
  FILE_UFFD,
  FILE_UFFD_DEVICE,
  FMODE_READ,
  FMODE_WRITE
} from "../store/files.ts"
import { hugeAddress, hugeLength, hugeLog, MAX_FILE_PAGES } from "./hugetlb.ts"
import { mmapRegion, regionNow, type Request } from "./mmap-region.ts"
import { READ_IMPLIES_EXEC } from "./personality.ts"
import { mmPopulate } from "./populate.ts"

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
  let own = 0
  let pages = pagesUp(len)
  if ((fl & MAP.ANONYMOUS) === 0) {
    file = k.tasks.file(task, lowBits(fd))
    if (file === 0) return EBADF
    const unit = k.files.unit(k.files.obj(file))
    if ((fl & MAP.HUGETLB) !== 0 && unit === 0) return EINVAL
    if (unit !== 0) pages = hugeLength(pages, unit)
  } else if ((fl & MAP.HUGETLB) !== 0) {
    const unit = hugeUnit(hugeLog(fl))
    pages = unit === 0 ? 0 : hugeLength(pages, unit)
    if (pages === 0) return EINVAL
    file = own = hugetlbSetup(k, "/anon_hugepage (deleted)", pages * 4096, unit)
    if (file === 0) return ENOMEM
  }
  const mm = enter(k, task)
  const q: Request = { mm, task, start: 0, pages, pgoff: pageOf(off), lo: 0, hi: 0, file, flags: fl }
  const empty = isZero(len)
  const now = mmapNow(k, q, addr, empty, lowBits(prot))
  if (now !== GIVE_UP) {
    fput(k, own)
    return now < 0 ? now : addrOf(q.start)
  }
  if (own === 0) fget(k, file) // the descriptor may be closed while the lock is waited for
  const told: Unmapped[] = []
  try {
    if (k.runs.preempt) yield k.runs.point()
    if (!tryMmap(k, mm, WRITE_MODE)) yield needMmap(k, mm, WRITE_MODE)
    let r: number
    try {
      r = yield* doMmap(k, q, addr, empty, lowBits(prot), told)
      fl = q.flags
    } finally {
      mmapUnlock(k, mm, WRITE_MODE)
    }
    if (told.length > 0) yield* userfaultfdUnmapComplete(k, told)
    if (r < 0) return r
    k.trace.point(T_MMAP, mm, q.start, pages)
    if ((q.lo & VM_LOCKED) !== 0 || (fl & (MAP.POPULATE | MAP.NONBLOCK)) === MAP.POPULATE)
      yield* mmPopulate(k, mm, q.start, q.start + pages, false)
    return addrOf(q.start)
  } finally {
    if (told.length > 0) dropUnmapped(k, told)
    fput(k, file)
  }
}

/** The whole of it in one plain turn, where nothing has to wait and no page is wanted at once.
 * @returns OK, and the place in `q.start` | errno | GIVE_UP, nothing has changed
 */
function mmapNow(k: Kernel, q: Request, addr: Word, empty: boolean, prot: number): number {
  if ((q.flags & (MAP.LOCKED | MAP.POPULATE)) !== 0 || (k.mms.defFlags(q.mm) & VM_LOCKED) !== 0) return GIVE_UP
  if (k.runs.preempt || !tryMmap(k, q.mm, WRITE_MODE)) return GIVE_UP
  try {
    const r = check(k, q, addr, empty, prot)
    if (r < 0) return r
    const made = regionNow(k, q)
    if (made === OK) k.trace.point(T_MMAP, q.mm, q.start, q.pages)
    return made
  } finally {
    mmapUnlock(k, q.mm, WRITE_MODE)
  }
}

/** do_mmap: every check, then the region.
 * @param addr - as for `mmap`
 * @param empty - was the length 0 before it was rounded?
 * @param told - userfaultfds to be told of what it replaces, when the lock is gone; grows. Absent: nobody is told
 * @returns OK, and the place in `q.start` | as `mmap`
 * @locks mmap write
 */
export function* doMmap(
  k: Kernel,
  q: Request,
  addr: Word,
  empty: boolean,
  prot: number,
  told?: Unmapped[]
): Verb<AreaStops> {
  const r = check(k, q, addr, empty, prot)
  return r < 0 ? r : yield* mmapRegion(k, q, told)
}

/** Every check, in Linux's order, up to the point where something changes. Fills in the request. */
function check(k: Kernel, q: Request, addr: Word, empty: boolean, prot: number): number {
  if (empty) return EINVAL
  if ((q.flags & MAP.FIXED_NOREPLACE) !== 0) q.flags |= MAP.FIXED
  let hint = pageOf(addr)
  if ((q.flags & MAP.FIXED) === 0 && hint !== 0 && hint * 4096 < k.config.lsmMinAddr)
    hint = Math.ceil(k.config.lsmMinAddr / 4096)
  if (q.pages === 0) return ENOMEM
  if (k.maple.size(q.mm) > k.config.maxMapCount) return ENOMEM
  if ((prot & READ) !== 0 && (k.tasks.personality(q.task) & READ_IMPLIES_EXEC) !== 0 && !isNoexec(k, q.file))
    prot |= EXEC
  const def = k.mms.defFlags(q.mm)
  q.lo = protBits(prot) | flagBits(q.flags) | def | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC
  const aligned = offsetInPage(addr) === 0
  const unit = q.file === 0 ? 0 : k.files.unit(k.files.obj(q.file))
  if (unit !== 0) {
    const bad = hugeAddress(q.flags, hint, aligned, q.pages, unit)
    if (bad < 0) return bad
    q.lo |= VM_HUGETLB
  }
  const at = getUnmappedArea(k, q.mm, hint, aligned ? 0 : offsetInPage(addr), q.pages, q.flags, q.file, q.pgoff)
  if (at < 0) return at
  q.start = at
  if ((q.flags & MAP.FIXED_NOREPLACE) !== 0) {
    const v = k.maple.find(q.mm, at)
    if (v !== 0 && k.vmas.startOf(v) < at + q.pages) return EEXIST
  }
  if ((q.flags & MAP.LOCKED) !== 0 && !canDoMlock(k, q.task)) return EPERM
  if (!mlockFutureOk(k, q.mm, q.lo, q.pages)) return EAGAIN
  const r = q.file !== 0 ? checkFile(k, q) : checkAnonymous(q)
  if (r < 0) return r
  // without overcommitment everything is promised; huge pages are not promised twice
  if ((q.flags & MAP.NORESERVE) !== 0 && (k.config.overcommit !== 2 || unit !== 0)) q.lo |= VM_NORESERVE
  return OK
}

const isNoexec = (k: Kernel, file: number): boolean => (k.files.flags(file) & FILE_NOEXEC) !== 0

const protBits = (prot: number): number =>
  ((prot & READ) !== 0 ? VM_READ : 0) | ((prot & WRITE) !== 0 ? VM_WRITE : 0) | ((prot & EXEC) !== 0 ? VM_EXEC : 0)

const flagBits = (fl: number): number =>
  ((fl & MAP.GROWSDOWN) !== 0 ? VM_GROWSDOWN : 0) |
  ((fl & MAP.LOCKED) !== 0 ? VM_LOCKED : 0) |
  ((fl & MAP.SYNC) !== 0 ? VM_SYNC : 0) |
  ((fl & MAP.STACK) !== 0 ? VM_NOHUGEPAGE : 0)

/** Kinds whose inodes are regular files (S_ISREG). */
const REGULAR: ReadonlySet<number> = new Set([FILE_REGULAR, FILE_SHMEM, FILE_SHM, FILE_SECRET, FILE_HUGETLB])

function checkFile(k: Kernel, q: Request): number {
  const kind = k.files.kind(q.file)
  const mode = k.files.mode(q.file)
  const type = q.flags & MAP.TYPE
  if (q.pgoff + q.pages > (REGULAR.has(kind) ? MAX_FILE_PAGES : WORD_PAGES - 1)) return EOVERFLOW
  if (type !== MAP.SHARED && type !== MAP.SHARED_VALIDATE && type !== MAP.PRIVATE) return EINVAL
  if (type !== MAP.PRIVATE) {
    if (type !== MAP.SHARED && (q.flags & ~MAP.LEGACY_MASK) !== 0) return EOPNOTSUPP
    if ((q.lo & VM_WRITE) !== 0 && (mode & FMODE_WRITE) === 0) return EACCES
    if ((k.files.flags(q.file) & FILE_APPEND) !== 0 && (mode & FMODE_WRITE) !== 0) return EACCES
    q.lo |= VM_SHARED | VM_MAYSHARE
    if ((mode & FMODE_WRITE) === 0) q.lo &= ~(VM_MAYWRITE | VM_SHARED)
  }
  if ((mode & FMODE_READ) === 0) return EACCES
  if (isNoexec(k, q.file)) {
    if ((q.lo & VM_EXEC) !== 0) return EPERM
    q.lo &= ~VM_MAYEXEC
  }
  if (
    kind === FILE_DIR ||
    kind === FILE_PIPE ||
    kind === FILE_PROC ||
    kind === FILE_UFFD ||
    kind === FILE_UFFD_DEVICE ||
    (kind === FILE_DEVICE && ((k.ops[k.files.ops(q.file)]!.hooks >> H_MMAP) & 1) === 0)
  )
    return ENODEV
  if ((q.lo & VM_GROWSDOWN) !== 0) return EINVAL
  return checkSeals(k, q)
}

/** memfd seals: no new writable shared mapping, and none that could become so. */
function checkSeals(k: Kernel, q: Request): number {
  const seals = k.files.seals(k.files.obj(q.file))
  if ((seals & (SEAL.WRITE | SEAL.FUTURE_WRITE)) === 0 || (q.lo & VM_SHARED) === 0) return OK
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
