/** A search that answers with a place which the log has not shown to be free. Floor 9.
 *
 *     heap ... free ...     | first answer | slack | what exec mapped: hidden, with holes perhaps
 *
 * Searches go from the top down. After exec the first one finds nothing below it but free space, down to the heap.
 */
import { LEGACY_BASE } from "../../../mm/area/gap.ts"
import { pageOf, pagesUp, PMD_PAGES, TASK_PAGES, type Vpn } from "../../../mm/base/units.ts"
import { MMAP_BOTTOM_UP } from "../../../mm/store/mms.ts"
import type { Space } from "../world.ts"
import { isExcluded, withSearch } from "./facts.ts"
import { type Asked, type Taken } from "./judge.ts"
import type { Got, State } from "./state.ts"

/** Where the heap is not known: so much below the first answer counts as free. 8 TiB. */
const FREE_BELOW = 2 ** 31
/** How far from a third of user space the legacy layout may begin: 4 TiB. */
const RANDOM_BASE = 2 ** 30
const LOW_32BIT = 0x40000
const HIGH_32BIT = 0x80000
/** 32 MiB in pages. */
const RANDOM_32BIT = 0x2000

/** What the kernel looked for: `pages` to map, in a hole of `searched`. */
export interface Sought {
  readonly pages: number
  readonly searched: number
}

/** Of memory that is placed for huge pages, room for one more is looked for. */
export const sought = (pages: number, isForHuge: boolean): Sought => ({
  pages,
  searched: isForHuge ? pages + PMD_PAGES : pages
})

/** Explains the recorded place by a hole in what is hidden, if there may be one.
 * @param perform - does what the call did, at its place, which is free then
 */
export function* findHole(asked: Asked, what: Sought, perform: () => Got | undefined): Iterable<Taken> {
  const { process, state, want } = asked
  const { space } = process
  const { territory } = state
  const start = pageOf(want)
  const end = start + what.pages
  if (territory.isTaken(space.mm, start, end)) return
  // the hole may reach beyond what is mapped, by as much as more was looked for
  const more = what.searched - what.pages
  const [low, high] = territory.untaken(space.mm, start, end, more)
  if (high - low < what.searched || !territory.touches(space.mm, low, high)) return
  const facts = state.factsOf(space)
  if (state.world.k.mms.stat(space.mm, MMAP_BOTTOM_UP) !== 0) return
  // of several holes the highest is taken
  if (state.world.k.maple.gapDown(space.mm, what.searched, 1, TASK_PAGES) > start) return
  // that there was none says nothing of one that has become larger since
  if (isExcluded(facts, start, what.searched) && !territory.isNextToFree(space.mm, start, end)) return
  const step = (): Got => {
    openUp(state, space, start, what)
    return perform() ?? NaN
  }
  const isFirst = facts.isWhole && facts.anchor === undefined
  yield { why: isFirst ? "where the first search begins" : "a hole in what was mapped before", step }
}

/** A search answered as predicted: no hole that would have done lies higher. */
export function learnSearch({ process, state, want }: Asked, { searched }: Sought): void {
  const facts = withSearch(state.factsOf(process.space), pageOf(want), searched)
  state.learn(process.space, facts.isDirected ? facts : { ...facts, isDirected: facts.anchor !== undefined })
}

/** The second search of a program whose searches go up, as they do in the legacy layout: right above the first. */
export function* findUpward({ process, state, want }: Asked, perform: () => Got | undefined): Iterable<Taken> {
  const { space } = process
  const { anchor, isDirected, isWhole } = state.factsOf(space)
  if (!isWhole || isDirected || anchor === undefined || pageOf(want) < anchor.end) return
  if (anchor.end < LEGACY_BASE || anchor.end > LEGACY_BASE + RANDOM_BASE) return
  const step = (): Got => {
    state.searchUp(space, anchor.end, anchor.end + FREE_BELOW)
    return perform() ?? NaN
  }
  yield { why: "in which direction searches go", step }
}

/** MAP_32BIT: the search goes up from 1 GiB, with address randomisation from up to 32 MiB above that. */
export function* findLow(
  { process, state, want }: Asked,
  pages: number,
  perform: () => Got | undefined
): Iterable<Taken> {
  const { mm } = process.space
  const start = pageOf(want)
  const end = start + pages
  if (start < LOW_32BIT || end > HIGH_32BIT || state.territory.isTaken(mm, start, end)) return
  const isFirst = start <= LOW_32BIT + RANDOM_32BIT || state.world.k.maple.lookup(mm, start - 1) !== 0
  if (!isFirst) return
  const step = (): Got => (state.territory.free(mm, start, end), perform() ?? NaN)
  yield { why: "where below 2 GiB a search begins", step }
}

/** Makes the place free, and what is free with it. */
function openUp(state: State, space: Space, start: Vpn, { pages, searched }: Sought): void {
  const { mm } = space
  const facts = state.factsOf(space)
  const end = start + pages
  if (facts.isWhole && facts.anchor === undefined) {
    state.territory.free(mm, bottomOf(state, space, start), end)
    state.boundSearches(space, end)
    return state.learn(space, withSearch({ ...facts, anchor: { end, slack: searched - pages } }, end, searched))
  }
  const { anchor } = facts
  const isSlack = anchor !== undefined && end <= anchor.end + anchor.slack
  state.territory.free(mm, isSlack ? anchor.end : start, end)
  const next = isSlack ? { ...facts, isDirected: true, anchor: { end, slack: anchor.end + anchor.slack - end } } : facts
  state.learn(space, withSearch(next, end, searched))
}

/** The first page that is free below a new program's first answer. */
function bottomOf(state: State, space: Space, at: Vpn): Vpn {
  const heapEnd = pagesUp(state.brk(space))
  return state.factsOf(space).hasBreak && heapEnd <= at ? heapEnd : Math.max(0, at - FREE_BELOW)
}
