/** Page caches: page offset to frame, 64-way radix nodes in one pool, one root per object. Floor 2.
 *
 *     ent  Int32 [node<<6 | i]   leaf: frame, 0 none    inner: node
 *     pop  Int32 [node]          entries in use; a node that empties is freed up the path
 *
 * Offsets up to 2^30 pages (4 TiB of object) stay int32; no frame is cached beyond that.
 */
import type { FailNth } from "../base/debug.ts"
import type { Pfn, PgOff } from "../base/units.ts"

/** No page of an object lies at or above this offset. */
export const MAX_INDEX = 2 ** 30

/** The page caches of one world. */
export class Xarray {
  private readonly ent: Int32Array
  private readonly pop: Int32Array
  private readonly root: Int32Array
  private readonly height: Int32Array
  private readonly path = new Int32Array(8)
  private top = 1
  private freeHead = 0
  live = 0

  constructor(
    private readonly maxNodes: number,
    maxRoots: number,
    private readonly fail: FailNth
  ) {
    this.ent = new Int32Array(maxNodes * 64)
    this.pop = new Int32Array(maxNodes)
    this.root = new Int32Array(maxRoots)
    this.height = new Int32Array(maxRoots)
  }

  private node(): number {
    let n = this.freeHead
    if (n !== 0) {
      this.freeHead = this.ent[n << 6]!
      this.ent[n << 6] = 0
    } else if (this.top < this.maxNodes) n = this.top++
    else return 0
    this.live++
    return n
  }
  private drop(n: number): void {
    this.ent[n << 6] = this.freeHead
    this.freeHead = n
    this.live--
  }
  /** Are there as many nodes as one `store` may need: five levels up, five down? Asked first, so that it cannot stop half-way. */
  private room(): boolean {
    return this.live + 12 < this.maxNodes
  }

  load(x: number, i: PgOff): Pfn {
    let n = this.root[x]!
    let h = this.height[x]!
    if (n === 0 || i >= MAX_INDEX || i >>> (h * 6) >= 64) return 0
    for (; h > 0; h--) {
      n = this.ent[(n << 6) | ((i >>> (h * 6)) & 63)]!
      if (n === 0) return 0
    }
    return this.ent[(n << 6) | (i & 63)]!
  }
  /** Stores frame `v` (not 0) at `i`; false beyond MAX_INDEX and when no node is left, and then nothing has changed. */
  store(x: number, i: PgOff, v: Pfn): boolean {
    if (i >= MAX_INDEX || this.fail.hit() || !this.room()) return false
    let n = this.root[x]!
    let h = this.height[x]!
    if (n === 0) {
      // as high as it must be from the start: a node without entries would never be given back
      while (i >>> (h * 6) >= 64) h++
      n = this.root[x] = this.node()
      this.height[x] = h
    }
    while (i >>> (h * 6) >= 64) {
      const r = this.node()
      this.ent[r << 6] = n
      this.pop[r] = 1
      this.root[x] = n = r
      this.height[x] = ++h
    }
    for (; h > 0; h--) {
      const at = (n << 6) | ((i >>> (h * 6)) & 63)
      let c = this.ent[at]!
      if (c === 0) {
        c = this.node()
        this.ent[at] = c
        this.pop[n]!++
      }
      n = c
    }
    const at = (n << 6) | (i & 63)
    if (this.ent[at] === 0) this.pop[n]!++
    this.ent[at] = v
    return true
  }
  /** Removes and returns the frame at `i`; 0 if there was none. */
  erase(x: number, i: PgOff): Pfn {
    let n = this.root[x]!
    const t = this.height[x]!
    if (n === 0 || i >= MAX_INDEX || i >>> (t * 6) >= 64) return 0
    for (let h = t; h > 0; h--) {
      this.path[h] = n
      n = this.ent[(n << 6) | ((i >>> (h * 6)) & 63)]!
      if (n === 0) return 0
    }
    const at = (n << 6) | (i & 63)
    const v = this.ent[at]!
    if (v === 0) return 0
    this.ent[at] = 0
    for (let h = 0; --this.pop[n]! === 0;) {
      this.drop(n)
      if (h === t) {
        this.root[x] = 0
        this.height[x] = 0
        break
      }
      n = this.path[++h]!
      this.ent[(n << 6) | ((i >>> (h * 6)) & 63)] = 0
    }
    return v
  }
  /** First offset at or after `from` that has a frame; -1 if none. */
  next(x: number, from: PgOff): number {
    const t = this.height[x]!
    let i: number = from
    if (this.root[x] === 0 || i >= MAX_INDEX || i >>> (t * 6) >= 64) return -1
    for (;;) {
      let n = this.root[x]!
      let h = t
      for (;;) {
        const s0 = (i >>> (h * 6)) & 63
        let s = s0
        while (s < 64 && this.ent[(n << 6) | s] === 0) s++
        if (s === 64) {
          // nothing right of here in n: on to the start of n's next sibling
          const step = (h + 1) * 6
          if (h === t || step >= 30) return -1
          i = ((i >>> step) + 1) << step
          if (i >>> (t * 6) >= 64) return -1
          break
        }
        if (s !== s0) i = ((i >>> (h * 6)) - s0 + s) << (h * 6)
        if (h === 0) return i
        n = this.ent[(n << 6) | s]!
        h--
      }
    }
  }
}
