/** Lock sections: a body runs while a lock is held, and what it was lent cannot leave it. Floor 8. */
import type { Effect, Option } from "effect"
import type { Fail } from "./Fail.ts"
import type { MmapRead, MmapWrite, VmaRead } from "./level.ts"
import type { Atomic, InOrder, Sleeps, Spin, Takes } from "./Lockdep.ts"
import type { Mm, MmWithUser, MmWithUserAsync } from "./mm-handle.ts"
import type { AfterUnlock, AnyEffect, Body, Held, mustNotOutliveItsLock, Release, Stay } from "./region.ts"
import type { UserAddr } from "./Units.ts"
import type { Fact, Vma, VmaRef } from "./VmaRef.ts"

export type { MmapRead, MmapWrite, VmaRead, VmaWrite } from "./level.ts"
export type { AfterUnlock, Held, Holding, Release, Stay } from "./region.ts"

declare const level: unique symbol

type A<Fx> = Effect.Success<Fx>
type E<Fx> = Effect.Error<Fx>
type Q<Fx> = Effect.Services<Fx>

/** What holding `mmap_lock` at level `L` gives. */
export interface Mmap<out L extends MmapRead, in out here extends AfterUnlock> extends Held<here> {
  readonly [mustNotOutliveItsLock]: (_: here) => here
  readonly [level]: L
  /** The VMA that contains `address`; never the next higher one.
   * @returns EFAULT if nothing is mapped there; any address is legal
   * @source rust/kernel/mm.rs MmapReadGuard::vma_lookup (v6.18)
   */
  vmaLookup(address: UserAddr): Effect.Effect<VmaRef<L, never, here>, Fail<"EFAULT">, Held<here>>
}

/** The body of a section that neither locks nor forbids anything. */
type Plain<Fx, here extends AfterUnlock> = Stay<A<Fx>, E<Fx>, Body<Fx, here>>
/** The body of a section that holds `mmap_lock`. */
type UnderMmap<Fx, here extends AfterUnlock> = Stay<A<Fx>, E<Fx>, InOrder<"mmap_lock", Q<Fx>, Body<Fx, here>>>
/** The body of a section that holds a VMA's lock. */
type UnderVma<Fx, here extends AfterUnlock> = Stay<A<Fx>, E<Fx>, InOrder<"vma_lock", Q<Fx>, Body<Fx, here>>>

/** Runs `body` with an address space that has users.
 * @returns ESRCH if it has none any more
 * @locks none; the reference is dropped by mmput() at the end, which may sleep
 * @source rust/kernel/mm.rs Mm::mmget_not_zero (v6.18)
 */
export declare function withUser<Fx extends AnyEffect>(
  mm: Mm,
  body: <here extends AfterUnlock>(mm: MmWithUser<here>) => Plain<Fx, here>
): Effect.Effect<A<Fx>, E<Fx> | Fail<"ESRCH">, Release<Q<Fx>> | Sleeps<"mmput()">>

/** As `withUser`, but a worker drops the reference, so that the section may end in atomic context.
 * @returns ESRCH if the address space has no users any more
 * @source rust/kernel/mm/mmput_async.rs MmWithUser::into_mmput_async (v6.18)
 */
export declare function withUserAsync<Fx extends AnyEffect>(
  mm: Mm,
  body: <here extends AfterUnlock>(mm: MmWithUserAsync<here>) => Plain<Fx, here>
): Effect.Effect<A<Fx>, E<Fx> | Fail<"ESRCH">, Release<Q<Fx>>>

/** Runs `body` under `mmap_lock` for reading.
 * @locks takes mmap_lock, read; waits its turn, first come, first served
 * @source rust/kernel/mm.rs MmWithUser::mmap_read_lock (v6.18)
 */
export declare function mmapRead<m extends AfterUnlock, Fx extends AnyEffect>(
  mm: MmWithUser<m>,
  body: <here extends AfterUnlock>(mmap: Mmap<MmapRead, here>) => UnderMmap<Fx, here>
): Effect.Effect<A<Fx>, E<Fx>, Release<Q<Fx>> | Held<m> | Takes<"mmap_lock">>
export declare function mmapRead<Fx extends AnyEffect>(
  body: <here extends AfterUnlock>(mmap: Mmap<MmapRead, here>) => UnderMmap<Fx, here>
): <m extends AfterUnlock>(
  mm: MmWithUser<m>
) => Effect.Effect<A<Fx>, E<Fx>, Release<Q<Fx>> | Held<m> | Takes<"mmap_lock">>

export declare function mmapWrite<m extends AfterUnlock, Fx extends AnyEffect>(
  mm: MmWithUser<m>,
  body: <here extends AfterUnlock>(mmap: Mmap<MmapWrite, here>) => UnderMmap<Fx, here>
): Effect.Effect<A<Fx>, E<Fx>, Release<Q<Fx>> | Held<m> | Takes<"mmap_lock">>

export declare function tryVmaRead<m extends AfterUnlock, Fx extends AnyEffect>(
  mm: MmWithUser<m>,
  at: UserAddr,
  body: <here extends AfterUnlock>(vma: VmaRef<VmaRead, never, here>) => UnderVma<Fx, here>
): Effect.Effect<Option.Option<A<Fx>>, E<Fx>, Release<Q<Fx>> | Held<m>>

export declare function withVma<m extends AfterUnlock, Fx extends AnyEffect>(
  mm: MmWithUser<m>,
  at: UserAddr,
  body: <here extends AfterUnlock>(vma: VmaRef<VmaRead, never, here>) => UnderVma<Fx, here>
): Effect.Effect<A<Fx>, E<Fx> | Fail<"ESRCH">, Release<Q<Fx>> | Held<m> | Takes<"mmap_lock">>

declare const addressSpace: unique symbol
export interface Mapping {
  readonly [addressSpace]: true
}

export declare function iMmapRead<Fx extends AnyEffect>(
  mapping: Mapping,
  body: () => InOrder<"i_mmap_rwsem", Q<Fx>, Fx>
): Effect.Effect<A<Fx>, E<Fx>, Q<Fx> | Takes<"i_mmap_rwsem">>
export declare function pageTableLock<L extends VmaRead, F extends Fact, v extends AfterUnlock, Fx extends AnyEffect>(
  vma: Vma<L, F, v>,
  body: () => Spin<"page_table_lock", Q<Fx>, Fx>
): Effect.Effect<A<Fx>, E<Fx>, Q<Fx> | Held<v> | Takes<"page_table_lock">>
export declare function rcuRead<Fx extends AnyEffect>(
  body: () => Atomic<"rcu_read_lock", Q<Fx>, Fx>
): Effect.Effect<A<Fx>, E<Fx>, Q<Fx>>
