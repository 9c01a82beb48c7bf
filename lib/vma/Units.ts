/** Units: a plain number at run time, opaque to the compiler, so that neither `addr + pfn` nor `addr < pfn` compiles.
 * Numbers enter through a checked constructor and leave through `raw`. Floor 8.
 */
import { Option } from "effect"
import { PAGE_SIZE } from "../mm/base/units.ts"
import { numberOf, unitOf } from "./raw.ts"
import type { ByteLength, FileOffset, PageAligned, PageIndex, Pfn, PhysAddr, Unit, UserAddr } from "./unit.ts"

export type { ByteLength, FileOffset, PageAligned, PageIndex, Pfn, PhysAddr, Unit, UserAddr } from "./unit.ts"

const WORD = 2 ** 64

function checked<U extends Unit>(what: string, n: number, below: number): U {
  if (!Number.isInteger(n) || n < 0 || n >= below)
    throw new RangeError(`${what} is ${n}, expected an integer of 0 or more, below ${below}`)
  return unitOf(n)
}

/** The number inside a unit: bytes, or a page number. */
export const raw = (unit: Unit): number => numberOf(unit)

/** An address from a number of bytes.
 * Throws RangeError for what is no 64-bit address.
 */
export const userAddr = (bytes: number): UserAddr => checked("user address", bytes, WORD)
/** A physical address from a number of bytes. Throws RangeError for what is none. */
export const physAddr = (bytes: number): PhysAddr => checked("physical address", bytes, WORD)
/** A frame number. Throws RangeError for what is none. */
export const pfn = (n: number): Pfn => checked("page frame number", n, 2 ** 52)
/** A page offset within an object. Throws RangeError for what is none. */
export const pageIndex = (n: number): PageIndex => checked("page index", n, 2 ** 52)
/** A length from a number of bytes. Throws RangeError for what is none. */
export const bytes = (n: number): ByteLength => checked("length", n, WORD)
/** A file offset from a number of bytes. Throws RangeError for what is none. */
export const fileOffset = (n: number): FileOffset => checked("file offset", n, Number.MAX_SAFE_INTEGER + 1)
/** The length of `n` pages. */
export const pages = (n: number): PageAligned<ByteLength> => checked("length in pages", n * PAGE_SIZE, WORD)

type Aligned<S extends string> = S extends `0x${string}000` ? PageAligned<UserAddr> : UserAddr

/** An address from a literal; the compiler reads off its last three digits whether it is page aligned.
 * Throws RangeError for what is no address.
 * @example
 * ```ts
 * import { Units } from "pagewright"
 * const at = Units.va("0x7f00_0000_1000")
 * ```
 */
export const va = <const S extends `0x${string}`>(literal: S): Aligned<S> =>
  checked<Aligned<S>>("address", Number(literal.replaceAll("_", "")), WORD)

/** Says whether a byte unit is a multiple of the page size. */
export const isPageAligned = <U extends Unit>(unit: U): unit is U & PageAligned<U> => raw(unit) % PAGE_SIZE === 0
/** The address of the page that contains `address`. */
export const pageFloor = (address: UserAddr): PageAligned<UserAddr> => unitOf(raw(address) - (raw(address) % PAGE_SIZE))

/** Rounds up to the next page.
 * @returns none if that leaves the 64-bit range
 * @source rust/kernel/page.rs page_align (v6.18)
 */
export function pageAlign(address: UserAddr): Option.Option<PageAligned<UserAddr>>
/** Rounds a length up to whole pages. @returns none if that leaves the 64-bit range */
export function pageAlign(length: ByteLength): Option.Option<PageAligned<ByteLength>>
export function pageAlign(unit: UserAddr | ByteLength): Option.Option<PageAligned<UserAddr> & PageAligned<ByteLength>> {
  const up = Math.ceil(raw(unit) / PAGE_SIZE) * PAGE_SIZE
  return up < WORD ? Option.some(unitOf(up)) : Option.none()
}

/** The address `by` bytes above `address`. Throws RangeError beyond the 64-bit range. */
export function offset(address: PageAligned<UserAddr>, by: PageAligned<ByteLength>): PageAligned<UserAddr>
/** The same where alignment is not known. */
export function offset(address: UserAddr, by: ByteLength): UserAddr
export function offset(address: UserAddr, by: ByteLength): PageAligned<UserAddr> {
  return checked("address", raw(address) + raw(by), WORD)
}

/** The bytes from `low` up to `high`. Throws RangeError if `high` is the lower one. */
export function between(low: PageAligned<UserAddr>, high: PageAligned<UserAddr>): PageAligned<ByteLength>
/** The same where alignment is not known. */
export function between(low: UserAddr, high: UserAddr): ByteLength
export function between(low: UserAddr, high: UserAddr): PageAligned<ByteLength> {
  return checked("length", raw(high) - raw(low), WORD)
}

/** The whole pages in `length`, rounded down. */
export const pageCount = (length: ByteLength): number => Math.floor(raw(length) / PAGE_SIZE)
/** The physical address where frame `frame` starts. */
export const physOf = (frame: Pfn): PageAligned<PhysAddr> => unitOf(raw(frame) * PAGE_SIZE)
/** An address as Linux prints it: lower-case hexadecimal, at least eight digits, no prefix. */
export const hex = (address: UserAddr): string => raw(address).toString(16).padStart(8, "0")
