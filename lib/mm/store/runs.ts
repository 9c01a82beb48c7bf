/** Verbs in flight, the locks they hold and the queues they wait in. Floor 2.
 *
 * A run row is a kernel stack: one for each verb in flight (a task may have several). The ticket in a queue *is* the row.
 * A lock is a queue with a state: -1 written, 0 free, n readers. First come, first served: a queue turns newcomers away,
 * and the unlocker grants (hand-off), so a lock's state never depends on who is scheduled.
 *
 *     queue ids   [0, maxVmas) per-VMA locks, by area row    then mmap locks, by mm row
 *                 then 64 page queues, waited in by key, and four queues a userfaultfd (`store/uffds.ts`)
 */
import { vmBugOn } from "../base/debug.ts"
import { heldName, kindOf, KILLABLE, NEED_LOCK, PREEMPT, READ, type Stop, type StopName, WRITE } from "../base/stop.ts"

export const RUN_FREE = 0
export const RUN_RUNNING = 1
export const RUN_QUEUED = 2
export const RUN_WOKEN = 3
const PAGE_QUEUES = 64
/** Frames a run may hold back until the flush. */
export const GATHER = 500

/** Run rows, locks and queues of one world. */
export class Runs {
  /** The run whose verb is executing. Set by drivers before every next(), return() and hook operation. */
  current = 0
  /** Is an explorer attached: are PREEMPT points yielded? */
  preempt = false
  /** Woken rows, to be resumed by whoever called the core. */
  wokenN = 0
  readonly woken: Int32Array
  /** Resumes woken rows; drivers replace it. */
  flush: () => void = () => {
    this.wokenN = 0
  }
  readonly state: Int32Array
  readonly held: Int32Array
  readonly parent: Int32Array
  /** Operands of the row's stop. */
  readonly a: Int32Array
  readonly b: Int32Array
  readonly at: Float64Array
  /** What the driver hands to `next()` when a queued row was woken: 0, or the errno of what it waited for. */
  readonly reply: Int32Array
  /** mmap lock it holds (queue id), for the refusal of waits for one's own lock. */
  readonly mine: Int32Array
  /** Area whose own lock it holds, or held last: the held bits say which. */
  readonly area: Int32Array
  /** The task whose system call it is; 0 nobody's. */
  readonly task: Int32Array
  private readonly mode: Int32Array
  private readonly on: Int32Array
  private readonly next: Int32Array
  /** Per row: frames to be put after the flush. [row*512] count, then frames. */
  readonly gather: Int32Array
  private readonly lk: Int32Array
  private readonly head: Int32Array
  private readonly tail: Int32Array
  /** Queues whose holder holds them as a child's lock. */
  private readonly child: Int32Array
  private runTop = 1
  private readonly free: number[] = []
  live = 0

  constructor(
    readonly max: number,
    private readonly maxVmas: number,
    private readonly maxMms: number,
    maxUffds: number
  ) {
    const col = (): Int32Array => new Int32Array(max)
    this.woken = new Int32Array(max)
    this.state = col()
    this.held = col()
    this.parent = col()
    this.a = col()
    this.b = col()
    this.at = new Float64Array(max)
    this.mine = col()
    this.area = col()
    this.reply = col()
    this.task = col()
    this.mode = col()
    this.on = col()
    this.next = col()
    this.gather = new Int32Array(max * 512)
    const queues = maxVmas + maxMms + PAGE_QUEUES + maxUffds * 4
    this.lk = new Int32Array(queues)
    this.head = new Int32Array(queues)
    this.tail = new Int32Array(queues)
    this.child = new Int32Array(maxMms)
  }

  // ---- rows
  /** A row for a verb about to start, below `parent` (the verb whose hook starts it; 0 none). Throws when there are too many. */
  alloc(parent: number): number {
    const r = this.free.length !== 0 ? this.free.pop()! : this.runTop++
    if (r >= this.max) throw new RangeError(`${this.max} verbs are in flight already; boot with more maxRuns`)
    this.state[r] = RUN_RUNNING
    this.held[r] = 0
    this.mine[r] = 0
    this.parent[r] = parent
    this.task[r] = parent === 0 ? 0 : this.task[parent]!
    this.gather[r << 9] = 0
    this.live++
    return r
  }
  /** The row's verb ended. It holds nothing by then. */
  release(r: number): void {
    if (this.held[r] !== 0) vmBugOn(`run ${r} ended while holding ${heldName(this.held[r]!)}`)
    if (this.gather[r << 9] !== 0) vmBugOn(`run ${r} ended with ${this.gather[r << 9]} frames not put`)
    this.state[r] = RUN_FREE
    this.free.push(r)
    this.live--
    if (this.current === r) this.current = 0
  }

  // ---- queue ids and classes
  vmaLock(vma: number): number {
    return vma
  }
  mmapLock(mm: number): number {
    return this.maxVmas + mm
  }
  pageQueue(obj: number, pgoff: number): number {
    return this.maxVmas + this.maxMms + ((obj * 31 + pgoff) & (PAGE_QUEUES - 1))
  }
  /** Queue `which` (Q_* of store/uffds.ts) of a userfaultfd. */
  uffdQueue(ctx: number, which: number): number {
    return this.maxVmas + this.maxMms + PAGE_QUEUES + ctx * 4 + which
  }
  private isMmap(q: number): boolean {
    return q >= this.maxVmas && q < this.maxVmas + this.maxMms
  }
  /** The lock of a half-made child is held inside the parent's. */
  setChild(mm: number, yes: boolean): void {
    this.child[mm] = yes ? 1 : 0
  }
  private bitOf(q: number, mode: number): number {
    if (!this.isMmap(q)) return 4 << (mode - 1)
    return (this.child[q - this.maxVmas] === 1 ? 16 : 1) << (mode - 1)
  }

  // ---- locks
  private push(q: number, r: number): void {
    this.state[r] = RUN_QUEUED
    this.on[r] = q
    this.next[r] = 0
    if (this.tail[q] !== 0) this.next[this.tail[q]!] = r
    else this.head[q] = r
    this.tail[q] = r
  }
  private unlink(q: number, r: number): void {
    let prev = 0
    for (let i = this.head[q]!; i !== r; i = this.next[i]!) prev = i
    if (prev !== 0) this.next[prev] = this.next[r]!
    else this.head[q] = this.next[r]!
    if (this.tail[q] === r) this.tail[q] = prev
  }
  private wake(r: number, reply: number): void {
    this.state[r] = RUN_WOKEN
    this.reply[r] = reply
    this.woken[this.wokenN++] = r
  }
  private take(q: number, mode: number, r: number): void {
    this.lk[q] = mode === WRITE ? -1 : this.lk[q]! + 1
    this.held[r]! |= this.bitOf(q, mode)
    if (!this.isMmap(q)) this.area[r] = q
    else if (this.child[q - this.maxVmas] === 0) this.mine[r] = q
  }
  private fits(q: number, mode: number): boolean {
    return mode === WRITE ? this.lk[q] === 0 : this.lk[q]! >= 0
  }
  /** Takes lock `q` for the current run, or refuses. */
  tryLock(q: number, mode: number): boolean {
    if (this.head[q] !== 0 || !this.fits(q, mode)) return false
    this.take(q, mode, this.current)
    return true
  }
  /** Could a reader take `q` right now? */
  canRead(q: number): boolean {
    return this.head[q] === 0 && this.lk[q]! >= 0
  }
  /** Could a writer take `q` right now? */
  canWrite(q: number): boolean {
    return this.head[q] === 0 && this.lk[q] === 0
  }
  /** Readers of `q`, or -1 while it is written. */
  lockState(q: number): number {
    return this.lk[q]!
  }
  /** Runs that wait for `q`. */
  waiters(q: number): number {
    let n = 0
    for (let r = this.head[q]!; r !== 0; r = this.next[r]!) n++
    return n
  }
  /** Queues the current run for `q`: `if (!tryLock(q, m)) yield needLock(q, m)`, before the try whose finally unlocks. */
  needLock(q: number, mode: number, killable: number = KILLABLE): Stop<"NEED_LOCK"> {
    const r = this.current
    this.a[r] = q
    this.mode[r] = mode
    this.push(q, r)
    return this.stop(NEED_LOCK | killable | (mode << 4))
  }
  private grant(q: number): void {
    for (let r = this.head[q]!; r !== 0 && this.fits(q, this.mode[r]!); r = this.head[q]!) {
      this.unlink(q, r)
      this.take(q, this.mode[r]!, r)
      this.wake(r, 0)
      if (this.mode[r] === WRITE) return
    }
  }
  /** Gives `q` back, and hands it to whoever is first in line. */
  unlock(q: number, mode: number, r: number = this.current): void {
    const bit = this.bitOf(q, mode)
    if ((this.held[r]! & bit) === 0) vmBugOn(`run ${r} unlocks ${heldName(bit)}, holds ${heldName(this.held[r]!)}`)
    this.held[r]! &= ~bit
    this.lk[q] = mode === WRITE ? 0 : this.lk[q]! - 1
    if (this.mine[r] === q) this.mine[r] = 0
    if (this.head[q] !== 0) this.grant(q)
  }
  /** Write becomes read; readers that wait first in line come in. */
  downgrade(q: number, r: number = this.current): void {
    this.held[r] = (this.held[r]! & ~this.bitOf(q, WRITE)) | this.bitOf(q, READ)
    this.lk[q] = 1
    this.grant(q)
  }
  /** Withdraws what run `r` waits for at stop `s`: every driver, once, before return(). Nothing is lost: a lock already
   * granted goes to the next in line, and those behind a dropped ticket are looked at again.
   */
  withdraw(r: number, s: number): void {
    const q = this.on[r]!
    if (this.state[r] === RUN_QUEUED) {
      this.unlink(q, r)
      if (kindOf(s) === NEED_LOCK) this.grant(q)
    } else if (this.state[r] === RUN_WOKEN && kindOf(s) === NEED_LOCK) this.unlock(q, this.mode[r]!, r)
    this.state[r] = RUN_RUNNING
  }
  /** The current run waits for page `pgoff` of object `o`: woken with all others of that page, and looks again afterwards. */
  enqueuePage(o: number, pgoff: number): void {
    const r = this.current
    this.a[r] = o
    this.b[r] = pgoff
    this.push(this.pageQueue(o, pgoff), r)
  }
  /** Wakes everyone who waits for page `pgoff` of object `o`; their yield gives `reply`. */
  wakePage(o: number, pgoff: number, reply: number): void {
    const q = this.pageQueue(o, pgoff)
    for (let r = this.head[q]!; r !== 0;) {
      const n = this.next[r]!
      if (this.a[r] === o && this.b[r] === pgoff) {
        this.unlink(q, r)
        this.wake(r, reply)
      }
      r = n
    }
  }
  // ---- queues that are waited in without a ticket for a lock: whoever is woken looks again
  /** The current run waits in queue `q`. */
  enqueue(q: number): void {
    this.push(q, this.current)
  }
  /** First run that waits in `q`; 0 none. */
  firstWaiter(q: number): number {
    return this.head[q]!
  }
  /** The run behind `r` in its queue; 0 none. */
  nextWaiter(r: number): number {
    return this.next[r]!
  }
  /** One past the highest row ever used. */
  limit(): number {
    return this.runTop
  }
  /** Does run `r` wait in a queue? */
  isQueued(r: number): boolean {
    return this.state[r] === RUN_QUEUED
  }
  /** The userfaultfd that run `r` waits for, or was woken from and has not gone on yet, and which of its queues; 0 none. */
  uffdWait(r: number): readonly [ctx: number, which: number] {
    const q = this.on[r]! - this.uffdQueue(0, 0)
    const waits = this.state[r] === RUN_QUEUED || this.state[r] === RUN_WOKEN
    return waits && q >= 0 ? [q >> 2, q & 3] : [0, 0]
  }
  /** Run `r` waits at the end of queue `q` instead. */
  moveWaiter(r: number, q: number): void {
    this.unlink(this.on[r]!, r)
    this.push(q, r)
  }
  /** Run `r` leaves its queue and goes on; its yield gives `reply`. */
  wakeWaiter(r: number, reply: number): void {
    this.unlink(this.on[r]!, r)
    this.wake(r, reply)
  }
  /** A run that waits for a lock which a verb above its hook holds waits for itself: refused when it would wait. */
  assertNotOurs(r: number): void {
    for (let p = this.parent[r]!; p !== 0; p = this.parent[p]!)
      if (this.mine[p] !== 0 && this.mine[p] === this.a[r])
        vmBugOn("possible recursive locking: mmap_lock is already held by the verb that called the hook")
  }
  /** A stop of the current run. */
  stop<S extends StopName>(code: number): Stop<S> {
    // INVARIANT: the code's kind is the caller's S; the callers are the few helpers that build stops.
    return (code | (this.held[this.current]! << 8)) as Stop<S>
  }
  /** A point at which another task may go on; yielded only while an explorer is attached. */
  point(): Stop<"PREEMPT"> {
    return this.stop(PREEMPT)
  }
  /** Locks and queues that are not as an idle world has them, in words. */
  check(wrong: string[]): void {
    for (let q = 0; q < this.lk.length; q++) {
      if (this.lk[q] === 0 && this.head[q] === 0) continue
      const name = this.isMmap(q)
        ? `mmap lock of mm ${q - this.maxVmas}`
        : q < this.maxVmas
          ? `lock of area ${q}`
          : q < this.uffdQueue(0, 0)
            ? `wait queue ${q} of pages`
            : `wait queue ${(q - this.uffdQueue(0, 0)) & 3} of userfaultfd ${(q - this.uffdQueue(0, 0)) >> 2}`
      wrong.push(`${name} is not idle: state ${this.lk[q]}, ${this.waiters(q)} waiting`)
    }
    if (this.live !== 0) wrong.push(`${this.live} verbs are still in flight`)
  }
}
