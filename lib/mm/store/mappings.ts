/** The mapping set of each object: which areas map which of its pages (`i_mmap`). Floor 2.
 *
 *     links  Int32   [vma<<2 | side]   0 left  1 right  2 parent
 *     reach  Float64 [vma]             page offset behind the last page that the area or one below it in the tree maps
 *
 * An interval tree of area rows, ordered by first page offset, balanced as a treap whose priorities are hashes of the row
 * numbers: no room for them, and the same tree on every run. Of equal offsets, who came first comes first: a parent's area
 * before its child's.
 * @source lib/interval_tree.c, mm/interval_tree.c (v6.18)
 */
import type { PgOff } from "../base/units.ts"
import type { Vma, Vmas } from "./vmas.ts"

const LEFT = 0
const RIGHT = 1
const UP = 2

/** Who has the higher one lies higher. */
const priority = (v: Vma): number => Math.imul(v, 0x9e3779b1) >>> 0

/** The mapping sets of one world. */
export class Mappings {
  private readonly links: Int32Array
  private readonly reach: Float64Array
  private readonly roots: Int32Array
  private readonly sizes: Int32Array

  constructor(
    private readonly vmas: Vmas,
    maxObjects: number
  ) {
    this.links = new Int32Array(vmas.max << 2)
    this.reach = new Float64Array(vmas.max)
    this.roots = new Int32Array(maxObjects)
    this.sizes = new Int32Array(maxObjects)
  }

  /** Areas in the set of `o`. */
  size(o: number): number {
    return this.sizes[o]!
  }

  /** Adds area `v` under its present bounds. They may not change while it is in the set. */
  add(o: number, v: Vma): void {
    const { links } = this
    const from = this.vmas.pgoff(v)
    let up = 0
    let side = LEFT
    for (let n = this.roots[o]!; n !== 0; n = links[(n << 2) + side]!) {
      up = n
      side = from < this.vmas.pgoff(n) ? LEFT : RIGHT
    }
    links[(v << 2) + LEFT] = 0
    links[(v << 2) + RIGHT] = 0
    links[(v << 2) + UP] = up
    if (up === 0) this.roots[o] = v
    else links[(up << 2) + side] = v
    this.sizes[o]!++
    const end = from + this.vmas.pages(v)
    this.reach[v] = end
    for (let n = up; n !== 0 && this.reach[n]! < end; n = links[(n << 2) + UP]!) this.reach[n] = end
    const mine = priority(v)
    for (let n = up; n !== 0 && priority(n) < mine; n = links[(v << 2) + UP]!) this.lift(o, v, n)
  }

  /** Takes area `v` out. */
  remove(o: number, v: Vma): void {
    const { links } = this
    for (;;) {
      const l = links[(v << 2) + LEFT]!
      const r = links[(v << 2) + RIGHT]!
      if (l === 0 || r === 0) {
        const only = l === 0 ? r : l
        const up = links[(v << 2) + UP]!
        this.hang(o, up, v, only)
        for (let n = up; n !== 0; n = links[(n << 2) + UP]!) {
          const was = this.reach[n]!
          this.settle(n)
          if (this.reach[n] === was) break
        }
        break
      }
      this.lift(o, priority(l) < priority(r) ? r : l, v)
    }
    this.sizes[o]!--
  }

  /** The first area that maps some of pages `[first, end)`; 0 none. */
  find(o: number, first: PgOff, end: PgOff): Vma {
    const root = this.roots[o]!
    return root === 0 || this.reach[root]! <= first ? 0 : this.leftmost(root, first, end)
  }

  /** The one after `v` that does; 0 none. */
  next(v: Vma, first: PgOff, end: PgOff): Vma {
    const { links } = this
    for (let n = v; ;) {
      const r = links[(n << 2) + RIGHT]!
      if (r !== 0 && this.reach[r]! > first) return this.leftmost(r, first, end)
      let below: Vma
      do {
        below = n
        n = links[(n << 2) + UP]!
        if (n === 0) return 0
      } while (links[(n << 2) + RIGHT] === below)
      if (this.vmas.pgoff(n) >= end) return 0
      if (this.endOf(n) > first) return n
    }
  }

  /** What is wrong with the set of `o`, in sentences; and its areas, in order. */
  check(o: number, wrong: string[]): Vma[] {
    const areas: Vma[] = []
    const walk = (n: Vma, up: Vma): number => {
      if (n === 0) return 0
      if (areas.length > this.sizes[o]!) return 0
      if (this.links[(n << 2) + UP] !== up)
        wrong.push(`area ${n} in the mapping set of object ${o} hangs below ${up}, says ${this.links[(n << 2) + UP]}`)
      if (up !== 0 && priority(up) < priority(n))
        wrong.push(`area ${n} lies below ${up} in a mapping set, expected above`)
      const left = walk(this.links[(n << 2) + LEFT]!, n)
      const before = areas.at(-1)
      if (before !== undefined && this.vmas.pgoff(before) > this.vmas.pgoff(n))
        wrong.push(`area ${n} comes after area ${before} in the mapping set of object ${o}, expected before`)
      areas.push(n)
      const reach = Math.max(this.endOf(n), left, walk(this.links[(n << 2) + RIGHT]!, n))
      if (this.reach[n] !== reach)
        wrong.push(`area ${n} in the mapping set of object ${o} reaches ${this.reach[n]}, expected ${reach}`)
      return reach
    }
    walk(this.roots[o]!, 0)
    if (areas.length !== this.sizes[o])
      wrong.push(`object ${o} counts ${this.sizes[o]} mappings, its set has ${areas.length}`)
    return areas
  }

  /** Page offset behind the last page of `v`. */
  private endOf(v: Vma): PgOff {
    return this.vmas.pgoff(v) + this.vmas.pages(v)
  }

  /** The first area below `n` that maps some of the pages. */
  private leftmost(n: Vma, first: PgOff, end: PgOff): Vma {
    for (;;) {
      const l = this.links[(n << 2) + LEFT]!
      if (l !== 0 && this.reach[l]! > first) {
        n = l
        continue
      }
      if (this.vmas.pgoff(n) >= end) return 0
      if (this.endOf(n) > first) return n
      n = this.links[(n << 2) + RIGHT]!
      if (n === 0 || this.reach[n]! <= first) return 0
    }
  }

  private settle(n: Vma): void {
    const l = this.links[(n << 2) + LEFT]!
    const r = this.links[(n << 2) + RIGHT]!
    let reach = this.endOf(n)
    if (l !== 0 && this.reach[l]! > reach) reach = this.reach[l]!
    if (r !== 0 && this.reach[r]! > reach) reach = this.reach[r]!
    this.reach[n] = reach
  }

  /** Hangs `n` (0 nothing) below `up` in the place of `instead`. */
  private hang(o: number, up: Vma, instead: Vma, n: Vma): void {
    if (up === 0) this.roots[o] = n
    else this.links[(up << 2) + (this.links[(up << 2) + LEFT] === instead ? LEFT : RIGHT)] = n
    if (n !== 0) this.links[(n << 2) + UP] = up
  }

  /** Rotates `v` above its parent `n`. */
  private lift(o: number, v: Vma, n: Vma): void {
    const { links } = this
    const side = links[(n << 2) + LEFT] === v ? LEFT : RIGHT
    const inner = links[(v << 2) + (side ^ 1)]!
    this.hang(o, links[(n << 2) + UP]!, n, v)
    links[(n << 2) + side] = inner
    if (inner !== 0) links[(inner << 2) + UP] = n
    links[(v << 2) + (side ^ 1)] = n
    links[(n << 2) + UP] = v
    this.reach[v] = this.reach[n]!
    this.settle(n)
  }
}
