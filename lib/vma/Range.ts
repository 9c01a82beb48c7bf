/** Ranges `[start, end)` of addresses, of an object's offsets, and of a file's. Floor 8.
 *
 * Three kinds that the compiler keeps apart; numbers at run time. What a range must be where pages are meant, neither empty
 * nor unaligned, is a type of its own, minted by `ofPages` and `pages`.
 * @source gvisor pkg/segment/range.go
 */
import { Option } from "effect"
import { PAGE_SIZE } from "../mm/base/units.ts"
import { pageRangeOf } from "./raw.ts"

declare const kind: unique symbol
/** Named for what the compiler says of a range that may be something else. */
declare const notEmptyAndPageAligned: unique symbol

/** What a range is of: user addresses, offsets in an object, offsets in a memory file; in bytes. */
export type Kind = "addr" | "mappable" | "file"

/** A range of bytes. It may be ill-formed; every function but `isWellFormed` and `format` wants it well-formed. */
export interface Range<out K extends Kind> {
  readonly [kind]?: K
  /** First byte. */
  readonly start: number
  /** Behind the last byte. */
  readonly end: number
}

/** One page or more, page-aligned. */
export interface PageRange<out K extends Kind> extends Range<K> {
  readonly [notEmptyAndPageAligned]: true
}

/** User addresses. */
export type AddrRange = Range<"addr">
/** Offsets in an object. */
export type MappableRange = Range<"mappable">
/** Offsets in a memory file. */
export type FileRange = Range<"file">

/** The range from `start` to `end`, whatever they are. */
export const make = <K extends Kind>(start: number, end: number): Range<K> => ({ start, end })

/** `count` pages from page `first` on.
 * Throws RangeError for what is no range of pages.
 */
export const ofPages = <K extends Kind>(first: number, count: number): PageRange<K> => {
  const range = make<K>(first * PAGE_SIZE, (first + count) * PAGE_SIZE)
  if (
    !Number.isInteger(first) ||
    !Number.isInteger(count) ||
    first < 0 ||
    count < 1 ||
    !Number.isSafeInteger(range.end)
  )
    throw new RangeError(`a range of ${count} pages from page ${first}, expected one or more from 0 or more on`)
  return pageRangeOf(range)
}

/** The same range as whole pages. @returns none if it is empty, ill-formed or unaligned */
export const pages = <K extends Kind>(range: Range<K>): Option.Option<PageRange<K>> =>
  isPages(range) ? Option.some(pageRangeOf(range)) : Option.none()

/** Is it whole pages, and one at least? */
export const isPages = (range: Range<Kind>): boolean =>
  range.start < range.end && range.start >= 0 && range.start % PAGE_SIZE === 0 && range.end % PAGE_SIZE === 0

/** Does it not end before it begins? */
export const isWellFormed = (range: Range<Kind>): boolean => range.start <= range.end
/** Its bytes. */
export const length = (range: Range<Kind>): number => range.end - range.start
/** Is `at` inside? */
export const contains = (range: Range<Kind>, at: number): boolean => range.start <= at && at < range.end
/** Have the two a byte in common? */
export const overlaps = <K extends Kind>(a: Range<K>, b: Range<NoInfer<K>>): boolean =>
  a.start < b.end && b.start < a.end
/** Does `a` begin and end no later and no earlier than `b`? An empty `b` at an edge counts. */
export const isSupersetOf = <K extends Kind>(a: Range<K>, b: Range<NoInfer<K>>): boolean =>
  a.start <= b.start && a.end >= b.end
/** What they have in common; of length 0 if that is nothing. */
export const intersect = <K extends Kind>(a: Range<K>, b: Range<NoInfer<K>>): Range<K> => {
  const start = Math.max(a.start, b.start)
  return make(start, Math.max(start, Math.min(a.end, b.end)))
}
/** Can it be cut in two at `at`, neither half empty? */
export const canSplitAt = (range: Range<Kind>, at: number): boolean => range.start < at && at < range.end

/** As gVisor prints it: `[0x1000, 0x2000)`. */
export const format = (range: Range<Kind>): string => `[0x${range.start.toString(16)}, 0x${range.end.toString(16)})`

const WORD = 2n ** 64n
const PAGE = BigInt(PAGE_SIZE)

/** `address` rounded up to the next page. @returns none beyond 64 bits, where it would be 0 */
export const roundUp = (address: number | bigint): Option.Option<number> => {
  const up = ((BigInt(address) + PAGE - 1n) / PAGE) * PAGE
  return up < WORD ? Option.some(Number(up)) : Option.none()
}

/** The `bytes` from `start` on. @returns none where their end is not below 2^64 */
export const from = <K extends Kind>(start: number | bigint, bytes: number | bigint): Option.Option<Range<K>> => {
  const end = BigInt(start) + BigInt(bytes)
  return end < WORD ? Option.some(make(Number(start), Number(end))) : Option.none()
}
