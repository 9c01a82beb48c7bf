/** Areas in their tree: insert, split, change, take out, bury. Floor 3.
 * @source mm/vma.c __split_vma, vma_modify, vms_gather_munmap_vmas, remove_vma (v6.18)
 */
import { VM_ACCOUNT, VM_IGNORE_MERGE, VM_LOCKED, VMH_SEALED } from "../../flags/bits.ts"
import { ENOMEM, EPERM, OK } from "../../flags/Errno.ts"
import { H_REMOVE_MAPPING, type Verb } from "../base/stop.ts"
import type { Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { LOCKED_VM, type Mm } from "../store/mms.ts"
import { VMA_ATTACHED, VMA_DETACHED, type Vma } from "../store/vmas.ts"
import { vmStatAccount } from "./account.ts"
import { mergeExistingRange, mergeNow, planExistingRange, type Range } from "./merge.ts"
import { assertMmapWrite } from "./mmap-lock.ts"
import { addMapping, fget, fput, moveBounds, removeMapping, retractMapping } from "./object.ts"
import { closeVma, hasFarewell, hasHook, maySplit, openVma } from "./ops.ts"
import { type Unmapped, userfaultfdUnmapPrep } from "./uffd-events.ts"
import { canStartWrite, tryStartWrite, vmaStartWrite } from "./vma-lock.ts"

/** Stops of verbs that change areas. */
export type AreaStops = "NEED_LOCK" | "NEED_HOOK" | "PREEMPT"
/** Stops of verbs that unmap, and tell userfaultfds of it. */
export type UnmapStops = AreaStops | "WAIT_UFFD"

/** Puts a finished, detached area into its tree and into its object's mapping set. Nodes were reserved.
 * @locks mmap write
 */
export function insertVma(k: Kernel, v: Vma): void {
  const mm = k.vmas.mmOf(v)
  assertMmapWrite(k, mm)
  k.vmas.setSeq(v, k.mms.seq(mm)) // write-locked until the section ends: nobody sees a half-made area
  k.maple.insert(mm, v)
  k.vmas.setState(v, VMA_ATTACHED)
  addMapping(k, v)
}

/** Takes `v` out of its tree; it keeps its file, its object and its pages.
 * @locks mmap write, `v` write-locked
 */
export function detachVma(k: Kernel, v: Vma): void {
  k.maple.erase(k.vmas.mmOf(v), v)
  k.vmas.setState(v, VMA_DETACHED)
}

/** Buries a detached area: tells its owner, lets go of its file. Its pages are gone by then. */
export function* removeVma(k: Kernel, v: Vma): Verb<"NEED_HOOK", void> {
  yield* closeVma(k, v)
  if (hasHook(k, v, H_REMOVE_MAPPING)) yield* retractMapping(k, v, k.vmas.startOf(v), k.vmas.endOf(v), k.vmas.pgoff(v))
  buryVma(k, v)
}

/** The same for an area whose owner never heard of it. */
export function buryVma(k: Kernel, v: Vma): void {
  removeMapping(k, v)
  k.anon.unlinkAll(v)
  fput(k, k.vmas.file(v))
  k.vmas.free(v)
}

/** Splits `v` at `vpn` into two. The new area is the lower part if `newBelow`, else the upper.
 * @returns the new area | errno of the owner's veto | ENOMEM; then nothing has changed
 * @locks mmap write
 */
export function* splitVma(k: Kernel, v: Vma, vpn: Vpn, newBelow: boolean): Verb<AreaStops> {
  assertMmapWrite(k, k.vmas.mmOf(v))
  const veto = yield* maySplit(k, v, vpn)
  if (veto < 0) return veto
  const w = newHalf(k, v, vpn, newBelow)
  if (w < 0) return w
  const opened = yield* openVma(k, w)
  if (opened < 0) {
    k.anon.unlinkAll(w)
    fput(k, k.vmas.file(w))
    k.vmas.free(w)
    return opened
  }
  if (!tryStartWrite(k, v)) yield* vmaStartWrite(k, v)
  moveBorder(k, v, w, vpn, newBelow)
  return w
}

/** The same in one plain turn; 0, and nothing is split, where `v` has readers, or an owner who is to be asked. */
function splitNow(k: Kernel, v: Vma, vpn: Vpn, newBelow: boolean): number {
  if (k.vmas.ops(v) !== 0 || !tryStartWrite(k, v)) return 0
  const w = newHalf(k, v, vpn, newBelow)
  if (w > 0) moveBorder(k, v, w, vpn, newBelow)
  return w
}

/** A detached area for one side of a split, with all that `v` has; or ENOMEM. */
function newHalf(k: Kernel, v: Vma, vpn: Vpn, newBelow: boolean): number {
  const w = k.vmas.dup(v)
  if (w === 0) return ENOMEM
  if (newBelow) k.vmas.end[w] = vpn
  else {
    k.vmas.start[w] = vpn
    k.vmas.setPgoff(w, k.vmas.pgoff(v) + (vpn - k.vmas.startOf(v)))
  }
  if (!k.anon.clone(w, v) || !k.maple.reserve(1)) {
    k.anon.unlinkAll(w)
    k.vmas.free(w)
    return ENOMEM
  }
  fget(k, k.vmas.file(v))
  return w
}

/** `v` shrinks to its side of the split, and `w` takes the other. */
function moveBorder(k: Kernel, v: Vma, w: Vma, vpn: Vpn, newBelow: boolean): void {
  const pgoff = k.vmas.pgoff(v)
  const start = k.vmas.startOf(v)
  if (newBelow) moveBounds(k, v, pgoff + (vpn - start), vpn, k.vmas.endOf(v))
  else moveBounds(k, v, pgoff, start, vpn)
  insertVma(k, w)
}

/** Makes `[start, end)` of `v` an area of its own that may get flags `lo`/`hi`, a memory policy and a userfaultfd: by merge, else
 * by one or two splits. The caller writes them into what is returned.
 * @returns the area | errno
 * @partial if the second split fails, the first stays
 * @locks mmap write
 */
export function* vmaModify(
  k: Kernel,
  prev: Vma,
  v: Vma,
  start: Vpn,
  end: Vpn,
  lo: number,
  hi: number,
  policy: number = k.vmas.policy(v),
  uffd: number = k.vmas.uffd(v)
): Verb<AreaStops> {
  const range = rangeOf(k, prev, v, start, end, lo, hi, uffd)
  range.policy = policy
  const merged = yield* mergeExistingRange(k, range)
  if (merged !== 0) return merged
  if (k.vmas.startOf(v) < start) {
    const r = isFull(k, v) ? ENOMEM : yield* splitVma(k, v, start, true)
    if (r < 0) return r
  }
  if (k.vmas.endOf(v) > end) {
    const r = isFull(k, v) ? ENOMEM : yield* splitVma(k, v, end, false)
    if (r < 0) return r
  }
  if (!tryStartWrite(k, v)) yield* vmaStartWrite(k, v)
  return v
}

/** Gives `[start, end)` of `v` the flags `lo`/`hi`; the area that has them keeps those that stick.
 * @returns the area | errno
 * @partial as `vmaModify`
 * @locks mmap write
 * @source mm/vma.c vma_modify_flags (v6.18)
 */
export function* vmaModifyFlags(k: Kernel, v: Vma, start: Vpn, end: Vpn, lo: number, hi: number): Verb<AreaStops> {
  const prev = k.vmas.startOf(v) < start ? v : k.maple.prev(k.vmas.mmOf(v), v)
  const w = yield* vmaModify(k, prev, v, start, end, lo, hi)
  if (w > 0) setStickyFlags(k, w, lo, hi)
  return w
}

/** Writes flags into an area, but for those that stick to it. */
export const setStickyFlags = (k: Kernel, v: Vma, lo: number, hi: number): void =>
  k.vmas.setFlags(v, lo | (k.vmas.flags(v) & VM_IGNORE_MERGE), hi)

/** `vmaModify` in one plain turn; 0, and nothing has changed, where an area has readers, or an owner a say in its split. */
export function vmaModifyNow(k: Kernel, prev: Vma, v: Vma, start: Vpn, end: Vpn, lo: number, hi: number): number {
  const plan = planExistingRange(k, rangeOf(k, prev, v, start, end, lo, hi, k.vmas.uffd(v)))
  if (plan !== undefined) return mergeNow(k, plan)
  if (k.vmas.startOf(v) < start) {
    const r = isFull(k, v) ? ENOMEM : splitNow(k, v, start, true)
    if (r <= 0) return r
  }
  if (k.vmas.endOf(v) > end) {
    const r = isFull(k, v) ? ENOMEM : splitNow(k, v, end, false)
    if (r <= 0) return r
  }
  return tryStartWrite(k, v) ? v : 0
}

/** A range of `v`, as merging wants to know it. */
const rangeOf = (k: Kernel, prev: Vma, v: Vma, start: Vpn, end: Vpn, lo: number, hi: number, uffd: number): Range => ({
  mm: k.vmas.mmOf(v),
  prev,
  middle: v,
  next: k.vmas.endOf(v) === end ? k.maple.next(k.vmas.mmOf(v), v) : 0,
  start,
  end,
  pgoff: k.vmas.pgoff(v) + (start - k.vmas.startOf(v)),
  lo,
  hi,
  policy: k.vmas.policy(v),
  file: k.vmas.file(v),
  anon: k.vmas.anon(v),
  uffd,
  copiedFrom: 0,
  justExpand: false
})

/** Has the mm of `v` as many areas as it may? Asked before every split but munmap's own. */
const isFull = (k: Kernel, v: Vma): boolean => k.maple.size(k.vmas.mmOf(v)) >= k.config.maxMapCount

/** Areas taken out of a tree that await their end, and what they were worth (vma_munmap_struct). */
export interface Gathered {
  readonly vmas: Vma[]
  pages: number
  accounted: number
  locked: number
}

/** Splits at both ends of `[start, end)` and detaches what lies inside.
 * @param told - userfaultfds that are to be told when no lock is held any more; grows. Absent: nobody is told
 * @returns the gathered areas | EPERM something is sealed | ENOMEM | errno of a veto; then every area is attached
 * @partial splits stay
 * @locks mmap write
 */
export function* gatherVmas(
  k: Kernel,
  mm: Mm,
  start: Vpn,
  end: Vpn,
  told?: Unmapped[]
): Verb<AreaStops, Gathered | number> {
  let v = k.maple.find(mm, start)
  if (v !== 0 && k.vmas.startOf(v) < start && k.vmas.startOf(v) < end) {
    if (end < k.vmas.endOf(v) && k.maple.size(mm) >= k.config.maxMapCount) return ENOMEM
    if ((k.vmas.flagsHi(v) & VMH_SEALED) !== 0) return EPERM
    const r = yield* splitVma(k, v, start, true)
    if (r < 0) return r
  }
  const vmas: Vma[] = []
  for (v = k.maple.find(mm, start); v !== 0 && k.vmas.startOf(v) < end; v = k.maple.next(mm, v)) {
    if ((k.vmas.flagsHi(v) & VMH_SEALED) !== 0) return EPERM
    if (k.vmas.endOf(v) > end) {
      const r = yield* splitVma(k, v, end, false)
      if (r < 0) return r
    }
    if (!tryStartWrite(k, v)) yield* vmaStartWrite(k, v)
    if (told !== undefined && userfaultfdUnmapPrep(k, v, start, end, told) !== OK) return ENOMEM
    vmas.push(v)
  }
  return takeOut(k, mm, vmas)
}

/** The same in one plain turn. Undefined, and nothing has changed, where an area must be split, is sealed, has readers, or
 * an owner or a userfaultfd that is to be told.
 */
export function gatherNow(k: Kernel, mm: Mm, start: Vpn, end: Vpn): Gathered | undefined {
  let v = k.maple.find(mm, start)
  if (v === 0 || k.vmas.startOf(v) >= end) return takeOut(k, mm, [])
  const vmas = [v]
  for (;;) {
    if (k.vmas.startOf(v) < start || k.vmas.endOf(v) > end || (k.vmas.flagsHi(v) & VMH_SEALED) !== 0) return undefined
    if (hasFarewell(k, v) || k.vmas.uffd(v) !== 0 || !canStartWrite(k, v)) return undefined
    if (k.vmas.endOf(v) === end) break
    v = k.maple.next(mm, v)
    if (v === 0 || k.vmas.startOf(v) >= end) break
    vmas.push(v)
  }
  return takeOut(k, mm, vmas)
}

/** Nothing fails and nothing waits: the areas leave the tree together. */
function takeOut(k: Kernel, mm: Mm, vmas: Vma[]): Gathered {
  const g: Gathered = { vmas, pages: 0, accounted: 0, locked: 0 }
  for (let i = 0; i < vmas.length; i++) {
    const v = vmas[i]!
    const n = k.vmas.pages(v)
    g.pages += n
    if ((k.vmas.flags(v) & VM_ACCOUNT) !== 0) g.accounted += n
    if ((k.vmas.flags(v) & VM_LOCKED) !== 0) g.locked += n
    k.vmas.setSeq(v, k.mms.seq(mm))
    detachVma(k, v)
  }
  return g
}

/** Takes what was gathered out of the statistics. */
export function unaccountGathered(k: Kernel, mm: Mm, g: Gathered): void {
  k.mms.updateHiwaterVm(mm)
  for (const v of g.vmas) vmStatAccount(k, mm, k.vmas.flags(v), k.vmas.startOf(v) - k.vmas.endOf(v))
  if (g.locked !== 0) k.mms.addStat(mm, LOCKED_VM, 0 - g.locked)
  k.committed -= g.accounted
}
