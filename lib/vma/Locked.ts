/** Lock sections: a body runs while a lock is held, and what it was lent cannot leave it. Floor 8.
 *
 * Locks are fair: first come, first served, and a queued writer turns new readers away. A section that waits can be
 * interrupted; what was already granted goes to the next in line. One that runs gives its locks back however it ends.
 */
import { Effect, type Option } from "effect"
import { holdVma, letVmaGo, vmaStartReadUnlocked as startReadUnlocked } from "../mm/area/lookup.ts"
import { mmapUnlock, needMmap, tryMmap } from "../mm/area/mmap-lock.ts"
import { lockVmaNow, lockVmaUnderRcu, vmaEndRead } from "../mm/area/vma-lock.ts"
import { READ, type Verb, WRITE } from "../mm/base/stop.ts"
import { pageOf as vpnOf } from "../mm/base/units.ts"
import type { Kernel } from "../mm/kernel.ts"
import { type Fail, fail } from "./Fail.ts"
import { MappingObject, MmUser } from "./handles.ts"
import type { MmapRead, MmapWrite, VmaRead } from "./level.ts"
import type { Atomic, InOrder, LockClass, Sleeps, Spin, Takes } from "./Lockdep.ts"
import type { Mapping, Mm, MmWithUser, MmWithUserAsync } from "./mm-handle.ts"
import type { Mmap } from "./mmap-handle.ts"
import { inner, mmapOf, mmWithUserAsyncOf, mmWithUserOf, numberOf, ran, vmaRefOf } from "./raw.ts"
import type { AfterUnlock, AnyEffect, Body, Held, Release, Stay } from "./region.ts"
import { assertNotHeld, atomically, insideNow, neverRefused, type Opening, section, WAITS } from "./section.ts"
import type { UserAddr } from "./unit.ts"
import { withUsers } from "./user.ts"
import { View } from "./view.ts"
import type { Fact, Vma, VmaRef } from "./VmaRef.ts"
import { enter, type Guard, guarded } from "./world.ts"

export type { MmapRead, MmapWrite, VmaRead, VmaWrite } from "./level.ts"
export type { Mapping } from "./mm-handle.ts"
export type { Mmap } from "./mmap-handle.ts"
export type { AfterUnlock, AnyEffect, Body, Held, Holding, Release, Stay } from "./region.ts"

type A<Fx> = Effect.Success<Fx>
type E<Fx> = Effect.Error<Fx>
type Q<Fx> = Effect.Services<Fx>

/** What the body of a section must be that holds a user of an address space, and no lock. */
export type WithUser<Fx, here extends AfterUnlock> = Stay<A<Fx>, E<Fx>, Body<Fx, here>>
/** What the body of a section must be that holds `mmap_lock`. */
export type UnderMmap<Fx, here extends AfterUnlock> = Stay<A<Fx>, E<Fx>, InOrder<"mmap_lock", Q<Fx>, Body<Fx, here>>>
/** What the body of a section must be that holds a VMA's lock. */
export type UnderVma<Fx, here extends AfterUnlock> = Stay<A<Fx>, E<Fx>, InOrder<"vma_lock", Q<Fx>, Body<Fx, here>>>

/** Runs `body` with an address space that has users.
 * @returns ESRCH if it has none any more
 * @locks none; the reference is dropped by mmput() at the end, which may sleep
 * @source rust/kernel/mm.rs Mm::mmget_not_zero (v6.18)
 */
export const withUser = <Fx extends AnyEffect>(
  mm: Mm,
  body: <here extends AfterUnlock>(mm: MmWithUser<here>) => WithUser<Fx, here>
): Effect.Effect<A<Fx>, E<Fx> | Fail<"ESRCH">, Release<Q<Fx>> | Sleeps<"mmput()">> =>
  withUsers(
    mm,
    false,
    (user) => ran<Fx>(body(mmWithUserOf(user))),
    () => fail("ESRCH")
  )

/** As `withUser`, but a worker drops the reference, so that the section may end in atomic context.
 * @returns ESRCH if the address space has no users any more
 * @source rust/kernel/mm/mmput_async.rs MmWithUserAsync (v6.18)
 */
export const withUserAsync = <Fx extends AnyEffect>(
  mm: Mm,
  body: <here extends AfterUnlock>(mm: MmWithUserAsync<here>) => WithUser<Fx, here>
): Effect.Effect<A<Fx>, E<Fx> | Fail<"ESRCH">, Release<Q<Fx>>> =>
  withUsers(
    mm,
    true,
    (user) => ran<Fx>(body(mmWithUserAsyncOf(user))),
    () => fail("ESRCH")
  )

/** Runs `body` under `mmap_lock` for reading.
 * @locks takes mmap_lock, read; waits its turn
 * @source rust/kernel/mm.rs MmWithUser::mmap_read_lock (v6.18)
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Locked, type Mm, Units } from "pagewright"
 * const endOfFirst = (mm: Mm.Mm) =>
 *   Locked.withUser(mm, (mm) =>
 *     Locked.mmapRead(mm, (mmap) => Effect.map(mmap.vmaLookup(Units.va("0x1000")), (vma) => vma.end)))
 * ```
 */
export function mmapRead<m extends AfterUnlock, Fx extends AnyEffect>(
  mm: MmWithUser<m>,
  body: <here extends AfterUnlock>(mmap: Mmap<MmapRead, here>) => UnderMmap<Fx, here>
): Effect.Effect<A<Fx>, E<Fx>, Release<Q<Fx>> | Held<m> | Takes<"mmap_lock">>
/** The same, data-last: `pipe(mm, Locked.mmapRead((mmap) => ...))`. */
export function mmapRead<Fx extends AnyEffect>(
  body: <here extends AfterUnlock>(mmap: Mmap<MmapRead, here>) => UnderMmap<Fx, here>
): <m extends AfterUnlock>(
  mm: MmWithUser<m>
) => Effect.Effect<A<Fx>, E<Fx>, Release<Q<Fx>> | Held<m> | Takes<"mmap_lock">>
export function mmapRead(...args: readonly [object, Lend] | readonly [Lend]): unknown {
  if (args.length === 2) return underMmap(args[0], READ, args[1])
  return (mm: object) => underMmap(mm, READ, args[0])
}

/** Runs `body` under `mmap_lock` for writing: nobody else is inside.
 * @locks takes mmap_lock, write; waits its turn. Its end unlocks every VMA that was write-locked in it
 * @source include/linux/mmap_lock.h mmap_write_lock (v6.18)
 */
export function mmapWrite<m extends AfterUnlock, Fx extends AnyEffect>(
  mm: MmWithUser<m>,
  body: <here extends AfterUnlock>(mmap: Mmap<MmapWrite, here>) => UnderMmap<Fx, here>
): Effect.Effect<A<Fx>, E<Fx>, Release<Q<Fx>> | Held<m> | Takes<"mmap_lock">>
/** The same, data-last: `pipe(mm, Locked.mmapWrite((mmap) => ...))`. */
export function mmapWrite<Fx extends AnyEffect>(
  body: <here extends AfterUnlock>(mmap: Mmap<MmapWrite, here>) => UnderMmap<Fx, here>
): <m extends AfterUnlock>(
  mm: MmWithUser<m>
) => Effect.Effect<A<Fx>, E<Fx>, Release<Q<Fx>> | Held<m> | Takes<"mmap_lock">>
export function mmapWrite(...args: readonly [object, Lend] | readonly [Lend]): unknown {
  if (args.length === 2) return underMmap(args[0], WRITE, args[1])
  return (mm: object) => underMmap(mm, WRITE, args[0])
}

/** Runs `body` under `mmap_lock` for reading, if it is to be had at once.
 * @returns none if a writer holds it, or waits for it
 * @locks takes mmap_lock, read, without waiting: it has no place in the lock order, and may be tried in atomic context
 * @source rust/kernel/mm.rs MmWithUser::mmap_read_trylock (v6.18)
 */
export const mmapReadTry = <m extends AfterUnlock, Fx extends AnyEffect>(
  mm: MmWithUser<m>,
  body: <here extends AfterUnlock>(mmap: Mmap<MmapRead, here>) => UnderMmap<Fx, here>
): Effect.Effect<Option.Option<A<Fx>>, E<Fx>, Release<Q<Fx>> | Held<m>> =>
  section(
    () => {
      const { world, row, outer } = userOf(mm)
      return {
        world,
        outer,
        now: () => (tryMmap(world.k, row, READ) ? 1 : 0),
        take: () => tryTakeMmap(world.k, row),
        leave: () => mmapUnlock(world.k, row, READ)
      }
    },
    (guard) => Effect.asSome(ran<Fx>(body(mmapOf(new MmapView(guard, userOf(mm).row))))),
    none
  )

/** lock_vma_under_rcu: runs `body` with the VMA that contains `at`, without `mmap_lock`.
 * @returns none if nothing is mapped there, or a writer holds or has marked it: fall back to `mmap_lock`, or use `withVma`
 * @locks takes that VMA's lock, read, without waiting
 * @source rust/kernel/mm.rs MmWithUser::lock_vma_under_rcu; mm/mmap_lock.c (v6.18)
 */
export const tryVmaRead = <m extends AfterUnlock, Fx extends AnyEffect>(
  mm: MmWithUser<m>,
  at: UserAddr,
  body: <here extends AfterUnlock>(vma: VmaRef<VmaRead, never, here>) => UnderVma<Fx, here>
): Effect.Effect<Option.Option<A<Fx>>, E<Fx>, Release<Q<Fx>> | Held<m>> =>
  section(
    () => {
      const { world, row, outer } = userOf(mm)
      const { k } = world
      return {
        world,
        outer,
        now: () => lockVmaNow(k, row, vpnOf(numberOf(at))),
        take: () => lockVmaUnderRcu(k, row, vpnOf(numberOf(at))),
        leave: (vma) => vmaEndRead(k, vma)
      }
    },
    (guard, vma) => Effect.asSome(ran<Fx>(body(vmaRefOf(new View(guard, vma))))),
    none
  )

/** As `tryVmaRead`, but a writer is waited for, through `mmap_lock`.
 * @returns none if nothing is mapped there
 * @locks takes mmap_lock, read, and lets it go; then that VMA's lock, read
 * @source rust/kernel/mm.rs MmWithUser::vma_start_read_unlocked (later than v6.18)
 */
export const vmaStartReadUnlocked = <m extends AfterUnlock, Fx extends AnyEffect>(
  mm: MmWithUser<m>,
  at: UserAddr,
  body: <here extends AfterUnlock>(vma: VmaRef<VmaRead, never, here>) => UnderVma<Fx, here>
): Effect.Effect<Option.Option<A<Fx>>, E<Fx>, Release<Q<Fx>> | Held<m> | Takes<"mmap_lock">> =>
  section(
    () => {
      const { world, row, outer } = userOf(mm)
      const { k } = world
      assertNotHeld(world, outer, k.runs.mmapLock(row))
      return {
        world,
        outer,
        now: () => lockVmaNow(k, row, vpnOf(numberOf(at))) || WAITS,
        take: () => startReadUnlocked(k, row, vpnOf(numberOf(at))),
        leave: (vma) => vmaEndRead(k, vma)
      }
    },
    (guard, vma) => Effect.asSome(ran<Fx>(body(vmaRefOf(new View(guard, vma))))),
    none
  )

/** Runs `body` with the VMA that contains `at`: `lock_vma_under_rcu`, else `mmap_lock` and a lookup. What every driver
 * would write by hand.
 * @returns ESRCH if nothing is mapped there
 * @locks takes that VMA's lock, read, or mmap_lock, read
 * @source drivers/android/binder/page_range.rs use_page_slow (v6.18)
 */
export const withVma = <m extends AfterUnlock, Fx extends AnyEffect>(
  mm: MmWithUser<m>,
  at: UserAddr,
  body: <here extends AfterUnlock>(vma: VmaRef<VmaRead, never, here>) => UnderVma<Fx, here>
): Effect.Effect<A<Fx>, E<Fx> | Fail<"ESRCH">, Release<Q<Fx>> | Held<m> | Takes<"mmap_lock">> =>
  section(
    () => {
      const { world, row, outer } = userOf(mm)
      const { k } = world
      assertNotHeld(world, outer, k.runs.mmapLock(row))
      return {
        world,
        outer,
        now: () => lockVmaNow(k, row, vpnOf(numberOf(at))) || WAITS,
        take: () => holdVma(k, row, vpnOf(numberOf(at))),
        leave: (vma) => letVmaGo(k, row, vma)
      }
    },
    (guard, vma) => ran<Fx>(body(vmaRefOf(new View(guard, vma)))),
    () => fail("ESRCH")
  )

/** Runs `body` under the lock of an object's mappings, for reading. There is no section that writes them, so nobody waits.
 *
 * UNLIKE LINUX: the core changes mappings in one turn and does not take this lock.
 * @locks takes i_mmap_rwsem, read
 * @source include/linux/fs.h i_mmap_lock_read (v6.18)
 */
export const iMmapRead = <Fx extends AnyEffect>(
  mapping: Mapping,
  body: () => InOrder<"i_mmap_rwsem", Q<Fx>, Fx>
): Effect.Effect<A<Fx>, E<Fx>, Q<Fx> | Takes<"i_mmap_rwsem">> =>
  Effect.suspend(() => {
    inner(mapping, MappingObject)
    return ran<Fx>(body())
  })

/** Runs `body` under the page-table lock of a VMA: it may not wait.
 * @locks takes page_table_lock
 * @source include/linux/mm.h pte_offset_map_lock (v6.18)
 */
export const pageTableLock = <L extends VmaRead, F extends Fact, v extends AfterUnlock, Fx extends AnyEffect>(
  vma: Vma<L, F, v>,
  body: () => Spin<"page_table_lock", Q<Fx>, Fx>
): Effect.Effect<A<Fx>, E<Fx>, Q<Fx> | Held<v> | Takes<"page_table_lock">> =>
  guarded(inner(vma, View).guard, () => atomically("page_table_lock", () => ran<Fx>(body())))

/** Runs `body` under RCU: it may not wait.
 * @source include/linux/rcupdate.h rcu_read_lock (v6.18)
 */
export const rcuRead = <Fx extends AnyEffect>(
  body: () => Atomic<"rcu_read_lock", Q<Fx>, Fx>
): Effect.Effect<A<Fx>, E<Fx>, Q<Fx>> => atomically("rcu_read_lock", () => ran<Fx>(body()))

/** Runs `body` under a spinlock of the driver's own class: it may not wait. One processor: nobody spins.
 * @param lock - a class that the driver has added to `LockClasses` as "spins"
 * @locks takes that lock
 */
export const spin = <const C extends LockClass, Fx extends AnyEffect>(
  lock: C,
  body: () => Spin<C, Q<Fx>, Fx>
): Effect.Effect<A<Fx>, E<Fx>, Q<Fx> | Takes<C>> => atomically(lock, () => ran<Fx>(body()))

type Lend = (mmap: Mmap<MmapWrite, AfterUnlock>) => unknown

/** What `Mmap` is at run time. */
class MmapView {
  readonly guard: Guard
  readonly row: number
  constructor(guard: Guard, row: number) {
    this.guard = guard
    this.row = row
  }
  vmaLookup(address: UserAddr): Effect.Effect<View, Fail<"EFAULT">> {
    return guarded(this.guard, (k) => {
      const vma = k.maple.lookup(this.row, vpnOf(numberOf(address)))
      return vma === 0 ? fail("EFAULT") : Effect.succeed(new View(this.guard, vma))
    })
  }
}

const underMmap = (mm: object, mode: number, body: Lend): Effect.Effect<unknown, unknown> =>
  section(
    (): Opening<"NEED_LOCK"> => {
      const { world, row, outer } = userOf(mm)
      const { k } = world
      assertNotHeld(world, outer, k.runs.mmapLock(row))
      return {
        world,
        outer,
        now: () => (tryMmap(k, row, mode) ? 1 : WAITS),
        take: () => takeMmap(k, row, mode),
        leave: () => mmapUnlock(k, row, mode)
      }
    },
    (guard) => ran(body(mmapOf(new MmapView(guard, inner(mm, MmUser).row)))),
    neverRefused
  )

function* takeMmap(k: Kernel, row: number, mode: number): Verb<"NEED_LOCK"> {
  if (!tryMmap(k, row, mode)) yield needMmap(k, row, mode)
  return 1
}

function* tryTakeMmap(k: Kernel, row: number): Verb<"PREEMPT"> {
  if (k.runs.preempt) yield k.runs.point()
  return tryMmap(k, row, READ) ? 1 : 0
}

/** The address space behind a handle, while its users are known to be there; and the section around. */
function userOf(mm: object): {
  readonly world: Guard["world"]
  readonly row: number
  readonly outer: Guard | undefined
} {
  const { guard, world, row } = inner(mm, MmUser)
  enter(guard)
  return { world, row, outer: insideNow() }
}

const none = (): Effect.Effect<Option.Option<never>> => Effect.succeedNone
