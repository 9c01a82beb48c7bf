/** The map of one address space as the log says it is: whole at first, then delta by delta. Floor 9. */
import type { Delta, MapLine } from "./event.ts"
import { VSYSCALL } from "./map-line.ts"

/** Lines that one piece has at most: taking one out moves no more than that. */
const MOST_OF_A_PIECE = 512

/** Lines in rising order, in pieces: an address space may have tens of thousands, and a call changes two. */
export class Recollection {
  /** None is empty, unless it is the only one. */
  private readonly pieces: MapLine[][] = [[]]
  size = 0
  /** Where the next line is read. */
  private piece = 0
  private at = 0

  constructor(lines: Iterable<MapLine>) {
    for (const line of lines) {
      if (line.name === VSYSCALL) continue
      if (this.pieces.at(-1)!.length >= MOST_OF_A_PIECE / 2) this.pieces.push([])
      this.pieces.at(-1)!.push(line)
      this.size++
    }
  }

  /** All of them. */
  get lines(): readonly MapLine[] {
    return this.pieces.flat()
  }

  copy(): Recollection {
    return new Recollection(this.lines)
  }

  /** Takes in a delta. Answers a sentence where it does not fit what was there; it is taken in all the same. */
  apply({ gone, here }: Delta): string | undefined {
    let wrong: string | undefined
    for (const line of gone) {
      if (line.name === VSYSCALL) continue
      const there = this.startingAt(line.start)
      if (there !== undefined) this.takeOut()
      if (there?.text !== line.text) {
        wrong ??= `the log takes away ${line.text}, which is not what it brought: ${there?.text ?? "nothing begins there"}`
      }
    }
    for (const line of here) {
      if (line.name === VSYSCALL) continue
      this.seek(line.start)
      if ((this.peek()?.start ?? Infinity) < line.end) {
        wrong ??= `the log brings ${line.text}, where something is`
        while ((this.peek()?.start ?? Infinity) < line.end) this.takeOut()
      }
      this.putIn(line)
    }
    return wrong
  }

  /** The next line to be read is the first that ends above `page`. */
  seek(page: number): void {
    const { pieces } = this
    let low = 0
    let high = pieces.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (pieces[middle]![0]!.start <= page) low = middle
      else high = middle - 1
    }
    const lines = pieces[low]!
    let from = 0
    let to = lines.length
    while (from < to) {
      const middle = (from + to) >> 1
      if (lines[middle]!.end <= page) from = middle + 1
      else to = middle
    }
    this.piece = low
    this.at = from
    this.settle()
  }

  /** Reads a line, and goes on to the one after it. */
  next(): MapLine | undefined {
    const line = this.peek()
    if (line === undefined) return undefined
    this.at++
    this.settle()
    return line
  }

  private peek(): MapLine | undefined {
    return this.pieces[this.piece]?.[this.at]
  }

  /** Behind the last line of a piece comes the first of the next one. */
  private settle(): void {
    if (this.at < this.pieces[this.piece]!.length || this.piece + 1 >= this.pieces.length) return
    this.piece++
    this.at = 0
  }

  private startingAt(page: number): MapLine | undefined {
    this.seek(page)
    const line = this.peek()
    return line?.start === page ? line : undefined
  }

  private takeOut(): void {
    const lines = this.pieces[this.piece]!
    lines.splice(this.at, 1)
    this.size--
    if (lines.length === 0 && this.pieces.length > 1) {
      this.pieces.splice(this.piece, 1)
      this.at = 0
      if (this.piece === this.pieces.length) {
        this.piece--
        this.at = this.pieces[this.piece]!.length
      }
    } else this.settle()
  }

  /** Before the next line to be read. */
  private putIn(line: MapLine): void {
    const lines = this.pieces[this.piece]!
    lines.splice(this.at, 0, line)
    this.size++
    if (lines.length > MOST_OF_A_PIECE) this.pieces.splice(this.piece + 1, 0, lines.splice(MOST_OF_A_PIECE / 2))
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
