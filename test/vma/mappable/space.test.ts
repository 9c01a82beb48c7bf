import { Effect } from "effect"
import { Mappable, Mm, Range, Task } from "pagewright"
import { describe, expect, it } from "vitest"
import { checkTables, defectOf, onKernel } from "../support.ts"
import { mapAt, mapsLines, pagesOf, read, recorder, unmap, write } from "./support.ts"

const keep = { invalidatePrivate: false }
const all = { invalidatePrivate: true }

describe("a mapping space", () => {
  it("forgets what it is told to: the mapping stays, the next access asks again; what nobody touched is no matter [G-MSP-01, G-MSP-06, G-MSP-10]", () =>
    onKernel(
      Effect.gen(function* () {
        const { news, object, state } = yield* recorder()
        const identity = yield* Mappable.identity(object)
        yield* Task.run(
          "mapper",
          Effect.gen(function* () {
            yield* mapAt(identity, 0, 4)
            yield* Effect.forEach([0, 1, 2], read)
            const before = yield* mapsLines
            news()
            const [space] = state.spaces
            yield* space!.invalidate(pagesOf(1, 3), keep)
            yield* space!.invalidate(pagesOf(100, 3), all)
            expect(yield* mapsLines).toEqual(before)
            yield* Effect.forEach([0, 1, 2], read)
            expect(news()).toEqual(["translate 1 r--", "translate 2 r--"])
          })
        )
      })
    ))

  it("is told whole pages, and one at least [G-MSP-02]", () =>
    onKernel(
      Effect.gen(function* () {
        const { object, state } = yield* recorder()
        const identity = yield* Mappable.identity(object)
        yield* Task.run(
          "mapper",
          Effect.gen(function* () {
            yield* mapAt(identity, 0, 1)
            const [space] = state.spaces
            for (const [start, end] of [
              [0, 0],
              [4096, 0],
              [1, 4097],
              [0, 4097]
            ] as const) {
              // the compiler refuses it (diagnostics A14); who gets past it is refused here
              const range = Range.make(start, end) as Range.PageRange<"addr">
              const defect = yield* defectOf(space!.invalidate(range, keep))
              expect(yield* defectOf(Mappable.invalidate(object, range as Range.PageRange<never>, keep))).toBe(defect)
              expect(defect).toContain("is no range of pages")
            }
          })
        )
      })
    ))

  it("keeps private copies, unless they are to go too: then their data is lost [G-MSP-04, G-MSP-05]", () =>
    onKernel(
      Effect.gen(function* () {
        const { object, state } = yield* recorder()
        const identity = yield* Mappable.identity(object)
        yield* Task.run(
          "mapper",
          Effect.gen(function* () {
            yield* mapAt(identity, 0, 2, 0, { private: true })
            yield* write(0, 0x55)
            yield* read(1)
            const [space] = state.spaces
            yield* space!.invalidate(pagesOf(0, 2), keep)
            expect(yield* Effect.forEach([0, 1], read)).toEqual([0x55, 2])
            yield* space!.invalidate(pagesOf(0, 2), all)
            expect(yield* Effect.forEach([0, 1], read)).toEqual([1, 2])
          })
        )
      })
    ))

  it("has fewer resident pages then, and no fewer at most [G-MSP-08]", () =>
    onKernel(
      Effect.gen(function* () {
        const { object, state } = yield* recorder()
        const identity = yield* Mappable.identity(object)
        yield* Task.run(
          "mapper",
          Effect.scoped(
            Effect.gen(function* () {
              yield* mapAt(identity, 0, 4)
              const mm = yield* Mm.current
              const before = (yield* Mm.stat(mm)).rss.file
              yield* Effect.forEach([0, 1, 2], read)
              expect((yield* Mm.stat(mm)).rss.file).toBe(before + 3)
              const [space] = state.spaces
              yield* space!.invalidate(pagesOf(0, 2), keep)
              const now = yield* Mm.stat(mm)
              expect([now.rss.file, now.hiwaterRss >= before + 3]).toEqual([before + 1, true])
            })
          )
        )
      })
    ))

  it("may be told from inside a question, with the locks of a fault held [G-MSP-03]", () =>
    onKernel(
      Effect.gen(function* () {
        const { file } = yield* recorder()
        const spaces = new Set<Mappable.MappingSpace>()
        const object = yield* Mappable.make({
          name: "forgetful",
          addMapping: ({ space }) => void spaces.add(space),
          translate: (ask) =>
            Effect.gen(function* () {
              for (const space of spaces) yield* space.invalidate(pagesOf(0, 4), keep)
              return ask.translation({ source: ask.required, file, offset: ask.required.start })
            })
        })
        const identity = yield* Mappable.identity(object)
        yield* Task.run(
          "mapper",
          Effect.gen(function* () {
            yield* mapAt(identity, 0, 4)
            expect(yield* Effect.forEach([0, 1, 0], read)).toEqual([1, 2, 1])
            yield* checkTables
          })
        )
      })
    ))

  it("is the same one while it maps the object, and forgets nothing once it does not", () =>
    onKernel(
      Effect.gen(function* () {
        const { object, state } = yield* recorder()
        const identity = yield* Mappable.identity(object)
        yield* Task.run(
          "mapper",
          Effect.gen(function* () {
            yield* mapAt(identity, 0, 1)
            yield* mapAt(identity, 2, 1)
            expect(state.spaces.size).toBe(1)
            yield* unmap(0, 3)
            const [space] = state.spaces
            yield* Task.mmap({ address: pagesOf(0, 1).start, length: 4096, prot: 3, flags: 0x32 })
            yield* write(0, 9)
            yield* space!.invalidate(pagesOf(0, 1), all)
            expect(yield* read(0), "it is somebody else's business now").toBe(9)
          })
        )
      })
    ))
})
