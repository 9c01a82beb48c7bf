/** Ways to write a section's body that must compile; where TypeScript cannot, the refusal stands beside what to write. */
import { Effect, pipe } from "effect"
import { Device, Fail, type Lockdep, Locked, Page, type Task, Userfaultfd, type VmaMixedMap, VmaRef } from "pagewright"
import { at, Db, file, mm, one, page } from "./given.ts"

type Same<X, Y> = (<T>() => T extends X ? 1 : 2) extends <T>() => T extends Y ? 1 : 2 ? true : false

//: B01 a generator, with an early return
export const b01 = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  const vma = yield* mmap.vmaLookup(at)
  if (vma.lacks("VM_MIXEDMAP")) return "not a mixed map"
  return vma.start
})))

//: B02 a pipe
export const b02 = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) =>
  mmap.vmaLookup(at).pipe(
    Effect.flatMap((vma) => vma.slice(at, one)),
    Effect.flatMap((range) => range.zapPageRangeSingle),
    Effect.as(1)
  )
))

//: B03 data-last
export const b03 = Locked.withUser(mm, (mm) => pipe(mm, Locked.mmapRead((mmap) => Effect.map(mmap.vmaLookup(at), (vma) => vma.end))))

//: B04 a ternary of two effects
export const b04 = Locked.withUser(mm, (mm) => Locked.withVma(mm, at, (vma) =>
  vma.has("VM_MIXEDMAP") ? vma.vmInsertPage(at, page) : Fail.fail("EPERM")
))

//: B05 a ternary of two effects with different services
export const b05 = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) =>
  Math.random() < 0.5 ? Effect.map(mmap.vmaLookup(at), (vma) => vma.start) : Effect.flatMap(Db, (db) => db.load)
))

//: B06 Effect.forEach over operations on one VMA
export const b06 = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  const vma = yield* mmap.vmaLookup(at)
  yield* Effect.forEach([vma.start, at], (address) => vma.zapPageRangeSingle(address, one))
  return vma.start
})))

//: B07 catchTag inside the body
export const b07 = Locked.withUser(mm, (mm) => Locked.withVma(mm, at, (vma) => Effect.gen(function*() {
  if (!vma.has("VM_MIXEDMAP")) return yield* Fail.fail("ESRCH")
  return yield* vma.vmInsertPage(at, page).pipe(Effect.as("mapped"), Effect.catchTag("EBUSY", () => Effect.succeed("was there")))
})))

//: B08 a generic helper, one type parameter
const zapFirst = <here extends Locked.AfterUnlock>(vma: VmaRef.AnyVma<here>) => vma.zapPageRangeSingle(vma.start, one)
export const b08 = Locked.withUser(mm, (mm) => Locked.withVma(mm, at, zapFirst))

//: B09 a generic helper that wants a mixed map
const insert = <here extends Locked.AfterUnlock>(vma: VmaMixedMap.VmaMixedMap<Locked.VmaRead, here>) => vma.vmInsertPage(at, page)
export const b09 = Locked.withUser(mm, (mm) => Locked.withVma(mm, at, (vma) => vma.has("VM_MIXEDMAP") ? insert(vma) : Effect.void))

//: B10 Effect.fnUntraced with an annotated parameter
const end = Effect.fnUntraced(function*<here extends Locked.AfterUnlock>(mmap: Locked.Mmap<Locked.MmapRead, here>) {
  return (yield* mmap.vmaLookup(at)).end
})
export const b10 = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, end))

//: B11 Effect.fnUntraced in place: give it a name first, TypeScript does not carry a generic through two calls
export const b11 = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => end(mmap)))
//! refused
export const b11x = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, Effect.fnUntraced(function*<here extends Locked.AfterUnlock>(mmap: Locked.Mmap<Locked.MmapRead, here>) {
  return (yield* mmap.vmaLookup(at)).end
})))

//: B12 a ternary under Effect.flatMap: Effect unites no errors there, a generator does
export const b12 = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  const vma = yield* mmap.vmaLookup(at)
  return vma.has("VM_MIXEDMAP") ? yield* vma.vmInsertPage(at, page) : yield* Fail.fail("ESRCH")
})))
//! refused
export const b12x = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) =>
  Effect.flatMap(mmap.vmaLookup(at), (vma) => (vma.has("VM_MIXEDMAP") ? vma.vmInsertPage(at, page) : Fail.fail("ESRCH")))
))

//: B13 a VMA of the outer section while an inner one is open
export const b13 = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  const vma = yield* mmap.vmaLookup(at)
  return yield* Locked.iMmapRead(file, () => Effect.map(vma.slice(at, one), () => 7))
})))

//: B14 both branches of a flag, by VmaRef.is
export const b14 = Locked.withUser(mm, (mm) => Locked.withVma(mm, at, (vma) => {
  const mixed = VmaRef.is(vma, "VM_MIXEDMAP")
  return mixed.set ? mixed.vma.vmInsertPage(at, page) : Effect.void
}))

//: B15 a hook with an early return, and one that is a ternary
export const b15 = Device.make({
  open: Effect.succeed({ writable: false }),
  mmap: (self, vma) => Effect.gen(function*() {
    if (vma.writable()) return yield* Fail.fail("EPERM")
    self.writable = false
    yield* vma.setMixedmap().setDontcopy().tryClearMaywrite()
  }),
  vmOps: { fault: (self) => (self.writable ? Effect.succeed(page) : Fail.fail("EACCES")) }
})

//: B16 what a section leaves in the type: its result, its errors, its services, its locks
export const b16 = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  yield* mmap.vmaLookup(at)
  return yield* Effect.map(Db, () => 7)
})))
type Said = typeof b16
export const said: Same<Said, Effect.Effect<number, Fail.Fail<"EFAULT" | "ESRCH">, Db | Lockdep.Sleeps<"mmput()"> | Lockdep.Takes<"mmap_lock">>> = true

//: B17 a device whose open is a data-first call with a lambda: give it a name, or write a pipe or a generator
const withPage = Effect.map(Page.allocPage("GFP_KERNEL"), (page) => ({ page }))
export const b17 = Device.make({ open: withPage, kind: "mixedmap", mmap: (self, vma) => vma.vmInsertPage(vma.start, self.page) })
//! refused
export const b17x = Device.make({
  open: Effect.map(Page.allocPage("GFP_KERNEL"), (page) => ({ page })),
  kind: "mixedmap",
  mmap: (self, vma) => vma.vmInsertPage(vma.start, self.page)
})

//: B18 a helper that is generic in what its body is given: result, errors, services
export const b18 = <A, E, R>(moment: Effect.Effect<A, E, R>) => Userfaultfd.open((fresh) => Effect.gen(function*() {
  const uffd = yield* fresh.api([])
  yield* uffd.register(at, one, ["MISSING"])
  return yield* moment
}))
export const opened: Effect.Effect<number, "mine" | Fail.Fail<"EBADF" | "EBUSY" | "EINVAL" | "ENOMEM" | "EPERM" | Userfaultfd.OpenErrno>, Db | Task.Task | Lockdep.Takes<"mmap_lock">> =
  b18(Effect.flatMap(Db, (): Effect.Effect<number, "mine"> => Effect.fail("mine")))
//! refused
export const b18x = <A, E, R>(moment: Effect.Effect<A, E, R>) => Userfaultfd.open((fresh) => Effect.gen(function*() {
  const uffd = yield* fresh.api([])
  return [yield* moment, uffd] as const
}))

//: B19 a helper that lends the descriptor to whatever it is given
export const b19 = <A, E, R>(use: <here extends Locked.AfterUnlock>(uffd: Userfaultfd.Uffd<"POISON", here>) => Effect.Effect<A, E, R | Locked.Held<here>>) =>
  Userfaultfd.open((fresh) => Effect.flatMap(fresh.api(["POISON"]), use))
export const b19used = b19((uffd) => Effect.map(uffd.readEvents(), (events) => events.length))
//! refused
export const b19x = b19((uffd) => uffd.readEvents())

//: B20 under a lock a body may be generic in its result and errors; what it requires might be another lock, so that is said
export const b20 = <A, E>(moment: Effect.Effect<A, E, Db>) => Locked.withUser(mm, (mm) => Locked.mmapRead(mm, () => moment))
//! refused
export const b20x = <A, E, R>(moment: Effect.Effect<A, E, R>) => Locked.withUser(mm, (mm) => Locked.mmapRead(mm, () => moment))

//: B21 a generic helper whose body has a scope: its type is known, not `unknown`
export const b21 = <E, R>(moment: Effect.Effect<void, E, R>) => Userfaultfd.open((fresh) => Effect.scoped(Effect.gen(function*() {
  const uffd = yield* fresh.api([])
  yield* Effect.acquireRelease(uffd.register(at, one, ["MISSING"]), () => Effect.ignore(uffd.unregister(at, one)))
  yield* moment
  return 7
})))
export const scoped: Effect.Effect<number, "mine" | Fail.Fail<"EBADF" | "EBUSY" | "EINVAL" | "ENOMEM" | "EPERM" | Userfaultfd.OpenErrno>, Db | Task.Task | Lockdep.Takes<"mmap_lock">> =
  b21(Effect.flatMap(Db, (): Effect.Effect<void, "mine"> => Effect.fail("mine")))

//: B22 an inner section answers with what belongs to the one around it
export const b22 = Userfaultfd.open((fresh) => Effect.gen(function*() {
  const uffd = yield* fresh.api([])
  const range = yield* Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.as(mmap.vmaLookup(at), fresh))).pipe(Effect.as(uffd))
  yield* range.wakeup(at, one)
  return yield* Userfaultfd.open((other) => Effect.as(other.api([]), uffd)).pipe(Effect.flatMap((uffd) => uffd.wakeup(at, one)))
}))
//! refused
export const b22x = Userfaultfd.open((fresh) => Userfaultfd.open((other) => Effect.as(other.api([]), fresh)))
