/** What is known of an address space besides its areas, where the log shows no maps. Floor 9. */
import type { Vpn } from "../../../mm/base/units.ts"

/** The first answer of a search in a new program: the areas that exec made lie above it. */
interface Anchor {
  /** First page above what was mapped then. */
  readonly end: Vpn
  /** Pages above `end` that may be free: the search looked for so many more than it mapped. */
  readonly slack: number
}

/** A search for `pages` found nothing higher: no hole of so many lies above `above`. */
interface Full {
  readonly above: Vpn
  readonly pages: number
}

/** Facts of one address space. Never changed, only replaced. */
export interface Facts {
  /** Did the log show its program begin? Then nothing is below the first answer of a search but the program and its heap. */
  readonly isWhole: boolean
  /** Is it known where the heap is? */
  readonly hasBreak: boolean
  readonly anchor: Anchor | undefined
  /** Has more than the first search been answered? Then it is known which way they go. */
  readonly isDirected: boolean
  readonly full: readonly Full[]
  /** Has a call set a limit on the process that memory may run into? */
  readonly isLimited: boolean
}

export const nothingKnown: Facts = {
  isWhole: false,
  hasBreak: false,
  anchor: undefined,
  isDirected: false,
  full: [],
  isLimited: false
}

/** A search for `pages` answered `at`. */
export function withSearch(facts: Facts, at: Vpn, pages: number): Facts {
  // what lies below the anchor is known: there the answer says nothing new
  const above = facts.anchor === undefined ? at : Math.max(at, facts.anchor.end)
  if (isExcluded(facts, above, pages)) return facts
  const kept = facts.full.filter((one) => one.above < above || one.pages < pages)
  return { ...facts, full: [...kept, { above, pages }] }
}

/** Is it known that no hole of `pages` lies at `at` or above? */
export const isExcluded = (facts: Facts, at: Vpn, pages: number): boolean =>
  facts.full.some((one) => one.above <= at && one.pages <= pages)
