/** Who maps which offsets of an object, for objects that want to know it themselves. Floor 8.
 *
 *     offset   0x0 ........ 0x2000 .......... 0x5000
 *              {a at 0x10000} {a, b at 0x80000} {b}      each segment: an exact set of mappings
 *
 * What the core knows of an object, its mapping set, is what `Mappable.invalidate` walks; this one is an object's own.
 * @source gvisor pkg/sentry/memmap/mapping_set.go
 */
import { Effect } from "effect"
import { vmBugOn } from "../mm/base/debug.ts"
import type { InvalidateOpts, MappingSpace } from "./mapping-space.ts"
import type { Mapping } from "./mappable-object.ts"
import { PAGE_SIZE } from "../mm/base/units.ts"
import {
  canSplitAt,
  format,
  isSupersetOf,
  length,
  make as range,
  type MappableRange,
  ofPages,
  overlaps,
  type PageRange
} from "./Range.ts"

/** A mapping of a segment: where its first byte is mapped. */
export interface Member {
  readonly space: MappingSpace
  readonly addr: number
  readonly writable: boolean
}

/** Offsets that have the same mappings. */
export interface Segment extends MappableRange {
  readonly members: readonly Member[]
}

/** A mutable set of mappings, by offset. */
export interface MappingSet {
  /** In order, without overlap; neighbours that could be one are one. */
  segments: readonly Segment[]
}

/** An empty set. */
export const make = (): MappingSet => ({ segments: [] })

const same = (a: Member, b: Member): boolean => a.space === b.space && a.addr === b.addr && a.writable === b.writable

/** The member that a mapping of `whole`, whose first byte is at `addr`, is for the part `subset` of it.
 * Throws where `subset` is not inside.
 */
export const subsetMapping = (
  whole: MappableRange,
  subset: MappableRange,
  space: MappingSpace,
  addr: number,
  writable: boolean
): Member =>
  isSupersetOf(whole, subset)
    ? { space, addr: addr + (subset.start - whole.start), writable }
    : vmBugOn(`${format(subset)} is no part of ${format(whole)}`)

/** The two halves of a segment. Throws where `at` is not inside. */
export const split = (segment: Segment, at: number): readonly [Segment, Segment] =>
  canSplitAt(segment, at)
    ? [
        { ...range(segment.start, at), members: segment.members },
        {
          ...range(at, segment.end),
          members: segment.members.map((m) => ({ ...m, addr: m.addr + (at - segment.start) }))
        }
      ]
    : vmBugOn(`${format(segment)} is split at 0x${at.toString(16)}`)

/** The segment that two neighbours are together; undefined unless each mapping of the one goes on in the other. */
export const merge = (a: Segment, b: Segment): Segment | undefined => {
  if (a.end !== b.start || a.members.length !== b.members.length) return undefined
  const goesOn = (m: Member): boolean => {
    const next = { ...m, addr: m.addr + length(a) }
    return b.members.some((one) => same(one, next))
  }
  return a.members.every(goesOn) ? { ...range(a.start, b.end), members: a.members } : undefined
}

/** Adds a mapping. A set holds each once.
 * @returns the offsets that nobody had mapped before
 */
export const add = (set: MappingSet, mapping: Mapping): readonly MappableRange[] => {
  const whole = wholeOf(mapping)
  const fresh: MappableRange[] = []
  change(set, whole, (segment, members) => {
    if (members.length === 0) fresh.push(segment)
    const member = subsetMapping(whole, segment, mapping.space, mapping.range.start, mapping.writable)
    return members.some((one) => same(one, member)) ? members : [...members, member]
  })
  return fresh
}

/** Takes a mapping, or a part of one, out.
 * Throws where nobody has mapped its first offset.
 * @returns the offsets that nobody maps any more
 */
export const remove = (set: MappingSet, mapping: Mapping): readonly MappableRange[] => {
  const whole = wholeOf(mapping)
  const first = set.segments[lowerBound(set, whole.start)]
  if (first === undefined || first.start > whole.start)
    vmBugOn(`a mapping of ${format(whole)} is removed, and nobody maps its first offset`)
  const gone: MappableRange[] = []
  change(set, whole, (segment, members) => {
    const member = subsetMapping(whole, segment, mapping.space, mapping.range.start, mapping.writable)
    const left = members.filter((one) => !same(one, member))
    if (members.length > 0 && left.length === 0) gone.push(range(segment.start, segment.end))
    return left
  })
  return gone
}

/** Tells every space that maps some of `offsets` to forget exactly those. */
export const invalidate = (
  set: MappingSet,
  offsets: PageRange<"mappable">,
  options: InvalidateOpts
): Effect.Effect<void> =>
  Effect.suspend(() => {
    const told: Effect.Effect<void>[] = []
    for (let i = lowerBound(set, offsets.start); i < set.segments.length; i++) {
      const segment = set.segments[i]!
      if (!overlaps(segment, offsets)) break
      const part = range<"mappable">(Math.max(segment.start, offsets.start), Math.min(segment.end, offsets.end))
      for (const { addr, space, writable } of segment.members) {
        const at = subsetMapping(segment, part, space, addr, writable).addr
        told.push(space.invalidate(ofPages(at / PAGE_SIZE, length(part) / PAGE_SIZE), options))
      }
    }
    return Effect.forEach(told, (one) => one, { discard: true })
  })

/** The same for every offset: once for each mapping of each segment. */
export const invalidateAll = (set: MappingSet, options: InvalidateOpts): Effect.Effect<void> =>
  Effect.suspend(() => {
    const last = set.segments.at(-1)
    return last === undefined ? Effect.void : invalidate(set, ofPages(0, last.end / PAGE_SIZE), options)
  })

const wholeOf = ({ offset, range: r }: Mapping): MappableRange => range(offset, offset + length(r))

/** Index of the first segment that ends above `at`. */
const lowerBound = ({ segments }: MappingSet, at: number): number => {
  let low = 0
  let high = segments.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (segments[middle]!.end > at) high = middle
    else low = middle + 1
  }
  return low
}

/** Cuts what is there to the edges of `whole`, gives every piece of `whole` its new members, and joins what can be one. */
const change = (
  set: MappingSet,
  whole: MappableRange,
  to: (segment: MappableRange, members: readonly Member[]) => readonly Member[]
): void => {
  const { segments } = set
  const first = lowerBound(set, whole.start)
  const pieces: Segment[] = []
  let at = whole.start
  let i = first
  for (; i < segments.length && segments[i]!.start < whole.end; i++) {
    let segment = segments[i]!
    if (segment.start < whole.start) {
      const [below, above] = split(segment, whole.start)
      pieces.push(below)
      segment = above
    }
    let rest: Segment | undefined
    if (segment.end > whole.end) [segment, rest] = split(segment, whole.end)
    if (at < segment.start) pieces.push(pieceOf(range(at, segment.start), [], to))
    pieces.push(pieceOf(segment, segment.members, to))
    at = segment.end
    if (rest !== undefined) pieces.push(rest)
  }
  if (at < whole.end) pieces.push(pieceOf(range(at, whole.end), [], to))
  const from = Math.max(0, first - 1)
  const end = Math.min(segments.length, i + 1)
  const joined: Segment[] = []
  for (const segment of [...segments.slice(from, first), ...pieces, ...segments.slice(i, end)]) {
    if (segment.members.length === 0) continue
    const before = joined.at(-1)
    const both = before === undefined ? undefined : merge(before, segment)
    if (both === undefined) joined.push(segment)
    else joined[joined.length - 1] = both
  }
  set.segments = [...segments.slice(0, from), ...joined, ...segments.slice(end)]
}

const pieceOf = (
  segment: MappableRange,
  members: readonly Member[],
  to: (segment: MappableRange, members: readonly Member[]) => readonly Member[]
): Segment => ({ ...range(segment.start, segment.end), members: to(segment, members) })
