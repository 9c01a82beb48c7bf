/** Address spaces that map objects of users, at run time. Floor 8, internal. */
import { Effect } from "effect"
import { PAGE_SIZE } from "../mm/base/units.ts"
import { invalidateSpace } from "../mm/object/invalidate.ts"
import { tellSpaceForgets } from "./asking.ts"
import type { InvalidateOpts, MappingSpace } from "./mapping-space.ts"
import { format, isPages, type PageRange } from "./Range.ts"
import { flush, type World } from "./world.ts"

/** One address space, while it maps an object of a user's. */
export class Space implements MappingSpace {
  readonly #world: World
  readonly #mm: number
  /** Bytes that it maps of such objects; none left: its row may be another's. */
  mapped = 0

  constructor(world: World, mm: number) {
    this.#world = world
    this.#mm = mm
  }

  invalidate(range: PageRange<"addr">, options: InvalidateOpts): Effect.Effect<void> {
    return Effect.sync(() => {
      if (!isPages(range)) throw new RangeError(`${format(range)} is no range of pages`)
      if (this.mapped === 0) return
      tellSpaceForgets(this.#world, this.#mm, range)
      const { k } = this.#world
      invalidateSpace(k, this.#mm, range.start / PAGE_SIZE, range.end / PAGE_SIZE, options.invalidatePrivate)
      flush(this.#world)
    })
  }

  /** Maps `bytes` more, or less. */
  add(bytes: number): void {
    this.mapped += bytes
    if (this.mapped === 0) this.#world.spaces.delete(this.#mm)
  }
}

/** The address space `mm` of a machine. */
export function spaceOf(w: World, mm: number): Space {
  const known = w.spaces.get(mm)
  if (known instanceof Space) return known
  const space = new Space(w, mm)
  w.spaces.set(mm, space)
  return space
}
