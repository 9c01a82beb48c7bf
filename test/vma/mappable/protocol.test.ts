import { Effect } from "effect"
import { Fail, Kernel, Mappable, MemoryFile, Range, Task } from "pagewright"
import { describe, expect, it } from "vitest"
import { checkTables, onKernel } from "../support.ts"
import { AT, mapAt, outcome, pagesOf, protect, read, recorder, unmap, write } from "./support.ts"

describe("a Mappable", () => {
  it("refuses: mmap answers with its errno, and nothing is mapped; a fork fails, and is undone [G-MAP-02]", () =>
    onKernel(
      Effect.gen(function* () {
        const { news, object, state } = yield* recorder()
        const identity = yield* Mappable.identity(object)
        yield* Task.run(
          "mapper",
          Effect.gen(function* () {
            state.refusal = Fail.make("EBUSY")
            expect(yield* outcome(mapAt(identity, 0, 2))).toBe("EBUSY")
            expect(yield* read(0)).toBe("SIGSEGV")
            state.refusal = undefined
            yield* mapAt(identity, 0, 2)
            state.refusal = Fail.make("EINVAL")
            expect(yield* outcome(Task.fork(Effect.void))).toBe("ENOMEM")
            state.refusal = undefined
            yield* checkTables
          })
        )
        expect(news().filter((line) => line.startsWith("remove"))).toEqual(["remove [0, 2) @0 writable"])
      })
    ))

  it("is told once and for all whether a mapping may ever be written [G-MAP-04, G-MAP-05]", () =>
    onKernel(
      Effect.gen(function* () {
        const { news, object } = yield* recorder()
        const identity = yield* Mappable.identity(object)
        yield* Task.run(
          "mapper",
          Effect.gen(function* () {
            yield* mapAt(identity, 0, 1, 0, { private: true })
            yield* mapAt(identity, 2, 1, 0, { perms: "r--", maxPerms: "r--" })
            yield* mapAt(identity, 4, 1, 0, { perms: "r--", maxPerms: "rw-" })
            yield* mapAt(identity, 6, 1)
            expect(news()).toEqual([
              "add [0, 1) @0",
              "add [2, 3) @0",
              "add [4, 5) @0 writable",
              "add [6, 7) @0 writable"
            ])
            yield* protect(6, 1, 1)
            yield* unmap(0, 7)
            expect(news()).toEqual([
              "remove [0, 1) @0",
              "remove [2, 3) @0",
              "remove [4, 5) @0 writable",
              "remove [6, 7) @0 writable"
            ])
          })
        )
      })
    ))

  it("hears of a part of what was announced, at its own offset [G-MAP-06, G-MAP-07]", () =>
    onKernel(
      Effect.gen(function* () {
        const { news, object } = yield* recorder()
        const identity = yield* Mappable.identity(object)
        yield* Task.run(
          "mapper",
          Effect.gen(function* () {
            yield* mapAt(identity, 0, 5, 1)
            yield* unmap(2, 1)
            yield* protect(0, 1, 1)
            yield* unmap(0, 5)
            expect(news()).toEqual([
              "add [0, 5) @1 writable",
              "remove [2, 3) @3 writable",
              "remove [0, 1) @1 writable",
              "remove [1, 2) @2 writable",
              "remove [3, 5) @4 writable"
            ])
          })
        )
      })
    ))

  it("is told of the child's mappings at a fork, in the child's space, and at its end [G-MAP-09, G-FK-01]", () =>
    onKernel(
      Effect.gen(function* () {
        const { news, object, state } = yield* recorder()
        const identity = yield* Mappable.identity(object)
        yield* Task.run(
          "parent",
          Effect.gen(function* () {
            yield* mapAt(identity, 0, 2)
            news()
            const child = yield* Task.fork(read(1))
            expect(yield* Task.wait(child)).toBe(2)
            expect(news()).toEqual(["add [0, 2) @0 writable", "translate 1 r--", "remove [0, 2) @0 writable"])
            expect(state.spaces.size).toBe(2)
          })
        )
      })
    ))

  it("is asked for no offset that is not mapped, and for whole pages within the mapping [G-MAP-01, G-MAP-03, G-MAP-16]", () =>
    onKernel(
      Effect.gen(function* () {
        const asked: (readonly [Range.MappableRange, Range.MappableRange])[] = []
        const file = yield* MemoryFile.make()
        file.allocate(600)
        const object = yield* Mappable.make({
          name: "long",
          translate: (ask) => {
            asked.push([ask.required, ask.optional])
            return ask.translation({ source: ask.required, file, offset: ask.required.start })
          }
        })
        const identity = yield* Mappable.identity(object)
        yield* Task.run(
          "mapper",
          Effect.gen(function* () {
            yield* mapAt(identity, 500, 90, 7)
            for (const page of [500, 511, 512, 589]) yield* read(page)
          })
        )
        const mapped = Range.make<"mappable">(7 * 4096, 97 * 4096)
        for (const [required, optional] of asked) {
          expect(Range.isPages(required) && Range.isPages(optional)).toBe(true)
          expect([Range.isSupersetOf(optional, required), Range.isSupersetOf(mapped, optional)]).toEqual([true, true])
        }
        expect(asked.map(([r]) => r.start / 4096)).toEqual([7, 18, 19, 96])
      }),
      { frames: 1024 }
    ))

  it("answers for less than it was offered, or for more than it was asked: every page that it found is mapped [G-MAP-12, G-PF-08]", () =>
    onKernel(
      Effect.gen(function* () {
        const { news, object, state } = yield* recorder()
        const identity = yield* Mappable.identity(object)
        yield* Task.run(
          "mapper",
          Effect.gen(function* () {
            yield* mapAt(identity, 0, 4)
            yield* Effect.forEach([0, 1], read)
            expect(news()).toEqual(["add [0, 4) @0 writable", "translate 0 r--", "translate 1 r--"])
            state.generous = true
            yield* Effect.forEach([3, 2], read)
            expect(news()).toEqual(["translate 3 r--"])
          })
        )
      })
    ))

  it("answers in part, with an error: what it found counts, and the error only where it ends too soon [G-MAP-13, G-PF-08]", () =>
    onKernel(
      Effect.gen(function* () {
        const file = yield* MemoryFile.make()
        file.allocate(4)
        const object = yield* Mappable.make({
          name: "partial",
          translate: (ask) => {
            const source = Range.intersect(ask.required, Range.make<"mappable">(0, 2 * 4096))
            const translations =
              Range.length(source) === 0 ? [] : [ask.translation({ source, file, offset: source.start })]
            return { translations, error: Mappable.busError(Fail.make("EIO")) }
          }
        })
        const identity = yield* Mappable.identity(object)
        yield* Task.run(
          "mapper",
          Effect.gen(function* () {
            yield* mapAt(identity, 0, 4)
            expect(yield* Effect.forEach([0, 1, 2], read)).toEqual([0, 0, "SIGBUS"])
          })
        )
      })
    ))

  it("is asked again for what it was told to forget, and not before [G-MAP-14]", () =>
    onKernel(
      Effect.gen(function* () {
        const { file, news, object } = yield* recorder()
        const identity = yield* Mappable.identity(object)
        yield* Task.run(
          "mapper",
          Effect.gen(function* () {
            yield* mapAt(identity, 0, 2)
            for (let i = 0; i < 3; i++) yield* Effect.forEach([0, 1], read)
            expect(news()).toHaveLength(3)
            yield* Mappable.invalidate(object, Range.ofPages(1, 1), { invalidatePrivate: false })
            file.mapInternal(Range.make(4096, 4097))[0]![0] = 99
            expect(yield* Effect.forEach([0, 1], read)).toEqual([1, 99])
            expect(news()).toEqual(["translate 1 r--"])
          })
        )
      })
    ))

  it("holds the pages it names; one that it let go of stays with who maps it, and is in nobody else's way [G-MAP-15]", () =>
    onKernel(
      Effect.gen(function* () {
        const { file, object } = yield* recorder(2)
        const identity = yield* Mappable.identity(object)
        yield* Task.run(
          "mapper",
          Effect.gen(function* () {
            yield* mapAt(identity, 0, 2)
            expect(yield* read(0)).toBe(1)
            file.decRef(Range.ofPages(0, 2))
            expect([yield* read(0), yield* read(1)]).toEqual([1, "SIGBUS"])
            expect((yield* Kernel.warnings).join()).toMatch(/object broke its contract: a page of .* that nobody holds/)
            yield* checkTables
          })
        )
      })
    ))

  it("that keeps no mappings needs none of the callbacks [G-MAP-18]", () =>
    onKernel(
      Effect.gen(function* () {
        const file = yield* MemoryFile.make()
        file.allocate(1)
        const identity = yield* Effect.flatMap(
          Mappable.make({
            name: "constant",
            translate: (ask) => ask.translation({ source: ask.required, file, offset: 0 })
          }),
          (object) => Mappable.identity(object)
        )
        yield* Task.run(
          "mapper",
          Effect.gen(function* () {
            yield* mapAt(identity, 0, 2)
            expect(yield* read(0)).toBe(0)
            yield* Effect.flatMap(Task.fork(read(1)), Task.wait)
            yield* unmap(0, 1)
          })
        )
      })
    ))

  it("of fixed length answers up to its length, and beyond it with SIGBUS [G-MAP-19]", () =>
    onKernel(
      Effect.gen(function* () {
        const { file } = yield* recorder(3)
        const object = yield* Mappable.special({ name: "[special]", file, offset: 4096, length: 4096 })
        const identity = yield* Mappable.identity(object)
        const ask = Mappable.question(Range.ofPages(1, 1), Range.ofPages(0, 3), "r--")
        expect(ask.required.start).toBe(4096)
        yield* Task.run(
          "mapper",
          Effect.gen(function* () {
            yield* mapAt(identity, 0, 3, 0, { perms: "r--" } as object)
            expect(yield* Effect.forEach([0, 1, 2], read)).toEqual([2, "SIGBUS", "SIGBUS"])
          })
        )
      })
    ))

  it("may answer later: who faults waits, others go on, and an interruption leaves nothing behind", () =>
    onKernel(
      Effect.gen(function* () {
        const file = yield* MemoryFile.make()
        file.allocate(2)
        const order: string[] = []
        const object = yield* Mappable.make({
          name: "slow",
          translate: (ask) =>
            Effect.gen(function* () {
              order.push(`asked for ${ask.required.start / 4096}`)
              yield* Effect.sleep("1 millis")
              order.push(`answers for ${ask.required.start / 4096}`)
              return ask.translation({ source: ask.required, file, offset: ask.required.start })
            })
        })
        const identity = yield* Mappable.identity(object)
        yield* Task.run(
          "mapper",
          Effect.gen(function* () {
            yield* mapAt(identity, 0, 2)
            const both = yield* Effect.all([read(0), read(1)], { concurrency: 2 })
            expect(both).toEqual([0, 0])
            expect(order.slice(0, 2)).toEqual(["asked for 0", "asked for 1"])
            yield* unmap(0, 2)
            yield* mapAt(identity, 0, 2)
            expect(yield* outcome(Effect.timeout(read(0), "0 millis"))).not.toBe("done")
            expect(yield* read(0)).toBe(0)
            yield* checkTables
          })
        )
      })
    ))

  it("fails with what its error says: SIGBUS for a bus error, else SIGSEGV [G-TR-21]", () =>
    onKernel(
      Effect.gen(function* () {
        for (const [error, signal] of [
          [Mappable.busError(Fail.make("EIO")), "SIGBUS"],
          [Fail.make("EFAULT"), "SIGSEGV"]
        ] as const)
          for (const later of [false, true]) {
            const object = yield* Mappable.make({
              name: `${signal} ${later ? "later" : "at once"}`,
              translate: () => (later ? Effect.fail(error) : { translations: [], error })
            })
            const identity = yield* Mappable.identity(object)
            yield* Task.run(
              "mapper",
              Effect.gen(function* () {
                yield* mapAt(identity, 0, 1)
                expect(yield* read(0)).toBe(signal)
              })
            )
          }
      })
    ))

  it("writes of a process reach the bytes of its file, and its own bytes every process", () =>
    onKernel(
      Effect.gen(function* () {
        const { file, object } = yield* recorder()
        const identity = yield* Mappable.identity(object)
        yield* Task.run(
          "mapper",
          Effect.gen(function* () {
            yield* mapAt(identity, 0, 1)
            expect(yield* write(0, 5)).toBe("done")
            expect(file.mapInternal(Range.make(0, 1))[0]![0]).toBe(5)
            expect(pagesOf(0, 1).start).toBe(AT)
          })
        )
      })
    ))
})
