/** userfaultfd, the client's second half: answering, waking, hearing. A failed answer says in the log what was asked. */
import { Effect, Fiber } from "effect"
import { MapFlags, ProtFlags, Task, Userfaultfd } from "pagewright"
import { describe, expect, it } from "vitest"
import { EINVAL } from "../../lib/flags/Errno.ts"
import { runNow } from "../../lib/mm/sys/run-now.ts"
import { uffdWriteprotect } from "../../lib/mm/sys/uffd-wp.ts"
import { onProcess } from "../../lib/vma/process.ts"
import { expectQuiet, failureOf, logged, memory, PAGE, page, run } from "./userfaultfd-support.ts"

const hex = (n: number): string => `0x${n.toString(16)}`

describe("protecting", () => {
  it("protecting wakes nobody, asked not to or not; with both bits the kernel would refuse [U-WP-01] [U-WP-04]", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(2)
        yield* Task.store8(at, 1)
        yield* Userfaultfd.open(
          (fresh) =>
            Effect.gen(function* () {
              const uffd = yield* fresh.api(["PAGEFAULT_FLAG_WP"])
              const range = yield* uffd.register(at, 2 * PAGE, ["WP"])
              yield* range.changeProtection(at, PAGE, true, { dontWake: true })
              const writer = yield* Effect.forkChild(Task.store8(at, 2))
              yield* Effect.yieldNow
              expect(yield* uffd.readEvents()).toMatchObject([{ mode: "WP" }])
              for (const dontWake of [false, true]) {
                yield* range.changeProtection(at, PAGE, true, { dontWake })
                yield* Effect.yieldNow
                expect(yield* uffd.readEvents(), "who is woken finds the page protected, and says so again").toEqual([])
              }
              yield* range.changeProtection(at, PAGE, false)
              yield* Fiber.join(writer)
              yield* onProcess(({ pid, world: { k } }) =>
                Effect.sync(() => expect(runNow(k, () => uffdWriteprotect(k, pid, 0, at, PAGE, 3))).toBe(EINVAL))
              )
            }),
          { nonBlocking: true }
        )
      })
    ))

  it("letting writes through wakes who waits, unless it is asked not to: then a wake-up does [U-WP-02] [U-WP-03]", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(1)
        yield* Task.store8(at, 1)
        yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api(["PAGEFAULT_FLAG_WP"])
            const range = yield* uffd.register(at, PAGE, ["WP"])
            for (const dontWake of [false, true]) {
              yield* range.changeProtection(at, PAGE, true)
              const writer = yield* Effect.forkChild(Task.store8(at, 2))
              yield* uffd.readEvents()
              yield* range.changeProtection(at, PAGE, false, { dontWake })
              yield* Effect.yieldNow
              if (dontWake) {
                expect(writer.pollUnsafe()).toBeUndefined()
                yield* uffd.wakeup(at, PAGE)
              }
              yield* Fiber.join(writer)
            }
          })
        )
      })
    ))

  it("that it failed is told with range and mode [U-WP-05]", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(2)
        yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api(["PAGEFAULT_FLAG_WP"])
            const range = yield* uffd.register(at, PAGE, ["WP"])
            const [tag, lines] = yield* logged(failureOf(range.changeProtection(at + PAGE, PAGE, true)))
            expect(tag).toBe("ENOENT")
            expect(lines).toEqual([
              {
                level: "Debug",
                message: "userfaultfd: UFFDIO_WRITEPROTECT failed: ENOENT, no such file or directory",
                about: { addr: hex(at + PAGE), length: "0x1000", mode: "0x1", errno: "2" }
              }
            ])
          })
        )
      })
    ))
})

describe("filling", () => {
  it("a copy wakes or does not; it protects its page only where that was asked for [U-CPY-01]", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(2)
        yield* Userfaultfd.open(
          (fresh) =>
            Effect.gen(function* () {
              const uffd = yield* fresh.api(["PAGEFAULT_FLAG_WP"])
              const range = yield* uffd.register(at, 2 * PAGE, ["MISSING", "WP"])
              yield* range.copyPage(at, page(1))
              yield* Task.store8(at, 2)
              expect(yield* uffd.readEvents()).toEqual([])
              yield* range.copyPage(at + PAGE, page(1), { wp: true })
              const writer = yield* Effect.forkChild(Task.store8(at + PAGE, 2))
              yield* Effect.yieldNow
              expect(yield* uffd.readEvents()).toMatchObject([{ mode: "WP" }])
              yield* range.changeProtection(at + PAGE, PAGE, false)
              yield* Fiber.join(writer)
            }),
          { nonBlocking: true }
        )
      })
    ))

  it("a part is a failure: EAGAIN, which says how much is there; the rest says why [U-CPY-02]", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(4)
        yield* Task.store8(at + 2 * PAGE, 9)
        yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api([])
            const range = yield* uffd.register(at, 4 * PAGE, ["MISSING"])
            const bytes = new Uint8Array(4 * PAGE).fill(7)
            const [failure, lines] = yield* logged(Effect.flip(range.copyPage(at, bytes)))
            expect(failure).toMatchObject({ _tag: "EAGAIN", errno: 11, done: 2 * PAGE })
            expect(lines).toEqual([
              {
                level: "Debug",
                message: "userfaultfd: UFFDIO_COPY failed after 8192 bytes: EAGAIN, resource temporarily unavailable",
                about: { dst: hex(at), length: "0x4000", mode: "0x0", errno: "11" }
              }
            ])
            expect(yield* failureOf(range.copyPage(at + 2 * PAGE, bytes.subarray(2 * PAGE)))).toBe("EEXIST")
            expect([yield* Task.load8(at + PAGE), yield* Task.load8(at + 2 * PAGE)]).toEqual([7, 9])
          })
        )
      })
    ))

  it("zeroes come as copies do: whole, or a failure [U-ZER-01]", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(3)
        yield* Task.store8(at + 2 * PAGE, 9)
        yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api([])
            const range = yield* uffd.register(at, 3 * PAGE, ["MISSING"])
            const [done, quiet] = yield* logged(range.zeroPage(at, PAGE, { dontWake: true }))
            expect(done).toBeUndefined()
            expectQuiet(quiet)
            const [failure, lines] = yield* logged(Effect.flip(range.zeroPage(at + PAGE, 2 * PAGE)))
            expect(failure).toMatchObject({ _tag: "EAGAIN", done: PAGE })
            expect(lines[0]?.message).toContain("UFFDIO_ZEROPAGE failed after 4096 bytes")
          })
        )
      })
    ))

  it("pages of elsewhere in the process move in without a copy", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(1)
        const from = yield* Task.mmap({
          length: PAGE,
          prot: ProtFlags.READ | ProtFlags.WRITE,
          flags: MapFlags.PRIVATE | MapFlags.ANONYMOUS,
          address: 0x10000
        })
        yield* Task.store8(from, 5)
        yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api(["MOVE"])
            const range = yield* uffd.register(at, PAGE, ["MISSING"])
            yield* range.move(at, from, PAGE)
            expect(yield* Task.load8(at)).toBe(5)
            expect(yield* failureOf(range.move(at, from, PAGE))).toBe("EEXIST")
          })
        )
        expect(yield* Task.load8(from)).toBe(0)
      })
    ))
})

describe("waking", () => {
  it("many answers that wake nobody, then one wake-up over all of them [U-WAK-02]", () =>
    run(
      Effect.gen(function* () {
        const pages = 8
        const at = yield* memory(pages)
        yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api([])
            const range = yield* uffd.register(at, pages * PAGE, ["MISSING"])
            const faulters = yield* Effect.forEach(Array.from({ length: pages }), (_, i) =>
              Effect.forkChild(Task.load8(at + i * PAGE))
            )
            yield* Effect.yieldNow
            const events = yield* uffd.readEvents(pages)
            expect(events.length).toBe(pages)
            for (let i = 0; i < pages; i++) yield* range.copyPage(at + i * PAGE, page(i + 1), { dontWake: true })
            yield* Effect.yieldNow
            expect(faulters.every((one) => one.pollUnsafe() === undefined)).toBe(true)
            yield* uffd.wakeup(at, pages * PAGE)
            const got = yield* Effect.forEach(faulters, (one) => Fiber.join(one))
            expect(got).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
          })
        )
      })
    ))

  it("that it failed is told [U-WAK-01]", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(1)
        yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api([])
            const [tag, lines] = yield* logged(failureOf(uffd.wakeup(at, 7)))
            expect(tag).toBe("EINVAL")
            expect(lines).toEqual([
              {
                level: "Debug",
                message: "userfaultfd: UFFDIO_WAKE failed: EINVAL, invalid argument",
                about: { addr: hex(at), length: "0x7", errno: "22" }
              }
            ])
          })
        )
      })
    ))
})

describe("reading", () => {
  // No call ends with EINTR here: a signal ends its process, or is never seen. Interrupting a fiber ends its wait.
  it("a reader that is interrupted again and again takes no message with it [U-RD-01]", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(1)
        yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api([])
            const range = yield* uffd.register(at, PAGE, ["MISSING"])
            for (let i = 0; i < 100; i++) {
              const reader = yield* Effect.forkChild(uffd.readEvents(3))
              yield* Effect.yieldNow
              yield* Fiber.interrupt(reader)
            }
            const reader = yield* Effect.forkChild(uffd.readEvents(3))
            yield* Effect.yieldNow
            const faulter = yield* Effect.forkChild(Task.load8(at), { startImmediately: true })
            yield* Fiber.interrupt(reader) // the message has woken it, and it has not gone on
            expect((yield* uffd.readEvents(3)).length).toBe(1)
            yield* range.zeroPage(at, PAGE)
            yield* Fiber.join(faulter)
          })
        )
      })
    ))

  it("nothing there: none, of a descriptor that never waits [U-RD-02]", () =>
    run(
      Userfaultfd.open(
        (fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api([])
            const [events, lines] = yield* logged(uffd.readEvents())
            expect(events).toEqual([])
            expectQuiet(lines)
          }),
        { nonBlocking: true }
      )
    ))

  it("no room for one message is EINVAL, and told [U-RD-03] [U-RD-06]", () =>
    run(
      Userfaultfd.open((fresh) =>
        Effect.gen(function* () {
          const uffd = yield* fresh.api([])
          const [tag, lines] = yield* logged(failureOf(uffd.readEvents(0)))
          expect(tag).toBe("EINVAL")
          expect(lines).toEqual([
            {
              level: "Debug",
              message: "userfaultfd: read failed: EINVAL, invalid argument",
              about: { count: "0x0", errno: "22" }
            }
          ])
        })
      )
    ))

  it("as many as there are, up to as many as were asked for; only for the first one it waits [U-RD-04] [U-RD-05]", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(4)
        yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api([])
            const range = yield* uffd.register(at, 4 * PAGE, ["MISSING"])
            const reader = yield* Effect.forkChild(uffd.readEvents(16))
            yield* Effect.yieldNow
            expect(reader.pollUnsafe()).toBeUndefined()
            const faulters = yield* Effect.forEach([0, 1, 2, 3], (i) => Effect.forkChild(Task.load8(at + i * PAGE)))
            const first = yield* Fiber.join(reader)
            expect(first.length).toBeGreaterThan(0)
            const all = [...first]
            while (all.length < 4) all.push(...(yield* uffd.readEvents(2)))
            expect(all.map((e) => e._tag === "Pagefault" && e.address)).toEqual([0, 1, 2, 3].map((i) => at + i * PAGE))
            yield* range.zeroPage(at, 4 * PAGE)
            yield* Effect.forEach(faulters, (one) => Fiber.join(one))
          })
        )
      })
    ))

  it("three of five where three were asked for [U-RD-04]", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(5)
        yield* Userfaultfd.open(
          (fresh) =>
            Effect.gen(function* () {
              const uffd = yield* fresh.api([])
              yield* uffd.register(at, 5 * PAGE, ["MISSING"])
              yield* Effect.forEach([0, 1, 2, 3, 4], (i) => Effect.forkChild(Task.load8(at + i * PAGE)))
              yield* Effect.yieldNow
              expect((yield* uffd.readEvents(3)).length).toBe(3)
              expect((yield* uffd.readEvents(3)).length).toBe(2)
              expect((yield* uffd.readEvents(3)).length).toBe(0)
            }),
          { nonBlocking: true }
        )
      })
    ))
})
