/** mremap: shrink, grow in place, move; several areas at once where they keep their lengths. Floor 6. Everything in pages.
 *
 *     parameters -> area -> [same length and FIXED: each area of the range moves, gaps kept]
 *                        -> FIXED or DONTUNMAP: clear the target, shrink, move
 *                        -> else: nothing | shrink in place | grow in place | move
 *
 * @source mm/mremap.c do_mremap, check_prep_vma, remap_move, mremap_to, mremap_at, move_vma (v6.18)
 */
import * as MREMAP from "../../flags/MremapFlags.ts"
import {
  VM_ACCOUNT,
  VM_DONTEXPAND,
  VM_HUGETLB,
  VM_LOCKED,
  VM_MAYSHARE,
  VM_PFNMAP,
  VM_SHARED,
  VMH_SEALED
} from "../../flags/bits.ts"
import { EAGAIN, EFAULT, EINVAL, ENOMEM, EPERM, OK } from "../../flags/Errno.ts"
import { FIXED, PRIVATE, SHARED } from "../../flags/MapFlags.ts"
import { enoughMemory, mayExpandVm, mlockFutureOk } from "../area/account.ts"
import { getUnmappedArea } from "../area/gap.ts"
import { mergeNewRange } from "../area/merge.ts"
import { enter } from "../area/mm.ts"
import { mmapDowngrade, mmapUnlock, needMmap, READ, tryMmap, WRITE } from "../area/mmap-lock.ts"
import { announceMapping, retractMapping } from "../area/object.ts"
import { hasHook } from "../area/ops.ts"
import { isArmed } from "../area/uffd.ts"
import {
  dropUnmapped,
  mremapUserfaultfdComplete,
  mremapUserfaultfdFail,
  userfaultfdUnmapComplete
} from "../area/uffd-events.ts"
import type { AreaStops } from "../area/vma.ts"
import { H_ADD_MAPPING, H_REMOVE_MAPPING, type Verb } from "../base/stop.ts"
import {
  addrOf,
  highBits,
  lowBits,
  offsetInPage,
  pageOf,
  pagesUp,
  TASK_PAGES,
  type Vpn,
  type Word,
  WORD_PAGES
} from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { FaultStops } from "../page/fault.ts"
import { FILE_SHM, FILE_ZERO } from "../store/files.ts"
import type { Vma } from "../store/vmas.ts"
import { alignRemap } from "./hugetlb.ts"
import { account, moveArea, rangeLike, type Remap } from "./mremap-move.ts"
import { unmapRange } from "./munmap.ts"
import { mmPopulate } from "./populate.ts"

const impliesNew = (q: Remap): boolean => (q.flags & (MREMAP.FIXED | MREMAP.DONTUNMAP)) !== 0

/** Changes the length or the place of a mapping.
 * @param addr - byte address, page aligned
 * @param oldLen - bytes; 0 makes another mapping of shared memory
 * @param newLen - bytes
 * @param flags - MREMAP_*
 * @param newAddr - byte address, with FIXED or DONTUNMAP
 * @returns byte address | EINVAL ENOMEM EFAULT EPERM EAGAIN, in the order of docs/spec/linux-mm.md L-MRE-E1..
 * @partial with FIXED the target may be gone, the source shrunk, and the first of several areas moved
 * @locks takes mmap write; read while a shrunk tail goes
 */
export function* mremap(
  k: Kernel,
  task: number,
  addr: Word,
  oldLen: Word,
  newLen: Word,
  flags: Word,
  newAddr: Word
): Verb<FaultStops> {
  const mm = enter(k, task)
  let mode = WRITE
  const q: Remap = {
    mm,
    flags: lowBits(flags),
    at: pageOf(addr),
    to: pageOf(newAddr),
    oldLen: pagesUp(oldLen),
    newLen: pagesUp(newLen),
    vma: 0,
    shrunk: 0,
    populate: false,
    downgrade: () => {
      mmapDowngrade(k, mm)
      mode = READ
    },
    early: [],
    moved: 0,
    late: []
  }
  const bad = highBits(flags) !== 0 ? EINVAL : checkParams(k, q, offsetInPage(addr), offsetInPage(newAddr))
  if (bad !== OK) return bad
  if (k.runs.preempt) yield k.runs.point()
  if (!tryMmap(k, mm, WRITE)) yield needMmap(k, mm, WRITE)
  const grown = q.newLen - q.oldLen
  let r: number
  let killed = true
  try {
    if ((q.flags & MREMAP.FIXED) !== 0 && q.oldLen === q.newLen) r = yield* moveAll(k, q)
    else {
      q.vma = k.maple.lookup(mm, q.at)
      r = checkArea(k, q)
      if (r === OK) r = impliesNew(q) ? yield* remapTo(k, q) : yield* remapAt(k, q)
    }
    killed = false
  } finally {
    mmapUnlock(k, mm, mode)
    if (killed) dropTold(k, q)
  }
  if (r < 0) forgetMove(k, q)
  const fill = r >= 0 && q.populate ? grown : 0
  if (fill > 0 || q.moved !== 0 || q.early.length + q.late.length > 0) yield* finish(k, q, r, fill)
  return r < 0 ? r : addrOf(r)
}

/** Brings in the last `fill` pages, and tells userfaultfds after that what has happened, one after another. */
function* finish(k: Kernel, q: Remap, r: number, fill: number): Verb<FaultStops, void> {
  try {
    if (fill > 0) yield* mmPopulate(k, q.mm, r + q.newLen - fill, r + q.newLen, false)
    yield* userfaultfdUnmapComplete(k, q.early)
    const c = q.moved
    q.moved = 0
    if (c !== 0) yield* mremapUserfaultfdComplete(k, c, q.at, r, q.oldLen)
    yield* userfaultfdUnmapComplete(k, q.late)
  } finally {
    dropTold(k, q)
  }
}

/** There was no move, or nobody is left to tell of it. */
function forgetMove(k: Kernel, q: Remap): void {
  mremapUserfaultfdFail(k, q.moved)
  q.moved = 0
}

/** Nobody is left to tell of anything. */
function dropTold(k: Kernel, q: Remap): void {
  forgetMove(k, q)
  dropUnmapped(k, q.early)
  dropUnmapped(k, q.late)
}

function checkParams(k: Kernel, q: Remap, off: number, newOff: number): number {
  if ((q.flags & ~(MREMAP.MAYMOVE | MREMAP.FIXED | MREMAP.DONTUNMAP)) !== 0) return EINVAL
  if (off !== 0 || q.newLen === 0 || q.newLen > TASK_PAGES) return EINVAL
  if (!impliesNew(q)) return OK
  if (q.to > TASK_PAGES - q.newLen || newOff !== 0) return EINVAL
  if ((q.flags & MREMAP.MAYMOVE) === 0) return EINVAL
  if ((q.flags & MREMAP.DONTUNMAP) !== 0 && q.oldLen !== q.newLen) return EINVAL
  if ((q.at + q.oldLen) % WORD_PAGES > q.to && q.to + q.newLen > q.at) return EINVAL
  return k.maple.size(q.mm) + 2 >= k.config.maxMapCount - 3 ? ENOMEM : OK
}

/** check_prep_vma: may this be done to `q.vma`? */
function checkArea(k: Kernel, q: Remap): number {
  const v = q.vma
  if (v === 0) return EFAULT
  if ((k.vmas.flagsHi(v) & VMH_SEALED) !== 0) return EPERM
  if ((k.vmas.flags(v) & VM_HUGETLB) !== 0 && !alignRemap(q, k.files.unit(k.vmas.obj(v)))) return EINVAL
  const grow = q.newLen - q.oldLen
  if (grow <= 0 && !impliesNew(q)) return OK
  const lo = k.vmas.flags(v)
  if (q.oldLen === 0 && (lo & (VM_SHARED | VM_MAYSHARE)) === 0) return EINVAL
  if ((q.flags & MREMAP.DONTUNMAP) !== 0 && (lo & (VM_DONTEXPAND | VM_PFNMAP)) !== 0) return EINVAL
  if (Math.min(q.oldLen, q.newLen) > k.vmas.endOf(v) - q.at) return EFAULT
  if (grow <= 0) return OK
  if ((lo & (VM_DONTEXPAND | VM_PFNMAP)) !== 0) return EFAULT
  if (!mlockFutureOk(k, q.mm, lo, grow)) return EAGAIN
  if (!mayExpandVm(k, q.mm, lo, grow)) return ENOMEM
  if ((lo & VM_LOCKED) !== 0) q.populate = true
  return OK
}

/** remap_move: every area of the range moves, and the gaps between them stay what they were. */
function* moveAll(k: Kernel, q: Remap): Verb<AreaStops> {
  const start = q.at
  const end = q.at + q.oldLen
  let target = q.to
  let result: number = EFAULT
  let lastEnd = -1
  for (let v = k.maple.find(q.mm, start); v !== 0 && k.vmas.startOf(v) < end;) {
    const first = lastEnd < 0
    const from = Math.max(k.vmas.startOf(v), start)
    const vmaEnd = k.vmas.endOf(v)
    if (first && start < k.vmas.startOf(v)) return EFAULT
    const gap = first ? 0 : k.vmas.startOf(v) - lastEnd
    lastEnd = vmaEnd
    q.vma = v
    q.at = from
    q.to = target + gap
    q.oldLen = q.newLen = Math.min(end, vmaEnd) - from
    if (!mayMoveWithOthers(k, v) && (!first || vmaEnd < end)) return EFAULT
    const ok = checkArea(k, q)
    const r = ok === OK ? yield* remapTo(k, q) : ok
    if (r < 0) return r
    if (first) result = r
    target = r + q.newLen
    // with DONTUNMAP the last area may reach beyond the range, unsplit
    v = vmaEnd < end ? k.maple.find(q.mm, vmaEnd) : 0
  }
  return result
}

/** The zero device and System V segments choose places themselves, and so cannot be trusted to keep a distance; a userfaultfd is
 * told of one move.
 * @source mm/mremap.c vma_multi_allowed (v6.18)
 */
function mayMoveWithOthers(k: Kernel, v: Vma): boolean {
  const kind = k.files.kind(k.vmas.file(v))
  return kind !== FILE_ZERO && kind !== FILE_SHM && !isArmed(k, v)
}

/** mremap_to: to a place that the caller named, or (DONTUNMAP) hinted at. */
function* remapTo(k: Kernel, q: Remap): Verb<AreaStops> {
  if ((q.flags & MREMAP.FIXED) !== 0) {
    const r = yield* unmapRange(k, q.mm, q.to, q.to + q.newLen, q.early)
    if (r < 0) return r
    q.vma = k.maple.lookup(q.mm, q.at) // it may have gone with the target
    if (q.vma === 0) return EFAULT
  }
  if (q.newLen < q.oldLen) {
    const r = yield* unmapRange(k, q.mm, q.at + q.newLen, q.at + q.oldLen, q.late)
    if (r < 0) return r
    q.shrunk = q.oldLen - q.newLen
    q.oldLen = q.newLen
    q.vma = k.maple.lookup(q.mm, q.at)
  }
  if ((q.flags & MREMAP.DONTUNMAP) !== 0 && !mayExpandVm(k, q.mm, k.vmas.flags(q.vma), q.oldLen)) return ENOMEM
  const to = place(k, q)
  return to < 0 ? to : yield* moveArea(k, q, to)
}

/** mremap_at: where it is, if that is possible. */
function* remapAt(k: Kernel, q: Remap): Verb<AreaStops> {
  if (q.newLen === q.oldLen) return q.at
  if (q.newLen < q.oldLen) {
    const r = yield* unmapRange(k, q.mm, q.at + q.newLen, q.at + q.oldLen, q.late, q.downgrade)
    return r < 0 ? r : q.at
  }
  const v = q.vma
  const end = k.vmas.endOf(v)
  const grow = q.newLen - q.oldLen
  if (end - q.at === q.oldLen && canExpand(k, q, end + grow)) {
    const charged = (k.vmas.flags(v) & VM_ACCOUNT) !== 0 ? grow : 0
    if (charged !== 0 && enoughMemory(k, q.mm, charged) !== OK) return ENOMEM
    const lo = k.vmas.flags(v)
    const told = hasHook(k, v, H_ADD_MAPPING) ? yield* announceMapping(k, v, end, end + grow) : OK
    if (told < 0) {
      k.committed -= charged
      return told
    }
    const r = yield* mergeNewRange(
      k,
      rangeLike(k, v, v, k.maple.next(q.mm, v), end, end + grow, k.vmas.pgoff(v) + k.vmas.pages(v))
    )
    if (r <= 0) {
      if (hasHook(k, v, H_REMOVE_MAPPING))
        yield* retractMapping(k, v, end, end + grow, k.vmas.pgoff(v) + (end - k.vmas.startOf(v)))
      k.committed -= charged
      return ENOMEM
    }
    account(k, q.mm, lo, grow)
    return q.at
  }
  if ((q.flags & MREMAP.MAYMOVE) === 0) return ENOMEM
  const to = place(k, q)
  return to < 0 ? to : yield* moveArea(k, q, to)
}

/** Is there room above? The guard gap of a stack there does not count. */
function canExpand(k: Kernel, q: Remap, end: Vpn): boolean {
  if (end > TASK_PAGES) return false
  const next = k.maple.next(q.mm, q.vma)
  return next === 0 || k.vmas.startOf(next) >= end
}

function place(k: Kernel, q: Remap): number {
  const v = q.vma
  const hint = impliesNew(q) ? q.to : 0
  const fixed = (q.flags & MREMAP.FIXED) !== 0 ? FIXED : 0
  const type = (k.vmas.flags(v) & VM_MAYSHARE) !== 0 ? SHARED : PRIVATE
  const pgoff = k.vmas.pgoff(v) + (q.at - k.vmas.startOf(v))
  return getUnmappedArea(k, q.mm, hint, 0, q.newLen, fixed | type, k.vmas.file(v), pgoff)
}
