/** Addresses on a page of limited height: what is never mapped is squeezed, what is mapped grows with its logarithm. Floor 9. */
import type { Look } from "./history.ts"
import { sizeOf } from "./table.ts"

/** Pixels of a gap: the largest ones are wide enough for a word. */
const WIDE_GAP = 18
const NARROW_GAP = 4
const MOST_WIDE = 8
/** Smaller gaps are never wide: 1 GiB. */
const WIDE_PAGES = 2 ** 18
/** The part of the height that narrow gaps take at most. */
const NARROW_PART = 0.2

/** Something never mapped between two parts of the picture. */
export interface Gap {
  /** Upper edge. */
  readonly y: number
  readonly height: number
  readonly pages: number
}

/** A run of addresses without a gap. */
export interface Block {
  readonly start: number
  readonly end: number
  /** Upper edge, where `end` is. */
  readonly top: number
  readonly bottom: number
}

/** Page numbers to vertical positions; higher addresses lie higher. */
export class Scale {
  readonly gaps: readonly Gap[]
  readonly blocks: readonly Block[]
  private readonly pages: readonly number[]
  private readonly ys: readonly number[]

  /** @param top - position of the highest address
   * @param height - pixels that there are; many gaps may need more
   */
  constructor(looks: readonly Look[], top: number, height: number) {
    const pages = boundsOf(looks)
    const mapped = mappedBetween(pages, looks)
    const gapPixels = gapHeights(pages, mapped, height)
    const weights = weightsOf(pages, mapped, looks)
    const free = Math.max(height / 2, height - sum(gapPixels))
    const unit = free / Math.max(1, sum(weights))
    const heights = pages.map((_, i) => gapPixels[i]! + weights[i]! * unit)
    const ys: number[] = []
    const gaps: Gap[] = []
    let y = top
    for (let i = pages.length - 1; i >= 0; i--) {
      if (i < pages.length - 1) {
        if (mapped[i] !== true) gaps.push({ y, height: heights[i]!, pages: pages[i + 1]! - pages[i]! })
        y += heights[i]!
      }
      ys[i] = y
    }
    this.pages = pages
    this.ys = ys
    this.gaps = gaps
    this.blocks = blocksOf(pages, mapped, ys)
  }

  /** Position of a page that begins or ends some area. */
  y(page: number): number {
    let low = 0
    let high = this.pages.length - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.pages[middle]! < page) low = middle + 1
      else high = middle
    }
    return this.ys[low] ?? 0
  }

  /** Position of the lowest address. */
  get bottom(): number {
    return this.ys[0] ?? 0
  }
}

/** What is worth writing into a gap; empty if it is narrow. */
export const textOfGap = ({ height, pages }: Gap): string => (height >= WIDE_GAP ? `${sizeOf(pages)} free` : "")

/** For each bound: the height of the gap between it and the next; 0 where there is none. */
function gapHeights(pages: readonly number[], mapped: readonly boolean[], height: number): readonly number[] {
  const sizes = pages.map((page, i) => (mapped[i] === true ? 0 : (pages[i + 1] ?? page) - page))
  const all = sizes.filter((size) => size > 0).sort((a, b) => b - a)
  const least = Math.max(WIDE_PAGES, all[MOST_WIDE - 1] ?? 0)
  const narrow = Math.min(NARROW_GAP, (height * NARROW_PART) / Math.max(1, all.length))
  return sizes.map((size) => (size === 0 ? 0 : size >= least ? WIDE_GAP : narrow))
}

/** Every page at which an area begins or ends, rising. */
function boundsOf(looks: readonly Look[]): readonly number[] {
  const bounds = new Set<number>()
  for (const { areas } of looks) {
    for (const { end, start } of areas) {
      bounds.add(start)
      bounds.add(end)
    }
  }
  return [...bounds].sort((a, b) => a - b)
}

/** For each bound: is there ever something between it and the next? */
function mappedBetween(bounds: readonly number[], looks: readonly Look[]): readonly boolean[] {
  const at = new Map(bounds.map((page, i) => [page, i]))
  const mapped = bounds.map(() => false)
  const done = new Set<string>()
  for (const { areas } of looks) {
    for (const { end, start } of areas) {
      const key = `${start} ${end}`
      if (done.has(key)) continue
      done.add(key)
      mapped.fill(true, at.get(start), at.get(end))
    }
  }
  return mapped
}

/** How much height each interval deserves: the logarithm of its size. Where one thing has very many bounds over time, as a
 * growing heap has, they share what it deserves as a whole.
 */
function weightsOf(pages: readonly number[], mapped: readonly boolean[], looks: readonly Look[]): readonly number[] {
  const what = namesBetween(pages, looks)
  const weights = pages.map((page, i) => (mapped[i] === true ? Math.log2((pages[i + 1] ?? page) - page + 1) : 0))
  for (let i = 0; i < pages.length; i++) {
    if (mapped[i] !== true) continue
    let to = i
    while (mapped[to] === true && what[to] === what[i]) to++
    const whole = Math.log2(pages[to]! - pages[i]! + 1) * (1 + Math.log2(to - i) / 2)
    const parts = sum(weights.slice(i, to))
    for (let at = i; at < to; at++) weights[at]! *= whole / parts
    i = to - 1
  }
  return weights
}

/** For each bound: the first name that anything had between it and the next. */
function namesBetween(bounds: readonly number[], looks: readonly Look[]): readonly (string | undefined)[] {
  const at = new Map(bounds.map((page, i) => [page, i]))
  const names = bounds.map((): string | undefined => undefined)
  const done = new Set<string>()
  for (const { areas } of looks) {
    for (const { end, name, start } of areas) {
      const key = `${start} ${end} ${name}`
      if (done.has(key)) continue
      done.add(key)
      for (let i = at.get(start) ?? 0; i < (at.get(end) ?? 0); i++) if (!names[i]) names[i] = name
    }
  }
  return names
}

function blocksOf(pages: readonly number[], mapped: readonly boolean[], ys: readonly number[]): readonly Block[] {
  const blocks: Block[] = []
  for (let i = 0; i < pages.length; i++) {
    if (mapped[i] !== true) continue
    let to = i
    while (mapped[to] === true) to++
    blocks.push({ start: pages[i]!, end: pages[to]!, top: ys[to]!, bottom: ys[i]! })
    i = to
  }
  return blocks
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)
