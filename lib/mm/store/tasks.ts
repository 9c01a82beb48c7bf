/** Processes: their mm, limits, capabilities, descriptors. Floor 2.
 *
 *     i    Int32   [task<<3 | f]      0 mm  1 state  2 parent  3 caps  4 uid  5 gid
 *                                     6 personality  7 times the row was used
 *     lim  Float64 [task<<5 | 2*res]  soft, hard; Infinity is RLIM_INFINITY
 *     fd   Int32   [task*256 + fd]    open file rows
 */
import type { FailNth } from "../base/debug.ts"

/** Row of a process; 0 none. Also its pid. */
export type Task = number
export const MAX_FDS = 256

/** Resource limits, as setrlimit numbers them. */
export const RLIMIT_DATA = 2
export const RLIMIT_STACK = 3
export const RLIMIT_MEMLOCK = 8
export const RLIMIT_AS = 9

/** Capabilities that memory management asks for, as bits. */
export const CAP_IPC_LOCK = 1
export const CAP_SYS_RAWIO = 2
export const CAP_SYS_RESOURCE = 4
export const CAP_SYS_ADMIN = 8
export const CAP_SYS_NICE = 16
export const CAP_IPC_OWNER = 32
export const CAP_SYS_PTRACE = 64
export const CAP_FOWNER = 128
export const CAP_DAC_OVERRIDE = 256
/** root. */
export const CAPS_ALL = 511

export const TASK_FREE = 0
export const TASK_LIVE = 1
/** Exited; its row is kept until somebody looks. */
export const TASK_DEAD = 2

/** The processes of one world. */
export class Tasks {
  private readonly i: Int32Array
  private readonly lim: Float64Array
  readonly fd: Int32Array
  /** By descriptor: does exec close it? */
  private readonly cloexec: Uint8Array
  /** Was it sent a signal that it cannot survive? It has its address space until it exits. */
  private readonly dying: Uint8Array
  readonly names: string[] = []
  private top = 1
  live = 0

  constructor(
    readonly max: number,
    private readonly fail: FailNth
  ) {
    this.i = new Int32Array(max << 3)
    this.lim = new Float64Array(max << 5).fill(Infinity)
    this.fd = new Int32Array(max * MAX_FDS)
    this.cloexec = new Uint8Array(max * MAX_FDS)
    this.dying = new Uint8Array(max)
  }

  /** A live process with what `parent` has; without one it is root's: all capabilities, no limits. 0 when the pool is empty. */
  alloc(parent: Task, name: string): Task {
    if (this.fail.hit()) return 0
    let t = 0
    for (let q = 1; q < this.top && t === 0; q++) if (this.i[(q << 3) + 1] === TASK_FREE) t = q
    if (t === 0) {
      if (this.top >= this.max) return 0
      t = this.top++
    }
    const r = t << 3
    this.i.fill(0, r, r + 7)
    this.i[r + 7]!++
    this.i[r + 1] = TASK_LIVE
    this.i[r + 2] = parent
    this.i[r + 3] = CAPS_ALL
    this.dying[t] = 0
    this.fd.fill(0, t * MAX_FDS, (t + 1) * MAX_FDS)
    if (parent === 0) this.lim.fill(Infinity, t << 5, (t + 1) << 5)
    else {
      this.lim.copyWithin(t << 5, parent << 5, (parent + 1) << 5)
      this.i.copyWithin(r + 3, (parent << 3) + 3, (parent << 3) + 7)
    }
    this.names[t] = name
    this.live++
    return t
  }
  /** The row may be used again. */
  free(t: Task): void {
    this.i[(t << 3) + 1] = TASK_FREE
    this.live--
  }
  limit(): number {
    return this.top
  }
  mm(t: Task): number {
    return this.i[t << 3]!
  }
  setMm(t: Task, mm: number): void {
    this.i[t << 3] = mm
  }
  state(t: Task): number {
    return this.i[(t << 3) + 1]!
  }
  setState(t: Task, s: number): void {
    this.i[(t << 3) + 1] = s
  }
  /** Will it end as soon as it can (fatal_signal_pending)? */
  isDying(t: Task): boolean {
    return this.dying[t] === 1
  }
  setDying(t: Task): void {
    this.dying[t] = 1
  }
  parent(t: Task): Task {
    return this.i[(t << 3) + 2]!
  }
  caps(t: Task): number {
    return this.i[(t << 3) + 3]!
  }
  setCaps(t: Task, c: number): void {
    this.i[(t << 3) + 3] = c
  }
  /** How many processes the row has been: with it, an identity that is not used again. */
  generation(t: Task): number {
    return this.i[(t << 3) + 7]!
  }
  /** Effective user. */
  uid(t: Task): number {
    return this.i[(t << 3) + 4]!
  }
  /** Effective group. */
  gid(t: Task): number {
    return this.i[(t << 3) + 5]!
  }
  setIds(t: Task, uid: number, gid: number): void {
    this.i[(t << 3) + 4] = uid
    this.i[(t << 3) + 5] = gid
  }
  capable(t: Task, cap: number): boolean {
    return (this.i[(t << 3) + 3]! & cap) !== 0
  }
  /** Bits of sys/personality.ts. */
  personality(t: Task): number {
    return this.i[(t << 3) + 6]!
  }
  setPersonality(t: Task, bits: number): void {
    this.i[(t << 3) + 6] = bits
  }
  /** Soft limit in bytes. */
  rlimit(t: Task, res: number): number {
    return this.lim[(t << 5) + 2 * res]!
  }
  rlimitMax(t: Task, res: number): number {
    return this.lim[(t << 5) + 2 * res + 1]!
  }
  setRlimit(t: Task, res: number, soft: number, hard: number): void {
    this.lim[(t << 5) + 2 * res] = soft
    this.lim[(t << 5) + 2 * res + 1] = hard
  }
  /** Open file of descriptor `fd`; 0 if none. */
  file(t: Task, fd: number): number {
    return Number.isInteger(fd) && fd >= 0 && fd < MAX_FDS ? this.fd[t * MAX_FDS + fd]! : 0
  }
  setFile(t: Task, fd: number, file: number): void {
    this.fd[t * MAX_FDS + fd] = file
    this.cloexec[t * MAX_FDS + fd] = 0
  }
  /** Does exec close descriptor `fd` (FD_CLOEXEC)? */
  closesOnExec(t: Task, fd: number): boolean {
    return this.cloexec[t * MAX_FDS + fd] === 1
  }
  setCloexec(t: Task, fd: number): void {
    this.cloexec[t * MAX_FDS + fd] = 1
  }
  /** Lowest free descriptor; -1 if none. */
  freeFd(t: Task): number {
    for (let fd = 0; fd < MAX_FDS; fd++) if (this.fd[t * MAX_FDS + fd] === 0) return fd
    return -1
  }
}
