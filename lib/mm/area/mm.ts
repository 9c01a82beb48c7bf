/** Address spaces: made, kept alive, torn down. Floor 3.
 *
 *     users  who runs in it; 0 means the areas are gone        (mmget, mmput)
 *     count  who holds the row; the users together hold one    (mmgrab, mmdrop)
 *
 * @source kernel/fork.c mm_init, include/linux/sched/mm.h (v6.18)
 */
import type { Kernel } from "../kernel.ts"
import { MM_DEAD, MMAP_BASE, type Mm } from "../store/mms.ts"

/** An empty address space owned by `task`; 0 when rows, tables or nodes ran out. */
export function mmAlloc(k: Kernel, task: number): Mm {
  const mm = k.mms.alloc()
  if (mm === 0) return 0
  const pgd = k.ptes.newTable()
  if (pgd !== 0 && k.maple.create(mm)) {
    k.mms.setPgd(mm, pgd)
    k.mms.setOwner(mm, task)
    k.mms.setStat(mm, MMAP_BASE, k.config.mmapBase)
    return mm
  }
  if (pgd !== 0) k.ptes.freeTable(pgd)
  k.mms.free(mm)
  return 0
}

/** A system call of `task` begins: from here on its limits and its rights count. Returns its address space. */
export function enter(k: Kernel, task: number): Mm {
  k.runs.task[k.runs.current] = task
  return k.tasks.mm(task)
}

/** Whoever the current run acts for; 0 nobody. */
export const currentTask = (k: Kernel): number => (k.runs.current === 0 ? 0 : k.runs.task[k.runs.current]!)

/** The task whose limits and rights count for `mm`: the one that calls, if it runs in `mm`, else the one it was made for. */
export function taskFor(k: Kernel, mm: Mm): number {
  const t = currentTask(k)
  return t !== 0 && k.tasks.mm(t) === mm ? t : k.mms.owner(mm)
}

/** One more user; only while there is one. */
export function mmget(k: Kernel, mm: Mm): void {
  k.mms.addUsers(mm, 1)
}

/** One more user, unless the last one has gone.
 * @source include/linux/sched/mm.h mmget_not_zero (v6.18)
 */
export function mmgetNotZero(k: Kernel, mm: Mm): boolean {
  if (k.mms.users(mm) === 0) return false
  k.mms.addUsers(mm, 1)
  return true
}

/** One more holder of the row. */
export function mmgrab(k: Kernel, mm: Mm): void {
  k.mms.addCount(mm, 1)
}

/** One holder of the row fewer; the last one frees it. */
export function mmdrop(k: Kernel, mm: Mm): void {
  if (k.mms.addCount(mm, -1) === 0) k.mms.free(mm)
}

/** Called by exit_mmap when the areas are gone: tree and top table go too, the row stays for who grabbed it. */
export function mmRelease(k: Kernel, mm: Mm): void {
  k.maple.destroy(mm)
  k.ptes.freeTable(k.mms.pgd(mm))
  k.mms.setPgd(mm, 0)
  k.mms.setAsn(mm, 0)
  k.mms.setState(mm, MM_DEAD)
  k.notifiers.delete(mm)
  if (k.activeMm === mm) k.activeMm = 0
}
