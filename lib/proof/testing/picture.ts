/** Pictures of address spaces: one page a character. Floor 9, internal.
 *
 *     "aba"     three areas; the outer two have the same attributes
 *     "aa.b"    an area of two pages, a hole, an area of one
 *     "aa|aa"   two areas with the same attributes that did not merge
 */
import { VM_ACCOUNT } from "../../flags/bits.ts"
import { ANONYMOUS, FIXED, PRIVATE, SHARED } from "../../flags/MapFlags.ts"
import { EXEC, NONE, READ, WRITE } from "../../flags/ProtFlags.ts"
import { DIRTY, PRESENT, PROTNONE, SPECIAL, WRITE as PTE_WRITE, ZERO } from "../../flags/PteFlags.ts"
import { KernelBug } from "../../mm/base/debug.ts"
import type { Kernel } from "../../mm/kernel.ts"
import { bitsAt, follow } from "../../mm/page/walk.ts"
import { F_ANON } from "../../mm/store/frames.ts"
import { mmap } from "../../mm/sys/mmap.ts"
import type { SyncHook } from "../../mm/sys/run-now.ts"
import { call, HERE } from "./calls.ts"

/** What a letter of a picture stands for, when a picture is mapped. */
export interface Attributes {
  /** ProtFlags. */
  readonly prot: number
  /** MapFlags, MAP_FIXED aside. */
  readonly flags: number
  /** Descriptor; -1 or absent for anonymous memory. */
  readonly fd?: number
  /** Page offset within the file of the picture's first page: pages of one file lie as in the picture. 0 if absent. */
  readonly pgoff?: number
}

/** What letters stand for. */
export type Legend = Readonly<Record<string, Attributes>>

const ANON = PRIVATE | ANONYMOUS

/** The letters that every picture knows: private anonymous memory by protection, and shared memory. */
export const letters: Legend = {
  a: { prot: READ | WRITE, flags: ANON },
  b: { prot: READ, flags: ANON },
  c: { prot: READ | EXEC, flags: ANON },
  n: { prot: NONE, flags: ANON },
  s: { prot: READ | WRITE, flags: SHARED | ANONYMOUS }
}

/** Maps a picture, one mmap for each run of equal letters, from the left. A `.` is left as it is, a `|` parts two calls.
 * @param at - page number of the first character
 * @returns OK | the first errno; what was mapped before it stays
 */
export function mapPicture(
  k: Kernel,
  task: number,
  picture: string,
  legend: Legend = letters,
  at = HERE,
  hook?: SyncHook
): number {
  let page = at
  for (const run of picture.match(/\|+|\.+|([^.|])\1*/g) ?? []) {
    const letter = run[0]!
    if (letter === "|") continue
    if (letter !== ".") {
      const a = legend[letter] ?? letters[letter]
      if (a === undefined) throw new KernelBug(`picture "${picture}": the legend has no "${letter}"`)
      const off = a.fd === undefined || a.fd < 0 ? 0 : ((a.pgoff ?? 0) + page - at) * 4096
      const r = call(
        k,
        () => mmap(k, task, page * 4096, run.length * 4096, a.prot, a.flags | FIXED, a.fd ?? -1, off),
        hook
      )
      if (r < 0) return r
    }
    page += run.length
  }
  return 0
}

/** Attributes of an area that keep it from merging with another; its place, its offset and its pages do not count. */
const keyOf = (k: Kernel, v: number): string =>
  `${k.vmas.flags(v) & ~VM_ACCOUNT} ${k.vmas.flagsHi(v)} ${k.vmas.file(v)} ${k.vmas.ops(v)}`

/** Longer runs of one character are written as `a*4096`. */
const LONGEST_RUN = 64

const run = (letter: string, pages: number): string =>
  pages <= LONGEST_RUN ? letter.repeat(pages) : `${letter}*${pages}`

/** Draws the areas of `mm`: letters in order of first appearance, `.` for a hole, `|` between two areas with equal
 * attributes that are not one.
 * @param from - page number of the first character; the first area if absent
 * @param pages - characters, `|` aside; up to the last area if absent
 */
export function drawAreas(k: Kernel, mm: number, from?: number, pages?: number): string {
  const seen = new Map<string, string>()
  let out = ""
  let before = ""
  let at = from
  const end = from === undefined || pages === undefined ? Infinity : from + pages
  for (let v = k.maple.find(mm, from ?? 0); v !== 0 && k.vmas.startOf(v) < end; v = k.maple.next(mm, v)) {
    const start = Math.max(k.vmas.startOf(v), from ?? 0)
    const hole = start - (at ?? start)
    if (hole > 0) out += run(".", hole)
    const key = keyOf(k, v)
    const letter = seen.get(key) ?? String.fromCharCode(97 + (seen.size % 26))
    seen.set(key, letter)
    if (letter === before && hole === 0) out += "|"
    at = Math.min(k.vmas.endOf(v), end)
    out += run(letter, at - start)
    before = letter
  }
  return end === Infinity ? out : out + run(".", end - (at ?? end))
}

/** Draws what the page tables of `mm` have for each page of its areas:
 *
 *     _  nothing              z  the page of zeroes
 *     A  own page, writable   a  own page, a write faults (shared after fork, or read-only)
 *     O  page of the object, writable    o  page of the object, a write faults
 *     n  any of them, while the area forbids every access    p  raw frame number    .  no area
 */
export function drawPages(k: Kernel, mm: number, from?: number, pages?: number): string {
  const first = from ?? (k.maple.find(mm, 0) === 0 ? 0 : k.vmas.startOf(k.maple.find(mm, 0)))
  const last = k.maple.below(mm, Infinity)
  const end = pages === undefined ? (last === 0 ? first : k.vmas.endOf(last)) : first + pages
  let out = ""
  let count = 0
  let before = ""
  for (let at = first; at < end; at++) {
    const here = pageLetter(k, mm, at)
    if (here !== before) {
      out += run(before, count)
      before = here
      count = 0
    }
    count++
    if (here === "." && k.maple.find(mm, at) !== 0) {
      // holes may be wide
      const to = Math.min(k.vmas.startOf(k.maple.find(mm, at)), end)
      count += to - at - 1
      at = to - 1
    }
  }
  return out + run(before, count)
}

function pageLetter(k: Kernel, mm: number, vpn: number): string {
  if (k.maple.lookup(mm, vpn) === 0) return "."
  const bits = bitsAt(k, mm, vpn)
  if ((bits & PRESENT) === 0) return "_"
  if ((bits & PROTNONE) !== 0) return "n"
  if ((bits & SPECIAL) !== 0) return "p"
  if ((bits & ZERO) !== 0) return "z"
  const letter = k.frames.has(follow(k, mm, vpn), F_ANON) ? "a" : "o"
  return (bits & (PTE_WRITE | DIRTY)) === (PTE_WRITE | DIRTY) ? letter.toUpperCase() : letter
}
