/** Units of the core, and the one place where registers become page numbers. Floor 1.
 *
 * A user address has 47 bits and fits a double; the core works in page numbers (`Vpn`, 35 bits) so that no address is
 * ever shifted. A system call's argument is a 64-bit register (`Word`): anything a caller can pass, a bigint included,
 * is cut to 64 bits here and split into a page number (52 bits, exact as a double) and an offset within the page.
 */
type Flavor<Name extends string> = number & { readonly __unit?: Name }

/** Virtual page number: address / 4096. */
export type Vpn = Flavor<"Vpn">
/** Page frame number. Frame 0 is the page of zeroes. */
export type Pfn = Flavor<"Pfn">
/** Page offset within an object. */
export type PgOff = Flavor<"PgOff">
/** Byte address in user space, below 2^47. */
export type Addr = Flavor<"Addr">
/** A 64-bit register as a caller hands it over: anything. */
export type Word = number | bigint

export const PAGE_SHIFT = 12
export const PAGE_SIZE = 4096
/** Pages of user space: the first page that no process may have. */
export const TASK_PAGES = 0x7ffffffff
/** End of user space in bytes, exclusive. */
export const TASK_SIZE = TASK_PAGES * PAGE_SIZE
/** Pages of the whole 64-bit range. */
export const WORD_PAGES = 2 ** 52
/** Free pages kept below a growing-down area (`stack_guard_gap`). */
export const STACK_GUARD_PAGES = 256
/** 2 MiB in pages: the alignment of a huge page. */
export const PMD_PAGES = 512
/** 4 GiB in pages. */
export const PAGES_4G = 0x100000

// `Math.floor` is one instruction; `%` on doubles is a call of 10 ns, and a system call asked for it ten times.
const plain = (x: Word): x is number =>
  typeof x === "number" && x >= 0 && x <= Number.MAX_SAFE_INTEGER && Math.floor(x) === x

/** The 64 bits of a register. Fractions are cut, negative numbers wrap, NaN is 0, infinities are all ones. */
export function registerOf(x: Word): bigint {
  if (typeof x === "bigint") return BigInt.asUintN(64, x)
  if (Number.isNaN(x)) return 0n
  if (!Number.isFinite(x)) return 0xffff_ffff_ffff_ffffn
  return BigInt.asUintN(64, BigInt(Math.trunc(x)))
}

/** Page number of a register, rounded down. Below 2^52. */
export function pageOf(x: Word): number {
  return plain(x) ? Math.floor(x / PAGE_SIZE) : Number(registerOf(x) >> 12n)
}

/** Offset within the page, 0..4095. */
export function offsetInPage(x: Word): number {
  return plain(x) ? x - Math.floor(x / PAGE_SIZE) * PAGE_SIZE : Number(registerOf(x) & 4095n)
}

/** `PAGE_ALIGN(x) >> PAGE_SHIFT` with 64-bit wrap: a length that overflows when rounded up is 0 pages. */
export function pagesUp(x: Word): number {
  const p = pageOf(x) + (offsetInPage(x) === 0 ? 0 : 1)
  return p === WORD_PAGES ? 0 : p
}

/** Is the whole register zero? */
export function isZero(x: Word): boolean {
  return plain(x) ? x === 0 : registerOf(x) === 0n
}

/** Low 32 bits as an int32: flag words. */
export function lowBits(x: Word): number {
  return plain(x) ? x | 0 : Number(BigInt.asIntN(32, registerOf(x)))
}

/** High 32 bits as an int32. */
export function highBits(x: Word): number {
  return plain(x) ? (x / 2 ** 32) | 0 : Number(BigInt.asIntN(32, registerOf(x) >> 32n))
}

/** Byte address of a page number. */
export const addrOf = (vpn: Vpn): Addr => vpn * PAGE_SIZE

/** Page number of a user address that is known to be one. */
export const vpnOf = (addr: Addr): Vpn => Math.floor(addr / PAGE_SIZE)

/** Leaf page-table number of a page number: 26 bits, an int32. */
export const leafOf = (vpn: Vpn): number => (vpn * (1 / 512)) | 0

/** Index within its leaf table. */
export const indexOf = (vpn: Vpn): number => vpn & 511
