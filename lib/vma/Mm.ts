/** Address spaces: handles that keep them, and the reference's names for what is done with them. Floor 8. */
import { Effect, Option, type Scope } from "effect"
import { mmdrop, mmgrab } from "../mm/area/mm.ts"
import { MM_LIVE, RSS_ANON, RSS_FILE, RSS_SHMEM, TOTAL_VM } from "../mm/store/mms.ts"
import { type Fail, fail } from "./Fail.ts"
import { MmObject, MmUser } from "./handles.ts"
import { mmapRead, mmapReadTry, tryVmaRead, type WithUser } from "./Locked.ts"
import type { Sleeps } from "./Lockdep.ts"
import type { Mm, MmWithUser, MmWithUserAsync, Pointer } from "./mm-handle.ts"
import { Process, Task } from "./process.ts"
import { inner, mmOf, mmWithUserAsyncOf, mmWithUserOf, pointerOf, ran } from "./raw.ts"
import type { AfterUnlock, AnyEffect, Held, Release } from "./region.ts"
import { withUsers } from "./user.ts"
import { guarded } from "./world.ts"

export type { Mm, MmWithUser, MmWithUserAsync, Pointer } from "./mm-handle.ts"

type A<Fx> = Effect.Success<Fx>
type E<Fx> = Effect.Error<Fx>
type Q<Fx> = Effect.Services<Fx>

/** The address space of the process that calls, grabbed until the current Scope ends: it can be stored.
 * @returns ESRCH in a kernel thread, which has none
 * @source include/linux/sched/mm.h mmgrab, current->mm (v6.18)
 */
export const current: Effect.Effect<Mm, Fail<"ESRCH">, Scope.Scope> = Effect.acquireRelease(
  Effect.flatMap(Effect.serviceOption(Task), (task): Effect.Effect<Mm, Fail<"ESRCH">> => {
    if (Option.isNone(task) || !(task.value instanceof Process)) return fail("ESRCH")
    const { pid, world } = task.value
    const row = world.k.tasks.mm(pid)
    if (row === 0) return fail("ESRCH")
    mmgrab(world.k, row)
    return Effect.succeed(mmOf(new MmObject(world, row)))
  }),
  (mm) => drop(mm)
)

/** A second handle of the same address space, grabbed until the current Scope ends.
 * @source include/linux/sched/mm.h mmgrab (v6.18)
 */
export const grab = (mm: Mm): Effect.Effect<Mm, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const { world, row } = inner(mm, MmObject)
      mmgrab(world.k, row)
      return mmOf(new MmObject(world, row))
    }),
    drop
  )

const drop = (mm: Mm): Effect.Effect<void> =>
  Effect.sync(() => {
    const { world, row } = inner(mm, MmObject)
    mmdrop(world.k, row)
  })

/** mmget_not_zero: runs `body` with an address space that has users.
 * @returns none if it has none any more; `Locked.withUser` says ESRCH instead
 * @locks none; the reference is dropped by mmput() at the end, which may sleep
 * @source rust/kernel/mm.rs Mm::mmget_not_zero (v6.18)
 */
export const mmgetNotZero = <Fx extends AnyEffect>(
  mm: Mm,
  body: <here extends AfterUnlock>(mm: MmWithUser<here>) => WithUser<Fx, here>
): Effect.Effect<Option.Option<A<Fx>>, E<Fx>, Release<Q<Fx>> | Sleeps<"mmput()">> =>
  withUsers(
    mm,
    false,
    (user) => Effect.asSome(ran<Fx>(body(mmWithUserOf(user)))),
    () => Effect.succeedNone
  )

/** Leaves the reference of the section to a worker, which drops it when the section ends. Counts do not change.
 * @source rust/kernel/mm/mmput_async.rs MmWithUser::into_mmput_async (v6.18)
 */
export const intoMmputAsync = <here extends AfterUnlock>(
  mm: MmWithUser<here>
): Effect.Effect<MmWithUserAsync<here>, never, Held<here>> =>
  Effect.suspend(() => {
    const user = inner(mm, MmUser)
    return guarded(user.guard, () => {
      user.async = true
      return Effect.succeed(mmWithUserAsyncOf<here>(user))
    })
  })

/** The reference's name of `Locked.mmapRead`. @source rust/kernel/mm.rs MmWithUser::mmap_read_lock (v6.18) */
export const mmapReadLock: typeof mmapRead = mmapRead
/** The reference's name of `Locked.mmapReadTry`. @source rust/kernel/mm.rs MmWithUser::mmap_read_trylock (v6.18) */
export const mmapReadTrylock: typeof mmapReadTry = mmapReadTry
/** The reference's name of `Locked.tryVmaRead`. @source rust/kernel/mm.rs MmWithUser::lock_vma_under_rcu (v6.18) */
export const lockVmaUnderRcu: typeof tryVmaRead = tryVmaRead
export { vmaStartReadUnlocked } from "./Locked.ts"

/** Its identity: the same for every handle of one address space. */
export const asPtr = (mm: Mm): Pointer => pointerOf(inner(mm, MmObject).row)

/** Counts of an address space, as they are now. */
export interface Stat {
  /** mm_users: who runs in it. */
  readonly users: number
  /** mm_count: who keeps the object; the users together hold one. */
  readonly count: number
  /** Areas. */
  readonly areas: number
  /** Pages of address space. */
  readonly totalVm: number
  /** Resident pages of files and drivers, of anonymous memory, of shared memory. */
  readonly rss: { readonly file: number; readonly anon: number; readonly shmem: number }
  /** Most resident pages so far. */
  readonly hiwaterRss: number
}

/** Reads the counts of an address space. */
export const stat = (mm: Mm): Effect.Effect<Stat> =>
  Effect.sync(() => {
    const { world, row } = inner(mm, MmObject)
    const { mms, maple } = world.k
    return {
      users: mms.users(row),
      count: mms.count(row),
      areas: mms.state(row) === MM_LIVE ? maple.size(row) : 0,
      totalVm: mms.stat(row, TOTAL_VM),
      rss: { file: mms.rss(row, RSS_FILE), anon: mms.rss(row, RSS_ANON), shmem: mms.rss(row, RSS_SHMEM) },
      hiwaterRss: mms.hiwaterRss(row)
    }
  })
