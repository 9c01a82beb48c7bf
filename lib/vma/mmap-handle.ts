/** What holding mmap_lock gives, as a type. Floor 8, internal. */
import type { Effect } from "effect"
import type { Fail } from "./Fail.ts"
import type { MmapRead } from "./level.ts"
import type { AfterUnlock, Held, mustNotOutliveItsLock } from "./region.ts"
import type { UserAddr } from "./unit.ts"
import type { VmaRef } from "./VmaRef.ts"

declare const level: unique symbol

/** What holding `mmap_lock` at level `L` gives, in the section `here`.
 * @source rust/kernel/mm.rs MmapReadGuard (v6.18)
 */
export interface Mmap<out L extends MmapRead, in out here extends AfterUnlock> extends Held<here> {
  readonly [mustNotOutliveItsLock]: (_: here) => here
  readonly [level]: L
  /** The VMA that contains `address`; never the next higher one.
   * @returns EFAULT if nothing is mapped there; any address is legal
   * @source rust/kernel/mm.rs MmapReadGuard::vma_lookup (v6.18)
   */
  vmaLookup(address: UserAddr): Effect.Effect<VmaRef<L, never, here>, Fail<"EFAULT">, Held<here>>
}
