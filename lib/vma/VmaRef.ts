/** A VMA, seen through a lock that is held: `VmaRef`, and what it can teach about its flags. Floor 8. */
import type { Effect, Option } from "effect"
import { vmBugOn } from "../mm/base/debug.ts"
import type { Fail } from "./Fail.ts"
import type { Fact, Flag, Knows } from "./fact.ts"
import type { MmapWrite, VmaRead, VmaWrite } from "./level.ts"
import type { Mapping, MmWithUser, Pointer } from "./mm-handle.ts"
import type { Page } from "./page-handle.ts"
import type { AfterUnlock, Held, mustNotOutliveItsLock } from "./region.ts"
import type { ByteLength, PageAligned, UserAddr } from "./unit.ts"

export type { Fact, Flag, Knows } from "./fact.ts"

declare const lockLevel: unique symbol
/** Key of what is known of the flags. */
export declare const knownFlags: unique symbol

/** What is known of a VMA, and nothing else. Methods name it as their receiver, so that the compiler compares three
 * properties and not the whole interface.
 */
export interface Vma<out L extends VmaRead, in F extends Fact, in out here extends AfterUnlock> extends Held<here> {
  readonly [mustNotOutliveItsLock]: (_: here) => here
  readonly [lockLevel]: L
  readonly [knownFlags]: Knows<F>
}

/** A live VMA: lock level `L`, flag facts `F`, lock section `here`.
 * @source rust/kernel/mm/virt.rs VmaRef (v6.18)
 */
export interface VmaRef<out L extends VmaRead, in F extends Fact, in out here extends AfterUnlock> extends Vma<
  L,
  F,
  here
> {
  readonly [mustNotOutliveItsLock]: (_: here) => here
  readonly [lockLevel]: L
  readonly [knownFlags]: Knows<F>
  /** First address. @source rust/kernel/mm/virt.rs VmaRef::start (v6.18) */
  readonly start: PageAligned<UserAddr>
  /** First address behind it. @source rust/kernel/mm/virt.rs VmaRef::end (v6.18) */
  readonly end: PageAligned<UserAddr>
  /** The flag word, as `VmFlags` names it: 64 bits. @source rust/kernel/mm/virt.rs VmaRef::flags (v6.18) */
  flags(): bigint
  /** Its address space; that this VMA is held proves `mm_users` above zero. @source rust/kernel/mm/virt.rs VmaRef::mm (v6.18) */
  mm(): MmWithUser<here>
  /** Its identity: the same for every view of one VMA. @source rust/kernel/mm/virt.rs VmaRef::as_ptr (v6.18) */
  asPtr(): Pointer
  /** The mappings of the object behind it: of a device's inode, for instance. None for anonymous memory. May be kept. */
  mapping(): Option.Option<Mapping>
  /** Narrows to a VMA that has `flag`. The other branch learns nothing: use `lacks`, or `VmaRef.is` for both. */
  has<K extends Flag>(flag: K): this is VmaRef<L, F | K, here>
  /** Narrows to a VMA that lacks `flag`. */
  lacks<K extends Flag>(flag: K): this is VmaRef<L, F | `!${K}`, here>
  /** The same VMA as a mixed map.
   * @returns none without VM_MIXEDMAP
   * @source rust/kernel/mm/virt.rs VmaRef::as_mixedmap_vma (v6.18)
   */
  asMixedmapVma(): Option.Option<VmaRef<L, F | "VM_MIXEDMAP", here>>
  /** The same VMA as a map of raw page frame numbers.
   * @returns none without VM_PFNMAP
   */
  asPfnmapVma(): Option.Option<VmaRef<L, F | "VM_PFNMAP", here>>
  /** Clears the page-table entries of a range; later accesses fault again. Checks as the reference does.
   * @returns nothing happens, and that is said once, if the range is not inside the VMA
   * @locks mmap or VMA, read or stronger
   * @source rust/kernel/mm/virt.rs VmaRef::zap_page_range_single; mm/memory.c (v6.18)
   */
  zapPageRangeSingle(
    address: PageAligned<UserAddr>,
    size: PageAligned<ByteLength>
  ): Effect.Effect<void, never, Held<here>>
  /** The checked form: a range of this VMA, to be zapped.
   * @returns EFAULT if the range is not inside the VMA
   */
  slice(
    address: PageAligned<UserAddr>,
    size: PageAligned<ByteLength>
  ): Effect.Effect<VmaSlice<here>, Fail<"EFAULT">, Held<here>>
  /** Maps `page` at `address`; the mapping takes a reference of its own.
   * @returns EFAULT outside the VMA | EINVAL a page that must not be mapped | ENOMEM no page table | EBUSY something is mapped there
   * @locks mmap or VMA, read or stronger
   * @source rust/kernel/mm/virt.rs VmaMixedMap::vm_insert_page; mm/memory.c vm_insert_page (v6.18)
   */
  vmInsertPage(
    this: Vma<VmaRead, "VM_MIXEDMAP", here>,
    address: PageAligned<UserAddr>,
    page: Page
  ): Effect.Effect<void, Fail<"EFAULT" | "EINVAL" | "ENOMEM" | "EBUSY">, Held<here>>
  /** Maps `pages` at `address` and the pages above it, up to the first that fails.
   * @returns what `vmInsertPage` fails with, and how many were not mapped
   * @locks mmap or VMA, read or stronger
   * @partial pages before the failed one stay mapped
   * @source mm/memory.c vm_insert_pages (v6.18)
   */
  vmInsertPages(
    this: Vma<VmaRead, "VM_MIXEDMAP", here>,
    address: PageAligned<UserAddr>,
    pages: readonly Page[]
  ): Effect.Effect<void, Fail<"EFAULT" | "EINVAL" | "ENOMEM" | "EBUSY"> & Remaining, Held<here>>
  /** Excludes the readers of this VMA, so that it may change.
   * @locks mmap write on entry; this VMA is write-locked until that section ends
   * @source mm/mmap_lock.c __vma_start_write (v6.18)
   */
  startWrite(this: Vma<MmapWrite, never, here>): Effect.Effect<VmaRef<VmaWrite, F, here>, never, Held<here>>
  /** Sets one of the flags that a driver may set on a live VMA.
   * @locks this VMA, write
   * @source include/linux/mm.h vm_flags_set (v6.18)
   */
  setFlag<K extends "VM_IO" | "VM_DONTEXPAND" | "VM_DONTCOPY" | "VM_DONTDUMP">(
    this: Vma<VmaWrite, never, here>,
    flag: K
  ): Effect.Effect<VmaRef<L, F | K, here>, never, Held<here>>
}

/** Any live VMA of the section `here`: what a helper asks for that needs no more. */
export type AnyVma<here extends AfterUnlock> = VmaRef<VmaRead, never, here>

/** Added to a failure of `vmInsertPages`. */
export interface Remaining {
  /** Pages that were not mapped, the failed one included. */
  readonly remaining: number
}

/** A range that was found inside its VMA. */
export interface VmaSlice<in out here extends AfterUnlock> extends Held<here> {
  readonly [mustNotOutliveItsLock]: (_: here) => here
  /** Clears the range's page-table entries. @locks mmap or VMA, read or stronger */
  readonly zapPageRangeSingle: Effect.Effect<void, never, Held<here>>
}

/** What `is` found: the same VMA, and one more fact about it. */
export type Known<Set, Clear> = { readonly set: true; readonly vma: Set } | { readonly set: false; readonly vma: Clear }

/** Looks at one flag and teaches both branches.
 *
 * TypeScript cannot narrow the `else` of a type predicate to another type, so the answer is a pair.
 * @example
 * ```ts
 * import { type Locked, VmaRef } from "pagewright"
 * const describe = <here extends Locked.AfterUnlock>(vma: VmaRef.AnyVma<here>) => {
 *   const io = VmaRef.is(vma, "VM_IO")
 *   return io.set ? "registers" : "memory" // io.vma is known to have VM_IO here, and to lack it there
 * }
 * ```
 */
export const is = <L extends VmaRead, F extends Fact, here extends AfterUnlock, K extends Flag>(
  vma: VmaRef<L, F, here>,
  flag: K
): Known<VmaRef<L, F | K, here>, VmaRef<L, F | `!${K}`, here>> => {
  if (vma.has(flag)) return { set: true, vma }
  return vma.lacks(flag) ? { set: false, vma } : vmBugOn(`${flag} is neither set nor clear`)
}
