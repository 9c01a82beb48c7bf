/** The one class behind VmaRef, VmaMixedMap, VmaPfnMap and VmaNew, and the plan of flag edits. Floor 8, internal.
 *
 * The types say what may be called; here every call asks the guard once more and hands numbers to the core.
 */
import { Effect, Effectable, Option } from "effect"
import {
  VM_DONTCOPY,
  VM_DONTDUMP,
  VM_DONTEXPAND,
  VM_EXEC,
  VM_IO,
  VM_MAYEXEC,
  VM_MAYREAD,
  VM_MAYSHARE,
  VM_MAYWRITE,
  VM_MIXEDMAP,
  VM_PFNMAP,
  VM_READ,
  VM_SHARED,
  VM_WRITE
} from "../flags/bits.ts"
import { type Errno, OK } from "../flags/Errno.ts"
import { vmaStartWrite } from "../mm/area/vma-lock.ts"
import { tryClearMay, vmFlagsMod } from "../mm/area/vm-flags.ts"
import { vmBugOn } from "../mm/base/debug.ts"
import { addrOf, PAGE_SIZE, pageOf as vpnOf } from "../mm/base/units.ts"
import type { Kernel } from "../mm/kernel.ts"
import { vmInsertPage, vmInsertPages } from "../mm/page/insert.ts"
import { zapPageRangeSingle } from "../mm/page/zap.ts"
import type { Vma } from "../mm/store/vmas.ts"
import { type Fail, fail } from "./Fail.ts"
import type { Flag } from "./fact.ts"
import { MappingObject, MmUser, OwnedPage } from "./handles.ts"
import type { Mapping, Pointer } from "./mm-handle.ts"
import type { Page } from "./page-handle.ts"
import { inner, mappingOf, mmWithUserOf, numberOf, pointerOf, unitOf } from "./raw.ts"
import { drive } from "./rim.ts"
import { settler } from "./settle.ts"
import type { ByteLength, PageAligned, UserAddr } from "./unit.ts"
import type { Remaining } from "./VmaRef.ts"
import { enter, type Guard, guarded } from "./world.ts"

const inserted = settler("EFAULT", "EINVAL", "ENOMEM", "EBUSY")
const cleared = settler("EINVAL")

/** Bits by name: all of them in the low half of the word. */
const bits: Readonly<Record<Flag, number>> = {
  VM_READ,
  VM_WRITE,
  VM_EXEC,
  VM_SHARED,
  VM_MAYREAD,
  VM_MAYWRITE,
  VM_MAYEXEC,
  VM_MAYSHARE,
  VM_MIXEDMAP,
  VM_PFNMAP,
  VM_IO,
  VM_DONTEXPAND,
  VM_DONTCOPY,
  VM_DONTDUMP
}

/** An edit of the flag word; answers an errno. */
type Edit = (k: Kernel, v: Vma) => Errno

const setting =
  (set: number): Edit =>
  (k, v) => {
    vmFlagsMod(k, v, set, 0)
    return OK
  }
const edits = {
  mixedmap: setting(VM_MIXEDMAP),
  pfnmap: setting(VM_PFNMAP),
  io: setting(VM_IO),
  dontexpand: setting(VM_DONTEXPAND),
  dontcopy: setting(VM_DONTCOPY),
  dontdump: setting(VM_DONTDUMP)
}
const settable: Readonly<Record<string, Edit>> = {
  VM_IO: edits.io,
  VM_DONTEXPAND: edits.dontexpand,
  VM_DONTCOPY: edits.dontcopy,
  VM_DONTDUMP: edits.dontdump
}

/** Flag edits that were asked for: an effect that makes them in order; the first that is refused ends it. */
interface Plan extends Editing, Effect.Effect<View, Fail<"EINVAL">> {}

/** The flag edits that a view and a plan have in common. */
abstract class Editing {
  abstract with(edit: Edit): Plan
  setMixedmap(): Plan {
    return this.with(edits.mixedmap)
  }
  setPfnmap(): Plan {
    return this.with(edits.pfnmap)
  }
  setIo(): Plan {
    return this.with(edits.io)
  }
  setDontexpand(): Plan {
    return this.with(edits.dontexpand)
  }
  setDontcopy(): Plan {
    return this.with(edits.dontcopy)
  }
  setDontdump(): Plan {
    return this.with(edits.dontdump)
  }
  tryClearMayread(): Plan {
    return this.with((k, v) => tryClearMay(k, v, VM_READ))
  }
  tryClearMaywrite(): Plan {
    return this.with((k, v) => tryClearMay(k, v, VM_WRITE))
  }
  tryClearMayexec(): Plan {
    return this.with((k, v) => tryClearMay(k, v, VM_EXEC))
  }
}

class EditPlan extends Effectable.Mixin(Editing) {
  readonly #view: View
  readonly #edits: readonly Edit[]
  constructor(view: View, todo: readonly Edit[]) {
    super()
    this.#view = view
    this.#edits = todo
  }
  override with(edit: Edit): Plan {
    return new EditPlan(this.#view, [...this.#edits, edit])
  }
  override asEffect(): Effect.Effect<View, Fail<"EINVAL">> {
    const view = this.#view
    return guarded(view.guard, (k) => {
      for (const edit of this.#edits) {
        const r = edit(k, view.row)
        if (r !== OK) return cleared(r, view)
      }
      return Effect.succeed(view)
    })
  }
}

/** An area, seen through a guard. */
export class View extends Editing {
  readonly guard: Guard
  readonly row: Vma
  constructor(guard: Guard, row: Vma) {
    super()
    this.guard = guard
    this.row = row
  }
  override with(edit: Edit): Plan {
    return new EditPlan(this, [edit])
  }

  get start(): PageAligned<UserAddr> {
    return unitOf(addrOf(enter(this.guard).vmas.startOf(this.row)))
  }
  get end(): PageAligned<UserAddr> {
    return unitOf(addrOf(enter(this.guard).vmas.endOf(this.row)))
  }
  flags(): bigint {
    const { vmas } = enter(this.guard)
    return (
      BigInt.asUintN(32, BigInt(vmas.flags(this.row))) | (BigInt.asUintN(32, BigInt(vmas.flagsHi(this.row))) << 32n)
    )
  }
  mm(): object {
    return mmWithUserOf(new MmUser(this.guard, enter(this.guard).vmas.mmOf(this.row)))
  }
  asPtr(): Pointer {
    enter(this.guard)
    return pointerOf(this.row)
  }

  has(flag: Flag): boolean {
    return (enter(this.guard).vmas.flags(this.row) & bits[flag]) !== 0
  }
  lacks(flag: Flag): boolean {
    return !this.has(flag)
  }
  readable(): boolean {
    return this.has("VM_READ")
  }
  writable(): boolean {
    return this.has("VM_WRITE")
  }
  executable(): boolean {
    return this.has("VM_EXEC")
  }
  asMixedmapVma(): Option.Option<View> {
    return this.has("VM_MIXEDMAP") ? Option.some(this) : Option.none()
  }
  asPfnmapVma(): Option.Option<View> {
    return this.has("VM_PFNMAP") ? Option.some(this) : Option.none()
  }

  mapping(): Option.Option<Mapping> {
    const object = enter(this.guard).vmas.obj(this.row)
    return object === 0 ? Option.none() : Option.some(mappingOf(new MappingObject(this.guard.world, object)))
  }

  zapPageRangeSingle(address: UserAddr, size: ByteLength): Effect.Effect<void> {
    return guarded(this.guard, (k) => {
      zapPageRangeSingle(k, this.row, aligned(numberOf(address)), aligned(numberOf(size)))
      return Effect.void
    })
  }
  slice(address: UserAddr, size: ByteLength): Effect.Effect<Slice, Fail<"EFAULT">> {
    return guarded(this.guard, (k) => {
      const vpn = aligned(numberOf(address))
      const inside = vpn >= k.vmas.startOf(this.row) && vpn + aligned(numberOf(size)) <= k.vmas.endOf(this.row)
      return inside ? Effect.succeed(new Slice(this, address, size)) : fail("EFAULT")
    })
  }
  vmInsertPage(address: UserAddr, page: Page): Effect.Effect<void, Fail<"EFAULT" | "EINVAL" | "ENOMEM" | "EBUSY">> {
    return guarded(this.guard, (k) =>
      inserted(vmInsertPage(k, this.row, vpnOf(numberOf(address)), this.#frameOf(page)), undefined)
    )
  }
  vmInsertPages(
    address: UserAddr,
    pages: readonly Page[]
  ): Effect.Effect<void, Fail<"EFAULT" | "EINVAL" | "ENOMEM" | "EBUSY"> & Remaining> {
    return guarded(this.guard, (k) => {
      const frames = pages.map((page) => this.#frameOf(page))
      const r = vmInsertPages(k, this.row, vpnOf(numberOf(address)), frames)
      const remaining = k.out[0]!
      return Effect.mapError(inserted(r, undefined), (failure) => ({ ...failure, remaining }))
    })
  }
  #frameOf(page: Page): number {
    return inner(page, OwnedPage).use(this.guard.world)
  }

  startWrite(): Effect.Effect<View> {
    return Effect.uninterruptibleMask((restore) => {
      const k = enter(this.guard)
      return Effect.as(drive(this.guard.world, this.guard.run, vmaStartWrite(k, this.row), undefined, restore), this)
    })
  }
  setFlag(flag: string): Effect.Effect<View> {
    return guarded(this.guard, (k) => {
      const edit = settable[flag] ?? vmBugOn(`${flag} is no flag that a driver may set`)
      edit(k, this.row)
      return Effect.succeed(this)
    })
  }
}

/** A range that was found inside its area. */
class Slice {
  readonly zapPageRangeSingle: Effect.Effect<void>
  constructor(view: View, address: UserAddr, size: ByteLength) {
    this.zapPageRangeSingle = view.zapPageRangeSingle(address, size)
  }
}

/** Pages of a byte count that the types say is aligned.
 * UNLIKE LINUX: there an unaligned zap loops past its end; here it is refused.
 */
function aligned(bytes: number): number {
  if (bytes % PAGE_SIZE !== 0) vmBugOn(`zap at or of ${bytes} bytes, expected a multiple of ${PAGE_SIZE}`)
  return bytes / PAGE_SIZE
}
