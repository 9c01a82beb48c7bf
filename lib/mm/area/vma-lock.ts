/** The per-area lock: readers without mmap_lock, writers under it. Floor 3.
 *
 * An area is write-locked while its sequence equals its mm's: one store marks it, and the end of the mmap write section
 * unmarks all. The lock proper is held by readers, and by a writer only until the readers have left.
 * @source mm/mmap_lock.c, include/linux/mmap_lock.h (v6.18)
 */
import { vmBugOn } from "../base/debug.ts"
import { CHILD_W, heldName, MMAP_R, MMAP_W, READ, type Verb, VMA_R, WRITE } from "../base/stop.ts"
import type { Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { Mm } from "../store/mms.ts"
import { VMA_ATTACHED, type Vma } from "../store/vmas.ts"
import { assertMmapWrite } from "./mmap-lock.ts"

/** Is `v` marked by a writer? */
export const isWriteLocked = (k: Kernel, v: Vma): boolean => k.vmas.seq(v) === k.mms.seq(k.vmas.mmOf(v))

/** Could a writer mark `v` without waiting? */
export const canStartWrite = (k: Kernel, v: Vma): boolean => isWriteLocked(k, v) || k.runs.canWrite(k.runs.vmaLock(v))

/** Marks `v` for writing if no reader is inside; false if one is, and then `vmaStartWrite` must wait.
 * @locks mmap write
 */
export function tryStartWrite(k: Kernel, v: Vma): boolean {
  const seq = k.mms.seq(k.vmas.mmOf(v))
  if (k.vmas.seq(v) === seq) return true
  if (!k.runs.canWrite(k.runs.vmaLock(v))) return false
  k.vmas.setSeq(v, seq)
  return true
}

/** vma_start_write: marks `v` and waits until its readers have left. Free when it is marked already.
 * @locks mmap write
 */
export function* vmaStartWrite(k: Kernel, v: Vma): Verb<"NEED_LOCK" | "PREEMPT", void> {
  assertMmapWrite(k, k.vmas.mmOf(v))
  if (isWriteLocked(k, v)) return
  if (k.runs.preempt) yield k.runs.point()
  k.vmas.setSeq(v, k.mms.seq(k.vmas.mmOf(v))) // first the mark, so that no new reader comes; then the old ones are awaited
  const q = k.runs.vmaLock(v)
  if (!k.runs.tryLock(q, WRITE)) yield k.runs.needLock(q, WRITE, 0)
  k.runs.unlock(q, WRITE)
}

/** vma_start_read in its plain pieces: read-locks `v` as found for `vpn` of `mm`, or refuses. */
function tryStartRead(k: Kernel, v: Vma): boolean {
  return !isWriteLocked(k, v) && k.runs.tryLock(k.runs.vmaLock(v), READ)
}

/** Did the area that was read-locked turn out to be the one looked for? Otherwise it is unlocked again.
 * @returns 1 it is | 0 it is another one now, or marked: give up | -1 it was taken out meanwhile: look again
 */
function recheck(k: Kernel, mm: Mm, v: Vma, vpn: Vpn): number {
  const attached = k.vmas.state(v) === VMA_ATTACHED
  if (attached && k.vmas.mmOf(v) === mm && !isWriteLocked(k, v) && k.vmas.covers(v, vpn)) return 1
  k.runs.unlock(k.runs.vmaLock(v), READ)
  return attached ? 0 : -1
}

/** lock_vma_under_rcu: the area that covers `vpn`, read-locked, without mmap_lock. 0 may mean "none" or "not now": the
 * caller falls back to mmap_lock.
 * @source mm/mmap_lock.c lock_vma_under_rcu (v6.18)
 */
export function* lockVmaUnderRcu(k: Kernel, mm: Mm, vpn: Vpn): Verb<"PREEMPT", Vma> {
  for (;;) {
    const v = k.maple.lookup(mm, vpn)
    if (v === 0) return 0
    if (k.runs.preempt) yield k.runs.point()
    if (k.vmas.state(v) !== VMA_ATTACHED) continue // taken out after we found it
    if (!tryStartRead(k, v)) return 0
    if (k.runs.preempt) yield k.runs.point()
    const r = recheck(k, mm, v, vpn)
    if (r >= 0) return r === 1 ? v : 0
  }
}

/** The same in one plain piece, for callers that cannot be interleaved with anything. */
export function lockVmaNow(k: Kernel, mm: Mm, vpn: Vpn): Vma {
  const v = k.maple.lookup(mm, vpn)
  return v !== 0 && tryStartRead(k, v) && recheck(k, mm, v, vpn) === 1 ? v : 0
}

/** Ends a per-area read lock. */
export function vmaEndRead(k: Kernel, v: Vma): void {
  k.runs.unlock(k.runs.vmaLock(v), READ)
}

/** The current run holds something that keeps `v` where it is: its own lock or mmap_lock, read or stronger. */
export function assertVmaStable(k: Kernel, v: Vma): void {
  const r = k.runs.current
  const held = k.runs.held[r]!
  if ((held & CHILD_W) !== 0) return
  if ((held & VMA_R) !== 0 && k.runs.area[r] === k.runs.vmaLock(v)) return
  if ((held & (MMAP_R | MMAP_W)) !== 0 && k.runs.mine[r] === k.runs.mmapLock(k.vmas.mmOf(v))) return
  vmBugOn(`area ${v} is used without a lock: run ${r} holds ${heldName(held)}`)
}
