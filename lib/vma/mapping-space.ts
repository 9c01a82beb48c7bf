/** Address spaces as objects see them: what maps them, and what can be told to forget. Floor 8; `Mappable` has the names. */
import type { Effect } from "effect"
import type { PageRange } from "./Range.ts"

/** An address space that maps an object. The same one every time the same one maps. */
export interface MappingSpace {
  /** Drops the translations of `range`: the next access asks again. Private copies stay, unless they are to go too. A range
   * that nobody maps is no error.
   * @locks none, so it may be called while others fault
   */
  readonly invalidate: (range: PageRange<"addr">, options: InvalidateOpts) => Effect.Effect<void>
}

/** How far an invalidation goes. */
export interface InvalidateOpts {
  /** Do private copies go too? Their data is lost. */
  readonly invalidatePrivate: boolean
}
