/** userfaultfd for programs: who faults truly waits, whoever answers is a program too. */
import { Effect, Exit, Fiber } from "effect"
import { type Lockdep, MapFlags, ProtFlags, Task, Userfaultfd } from "pagewright"
import { describe, expect, it } from "vitest"
import { onKernel } from "./support.ts"

const PAGE = 4096
const memory = (pages: number) =>
  Task.mmap({
    length: pages * PAGE,
    prot: ProtFlags.READ | ProtFlags.WRITE,
    flags: MapFlags.PRIVATE | MapFlags.ANONYMOUS
  })
const page = (byte: number): Uint8Array => new Uint8Array(PAGE).fill(byte)
/** Runs the program as a process; nothing is left of it. */
const run = <A, E>(program: Effect.Effect<A, E, Task.Task | Lockdep.Markers>) => onKernel(Task.run("subject", program))

describe("userfaultfd", () => {
  it("a fault waits until somebody answers it: fault, read, copy, wake", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(2)
        const got = yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api(["THREAD_ID"])
            const range = yield* uffd.register(at, 2 * PAGE, ["MISSING"])
            expect(yield* uffd.pollEvents()).toEqual([])
            const faulter = yield* Effect.forkChild(Task.load8(Number(at) + PAGE + 5))
            const [event] = yield* uffd.readEvents()
            expect(event).toMatchObject({
              _tag: "Pagefault",
              address: Number(at) + PAGE,
              write: false,
              mode: "MISSING"
            })
            expect(yield* uffd.pollEvents()).toEqual([])
            expect(yield* range.copyPage(Number(at) + PAGE, page(7))).toBe(PAGE)
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
        yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api([])
            yield* uffd.register(at, PAGE, ["MISSING"])
            const faulter = yield* Effect.forkChild(Task.load8(at))
            yield* Effect.yieldNow
            yield* Fiber.interrupt(faulter)
            expect(yield* uffd.pollEvents()).toEqual([])
          })
        )
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
            const elsewhere = yield* Effect.flip(range.copyPage(Number(at) + PAGE, page(2)))
            expect(elsewhere._tag).toBe("ENOENT")
          })
        )
      })
    ))

  it("the kernel says what it has; a descriptor that left its section is refused", () =>
    run(
      Effect.gen(function* () {
        const features = yield* Userfaultfd.queryFeatures
        expect([...features]).toContain("WP_ASYNC")
        let kept: { readEvents: () => Effect.Effect<unknown, unknown, unknown> } | undefined
        yield* Userfaultfd.open((fresh) => Effect.map(fresh.api([]), (uffd) => void (kept = uffd as never)))
        // INVARIANT: a program that got around the types; the section is over, and its requirement with it.
        const exit = yield* Effect.exit((kept as { readEvents: () => Effect.Effect<unknown> }).readEvents())
        expect(Exit.isFailure(exit) && String(exit.cause)).toContain("used after its section closed it")
      })
    ))
})
