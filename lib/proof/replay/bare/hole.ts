/** A search that answers with a place which the log has not shown to be free. Floor 9.
 *
 *     heap ... free ...     | first answer | slack | what exec mapped: hidden, with holes perhaps
 *
 * Searches go from the top down. After exec the first one finds nothing below it but free space, down to the heap.
 */
import { pageOf, pagesUp, type Vpn } from "../../../mm/base/units.ts"
import type { Space } from "../world.ts"
import { isExcluded, searchedPages, withSearch } from "./facts.ts"
import { arg, type Asked, type Taken } from "./judge.ts"
import type { Got, State } from "./state.ts"

/** Where the heap is not known: so much below the first answer counts as free. 8 TiB. */
const FREE_BELOW = 2 ** 31
const LOW_32BIT = 0x40000
const HIGH_32BIT = 0x80000

/** Explains `want` by a hole in what is hidden, if there may be one.
 * @param isLow - MAP_32BIT: the search goes up from 1 GiB
 * @param bytes - how much it looks for
 */
export function* findHole(
  asked: Asked,
  got: Got,
  isLow: boolean,
  perform: () => Got | undefined,
  bytes = arg(asked.call, 1)
): Iterable<Taken> {
  const { process, state, want } = asked
  const { space } = process
  const pages = pagesUp(bytes)
  const at = pageOf(want)
  if (!state.territory.covers(space.mm, at, at + pages)) return
  if (isLow) {
    if (at < LOW_32BIT || at + pages > HIGH_32BIT) return
    const step = (): Got => (state.territory.free(space.mm, at, at + pages), perform() ?? NaN)
    yield { why: "what is mapped below 2 GiB", step }
    return
  }
  const facts = state.factsOf(space)
  // of several holes the highest is taken
  if (got > want || isExcluded(facts, at, searchedPages(pages))) return
  const step = (): Got => {
    openUp(state, space, at, pages)
    return perform() ?? NaN
  }
  const isFirst = facts.isWhole && facts.anchor === undefined
  yield { why: isFirst ? "where the first search begins" : "a hole in what was mapped before", step }
}

/** Makes the place free, and what is free with it. */
function openUp(state: State, space: Space, at: Vpn, pages: number): void {
  const { mm } = space
  const facts = state.factsOf(space)
  const end = at + pages
  if (facts.isWhole && facts.anchor === undefined) {
    state.territory.free(mm, bottomOf(state, space, at), end)
    const anchored = { ...facts, anchor: { end, slack: searchedPages(pages) - pages } }
    return state.learn(space, withSearch(anchored, end, searchedPages(pages)))
  }
  const { anchor } = facts
  const isSlack = anchor !== undefined && end <= anchor.end + anchor.slack
  state.territory.free(mm, isSlack ? anchor.end : at, end)
  const next = isSlack ? { ...facts, anchor: { end, slack: anchor.end + anchor.slack - end } } : facts
  state.learn(space, withSearch(next, end, searchedPages(pages)))
}

/** The first page that is free below a new program's first answer. */
function bottomOf(state: State, space: Space, at: Vpn): Vpn {
  const heapEnd = pagesUp(state.brk(space))
  return state.factsOf(space).hasBreak && heapEnd <= at ? heapEnd : Math.max(0, at - FREE_BELOW)
}
