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
  /** Slot of a page, making missing levels; NO_SLOT when the pool is empty, and no level is left without a leaf. */
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
      // levels above no leaf would never be found again
      if (d !== 0) this.dropEmpty(b, c)
      this.dropEmpty(pgd, a)
    }
    return t
  }
  private dropEmpty(parent: number, at: number): void {
    const t = this.ent[at]!
    if (this.pop[t] !== 0) return
    this.freeTable(t)
    this.ent[at] = 0
    this.ent[at + 1] = 0
    this.pop[parent]!--
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
  /** Frees the tables that lie wholly inside leaves `[leaf, end)`; every entry in them is none by then. Returns how many. */
  freeRange(pgd: number, leaf: number, end: number): number {
    let freed = 0
    for (let l = this.nextLeaf(pgd, leaf, end); l >= 0; l = this.nextLeaf(pgd, l + 1, end)) {
      const a = (pgd << 10) | ((l >>> 18) << 1)
      const b = this.ent[a]!
      const c = (b << 10) | (((l >>> 9) & 511) << 1)
      const d = this.ent[c]!
      const e = (d << 10) | ((l & 511) << 1)
      this.freeTable(this.ent[e]!)
      this.ent[e] = 0
      this.ent[e + 1] = 0
      freed++
      if (--this.pop[d]! !== 0) continue
      this.freeTable(d)
      this.ent[c] = 0
      this.ent[c + 1] = 0
      freed++
      if (--this.pop[b]! !== 0) continue
      this.freeTable(b)
      this.ent[a] = 0
      this.ent[a + 1] = 0
      this.pop[pgd]!--
      freed++
    }
    return freed
  }
}
