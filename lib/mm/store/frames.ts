/** Frames of RAM: bytes, one record each, a buddy allocator with a stack of single frames in front. Floor 2.
 *
 *     words   Int32 [pfn<<10 | word]   the bytes of all frames: frame p owns words p*1024 .. p*1024+1023
 *     rec     Int32 [pfn<<3 | field]   0 ref  1 map  2 flags  3 mapping  4 indexLo  5 indexHi  6 next  7 prev
 *
 * `mapping` is an anon_vma row (flag ANON) or an object row; the index, up to 2^52, is indexHi * 2^26 + indexLo pages.
 * Frames at and above `frontier` were never handed out: the host commits their bytes when they are first used.
 */
import { type FailNth, vmBugOn } from "../base/debug.ts"
import type { Pfn } from "../base/units.ts"

const MAP = 1
const FLAGS = 2
const MAPPING = 3
const INDEX_LO = 4
const INDEX_HI = 5
const NEXT = 6
const PREV = 7

/** Frame flags. */
export const F_BUDDY = 1
/** Was handed out since boot: its bytes are not known to be zero. */
export const F_USED = 2
export const F_ANON = 4
/** PageAnonExclusive: one mapping owns it; fork clears it. */
export const F_EXCLUSIVE = 8
export const F_DIRTY = 16
export const F_UPTODATE = 32
export const F_REFERENCED = 64
/** Counts as shared memory, not as file. */
export const F_SWAPBACKED = 128
const ORDER_SHIFT = 8
/** page_has_type(): slab, page table and alike. Never mapped into user space. */
export const F_TYPED = 1 << 12
/** Head of a block of 2^order frames that is one folio. */
export const F_COMPOUND = 1 << 13
/** Follows such a head; `next` is the head. */
export const F_TAIL = 1 << 14
/** In an object's page cache at `index`. */
export const F_CACHE = 1 << 15
/** Allocated by a driver's alloc_page(). */
export const F_DRIVER = 1 << 16
/** On the list of pages that are used more than once. */
export const F_ACTIVE = 1 << 17
/** Locked by an area that forgot so: until it is freed, reclaim leaves it alone. */
export const F_LEFT_LOCKED = 1 << 18

const MAX_ORDER = 10
const STACK = 512
const BATCH = 64
/** The page of zeroes. */
export const ZERO_PFN: Pfn = 0

/** The RAM of one world. */
export class Frames {
  readonly words: Int32Array
  /** The same bytes, as bytes. */
  readonly bytes: Uint8Array
  private readonly rec: Int32Array
  private readonly head = new Int32Array(MAX_ORDER + 1)
  private readonly hot: Int32Array
  private hotTop = 0
  private freePages = 0
  private frontier = 0

  constructor(
    readonly limit: number,
    private readonly fail: FailNth,
    shared = false
  ) {
    try {
      this.words = shared ? new Int32Array(new SharedArrayBuffer(limit * 4096)) : new Int32Array(limit * 1024)
    } catch {
      throw new RangeError(
        `kernel config: frames is ${limit} (${limit / 256} MiB), more than this host gives in one buffer; try ${limit >> 1}`
      )
    }
    this.bytes = new Uint8Array(this.words.buffer)
    this.rec = new Int32Array(limit << 3)
    this.hot = new Int32Array(STACK)
    this.rec[0] = 1 // the zero page is never put
    this.rec[FLAGS] = F_UPTODATE
    const first = Math.min(limit, 1024)
    for (let p = 1; p < first;) {
      let o = 0
      while (o < MAX_ORDER && (p & ((2 << o) - 1)) === 0 && p + (2 << o) <= first) o++
      this.push(p, o)
      this.freePages += 1 << o
      p += 1 << o
    }
    this.frontier = first
    this.freePages += limit - first
  }

  /** Free frames. */
  free(): number {
    return this.freePages + this.hotTop
  }
  refcount(p: Pfn): number {
    return this.rec[p << 3]!
  }
  get(p: Pfn): void {
    this.rec[p << 3]!++
  }
  mapcount(p: Pfn): number {
    return this.rec[(p << 3) + MAP]!
  }
  flags(p: Pfn): number {
    return this.rec[(p << 3) + FLAGS]!
  }
  has(p: Pfn, f: number): boolean {
    return (this.rec[(p << 3) + FLAGS]! & f) !== 0
  }
  setFlag(p: Pfn, f: number): void {
    this.rec[(p << 3) + FLAGS]! |= f
  }
  clearFlag(p: Pfn, f: number): void {
    this.rec[(p << 3) + FLAGS]! &= ~f
  }
  mapping(p: Pfn): number {
    return this.rec[(p << 3) + MAPPING]!
  }
  index(p: Pfn): number {
    return this.rec[(p << 3) + INDEX_HI]! * 67108864 + this.rec[(p << 3) + INDEX_LO]!
  }
  private setIndex(r: number, index: number): void {
    const hi = (index * (1 / 67108864)) | 0
    this.rec[r + INDEX_HI] = hi
    this.rec[r + INDEX_LO] = index - hi * 67108864
  }
  /** Frame p becomes an anonymous page of anon_vma `a` at `index`, exclusive, with one mapping; its reference is the caller's. */
  setAnon(p: Pfn, a: number, index: number): void {
    const r = p << 3
    this.rec[r + MAPPING] = a
    this.setIndex(r, index)
    this.rec[r + FLAGS]! |= F_ANON | F_EXCLUSIVE | F_SWAPBACKED | F_UPTODATE
    this.rec[r + MAP] = 1
  }
  /** The page now belongs to another anon_vma of its family (folio_move_anon_rmap). */
  moveAnon(p: Pfn, a: number): void {
    this.rec[(p << 3) + MAPPING] = a
    this.rec[(p << 3) + FLAGS]! |= F_EXCLUSIVE
  }
  /** The page is page `index` of another anon_vma from now on (UFFDIO_MOVE). */
  moveAnonTo(p: Pfn, a: number, index: number): void {
    this.moveAnon(p, a)
    this.setIndex(p << 3, index)
  }
  /** Frame p becomes page `index` of object `o`'s cache. The cache's reference is the caller's. */
  setCache(p: Pfn, o: number, index: number, flags: number): void {
    const r = p << 3
    this.rec[r + MAPPING] = o
    this.setIndex(r, index)
    this.rec[r + FLAGS]! |= F_CACHE | flags
  }
  clearCache(p: Pfn): void {
    const r = p << 3
    this.rec[r + MAPPING] = 0
    this.rec[r + FLAGS]! &= ~F_CACHE
  }
  /** The frame whose count stands for p: itself, or the head of its block. */
  folio(p: Pfn): Pfn {
    return (this.rec[(p << 3) + FLAGS]! & F_TAIL) === 0 ? p : this.rec[(p << 3) + NEXT]!
  }
  /** One more entry maps p: reference and mapcount together. */
  addMap(p: Pfn): void {
    this.rec[this.folio(p) << 3]!++
    this.rec[(p << 3) + MAP]!++
  }
  /** One entry fewer maps p; the reference stays with the caller, who puts it after the flush. */
  dropMap(p: Pfn): void {
    if (--this.rec[(p << 3) + MAP]! < 0) vmBugOn(`bad pte: mapcount of frame ${p} went below zero`)
  }
  /** Drops a reference; the last one frees. */
  put(p: Pfn): void {
    const f = this.folio(p)
    const n = --this.rec[f << 3]!
    if (n === 0) this.release(f)
    else if (n < 0) vmBugOn(`refcount of frame ${f} went below zero`)
  }

  private push(p: number, o: number): void {
    const r = p << 3
    const h = this.head[o]!
    this.rec[r + FLAGS] = (this.rec[r + FLAGS]! & F_USED) | F_BUDDY | (o << ORDER_SHIFT)
    this.rec[r + NEXT] = h
    this.rec[r + PREV] = 0
    if (h !== 0) this.rec[(h << 3) + PREV] = p
    this.head[o] = p
  }
  private unlink(p: number, o: number): void {
    const r = p << 3
    const n = this.rec[r + NEXT]!
    const q = this.rec[r + PREV]!
    if (q !== 0) this.rec[(q << 3) + NEXT] = n
    else this.head[o] = n
    if (n !== 0) this.rec[(n << 3) + PREV] = q
    this.rec[r + FLAGS]! &= F_USED
  }
  private takeBlock(order: number): Pfn {
    let o = order
    while (o <= MAX_ORDER && this.head[o] === 0) o++
    if (o > MAX_ORDER) {
      if (this.frontier + (1 << MAX_ORDER) > this.limit) return this.takeTail(order)
      this.push(this.frontier, MAX_ORDER)
      this.frontier += 1 << MAX_ORDER
      o = MAX_ORDER
    }
    const p = this.head[o]!
    this.unlink(p, o)
    while (o > order) {
      o--
      this.push(p + (1 << o), o)
    }
    this.freePages -= 1 << order
    return p
  }
  /** The last, incomplete block of RAM, when its size is no multiple of 4 MiB. */
  private takeTail(order: number): Pfn {
    if (this.frontier >= this.limit) return 0
    for (let p = this.frontier; p < this.limit;) {
      let o = 0
      while (o < MAX_ORDER && (p & ((2 << o) - 1)) === 0 && p + (2 << o) <= this.limit) o++
      this.push(p, o)
      p += 1 << o
    }
    this.frontier = this.limit
    return this.takeBlock(order)
  }
  /** A block of 2^order frames that is one folio (compound), or, unsplit, a block whose tails have no count of their own.
   * Reference 1 on the head; 0 when none is free. Bytes unspecified.
   */
  allocOrder(order: number, compound: boolean): Pfn {
    if (this.fail.hit()) return 0
    let p = this.takeBlock(order)
    if (p === 0 && this.hotTop !== 0) {
      // single frames on the stack join no block: all go back before there is none to be had
      while (this.hotTop !== 0) this.drain(Math.min(BATCH, this.hotTop))
      p = this.takeBlock(order)
    }
    if (p === 0) return 0
    for (let q = p; q < p + (1 << order); q++) {
      const r = q << 3
      this.rec[r] = q === p ? 1 : 0
      this.rec[r + MAP] = 0
      this.rec[r + MAPPING] = 0
      this.rec[r + FLAGS] = F_USED | (q === p ? (compound ? F_COMPOUND : 0) : compound ? F_TAIL : 0)
      if (q !== p && compound) this.rec[r + NEXT] = p
    }
    this.rec[(p << 3) + FLAGS]! |= order << ORDER_SHIFT
    return p
  }
  private freeBlock(block: number, order: number): void {
    this.freePages += 1 << order
    let p = block
    let o = order
    while (o < MAX_ORDER) {
      const b = p ^ (1 << o)
      if (
        b === 0 ||
        b >= this.frontier ||
        (this.rec[(b << 3) + FLAGS]! & (F_BUDDY | 0xf00)) !== (F_BUDDY | (o << ORDER_SHIFT))
      )
        break
      this.unlink(b, o)
      if (b < p) p = b
      o++
    }
    this.push(p, o)
  }
  /** One frame, reference 1, contents unspecified; 0 when out of memory. LIFO: the frame just freed is warm. */
  alloc(): Pfn {
    if (this.fail.hit()) return 0
    if (this.hotTop === 0 && !this.refill()) return 0
    const p = this.hot[--this.hotTop]!
    const r = p << 3
    this.rec[r] = 1
    this.rec[r + MAP] = 0
    return p
  }
  /** As `alloc`, all bytes zero. A frame never handed out before is zero already. */
  allocZeroed(): Pfn {
    const p = this.alloc()
    if (p === 0) return 0
    if ((this.rec[(p << 3) + FLAGS]! & F_USED) !== 0) this.words.fill(0, p << 10, (p << 10) + 1024)
    else this.rec[(p << 3) + FLAGS]! |= F_USED
    return p
  }
  private refill(): boolean {
    for (let i = 0; i < BATCH; i++) {
      const p = this.takeBlock(0)
      if (p === 0) break
      this.hot[this.hotTop++] = p
    }
    return this.hotTop !== 0
  }
  private release(p: Pfn): void {
    const f = this.rec[(p << 3) + FLAGS]!
    const order = (f >> ORDER_SHIFT) & 15
    if (this.rec[(p << 3) + MAP] !== 0) vmBugOn(`frame ${p} freed while ${this.rec[(p << 3) + MAP]} entries map it`)
    this.rec[(p << 3) + FLAGS] = F_USED
    this.rec[(p << 3) + MAPPING] = 0
    if (order !== 0) {
      for (let q = p; q < p + (1 << order); q++) this.rec[(q << 3) + FLAGS] = F_USED
      this.freeBlock(p, order)
      return
    }
    if (this.hotTop === STACK) this.drain(BATCH)
    this.hot[this.hotTop++] = p
  }
  private drain(n: number): void {
    for (let i = 0; i < n; i++) this.freeBlock(this.hot[i]!, 0)
    this.hot.copyWithin(0, n, this.hotTop)
    this.hotTop -= n
  }
  /** Copies the bytes of frame `from` to frame `to`. */
  copy(to: Pfn, from: Pfn): void {
    this.words.copyWithin(to << 10, from << 10, (from << 10) + 1024)
    this.rec[(to << 3) + FLAGS]! |= F_USED
  }
  /** The bytes of frame `p` become `from`, all 4096. */
  write(p: Pfn, from: Uint8Array): void {
    this.bytes.set(from, p * 4096)
    this.rec[(p << 3) + FLAGS]! |= F_USED
  }
  /** Zeroes bytes `[a, b)` of frame p. */
  zero(p: Pfn, a: number, b: number): void {
    this.bytes.fill(0, p * 4096 + a, p * 4096 + b)
  }

  /** Calls `f` for each frame in use (the zero page excepted). */
  forEachUsed(f: (pfn: Pfn) => void): void {
    const freeNow = new Uint8Array(this.frontier)
    for (let o = 0; o <= MAX_ORDER; o++)
      for (let p = this.head[o]!; p !== 0; p = this.rec[(p << 3) + NEXT]!) freeNow.fill(1, p, p + (1 << o))
    for (let i = 0; i < this.hotTop; i++) freeNow[this.hot[i]!] = 1
    for (let p = 1; p < this.frontier; p++) if (freeNow[p] === 0) f(p)
  }
  /** What is wrong with the free lists, in words; empty when nothing is. */
  check(): string[] {
    const wrong: string[] = []
    let n = this.limit - this.frontier
    for (let o = 0; o <= MAX_ORDER; o++)
      for (let p = this.head[o]!, q = 0; p !== 0; q = p, p = this.rec[(p << 3) + NEXT]!) {
        if ((p & ((1 << o) - 1)) !== 0) wrong.push(`free block ${p} of order ${o} is not aligned`)
        if (this.rec[(p << 3) + PREV] !== q) wrong.push(`free block ${p} does not point back to ${q}`)
        n += 1 << o
      }
    if (n !== this.freePages) wrong.push(`${this.freePages} frames are counted free, the lists hold ${n}`)
    for (let i = 0; i < this.hotTop; i++)
      if (this.rec[this.hot[i]! << 3] !== 0) wrong.push(`free frame ${this.hot[i]} has references`)
    return wrong
  }
}
