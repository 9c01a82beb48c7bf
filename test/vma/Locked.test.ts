import { Deferred, Effect, Exit, Fiber, Option } from "effect"
import { Fail, Locked, type Mm, Mutex, Task, Units } from "pagewright"
import { describe, expect, it } from "vitest"
import { lockVmaUnderRcu } from "../../lib/mm/area/vma-lock.ts"
import { boot } from "../../lib/mm/sys/boot.ts"
import { mmap } from "../../lib/mm/sys/mmap.ts"
import { munmap } from "../../lib/mm/sys/munmap.ts"
import { spawn } from "../../lib/mm/sys/process.ts"
import { runNow } from "../../lib/mm/sys/run-now.ts"
import { anonymous, checkTables, defectOf, one, onKernel, pageAt, withMemory } from "./support.ts"

type Base = Units.PageAligned<Units.UserAddr>

/** A section in a fiber of its own, entered, and left on demand. */
const held = <E, R>(section: (inside: Effect.Effect<void>) => Effect.Effect<unknown, E, R>) =>
  Effect.gen(function* () {
    const [entered, leave] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
    const fiber = yield* Effect.forkChild(
      section(Effect.andThen(Deferred.succeed(entered, undefined), Deferred.await(leave)))
    )
    yield* Deferred.await(entered)
    return { fiber, leave: Effect.andThen(Deferred.succeed(leave, undefined), Fiber.join(fiber)) }
  })
const reading = (mm: Mm.Mm) => (inside: Effect.Effect<void>) =>
  Locked.withUser(mm, (mm) => Locked.mmapRead(mm, () => inside))
const writing = (mm: Mm.Mm) => (inside: Effect.Effect<void>) =>
  Locked.withUser(mm, (mm) => Locked.mmapWrite(mm, () => inside))
const readingVma = (mm: Mm.Mm, at: Base) => (inside: Effect.Effect<void>) =>
  Locked.withUser(mm, (mm) => Locked.tryVmaRead(mm, at, () => inside))
/** Marks the VMA at `at` and stays in the write section. */
const marking = (mm: Mm.Mm, at: Base) => (inside: Effect.Effect<void>) =>
  Locked.withUser(mm, (mm) =>
    Locked.mmapWrite(mm, (mmap) =>
      Effect.gen(function* () {
        const vma = yield* mmap.vmaLookup(at)
        yield* vma.startWrite()
        yield* inside
      })
    )
  )
const tryRead = (mm: Mm.Mm) =>
  Locked.withUser(mm, (mm) =>
    Effect.map(
      Locked.mmapReadTry(mm, () => Effect.void),
      Option.isSome
    )
  )
const tryVma = (mm: Mm.Mm, at: Units.UserAddr) =>
  Locked.withUser(mm, (mm) =>
    Effect.map(
      Locked.tryVmaRead(mm, at, () => Effect.void),
      Option.isSome
    )
  )
/** Let everything run that can. */
const settle = Effect.repeat(Effect.yieldNow, { times: 20 })
const isDone = <A, E>(fiber: Fiber.Fiber<A, E>) => fiber.pollUnsafe() !== undefined

describe("mmap_lock", () => {
  it("a section is one hold, and its end gives it back [R-LOCK-01]", () =>
    onKernel(
      withMemory(1, (mm) =>
        Effect.gen(function* () {
          const reader = yield* held(reading(mm))
          const writer = yield* Effect.forkChild(writing(mm)(Effect.void))
          yield* settle
          expect(isDone(writer)).toBe(false)
          yield* reader.leave
          yield* Fiber.join(writer)
        })
      )
    ))

  it("readers come in together; a writer keeps them out until it has left [R-MM-11]", () =>
    onKernel(
      withMemory(1, (mm) =>
        Effect.gen(function* () {
          const readers = [yield* held(reading(mm)), yield* held(reading(mm))]
          yield* Effect.forEach(readers, (one) => one.leave)
          const writer = yield* held(writing(mm))
          const late = yield* Effect.forkChild(reading(mm)(Effect.void))
          yield* settle
          expect(isDone(late)).toBe(false)
          yield* writer.leave
          yield* Fiber.join(late)
        })
      )
    ))

  it("a trylock answers at once: none while a writer is inside [R-MM-12]", () =>
    onKernel(
      withMemory(1, (mm) =>
        Effect.gen(function* () {
          expect(yield* tryRead(mm)).toBe(true)
          const writer = yield* held(writing(mm))
          expect(yield* tryRead(mm)).toBe(false)
          yield* writer.leave
          expect(yield* tryRead(mm)).toBe(true)
        })
      )
    ))

  it("a queued writer keeps newcomers out, though only readers are inside [R-LOCK-13]", () =>
    onKernel(
      withMemory(1, (mm) =>
        Effect.gen(function* () {
          const order: string[] = []
          const note = (what: string) => Effect.sync(() => void order.push(what))
          const reader = yield* held(reading(mm))
          const writer = yield* Effect.forkChild(writing(mm)(note("writer")))
          yield* settle
          expect(yield* tryRead(mm)).toBe(false)
          const late = yield* Effect.forkChild(reading(mm)(note("late reader")))
          yield* settle
          expect(order).toEqual([])
          yield* reader.leave
          yield* Fiber.joinAll([writer, late])
          expect(order).toEqual(["writer", "late reader"])
        })
      )
    ))

  it("M31 a fiber that takes it twice is told, at once and not only when a writer waits [R-LOCK-14]", () =>
    onKernel(
      withMemory(1, (mm) =>
        Locked.withUser(mm, (mm) =>
          Locked.mmapRead(mm, () => {
            const again = Locked.mmapRead(mm, () => Effect.void) as Effect.Effect<void>
            return Effect.map(defectOf(again), (said) =>
              expect(said).toMatch("BUG: possible recursive locking: mmap_lock is already held")
            )
          })
        )
      )
    ))

  it("inside it, a trylock and the VMA's own lock are fine [R-LOCK-14]", () =>
    onKernel(
      withMemory(1, (mm, base) =>
        Locked.withUser(mm, (mm) =>
          Locked.mmapRead(mm, () =>
            Effect.gen(function* () {
              const a = yield* Locked.mmapReadTry(mm, () => Effect.void) as Effect.Effect<Option.Option<void>>
              const b = yield* Locked.tryVmaRead(mm, base, () => Effect.void) as Effect.Effect<Option.Option<void>>
              expect([a, b].map(Option.isSome)).toEqual([true, true])
            })
          )
        )
      )
    ))

  it("a lookup finds the VMA that contains the address, and never the next one up [R-LOCK-03]", () =>
    onKernel(
      withMemory(2, (mm, base) =>
        Effect.gen(function* () {
          yield* Task.munmap(base, one)
          const found = (at: Units.UserAddr) =>
            Locked.withUser(mm, (mm) =>
              Locked.mmapRead(mm, (mmap) =>
                Effect.map(mmap.vmaLookup(at), (vma) => vma.start).pipe(
                  Effect.map(Units.raw),
                  Effect.catchTag("EFAULT", () => Effect.succeed("nothing"))
                )
              )
            )
          const upper = Units.raw(pageAt(base, 1))
          expect(yield* found(Units.userAddr(upper + 4095))).toBe(upper)
          for (const at of [0, 1, Units.raw(base), upper - 1, 2 ** 47, 2 ** 63]) {
            expect(yield* found(Units.userAddr(at))).toBe("nothing")
          }
        })
      )
    ))

  it("a waiter that is interrupted leaves the queue; a grant that came too late goes to the next", () =>
    onKernel(
      withMemory(1, (mm) =>
        Effect.gen(function* () {
          const reader = yield* held(reading(mm))
          const writers = [
            yield* Effect.forkChild(writing(mm)(Effect.void)),
            yield* Effect.forkChild(writing(mm)(Effect.void))
          ]
          yield* settle
          yield* Fiber.interrupt(writers[0]!)
          yield* checkTables
          yield* reader.leave
          yield* Fiber.join(writers[1]!)
          const again = yield* held(writing(mm))
          const next = [
            yield* Effect.forkChild(writing(mm)(Effect.void)),
            yield* Effect.forkChild(writing(mm)(Effect.void))
          ]
          yield* settle
          yield* again.leave
          next[0]!.interruptUnsafe() // granted by now, perhaps not resumed
          yield* Fiber.await(next[0]!)
          expect(yield* Fiber.join(next[1]!)).toBeUndefined()
        })
      )
    ))
})

describe("the VMA's own lock", () => {
  it("tryVmaRead needs no mmap_lock [R-LOCK-05]", () =>
    onKernel(
      withMemory(1, (mm, base) =>
        Effect.gen(function* () {
          const writer = yield* held(writing(mm))
          expect(yield* tryVma(mm, base)).toBe(true)
          yield* writer.leave
        })
      )
    ))

  it("tryVmaRead answers none where nothing is mapped, and while a writer has marked the VMA [R-LOCK-05]", () =>
    onKernel(
      withMemory(1, (mm, base) =>
        Effect.gen(function* () {
          expect(yield* tryVma(mm, Units.va("0x1000"))).toBe(false)
          const writer = yield* held(marking(mm, base))
          expect(yield* tryVma(mm, base)).toBe(false)
          yield* writer.leave
        })
      )
    ))

  it("the end of the write section unmarks every VMA at once [R-LOCK-06, R-LOCK-15]", () =>
    onKernel(
      withMemory(1, (mm, base) =>
        Effect.gen(function* () {
          const other = yield* Task.mmap({ length: one, prot: 0, flags: anonymous })
          const both = yield* held((inside) =>
            Locked.withUser(mm, (mm) =>
              Locked.mmapWrite(mm, (mmap) =>
                Effect.gen(function* () {
                  for (const at of [base, other]) yield* Effect.flatMap(mmap.vmaLookup(at), (vma) => vma.startWrite())
                  yield* inside
                })
              )
            )
          )
          expect([yield* tryVma(mm, base), yield* tryVma(mm, other)]).toEqual([false, false])
          yield* both.leave
          expect([yield* tryVma(mm, base), yield* tryVma(mm, other)]).toEqual([true, true])
        })
      )
    ))

  it("an area that was taken out after it was found is looked up again; one that moved is let go [R-LOCK-07]", () => {
    const at = 0x10000
    const world = () => {
      const k = boot({ frames: 64 })
      const task = spawn(k, "test")
      const map = (flags = 0x32) => runNow(k, () => mmap(k, task, at, 4096, 3, flags, -1, 0))
      map()
      k.runs.preempt = true
      const r = k.runs.alloc(0)
      k.runs.current = r
      const lookup = lockVmaUnderRcu(k, k.tasks.mm(task), at / 4096)
      /** The lookup goes on, as its own run. */
      const step = (): IteratorResult<number, number> => {
        k.runs.current = r
        return lookup.next(0)
      }
      return { k, task, map, r, step }
    }
    // found, then unmapped and mapped anew: another row, which the second look finds
    const a = world()
    a.step()
    runNow(a.k, () => munmap(a.k, a.task, at, 4096))
    a.map()
    let t = a.step()
    while (t.done !== true) t = a.step()
    expect(a.k.vmas.covers(t.value, at / 4096)).toBe(true)
    expect(a.k.runs.lockState(a.k.runs.vmaLock(t.value))).toBe(1)
    // found and read-locked, but the row belongs to another place by now: let go, none
    const b = world()
    b.step()
    const row = b.k.maple.lookup(b.k.tasks.mm(b.task), at / 4096)
    b.step()
    b.k.vmas.start[row] = at / 4096 + 1
    const gaveUp = b.step()
    expect([gaveUp.done, gaveUp.value]).toEqual([true, 0])
    expect(b.k.runs.lockState(b.k.runs.vmaLock(row))).toBe(0)
  })

  it("a writer waits until the readers of the VMA have left; munmap is one [R-LOCK-08]", () =>
    onKernel(
      withMemory(1, (mm, base) =>
        Effect.gen(function* () {
          const reader = yield* held(readingVma(mm, base))
          const unmapping = yield* Effect.forkChild(Task.munmap(base, one))
          yield* settle
          expect(isDone(unmapping)).toBe(false)
          unmapping.interruptUnsafe() // too late: it has marked the VMA, and is not killable
          yield* settle
          expect(isDone(unmapping)).toBe(false)
          yield* reader.leave
          expect(Exit.isFailure(yield* Fiber.await(unmapping))).toBe(true)
          expect((yield* Effect.flip(Task.load8(base)))._tag).toBe("SIGSEGV")
        })
      )
    ))

  it("a reader has a VmaRef of that VMA until it leaves [R-LOCK-09]", () =>
    onKernel(
      withMemory(1, (mm, base) =>
        Effect.gen(function* () {
          const seen = yield* Locked.withUser(mm, (mm) =>
            Locked.tryVmaRead(mm, base, (vma) => Effect.succeed(vma.start))
          )
          expect(seen).toEqual(Option.some(base))
          yield* Task.munmap(base, one) // nobody is inside any more
        })
      )
    ))

  it("vmaStartReadUnlocked waits for the writer instead of giving up [R-LOCK-10]", () =>
    onKernel(
      withMemory(1, (mm, base) =>
        Effect.gen(function* () {
          const read = (at: Units.UserAddr) =>
            Locked.withUser(mm, (mm) => Locked.vmaStartReadUnlocked(mm, at, (vma) => Effect.succeed(vma.start)))
          const writer = yield* held(marking(mm, base))
          const waiting = yield* Effect.forkChild(read(base))
          yield* settle
          expect(isDone(waiting)).toBe(false)
          yield* writer.leave
          expect(yield* Fiber.join(waiting)).toEqual(Option.some(base))
          expect(yield* read(Units.va("0x1000"))).toEqual(Option.none())
        })
      )
    ))

  it("a reader protects that VMA and no other [R-LOCK-11]", () =>
    onKernel(
      withMemory(1, (mm, base) =>
        Effect.gen(function* () {
          const other = yield* Task.mmap({ length: one, prot: 0, flags: anonymous })
          const reader = yield* held(readingVma(mm, base))
          yield* Task.munmap(other, one)
          expect(yield* tryVma(mm, other)).toBe(false)
          yield* reader.leave
        })
      )
    ))

  it("withVma takes the VMA's lock, else mmap_lock, else says ESRCH", () =>
    onKernel(
      withMemory(1, (mm, base) =>
        Effect.gen(function* () {
          const at = (address: Units.UserAddr) =>
            Locked.withUser(mm, (mm) => Locked.withVma(mm, address, (vma) => Effect.succeed(vma.start)))
          const writer = yield* held(marking(mm, base))
          const waiting = yield* Effect.forkChild(at(base)) // the fallback
          yield* settle
          expect(isDone(waiting)).toBe(false)
          yield* writer.leave
          expect(yield* Fiber.join(waiting)).toBe(base)
          expect((yield* Effect.flip(at(Units.va("0x1000"))))._tag).toBe("ESRCH")
        })
      )
    ))

  it("each level holds what the weaker ones hold: reader, mmap reader, writer with the VMA marked [R-LOCK-12]", () =>
    onKernel(
      withMemory(1, (mm, base) =>
        Effect.gen(function* () {
          const zap = Locked.withUser(mm, (mm) =>
            Effect.gen(function* () {
              yield* Locked.tryVmaRead(mm, base, (vma) => vma.zapPageRangeSingle(vma.start, one))
              yield* Locked.mmapRead(mm, (mmap) =>
                Effect.flatMap(mmap.vmaLookup(base), (vma) => vma.zapPageRangeSingle(vma.start, one))
              )
              yield* Locked.mmapWrite(mm, (mmap) =>
                Effect.gen(function* () {
                  const vma = yield* mmap.vmaLookup(base)
                  yield* vma.zapPageRangeSingle(vma.start, one)
                  const written = yield* vma.startWrite()
                  yield* written.zapPageRangeSingle(written.start, one)
                  const io = yield* written.setFlag("VM_DONTDUMP")
                  expect(io.has("VM_DONTDUMP")).toBe(true)
                })
              )
            })
          )
          yield* zap
        })
      )
    ))
})

describe("atomic sections", () => {
  it("M71 what waits inside them dies, and does not go on later", () =>
    onKernel(
      Effect.gen(function* () {
        let later = false
        const sleeping = Effect.andThen(
          Effect.sleep("1 millis"),
          Effect.sync(() => (later = true))
        )
        expect(yield* defectOf(Locked.rcuRead(() => sleeping))).toMatch("BUG: scheduling while atomic: rcu_read_lock")
        yield* Effect.sleep("5 millis")
        expect(later).toBe(false)
      })
    ))
  it("M66 so does a task run inside them", () =>
    onKernel(
      Effect.gen(function* () {
        const hidden = Effect.promise(() => Promise.resolve(1))
        expect(yield* defectOf(Locked.rcuRead(() => hidden))).toMatch("scheduling while atomic")
      })
    ))
  it("what does not wait has its result, its failure and its services", () =>
    onKernel(
      withMemory(1, (mm, base) =>
        Effect.gen(function* () {
          expect(yield* Locked.rcuRead(() => Task.self)).toMatchObject({ name: "test" })
          expect((yield* Effect.flip(Locked.rcuRead(() => Fail.fail("EIO"))))._tag).toBe("EIO")
          const end = yield* Locked.withUser(mm, (mm) =>
            Locked.withVma(mm, base, (vma) => Locked.pageTableLock(vma, () => Effect.succeed(vma.end)))
          )
          expect(Units.raw(end)).toBe(Units.raw(base) + 4096)
        })
      )
    ))
})

describe("a driver's mutex", () => {
  it("is held by one at a time, first come, first served; tryLock waits for nobody", () =>
    onKernel(
      Effect.gen(function* () {
        const mutex = Mutex.make("mmap_lock")
        const first = yield* held((inside) => Mutex.withLock(mutex, () => inside))
        const second = yield* Effect.forkChild(Mutex.withLock(mutex, () => Effect.succeed("second")))
        yield* settle
        expect(isDone(second)).toBe(false)
        expect(yield* Mutex.tryLock(mutex, () => Effect.void)).toEqual(Option.none())
        yield* first.leave
        expect(yield* Fiber.join(second)).toBe("second")
        expect(yield* Mutex.tryLock(mutex, () => Effect.succeed(1))).toEqual(Option.some(1))
      })
    ))
})
