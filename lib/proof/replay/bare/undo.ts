/** Going back behind one call, at the cost of a call: what the areas around it were, and how to make them so again. Floor 9.
 *
 * While a log without maps is replayed nothing is ever touched: there are no pages and no anon_vmas, and an area is what its
 * row says. So detached copies of the rows that a call may change or merge with are all that is needed, and the statistics of
 * the address space. What that does not cover is left to the journal, which can undo everything, and takes longer.
 */
import { mmapUnlock, needMmap, tryMmap, WRITE } from "../../../mm/area/mmap-lock.ts"
import { fget, fput } from "../../../mm/area/object.ts"
import { buryVma, detachVma, insertVma } from "../../../mm/area/vma.ts"
import { vmBugOn } from "../../../mm/base/debug.ts"
import type { Verb } from "../../../mm/base/stop.ts"
import { addrOf, TASK_PAGES, type Vpn } from "../../../mm/base/units.ts"
import type { Kernel } from "../../../mm/kernel.ts"
import type { Mm } from "../../../mm/store/mms.ts"
import type { Vma } from "../../../mm/store/vmas.ts"
import { munmap } from "../../../mm/sys/munmap.ts"
import { runNow } from "../../../mm/sys/run-now.ts"
import { joined, type Pages } from "../ranges.ts"
import type { Asked, Judge } from "./judge.ts"
import type { Got } from "./state.ts"
import type { Undo } from "./steps.ts"

/** A part of an address space as it was. */
interface Region {
  readonly start: Vpn
  readonly end: Vpn
  /** Detached copies of its areas; each holds its file. */
  readonly rows: readonly Vma[]
}

/** An address space as it was before a call, as far as the call could change it. */
interface Saved {
  readonly mm: Mm
  readonly regions: readonly Region[]
  readonly stats: Float64Array
  readonly defFlags: number
  readonly committed: number
}

/** How to undo `asked`, once it has answered: to be prepared before it is performed. Undefined: only the journal can. */
export function undoOf(judge: Judge, { call, process, state, want }: Asked): ((got: Got) => Undo) | undefined {
  if (judge.touches === undefined) return undefined
  const { k } = state.world
  const { space } = process
  const facts = state.factsOf(space)
  const { promised } = state
  const saved = save(k, space.mm, judge.touches({ call, process, state, want }))
  if (saved === undefined) return undefined
  return (got) => ({
    undo: () => {
      restore(k, saved, judge.places?.({ call, process, state, want }, got))
      state.learn(space, facts)
      state.promised = promised
    },
    drop: () => drop(k, saved)
  })
}

/** Keeps what `mm` has in `ranges`, and next to them. Undefined: it cannot be put back this way.
 * To be given to `restore` or to `drop`.
 */
function save(k: Kernel, mm: Mm, ranges: readonly Pages[]): Saved | undefined {
  const regions: Region[] = []
  for (const [start, end] of joined(ranges.map((range) => hull(k, mm, range)))) {
    const rows: Vma[] = []
    regions.push({ start, end, rows })
    for (let v = k.maple.find(mm, start); v !== 0 && k.vmas.startOf(v) < end; v = k.maple.next(mm, v)) {
      const copy = k.vmas.anon(v) === 0 ? k.vmas.dup(v) : 0
      if (copy === 0) {
        for (const region of regions) bury(k, region.rows)
        return undefined
      }
      fget(k, k.vmas.file(copy))
      rows.push(copy)
    }
  }
  return {
    mm,
    regions,
    stats: statsOf(k, mm).slice(),
    defFlags: k.mms.defFlags(mm),
    committed: k.committed
  }
}

/** Everything is as it was when it was saved.
 * @param placed - where the call has put something, which was free before; undefined: nowhere else
 */
function restore(k: Kernel, saved: Saved, placed: Pages | undefined): void {
  const { mm } = saved
  if (placed !== undefined) {
    const [start, end] = placed
    runNow(k, () => munmap(k, k.mms.owner(mm), addrOf(start), addrOf(end - start)))
  }
  if (saved.regions.length > 0 && runNow(k, () => putBack(k, saved)) !== 0)
    vmBugOn(`areas of mm ${mm} cannot be put back`)
  statsOf(k, mm).set(saved.stats)
  k.mms.setDefFlags(mm, saved.defFlags)
  k.committed = saved.committed
}

/** It will not be needed. */
function drop(k: Kernel, saved: Saved): void {
  for (const { rows } of saved.regions) bury(k, rows)
}

function* putBack(k: Kernel, { mm, regions }: Saved): Verb<"NEED_LOCK"> {
  if (!tryMmap(k, mm, WRITE)) yield needMmap(k, mm, WRITE)
  try {
    for (const { end, rows, start } of regions) {
      for (let v = k.maple.find(mm, start); v !== 0 && k.vmas.startOf(v) < end; v = k.maple.find(mm, start)) {
        if (k.vmas.startOf(v) < start || k.vmas.endOf(v) > end) vmBugOn(`area ${v} reaches beyond what was saved`)
        detachVma(k, v)
        buryVma(k, v)
      }
      for (const row of rows) {
        if (!k.maple.reserve(1)) vmBugOn("no node for an area that was there before")
        insertVma(k, row)
      }
    }
    return 0
  } finally {
    mmapUnlock(k, mm, WRITE)
  }
}

function bury(k: Kernel, rows: readonly Vma[]): void {
  for (const row of rows) {
    fput(k, k.vmas.file(row))
    k.vmas.free(row)
  }
}

/** A range with whatever touches it, whole. */
function hull(k: Kernel, mm: Mm, [start, end]: Pages): Pages {
  const from = Math.max(0, Math.min(start, TASK_PAGES))
  const to = Math.max(from, Math.min(end, TASK_PAGES))
  const first = k.maple.find(mm, Math.max(0, from - 1))
  const last = to < TASK_PAGES ? k.maple.find(mm, to) : 0
  return [
    first !== 0 ? Math.min(from, k.vmas.startOf(first)) : from,
    last !== 0 && k.vmas.startOf(last) <= to ? Math.max(to, k.vmas.endOf(last)) : to
  ]
}

function statsOf(k: Kernel, mm: Mm): Float64Array {
  const fields = k.mms.d.length / k.mms.max
  return k.mms.d.subarray(mm * fields, (mm + 1) * fields)
}
