/** Hooks as sections: the run-time table of the seam as types, one row a hook. Floor 8, internal. */
import type { Effect, Scope } from "effect"
import type { Fail } from "./Fail.ts"
import type { MmapRead, MmapWrite, VmaRead, VmaWrite } from "./level.ts"
import type { InOrder, Markers, Takes } from "./Lockdep.ts"
import type { Page } from "./page-handle.ts"
import type { AfterUnlock, Body, Release, Stay } from "./region.ts"

/** A fault hook's answer "there is a page now, I mapped it myself": under a lock of the driver's own, for instance. The
 * access is tried again, and faults again if there is none.
 * @source include/linux/mm_types.h VM_FAULT_NOPAGE (v6.18)
 */
export const NOPAGE = "VM_FAULT_NOPAGE" as const

/** Lock level, answer and errnos of each hook.
 * @source include/linux/mm.h vm_operations_struct, Documentation/mm/process_addrs.rst (v6.18)
 */
export interface Hooks {
  /** Own errors only here: mmap(fd) names the driver, so they stand in its type. */
  readonly mmap: { level: VmaWrite; gives: unknown; fails: unknown }
  /** The VMA was split or forked. */
  readonly open: { level: MmapWrite; gives: unknown; fails: Fail<"ENOMEM"> }
  /** The VMA is gone from the address space. Nobody is left to tell, and munmap has downgraded its lock. */
  readonly close: { level: MmapRead; gives: unknown; fails: never }
  /** Asked before a split. */
  readonly maySplit: { level: MmapWrite; gives: unknown; fails: Fail<"EINVAL" | "EACCES" | "EBUSY"> }
  /** Comes under the VMA's lock or under `mmap_lock` for reading: the weaker level, the stronger prohibition. */
  readonly fault: {
    level: VmaRead
    gives: Page | typeof NOPAGE
    fails: Fail<"EIO" | "ENOMEM" | "EINVAL" | "EACCES" | "EFAULT">
  }
}

/** Any effect that hook `H` may be. */
export type HookEffect<H extends keyof Hooks> = Effect.Effect<Hooks[H]["gives"], Hooks[H]["fails"], unknown>

type Says<C extends string> = `BUG: possible recursive locking: ${C} is already held by the verb that called the hook`
type Ours<Q> = Q extends Takes<infer C> ? Extract<C, "mmap_lock" | "vma_lock"> : never

/** `Ok`, or the message if requirements `Q` of a hook take a lock that its verb holds, or one out of order. */
export type InHook<Q, Ok> = [Ours<Q>] extends [never] ? InOrder<"vma_lock", Q, Ok> : Says<Ours<Q>>

/** What the body of hook must be that is inferred as `Fx`: nothing leaves it, and it takes no lock that its verb holds. */
export type HookBody<Fx, here extends AfterUnlock> = Stay<
  Effect.Success<Fx>,
  Effect.Error<Fx>,
  InHook<Effect.Services<Fx>, Body<Fx, here>>
>

/** The services that a hook needs: not its section, not lock markers, which end where the hook is called, and not a Scope,
 * which is that of the open file.
 */
export type ServicesOf<Fx> = Exclude<Release<Effect.Services<Fx>>, Markers | Scope.Scope>
