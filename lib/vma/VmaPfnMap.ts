/** A VMA that is known to map raw page frame numbers. Floor 8. */
import type { VmaRead } from "./level.ts"
import type { AfterUnlock } from "./region.ts"
import type { VmaRef } from "./VmaRef.ts"

/** A `VmaRef` of which VM_PFNMAP is known: no page may be inserted. Get one from `asPfnmapVma`, from
 * `has("VM_PFNMAP")`, or from `setPfnmap` in a driver's `mmap` hook.
 */
export type VmaPfnMap<L extends VmaRead, here extends AfterUnlock> = VmaRef<L, "VM_PFNMAP", here>
