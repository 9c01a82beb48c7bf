/** The map of one address space as the log says it is: whole at first, then delta by delta. Floor 9. */
import type { Delta, MapLine } from "./event.ts"
import { VSYSCALL } from "./map-line.ts"

/** Lines in rising order. */
export class Recollection {
  readonly lines: MapLine[]

  constructor(lines: readonly MapLine[]) {
    this.lines = lines.filter((line) => line.name !== VSYSCALL)
  }

  copy(): Recollection {
    return new Recollection(this.lines)
  }

  /** Takes in a delta. Answers a sentence where it does not fit what was there; it is taken in all the same. */
  apply({ gone, here }: Delta): string | undefined {
    const { lines } = this
    let wrong: string | undefined
    for (const line of gone) {
      if (line.name === VSYSCALL) continue
      const at = this.placeOf(line.start)
      const there = lines[at]
      if (there?.start === line.start) lines.splice(at, 1)
      if (there?.text !== line.text) {
        wrong ??= `the log takes away ${line.text}, which is not what it brought: ${there?.start === line.start ? there.text : "nothing begins there"}`
      }
    }
    for (const line of here) {
      if (line.name === VSYSCALL) continue
      const at = this.placeOf(line.start)
      const before = lines[at - 1]
      const after = lines[at]
      if ((before !== undefined && before.end > line.start) || (after !== undefined && after.start < line.end)) {
        wrong ??= `the log brings ${line.text}, where something is`
        this.clear(line.start, line.end)
        lines.splice(this.placeOf(line.start), 0, line)
      } else lines.splice(at, 0, line)
    }
    return wrong
  }

  /** Index of the first line that starts at `page` or above. */
  placeOf(page: number): number {
    const { lines } = this
    let low = 0
    let high = lines.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (lines[middle]!.start < page) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Index of the first line that ends above `page`. */
  firstEndingAbove(page: number): number {
    const at = this.placeOf(page)
    return at > 0 && this.lines[at - 1]!.end > page ? at - 1 : at
  }

  /** Removes every line that has a page of `[start, end)`. */
  private clear(start: number, end: number): void {
    const from = this.firstEndingAbove(start)
    let to = from
    while (to < this.lines.length && this.lines[to]!.start < end) to++
    this.lines.splice(from, to - from)
  }
}

/** What must go from `from` and come for it to be `to`. */
export function deltaBetween(from: readonly MapLine[], to: readonly MapLine[]): Delta {
  const gone: MapLine[] = []
  const here: MapLine[] = []
  let i = 0
  let j = 0
  while (i < from.length || j < to.length) {
    const a = from[i]
    const b = to[j]
    if (a !== undefined && b !== undefined && a.text === b.text) {
      i++
      j++
    } else if (b === undefined || (a !== undefined && a.start <= b.start)) {
      gone.push(a!)
      i++
    } else {
      here.push(b)
      j++
    }
  }
  return { gone, here }
}
