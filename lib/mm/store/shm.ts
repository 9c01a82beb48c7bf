/** System V segments: identifiers, keys, permissions, attachments. Floor 2.
 *
 * An identifier is `sequence * 32768 + index`. Indexes go round, and the sequence rises each time they do, so that an
 * identifier comes back late. Cold: a record a segment.
 * @source ipc/util.c ipc_idr_alloc, ipc_checkid; include/linux/shm.h shmid_kernel (v6.18)
 */
import type { FailNth } from "../base/debug.ts"
import type { Obj } from "./files.ts"

/** One segment (`shmid_kernel`, and its `kern_ipc_perm`). */
export interface Segment {
  readonly id: number
  /** What `shmget` finds it by; 0 is private, and found by nobody. */
  key: number
  /** Permission bits, SHM_DEST and SHM_LOCKED. */
  mode: number
  uid: number
  gid: number
  readonly creatorUid: number
  readonly creatorGid: number
  readonly creatorPid: number
  /** Who attached or detached last; 0 nobody. */
  lastPid: number
  readonly sizeBytes: number
  /** Its memory: one reference. */
  readonly obj: Obj
  /** As /proc shows its attachments. */
  readonly name: string
  /** Areas that map it, and calls of shmat under way. */
  attached: number
  /** Calls of shmat under way. */
  attaching: number
  /** Whose locked memory it counts as while SHM_LOCKED is set. */
  lockedBy: number
}

/** Kept in memory. */
export const SHM_LOCKED = 0o2000

const INDEX_BITS = 15
const INDEX_MASK = (1 << INDEX_BITS) - 1
const SEQUENCES = 1 << (31 - INDEX_BITS)
/** Identifiers are not used again before so many others were. */
const LEAST_CYCLE = 64

/** The segments of one world. */
export class Shm {
  private readonly at: (Segment | undefined)[] = []
  private last = -1
  private sequence = 0
  live = 0
  /** Pages of all segments. */
  pages = 0
  /** Pages that SHM_LOCK keeps in memory, by user. */
  readonly lockedPages = new Map<number, number>()

  constructor(private readonly fail: FailNth) {}

  /** Files a new segment under the next free identifier, of at most `most`.
   * @returns the segment | undefined when there are `most` already
   */
  add(most: number, segment: Omit<Segment, "id">): Segment | undefined {
    if (this.fail.hit() || this.live >= most) return undefined
    const cycle = Math.min(Math.max(Math.floor((this.live * 3) / 2), LEAST_CYCLE), most)
    let index = (this.last + 1) % cycle
    while (this.at[index] !== undefined) index = (index + 1) % cycle
    if (index <= this.last) this.sequence = (this.sequence + 1) % SEQUENCES
    this.last = index
    const made: Segment = { ...segment, id: (this.sequence << INDEX_BITS) | index }
    this.at[index] = made
    this.live++
    this.pages += Math.ceil(made.sizeBytes / 4096)
    return made
  }
  remove(s: Segment): void {
    this.at[s.id & INDEX_MASK] = undefined
    this.live--
    this.pages -= Math.ceil(s.sizeBytes / 4096)
  }
  /** The segment with this identifier. */
  find(id: number): Segment | undefined {
    const s = this.at[id & INDEX_MASK]
    return s?.id === id ? s : undefined
  }
  /** The segment with this key, which is not 0. */
  byKey(key: number): Segment | undefined {
    return this.at.find((s) => s !== undefined && s.key === key)
  }
  /** The segment at this index: what SHM_STAT asks for. */
  byIndex(index: number): Segment | undefined {
    return this.at[index]
  }
  /** Highest index in use; 0 if none is. */
  highest(): number {
    return Math.max(
      0,
      this.at.findLastIndex((s) => s !== undefined)
    )
  }
  /** Does SHM_LOCK keep the pages of this memory where they are? */
  isLocked(o: Obj): boolean {
    return this.at.some((s) => s !== undefined && s.obj === o && (s.mode & SHM_LOCKED) !== 0)
  }
  /** Was there never a segment? The next one gets identifier 0. */
  isUntouched(): boolean {
    return this.last < 0
  }
  all(): Segment[] {
    return this.at.filter((s) => s !== undefined)
  }
}
