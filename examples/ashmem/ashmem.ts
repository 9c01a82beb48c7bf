/**
 * Shared memory with a size and a mask of rights, set before it is mapped: what the mask lacks, no mapping can ever have.
 *
 * After the mmap hook of the Rust ashmem driver.
 */
import { Effect } from "effect"
import { Device, Fail, Page, ProtFlags, Units } from "pagewright"

/** ioctl: the area has that many bytes. */
export const SET_SIZE = 1
/** ioctl: the area may be mapped with these rights, bits of ProtFlags, and no others. */
export const SET_MASK = 2

const everything = ProtFlags.READ | ProtFlags.WRITE | ProtFlags.EXEC

/** An edit that is refused because the right is in use: not permitted. */
const orEperm = <A, R>(edit: Effect.Effect<A, Fail.Fail<"EINVAL">, R>) =>
  Effect.asVoid(Effect.mapError(edit, () => Fail.make("EPERM")))

export const ashmem = Device.make({
  open: Effect.sync(() => ({ size: 0, mask: everything })),
  ioctl: (area, command, argument) => {
    if (command === SET_SIZE) return Effect.sync(() => ((area.size = Number(argument)), 0))
    if (command === SET_MASK) return Effect.sync(() => ((area.mask &= Number(argument)), 0))
    return Fail.fail("EINVAL")
  },
  mmap: (area, vma) =>
    Effect.gen(function* () {
      const length = Units.raw(Units.between(vma.start, vma.end))
      const most = Math.ceil(area.size / Page.PAGE_SIZE) * Page.PAGE_SIZE
      if (area.size === 0 || length > most) return yield* Fail.fail("EINVAL")
      if ((area.mask & ProtFlags.WRITE) === 0) yield* orEperm(vma.tryClearMaywrite())
      if ((area.mask & ProtFlags.EXEC) === 0) yield* orEperm(vma.tryClearMayexec())
      if ((area.mask & ProtFlags.READ) === 0) yield* orEperm(vma.tryClearMayread())
    }),
  vmOps: { fault: () => Page.allocPage("GFP_KERNEL|__GFP_ZERO") }
})
