/** mremap's move of one area: a copy at the new place, the pages over to it, the source away. Floor 6. Everything in pages.
 * @source mm/mremap.c move_vma, copy_vma_and_data, unmap_source_vma (v6.18)
 */
import * as MREMAP from "../../flags/MremapFlags.ts"
import { VM_ACCOUNT, VM_LOCKED, VM_LOCKED_MASK } from "../../flags/bits.ts"
import { ENOMEM, OK } from "../../flags/Errno.ts"
import { UFFD_WP } from "../../flags/PteFlags.ts"
import { enoughMemory, vmStatAccount } from "../area/account.ts"
import { mergeNewRange, type Range } from "../area/merge.ts"
import { copyMapping, fget, fput, retractMapping } from "../area/object.ts"
import { hasHook, maySplit, needHook, openVma } from "../area/ops.ts"
import { losesProtection, mremapUserfaultfdPrep, type Unmapped } from "../area/uffd-events.ts"
import { tryStartWrite, vmaStartWrite } from "../area/vma-lock.ts"
import { type AreaStops, insertVma } from "../area/vma.ts"
import { H_COPY_MAPPING, H_MREMAP, H_REMOVE_MAPPING, type Verb } from "../base/stop.ts"
import type { Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { leaveLocked } from "../page/advise.ts"
import { movePageTables } from "../page/move.ts"
import { HIWATER_VM, LOCKED_ASTRAY, LOCKED_VM, type Mm } from "../store/mms.ts"
import type { Uffd } from "../store/uffds.ts"
import type { Vma } from "../store/vmas.ts"
import { unmapRange } from "./munmap.ts"

/** What is being done (vma_remap_struct). */
export interface Remap {
  readonly mm: Mm
  readonly flags: number
  at: Vpn
  to: Vpn
  oldLen: number
  newLen: number
  vma: Vma
  /** Pages that went before the move. */
  shrunk: number
  /** Locked memory grew: bring the new pages in afterwards. */
  populate: boolean
  /** Lets readers in; only a shrink in place does. */
  readonly downgrade: () => void
  /** Userfaultfds that are to be told when the lock is gone: of what the target replaced, of the move, of the rest. */
  readonly early: Unmapped[]
  moved: Uffd
  readonly late: Unmapped[]
}

export function account(k: Kernel, mm: Mm, lo: number, pages: number): void {
  vmStatAccount(k, mm, lo, pages)
  if ((lo & VM_LOCKED) !== 0) k.mms.addStat(mm, LOCKED_VM, pages)
}

/** A new range with the attributes of `v` between two areas. */
export const rangeLike = (k: Kernel, v: Vma, prev: Vma, next: Vma, start: Vpn, end: Vpn, pgoff: number): Range => ({
  mm: k.vmas.mmOf(v),
  prev,
  middle: 0,
  next,
  start,
  end,
  pgoff,
  lo: k.vmas.flags(v),
  hi: k.vmas.flagsHi(v),
  policy: k.vmas.policy(v),
  file: k.vmas.file(v),
  anon: k.vmas.anon(v),
  uffd: k.vmas.uffd(v),
  copiedFrom: 0,
  justExpand: false
})

/** move_vma: a copy at `to`, the pages over to it, the source away (or, DONTUNMAP, empty). */
export function* moveArea(k: Kernel, q: Remap, to: Vpn): Verb<AreaStops> {
  let v = q.vma
  const { mm, at, oldLen, newLen } = q
  if (k.maple.size(mm) >= k.config.maxMapCount - 3) return ENOMEM
  if (k.vmas.startOf(v) !== at) {
    const veto = yield* maySplit(k, v, at)
    if (veto < 0) return veto
  }
  if (k.vmas.endOf(v) !== at + oldLen) {
    const veto = yield* maySplit(k, v, at + oldLen)
    if (veto < 0) return veto
  }
  const lo = k.vmas.flags(v)
  const keep = (q.flags & MREMAP.DONTUNMAP) !== 0
  const charged = (lo & VM_ACCOUNT) === 0 ? 0 : keep ? newLen : newLen - oldLen
  if (charged > 0 && enoughMemory(k, mm, charged) !== OK) return ENOMEM
  // Linux charges a move that shrinks as if it grew by as much: a length far beyond the area's end is refused.
  // UNLIKE LINUX: that charge is given back.
  if ((lo & VM_ACCOUNT) !== 0 && !keep && q.shrunk > 0) {
    if (enoughMemory(k, mm, q.shrunk) !== OK) return ENOMEM
    k.committed -= q.shrunk
  }
  if (!tryStartWrite(k, v)) yield* vmaStartWrite(k, v)
  const told = hasHook(k, v, H_COPY_MAPPING) ? yield* copyMapping(k, v, at, at + oldLen, to, newLen) : OK
  const copy = told < 0 ? told : yield* copyVma(k, v, at, to, newLen)
  if (copy <= 0) {
    if (charged > 0) k.committed -= charged
    if (told < 0) return told
    if (hasHook(k, v, H_REMOVE_MAPPING))
      yield* retractMapping(k, v, to, to + newLen, k.vmas.pgoff(v) + (at - k.vmas.startOf(v)))
    return ENOMEM
  }
  if (k.vmas.covers(copy, at)) v = copy // an area nobody wrote merged with its own copy
  let r = movePageTables(k, mm, at, to, oldLen, losesProtection(k, v) ? UFFD_WP : 0)
  if (r === OK && hasHook(k, copy, H_MREMAP)) {
    r = yield needHook(k, copy, H_MREMAP, to, 0)
    if (r < 0) movePageTables(k, mm, to, at, oldLen)
  }
  if (r === OK) q.moved = mremapUserfaultfdPrep(k, copy)
  const peak = k.mms.stat(mm, HIWATER_VM) // old and new count together for a moment: that is no peak
  account(k, mm, lo, newLen)
  if (r < 0) {
    yield* unmapUncharged(k, q, copy, to, newLen)
    if (charged > 0) k.committed -= charged
  } else if (keep) emptySource(k, v, copy, at, oldLen)
  else if (oldLen > 0) yield* unmapUncharged(k, q, v, at, oldLen)
  k.mms.setStat(mm, HIWATER_VM, peak)
  return r < 0 ? r : to
}

/** copy_vma: an area like `v` at `to`, merged into its neighbours there if it fits. Its pages come later.
 * @returns the area | 0 or errno none could be made
 */
function* copyVma(k: Kernel, v: Vma, at: Vpn, to: Vpn, pages: number): Verb<AreaStops> {
  const mm = k.vmas.mmOf(v)
  // memory nobody wrote yet counts its pages from its new address, and so fits its neighbours there
  const fresh = k.vmas.ops(v) === 0 && k.vmas.anon(v) === 0
  const pgoff = fresh ? to : k.vmas.pgoff(v) + (at - k.vmas.startOf(v))
  k.maple.neighbours(mm, to)
  const below = k.maple.near[0]!
  const above = k.maple.near[1]!
  const range = rangeLike(k, v, below, above, to, to + pages, pgoff)
  range.copiedFrom = v
  const merged = yield* mergeNewRange(k, range)
  if (merged !== 0) return merged
  const w = k.vmas.dup(v)
  if (w === 0) return ENOMEM
  k.vmas.start[w] = to
  k.vmas.end[w] = to + pages
  k.vmas.setPgoff(w, pgoff)
  if (!k.anon.clone(w, v) || !k.maple.reserve(1)) {
    k.anon.unlinkAll(w)
    k.vmas.free(w)
    return ENOMEM
  }
  fget(k, k.vmas.file(w))
  const opened = yield* openVma(k, w)
  if (opened < 0) {
    k.anon.unlinkAll(w)
    fput(k, k.vmas.file(w))
    k.vmas.free(w)
    return opened
  }
  insertVma(k, w)
  return w
}

/** Unmaps the source of a move: what it was charged for has moved with it. */
function* unmapUncharged(k: Kernel, q: Remap, v: Vma, start: Vpn, pages: number): Verb<AreaStops, void> {
  const charged = (k.vmas.flags(v) & VM_ACCOUNT) !== 0
  yield* unmapRange(k, q.mm, start, start + pages, q.late)
  // what it was charged goes on counting at its new place; where it could not be unmapped both count
  if (charged) k.committed += pages
}

/** DONTUNMAP: the source stays, empty and unlocked; taken whole, it forgets that it was ever written. */
function emptySource(k: Kernel, v: Vma, copy: Vma, at: Vpn, pages: number): void {
  // what was locked stays counted for the life of the mm, and its other pages stay locked, as in Linux
  if ((k.vmas.flags(v) & VM_LOCKED) !== 0) {
    leaveLocked(k, v)
    k.mms.addStat(k.vmas.mmOf(v), LOCKED_ASTRAY, k.vmas.pages(v))
  }
  k.vmas.setFlags(v, k.vmas.flags(v) & ~VM_LOCKED_MASK, k.vmas.flagsHi(v))
  if (copy !== v && k.vmas.startOf(v) === at && k.vmas.endOf(v) === at + pages) k.anon.unlinkAll(v)
}
