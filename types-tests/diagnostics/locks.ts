/** Lock order and atomic context. Texts follow lockdep. */
import { Effect } from "effect"
import { Kernel, Lockdep, Locked, Page } from "pagewright"
import { at, file, machine, mm } from "./given.ts"

//: M30 leave an errno unhandled at the edge of a task
export const m30 = () => Lockdep.runTask(
  Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.asVoid(mmap.vmaLookup(at)))).pipe(
    Effect.catchTag("EFAULT", () => Effect.void),
    Effect.catchTag("ESRCH", () => Effect.void)
  )
)
//! refused
export const m30x = () => Lockdep.runTask(
  Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.asVoid(mmap.vmaLookup(at))))
)

//: M31 take mmap_lock twice [R-LOCK-14]
export const m31 = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, () => Locked.tryVmaRead(mm, at, () => Effect.void)))
//! refused
export const m31x = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, () => Locked.mmapRead(mm, () => Effect.void)))

//: M32 upgrade from read to write
export const m32 = Locked.withUser(mm, (mm) => Effect.gen(function*() {
  yield* Locked.mmapRead(mm, () => Effect.void)
  yield* Locked.mmapWrite(mm, () => Effect.void)
}))
//! refused
export const m32x = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, () => Effect.gen(function*() {
  yield* Locked.mmapWrite(mm, () => Effect.void)
})))

//: M33 take mmap_lock inside i_mmap_rwsem
export const m33 = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, () => Locked.iMmapRead(file, () => Effect.void)))
//! refused
export const m33x = Locked.withUser(mm, (mm) => Locked.iMmapRead(file, () => Locked.mmapRead(mm, () => Effect.void)))

//: M34 the same, hidden in a helper
export const m34 = Locked.withUser(mm, (mm) => {
  const helper = Effect.gen(function*() {
    yield* Locked.mmapRead(mm, () => Effect.void)
  })
  return Effect.andThen(Locked.iMmapRead(file, () => Effect.void), helper)
})
//! refused
export const m34x = Locked.withUser(mm, (mm) => {
  const helper = Effect.gen(function*() {
    yield* Locked.mmapRead(mm, () => Effect.void)
  })
  return Locked.iMmapRead(file, () => Effect.gen(function*() {
    yield* helper
  }))
})

//: M35 take mmap_lock inside a VMA's lock
export const m35 = Locked.withUser(mm, (mm) => Locked.tryVmaRead(mm, at, () => Locked.iMmapRead(file, () => Effect.void)))
//! refused
export const m35x = Locked.withUser(mm, (mm) => Locked.tryVmaRead(mm, at, () => Locked.mmapRead(mm, () => Effect.void)))

//: M36 allocate with GFP_KERNEL under RCU
export const m36 = Locked.rcuRead(() => Page.allocPage("GFP_ATOMIC"))
//! refused
export const m36x = Locked.rcuRead(() => Page.allocPage("GFP_KERNEL"))

//: M37 take mmap_lock under RCU
export const m37 = Locked.withUser(mm, (mm) => Locked.rcuRead(() => Locked.tryVmaRead(mm, at, () => Effect.void)))
//! refused
export const m37x = Locked.withUser(mm, (mm) => Locked.rcuRead(() => Locked.mmapRead(mm, () => Effect.void)))

//: M38 allocate with GFP_KERNEL under the page table lock
export const m38 = Locked.withUser(mm, (mm) => Locked.tryVmaRead(mm, at, (vma) => Effect.gen(function*() {
  yield* Page.allocPage("GFP_KERNEL")
  yield* Locked.pageTableLock(vma, () => Effect.void)
})))
//! refused
export const m38x = Locked.withUser(mm, (mm) => Locked.tryVmaRead(mm, at, (vma) => Effect.gen(function*() {
  yield* Locked.pageTableLock(vma, () => Page.allocPage("GFP_KERNEL"))
})))

//: M39 take i_mmap_rwsem inside the page table lock
export const m39 = Locked.withUser(mm, (mm) => Locked.tryVmaRead(mm, at, (vma) =>
  Locked.iMmapRead(file, () => Locked.pageTableLock(vma, () => Effect.void))
))
//! refused
export const m39x = Locked.withUser(mm, (mm) => Locked.tryVmaRead(mm, at, (vma) =>
  Locked.pageTableLock(vma, () => Locked.iMmapRead(file, () => Effect.void))
))

//: M40 drop the last user of an address space under RCU [R-MM-03, R-MM-04]
export const m40 = Locked.rcuRead(() => Locked.withUserAsync(mm, () => Effect.void))
//! refused
export const m40x = Locked.rcuRead(() => Locked.withUser(mm, () => Effect.void))

//: M41 run an effect that locks, with no task around it
export const m41 = () => Lockdep.runTask(
  Locked.withUser(mm, (mm) => Locked.mmapRead(mm, () => Effect.void)).pipe(Effect.catchTag("ESRCH", () => Effect.void))
)
//! refused
export const m41x = () => Effect.runPromise(
  Locked.withUser(mm, (mm) => Locked.mmapRead(mm, () => Effect.void)).pipe(Effect.catchTag("ESRCH", () => Effect.void))
)

//: M65 hide a sleeping effect in a synchronous run, in atomic context
const booted = Effect.provideService(Kernel.Kernel, machine)
export const m65 = Locked.rcuRead(() => Effect.sync(() => Effect.runSync(booted(Effect.scoped(Page.allocPage("GFP_ATOMIC"))))))
//! refused
export const m65x = Locked.rcuRead(() => Effect.sync(() => Effect.runSync(booted(Effect.scoped(Page.allocPage("GFP_KERNEL"))))))

//: M67 build a section outside, run it inside another
const walk = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, () => Effect.void))
export const m67 = Effect.andThen(Locked.iMmapRead(file, () => Effect.void), walk)
//! refused
export const m67x = Locked.iMmapRead(file, () => walk)
