/** Address spaces (`mm_struct`): counts, bounds, statistics. Floor 2.
 *
 *     i   Int32   [mm<<4 | f]   0 users 1 count 2 pgd 3 asn 4 seq 5 rssFile 6 rssAnon 7 rssShmem
 *                               8 defFlags 9 owner 10 mdwe 11 state 12 flags 13 hiwaterRss 14 next free 15 -
 *     d   Float64 [mm<<5 | f]   pages or bytes, see the constants
 */
import type { FailNth } from "../base/debug.ts"

/** Row of an address space; 0 is none. */
export type Mm = number
const USERS = 0
const COUNT = 1
const PGD = 2
const ASN = 3
const SEQ = 4
const RSS = 5
const DEF_FLAGS = 8
const OWNER = 9
const MDWE = 10
const STATE = 11
const FLAGS = 12
const HIWATER_RSS = 13
const NEXT_FREE = 14

/** Kinds of resident pages. */
export const RSS_FILE = 0
export const RSS_ANON = 1
export const RSS_SHMEM = 2

/** Doubles of an mm: pages, unless they say bytes. */
export const TOTAL_VM = 0
export const LOCKED_VM = 1
export const DATA_VM = 2
export const STACK_VM = 3
export const EXEC_VM = 4
/** Byte addresses. */
export const START_BRK = 5
export const BRK = 6
export const START_STACK = 7
export const START_DATA = 8
export const END_DATA = 9
export const START_CODE = 10
export const END_CODE = 11
/** First page above the mmap area; of one that is searched from below (MMAP_BOTTOM_UP), its first page. */
export const MMAP_BASE = 12
export const HIWATER_VM = 13
/** Not 0: searches begin at the base and go up (the legacy layout). */
export const MMAP_BOTTOM_UP = 14
/** Byte addresses of arguments and environment. */
export const ARG_START = 15
export const ARG_END = 16
export const ENV_START = 17
export const ENV_END = 18
/** Pages of LOCKED_VM that no area has: mremap with DONTUNMAP leaves them counted. */
export const LOCKED_ASTRAY = 19

/** Flags of an address space (MMF_*). */
/** PR_SET_THP_DISABLE: no huge pages, */
export const MMF_DISABLE_THP = 1
/** or only where they were advised. */
export const MMF_DISABLE_THP_EXCEPT_ADVISED = 2
/** PR_SET_MEMORY_MERGE: KSM may merge all private memory. */
export const MMF_VM_MERGE_ANY = 4

export const MM_FREE = 0
export const MM_LIVE = 1
/** No users: its areas are gone, the row stays while somebody grabs it. */
export const MM_DEAD = 2

/** The address spaces of one world. */
export class Mms {
  readonly i: Int32Array
  readonly d: Float64Array
  private top = 1
  private freeHead = 0
  live = 0

  constructor(
    readonly max: number,
    private readonly fail: FailNth
  ) {
    this.i = new Int32Array(max << 4)
    this.d = new Float64Array(max << 5)
  }

  /** A row with one user and one grab; 0 when the pool is empty. */
  alloc(): Mm {
    if (this.fail.hit()) return 0
    let m = this.freeHead
    if (m !== 0) this.freeHead = this.i[(m << 4) + NEXT_FREE]!
    else if (this.top < this.max) m = this.top++
    else return 0
    const r = m << 4
    const seq = this.i[r + SEQ]!
    this.i.fill(0, r, r + 16)
    this.d.fill(0, m << 5, (m + 1) << 5)
    this.i[r + USERS] = 1
    this.i[r + COUNT] = 1
    this.i[r + SEQ] = (seq + 1) | 1
    this.i[r + STATE] = MM_LIVE
    this.live++
    return m
  }
  free(m: Mm): void {
    const r = m << 4
    this.i[r + STATE] = MM_FREE
    this.i[r + NEXT_FREE] = this.freeHead
    this.freeHead = m
    this.live--
  }
  limit(): number {
    return this.top
  }
  state(m: Mm): number {
    return this.i[(m << 4) + STATE]!
  }
  setState(m: Mm, s: number): void {
    this.i[(m << 4) + STATE] = s
  }
  users(m: Mm): number {
    return this.i[(m << 4) + USERS]!
  }
  addUsers(m: Mm, n: number): number {
    return (this.i[(m << 4) + USERS]! += n)
  }
  count(m: Mm): number {
    return this.i[(m << 4) + COUNT]!
  }
  addCount(m: Mm, n: number): number {
    return (this.i[(m << 4) + COUNT]! += n)
  }
  pgd(m: Mm): number {
    return this.i[(m << 4) + PGD]!
  }
  setPgd(m: Mm, t: number): void {
    this.i[(m << 4) + PGD] = t
  }
  /** TLB tag; 0 when it needs a new one. */
  asn(m: Mm): number {
    return this.i[(m << 4) + ASN]!
  }
  setAsn(m: Mm, a: number): void {
    this.i[(m << 4) + ASN] = a
  }
  /** mm_lock_seq: an area whose sequence equals it is write-locked. */
  seq(m: Mm): number {
    return this.i[(m << 4) + SEQ]!
  }
  bumpSeq(m: Mm): void {
    this.i[(m << 4) + SEQ] = (this.i[(m << 4) + SEQ]! + 2) | 0
  }
  /** VM_* bits that every new area gets (mlockall(MCL_FUTURE)). */
  defFlags(m: Mm): number {
    return this.i[(m << 4) + DEF_FLAGS]!
  }
  setDefFlags(m: Mm, f: number): void {
    this.i[(m << 4) + DEF_FLAGS] = f
  }
  /** The task whose limits and capabilities count. */
  owner(m: Mm): number {
    return this.i[(m << 4) + OWNER]!
  }
  setOwner(m: Mm, t: number): void {
    this.i[(m << 4) + OWNER] = t
  }
  /** PR_SET_MDWE bits. */
  mdwe(m: Mm): number {
    return this.i[(m << 4) + MDWE]!
  }
  setMdwe(m: Mm, b: number): void {
    this.i[(m << 4) + MDWE] = b
  }
  /** MMF_*. */
  flags(m: Mm): number {
    return this.i[(m << 4) + FLAGS]!
  }
  setFlags(m: Mm, f: number): void {
    this.i[(m << 4) + FLAGS] = f
  }
  rss(m: Mm, kind: number): number {
    return this.i[(m << 4) + RSS + kind]!
  }
  addRss(m: Mm, kind: number, n: number): void {
    this.i[(m << 4) + RSS + kind]! += n
  }
  /** Resident pages of all kinds. */
  rssTotal(m: Mm): number {
    const r = (m << 4) + RSS
    return this.i[r]! + this.i[r + 1]! + this.i[r + 2]!
  }
  /** High mark of the resident pages. */
  hiwaterRss(m: Mm): number {
    return Math.max(this.i[(m << 4) + HIWATER_RSS]!, this.rssTotal(m))
  }
  updateHiwaterRss(m: Mm): void {
    this.i[(m << 4) + HIWATER_RSS] = this.hiwaterRss(m)
  }
  stat(m: Mm, f: number): number {
    return this.d[(m << 5) + f]!
  }
  /** High mark of the pages of address space. */
  hiwaterVm(m: Mm): number {
    const r = m << 5
    const total = this.d[r + TOTAL_VM]!
    const mark = this.d[r + HIWATER_VM]!
    return mark > total ? mark : total
  }
  /** To be called before the address space shrinks. */
  updateHiwaterVm(m: Mm): void {
    this.d[(m << 5) + HIWATER_VM] = this.hiwaterVm(m)
  }
  setStat(m: Mm, f: number, x: number): void {
    this.d[(m << 5) + f] = x
  }
  addStat(m: Mm, f: number, n: number): void {
    this.d[(m << 5) + f]! += n
  }
}
