/** userfaultfd contexts, and what each waiting run says to whoever reads. Floor 2.
 *
 *     i    Int32   [ctx<<3 | f]   0 refs 1 flags 2 features 3 state 4 changing 5 mm 6 next free 7 -
 *     mi   Int32   [run<<1 | f]   0 event 1 flags        what run `run` waits with: its row is its ticket
 *     mx   Float64 [run*3 | f]    PAGEFAULT: byte address, thread | FORK: context | REMAP: from, to, length
 *                                 REMOVE, UNMAP: start, end; all in bytes
 *
 * The queues themselves are those of `store/runs.ts`, four a context.
 */
import { type FailNth, vmBugOn } from "../base/debug.ts"

/** Row of a context; 0 none. */
export type Uffd = number

/** Queues of a context. */
export const Q_PENDING = 0
/** Faults that were read, and are not resolved yet. */
export const Q_READ = 1
export const Q_EVENTS = 2
/** Those who wait for something to read. */
export const Q_READERS = 3

const REFS = 0
const FLAGS = 1
const FEATURES = 2
const STATE = 3
const CHANGING = 4
const MM = 5
const NEXT = 6

/** Features are agreed upon (UFFDIO_API). */
const INITIALIZED = 1
/** Its last descriptor is closed. */
const RELEASED = 2
const LIVE = 4
/** It is a fork's child's, and nobody has read of it yet: whoever forks holds it. */
const UNHEARD = 8

/** The userfaultfd contexts of one world. */
export class Uffds {
  private readonly i: Int32Array
  private readonly mi: Int32Array
  private readonly mx: Float64Array
  private top = 1
  private freeHead = 0
  live = 0

  constructor(
    readonly max: number,
    maxRuns: number,
    private readonly fail: FailNth
  ) {
    this.i = new Int32Array(max << 3)
    this.mi = new Int32Array(maxRuns << 1)
    this.mx = new Float64Array(maxRuns * 3)
  }

  /** A context of `mm` with one reference; 0 when the pool is empty. */
  alloc(mm: number, flags: number): Uffd {
    if (this.fail.hit()) return 0
    let c = this.freeHead
    if (c !== 0) this.freeHead = this.i[(c << 3) + NEXT]!
    else if (this.top < this.max) c = this.top++
    else return 0
    const r = c << 3
    this.i.fill(0, r, r + 8)
    this.i[r + REFS] = 1
    this.i[r + FLAGS] = flags
    this.i[r + MM] = mm
    this.i[r + STATE] = LIVE
    this.live++
    return c
  }
  free(c: Uffd): void {
    if (this.i[c << 3] !== 0) vmBugOn(`userfaultfd ${c} freed with ${this.i[c << 3]} references`)
    this.i[(c << 3) + STATE] = 0
    this.i[(c << 3) + NEXT] = this.freeHead
    this.freeHead = c
    this.live--
  }
  /** One past the highest row ever used. */
  limit(): number {
    return this.top
  }
  isLive(c: Uffd): boolean {
    return (this.i[(c << 3) + STATE]! & LIVE) !== 0
  }
  refs(c: Uffd): number {
    return this.i[c << 3]!
  }
  addRefs(c: Uffd, n: number): number {
    return (this.i[c << 3]! += n)
  }
  /** Flags of userfaultfd(2). */
  flags(c: Uffd): number {
    return this.i[(c << 3) + FLAGS]!
  }
  /** The address space whose faults it answers; the row is grabbed, its areas may be gone. */
  mm(c: Uffd): number {
    return this.i[(c << 3) + MM]!
  }
  features(c: Uffd): number {
    return this.i[(c << 3) + FEATURES]!
  }
  /** Is any of these features on? */
  has(c: Uffd, feature: number): boolean {
    return (this.i[(c << 3) + FEATURES]! & feature) !== 0
  }
  /** UFFDIO_API has been agreed upon. */
  isInitialized(c: Uffd): boolean {
    return (this.i[(c << 3) + STATE]! & INITIALIZED) !== 0
  }
  initialize(c: Uffd, features: number): void {
    this.i[(c << 3) + FEATURES] = features
    this.i[(c << 3) + STATE]! |= INITIALIZED
  }
  isReleased(c: Uffd): boolean {
    return (this.i[(c << 3) + STATE]! & RELEASED) !== 0
  }
  setReleased(c: Uffd): void {
    this.i[(c << 3) + STATE]! |= RELEASED
  }
  /** Is it of a fork's child, of which nobody has read yet? */
  isUnheard(c: Uffd): boolean {
    return (this.i[(c << 3) + STATE]! & UNHEARD) !== 0
  }
  setUnheard(c: Uffd, yes: boolean): void {
    if (yes) this.i[(c << 3) + STATE]! |= UNHEARD
    else this.i[(c << 3) + STATE]! &= ~UNHEARD
  }
  /** Changes of the address space that were announced and not heard of yet (mmap_changing). */
  changing(c: Uffd): number {
    return this.i[(c << 3) + CHANGING]!
  }
  addChanging(c: Uffd, n: number): void {
    this.i[(c << 3) + CHANGING]! += n
  }

  /** What run `run` is about to wait with. */
  setMessage(run: number, event: number, flags: number, x: number, y: number, z: number): void {
    this.mi[run << 1] = event
    this.mi[(run << 1) + 1] = flags
    this.mx[run * 3] = x
    this.mx[run * 3 + 1] = y
    this.mx[run * 3 + 2] = z
  }
  /** EVENT_* of run `run`; 0 once it has been read. */
  event(run: number): number {
    return this.mi[run << 1]!
  }
  clearEvent(run: number): void {
    this.mi[run << 1] = 0
  }
  messageFlags(run: number): number {
    return this.mi[(run << 1) + 1]!
  }
  /** Word `n`, 0..2, of the message of run `run`. */
  word(run: number, n: number): number {
    return this.mx[run * 3 + n]!
  }
}
