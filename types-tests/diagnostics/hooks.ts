/** Hooks: sections whose lock the verb holds that called them. */
import { Effect } from "effect"
import { Device, Fail, Locked, Range } from "pagewright"
import { copyToUser, Db, file, munmap, page } from "./given.ts"

//: H01 call munmap from a hook
export const h01 = Device.make({ open: Effect.void, vmOps: { close: () => Locked.iMmapRead(file, () => Effect.void) } })
//! refused
export const h01x = Device.make({ open: Effect.void, vmOps: { close: () => munmap } })

//: H02 copy to user memory from a fault hook: that may fault, and a fault may take mmap_lock
export const h02 = Device.make({ open: Effect.void, vmOps: { fault: () => Effect.flatMap(Db, (db) => db.load) } })
//! refused
export const h02x = Device.make({ open: Effect.void, vmOps: { fault: () => Effect.as(Effect.orDie(copyToUser), page) } })

//: H03 fail in close
export const h03 = Device.make({ open: Effect.void, vmOps: { close: (_, vma) => Effect.log(vma.start) } })
//! refused
export const h03x = Device.make({ open: Effect.void, vmOps: { close: () => Fail.fail("EIO") } })

//: H04 fail with an error of one's own in fault
export const h04 = Device.make({ open: Effect.void, mmap: () => Effect.fail({ _tag: "Tired" } as const), vmOps: { fault: () => Fail.fail("EIO") } })
//! refused
export const h04x = Device.make({ open: Effect.void, vmOps: { fault: () => Effect.fail({ _tag: "Tired" } as const) } })

//: H05 edit flags outside mmap
export const h05 = Device.make({ open: Effect.void, mmap: (_, vma) => Effect.asVoid(vma.setIo()) })
//! refused
export const h05x = Device.make({ open: Effect.void, vmOps: { fault: (_, vma) => Effect.as(vma.setIo(), page) } })

//: H06 let the VMA leave by the error
export const h06 = Device.make({ open: Effect.void, mmap: (_, vma) => Effect.fail({ _tag: "Refused", at: vma.start } as const) })
//! refused
export const h06x = Device.make({ open: Effect.void, mmap: (_, vma) => Effect.fail({ _tag: "Refused", vma } as const) })

//: H07 answer a fault with something that is no page
export const h07 = Device.make({ open: Effect.void, vmOps: { fault: () => Effect.succeed(page) } })
//! refused
export const h07x = Device.make({ open: Effect.void, vmOps: { fault: () => Effect.succeed(page.pfn) } })

//: H08 give a hook that Linux does not have, or misspell one [R-MISC-08]
export const h08 = Device.make({ open: Effect.void, vmOps: { fault: () => Effect.succeed(page) } })
//! refused
export const h08x = Device.make({ open: Effect.void, vmOps: { faults: () => Effect.succeed(page) } })

//: H09 give up the device's state, or put another in its place [R-MISC-06]
export const h09 = Device.make({
  open: Effect.sync(() => ({ opened: 0 })),
  mmap: (self) => Effect.sync(() => void self.opened++)
})
//! refused
export const h09x = Device.make({
  open: Effect.sync(() => ({ opened: 0 })),
  mmap: (self: { closed: number }) => Effect.sync(() => void self.closed++)
})

//: H10 take pages of a device back while its mappings are locked
export const h10 = Device.unmapMappingRange(file, Range.ofPages(0, 1), { evenCows: false })
//! refused
export const h10x = Locked.iMmapRead(file, () => Device.unmapMappingRange(file, Range.ofPages(0, 1), { evenCows: false }))

//: H11 take back what is no pages; a hook may take pages back, of its own VMA too
export const h11 = Device.make({ open: Effect.void, vmOps: { fault: () =>
  Effect.as(Device.unmapMappingRange(file, "all", { evenCows: false }), page) } })
//! refused
export const h11x = Device.unmapMappingRange(file, Range.make(0, 4096), { evenCows: false })

//: H12 take pages of a device back without saying whether private copies go too
export const h12 = Device.unmapMappingRange(file, "all", { evenCows: true })
//! refused
export const h12x = Device.unmapMappingRange(file, "all")
