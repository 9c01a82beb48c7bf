/** mmap_lock: the reader/writer lock of an address space, and what its write section ends. Floor 3.
 * @source mm/mmap_lock.c, include/linux/mmap_lock.h (v6.18)
 */
import { vmBugOn } from "../base/debug.ts"
import { CHILD_W, heldName, MMAP_R, MMAP_W, READ, type Stop, WRITE } from "../base/stop.ts"
import type { Kernel } from "../kernel.ts"
import type { Mm } from "../store/mms.ts"

/** Takes the lock for the current run, or refuses: writer-fair, a queued writer turns readers away.
 * `if (!tryMmap(k, mm, m)) yield needMmap(k, mm, m)`
 */
export const tryMmap = (k: Kernel, mm: Mm, mode: number): boolean => k.runs.tryLock(k.runs.mmapLock(mm), mode)

/** The stop that waits for it; killable. */
export const needMmap = (k: Kernel, mm: Mm, mode: number): Stop<"NEED_LOCK"> =>
  k.runs.needLock(k.runs.mmapLock(mm), mode)

/** Gives it back. Ending a write section ends the write lock of every area at once: there is no other way to. */
export function mmapUnlock(k: Kernel, mm: Mm, mode: number): void {
  if (mode === WRITE) k.mms.bumpSeq(mm)
  k.runs.unlock(k.runs.mmapLock(mm), mode)
}

/** Write becomes read; the areas' write locks end. */
export function mmapDowngrade(k: Kernel, mm: Mm): void {
  k.mms.bumpSeq(mm)
  k.runs.downgrade(k.runs.mmapLock(mm))
}

/** The current run holds the lock of `mm` for writing (or it builds `mm`: a child nobody knows). */
export function assertMmapWrite(k: Kernel, mm: Mm): void {
  const r = k.runs.current
  const held = k.runs.held[r]!
  if ((held & CHILD_W) !== 0) return
  if ((held & MMAP_W) === 0 || k.runs.mine[r] !== k.runs.mmapLock(mm))
    vmBugOn(`mmap_lock of mm ${mm} is not held for writing: run ${r} holds ${heldName(held)}`)
}

/** The current run holds the lock of `mm`, in either mode. */
export function assertMmapLocked(k: Kernel, mm: Mm): void {
  const r = k.runs.current
  const held = k.runs.held[r]!
  if ((held & CHILD_W) !== 0) return
  if ((held & (MMAP_R | MMAP_W)) === 0 || k.runs.mine[r] !== k.runs.mmapLock(mm))
    vmBugOn(`mmap_lock of mm ${mm} is not held: run ${r} holds ${heldName(held)}`)
}

export { READ, WRITE }
