/** Words of the rows: pages of the arena, answers of calls, signals. See world.ts. */
import { nameOf } from "../../../lib/flags/Errno.ts"
import {
  FAULT_ACCERR,
  FAULT_GP,
  FAULT_HWPOISON,
  FAULT_MAPERR,
  FAULT_OOM,
  FAULT_SIGBUS
} from "../../../lib/flags/FaultFlags.ts"
import { ANONYMOUS, PRIVATE, SHARED } from "../../../lib/flags/MapFlags.ts"
import { EXEC, NONE, READ, WRITE } from "../../../lib/flags/ProtFlags.ts"

export { NONE }
export const RW = READ | WRITE
export const RO = READ
export const RX = READ | EXEC
export const RWX = RW | EXEC
/** Private anonymous memory, and shared. */
export const ANON = PRIVATE | ANONYMOUS
export const SHARED_ANON = SHARED | ANONYMOUS

/** Page number of a0: address 0x200000000000, the start of a page table. */
export const A0 = 0x200000000
/** Addresses up to here are written as pages of the arena. */
export const ARENA_PAGES = 0x10000

/** `a3`, one page; `a3+2`, two. */
export type Pages = `a${number}` | `a${number}+${number}`

/** Byte address of an arena page. */
export const at = (page: `a${number}`): number => (A0 + Number(page.slice(1))) * 4096

/** Page number and length of a range. */
export function parse(range: Pages): readonly [page: number, pages: number] {
  const [page, pages = "1"] = range.slice(1).split("+")
  return [A0 + Number(page), Number(pages)]
}

/** `a3`, or the address in hex where it is none of the arena. */
export const placeName = (addr: number): string => {
  const page = addr / 4096 - A0
  return page >= 0 && page < ARENA_PAGES && Number.isInteger(page) ? `a${page}` : `0x${addr.toString(16)}`
}

/** `a3+2`; `a3` where it is one page. */
export const rangeName = (start: number, end: number): string =>
  end - start === 1 ? placeName(start * 4096) : `${placeName(start * 4096)}+${end - start}`

/** What a call answered: an errno's name, `ok` for 0, a place of the arena, else the number. */
export function outcome(r: number): string {
  if (r < 0) return nameOf(r) ?? String(r)
  if (r === 0) return "ok"
  return r < 4096 ? String(r) : placeName(r)
}

const signals: Readonly<Record<number, string>> = {
  [FAULT_MAPERR]: "SEGV_MAPERR",
  [FAULT_ACCERR]: "SEGV_ACCERR",
  [FAULT_SIGBUS]: "SIGBUS",
  [FAULT_HWPOISON]: "SIGBUS_POISON",
  [FAULT_OOM]: "OOM",
  [FAULT_GP]: "SEGV_GP"
}

/** What an access met: a byte, or the signal that a negated fault code stands for. */
export const byteOrSignal = (r: number): string => (r < 0 ? (signals[-r] ?? String(r)) : String(r))
