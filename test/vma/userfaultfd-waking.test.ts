/** userfaultfd, every kind of answer: who waits is woken, or left asleep where that was asked for; and what else may be asked. */
import { Effect, Fiber } from "effect"
import { AdviceFlags, type Locked, MapFlags, MremapFlags, ProtFlags, Task, Units, Userfaultfd } from "pagewright"
import { describe, expect, it } from "vitest"
import { failureOf, memory, PAGE, page, run } from "./userfaultfd-support.ts"

/** An answer for the page at `at`; `from` is a page full of 5, elsewhere. */
type Answering = <here extends Locked.AfterUnlock>(
  range: Userfaultfd.Registered<"MISSING" | "WP", here>,
  at: number,
  from: number,
  how: Userfaultfd.Answer
) => Userfaultfd.Answered<here>

/** Each kind of answer to a missing page, and what is read there then. */
const answers: readonly (readonly [name: string, answer: Answering, read: number | "SIGBUS"])[] = [
  ["copyPage of bytes", (range, at, _, how) => range.copyPage(at, page(5), how), 5],
  ["copyPage of an address", (range, at, address, how) => range.copyPage(at, { address, length: PAGE }, how), 5],
  ["zeroPage", (range, at, _, how) => range.zeroPage(at, PAGE, how), 0],
  ["poison", (range, at, _, how) => range.poison(at, PAGE, how), "SIGBUS"],
  ["move", (range, at, from, how) => range.move(at, from, PAGE, how), 5]
]

const rw = ProtFlags.READ | ProtFlags.WRITE
const anonymous = MapFlags.PRIVATE | MapFlags.ANONYMOUS

/** A page far from others, full of 5. */
const source = Effect.gen(function* () {
  const from = Units.raw(yield* Task.mmap({ length: PAGE, prot: rw, flags: anonymous, address: 0x10000 }))
  yield* Task.storeBytes(from, page(5))
  return from
})

/** A page of shared memory that is in its object, but not mapped. */
const cached = Effect.gen(function* () {
  const flags = MapFlags.SHARED | MapFlags.ANONYMOUS
  const at = Units.raw(yield* Task.mmap({ length: PAGE, prot: rw, flags }))
  yield* Task.store8(at, 5)
  yield* Task.madvise(at, PAGE, AdviceFlags.DONTNEED)
  return at
})

/** Reads a byte, or the name of a signal. */
const read = (at: number) => Effect.catch(Task.load8(at), (signal) => Effect.succeed(signal._tag))

/** Somebody waits for the page at `at`, and `answer` comes: who waits finds `then`, at once or when it is woken. */
const expectWoken = <here extends Locked.AfterUnlock>(
  uffd: Userfaultfd.Uffd<"O_NONBLOCK", here>,
  at: number,
  answer: Userfaultfd.Answered<here>,
  then: number | string,
  { dontWake }: Userfaultfd.Answer
) =>
  Effect.gen(function* () {
    const reader = yield* Effect.forkChild(read(at))
    yield* Effect.yieldNow
    expect((yield* uffd.readEvents()).length).toBe(1)
    yield* answer
    yield* Effect.repeat(Effect.yieldNow, { times: 4 })
    if (dontWake === true) {
      expect(reader.pollUnsafe()).toBeUndefined()
      yield* uffd.wakeup(at, PAGE)
    }
    expect(yield* Fiber.join(reader)).toBe(then)
    expect(yield* uffd.readEvents(), "it was asked once").toEqual([])
  })

describe.each([false, true])("an answer that is asked not to wake: %s", (dontWake) => {
  it.each(answers)("%s [U-CPY-01] [U-ZER-01] [U-WAK-02]", (_, answer, then) =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(1)
        const from = yield* source
        yield* Userfaultfd.open(
          (fresh) =>
            Effect.gen(function* () {
              const uffd = yield* fresh.api(["PAGEFAULT_FLAG_WP"])
              const range = yield* uffd.register(at, PAGE, ["MISSING", "WP"])
              yield* expectWoken(uffd, at, answer(range, at, from, { dontWake }), then, { dontWake })
            }),
          { nonBlocking: true }
        )
      })
    )
  )

  it("continuePage", () =>
    run(
      Effect.gen(function* () {
        const at = yield* cached
        yield* Userfaultfd.open(
          (fresh) =>
            Effect.gen(function* () {
              const uffd = yield* fresh.api(["MINOR_SHMEM"])
              const range = yield* uffd.register(at, PAGE, ["MINOR"])
              yield* expectWoken(uffd, at, range.continuePage(at, PAGE, { dontWake }), 5, { dontWake })
            }),
          { nonBlocking: true }
        )
      })
    ))
})

describe("waking several", () => {
  it("who came last goes on first: those who look in vain are told of the other way round", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(3)
        yield* Userfaultfd.open(
          (fresh) =>
            Effect.gen(function* () {
              const uffd = yield* fresh.api([])
              const range = yield* uffd.register(at, 3 * PAGE, ["MISSING"])
              const readers = yield* Effect.forEach([0, 1, 2], (i) => Effect.forkChild(read(at + i * PAGE)))
              const told = Effect.gen(function* () {
                yield* Effect.repeat(Effect.yieldNow, { times: 4 })
                return (yield* uffd.readEvents()).map((e) => (e._tag === "Pagefault" ? (e.address - at) / PAGE : -1))
              })
              expect(yield* told).toEqual([0, 1, 2])
              yield* uffd.wakeup(at, 3 * PAGE)
              expect(yield* told).toEqual([2, 1, 0])
              yield* uffd.wakeup(at, 3 * PAGE)
              expect(yield* told).toEqual([0, 1, 2])
              yield* range.zeroPage(at, 3 * PAGE)
              expect(yield* Effect.forEach(readers, Fiber.join)).toEqual([0, 0, 0])
            }),
          { nonBlocking: true }
        )
      })
    ))
})

describe("a page that comes protected", () => {
  it("by copyPage of bytes or of an address: its first write waits, and only where it was asked for", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(4)
        const address = yield* source
        yield* Userfaultfd.open(
          (fresh) =>
            Effect.gen(function* () {
              const uffd = yield* fresh.api(["PAGEFAULT_FLAG_WP"])
              const range = yield* uffd.register(at, 4 * PAGE, ["MISSING", "WP"])
              const length = PAGE
              yield* range.copyPage(at, page(5), { wp: true })
              yield* range.copyPage(at + PAGE, { address, length }, { wp: true })
              yield* range.copyPage(at + 2 * PAGE, page(5))
              yield* range.copyPage(at + 3 * PAGE, { address, length })
              const writers = yield* Effect.forEach([0, 1, 2, 3], (i) =>
                Effect.forkChild(Task.store8(at + i * PAGE, 1))
              )
              yield* Effect.yieldNow
              const told = yield* uffd.readEvents()
              expect(told.map((e) => e._tag === "Pagefault" && [e.mode, (e.address - at) / PAGE])).toEqual([
                ["WP", 0],
                ["WP", 1]
              ])
              yield* range.changeProtection(at, 2 * PAGE, false)
              yield* Effect.forEach(writers, Fiber.join)
            }),
          { nonBlocking: true }
        )
      })
    ))

  it("by continuePage", () =>
    run(
      Effect.gen(function* () {
        for (const wp of [false, true]) {
          const at = yield* cached
          yield* Userfaultfd.open(
            (fresh) =>
              Effect.gen(function* () {
                const uffd = yield* fresh.api(["PAGEFAULT_FLAG_WP", "WP_HUGETLBFS_SHMEM", "MINOR_SHMEM"])
                const range = yield* uffd.register(at, PAGE, ["MINOR", "WP"])
                const writer = yield* Effect.forkChild(Task.store8(at, 1))
                yield* Effect.yieldNow
                expect(yield* uffd.readEvents()).toMatchObject([{ mode: "MINOR", write: true }])
                yield* range.continuePage(at, PAGE, { wp })
                yield* Effect.repeat(Effect.yieldNow, { times: 4 })
                expect((yield* uffd.readEvents()).map((e) => e._tag === "Pagefault" && e.mode)).toEqual(
                  wp ? ["WP"] : []
                )
                yield* range.changeProtection(at, PAGE, false)
                yield* Fiber.join(writer)
              }),
            { nonBlocking: true }
          )
        }
      })
    ))
})

describe("moving", () => {
  it("from where there is no page is ENOENT, or moves nothing where holes are allowed", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(1)
        const from = Units.raw(yield* Task.mmap({ length: PAGE, prot: rw, flags: anonymous, address: 0x10000 }))
        yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const range = yield* (yield* fresh.api(["MOVE"])).register(at, PAGE, ["MISSING"])
            expect(yield* failureOf(range.move(at, from, PAGE))).toBe("ENOENT")
            yield* range.move(at, from, PAGE, { allowSrcHoles: true })
          })
        )
      })
    ))
})

describe("messages", () => {
  it("say who waits, where that was asked for", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(1)
        const { pid } = yield* Task.self
        for (const asked of [true, false]) {
          const reader = yield* Userfaultfd.open((fresh) =>
            Effect.gen(function* () {
              const uffd = yield* fresh.api(asked ? ["THREAD_ID"] : [])
              yield* uffd.register(at, PAGE, ["MISSING"])
              const reader = yield* Effect.forkChild(Task.load8(at))
              expect(yield* uffd.readEvents()).toMatchObject([{ thread: asked ? pid : 0 }])
              return reader
            })
          )
          yield* Fiber.join(reader)
          yield* Task.madvise(at, PAGE, AdviceFlags.DONTNEED)
        }
      })
    ))

  it("say what became of which addresses", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(4)
        yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api(["EVENT_REMOVE", "EVENT_UNMAP", "EVENT_REMAP"])
            yield* uffd.register(at, 4 * PAGE, ["MISSING"])
            const told = <A, E, R>(change: Effect.Effect<A, E, R>) =>
              Effect.gen(function* () {
                const changing = yield* Effect.forkChild(change)
                const events = [...(yield* uffd.readEvents())]
                yield* Effect.repeat(Effect.yieldNow, { times: 4 })
                if (changing.pollUnsafe() === undefined) events.push(...(yield* uffd.readEvents()))
                yield* Fiber.join(changing)
                return events
              })
            expect(yield* told(Task.madvise(at + PAGE, PAGE, AdviceFlags.DONTNEED))).toEqual([
              { _tag: "Remove", start: at + PAGE, end: at + 2 * PAGE }
            ])
            expect(yield* told(Task.munmap(at + 3 * PAGE, PAGE))).toEqual([
              { _tag: "Unmap", start: at + 3 * PAGE, end: at + 4 * PAGE }
            ])
            const [moved, left] = yield* told(
              Task.mremap({
                address: at,
                oldLength: PAGE,
                newLength: PAGE,
                flags: MremapFlags.MAYMOVE | MremapFlags.FIXED,
                newAddress: 0x20000
              })
            )
            expect(moved).toEqual({ _tag: "Remap", from: at, to: 0x20000, length: PAGE })
            expect(left).toEqual({ _tag: "Unmap", start: at, end: at + PAGE })
          })
        )
      })
    ))
})
