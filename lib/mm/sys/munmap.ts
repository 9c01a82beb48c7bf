/** munmap: gather, detach, let readers in, zap, bury. Floor 6.
 * @source mm/vma.c do_vmi_align_munmap, vms_complete_munmap_vmas (v6.18)
 */
import { EINVAL, OK } from "../../flags/Errno.ts"
import { enter } from "../area/mm.ts"
import { mmapDowngrade, mmapUnlock, needMmap, READ, tryMmap, WRITE } from "../area/mmap-lock.ts"
import { tellingOfUnmaps, type Unmapped } from "../area/uffd-events.ts"
import {
  type AreaStops,
  buryVma,
  type Gathered,
  gatherNow,
  gatherVmas,
  removeVma,
  unaccountGathered,
  type UnmapStops
} from "../area/vma.ts"
import type { Verb } from "../base/stop.ts"
import { T_MUNMAP } from "../base/trace.ts"
import { offsetInPage, pageOf, pagesUp, TASK_PAGES, type Vpn, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { Mm } from "../store/mms.ts"
import { invalidateEnd, invalidateStart } from "../page/notifier.ts"
import { GIVE_UP } from "../page/need.ts"
import { flushRange, putGathered } from "../page/tlb.ts"
import { freePgtables, ZAP_UNMAP, zapRange } from "../page/zap.ts"

/** Removes every mapping of `[addr, addr + len)`; holes are fine. Userfaultfds that report it are told afterwards.
 * @param addr - byte address, any register value
 * @param len - bytes, rounded up to pages
 * @returns OK | EINVAL unaligned, empty, or not user space; a veto of may_split | ENOMEM too many areas | EPERM sealed
 * @partial on EPERM and ENOMEM the first area may stay split
 * @locks takes mmap write; downgraded to read while pages go and owners are told
 * @source mm/mmap.c __vm_munmap (v6.18)
 */
export function* munmap(k: Kernel, task: number, addr: Word, len: Word): Verb<UnmapStops> {
  const mm = enter(k, task)
  const start = pageOf(addr)
  const pages = pagesUp(len)
  if (offsetInPage(addr) !== 0 || start > TASK_PAGES || pageOf(len) > TASK_PAGES - start || pages === 0) return EINVAL
  const now = unmapNow(k, mm, start, start + pages)
  if (now !== GIVE_UP) return now
  return yield* tellingOfUnmaps(k, (told) => unmapLocked(k, mm, start, start + pages, told))
}

function* unmapLocked(k: Kernel, mm: Mm, start: Vpn, end: Vpn, told: Unmapped[]): Verb<AreaStops> {
  if (k.runs.preempt) yield k.runs.point()
  if (!tryMmap(k, mm, WRITE)) yield needMmap(k, mm, WRITE)
  let mode = WRITE
  try {
    return yield* unmapRange(k, mm, start, end, told, () => {
      mmapDowngrade(k, mm)
      mode = READ
    })
  } finally {
    mmapUnlock(k, mm, mode)
  }
}

/** The whole of it in one plain turn, lock and all.
 * @returns OK | GIVE_UP something would wait, nothing has changed
 */
function unmapNow(k: Kernel, mm: Mm, start: Vpn, end: Vpn): number {
  if (k.runs.preempt || !tryMmap(k, mm, WRITE)) return GIVE_UP
  try {
    return unmapRangeNow(k, mm, start, end)
  } finally {
    mmapUnlock(k, mm, WRITE)
  }
}

/** As `unmapRange`, in one plain turn: only whole areas, without readers or owners.
 * @returns OK | GIVE_UP something would wait, nothing has changed
 * @locks mmap write
 */
function unmapRangeNow(k: Kernel, mm: Mm, start: Vpn, end: Vpn): number {
  const g = gatherNow(k, mm, start, end)
  if (g === undefined) return GIVE_UP
  if (g.vmas.length === 0) return OK
  k.trace.point(T_MUNMAP, mm, start, end - start)
  unaccountGathered(k, mm, g)
  if (clearEntries(k, mm, g)) {
    flushRange(k, mm, startOf(k, g), endOf(k, g))
    putGathered(k)
  }
  endClear(k, mm, g)
  for (let i = 0; i < g.vmas.length; i++) buryVma(k, g.vmas[i]!)
  return OK
}

/** Takes everything out of `[start, end)`. Once the areas are out of the tree `detached` is called, if given: the caller
 * may let readers in while the pages go. In one plain turn nobody could come in.
 * @param told - userfaultfds to be told when no lock is held any more; grows. Undefined: nobody is told
 * @returns OK | ENOMEM | EPERM | errno of a veto
 * @partial splits stay
 * @locks mmap write
 */
export function* unmapRange(
  k: Kernel,
  mm: Mm,
  start: Vpn,
  end: Vpn,
  told: Unmapped[] | undefined,
  detached?: () => void
): Verb<AreaStops> {
  const now = k.runs.preempt ? GIVE_UP : unmapRangeNow(k, mm, start, end)
  if (now !== GIVE_UP) return now
  const g = yield* gatherVmas(k, mm, start, end, told)
  if (typeof g === "number") return g
  if (g.vmas.length === 0) return OK
  k.trace.point(T_MUNMAP, mm, start, end - start)
  unaccountGathered(k, mm, g)
  detached?.()
  yield* clearGathered(k, mm, g)
  for (const v of g.vmas) yield* removeVma(k, v)
  return OK
}

/** Clears the pages of detached areas, flushes, puts the frames and frees tables; the areas' owners come after.
 * With an explorer attached others may run between the steps: until the flush they may still reach the pages, and that is
 * why the frames are put last.
 */
export function* clearGathered(k: Kernel, mm: Mm, g: Gathered): Verb<"PREEMPT", void> {
  if (g.vmas.length === 0) return
  const cleared = clearEntries(k, mm, g)
  if (k.runs.preempt) yield k.runs.point()
  if (cleared) {
    flushRange(k, mm, startOf(k, g), endOf(k, g))
    if (k.runs.preempt) yield k.runs.point()
    putGathered(k)
  }
  endClear(k, mm, g)
}

const startOf = (k: Kernel, g: Gathered): Vpn => k.vmas.startOf(g.vmas[0]!)
const endOf = (k: Kernel, g: Gathered): Vpn => k.vmas.endOf(g.vmas[g.vmas.length - 1]!)

/** Clears the entries of gathered areas; says whether there were any. */
function clearEntries(k: Kernel, mm: Mm, g: Gathered): boolean {
  k.mms.updateHiwaterRss(mm)
  invalidateStart(k, mm, startOf(k, g), endOf(k, g))
  let cleared = false
  for (let i = 0; i < g.vmas.length; i++) {
    const v = g.vmas[i]!
    if (zapRange(k, v, k.vmas.startOf(v), k.vmas.endOf(v), ZAP_UNMAP)) cleared = true
  }
  return cleared
}

/** What follows when nobody can reach the pages any more. */
function endClear(k: Kernel, mm: Mm, g: Gathered): void {
  invalidateEnd(k, mm, startOf(k, g), endOf(k, g))
  freeTables(k, mm, startOf(k, g), endOf(k, g))
}

/** Frees tables by the bounds of the areas that are there now: others may have moved in meanwhile. */
export function freeTables(k: Kernel, mm: Mm, start: Vpn, end: Vpn): void {
  k.maple.neighbours(mm, start)
  const below = k.maple.near[0]!
  const above = k.maple.near[1]!
  if (above !== 0 && k.vmas.startOf(above) < end) return // the place is in use again: its tables stay
  freePgtables(k, mm, start, end, below !== 0 ? k.vmas.endOf(below) : 0, above !== 0 ? k.vmas.startOf(above) : Infinity)
}
