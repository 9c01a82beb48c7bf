/** A VMA under construction, in a driver's `mmap` hook: `VmaNew`, and edits of its flags as a plan. Floor 8. */
import type { Effect } from "effect"
import { vmBugOn } from "../mm/base/debug.ts"
import type { Fail } from "./Fail.ts"
import type { Fact, FailsUnless, Flag, Knows, Unless } from "./fact.ts"
import type { VmaWrite } from "./level.ts"
import type { AfterUnlock, Held, mustNotOutliveItsLock } from "./region.ts"
import type { knownFlags, Known, VmaRef } from "./VmaRef.ts"

/** Receiver of the flag edits: what is known, in which section. */
export interface Knowing<in F extends Fact, in out here extends AfterUnlock> extends Held<here> {
  readonly [mustNotOutliveItsLock]: (_: here) => here
  readonly [knownFlags]: Knows<F>
}

/** Flag edits. They chain, and nothing happens until the chain is yielded. All are idempotent; none has an inverse.
 * @source rust/kernel/mm/virt.rs impl VmaNew (v6.18)
 */
export interface Editable<in F extends Fact, in out here extends AfterUnlock, out E> extends Knowing<F, here> {
  readonly [mustNotOutliveItsLock]: (_: here) => here
  readonly [knownFlags]: Knows<F>
  /** Sets VM_MIXEDMAP: pages with and without `struct page` may be mapped. */
  setMixedmap(this: Knowing<"!VM_PFNMAP", here>): VmaPlan<Exclude<F, "!VM_MIXEDMAP"> | "VM_MIXEDMAP", here, E>
  /** Sets VM_PFNMAP: raw page frame numbers only.
   *
   * UNLIKE LINUX: Rust has no such setter, because nothing there can prove that VM_MIXEDMAP is clear.
   */
  setPfnmap(this: Knowing<"!VM_MIXEDMAP", here>): VmaPlan<Exclude<F, "!VM_PFNMAP"> | "VM_PFNMAP", here, E>
  /** Sets VM_IO: other kernel code must not touch the pages. */
  setIo(): VmaPlan<Exclude<F, "!VM_IO"> | "VM_IO", here, E>
  /** Sets VM_DONTEXPAND: mremap may not grow it. */
  setDontexpand(): VmaPlan<Exclude<F, "!VM_DONTEXPAND"> | "VM_DONTEXPAND", here, E>
  /** Sets VM_DONTCOPY: fork skips it. Permanent only together with VM_IO. */
  setDontcopy(): VmaPlan<Exclude<F, "!VM_DONTCOPY"> | "VM_DONTCOPY", here, E>
  /** Sets VM_DONTDUMP: left out of core dumps. Permanent only together with VM_IO. */
  setDontdump(): VmaPlan<Exclude<F, "!VM_DONTDUMP"> | "VM_DONTDUMP", here, E>
  /** Clears VM_MAYREAD for good: mprotect can never make it readable.
   * @returns EINVAL if VM_READ is set; cannot fail where VM_READ is known to be clear
   */
  tryClearMayread<G extends Fact>(
    this: Unless<G, "VM_READ", "VM_MAYREAD cannot be cleared: VM_READ is set", Knowing<G, here>>
  ): VmaPlan<Exclude<G, "VM_MAYREAD"> | "!VM_MAYREAD", here, E | FailsUnless<G, "!VM_READ", Fail<"EINVAL">>>
  /** Clears VM_MAYWRITE for good: mprotect can never make it writable.
   * @returns EINVAL if VM_WRITE is set; cannot fail where VM_WRITE is known to be clear
   */
  tryClearMaywrite<G extends Fact>(
    this: Unless<G, "VM_WRITE", "VM_MAYWRITE cannot be cleared: VM_WRITE is set", Knowing<G, here>>
  ): VmaPlan<Exclude<G, "VM_MAYWRITE"> | "!VM_MAYWRITE", here, E | FailsUnless<G, "!VM_WRITE", Fail<"EINVAL">>>
  /** Clears VM_MAYEXEC for good: mprotect can never make it executable.
   * @returns EINVAL if VM_EXEC is set; cannot fail where VM_EXEC is known to be clear
   */
  tryClearMayexec<G extends Fact>(
    this: Unless<G, "VM_EXEC", "VM_MAYEXEC cannot be cleared: VM_EXEC is set", Knowing<G, here>>
  ): VmaPlan<Exclude<G, "VM_MAYEXEC"> | "!VM_MAYEXEC", here, E | FailsUnless<G, "!VM_EXEC", Fail<"EINVAL">>>
}

/** Edits that were asked for, as an effect: it makes them and answers the VMA with what is known of it then. */
export interface VmaPlan<in F extends Fact, in out here extends AfterUnlock, out E = never>
  extends Editable<F, here, E>, Effect.Effect<VmaNew<F, here>, E, Held<here>> {
  readonly [mustNotOutliveItsLock]: (_: here) => here
  readonly [knownFlags]: Knows<F>
}

/** A VMA that is being set up: nobody else sees it yet, and `mmap_lock` is held for writing.
 * @source rust/kernel/mm/virt.rs VmaNew (v6.18)
 */
export interface VmaNew<in F extends Fact, in out here extends AfterUnlock>
  extends VmaRef<VmaWrite, F, here>, Editable<F, here, never> {
  readonly [mustNotOutliveItsLock]: (_: here) => here
  readonly [knownFlags]: Knows<F>
  /** Narrows to a VMA that has `flag`. The other branch learns nothing: use `lacks`, or `VmaNew.is` for both. */
  has<K extends Flag>(flag: K): this is VmaNew<F | K, here>
  /** Narrows to a VMA that lacks `flag`. */
  lacks<K extends Flag>(flag: K): this is VmaNew<F | `!${K}`, here>
  /** May it be read now? @source rust/kernel/mm/virt.rs VmaNew::readable (v6.18) */
  readable(): this is VmaNew<F | "VM_READ", here>
  /** May it be written now? @source rust/kernel/mm/virt.rs VmaNew::writable (v6.18) */
  writable(): this is VmaNew<F | "VM_WRITE", here>
  /** May it be executed now? @source rust/kernel/mm/virt.rs VmaNew::executable (v6.18) */
  executable(): this is VmaNew<F | "VM_EXEC", here>
}

/** Looks at one flag and teaches both branches.
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { type Locked, VmaNew } from "pagewright"
 * const seal = <here extends Locked.AfterUnlock>(vma: VmaNew.VmaNew<never, here>) => {
 *   const write = VmaNew.is(vma, "VM_WRITE")
 *   return write.set ? Effect.void : Effect.asVoid(write.vma.tryClearMaywrite()) // cannot fail
 * }
 * ```
 */
export const is = <F extends Fact, here extends AfterUnlock, K extends Flag>(
  vma: VmaNew<F, here>,
  flag: K
): Known<VmaNew<F | K, here>, VmaNew<F | `!${K}`, here>> => {
  if (vma.has(flag)) return { set: true, vma }
  return vma.lacks(flag) ? { set: false, vma } : vmBugOn(`${flag} is neither set nor clear`)
}
