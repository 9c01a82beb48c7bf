/** madvise: advice by area, in address order; holes are passed over and reported at the end. Floor 6.
 * @source mm/madvise.c do_madvise, madvise_walk_vmas, madvise_vma_behavior (v6.18)
 */
import {
  VM_DONTCOPY,
  VM_DONTDUMP,
  VM_HUGEPAGE,
  VM_HUGETLB,
  VM_IO,
  VM_LOCKED,
  VM_MAYBE_GUARD,
  VM_MAYSHARE,
  VM_MERGEABLE,
  VM_NOHUGEPAGE,
  VM_PFNMAP,
  VM_RAND_READ,
  VM_SEQ_READ,
  VM_SHARED,
  VM_SPECIAL,
  VM_WIPEONFORK,
  VM_WRITE,
  VMH_DROPPABLE,
  VMH_SEALED
} from "../../flags/bits.ts"
import * as MADV from "../../flags/AdviceFlags.ts"
import { EAGAIN, EINVAL, ENOMEM, EPERM, OK } from "../../flags/Errno.ts"
import { currentTask, enter } from "../area/mm.ts"
import { mmapUnlock, needMmap, READ, tryMmap, WRITE } from "../area/mmap-lock.ts"
import { OPS_SHMEM } from "../area/ops.ts"
import { anonVmaPrepare } from "../area/rmap.ts"
import { isArmed } from "../area/uffd.ts"
import { lockVmaUnderRcu, vmaEndRead } from "../area/vma-lock.ts"
import { vmaModifyFlags } from "../area/vma.ts"
import type { Verb } from "../base/stop.ts"
import {
  isZero,
  lowBits,
  offsetInPage,
  pageOf,
  pagesUp,
  PMD_PAGES,
  registerOf,
  type Vpn,
  type Word,
  WORD_PAGES
} from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { Obj } from "../store/files.ts"
import { ownsOrMayWrite } from "../object/file.ts"
import { ageRange, installGuards, pageOut, removeGuards } from "../page/advise.ts"
import type { FaultStops } from "../page/fault.ts"
import type { Mm } from "../store/mms.ts"
import type { Vma } from "../store/vmas.ts"
import { discard, remove, type WalkLock, willNeed } from "./madvise-discard.ts"
import { populate } from "./madvise-populate.ts"

/** Advice that changes flags, and so takes the lock for writing. */
const FLAG_ADVICE: ReadonlySet<number> = new Set([
  MADV.NORMAL,
  MADV.RANDOM,
  MADV.SEQUENTIAL,
  MADV.DONTFORK,
  MADV.DOFORK,
  MADV.MERGEABLE,
  MADV.UNMERGEABLE,
  MADV.HUGEPAGE,
  MADV.NOHUGEPAGE,
  MADV.DONTDUMP,
  MADV.DODUMP,
  MADV.WIPEONFORK,
  MADV.KEEPONFORK
])
const OTHER_ADVICE: ReadonlySet<number> = new Set([
  MADV.WILLNEED,
  MADV.DONTNEED,
  MADV.FREE,
  MADV.REMOVE,
  MADV.COLD,
  MADV.PAGEOUT,
  MADV.POPULATE_READ,
  MADV.POPULATE_WRITE,
  MADV.DONTNEED_LOCKED,
  MADV.COLLAPSE,
  MADV.GUARD_INSTALL,
  MADV.GUARD_REMOVE
])
/** Advice that loses data: refused on sealed memory that its owner could not lose by writing. */
const DISCARD: ReadonlySet<number> = new Set([
  MADV.FREE,
  MADV.DONTNEED,
  MADV.DONTNEED_LOCKED,
  MADV.REMOVE,
  MADV.DONTFORK,
  MADV.WIPEONFORK,
  MADV.GUARD_INSTALL
])
/** Advice that a single area's own lock is enough for. */
const UNDER_VMA_LOCK: ReadonlySet<number> = new Set([
  MADV.DONTNEED,
  MADV.DONTNEED_LOCKED,
  MADV.FREE,
  MADV.GUARD_INSTALL,
  MADV.GUARD_REMOVE
])

/** Is it advice that this kernel knows? */
const isAdvice = (advice: number): boolean => FLAG_ADVICE.has(advice) || OTHER_ADVICE.has(advice)

/** Gives advice about `[addr, addr + len)`.
 * @param advice - AdviceFlags
 * @returns OK | EINVAL unknown advice, unaligned, wrapping, or not for such memory | ENOMEM a hole | EPERM sealed |
 *   EACCES, EBADF what REMOVE may not do | EFAULT a page POPULATE cannot have | EAGAIN too many areas
 * @partial areas before the one that refused keep the advice; holes do not stop it, except for POPULATE
 * @locks takes mmap write for flags; mmap read, or one area's own lock, for the rest
 */
export function* madvise(k: Kernel, task: number, addr: Word, len: Word, advice: Word): Verb<FaultStops> {
  return yield* madviseMm(k, enter(k, task), addr, len, lowBits(advice))
}

/** The same for an mm, as process_madvise gives it to another process's. */
export function* madviseMm(k: Kernel, mm: Mm, addr: Word, len: Word, advice: number): Verb<FaultStops> {
  const answer = withoutLooking(addr, len, advice)
  if (answer !== undefined) return answer
  const start = pageOf(addr)
  const end = start + pagesUp(len)
  if (k.runs.preempt) yield k.runs.point()
  if (UNDER_VMA_LOCK.has(advice)) {
    const v = yield* lockVmaUnderRcu(k, mm, start)
    if (v !== 0) {
      const enough = k.vmas.endOf(v) >= end && !isArmed(k, v) && (advice !== MADV.GUARD_INSTALL || k.vmas.anon(v) !== 0)
      try {
        if (enough) return yield* adviseArea(k, undefined, v, start, end, advice)
      } finally {
        vmaEndRead(k, v)
      }
    }
  }
  const mode = FLAG_ADVICE.has(advice) ? WRITE : READ
  if (!tryMmap(k, mm, mode)) yield needMmap(k, mm, mode)
  const lock: WalkLock = { mm, held: true }
  try {
    return yield* advise(k, lock, start, end, advice)
  } finally {
    if (lock.held) mmapUnlock(k, mm, mode)
  }
}

/** Gives advice about many ranges one after another, under one lock where the lock of an area is not what it takes.
 * @returns bytes of the ranges that were done | the errno of the first, if not even that was
 * @partial as for `madvise`; ranges after the one that failed are left alone
 * @locks takes mmap write for flags; mmap read, or areas' own locks, for the rest
 * @source mm/madvise.c vector_madvise (v6.18)
 */
export function* vectorMadvise(k: Kernel, mm: Mm, ranges: readonly AdviceRange[], advice: number): Verb<FaultStops> {
  const mode = UNDER_VMA_LOCK.has(advice) ? 0 : FLAG_ADVICE.has(advice) ? WRITE : READ
  let done = 0
  if (k.runs.preempt) yield k.runs.point()
  if (mode !== 0 && !tryMmap(k, mm, mode)) yield needMmap(k, mm, mode)
  const lock: WalkLock = { mm, held: mode !== 0 }
  try {
    for (const [addr, len] of ranges) {
      const r = mode === 0 ? yield* madviseMm(k, mm, addr, len, advice) : yield* adviseRange(k, lock, addr, len, advice)
      if (r < 0) return done > 0 ? done : r
      done += Number(registerOf(len))
    }
    return done
  } finally {
    if (lock.held) mmapUnlock(k, mm, mode)
  }
}

/** A range that advice is about: byte address, bytes. */
export type AdviceRange = readonly [addr: Word, len: Word]

function* adviseRange(k: Kernel, lock: WalkLock, addr: Word, len: Word, advice: number): Verb<FaultStops> {
  const answer = withoutLooking(addr, len, advice)
  return answer ?? (yield* advise(k, lock, pageOf(addr), pageOf(addr) + pagesUp(len), advice))
}

/** What can be answered to a range without looking at memory. */
function withoutLooking(addr: Word, len: Word, advice: number): number | undefined {
  if (!isAdvice(advice) || offsetInPage(addr) !== 0) return EINVAL
  const pages = pagesUp(len)
  if (pages === 0) return isZero(len) ? OK : EINVAL
  return pageOf(addr) + pages >= WORD_PAGES ? EINVAL : undefined
}

/** @locks mmap, as the advice asks */
const advise = (k: Kernel, lock: WalkLock, start: Vpn, end: Vpn, advice: number): Verb<FaultStops> =>
  advice === MADV.POPULATE_READ || advice === MADV.POPULATE_WRITE
    ? populate(k, lock, start, end, advice === MADV.POPULATE_WRITE)
    : walk(k, lock, start, end, advice)

function* walk(k: Kernel, lock: WalkLock, start: Vpn, end: Vpn, advice: number): Verb<FaultStops> {
  let hole = OK
  for (let at: number = start; at < end;) {
    const v = k.maple.find(lock.mm, at)
    if (v === 0) return ENOMEM
    if (k.vmas.startOf(v) > at) {
      hole = ENOMEM
      at = k.vmas.startOf(v)
      if (at >= end) break
    }
    const to = Math.min(end, k.vmas.endOf(v))
    const r = yield* adviseArea(k, lock, v, at, to, advice)
    if (r < 0) return r
    at = r === OK ? to : r
  }
  return hole
}

/** One area's part of it.
 * @param lock - of the walk; undefined where only the area's own is held
 * @returns OK | errno | the page before which it stopped
 */
function* adviseArea(
  k: Kernel,
  lock: WalkLock | undefined,
  v: Vma,
  start: Vpn,
  end: Vpn,
  advice: number
): Verb<FaultStops> {
  const lo = k.vmas.flags(v)
  const anonymous = k.vmas.ops(v) === 0
  if ((k.vmas.flagsHi(v) & VMH_SEALED) !== 0 && DISCARD.has(advice) && anonymous && (lo & VM_WRITE) === 0) return EPERM
  switch (advice) {
    case MADV.DONTNEED:
    case MADV.DONTNEED_LOCKED:
    case MADV.FREE:
      return (lo & VM_HUGETLB) !== 0
        ? discardHuge(k, v, start, end, advice)
        : yield* discard(k, lock, v, start, end, advice)
    case MADV.COLD:
    case MADV.PAGEOUT:
      if ((lo & (VM_LOCKED | VM_PFNMAP | VM_HUGETLB)) !== 0) return EINVAL
      if (advice === MADV.PAGEOUT) pageOut(k, v, start, end, objectToPageOut(k, v))
      else ageRange(k, v, start, end)
      return OK
    case MADV.REMOVE:
      return lock === undefined ? EINVAL : yield* remove(k, lock, v, start, end)
    case MADV.WILLNEED:
      return lock === undefined ? OK : yield* willNeed(k, lock, v)
    case MADV.COLLAPSE:
      return collapse(k, v, start, end)
    case MADV.GUARD_INSTALL:
    case MADV.GUARD_REMOVE:
      return guard(k, v, start, end, advice === MADV.GUARD_INSTALL)
    default: {
      const want = newFlags(k, v, advice)
      return want === REFUSED ? EINVAL : yield* setFlags(k, v, start, end, want)
    }
  }
}

/** The object whose pages the caller may send away: one that it may write, lest it learn what others read.
 * @source mm/madvise.c can_do_file_pageout (v6.18)
 */
function objectToPageOut(k: Kernel, v: Vma): Obj {
  const o = k.vmas.ops(v) === 0 ? 0 : k.vmas.obj(v)
  return o !== 0 && ownsOrMayWrite(k, currentTask(k), o) ? o : 0
}

/** Of huge pages only whole ones go; here there are none. None of them is anonymous memory that could be freed. */
function discardHuge(k: Kernel, v: Vma, start: Vpn, end: Vpn, advice: number): number {
  const unit = k.files.unit(k.vmas.obj(v))
  if (start % unit !== 0) return EINVAL
  return advice === MADV.FREE && end - start >= unit ? EINVAL : OK
}

/** No flag word: bit 31 alone is one, this is not a 32-bit number. */
const REFUSED = 2 ** 40

function newFlags(k: Kernel, v: Vma, advice: number): number {
  const lo = k.vmas.flags(v)
  const droppable = (k.vmas.flagsHi(v) & VMH_DROPPABLE) !== 0
  switch (advice) {
    case MADV.RANDOM:
      return (lo & ~VM_SEQ_READ) | VM_RAND_READ
    case MADV.SEQUENTIAL:
      return (lo & ~VM_RAND_READ) | VM_SEQ_READ
    case MADV.DONTFORK:
      return lo | VM_DONTCOPY
    case MADV.DOFORK:
      return (lo & VM_IO) !== 0 ? REFUSED : lo & ~VM_DONTCOPY
    case MADV.WIPEONFORK:
      return k.vmas.file(v) !== 0 || (lo & VM_SHARED) !== 0 ? REFUSED : lo | VM_WIPEONFORK
    case MADV.KEEPONFORK:
      return droppable ? REFUSED : lo & ~VM_WIPEONFORK
    case MADV.DONTDUMP:
      return lo | VM_DONTDUMP
    case MADV.DODUMP:
      return ((lo & VM_HUGETLB) === 0 && (lo & VM_SPECIAL) !== 0) || droppable ? REFUSED : lo & ~VM_DONTDUMP
    case MADV.MERGEABLE:
      return (lo & (VM_SHARED | VM_MAYSHARE | VM_SPECIAL | VM_HUGETLB)) !== 0 || droppable ? lo : lo | VM_MERGEABLE
    case MADV.UNMERGEABLE:
      return lo & ~VM_MERGEABLE
    case MADV.HUGEPAGE:
      return (lo & ~VM_NOHUGEPAGE) | VM_HUGEPAGE
    case MADV.NOHUGEPAGE:
      return (lo & ~VM_HUGEPAGE) | VM_NOHUGEPAGE
    default:
      return lo & ~(VM_RAND_READ | VM_SEQ_READ)
  }
}

function* setFlags(k: Kernel, v: Vma, start: Vpn, end: Vpn, lo: number): Verb<FaultStops> {
  if (lo === k.vmas.flags(v)) return OK
  const w = yield* vmaModifyFlags(k, v, start, end, lo, k.vmas.flagsHi(v))
  return w === ENOMEM ? EAGAIN : Math.min(w, OK)
}

/** This machine makes no huge pages: with whole 2 MiB blocks to make them of, it says so. A range that lies inside a block,
 * with its borders beyond both ends, is EINVAL, for the count of its blocks is below zero and wraps.
 * @source mm/khugepaged.c madvise_collapse, mm/huge_memory.c __thp_vma_allowable_orders (v6.18)
 */
function collapse(k: Kernel, v: Vma, start: Vpn, end: Vpn): number {
  const first = Math.ceil(start / PMD_PAGES)
  // UNLIKE LINUX: a block that could be collapsed is not; EINVAL is what Linux answers where it cannot be done.
  return mayHaveHugePages(k, v) && first === Math.floor(end / PMD_PAGES) ? OK : EINVAL
}

/** Has the area a block that a huge page could stand for? Of files, only shared memory's is ever one. */
function mayHaveHugePages(k: Kernel, v: Vma): boolean {
  if ((k.vmas.flags(v) & (VM_NOHUGEPAGE | VM_SPECIAL | VM_HUGETLB)) !== 0) return false
  const end = k.vmas.endOf(v)
  // An area that ends below 2 MiB counts as fit: where its last block would begin is computed below zero, and wraps.
  const isFit = end < PMD_PAGES || Math.ceil(k.vmas.startOf(v) / PMD_PAGES) * PMD_PAGES + PMD_PAGES <= end
  if (k.vmas.ops(v) === 0) return isFit && k.vmas.anon(v) !== 0
  return isFit && k.vmas.ops(v) === OPS_SHMEM && (k.vmas.startOf(v) - k.vmas.pgoff(v)) % PMD_PAGES === 0
}

function guard(k: Kernel, v: Vma, start: Vpn, end: Vpn, install: boolean): number {
  const lo = k.vmas.flags(v)
  if ((lo & (VM_SPECIAL | VM_HUGETLB | (install ? VM_LOCKED : 0))) !== 0) return EINVAL
  if (!install) {
    removeGuards(k, v, start, end)
    return OK
  }
  // anonymous memory gets its anon_vma, so that fork copies the markers; the flag sees to it for the rest
  if (k.vmas.ops(v) === 0 && !anonVmaPrepare(k, v)) return ENOMEM
  k.vmas.setFlags(v, k.vmas.flags(v) | VM_MAYBE_GUARD, k.vmas.flagsHi(v))
  return installGuards(k, v, start, end)
}
