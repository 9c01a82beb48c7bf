/** mremap and remap_file_pages of objects of one's own, as a program calls it. */
import { Effect } from "effect"
import { Fail, Mappable, MremapFlags, Task } from "pagewright"
import { describe, expect, it } from "vitest"
import { checkTables, onKernel } from "../support.ts"
import { addressOf, AT, mapAt, outcome, read, recorder } from "./support.ts"

describe("Task.mremap and Task.remapFilePages of an object", () => {
  it("tells it of the second place before the first one goes, and is refused with the object's own errno", () =>
    onKernel(
      Effect.gen(function* () {
        const { news, object, state } = yield* recorder()
        const identity = yield* Mappable.identity(object)
        yield* Task.run(
          "mover",
          Effect.gen(function* () {
            yield* mapAt(identity, 0, 2, 1)
            expect([yield* read(0), yield* read(1)]).toEqual([2, 3])
            news()
            const move = (from: number, to: number) =>
              Task.mremap({
                address: AT + from * 4096,
                oldLength: 8192,
                newLength: 8192,
                flags: MremapFlags.MAYMOVE | MremapFlags.FIXED,
                newAddress: AT + to * 4096
              })
            expect(addressOf(yield* move(0, 8))).toBe(8)
            expect(news()).toEqual(["copy [0, 2) to [8, 10) @1 writable", "remove [0, 2) @1 writable"])
            expect([yield* read(0), yield* read(8), yield* read(9)]).toEqual(["SIGSEGV", 2, 3])
            state.refusal = Fail.make("EBUSY")
            expect(yield* outcome(move(8, 0))).toBe("EBUSY")
            state.refusal = undefined
            expect([yield* read(0), yield* read(8)]).toEqual(["SIGSEGV", 2])
            yield* checkTables
          })
        )
      })
    ))

  it("remapFilePages: it is told that a part goes, then of the one that is mapped in its place, which it may refuse", () =>
    onKernel(
      Effect.gen(function* () {
        const { news, object, state } = yield* recorder()
        const identity = yield* Mappable.identity(object)
        yield* Task.run(
          "remapper",
          Effect.gen(function* () {
            yield* mapAt(identity, 0, 2, 0)
            news()
            yield* Task.remapFilePages(AT, 4096, 0, 1)
            expect(news(), "its pages come in at once").toEqual([
              "remove [0, 1) @0 writable",
              "add [0, 1) @1 writable",
              "translate 1 r--"
            ])
            expect([yield* read(0), yield* read(1)]).toEqual([2, 2])
            state.refusal = Fail.make("EBUSY")
            expect(yield* outcome(Task.remapFilePages(AT + 4096, 4096, 0, 0))).toBe("EBUSY")
            state.refusal = undefined
            expect([yield* read(0), yield* read(1)], "what was there is gone").toEqual([2, "SIGSEGV"])
            yield* checkTables
          })
        )
      })
    ))
})
