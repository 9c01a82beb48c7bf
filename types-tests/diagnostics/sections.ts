/** Sections: what a lock lends cannot leave it. */
import { Effect, Fiber } from "effect"
import { Locked, type Mm, Task, type VmaRef } from "pagewright"
import { at, mm, notOurs, one, sameSection } from "./given.ts"

//: M01 return a VMA from its section [R-LOCK-04, R-REF-01]
export const m01 = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  const vma = yield* mmap.vmaLookup(at)
  return vma.start
})))
//! refused
export const m01x = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  const vma = yield* mmap.vmaLookup(at)
  return vma
})))

//: M02 return a VMA inside an object
export const m02 = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  const vma = yield* mmap.vmaLookup(at)
  return { vmas: [vma.asPtr()] }
})))
//! refused
export const m02x = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  const vma = yield* mmap.vmaLookup(at)
  return { vmas: [vma] }
})))

//: M03 return a closure that uses the VMA later
export const m03 = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  const vma = yield* mmap.vmaLookup(at)
  const { end } = vma
  return () => end
})))
//! refused
export const m03x = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  const vma = yield* mmap.vmaLookup(at)
  return () => vma.slice(at, one)
})))

//: M04 return an effect on the VMA that was not run
export const m04 = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  const vma = yield* mmap.vmaLookup(at)
  return yield* vma.slice(at, one).pipe(Effect.asVoid)
})))
//! refused
export const m04x = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  const vma = yield* mmap.vmaLookup(at)
  return vma.slice(at, one).pipe(Effect.asVoid)
})))

//: M05 store a VMA in an outer variable
let seen: Mm.Pointer | undefined
export const m05 = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  seen = (yield* mmap.vmaLookup(at)).asPtr()
})))
//! refused
let outer: VmaRef.VmaRef<Locked.MmapRead, never, Locked.AfterUnlock>
export const m05x = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  outer = yield* mmap.vmaLookup(at)
})))

//: M06 fail with the VMA in the error channel
export const m06 = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  const vma = yield* mmap.vmaLookup(at)
  return yield* Effect.fail({ _tag: "TooShort", end: vma.end } as const)
})))
//! refused
export const m06x = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  const vma = yield* mmap.vmaLookup(at)
  return yield* Effect.fail({ _tag: "TooShort", vma } as const)
})))

//: M06b fail with an error that holds on to the VMA
export const m06b = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  const vma = yield* mmap.vmaLookup(at)
  return yield* notOurs(vma.end)
})))
//! refused
export const m06bx = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  const vma = yield* mmap.vmaLookup(at)
  return yield* notOurs(vma)
})))

//: M07 start a kernel thread that uses the VMA [R-REF-11, R-LOCK-02, R-LOCK-09]
export const m07 = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  const { end } = yield* mmap.vmaLookup(at)
  yield* Task.kthread(Effect.log(end))
})))
//! refused
export const m07x = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  const vma = yield* mmap.vmaLookup(at)
  yield* Task.kthread(vma.slice(at, one))
})))

//: M08 run an operation on the VMA as a promise, inside the section
export const m08 = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  const vma = yield* mmap.vmaLookup(at)
  yield* vma.slice(at, one)
})))
//! refused
export const m08x = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  const vma = yield* mmap.vmaLookup(at)
  void Effect.runPromise(vma.slice(at, one))
})))

//: M09 return a fiber that holds the VMA
export const m09 = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  const fiber = yield* Effect.forkChild(mmap.vmaLookup(at))
  return (yield* Fiber.join(fiber)).start
})))
//! refused
export const m09x = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.forkDetach(mmap.vmaLookup(at))))

//: M10 keep an address space's users beyond their section (use after mmput) [R-REF-07]
export const m10 = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, () => Effect.void))
//! refused
export const m10x = Locked.withUser(mm, (mm) => Effect.succeed(mm))

//: M11 lock an address space that may have no users [R-MM-08]
export const m11 = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => mmap.vmaLookup(at).pipe(Effect.asVoid)))
//! refused
export const m11x = Locked.mmapRead(mm, (mmap) => mmap.vmaLookup(at).pipe(Effect.asVoid))

//: M14 look a VMA up with no lock at all
export const m14 = Locked.withUser(mm, (mm) => Locked.withVma(mm, at, (vma) => Effect.succeed(vma.end)))
//! refused
export const m14x = mm.vmaLookup(at)

//: M53 use VMAs of two sections together
export const m53 = <here extends Locked.AfterUnlock>(
  x: VmaRef.VmaRef<Locked.MmapRead, never, here>,
  y: VmaRef.VmaRef<Locked.MmapRead, never, here>
) => sameSection(x, y)
//! refused
export const m53x = <a extends Locked.AfterUnlock, b extends Locked.AfterUnlock>(
  x: VmaRef.VmaRef<Locked.MmapRead, never, a>,
  y: VmaRef.VmaRef<Locked.MmapRead, never, b>
) => sameSection(x, y)

//: M68 touch the VMA from a timer
export const m68 = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  const { start } = yield* mmap.vmaLookup(at)
  setTimeout(() => Effect.runFork(Effect.log(start)), 1)
})))
//! refused
export const m68x = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  const vma = yield* mmap.vmaLookup(at)
  setTimeout(() => Effect.runFork(vma.slice(at, one)), 1)
})))
