/** userfaultfd, how it ends: whoever is in a call when the section does, what was lent, the process itself. */
import { Cause, Deferred, Effect, Exit, Fiber } from "effect"
import { Locked, Mm, Task, Userfaultfd } from "pagewright"
import { describe, expect, it } from "vitest"
import { descriptors, failureOf, logged, memory, PAGE, page, run } from "./userfaultfd-support.ts"

/** Runs `program`, and fails instead of waiting for ever. */
const soon = <A, E, R>(program: Effect.Effect<A, E, R>) => Effect.timeout(program, "2 seconds")
const wholeTurn = Effect.repeat(Effect.yieldNow, { times: 8 })

describe("a section that ends while somebody is in a call", () => {
  it.each([
    ["forkChild", Effect.forkChild],
    ["forkDetach", Effect.forkDetach]
  ] as const)("sends a reader away (%s): EBADF, and who waits for an answer goes on [UK-CL-01]", (_, fork) =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(2)
        const { faulter, reader } = yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api([])
            yield* uffd.register(at, 2 * PAGE, ["MISSING"])
            const faulter = yield* Effect.forkChild(Task.load8(at))
            yield* Effect.yieldNow
            expect((yield* uffd.readEvents()).length).toBe(1)
            const reader = yield* fork(failureOf(uffd.readEvents()))
            yield* Effect.yieldNow
            return { faulter, reader }
          })
        )
        expect(yield* soon(Fiber.join(faulter))).toBe(0)
        expect(yield* soon(Fiber.join(reader))).toBe("EBADF")
        expect(yield* descriptors).toBe(0)
      })
    )
  )

  it("sends a poller away: there is nothing to read", () =>
    run(
      Effect.gen(function* () {
        const poller = yield* Userfaultfd.open(
          (fresh) =>
            Effect.gen(function* () {
              const uffd = yield* fresh.api([])
              const poller = yield* Effect.forkChild(logged(uffd.pollEvents("Infinity")))
              yield* Effect.yieldNow
              return poller
            }),
          { nonBlocking: true }
        )
        expect(yield* soon(Fiber.join(poller))).toEqual([false, []])
      })
    ))

  it("does so too where a message woke the reader a moment before, and is gone or not", () =>
    run(
      Effect.gen(function* () {
        const pages = yield* memory(2)
        for (const gone of [false, true]) {
          const at = pages + (gone ? PAGE : 0)
          const { faulter, reader } = yield* Userfaultfd.open((fresh) =>
            Effect.gen(function* () {
              const uffd = yield* fresh.api([])
              const range = yield* uffd.register(at, PAGE, ["MISSING"])
              const reader = yield* Effect.forkChild(failureOf(uffd.readEvents()))
              yield* Effect.yieldNow
              // it begins at once, in this fiber's turn: the reader is woken, and has not gone on
              const faulter = yield* Effect.forkChild(Task.load8(at), { startImmediately: true })
              if (gone) yield* range.zeroPage(at, PAGE)
              return { faulter, reader }
            })
          )
          expect(yield* soon(Fiber.join(faulter))).toBe(0)
          expect(yield* soon(Fiber.join(reader))).toBe("EBADF")
        }
        expect(yield* descriptors).toBe(0)
      })
    ))

  it("closes the descriptor of a child that was heard of while it ended", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(1)
        const mm = yield* Mm.current
        const go = yield* Deferred.make<void>()
        const { forking, reader } = yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api(["EVENT_FORK"])
            yield* uffd.register(at, PAGE, ["MISSING"])
            const reader = yield* Effect.forkChild(failureOf(uffd.readEvents()))
            yield* Effect.yieldNow
            const child = Effect.flatMap(Task.fork(Effect.orDie(Task.load8(at))), Task.wait)
            const forking = yield* Effect.forkChild(child, { startImmediately: true })
            // closing has to wait for the lock; meanwhile the reader has the message, and with it a descriptor
            yield* Effect.forkChild(
              Locked.withUser(mm, (user) => Locked.mmapRead(user, () => Deferred.await(go))),
              { startImmediately: true }
            )
            yield* Effect.forkChild(Effect.andThen(wholeTurn, Deferred.succeed(go, undefined)))
            return { forking, reader }
          })
        )
        expect(yield* soon(Fiber.join(reader))).toBe("EBADF")
        expect(yield* soon(Fiber.join(forking))).toBe(0)
        expect(yield* descriptors).toBe(0)
      }).pipe(Effect.scoped)
    ))

  it("lets a fork go on that nobody heard of; its child has ordinary memory", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(1)
        const forking = yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api(["EVENT_FORK"])
            yield* uffd.register(at, PAGE, ["MISSING"])
            const child = Effect.flatMap(Task.fork(Effect.orDie(Task.load8(at))), Task.wait)
            const forking = yield* Effect.forkChild(child)
            yield* wholeTurn
            expect(forking.pollUnsafe()).toBeUndefined()
            return forking
          })
        )
        expect(yield* soon(Fiber.join(forking))).toBe(0)
      })
    ))

  it("is the end for everybody, although a process that was forked has the descriptor too [UK-CL-01]", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(2)
        const { child, faulter } = yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api([])
            yield* uffd.register(at, 2 * PAGE, ["MISSING"])
            const child = yield* Task.fork(Effect.never)
            const faulter = yield* Effect.forkChild(Task.load8(at))
            yield* Effect.yieldNow
            return { child, faulter }
          })
        )
        expect(yield* soon(Fiber.join(faulter))).toBe(0)
        expect(yield* soon(Task.load8(at + PAGE))).toBe(0)
        yield* Task.kill(child)
      })
    ))

  it("waits for an answer that waits for a lock, and so does who waits for the answer", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(1)
        const go = yield* Deferred.make<void>()
        const mm = yield* Mm.current
        const { answer, holder } = yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api([])
            const range = yield* uffd.register(at, PAGE, ["MISSING"])
            const holder = yield* Effect.forkChild(
              Locked.withUser(mm, (user) => Locked.mmapWrite(user, () => Deferred.await(go)))
            )
            yield* wholeTurn
            const answer = yield* Effect.forkChild(range.copyPage(at, page(3)))
            yield* Effect.yieldNow
            yield* Deferred.succeed(go, undefined)
            return { answer, holder }
          })
        )
        yield* soon(Fiber.join(holder))
        yield* soon(Fiber.join(answer))
        expect(yield* Task.load8(at)).toBe(3)
        expect(yield* descriptors).toBe(0)
      }).pipe(Effect.scoped)
    ))
})

describe("what a section lent", () => {
  it("is dead when it is over: descriptor, range, child and whatever a fiber left behind does with them", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(1)
        // INVARIANT: a program that got around the types, as anything that is called `unknown` does.
        const later: Effect.Effect<unknown, unknown>[] = []
        const keep = (...all: readonly Effect.Effect<unknown, unknown, never>[]) => void later.push(...all)
        const left = yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api(["EVENT_FORK", "PAGEFAULT_FLAG_WP"])
            const range = yield* uffd.register(at, PAGE, ["MISSING", "WP"])
            const forking = yield* Effect.forkChild(Effect.andThen(Task.fork(Effect.never), Effect.never))
            const [event] = yield* uffd.readEvents()
            if (event?._tag !== "Fork") return yield* Effect.die("no child was heard of")
            const theirs = yield* event.child.register(at, PAGE, ["MISSING"])
            const here = yield* Effect.context<never>()
            const asNothing = (one: Effect.Effect<unknown, unknown, never>) => Effect.provideContext(one, here)
            for (const one of [
              fresh.api([]),
              uffd.register(at, PAGE, ["MISSING"]),
              uffd.unregister(at, PAGE),
              uffd.wakeup(at, PAGE),
              uffd.readEvents(),
              range.copyPage(at, page(1)),
              range.zeroPage(at, PAGE),
              range.changeProtection(at, PAGE, true),
              range.poison(at, PAGE),
              range.move(at, at, PAGE),
              event.child.readEvents(),
              event.child.wakeup(at, PAGE),
              theirs.zeroPage(at, PAGE)
            ])
              keep(asNothing(one as Effect.Effect<unknown, unknown>))
            yield* Fiber.interrupt(forking)
            return yield* Effect.forkDetach(Effect.andThen(wholeTurn, Effect.asVoid(uffd.wakeup(at, PAGE))))
          })
        )
        expect(later.length).toBe(13)
        for (const one of [...later, Fiber.join(left)]) {
          const exit = yield* Effect.exit(one)
          expect(Exit.isFailure(exit) && Cause.pretty(exit.cause)).toContain("used after its section closed it")
        }
        expect(yield* descriptors).toBe(0)
      })
    ))

  it("is not of the process any more when that has ended: EBADF", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(1)
        const tags = yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api([])
            const range = yield* uffd.register(at, PAGE, ["MISSING"])
            yield* Effect.ignore(Task.exit(0))
            return yield* Effect.all([
              failureOf(uffd.readEvents()),
              failureOf(uffd.register(at, PAGE, ["MISSING"])),
              failureOf(range.zeroPage(at, PAGE))
            ])
          })
        )
        expect(tags).toEqual(["EBADF", "EBADF", "EBADF"])
      })
    ))
})

describe("many at once", () => {
  it("a part that is answered is told in bytes, whoever else is answered just then [U-CPY-02]", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(4)
        yield* Task.store8(at + 2 * PAGE, 9)
        const mm = yield* Mm.current
        const go = yield* Deferred.make<void>()
        yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api([])
            const range = yield* uffd.register(at, 4 * PAGE, ["MISSING"])
            const holder = yield* Effect.forkChild(
              Locked.withUser(mm, (user) => Locked.mmapWrite(user, () => Deferred.await(go)))
            )
            yield* wholeTurn
            const part = yield* Effect.forkChild(Effect.flip(range.copyPage(at, new Uint8Array(4 * PAGE))))
            const none = yield* Effect.forkChild(Effect.flip(range.copyPage(at + 2 * PAGE, page(1))))
            yield* wholeTurn
            yield* Deferred.succeed(go, undefined)
            yield* Fiber.join(holder)
            expect(yield* Fiber.join(none)).toMatchObject({ _tag: "EEXIST" })
            expect(yield* Fiber.join(part)).toMatchObject({ _tag: "EAGAIN", done: 2 * PAGE })
          })
        )
      }).pipe(Effect.scoped)
    ))

  it("any number of messages may be asked for", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(3)
        yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api([])
            yield* uffd.register(at, 3 * PAGE, ["MISSING"])
            yield* Effect.forEach([0, 1, 2], (i) => Effect.forkChild(Task.load8(at + i * PAGE)))
            yield* Effect.yieldNow
            expect((yield* uffd.readEvents(Infinity)).length).toBe(3)
            expect(yield* failureOf(uffd.readEvents(-1))).toBe("EINVAL")
            expect(yield* failureOf(uffd.readEvents(Number.NaN))).toBe("EINVAL")
          })
        )
      })
    ))

  it("answers and registrations that are interrupted while they wait for a lock leave nothing", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(2)
        const mm = yield* Mm.current
        const go = yield* Deferred.make<void>()
        yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api(["PAGEFAULT_FLAG_WP"])
            const range = yield* uffd.register(at, PAGE, ["MISSING", "WP"])
            const holder = yield* Effect.forkChild(
              Locked.withUser(mm, (user) => Locked.mmapWrite(user, () => Deferred.await(go)))
            )
            yield* wholeTurn
            const waiting = yield* Effect.forEach(
              [
                range.copyPage(at, page(1)),
                range.zeroPage(at, PAGE),
                range.changeProtection(at, PAGE, true),
                Effect.asVoid(uffd.register(at + PAGE, PAGE, ["MISSING"]))
              ],
              (one) => Effect.forkChild(one)
            )
            yield* wholeTurn
            expect(waiting.map((one) => one.pollUnsafe())).toEqual([undefined, undefined, undefined, undefined])
            yield* soon(Effect.forEach(waiting, Fiber.interrupt))
            yield* Deferred.succeed(go, undefined)
            yield* soon(Fiber.join(holder))
            yield* range.zeroPage(at, PAGE)
            expect(yield* Task.load8(at + PAGE)).toBe(0)
          })
        )
      }).pipe(Effect.scoped)
    ))
})
