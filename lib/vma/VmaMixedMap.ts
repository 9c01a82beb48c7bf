/** A VMA that is known to be a mixed map: pages may be inserted. Floor 8. */
import type { VmaRead } from "./level.ts"
import type { AfterUnlock } from "./region.ts"
import type { VmaRef } from "./VmaRef.ts"

/** A `VmaRef` of which VM_MIXEDMAP is known: `vmInsertPage` and `vmInsertPages` are its methods. Get one from
 * `asMixedmapVma`, from `has("VM_MIXEDMAP")`, or from `setMixedmap` in a driver's `mmap` hook.
 * @source rust/kernel/mm/virt.rs VmaMixedMap (v6.18)
 */
export type VmaMixedMap<L extends VmaRead, here extends AfterUnlock> = VmaRef<L, "VM_MIXEDMAP", here>
