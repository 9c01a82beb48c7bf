/** Handles of a machine and its address spaces: what keeps one, and what may be done with it. Floor 8, internal. */
import type { Brand } from "ts-brand"
import type { AfterUnlock, Held, mustNotOutliveItsLock } from "./region.ts"

declare const machine: unique symbol
declare const addressSpace: unique symbol
declare const holdsMmUsers: unique symbol
declare const putAsync: unique symbol
declare const mapping: unique symbol

/** One simulated machine, opaque: `Kernel`'s functions look inside. */
export interface Machine {
  readonly [machine]: true
}

/** An address space that is kept alive by `mm_count` alone: the object is there, its areas may be gone. It can be stored;
 * to do anything with it, `Locked.withUser` must find a user.
 * @source rust/kernel/mm.rs Mm (v6.18)
 */
export interface Mm {
  readonly [addressSpace]: true
}

/** The same address space while `mm_users` is known not to be zero, in the section `here`. Locks hang on it.
 * @source rust/kernel/mm.rs MmWithUser (v6.18)
 */
export interface MmWithUser<in out here extends AfterUnlock> extends Held<here>, Mm {
  readonly [mustNotOutliveItsLock]: (_: here) => here
  readonly [holdsMmUsers]: true
}

/** An `MmWithUser` whose reference is dropped by a worker, so that the section may end in atomic context.
 * @source rust/kernel/mm/mmput_async.rs MmWithUserAsync (v6.18)
 */
export interface MmWithUserAsync<in out here extends AfterUnlock> extends MmWithUser<here> {
  readonly [mustNotOutliveItsLock]: (_: here) => here
  readonly [putAsync]: true
}

/** Identity of a VMA or an address space: may be kept and compared, opens nothing. */
export type Pointer = Brand<object, "Pointer">

/** The mappings of one object (`struct address_space`): may be kept. `Device.unmapMappingRange` takes their pages back,
 * `Locked.iMmapRead` locks them.
 */
export interface Mapping {
  readonly [mapping]: true
}
