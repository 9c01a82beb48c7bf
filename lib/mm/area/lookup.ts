/** Finding an area and holding it: its own lock where that goes, else through mmap_lock. Floor 3. */
import { vmBugOn } from "../base/debug.ts"
import { READ, type Verb, VMA_R } from "../base/stop.ts"
import type { Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { Mm } from "../store/mms.ts"
import { VMA_ATTACHED, type Vma } from "../store/vmas.ts"
import { mmapUnlock, needMmap, tryMmap } from "./mmap-lock.ts"
import { isWriteLocked, lockVmaUnderRcu, vmaEndRead } from "./vma-lock.ts"

/** The area that covers `vpn`, held by its own lock or, failing that, by mmap_lock: what every driver writes by hand.
 * @returns the area, to be given back by `letVmaGo` | 0 nothing is mapped there, nothing is held
 * @locks none on entry; VMA read or mmap read on exit
 * @source drivers/android/binder/page_range.rs use_page_slow (v6.18)
 */
export function* holdVma(k: Kernel, mm: Mm, vpn: Vpn): Verb<"NEED_LOCK" | "PREEMPT", Vma> {
  const fast = yield* lockVmaUnderRcu(k, mm, vpn)
  if (fast !== 0) return fast
  if (!tryMmap(k, mm, READ)) yield needMmap(k, mm, READ)
  const slow = k.maple.lookup(mm, vpn)
  if (slow === 0) mmapUnlock(k, mm, READ)
  return slow
}

/** Gives back what `holdVma` took. */
export function letVmaGo(k: Kernel, mm: Mm, v: Vma): void {
  if ((k.runs.held[k.runs.current]! & VMA_R) !== 0) vmaEndRead(k, v)
  else mmapUnlock(k, mm, READ)
}

/** vma_start_read_unlocked: as `lock_vma_under_rcu`, but a writer is waited for, through mmap_lock.
 * @returns the area, read-locked | 0 nothing is mapped there, nothing is held
 * @locks none on entry; VMA read on exit
 * @source rust/kernel/mm.rs, mm/mmap_lock.c (v6.18 and later)
 */
export function* vmaStartReadUnlocked(k: Kernel, mm: Mm, vpn: Vpn): Verb<"NEED_LOCK" | "PREEMPT", Vma> {
  const fast = yield* lockVmaUnderRcu(k, mm, vpn)
  if (fast !== 0) return fast
  if (!tryMmap(k, mm, READ)) yield needMmap(k, mm, READ)
  // No writer is inside mmap_lock, so none is marked: its readers' lock is free to be joined.
  const v = k.maple.lookup(mm, vpn)
  const locked = v !== 0 && k.runs.tryLock(k.runs.vmaLock(v), READ)
  mmapUnlock(k, mm, READ)
  return locked ? v : 0
}

/** lock_next_vma: the first area that ends above `vpn`, read-locked. A writer is waited for, through mmap_lock.
 * @returns the area | 0 none is left, nothing is held
 * @locks none on entry; VMA read on exit
 * @source mm/mmap_lock.c lock_next_vma, lock_next_vma_under_mmap_lock (v6.18)
 */
export function* lockNextVma(k: Kernel, mm: Mm, vpn: Vpn): Verb<"NEED_LOCK" | "PREEMPT", Vma> {
  for (;;) {
    const v = k.maple.find(mm, vpn)
    if (v === 0) return 0
    if (k.runs.preempt) yield k.runs.point()
    if (k.vmas.state(v) !== VMA_ATTACHED) continue // taken out after we found it
    const q = k.runs.vmaLock(v)
    if (isWriteLocked(k, v) || !k.runs.tryLock(q, READ)) break
    if (k.runs.preempt) yield k.runs.point()
    // it may be another's by now, have shrunk, or no longer be the next one
    if (k.vmas.state(v) === VMA_ATTACHED && k.vmas.mmOf(v) === mm && k.maple.find(mm, vpn) === v) return v
    k.runs.unlock(q, READ)
    break
  }
  if (!tryMmap(k, mm, READ)) yield needMmap(k, mm, READ)
  // No writer is inside mmap_lock, so none is marked: its readers' lock is free to be joined.
  const v = k.maple.find(mm, vpn)
  if (v !== 0 && !k.runs.tryLock(k.runs.vmaLock(v), READ)) vmBugOn(`area ${v} has a writer outside mmap_lock`)
  mmapUnlock(k, mm, READ)
  return v
}
