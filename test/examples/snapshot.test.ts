/** The snapshot example: what it does for each block, and that its image is of one moment. */
import { Cause, Console, Effect, Exit, Fiber } from "effect"
import { type Lockdep, Task, Userfaultfd } from "pagewright"
import { describe, expect, it } from "vitest"
import scenario from "../../examples/snapshot/main.ts"
import {
  type Block,
  isAvailable,
  isCompatible,
  prepare,
  type Sink,
  SinkError,
  snapshot
} from "../../examples/snapshot/snapshot.ts"
import { descriptors, failureOf, memory, PAGE, page, run } from "../vma/userfaultfd-support.ts"

const block = (start: number, pages: number, most = pages): Block => ({ start, used: pages * PAGE, max: most * PAGE })

/** A sink that notes what comes. */
const noting = (during: (offset: number) => Effect.Effect<void> = () => Effect.void) => {
  const notes: string[] = []
  const images = new Map<Block, Uint8Array>()
  const sink: Sink = {
    write: (of, offset, bytes) =>
      Effect.suspend(() => {
        notes.push(`write ${offset / PAGE}+${bytes.length / PAGE}`)
        const image = images.get(of) ?? new Uint8Array(of.used)
        images.set(of, image)
        image.set(bytes, offset)
        return during(offset)
      }),
    flush: Effect.sync(() => void notes.push("flush"))
  }
  return { images, notes, sink }
}

/** Nobody answers for the memory any more: another descriptor may, and a write to it does not wait. */
const expectFree = ({ max, start }: Block) =>
  Effect.gen(function* () {
    expect(yield* descriptors).toBe(0)
    yield* Task.store8(start, 1)
    yield* Userfaultfd.open((fresh) =>
      Effect.gen(function* () {
        yield* (yield* fresh.api(["PAGEFAULT_FLAG_WP"])).register(start, max, ["WP"])
      })
    )
  })

describe("a background snapshot", () => {
  it("can be had where the kernel tells of writes, and lets this process ask [UU-BG-01]", () =>
    run(
      Effect.gen(function* () {
        expect(yield* isAvailable).toBe(true)
        const nobody = yield* Task.spawn("nobody", Effect.andThen(Task.setuid(1000), isAvailable))
        expect(yield* Task.wait(nobody)).toBe(false)
      })
    ))

  it("is for memory that can be protected, all of it; asking leaves nothing [UU-BG-02]", () =>
    run(
      Effect.gen(function* () {
        const one = block(yield* memory(2), 2)
        expect(yield* isCompatible([one])).toBe(true)
        expect(yield* isCompatible([one, block(0x10000, 1)])).toBe(false)
        yield* expectFree(one)
      })
    ))

  it("reads each page first: what was never touched cannot be protected, and a write to it would be missed [UU-BG-03]", () =>
    run(
      Effect.gen(function* () {
        const taken = (prepared: boolean) =>
          Effect.gen(function* () {
            const one = block(yield* memory(4), 4)
            if (prepared) yield* prepare([one])
            const { images, sink } = noting()
            const writer = Effect.forkChild(Effect.orDie(Task.store8(one.start + 3 * PAGE, 9)))
            yield* snapshot([one], sink, Effect.asVoid(Effect.andThen(writer, Effect.yieldNow)))
            return images.get(one)![3 * PAGE]
          })
        expect(yield* taken(false)).toBe(9)
        expect(yield* taken(true)).toBe(0)
      })
    ))

  it("registers all that a block may grow to, and protects what it has; if one cannot be had, none is kept [UU-BG-04]", () =>
    run(
      Effect.gen(function* () {
        const mine = block(yield* memory(4), 2, 4)
        yield* prepare([{ ...mine, used: mine.max }])
        const grown = noting()
        const beyond = Effect.gen(function* () {
          const other = Userfaultfd.open((fresh) =>
            Effect.gen(function* () {
              yield* (yield* fresh.api([])).register(mine.start + 3 * PAGE, PAGE, ["MISSING"])
            })
          )
          expect(yield* failureOf(other)).toBe("EBUSY")
          yield* Task.store8(mine.start + 3 * PAGE, 5) // mapped, not used: nobody waits
        })
        yield* snapshot([mine], grown.sink, beyond)
        expect(grown.images.get(mine)!.length).toBe(2 * PAGE)

        const theirs = block(yield* memory(1), 1)
        yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            yield* (yield* fresh.api(["PAGEFAULT_FLAG_WP"])).register(theirs.start, PAGE, ["WP"])
            const { notes, sink } = noting()
            expect(yield* failureOf(snapshot([mine, theirs], sink, Effect.void))).toBe("EBUSY")
            expect(notes).toEqual([])
          })
        )
        yield* expectFree(mine)
      })
    ))

  it("saves first what somebody waits for [UU-BG-05]", () =>
    run(
      Effect.gen(function* () {
        const one = block(yield* memory(64), 64)
        yield* prepare([one])
        const { notes, sink } = noting((offset) =>
          offset === 0
            ? Effect.asVoid(Effect.andThen(Effect.forkDetach(write(one.start + 40 * PAGE)), Effect.yieldNow))
            : Effect.void
        )
        const here = yield* Effect.context<Task.Task | Lockdep.Takes<"mmap_lock">>()
        const write = (at: number) => Effect.provideContext(Effect.orDie(Task.store8(at, 1)), here)
        expect(yield* snapshot([one], sink, Effect.void)).toBe(1)
        expect(notes.filter((note) => note !== "flush").slice(0, 3)).toEqual([
          "write 0+16",
          "write 40+16",
          "write 16+16"
        ])
      })
    ))

  it("lets writes through when the run is safe, and not before; the writer finds its own data [UU-BG-06]", () =>
    run(
      Effect.gen(function* () {
        const one = block(yield* memory(20), 20)
        const [waits, other] = [one.start + 2 * PAGE, one.start + 5 * PAGE]
        yield* prepare([one])
        yield* Task.store8(other, 1)
        const { images, notes, sink } = noting()
        const turns = Effect.repeat(Effect.yieldNow, { times: 4 })
        const slow: Sink = {
          write: (of, offset, bytes) => Effect.andThen(turns, sink.write(of, offset, bytes)),
          flush: Effect.andThen(sink.flush, turns)
        }
        const write = (at: number) =>
          Effect.gen(function* () {
            yield* Effect.orDie(Task.store8(at, 2))
            notes.push(`written ${(at - one.start) / PAGE}`)
            expect(yield* Effect.orDie(Task.load8(at))).toBe(2)
          })
        // one is told of, and the other's page is of the same run
        const moment = Effect.gen(function* () {
          yield* Effect.forkChild(write(waits))
          yield* Effect.yieldNow
          yield* Effect.forkChild(write(other))
          yield* Effect.yieldNow
        })
        yield* snapshot([one], slow, moment)
        expect(notes).toEqual([
          "write 2+16",
          "flush",
          "written 5",
          "written 2",
          "write 0+2",
          "flush",
          "write 18+2",
          "flush"
        ])
        expect(images.get(one)![5 * PAGE]).toBe(1)
        expect(yield* Task.load8(other)).toBe(2)
      })
    ))

  it("leaves no memory registered, and no descriptor [UU-BG-07]", () =>
    run(
      Effect.gen(function* () {
        const both = [block(yield* memory(3), 3), block(yield* memory(20), 20, 20)]
        yield* Task.storeBytes(both[0]!.start, page(7))
        yield* prepare(both)
        const { images, sink } = noting()
        yield* snapshot(both, sink, Effect.void)
        expect(images.get(both[0]!)!.subarray(0, PAGE)).toEqual(page(7))
        for (const one of both) yield* expectFree(one)
      })
    ))

  it("that cannot be written, or whose moment fails, ends; who waits goes on, and nothing is left", () =>
    run(
      Effect.gen(function* () {
        const one = block(yield* memory(40), 40)
        yield* prepare([one])
        const write = Effect.orDie(Task.store8(one.start + 39 * PAGE, 7))
        const { notes, sink } = noting()
        const full = new SinkError({ cause: "no space" })
        const flush = Effect.suspend(() => (notes.length > 2 ? full : sink.flush))
        let writer: Fiber.Fiber<void> | undefined
        const moment = Effect.gen(function* () {
          writer = yield* Effect.forkChild(Effect.andThen(Effect.yieldNow, write))
        })
        const again = {
          ...sink,
          write: (of: Block, at: number, bytes: Uint8Array) =>
            Effect.andThen(Effect.yieldNow, sink.write(of, at, bytes))
        }
        expect(yield* Effect.flip(snapshot([one], { ...again, flush }, moment))).toBe(full)
        yield* Fiber.join(writer!)
        expect(yield* Task.load8(one.start + 39 * PAGE)).toBe(7)
        yield* expectFree(one)
        expect(yield* Effect.flip(snapshot([one], sink, Effect.fail("not now")))).toBe("not now")
        yield* expectFree(one)
      })
    ))

  it("the scenario: the image on disk is of one moment, though the program writes on", async () => {
    const told: string[] = []
    const console_ = { ...globalThis.console, log: (line: string) => void told.push(line) }
    const exit = await Effect.runPromiseExit(Effect.provideService(scenario.run, Console.Console, console_))
    if (Exit.isFailure(exit)) throw new Error(Cause.pretty(exit.cause))
    const [then, image, during] = [...told.join("\n").matchAll(/[0-9a-f]{16}/g)].map(String)
    expect(image).toBe(then)
    expect(during).not.toBe(then)
  })
})
