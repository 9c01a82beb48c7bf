/** Levels and flags: each operation asks for its lock and for what must be known of the flags. */
import { Effect } from "effect"
import { Device, Locked, VmaNew, type VmaRef } from "pagewright"
import { at, mm, page } from "./given.ts"

//: M15 write-lock a VMA under the mmap read lock
export const m15 = Locked.withUser(mm, (mm) => Locked.mmapWrite(mm, (mmap) => Effect.gen(function*() {
  const vma = yield* mmap.vmaLookup(at)
  yield* vma.startWrite()
})))
//! refused
export const m15x = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  const vma = yield* mmap.vmaLookup(at)
  yield* vma.startWrite()
})))

//: M16 change the flags of a live VMA under the mmap read lock [R-REF-12]
export const m16 = Locked.withUser(mm, (mm) => Locked.mmapWrite(mm, (mmap) => Effect.gen(function*() {
  const vma = yield* mmap.vmaLookup(at)
  const written = yield* vma.startWrite()
  yield* written.setFlag("VM_IO")
})))
//! refused
export const m16x = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  const vma = yield* mmap.vmaLookup(at)
  yield* vma.setFlag("VM_IO")
})))

//: M17 change the flags under the mmap write lock, without vma_start_write
export const m17 = Locked.withUser(mm, (mm) => Locked.mmapWrite(mm, (mmap) => Effect.gen(function*() {
  const written = yield* Effect.flatMap(mmap.vmaLookup(at), (vma) => vma.startWrite())
  yield* written.setFlag("VM_DONTDUMP")
})))
//! refused
export const m17x = Locked.withUser(mm, (mm) => Locked.mmapWrite(mm, (mmap) => Effect.gen(function*() {
  const vma = yield* mmap.vmaLookup(at)
  yield* vma.setFlag("VM_DONTDUMP")
})))

//: M18 set VM_MIXEDMAP on a live VMA [R-NEW-01]
export const m18 = Device.make({ open: Effect.void, mmap: (_, vma) => Effect.asVoid(vma.setMixedmap()) })
//! refused
export const m18x = Locked.withUser(mm, (mm) => Locked.mmapWrite(mm, (mmap) => Effect.gen(function*() {
  const vma = yield* mmap.vmaLookup(at)
  yield* vma.setMixedmap()
})))

//: M19 set a flag on a live VMA that no driver may set [R-NEW-05]
export const m19 = Locked.withUser(mm, (mm) => Locked.mmapWrite(mm, (mmap) => Effect.gen(function*() {
  const written = yield* Effect.flatMap(mmap.vmaLookup(at), (vma) => vma.startWrite())
  yield* written.setFlag("VM_DONTCOPY")
})))
//! refused
export const m19x = Locked.withUser(mm, (mm) => Locked.mmapWrite(mm, (mmap) => Effect.gen(function*() {
  const written = yield* Effect.flatMap(mmap.vmaLookup(at), (vma) => vma.startWrite())
  yield* written.setFlag("VM_WRITE")
})))

//: M20 insert a page into a VMA that is not known to be a mixed map [R-MIX-08]
export const m20 = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  const vma = yield* mmap.vmaLookup(at)
  if (vma.has("VM_MIXEDMAP")) yield* vma.vmInsertPage(at, page)
})))
//! refused
export const m20x = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  const vma = yield* mmap.vmaLookup(at)
  yield* vma.vmInsertPage(at, page)
})))

//: M21 insert a page in the mmap hook before setMixedmap [R-MIX-07, R-MIX-08]
export const m21 = Device.make({
  open: Effect.void,
  mmap: (_, vma) => Effect.gen(function*() {
    const mixed = yield* vma.setMixedmap()
    yield* mixed.vmInsertPage(mixed.start, page)
  })
})
//! refused
export const m21x = Device.make({
  open: Effect.void,
  mmap: (_, vma) => Effect.gen(function*() {
    yield* vma.vmInsertPage(vma.start, page)
  })
})

//: M22 set VM_MIXEDMAP, then VM_PFNMAP
export const m22 = Device.make({ open: Effect.void, mmap: (_, vma) => Effect.asVoid(vma.setPfnmap().setIo()) })
//! refused
export const m22x = Device.make({ open: Effect.void, mmap: (_, vma) => Effect.asVoid(vma.setMixedmap().setPfnmap()) })

//: M23 set VM_PFNMAP, then insert a page
export const m23 = Device.make({
  open: Effect.void,
  mmap: (_, vma) => Effect.gen(function*() {
    const raw = yield* vma.setPfnmap()
    yield* raw.setDontexpand()
  })
})
//! refused
export const m23x = Device.make({
  open: Effect.void,
  mmap: (_, vma) => Effect.gen(function*() {
    const raw = yield* vma.setPfnmap()
    yield* raw.vmInsertPage(raw.start, page)
  })
})

//: M24b set VM_PFNMAP in the hook of a device that maps mixed
export const m24b = Device.make({ open: Effect.void, kind: "mixedmap", mmap: (_, vma) => vma.vmInsertPage(vma.start, page) })
//! refused
export const m24bx = Device.make({
  open: Effect.void,
  kind: "mixedmap",
  mmap: (_, vma) => Effect.gen(function*() {
    yield* vma.setPfnmap()
  })
})

//: M25 clear VM_MAYWRITE where VM_WRITE is known to be set [R-NEW-15]
export const m25 = Device.make({
  open: Effect.void,
  mmap: (_, vma) => Effect.gen(function*() {
    if (!vma.has("VM_WRITE")) yield* vma.tryClearMaywrite()
  })
})
//! refused
export const m25x = Device.make({
  open: Effect.void,
  mmap: (_, vma) => Effect.gen(function*() {
    if (vma.has("VM_WRITE")) yield* vma.tryClearMaywrite()
  })
})

//: M26 set VM_MAYWRITE again [R-NEW-12, R-NEW-17]
export const m26 = Device.make({
  open: Effect.void,
  mmap: (_, vma) => Effect.gen(function*() {
    const sealed = yield* vma.tryClearMaywrite()
    yield* sealed.tryClearMaywrite()
  })
})
//! refused
export const m26x = Device.make({
  open: Effect.void,
  mmap: (_, vma) => Effect.gen(function*() {
    const sealed = yield* vma.tryClearMaywrite()
    yield* sealed.setMaywrite()
  })
})

//: M27 assume a flag that was not looked at
export const m27 = Device.make({
  open: Effect.void,
  mmap: (_, vma) => {
    const plain: VmaNew.VmaNew<"!VM_PFNMAP", Locked.AfterUnlock> | undefined = undefined
    return Effect.succeed(vma.writable() ? "writable" : plain)
  }
})
//! refused
export const m27x = <here extends Locked.AfterUnlock>(vma: VmaNew.VmaNew<"!VM_PFNMAP", here>) => {
  const writable: VmaNew.VmaNew<"VM_WRITE", here> = vma
  return writable
}

//: M28 keep the VmaNew after mmap returned [R-NEW-01, R-NEW-03]
export const m28 = Device.make({ open: Effect.void, mmap: (_, vma) => Effect.asVoid(vma.setIo()) })
//! refused
export const m28x = Device.make({ open: Effect.void, mmap: (_, vma) => Effect.succeed(vma.setIo()) })

//: M29 ignore that tryClearMaywrite may refuse
export const m29 = <here extends Locked.AfterUnlock>(vma: VmaNew.VmaNew<never, here>) => {
  const write = VmaNew.is(vma, "VM_WRITE")
  const done: Effect.Effect<void, never, Locked.Held<here>> = write.set ? Effect.void : Effect.asVoid(write.vma.tryClearMaywrite())
  return done
}
//! refused
export const m29x = <here extends Locked.AfterUnlock>(vma: VmaNew.VmaNew<never, here>) => {
  const done: Effect.Effect<void, never, Locked.Held<here>> = Effect.asVoid(vma.tryClearMaywrite())
  return done
}

//: M69 return a closure that edits the flags later
export const m69 = Device.make({ open: Effect.void, mmap: (_, vma) => Effect.as(vma.setIo(), () => "done") })
//! refused
export const m69x = Device.make({ open: Effect.void, mmap: (_, vma) => Effect.succeed(() => vma.setIo()) })

//: L01 ask a live VMA what only a VMA under construction answers [R-NEW-19]
export const l01 = <here extends Locked.AfterUnlock>(vma: VmaNew.VmaNew<never, here>) => vma.writable()
//! refused
export const l01x = <here extends Locked.AfterUnlock>(vma: VmaRef.AnyVma<here>) => vma.writable()

//: L02 clear a may-flag of a live VMA [R-NEW-19]
export const l02 = <here extends Locked.AfterUnlock>(vma: VmaNew.VmaNew<never, here>) => vma.tryClearMayexec()
//! refused
export const l02x = <here extends Locked.AfterUnlock>(vma: VmaRef.AnyVma<here>) => vma.tryClearMayexec()

//: L03 take a VMA seen through its own lock for one seen through mmap_lock [R-LOCK-12]
export const l03 = <here extends Locked.AfterUnlock>(vma: VmaRef.VmaRef<Locked.VmaWrite, never, here>): VmaRef.AnyVma<here> => vma
//! refused
export const l03x = <here extends Locked.AfterUnlock>(vma: VmaRef.AnyVma<here>): VmaRef.VmaRef<Locked.MmapRead, never, here> => vma
