/** Device drivers as values: hooks over a state, registered under a path. Floor 8.
 *
 * A hook is a section: what it is lent cannot leave it, and it may not take the lock that its verb holds. Its state is
 * what `open` answered, one for each open file; what `open` or a hook acquires lives until the last reference to that
 * file goes.
 */
import { type Context, Effect, type Scope } from "effect"
import { registerOps } from "../mm/area/ops.ts"
import { PAGE_SIZE } from "../mm/base/units.ts"
import { createDevice, unlinkPath } from "../mm/object/file.ts"
import { invalidate } from "../mm/object/invalidate.ts"
import { BoundDriver, DeviceObject } from "./driver.ts"
import { type ErrnoName, type Fail, fail } from "./Fail.ts"
import { MappingObject } from "./handles.ts"
import type { HookBody, HookEffect, Hooks, ServicesOf } from "./hook.ts"
import type { Takes } from "./Lockdep.ts"
import { type Kernel, onWorld } from "./machine.ts"
import type { Mapping } from "./mm-handle.ts"
import { format, isPages, type PageRange } from "./Range.ts"
import { deviceOf, inner, servicesAs } from "./raw.ts"
import type { AfterUnlock } from "./region.ts"
import { settler } from "./settle.ts"
import type { PageAligned, UserAddr } from "./unit.ts"
import { View } from "./view.ts"
import type { VmaNew } from "./VmaNew.ts"
import type { AnyVma, VmaRef } from "./VmaRef.ts"
import { enter, flush } from "./world.ts"

export { type HookBody, type HookEffect, type Hooks, NOPAGE, type ServicesOf } from "./hook.ts"

declare const device: unique symbol

/** A driver: its state is `S`, its `open` fails with `OpenError`, its `mmap` hook with `MmapError`, it needs services `R`. */
export interface Device<in out S, out OpenError, out MmapError, out R> {
  readonly [device]: {
    readonly state: (_: S) => S
    readonly open: OpenError
    readonly mmap: MmapError
    readonly needs: R
  }
}

/** What is known of a VMA's flags when the `mmap` hook begins, by kind of device. */
export interface Kinds {
  /** The hook decides. */
  readonly plain: "!VM_PFNMAP" | "!VM_MIXEDMAP"
  /** VM_MIXEDMAP is set before the hook: it maps pages. */
  readonly mixedmap: "VM_MIXEDMAP" | "!VM_PFNMAP"
  /** VM_PFNMAP is set before the hook: it maps raw frame numbers. */
  readonly pfnmap: "VM_PFNMAP" | "!VM_MIXEDMAP"
}

type Nothing = Effect.Effect<void>

/** Describes a driver. Nothing runs until it is registered.
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Device, Fail } from "pagewright"
 * const readOnly = Device.make({
 *   open: Effect.succeed({ mapped: 0 }),
 *   mmap: (self, vma) =>
 *     Effect.gen(function*() {
 *       if (vma.writable()) return yield* Fail.fail("EPERM")
 *       yield* vma.setMixedmap().tryClearMaywrite()
 *       self.mapped++
 *     })
 * })
 * ```
 */
export const make = <
  S,
  OpenError,
  OR,
  const K extends keyof Kinds = "plain",
  M extends HookEffect<"mmap"> = Nothing,
  I extends Effect.Effect<number, Fail<ErrnoName>, unknown> = Effect.Effect<number>,
  Rel extends Effect.Effect<unknown, never, unknown> = Nothing,
  O extends HookEffect<"open"> = Nothing,
  C extends HookEffect<"close"> = Nothing,
  Sp extends HookEffect<"maySplit"> = Nothing,
  F extends HookEffect<"fault"> = Effect.Effect<never>
>(definition: {
  /** Called by open(2): its answer is the state of that open file. What it acquires lives as long as the file. Write it with
   * Effect.gen or a pipe, or give it a name first: of a data-first call in place, `Effect.map(x, (y) => ...)`, TypeScript
   * does not know the result before it looks at the hooks.
   * @source rust/kernel/miscdevice.rs MiscDevice::open (v6.18)
   */
  readonly open: Effect.Effect<S, OpenError, OR>
  /** What is known of a VMA's flags when `mmap` begins; `"plain"` if absent. */
  readonly kind?: K
  /** Called by mmap(2), before anybody else sees the VMA; without it mmap(2) fails with ENODEV.
   * @locks mmap write
   * @source rust/kernel/miscdevice.rs MiscDevice::mmap (v6.18)
   */
  readonly mmap?: <here extends AfterUnlock>(self: S, vma: VmaNew<Kinds[K], here>) => HookBody<M, here>
  /** Called by ioctl(2), with no lock held; without it ioctl(2) fails with ENOTTY.
   * @source rust/kernel/miscdevice.rs MiscDevice::ioctl (v6.18)
   */
  readonly ioctl?: (self: S, command: number, argument: bigint) => I
  /** Called when the last reference to the file is gone; a mapping is one.
   * @source rust/kernel/miscdevice.rs MiscDevice::release (v6.18)
   */
  readonly release?: (self: S) => Rel
  /** What the areas of this device ask and tell. @source include/linux/mm.h vm_operations_struct (v6.18) */
  readonly vmOps?: {
    /** The VMA was split or forked: there is one more. @locks mmap write */
    readonly open?: <here extends AfterUnlock>(
      self: S,
      vma: VmaRef<Hooks["open"]["level"], never, here>
    ) => HookBody<O, here>
    /** The VMA is gone. @locks mmap read or write */
    readonly close?: <here extends AfterUnlock>(
      self: S,
      vma: VmaRef<Hooks["close"]["level"], never, here>
    ) => HookBody<C, here>
    /** May the VMA be split at `at`? @locks mmap write */
    readonly maySplit?: <here extends AfterUnlock>(
      self: S,
      vma: VmaRef<Hooks["maySplit"]["level"], never, here>,
      at: PageAligned<UserAddr>
    ) => HookBody<Sp, here>
    /** Answers with the page to map at `at`, or with `NOPAGE` if it mapped one itself. @locks mmap or VMA, read */
    readonly fault?: <here extends AfterUnlock>(
      self: S,
      vma: VmaRef<Hooks["fault"]["level"], never, here>,
      at: PageAligned<UserAddr>
    ) => HookBody<F, here>
  }
}): Device<S, OpenError, Effect.Error<M>, ServicesOf<Effect.Effect<S, OpenError, OR> | M | I | Rel | O | C | Sp | F>> =>
  deviceOf(new DeviceObject(definition))

const registered = settler("EEXIST", "ENOMEM")

/** Registers a device under `path` until the current Scope ends. The services it needs are those of now.
 * @returns EEXIST if the path is taken | ENOMEM no room for one more device
 * @source rust/kernel/miscdevice.rs MiscDeviceRegistration::register (v6.18)
 */
export const register = <S, OpenError, MmapError, R>(
  path: string,
  device: Device<S, OpenError, MmapError, R>
): Effect.Effect<void, Fail<"EEXIST" | "ENOMEM">, R | Kernel | Scope.Scope> =>
  Effect.contextWith((services: Context.Context<R>) =>
    Effect.asVoid(
      Effect.acquireRelease(
        onWorld((w) => {
          const object = inner(device, DeviceObject)
          if (object.bound.has(w)) return fail("EEXIST")
          const driver = new BoundDriver(path, object, servicesAs<never>(services))
          const ops = registerOps(w.k, { name: path, hooks: driver.hooks })
          const r = createDevice(w.k, path, ops)
          if (r < 0) {
            w.k.ops[ops] = undefined
            return registered(r, w)
          }
          w.drivers[ops] = driver
          object.bound.set(w, driver)
          return Effect.succeed(w)
        }),
        (w) =>
          Effect.sync(() => {
            // The row of operations stays: open files and their areas go on without the path.
            unlinkPath(w.k, path)
            inner(device, DeviceObject).bound.delete(w)
          })
      )
    )
  )

/** Which private copies go with the pages of a device. */
export interface UnmapOptions {
  /** Those of processes that have written to a private mapping: all, and their data is lost, or none. */
  readonly evenCows: boolean
}

/** Takes pages of a device back from everybody who maps them, through whatever open file: the areas stay, and the next access
 * asks the fault hook again. What a driver does before it gives a page another use. Range: byte offsets in the device, as
 * mmap(2) names them; `"all"` of it. Nothing happens where nobody maps that, or the device is gone.
 * @param mapping - of `vma.mapping()`, in the `mmap` hook for instance
 * @locks takes i_mmap_rwsem: it may be called from hooks. Faults may fill the range again at once: who must not see the page
 * any more is told so by the fault hook.
 * @source mm/memory.c unmap_mapping_range (v6.18)
 * @example
 * ```ts
 * import { Effect, Option } from "effect"
 * import { Device, type Locked, Page, Range } from "pagewright"
 * const screen = Device.make({
 *   open: Effect.gen(function*() {
 *     return { page: yield* Page.allocPage("GFP_KERNEL|__GFP_ZERO"), mapped: Option.none<Locked.Mapping>() }
 *   }),
 *   mmap: (self, vma) =>
 *     Effect.gen(function*() {
 *       self.mapped = vma.mapping()
 *       yield* vma.setMixedmap()
 *     }),
 *   vmOps: { fault: (self) => Effect.succeed(self.page) },
 *   // another page from now on: whoever maps the old one asks for it
 *   ioctl: (self) =>
 *     Effect.gen(function*() {
 *       self.page = yield* Page.allocPage("GFP_KERNEL|__GFP_ZERO")
 *       if (Option.isSome(self.mapped))
 *         yield* Device.unmapMappingRange(self.mapped.value, Range.ofPages(0, 1), { evenCows: false })
 *       return 0
 *     })
 * })
 * ```
 */
export const unmapMappingRange = (
  mapping: Mapping,
  range: PageRange<"mappable"> | "all",
  options: UnmapOptions
): Effect.Effect<void, never, Takes<"i_mmap_rwsem">> =>
  Effect.sync(() => {
    const object = inner(mapping, MappingObject)
    if (range !== "all" && !isPages(range)) throw new RangeError(`${format(range)} is no range of pages`)
    if (!object.isAlive()) return
    const [first, end] = range === "all" ? [0, Infinity] : [range.start / PAGE_SIZE, range.end / PAGE_SIZE]
    invalidate(object.world.k, object.object, first, end, options.evenCows)
    flush(object.world)
  })

/** Is `vma` mapped through the open file whose state is `self`? A state belongs to one open file of one driver, so this is
 * the comparison of `vm_ops` and `vm_private_data` that Linux drivers make.
 * @source drivers/android/binder/page_range.rs check_vma (v6.18)
 */
export const owns = <S, here extends AfterUnlock>(self: S, vma: AnyVma<here>): boolean => {
  const { guard, row } = inner(vma, View)
  const k = enter(guard)
  const open = guard.world.files.get(k.vmas.file(row))
  return open !== undefined && open.state === self && guard.world.drivers[k.vmas.ops(row)] === open.driver
}
