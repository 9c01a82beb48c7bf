/** userfaultfd for programs: who faults truly waits, whoever answers is a program too. */
import { Effect, Fiber } from "effect"
import { Task, Userfaultfd } from "pagewright"
import { describe, expect, it } from "vitest"
import { descriptors, memory, PAGE, page, run } from "./userfaultfd-support.ts"

describe("userfaultfd", () => {
  it("a fault waits until somebody answers it: fault, read, copy, wake", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(2)
        const got = yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api(["THREAD_ID"])
            const range = yield* uffd.register(at, 2 * PAGE, ["MISSING"])
            const faulter = yield* Effect.forkChild(Task.load8(at + PAGE + 5))
            const [event] = yield* uffd.readEvents()
            expect(event).toMatchObject({
              _tag: "Pagefault",
              address: at + PAGE,
              write: false,
              mode: "MISSING"
            })
            yield* range.copyPage(at + PAGE, page(7))
            return yield* Fiber.join(faulter)
          })
        )
        expect(got).toBe(7)
      })
    ))

  it("whoever reads first waits for the fault", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(1)
        yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api([])
            const range = yield* uffd.register(at, PAGE, ["MISSING"])
            const handler = yield* Effect.forkChild(
              Effect.gen(function* () {
                const [event] = yield* uffd.readEvents()
                if (event?._tag === "Pagefault") yield* range.zeroPage(event.address, PAGE)
                return event
              })
            )
            yield* Effect.yieldNow
            yield* Task.store8(at, 3)
            expect(yield* Task.load8(at)).toBe(3)
            expect(yield* Fiber.join(handler)).toMatchObject({ write: true })
          })
        )
      })
    ))

  it("writes to protected pages are told, and go on when they are let through", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(1)
        yield* Task.store8(at, 1)
        yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api(["PAGEFAULT_FLAG_WP"])
            const range = yield* uffd.register(at, PAGE, ["WP"])
            yield* range.changeProtection(at, PAGE, true)
            expect(yield* Task.load8(at)).toBe(1)
            const writer = yield* Effect.forkChild(Task.store8(at, 2))
            expect(yield* uffd.readEvents()).toMatchObject([{ mode: "WP", write: true }])
            expect(yield* Task.load8(at)).toBe(1)
            yield* range.changeProtection(at, PAGE, false)
            yield* Fiber.join(writer)
            expect(yield* Task.load8(at)).toBe(2)
          })
        )
      })
    ))

  it("close lets everybody go on who waits", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(1)
        const faulter = yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api([])
            yield* uffd.register(at, PAGE, ["MISSING"])
            const faulter = yield* Effect.forkChild(Task.load8(at))
            yield* uffd.readEvents()
            return faulter
          })
        )
        expect(yield* Fiber.join(faulter)).toBe(0)
      })
    ))

  it("a waiting fault can be interrupted, and nothing is left of it", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(1)
        yield* Userfaultfd.open(
          (fresh) =>
            Effect.gen(function* () {
              const uffd = yield* fresh.api([])
              yield* uffd.register(at, PAGE, ["MISSING"])
              const faulter = yield* Effect.forkChild(Task.load8(at))
              yield* Effect.yieldNow
              yield* Fiber.interrupt(faulter)
              expect(yield* uffd.pollEvents()).toBe(false)
              expect(yield* uffd.readEvents()).toEqual([])
            }),
          { nonBlocking: true }
        )
      })
    ))

  it("a body can be interrupted, that of a process's first descriptor too", () =>
    run(
      Effect.gen(function* () {
        for (let i = 0; i < 2; i++) {
          const opened = yield* Effect.forkChild(Userfaultfd.open(() => Effect.never))
          yield* Effect.yieldNow
          yield* Fiber.interrupt(opened)
          expect(yield* descriptors).toBe(0)
        }
      })
    ))

  it("an answer that comes twice is EEXIST; one for another range is ENOENT", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(2)
        yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api([])
            const range = yield* uffd.register(at, PAGE, ["MISSING"])
            yield* range.copyPage(at, page(1))
            const twice = yield* Effect.flip(range.copyPage(at, page(2)))
            expect(twice._tag).toBe("EEXIST")
            const elsewhere = yield* Effect.flip(range.copyPage(at + PAGE, page(2)))
            expect(elsewhere._tag).toBe("ENOENT")
          })
        )
      })
    ))
})
