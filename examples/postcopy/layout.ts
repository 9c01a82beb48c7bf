/** Where the pages of a task lie, and sets of them. Pages are counted through all areas, from 0. */
import { Schema } from "effect"

/** Bytes of a page. */
export const PAGE = 4096

/** Memory that migrates. Bytes; bits of `ProtFlags`. */
export const Area = Schema.Struct({ start: Schema.Int, length: Schema.Int, prot: Schema.Int })
type Area = typeof Area.Type

/** The areas of a task. */
export class Layout {
  readonly areas: readonly Area[]
  /** Pages of all areas. */
  readonly pages: number
  constructor(areas: readonly Area[]) {
    this.areas = areas
    this.pages = areas.reduce((sum, { length }) => sum + length / PAGE, 0)
  }

  /** Where a page lies, and how many pages its area has from there on. Throws RangeError for no page of the task. */
  at(page: number): { readonly area: number; readonly address: number; readonly room: number } {
    let left = page
    for (const [area, { length, start }] of this.areas.entries()) {
      const pages = length / PAGE
      if (left < pages) return { area, address: start + left * PAGE, room: pages - left }
      left -= pages
    }
    throw new RangeError(`page ${page} of ${this.pages}`)
  }

  /** The page that has this byte; undefined where none has. */
  pageOf(address: number): number | undefined {
    let first = 0
    for (const { length, start } of this.areas) {
      if (address >= start && address < start + length) return first + Math.floor((address - start) / PAGE)
      first += length / PAGE
    }
    return undefined
  }
}

/** A set of pages: a bitmap, which travels after a lost connection. */
export class PageSet {
  readonly bits: Uint8Array
  #size = 0
  /** @param bits - of a set that came from elsewhere */
  constructor(pages: number, bits?: Uint8Array) {
    this.bits = new Uint8Array(Math.ceil(pages / 8))
    if (bits === undefined) return
    for (let page = 0; page < pages; page++) if ((bits[page >> 3] ?? 0) & (1 << (page & 7))) this.add(page)
  }
  get size(): number {
    return this.#size
  }
  has(page: number): boolean {
    return ((this.bits[page >> 3] ?? 0) & (1 << (page & 7))) !== 0
  }
  add(page: number): void {
    if (this.has(page)) return
    this.bits[page >> 3] = (this.bits[page >> 3] ?? 0) | (1 << (page & 7))
    this.#size++
  }
}
