/** The area index: one B+-tree per mm, keyed by each area's end, with the largest free gap per subtree. Floor 2.
 *
 *     node n, slot i  ->  word n<<4 | i
 *     key  Float64   leaf: end of area i                   inner: largest end below child i
 *     gap  Float64   leaf: free pages just below area i    inner: largest gap below child i
 *     kid  Int32     leaf: area row                        inner: node
 *     cnt  Int32 [n] slots in use; freed nodes chain through kid[n<<4]
 *
 * Keyed by end, find_vma is "first key above": one descent, no neighbour step. The gap below an area is kept in its own
 * slot, so an insert touches one leaf: the end of the predecessor is start(next) - gap(next). The last path is kept (a
 * finger): a system call asks for one neighbourhood five to ten times, and only the first asks from the root.
 */
import type { FailNth } from "../base/debug.ts"
import type { Vpn } from "../base/units.ts"
import type { Vma, Vmas } from "./vmas.ts"

/** log2 of a node's slots. */
export const SHIFT = 4
const B = 1 << SHIFT
const MIN = B >> 2
/** Nodes that one insert may need: a split on each level, and a new root. */
const RESERVE = 12

/** The trees of one world: find, insert, erase, move borders. `maple.ts` adds neighbours, and the searches for gaps. */
export class MapleTree {
  protected readonly key: Float64Array
  protected readonly gap: Float64Array
  protected readonly kid: Int32Array
  protected readonly cnt: Int32Array
  protected readonly root: Int32Array
  protected readonly height: Int32Array
  protected readonly count: Int32Array
  protected readonly pNode = new Int32Array(16)
  protected readonly pSlot = new Int32Array(16)
  protected finger = 0
  protected readonly fingerLow = new Float64Array(1)
  /** Is the leaf known to be the last? Then it answers for everything above, too. */
  protected fingerLast = false
  /** Neighbours found by `neighbours` and `around`: below, at or above, above. */
  readonly near = new Int32Array(3)
  protected readonly maxNodes: number
  protected top = 1
  protected freeHead = 0
  live = 0

  constructor(
    protected readonly vmas: Vmas,
    maxMms: number,
    protected readonly fail: FailNth
  ) {
    this.maxNodes = (vmas.max >> 2) + maxMms + 64
    this.key = new Float64Array(this.maxNodes * B)
    this.gap = new Float64Array(this.maxNodes * B)
    this.kid = new Int32Array(this.maxNodes * B)
    this.cnt = new Int32Array(this.maxNodes)
    this.root = new Int32Array(maxMms)
    this.height = new Int32Array(maxMms)
    this.count = new Int32Array(maxMms)
  }

  protected newNode(): number {
    let n = this.freeHead
    if (n !== 0) this.freeHead = this.kid[n << SHIFT]!
    else n = this.top++
    this.cnt[n] = 0
    this.live++
    return n
  }
  protected freeNode(n: number): void {
    this.kid[n << SHIFT] = this.freeHead
    this.freeHead = n
    this.live--
  }
  /** Are there nodes for `inserts` inserts? Asked before a change begins, so that the change cannot fail. */
  reserve(inserts: number): boolean {
    return !this.fail.hit() && this.live + inserts * RESERVE < this.maxNodes
  }
  /** Areas of `mm`. */
  size(mm: number): number {
    return this.count[mm]!
  }
  /** Makes an empty tree; false when no node is left. */
  create(mm: number): boolean {
    if (this.live + 1 >= this.maxNodes) return false
    this.finger = 0
    this.root[mm] = this.newNode()
    this.height[mm] = 0
    this.count[mm] = 0
    return true
  }
  destroy(mm: number): void {
    this.finger = 0
    this.freeTree(this.root[mm]!, this.height[mm]!)
    this.root[mm] = 0
    this.count[mm] = 0
  }
  protected freeTree(n: number, h: number): void {
    if (h > 0) for (let i = 0; i < this.cnt[n]!; i++) this.freeTree(this.kid[(n << SHIFT) + i]!, h - 1)
    this.freeNode(n)
  }

  /** First slot of node n whose key is above x. Linear on purpose: 62 ns against 89 for binary search at 60,000 areas. */
  protected upper(n: number, x: number): number {
    const { key } = this
    const base = n << SHIFT
    const end = base + this.cnt[n]!
    let i = base
    while (i < end && key[i]! <= x) i++
    return i - base
  }
  /** First area of mm that ends above vpn (find_vma); 0 if none. */
  find(mm: number, vpn: Vpn): Vma {
    this.descend(mm, vpn)
    const n = this.pNode[0]!
    const i = this.pSlot[0]!
    return i === this.cnt[n] ? 0 : this.kid[(n << SHIFT) + i]!
  }
  /** The area that contains vpn (vma_lookup); 0 if none. */
  lookup(mm: number, vpn: Vpn): Vma {
    const v = this.find(mm, vpn)
    return v !== 0 && this.vmas.start[v]! <= vpn ? v : 0
  }
  protected descend(mm: number, vpn: Vpn): void {
    if (this.finger === mm && mm !== 0 && this.pointAt(vpn)) return
    let n = this.root[mm]!
    let low = 0
    for (let h = this.height[mm]!; h > 0; h--) {
      let i = this.upper(n, vpn)
      if (i === this.cnt[n]) i--
      if (i > 0) low = this.key[(n << SHIFT) + i - 1]!
      this.pNode[h] = n
      this.pSlot[h] = i
      n = this.kid[(n << SHIFT) + i]!
    }
    this.pNode[0] = n
    this.pSlot[0] = this.upper(n, vpn)
    this.finger = this.cnt[n]! > 0 ? mm : 0
    this.fingerLow[0] = low
    this.fingerLast = this.pSlot[0] === this.cnt[n]
  }
  /** Moves the finger within its leaf, if the leaf answers for vpn; mostly it points there already. */
  private pointAt(vpn: Vpn): boolean {
    const { key } = this
    const n = this.pNode[0]!
    const at = (n << SHIFT) + this.pSlot[0]!
    const end = (n << SHIFT) + this.cnt[n]!
    const low = this.fingerLow[0]!
    if (at < end && vpn < key[at]! && vpn >= (this.pSlot[0] === 0 ? low : key[at - 1]!)) return true
    if (vpn < low || !(this.fingerLast || vpn < key[end - 1]!)) return false
    this.pSlot[0] = this.upper(n, vpn)
    return true
  }
  protected pathNext(mm: number): boolean {
    if (this.pSlot[0]! + 1 < this.cnt[this.pNode[0]!]!) {
      this.pSlot[0]!++
      return true
    }
    this.finger = 0
    const top = this.height[mm]!
    for (let h = 1; h <= top; h++) {
      if (this.pSlot[h]! + 1 < this.cnt[this.pNode[h]!]!) {
        this.pSlot[h]!++
        let d = h
        for (let n = this.kid[(this.pNode[h]! << SHIFT) + this.pSlot[h]!]!; d-- > 0; n = this.kid[n << SHIFT]!) {
          this.pNode[d] = n
          this.pSlot[d] = 0
        }
        return true
      }
    }
    return false
  }
  protected pathPrev(mm: number): boolean {
    if (this.pSlot[0]! > 0) {
      this.pSlot[0]!--
      return true
    }
    this.finger = 0
    const top = this.height[mm]!
    for (let h = 1; h <= top; h++) {
      if (this.pSlot[h]! > 0) {
        this.pSlot[h]!--
        let n = this.kid[(this.pNode[h]! << SHIFT) + this.pSlot[h]!]!
        let d = h
        while (d-- > 0) {
          const i = this.cnt[n]! - 1
          this.pNode[d] = n
          this.pSlot[d] = i
          if (d > 0) n = this.kid[(n << SHIFT) + i]!
        }
        return true
      }
    }
    return false
  }
  protected atPath(): Vma {
    return this.kid[(this.pNode[0]! << SHIFT) + this.pSlot[0]!]!
  }
  protected maxGap(n: number): number {
    const { gap } = this
    let m = 0
    for (let i = n << SHIFT, e = i + this.cnt[n]!; i < e; i++) if (gap[i]! > m) m = gap[i]!
    return m
  }
  /** Refreshes key and gap of the path above level `from`; stops where nothing changes. */
  protected pullUp(mm: number, from: number): void {
    for (let h = from, t = this.height[mm]!; h < t; h++) {
      const n = this.pNode[h]!
      const at = (this.pNode[h + 1]! << SHIFT) + this.pSlot[h + 1]!
      const k = this.key[(n << SHIFT) + this.cnt[n]! - 1]!
      const g = this.maxGap(n)
      if (this.key[at] === k && this.gap[at] === g) return
      this.key[at] = k
      this.gap[at] = g
    }
  }

  /** Puts v into the tree of mm; its bounds overlap nothing. Nodes were reserved. */
  insert(mm: number, v: Vma): void {
    const s = this.vmas.start[v]!
    const e = this.vmas.end[v]!
    this.descend(mm, e)
    const n = this.pNode[0]!
    const i = this.pSlot[0]!
    let below = 0
    if (i < this.cnt[n]!) {
      const at = (n << SHIFT) + i
      const ns = this.vmas.start[this.kid[at]!]!
      below = ns - this.gap[at]!
      this.gap[at] = ns - e
    } else if (i > 0) below = this.key[(n << SHIFT) + i - 1]!
    this.count[mm]!++
    this.insertAt(mm, 0, e, s - below, v)
  }
  protected insertAt(mm: number, h: number, k: number, g: number, c: number): void {
    let n = this.pNode[h]!
    let i = this.pSlot[h]!
    if (this.cnt[n] === B) {
      this.finger = 0
      if (h === this.height[mm]) {
        // grow a level
        const r = this.newNode()
        this.kid[r << SHIFT] = n
        this.key[r << SHIFT] = this.key[(n << SHIFT) + B - 1]!
        this.gap[r << SHIFT] = this.maxGap(n)
        this.cnt[r] = 1
        this.root[mm] = r
        this.height[mm] = h + 1
        this.pNode[h + 1] = r
        this.pSlot[h + 1] = 0
      }
      const m = this.newNode()
      // a run of inserts in one direction fills nodes instead of leaving them half empty
      const cut = i === B ? B - MIN : i === 0 ? MIN : B >> 1
      this.move(n, cut, m, 0, B - cut)
      this.cnt[m] = B - cut
      this.cnt[n] = cut
      const at = (this.pNode[h + 1]! << SHIFT) + this.pSlot[h + 1]!
      this.key[at] = this.key[(n << SHIFT) + cut - 1]!
      this.gap[at] = this.maxGap(n)
      this.pSlot[h + 1]!++
      this.insertAt(mm, h + 1, this.key[(m << SHIFT) + B - cut - 1]!, this.maxGap(m), m)
      // the path above h is at m now; step back if the new slot belongs to n
      if (i <= cut) this.stepLeft(h + 1)
      else {
        n = m
        i -= cut
      }
      this.pNode[h] = n
      this.pSlot[h] = i
    }
    const { key, gap, kid } = this
    const base = n << SHIFT
    for (let j = base + this.cnt[n]!; j > base + i; j--) {
      key[j] = key[j - 1]!
      gap[j] = gap[j - 1]!
      kid[j] = kid[j - 1]!
    }
    key[base + i] = k
    gap[base + i] = g
    kid[base + i] = c
    this.cnt[n]!++
    this.pullUp(mm, h)
  }
  protected stepLeft(h: number): void {
    if (this.pSlot[h]! > 0) {
      this.pSlot[h]!--
      return
    }
    this.stepLeft(h + 1)
    const n = this.kid[(this.pNode[h + 1]! << SHIFT) + this.pSlot[h + 1]!]!
    this.pNode[h] = n
    this.pSlot[h] = this.cnt[n]! - 1
  }
  protected move(a: number, i: number, b: number, j: number, n: number): void {
    const { key, gap, kid } = this
    const x = (a << SHIFT) + i
    const y = (b << SHIFT) + j
    for (let k = 0; k < n; k++) {
      const q = y <= x ? k : n - 1 - k // they may overlap
      key[y + q] = key[x + q]!
      gap[y + q] = gap[x + q]!
      kid[y + q] = kid[x + q]!
    }
  }
  /** Takes v out of the tree. */
  erase(mm: number, v: Vma): void {
    const s = this.vmas.start[v]!
    this.descend(mm, s)
    const g = this.gap[(this.pNode[0]! << SHIFT) + this.pSlot[0]!]!
    if (this.pathNext(mm)) {
      const w = this.atPath()
      const inLeaf = this.pSlot[0]! > 0
      this.gap[(this.pNode[0]! << SHIFT) + this.pSlot[0]!] = this.vmas.start[w]! - s + g
      if (inLeaf) this.pSlot[0]!--
      else {
        this.pullUp(mm, 0)
        this.pathPrev(mm)
      }
    }
    this.count[mm]!--
    this.removeAt(mm, 0)
  }
  protected removeAt(mm: number, h: number): void {
    const n = this.pNode[h]!
    const base = n << SHIFT
    const c = --this.cnt[n]!
    const { key, gap, kid } = this
    for (let j = base + this.pSlot[h]!; j < base + c; j++) {
      key[j] = key[j + 1]!
      gap[j] = gap[j + 1]!
      kid[j] = kid[j + 1]!
    }
    if (c < MIN) this.finger = 0
    if (h === this.height[mm]) {
      if (h > 0 && c === 1) {
        this.root[mm] = this.kid[base]!
        this.height[mm] = h - 1
        this.freeNode(n)
      }
      return
    }
    if (c >= MIN) {
      this.pullUp(mm, h)
      return
    }
    // underfull: join a neighbour that has room, else leave it (never below one slot)
    const p = this.pNode[h + 1]!
    const i = this.pSlot[h + 1]!
    const pb = p << SHIFT
    if (i > 0 && this.cnt[this.kid[pb + i - 1]!]! + c <= B - MIN) {
      const l = this.kid[pb + i - 1]!
      this.move(n, 0, l, this.cnt[l]!, c)
      this.cnt[l]! += c
      if (c > 0) this.key[pb + i - 1] = this.key[(l << SHIFT) + this.cnt[l]! - 1]!
      this.gap[pb + i - 1] = this.maxGap(l)
      this.freeNode(n)
      this.removeAt(mm, h + 1)
    } else if (i + 1 < this.cnt[p]! && this.cnt[this.kid[pb + i + 1]!]! + c <= B - MIN) {
      const r = this.kid[pb + i + 1]!
      this.move(r, 0, n, c, this.cnt[r]!)
      const n2 = c + this.cnt[r]!
      this.cnt[n] = n2
      this.key[pb + i] = this.key[(n << SHIFT) + n2 - 1]!
      this.gap[pb + i] = this.maxGap(n)
      this.freeNode(r)
      this.pSlot[h + 1] = i + 1
      this.removeAt(mm, h + 1)
    } else if (c === 0) {
      this.freeNode(n)
      this.removeAt(mm, h + 1)
    } else this.pullUp(mm, h)
  }
  /** Moves the borders of v in place; the order among areas must not change. */
  adjust(mm: number, v: Vma, s: Vpn, e: Vpn): void {
    const s0 = this.vmas.start[v]!
    const e0 = this.vmas.end[v]!
    this.descend(mm, s0)
    const at = (this.pNode[0]! << SHIFT) + this.pSlot[0]!
    this.key[at] = e
    this.gap[at]! += s - s0
    this.vmas.start[v] = s
    this.vmas.end[v] = e
    if (e !== e0 && this.pSlot[0]! + 1 < this.cnt[this.pNode[0]!]!) {
      this.gap[at + 1]! += e0 - e
      this.pullUp(mm, 0)
      return
    }
    this.pullUp(mm, 0)
    if (e === e0) return
    this.finger = 0
    if (this.pathNext(mm)) {
      this.gap[(this.pNode[0]! << SHIFT) + this.pSlot[0]!]! += e0 - e
      this.pullUp(mm, 0)
    }
  }
}
