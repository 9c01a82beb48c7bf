/** Which pages are still in the file only, where they belong by now, and which of them are read together. */
import { PAGE, type Table } from "./image.ts"

/** Pages around a fault that are read along: those of the same block of eight. */
const BLOCK = 8 * PAGE
/** Bytes that are read at once when nobody asks. */
const BATCH = 64 * PAGE

/** Pages that follow each other in memory and in the file. */
export interface Run {
  /** Byte address of the first. */
  readonly address: number
  /** Its row in the table. */
  readonly row: number
  /** Pages. */
  readonly count: number
}

export class Pending {
  /** Rows of the table, by address. */
  readonly #rows: Map<number, number>

  constructor({ pages }: Pick<Table, "pages">) {
    this.#rows = new Map(pages.map(({ address }, row) => [address, row]))
  }

  /** How many. */
  get size(): number {
    return this.#rows.size
  }

  /** The page of that address and its neighbours; undefined if it is not to come. */
  around(address: number): Run | undefined {
    const row = this.#rows.get(address)
    if (row === undefined) return undefined
    const low = Math.floor(address / BLOCK) * BLOCK
    let first = address
    while (first > low && this.#rows.get(first - PAGE) === row - (address - first) / PAGE - 1) first -= PAGE
    return this.#upTo(low + BLOCK, first, row - (address - first) / PAGE)
  }

  /** Some pages that nobody has asked for; undefined if none is to come. */
  next(): Run | undefined {
    for (const [address, row] of this.#rows) return this.#upTo(address + BATCH, address, row)
    return undefined
  }

  /** A page is there. */
  arrived(address: number): void {
    this.#rows.delete(address)
  }

  /** Nobody wants those pages any more: they are unmapped, or zeroes from now on. */
  forget(start: number, end: number): void {
    for (const address of this.#rows.keys()) if (start <= address && address < end) this.#rows.delete(address)
  }

  /** They belong elsewhere now. */
  moved(from: number, to: number, length: number): void {
    const rows = [...this.#rows].filter(([address]) => from <= address && address < from + length)
    this.forget(from, from + length)
    for (const [address, row] of rows) this.#rows.set(address - from + to, row)
  }

  /** The same pages, for somebody else. */
  copy(): Pending {
    const other = new Pending({ pages: [] })
    for (const [address, row] of this.#rows) other.#rows.set(address, row)
    return other
  }

  #upTo(end: number, address: number, row: number): Run {
    let count = 1
    while (address + count * PAGE < end && this.#rows.get(address + count * PAGE) === row + count) count++
    return { address, row, count }
  }
}
