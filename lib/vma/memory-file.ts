/** Memory files: the bytes of objects, on real frames. Floor 8; `MemoryFile` has the names.
 *
 * Plain methods and not effects: none waits, and an object answers for its pages in the middle of somebody's fault.
 * @source gvisor pkg/sentry/memmap/memmap.go File
 */
import { PAGE_SIZE } from "../mm/base/units.ts"
import { allocPages, decRef, holders, incRef, mapInternal } from "../mm/object/memory.ts"
import { format, type FileRange, isPages, ofPages, type PageRange } from "./Range.ts"
import type { World } from "./world.ts"

/** A file of pages on a machine's frames. Every page counts its holders; who allocates one is the first. */
export class MemoryFile {
  readonly #world: World
  readonly #object: number
  #live = true

  /** @internal */
  constructor(world: World, object: number) {
    this.#world = world
    this.#object = object
  }

  /** `pages` fresh pages of zeroes, each held once. @returns undefined where the machine is out of memory */
  allocate(pages: number): PageRange<"file"> | undefined {
    const first = allocPages(this.#world.k, this.#alive(), ofPages(0, pages).end / PAGE_SIZE)
    return first < 0 ? undefined : ofPages(first, pages)
  }

  /** One more holder of each page. Throws RangeError where one has none, or the range is not of pages. */
  incRef(range: PageRange<"file">): void {
    this.#held(range)
    incRef(this.#world.k, this.#object, range.start / PAGE_SIZE, range.end / PAGE_SIZE)
  }

  /** One holder fewer of each page; the last one frees it, though who maps it keeps its frame. Throws as `incRef`. */
  decRef(range: PageRange<"file">): void {
    this.#held(range)
    decRef(this.#world.k, this.#object, range.start / PAGE_SIZE, range.end / PAGE_SIZE)
  }

  /** Holders of the page at byte `offset`; 0 where there is no page. */
  holders(offset: number): number {
    return holders(this.#world.k, this.#alive(), Math.floor(offset / PAGE_SIZE))
  }

  /** The bytes themselves, not a copy: a view for each run of neighbouring frames, aligned or not. Valid while their pages are
   * held. What is written through them, every mapping sees.
   * Throws RangeError where a page is missing.
   */
  mapInternal(range: FileRange): readonly Uint8Array[] {
    const views = mapInternal(this.#world.k, this.#alive(), range.start, range.end)
    if (views === undefined) throw new RangeError(`${format(range)} of a memory file has pages that nobody holds`)
    return views
  }

  /** Row of the object, for a machine that it belongs to; 0 for another. @internal */
  rowOn(world: World): number {
    return world === this.#world && this.#live ? this.#object : 0
  }

  /** It ends with its Scope. @internal */
  end(): number {
    this.#live = false
    return this.#object
  }

  #alive(): number {
    if (!this.#live) throw new RangeError("a memory file is used after the Scope that made it has ended")
    return this.#object
  }

  #held(range: PageRange<"file">): void {
    if (!isPages(range)) throw new RangeError(`${format(range)} is no range of pages`)
    for (let at = range.start; at < range.end; at += PAGE_SIZE)
      if (this.holders(at) === 0) throw new RangeError(`page ${at / PAGE_SIZE} of a memory file has no holder`)
  }
}
