/** Page tables: four levels of 512 entries in one pool. Floor 2.
 *
 *     table t, entry i  ->  slot = t<<10 | i<<1       (a slot is an int32; pass it around)
 *     ent[slot]      leaf: page frame number            inner: child table, 0 none
 *     ent[slot+1]    leaf: PteFlags, 0 = none entry     inner: 1
 *     pop[t]         entries in use; a scan skips an empty leaf in one read
 *
 * A page number has 35 bits, its leaf number (vpn / 512) 26 and its index 9: ranges are walked in (leaf, index) and no
 * double survives the first line. A table is zero when freed, so allocation clears nothing.
 */
import { PRESENT } from "../../flags/PteFlags.ts"
import type { FailNth } from "../base/debug.ts"
import type { Pfn, Vpn } from "../base/units.ts"

/** Pages below one entry of the two upper levels. */
const PUD_PAGES = 512 * 512
const PGD_PAGES = 512 * PUD_PAGES

/** No slot: a level is missing, or the pool is empty. */
export const NO_SLOT = -1

/** The page tables of one world. */
export class Ptes {
  readonly ent: Int32Array
  readonly pop: Int32Array
  private top = 1
  private freeHead = 0
  live = 0

  constructor(
    readonly max: number,
    private readonly fail: FailNth
  ) {
    this.ent = new Int32Array(max * 1024)
    this.pop = new Int32Array(max)
  }

  /** An empty table; 0 when the pool is empty. */
  newTable(): number {
    if (this.fail.hit()) return 0
    let t = this.freeHead
    if (t !== 0) {
      this.freeHead = this.ent[t << 10]!
      this.ent[t << 10] = 0
    } else if (this.top < this.max) t = this.top++
    else return 0
    this.live++
    return t
  }
  freeTable(t: number): void {
    this.ent[t << 10] = this.freeHead
    this.freeHead = t
    this.pop[t] = 0
    this.live--
  }

  /** Slot of a page, or NO_SLOT when a level is missing. */
  slot(pgd: number, vpn: Vpn): number {
    const leaf = (vpn * (1 / 512)) | 0
    const t = this.leafTable(pgd, leaf)
    return t === 0 ? NO_SLOT : (t << 10) | ((vpn & 511) << 1)
  }
  /** Slot of a page, making missing levels; NO_SLOT when the pool is empty, and no level is made then. */
  slotAlloc(pgd: number, vpn: Vpn): number {
    const t = this.leafTableAlloc(pgd, (vpn * (1 / 512)) | 0)
    return t === 0 ? NO_SLOT : (t << 10) | ((vpn & 511) << 1)
  }
  leafTable(pgd: number, leaf: number): number {
    let t = this.ent[(pgd << 10) | ((leaf >>> 18) << 1)]!
    if (t === 0) return 0
    t = this.ent[(t << 10) | (((leaf >>> 9) & 511) << 1)]!
    if (t === 0) return 0
    return this.ent[(t << 10) | ((leaf & 511) << 1)]!
  }
  leafTableAlloc(pgd: number, leaf: number): number {
    const a = (pgd << 10) | ((leaf >>> 18) << 1)
    const b = this.ent[a]! || this.addTable(pgd, a)
    if (b === 0) return 0
    const c = (b << 10) | (((leaf >>> 9) & 511) << 1)
    const d = this.ent[c]! || this.addTable(b, c)
    const e = (d << 10) | ((leaf & 511) << 1)
    const t = d === 0 ? 0 : this.ent[e]! || this.addTable(d, e)
    if (t === 0) {
      // nothing was mapped: the levels that were made for it go again
      if (d !== 0) this.dropEmpty(b, c)
      this.dropEmpty(pgd, a)
    }
    return t
  }
  private dropEmpty(parent: number, at: number): void {
    if (this.pop[this.ent[at]!] === 0) this.unhook(parent, at)
  }
  private addTable(parent: number, at: number): number {
    const t = this.newTable()
    if (t === 0) return 0
    this.ent[at] = t
    this.ent[at + 1] = 1
    this.pop[parent]!++
    return t
  }
  /** First existing leaf table at or after leaf number `leaf`, before `end`: its number, or -1. */
  nextLeaf(pgd: number, leaf: number, end: number): number {
    let l = leaf
    while (l < end) {
      let t = this.ent[(pgd << 10) | ((l >>> 18) << 1)]!
      if (t === 0) {
        l = ((l >>> 18) + 1) << 18
        continue
      }
      t = this.ent[(t << 10) | (((l >>> 9) & 511) << 1)]!
      if (t === 0) {
        l = ((l >>> 9) + 1) << 9
        continue
      }
      const base = t << 10
      const stop = Math.min(end - l + (l & 511), 512)
      for (let i = l & 511; i < stop; i++) if (this.ent[base | (i << 1)] !== 0) return (l & ~511) | i
      l = (l & ~511) + stop
    }
    return -1
  }
  pfn(s: number): Pfn {
    return this.ent[s]!
  }
  bits(s: number): number {
    return this.ent[s + 1]!
  }
  isNone(s: number): boolean {
    return this.ent[s + 1] === 0
  }
  isPresent(s: number): boolean {
    return (this.ent[s + 1]! & PRESENT) !== 0
  }
  /** Writes an entry, used or not. */
  set(s: number, p: Pfn, bits: number): void {
    if (this.ent[s + 1] === 0) this.pop[s >>> 10]!++
    this.ent[s] = p
    this.ent[s + 1] = bits
  }
  /** Changes the bits of a used entry; they must not become 0. */
  setBits(s: number, bits: number): void {
    this.ent[s + 1] = bits
  }
  clear(s: number): void {
    if (this.ent[s + 1] === 0) return
    this.pop[s >>> 10]!--
    this.ent[s] = 0
    this.ent[s + 1] = 0
  }
  /** Tables below and with top table `pgd`. */
  tablesOf(pgd: number): number {
    const below = (t: number, level: number): number => {
      let n = 1
      if (level > 1)
        for (let s = t << 10, e = s + 1024; s < e; s += 2) if (this.ent[s] !== 0) n += below(this.ent[s]!, level - 1)
      return n
    }
    return below(pgd, 4)
  }
  /** Makes below top table `to` the levels above leaf tables that top table `from` has for leaves `[leaf, end)`.
   * @returns false when the pool is empty; what was made stays
   */
  copyLevels(from: number, to: number, leaf: number, end: number): boolean {
    for (let u = leaf >>> 9; u <= (end - 1) >>> 9; u++) {
      const a = (u >>> 9) << 1
      const b = this.ent[(from << 10) | a]!
      if (b === 0) {
        u |= 511
        continue
      }
      const i = (u & 511) << 1
      const x = this.ent[(to << 10) | a]! || this.addTable(to, (to << 10) | a)
      if (x === 0) return false
      if (this.ent[(b << 10) | i] === 0 || this.ent[(x << 10) | i] !== 0) continue
      if (this.addTable(x, (x << 10) | i) === 0) return false
    }
    return true
  }
  /** Hangs the leaf table `from` at leaf number `to`, where there is none.
   * @returns false, and nothing has changed, if there is one, or the pool is too empty for the levels above it
   */
  moveLeaf(pgd: number, from: number, to: number): boolean {
    if (this.leafTable(pgd, to) !== 0) return false
    const spare = this.leafTableAlloc(pgd, to) // makes the levels; the table itself is not wanted
    if (spare === 0) return false
    const a = this.inner(pgd, from)
    const b = this.inner(pgd, to)
    const at = (a << 10) | ((from & 511) << 1)
    this.ent[(b << 10) | ((to & 511) << 1)] = this.ent[at]!
    this.freeTable(spare)
    this.ent[at] = 0
    this.ent[at + 1] = 0
    this.pop[a]!--
    return true
  }
  /** The table that a leaf table hangs in. */
  private inner(pgd: number, leaf: number): number {
    return this.ent[(this.ent[(pgd << 10) | ((leaf >>> 18) << 1)]! << 10) | (((leaf >>> 9) & 511) << 1)]!
  }
  /** Frees the leaf table of pages `[leaf * 512, leaf * 512 + 512)`, whose entries are none; the levels above stay. */
  freeLeaf(pgd: number, leaf: number): void {
    const d = this.inner(pgd, leaf)
    this.unhook(d, (d << 10) | ((leaf & 511) << 1))
  }
  /** Frees table `ent[at]`, an entry of table `parent`. */
  private unhook(parent: number, at: number): void {
    this.freeTable(this.ent[at]!)
    this.ent[at] = 0
    this.ent[at + 1] = 0
    this.pop[parent]!--
  }
  /** Frees the leaf tables `[leaf, end)`, whose entries are none by then, and of the levels above them what lies wholly
   * between page `floor` and page `ceiling`: nothing else is mapped there.
   * @source mm/memory.c free_pgd_range, free_pud_range, free_pmd_range (v6.18)
   */
  freeRange(pgd: number, leaf: number, end: number, floor: Vpn = leaf * 512, ceiling: Vpn = end * 512): void {
    const isFree = (unit: number, pages: number): boolean => unit * pages >= floor && (unit + 1) * pages <= ceiling
    // Entries in use are few: where as many were seen as a table has, the rest of it need not be looked at.
    let tops = this.pop[pgd]!
    for (let g = leaf >>> 18; tops > 0 && g <= (end - 1) >>> 18; g++) {
      const a = (pgd << 10) | (g << 1)
      const b = this.ent[a]!
      if (b === 0) continue
      tops--
      const from = Math.max(leaf, g << 18)
      const to = Math.min(end, (g + 1) << 18)
      let middles = this.pop[b]!
      for (let u = from >>> 9; middles > 0 && u <= (to - 1) >>> 9; u++) {
        const c = (b << 10) | ((u & 511) << 1)
        const d = this.ent[c]!
        if (d === 0) continue
        middles--
        let leaves = this.pop[d]!
        for (let l = Math.max(from, u << 9), e = Math.min(to, (u + 1) << 9); leaves > 0 && l < e; l++) {
          const at = (d << 10) | ((l & 511) << 1)
          if (this.ent[at] === 0) continue
          leaves--
          this.unhook(d, at)
        }
        if (isFree(u, PUD_PAGES)) this.unhook(b, c)
      }
      if (isFree(g, PGD_PAGES)) this.unhook(pgd, a)
    }
  }
}
