/** The recorded state of every process, as it changes with the operations. Floor 9. */
import { type Area, type Delta, FormatError, type Header, type Op, type Stats } from "./record.ts"

/** One process as recorded. */
export interface Recollection {
  /** In order of their starts; the [vsyscall] page, which is no area, is left out. */
  areas: Area[]
  stats: Stats
}

const VSYSCALL = "[vsyscall]"

/** What the recording says of every process that lives. */
export class State {
  readonly processes = new Map<number, Recollection>()

  constructor(
    header: Header,
    /** Are areas followed, or statistics only? */
    private readonly hasAreas = true
  ) {
    this.processes.set(0, { areas: sorted(header.areas), stats: header.stats })
  }

  /** Takes in what an operation changed. Throws FormatError where the changes do not fit what was there. */
  apply(op: Op): void {
    if (op.name === "exit" && op.result.kind === "value") this.processes.delete(op.process)
    for (const [process, areas] of op.forked) {
      if (this.processes.has(process)) throw new FormatError(`f brings forth process ${process}, which lives already`)
      const stats = op.stats.find(([its]) => its === process)?.[1]
      if (stats === undefined) throw new FormatError(`f brings forth process ${process} without its st`)
      this.processes.set(process, { areas: sorted(areas), stats })
    }
    for (const [process, delta] of op.deltas) applyDelta(this.of(process, "d").areas, delta)
    for (const [process, stats] of op.stats) {
      const isBorn = !this.hasAreas && op.name === "fork" && !this.processes.has(process)
      if (isBorn) this.processes.set(process, { areas: [], stats })
      else this.of(process, "st").stats = stats
    }
  }

  private of(process: number, what: string): Recollection {
    const found = this.processes.get(process)
    if (found === undefined) throw new FormatError(`${what} is about process ${process}, which does not live`)
    return found
  }
}

function sorted(areas: readonly Area[]): Area[] {
  const all = areas.filter((area) => area.name !== VSYSCALL).sort((a, b) => a.start - b.start)
  checkOrder(all, 0, all.length)
  return all
}

function applyDelta(areas: Area[], { gone, here }: Delta): void {
  for (const start of gone) {
    const at = placeOf(areas, start)
    if (areas[at]?.start !== start) throw new FormatError(`d takes away ${hex(start)}, where no area starts`)
    areas.splice(at, 1)
  }
  for (const area of here) {
    if (area.name === VSYSCALL) continue
    const at = placeOf(areas, area.start)
    areas.splice(at, areas[at]?.start === area.start ? 1 : 0, area)
  }
  for (const area of here) {
    const at = placeOf(areas, area.start)
    checkOrder(areas, Math.max(0, at - 1), Math.min(areas.length, at + 2))
  }
}

function checkOrder(areas: readonly Area[], from: number, to: number): void {
  for (let at = from + 1; at < to; at++) {
    if (areas[at - 1]!.end > areas[at]!.start) throw new FormatError(`areas overlap at ${hex(areas[at]!.start)}`)
  }
}

/** Index of the first area that starts at `start` or above. */
function placeOf(areas: readonly Area[], start: number): number {
  let low = 0
  let high = areas.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (areas[middle]!.start < start) low = middle + 1
    else high = middle
  }
  return low
}

const hex = (page: number): string => `0x${(page * 4096).toString(16)}`
