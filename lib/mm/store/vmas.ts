/** Rows of areas (`vm_area_struct`): bounds, flags, what they map. Floor 2.
 *
 *     start, end, pgoff   Float64 [vma]        page numbers; pgoff is the offset of `start` within the object
 *     rec                 Int32   [vma<<4 | field], one cache line a row:
 *        0 flags  1 flagsHi  2 mm     3 file   4 anon    5 ops    6 private  7 seq
 *        8 chain  9 state   10 next  11 -     12 obj    13 kind  14 uffd   15 policy
 *
 * Row 0 means "none". Rows are reused at once (SLAB_TYPESAFE_BY_RCU): who looked one up without a lock re-checks it.
 */
import { type FailNth, vmBugOn } from "../base/debug.ts"
import type { PgOff, Vpn } from "../base/units.ts"

/** Row of an area; 0 is none. */
export type Vma = number
const FLAGS = 0
const FLAGS_HI = 1
const MM = 2
const FILE = 3
const ANON = 4
const OPS = 5
const PRIVATE = 6
const SEQ = 7
const CHAIN = 8
const STATE = 9
const NEXT = 10 // of the free list
const OBJ = 12
const KIND = 13
const UFFD = 14
const POLICY = 15

/** Not in use. */
export const VMA_FREE = 0
/** Made, but in no tree: under construction, or taken out. */
export const VMA_DETACHED = 1
/** In its mm's tree. */
export const VMA_ATTACHED = 2

/** Kinds of special mappings, for names and vetoes. */
export const KIND_PLAIN = 0
export const KIND_VDSO = 1
export const KIND_VVAR = 2
export const KIND_VVAR_VCLOCK = 3

/** The areas of one world. */
export class Vmas {
  readonly start: Float64Array
  readonly end: Float64Array
  readonly pgoffs: Float64Array
  readonly rec: Int32Array
  private top = 1
  private freeHead = 0
  live = 0

  constructor(
    readonly max: number,
    private readonly fail: FailNth
  ) {
    this.start = new Float64Array(max)
    this.end = new Float64Array(max)
    this.pgoffs = new Float64Array(max)
    this.rec = new Int32Array(max << 4)
  }

  /** A detached row for `[start, end)` of `mm`, everything else zero; 0 when the pool is empty. */
  alloc(mm: number, start: Vpn, end: Vpn): Vma {
    if (this.fail.hit()) return 0
    let v = this.freeHead
    if (v !== 0) this.freeHead = this.rec[(v << 4) + NEXT]!
    else if (this.top < this.max) v = this.top++
    else return 0
    this.live++
    const r = v << 4
    const { rec } = this
    for (let i = r; i < r + 16; i++) rec[i] = 0 // a call of fill() is 20 ns
    this.start[v] = start
    this.end[v] = end
    this.pgoffs[v] = 0
    this.rec[r + MM] = mm
    this.rec[r + STATE] = VMA_DETACHED
    return v
  }

  /** A detached copy of `v`: same bounds, flags, file, object and ops; no anon_vma, no chain. 0 when the pool is empty. */
  dup(v: Vma): Vma {
    const w = this.alloc(this.mmOf(v), this.start[v]!, this.end[v]!)
    if (w === 0) return 0
    const a = v << 4
    const b = w << 4
    const { rec } = this
    for (let f = 0; f < 16; f++) rec[b + f] = rec[a + f]!
    this.pgoffs[w] = this.pgoffs[v]!
    this.rec[b + ANON] = 0
    this.rec[b + CHAIN] = 0
    this.rec[b + SEQ] = 0
    this.rec[b + NEXT] = 0
    this.rec[b + STATE] = VMA_DETACHED
    return w
  }

  free(v: Vma): void {
    const r = v << 4
    if (this.rec[r + STATE] !== VMA_DETACHED)
      vmBugOn(`area ${v} freed in state ${this.rec[r + STATE]}, expected detached`)
    if (this.rec[r + CHAIN] !== 0) vmBugOn(`area ${v} freed with anon_vma links`)
    this.rec[r + STATE] = VMA_FREE
    this.rec[r + NEXT] = this.freeHead
    this.freeHead = v
    this.live--
  }

  /** One past the highest row ever used: a scan over all areas ends there. */
  limit(): number {
    return this.top
  }
  state(v: Vma): number {
    return this.rec[(v << 4) + STATE]!
  }
  setState(v: Vma, s: number): void {
    this.rec[(v << 4) + STATE] = s
  }
  startOf(v: Vma): Vpn {
    return this.start[v]!
  }
  endOf(v: Vma): Vpn {
    return this.end[v]!
  }
  pages(v: Vma): number {
    return this.end[v]! - this.start[v]!
  }
  covers(v: Vma, vpn: Vpn): boolean {
    return this.start[v]! <= vpn && vpn < this.end[v]!
  }
  mmOf(v: Vma): number {
    return this.rec[(v << 4) + MM]!
  }
  setMm(v: Vma, mm: number): void {
    this.rec[(v << 4) + MM] = mm
  }
  flags(v: Vma): number {
    return this.rec[v << 4]!
  }
  flagsHi(v: Vma): number {
    return this.rec[(v << 4) + FLAGS_HI]!
  }
  setFlags(v: Vma, lo: number, hi: number): void {
    const r = v << 4
    this.rec[r + FLAGS] = lo
    this.rec[r + FLAGS_HI] = hi
  }
  /** File row: identity for merges and names; 0 none. */
  file(v: Vma): number {
    return this.rec[(v << 4) + FILE]!
  }
  setFile(v: Vma, f: number): void {
    this.rec[(v << 4) + FILE] = f
  }
  /** Object row that faults are answered from; 0 for anonymous memory and special mappings. */
  obj(v: Vma): number {
    return this.rec[(v << 4) + OBJ]!
  }
  setObj(v: Vma, o: number): void {
    this.rec[(v << 4) + OBJ] = o
  }
  /** Row of vm_operations; 0 is none: the area is anonymous. */
  ops(v: Vma): number {
    return this.rec[(v << 4) + OPS]!
  }
  setOps(v: Vma, o: number): void {
    this.rec[(v << 4) + OPS] = o
  }
  /** vm_private_data: a number that belongs to the driver. */
  private(v: Vma): number {
    return this.rec[(v << 4) + PRIVATE]!
  }
  setPrivate(v: Vma, p: number): void {
    this.rec[(v << 4) + PRIVATE] = p
  }
  anon(v: Vma): number {
    return this.rec[(v << 4) + ANON]!
  }
  setAnon(v: Vma, a: number): void {
    this.rec[(v << 4) + ANON] = a
  }
  /** First link of its anon_vma chain. */
  chain(v: Vma): number {
    return this.rec[(v << 4) + CHAIN]!
  }
  setChain(v: Vma, link: number): void {
    this.rec[(v << 4) + CHAIN] = link
  }
  pgoff(v: Vma): PgOff {
    return this.pgoffs[v]!
  }
  setPgoff(v: Vma, p: PgOff): void {
    this.pgoffs[v] = p
  }
  /** vm_lock_seq: equal to its mm's sequence while write-locked. */
  seq(v: Vma): number {
    return this.rec[(v << 4) + SEQ]!
  }
  setSeq(v: Vma, s: number): void {
    this.rec[(v << 4) + SEQ] = s
  }
  /** Memory policy, a row of `k.policies`; 0 is the default one. */
  policy(v: Vma): number {
    return this.rec[(v << 4) + POLICY]!
  }
  setPolicy(v: Vma, policy: number): void {
    this.rec[(v << 4) + POLICY] = policy
  }
  /** userfaultfd context that answers its faults; 0 none. Set exactly where a VM_UFFD flag is. No reference: a context
   *  leaves its areas before it goes. */
  uffd(v: Vma): number {
    return this.rec[(v << 4) + UFFD]!
  }
  setUffd(v: Vma, c: number): void {
    this.rec[(v << 4) + UFFD] = c
  }
  kind(v: Vma): number {
    return this.rec[(v << 4) + KIND]!
  }
  setKind(v: Vma, k: number): void {
    this.rec[(v << 4) + KIND] = k
  }
}
