/** userfaultfd: is there a message to read? */
import { Clock, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Task, Userfaultfd } from "pagewright"
import { describe, expect, it } from "vitest"
import * as POLL from "../../lib/flags/PollFlags.ts"
import { poll } from "../../lib/mm/sys/poll.ts"
import { onProcess } from "../../lib/vma/process.ts"
import { logged, memory, PAGE, run } from "./userfaultfd-support.ts"

describe("polling", () => {
  /** What waits for a message with the given timeout finds; the message comes after `ms`, or never. */
  const polled = (timeout: number | "Infinity", ms?: number) =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(1)
        return yield* Userfaultfd.open(
          (fresh) =>
            Effect.gen(function* () {
              const uffd = yield* fresh.api([])
              yield* uffd.register(at, PAGE, ["MISSING"])
              const began = yield* Clock.currentTimeMillis
              const poller = yield* Effect.forkChild(uffd.pollEvents(timeout))
              yield* Effect.yieldNow
              if (ms !== undefined) {
                yield* TestClock.adjust(ms)
                yield* Effect.forkChild(Task.load8(at))
                yield* Effect.yieldNow
              } else yield* TestClock.adjust(typeof timeout === "number" ? timeout : "1 hour")
              const found = yield* Fiber.join(poller)
              return [found, (yield* Clock.currentTimeMillis) - began] as const
            }),
          { nonBlocking: true }
        )
      }).pipe(Effect.provide(TestClock.layer()))
    )

  it("true as soon as there is a message, false when the time is over [U-PL-01] [U-PL-02]", async () => {
    expect(await polled(100, 60)).toEqual([true, 60])
    expect(await polled(100)).toEqual([false, 100])
  })

  it("no time is not to wait; for ever is to wait however long [U-PL-05]", async () => {
    expect(await polled(0)).toEqual([false, 0])
    expect(await polled("Infinity", 3_600_000)).toEqual([true, 3_600_000])
  })

  it("takes nothing: the message is still there to read", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(1)
        yield* Userfaultfd.open(
          (fresh) =>
            Effect.gen(function* () {
              const uffd = yield* fresh.api([])
              yield* uffd.register(at, PAGE, ["MISSING"])
              yield* Effect.forkChild(Task.load8(at))
              expect([yield* uffd.pollEvents("Infinity"), yield* uffd.pollEvents()]).toEqual([true, true])
              expect((yield* uffd.readEvents()).length).toBe(1)
              expect(yield* uffd.pollEvents()).toBe(false)
            }),
          { nonBlocking: true }
        )
      })
    ))

  it("a descriptor that the process closed is false, and told [U-PL-03]", () =>
    run(
      Userfaultfd.open(
        (fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api([])
            yield* onProcess((p) => {
              const f = p.world.k.tasks.file(p.pid, 0)
              return Effect.sync(() => p.world.k.tasks.setFile(p.pid, 0, 0)).pipe(
                Effect.andThen(logged(uffd.pollEvents())),
                Effect.map(([found, lines]) => {
                  expect(found).toBe(false)
                  expect(lines.map(({ message }) => message)).toEqual([
                    "userfaultfd: poll failed: EBADF, bad file descriptor"
                  ])
                }),
                Effect.ensuring(Effect.sync(() => p.world.k.tasks.setFile(p.pid, 0, f)))
              )
            })
          }),
        { nonBlocking: true }
      )
    ))

  it("of a descriptor whose reads wait, poll(2) says POLLERR for ever: false, and nothing that compiles [U-PL-04]", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(1)
        yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api([])
            yield* uffd.register(at, PAGE, ["MISSING"])
            yield* Effect.forkChild(Task.load8(at))
            yield* Effect.yieldNow
            yield* onProcess((p) => Effect.sync(() => expect(poll(p.world.k, p.pid, 0, POLL.IN)).toBe(POLL.ERR)))
            // INVARIANT: a program that got around the type of `pollEvents`.
            const around = uffd as unknown as { pollEvents: (timeout: "Infinity") => Effect.Effect<boolean> }
            expect(yield* around.pollEvents("Infinity")).toBe(false)
          })
        )
      })
    ))
})
