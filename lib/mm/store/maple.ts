/** The area index, complete: the tree of `maple-tree.ts`, searches for free gaps, and its invariants. Floor 2. */
import type { Vpn } from "../base/units.ts"
import { MapleTree, SHIFT } from "./maple-tree.ts"
import type { Vma } from "./vmas.ts"

/** The area trees of one world. */
export class Maple extends MapleTree {
  /** Every area of mm, lowest first. */
  list(mm: number): Vma[] {
    const out: Vma[] = []
    this.collect(this.root[mm]!, this.height[mm]!, out)
    return out
  }
  private collect(n: number, h: number, out: Vma[]): void {
    for (let i = n << SHIFT, e = i + this.cnt[n]!; i < e; i++) {
      if (h === 0) out.push(this.kid[i]!)
      else this.collect(this.kid[i]!, h - 1, out)
    }
  }
  /** Takes every area out at once. */
  clear(mm: number): void {
    this.finger = 0
    const n = this.root[mm]!
    const h = this.height[mm]!
    if (h > 0) for (let i = 0; i < this.cnt[n]!; i++) this.freeTree(this.kid[(n << SHIFT) + i]!, h - 1)
    this.cnt[n] = 0
    this.height[mm] = 0
    this.count[mm] = 0
  }
  /** The area just below v; 0 if none. */
  prev(mm: number, v: Vma): Vma {
    this.descend(mm, this.vmas.start[v]!)
    return this.pathPrev(mm) ? this.atPath() : 0
  }
  /** The area just above v; 0 if none. */
  next(mm: number, v: Vma): Vma {
    return this.find(mm, this.vmas.end[v]!)
  }
  /** The last area that ends at or below vpn; 0 if none. */
  below(mm: number, vpn: Vpn): Vma {
    this.descend(mm, vpn)
    const i = this.pSlot[0]!
    if (i > 0) return this.kid[(this.pNode[0]! << SHIFT) + i - 1]!
    return this.pathPrev(mm) ? this.atPath() : 0
  }
  /** One descent for both neighbours of a free place: near[0] below, near[1] the first that ends above vpn. */
  neighbours(mm: number, vpn: Vpn): void {
    this.descend(mm, vpn)
    const n = this.pNode[0]!
    const i = this.pSlot[0]!
    this.near[1] = i < this.cnt[n]! ? this.kid[(n << SHIFT) + i]! : 0
    if (i > 0) this.near[0] = this.kid[(n << SHIFT) + i - 1]!
    else this.near[0] = this.pathPrev(mm) ? this.atPath() : 0
  }
  /** One descent for three: near[1] and the result are the first area ending above vpn, near[0] and near[2] its neighbours. */
  around(mm: number, vpn: Vpn): Vma {
    this.descend(mm, vpn)
    const n = this.pNode[0]!
    const i = this.pSlot[0]!
    const at = (n << SHIFT) + i
    const c = this.cnt[n]!
    if (i === c) {
      this.near.fill(0)
      return 0
    }
    const v = this.kid[at]!
    this.near[1] = v
    this.near[2] = i + 1 < c ? this.kid[at + 1]! : this.find(mm, this.key[at]!)
    if (i > 0) this.near[0] = this.kid[at - 1]!
    else {
      this.descend(mm, this.vmas.start[v]!)
      this.near[0] = this.pathPrev(mm) ? this.atPath() : 0
    }
    return v
  }

  /** Highest start of `len` free pages inside `[low, high)`; -1 if none. */
  gapDown(mm: number, len: number, low: Vpn, high: Vpn): number {
    if (high - low < len) return -1
    this.descend(mm, high - 1)
    const n = this.pNode[0]!
    let i = this.pSlot[0]!
    if (i === this.cnt[n]) {
      // nothing ends above high: the space above the last area
      const below = i > 0 ? this.key[(n << SHIFT) + i - 1]! : 0
      if (high - (below > low ? below : low) >= len) return high - len
      i--
    } else {
      const at = (n << SHIFT) + i
      const s = this.vmas.start[this.kid[at]!]!
      const below = s - this.gap[at]!
      const to = s < high ? s : high
      if (to - (below > low ? below : low) >= len) return to - len
      i--
    }
    const t = this.height[mm]!
    for (let h = 0; ;) {
      const base = this.pNode[h]! << SHIFT
      while (i >= 0 && this.gap[base + i]! < len) i--
      if (i < 0) {
        if (++h > t) return -1
        i = this.pSlot[h]! - 1
        continue
      }
      if (h === 0) {
        const s = this.vmas.start[this.kid[base + i]!]!
        const below = s - this.gap[base + i]!
        if (s - (below > low ? below : low) >= len) return s - len
        if (below <= low) return -1
        i--
        continue
      }
      this.finger = 0 // the walk leaves the path of the descent
      this.pSlot[h] = i
      const c = this.kid[base + i]!
      this.pNode[--h] = c
      i = this.cnt[c]! - 1
    }
  }
  /** Lowest start of `len` free pages inside `[low, high)`; -1 if none. */
  gapUp(mm: number, len: number, low: Vpn, high: Vpn): number {
    if (high - low < len) return -1
    this.descend(mm, low)
    const t = this.height[mm]!
    let i = this.pSlot[0]!
    if (i < this.cnt[this.pNode[0]!]!) {
      const at = (this.pNode[0]! << SHIFT) + i
      const s = this.vmas.start[this.kid[at]!]!
      const below = s - this.gap[at]!
      const from = below > low ? below : low
      if ((s < high ? s : high) - from >= len) return from
      i++
    }
    for (let h = 0; ;) {
      const base = this.pNode[h]! << SHIFT
      const c = this.cnt[this.pNode[h]!]!
      while (i < c && this.gap[base + i]! < len) i++
      if (i >= c) {
        if (++h > t) break
        i = this.pSlot[h]! + 1
        continue
      }
      if (h === 0) {
        const s = this.vmas.start[this.kid[base + i]!]!
        const below = s - this.gap[base + i]!
        const from = below > low ? below : low
        if ((s < high ? s : high) - from >= len) return from
        if (s >= high) return -1
        i++
        continue
      }
      this.finger = 0
      this.pSlot[h] = i
      this.pNode[--h] = this.kid[base + i]!
      i = 0
    }
    let n = this.root[mm]!
    for (let h = t; h > 0; h--) n = this.kid[(n << SHIFT) + this.cnt[n]! - 1]!
    const last = this.cnt[n]! > 0 ? this.key[(n << SHIFT) + this.cnt[n]! - 1]! : 0
    const from = last > low ? last : low
    return high - from >= len ? from : -1
  }
  /** Nodes of the tree of mm. */
  nodes(mm: number): number {
    const below = (n: number, h: number): number => {
      let sum = 1
      if (h > 0) for (let i = 0; i < this.cnt[n]!; i++) sum += below(this.kid[(n << SHIFT) + i]!, h - 1)
      return sum
    }
    return below(this.root[mm]!, this.height[mm]!)
  }
  /** The areas of mm in order, and what is wrong with the tree in words. */
  check(mm: number, wrong: string[]): Vma[] {
    const list: Vma[] = []
    const go = (n: number, h: number): void => {
      if (this.cnt[n] === 0 && h < this.height[mm]!) wrong.push(`tree of mm ${mm}: empty node ${n}`)
      for (let i = 0; i < this.cnt[n]!; i++) {
        const at = (n << SHIFT) + i
        if (h === 0) {
          const v = this.kid[at]!
          const below = list.length > 0 ? this.vmas.end[list[list.length - 1]!]! : 0
          if (this.key[at] !== this.vmas.end[v])
            wrong.push(`tree of mm ${mm}: key ${this.key[at]} of area ${v} is not its end ${this.vmas.end[v]}`)
          if (this.gap[at] !== this.vmas.start[v]! - below)
            wrong.push(`tree of mm ${mm}: gap ${this.gap[at]} below area ${v}, expected ${this.vmas.start[v]! - below}`)
          list.push(v)
        } else {
          const c = this.kid[at]!
          go(c, h - 1)
          if (this.key[at] !== this.key[(c << SHIFT) + this.cnt[c]! - 1])
            wrong.push(`tree of mm ${mm}: inner key of node ${c}`)
          if (this.gap[at] !== this.maxGap(c)) wrong.push(`tree of mm ${mm}: inner gap of node ${c}`)
        }
      }
    }
    go(this.root[mm]!, this.height[mm]!)
    if (list.length !== this.count[mm]) wrong.push(`tree of mm ${mm}: ${list.length} areas, counted ${this.count[mm]}`)
    return list
  }
}
