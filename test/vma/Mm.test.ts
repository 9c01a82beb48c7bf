import { Deferred, Effect, Exit, Fiber, Option, Scope } from "effect"
import { type Lockdep, Locked, Mm, Task } from "pagewright"
import { describe, expect, it } from "vitest"
import { defectOf, onKernel, one, rw, anonymous, withMemory } from "./support.ts"

/** The address space of a process that has ended; the caller's Scope keeps the handle. */
const deadMm = Task.run("short", Effect.andThen(Task.mmap({ length: one, prot: rw, flags: anonymous }), Mm.current))

describe("Mm", () => {
  it("a grabbed address space outlives its process: the object is there, its areas are gone [R-MM-01]", () =>
    onKernel(
      Effect.gen(function* () {
        const mm = yield* deadMm
        expect(yield* Mm.stat(mm)).toMatchObject({ users: 0, count: 1, areas: 0, totalVm: 0 })
      })
    ))

  it("each handle is one grab, dropped by its Scope [R-MM-02]", () =>
    onKernel(
      withMemory(1, (mm) =>
        Effect.gen(function* () {
          const { count } = yield* Mm.stat(mm)
          const during = yield* Effect.scoped(Effect.andThen(Mm.grab(mm), Mm.stat(mm)))
          expect([during.count, (yield* Mm.stat(mm)).count]).toEqual([count + 1, count])
        })
      )
    ))

  it("mmgetNotZero answers none when the last user has gone, and changes nothing [R-MM-07]", () =>
    onKernel(
      Effect.gen(function* () {
        const mm = yield* deadMm
        const before = yield* Mm.stat(mm)
        expect(yield* Mm.mmgetNotZero(mm, () => Effect.succeed(1))).toEqual(Option.none())
        expect((yield* Effect.flip(Locked.withUser(mm, () => Effect.void)))._tag).toBe("ESRCH")
        expect(yield* Mm.stat(mm)).toEqual(before)
        const users = withMemory(1, (mm) => Mm.mmgetNotZero(mm, () => Effect.map(Mm.stat(mm), (stat) => stat.users)))
        expect(yield* users).toEqual(Option.some(2))
      })
    ))

  /** A section that keeps a process's address space while the process ends; and what is left of it then. */
  const outliving = (
    section: (mm: Mm.Mm, inside: Effect.Effect<void>) => Effect.Effect<unknown, unknown, Lockdep.Sleeps<"mmput()">>
  ) =>
    Effect.gen(function* () {
      const [entered, ended] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const scope = yield* Effect.scope
      let mm: Mm.Mm | undefined
      const holding = yield* Task.run(
        "owner",
        Effect.gen(function* () {
          yield* Task.mmap({ length: one, prot: rw, flags: anonymous })
          const handle = yield* Mm.current.pipe(Scope.provide(scope))
          mm = handle
          const inside = Effect.andThen(Deferred.succeed(entered, undefined), Deferred.await(ended))
          const fiber = yield* Effect.forkDetach(section(handle, inside))
          yield* Deferred.await(entered)
          return fiber
        })
      )
      const during = yield* Mm.stat(mm!)
      yield* Deferred.succeed(ended, undefined)
      yield* Fiber.join(holding)
      return [during, yield* Mm.stat(mm!), mm!] as const
    })

  it("the last mmput tears the address space down, when its section ends [R-MM-03]", () =>
    onKernel(
      Effect.gen(function* () {
        const [during, after] = yield* outliving((mm, inside) => Locked.withUser(mm, () => inside))
        expect(during).toMatchObject({ users: 1, areas: 2 })
        expect(after).toMatchObject({ users: 0, areas: 0, count: 1 })
      })
    ))

  it("the last mmput_async leaves the teardown to a worker [R-MM-04]", () =>
    onKernel(
      Effect.gen(function* () {
        const [during, after, mm] = yield* outliving((mm, inside) => Locked.withUserAsync(mm, () => inside))
        expect(during).toMatchObject({ users: 1, areas: 2 })
        expect(after).toMatchObject({ users: 0, areas: 2 })
        yield* Effect.yieldNow
        yield* Effect.yieldNow
        expect(yield* Mm.stat(mm)).toMatchObject({ users: 0, areas: 0, count: 1 })
      })
    ))

  it("intoMmputAsync changes who drops the reference, not how many there are [R-MM-05]", () =>
    onKernel(
      Effect.gen(function* () {
        const [during, after] = yield* outliving((mm, inside) =>
          Locked.withUser(mm, (user) =>
            Effect.gen(function* () {
              const before = yield* Mm.stat(mm)
              yield* Mm.intoMmputAsync(user)
              expect(yield* Mm.stat(mm)).toEqual(before)
              yield* inside
            })
          )
        )
        expect([during.areas, after.areas]).toEqual([2, 2])
      })
    ))

  it("an async handle is an address space with users, and that is an address space [R-MM-06]", () =>
    onKernel(
      withMemory(1, (mm, base) =>
        Locked.withUserAsync(mm, (user) =>
          Effect.gen(function* () {
            expect(yield* Locked.mmapRead(user, (mmap) => Effect.map(mmap.vmaLookup(base), (vma) => vma.start))).toBe(
              base
            )
            expect((yield* Mm.stat(user)).users).toBe(2)
            expect(Mm.asPtr(user)).toBe(Mm.asPtr(mm))
          })
        )
      )
    ))

  it("a handle that is claimed to have users, or to be one at all, is looked at [R-MM-09]", () =>
    onKernel(
      withMemory(1, (mm) =>
        Effect.gen(function* () {
          const claimed = mm as Mm.MmWithUser<Locked.AfterUnlock>
          const locking = Locked.mmapRead(claimed, () => Effect.void) as Effect.Effect<void>
          expect(yield* defectOf(locking)).toMatch(/expected a MmUser of this library/)
          expect(yield* defectOf(Mm.stat({} as Mm.Mm))).toMatch(/expected a MmObject of this library/)
        })
      )
    ))

  it("handles are shared between fibers [R-MM-10]", () =>
    onKernel(
      withMemory(1, (mm, base) =>
        Effect.gen(function* () {
          const look = Locked.withUser(mm, (mm) =>
            Locked.withVma(mm, base, (vma) => Effect.as(Effect.yieldNow, vma.start))
          )
          expect(yield* Effect.all([look, look, look], { concurrency: "unbounded" })).toEqual([base, base, base])
        })
      )
    ))

  it("a kernel thread has no address space [R-MM-14]", () =>
    onKernel(
      withMemory(1, () =>
        Effect.gen(function* () {
          const thread = yield* Task.kthread(Effect.exit(Effect.scoped(Mm.current)))
          const exit = yield* Fiber.join(thread)
          expect(Exit.isFailure(exit) && String(exit.cause)).toMatch("ESRCH")
        })
      )
    ))
})
