import { Effect } from "effect"
import { AccessType, Fail, Mappable, MemoryFile, Range, Task, Units } from "pagewright"
import { describe, expect, it } from "vitest"
import { onKernel } from "../support.ts"

/** An object of four pages, the first byte of each its number plus one; it counts what it is asked. */
const fourPages = Effect.gen(function* () {
  const file = yield* MemoryFile.make("pages")
  const at = file.allocate(4)!
  for (let i = 0; i < 4; i++) file.mapInternal({ start: i * 4096, end: i * 4096 + 1 })[0]![0] = i + 1
  const asked: string[] = []
  const object = yield* Mappable.make({
    name: "four pages",
    translate: (ask) => {
      asked.push(`${Range.format(ask.required)} ${ask.at}`)
      if (ask.required.start >= at.end) return { translations: [], error: Mappable.busError(Fail.make("EFAULT")) }
      const source = Range.intersect(ask.optional, Range.make<"mappable">(0, at.end))
      return ask.translation({ source, file, offset: source.start })
    }
  })
  return { asked, file, object }
})

describe("Mappable", () => {
  it("maps what it translates, with one question for the pages it answers along", () =>
    onKernel(
      Effect.gen(function* () {
        const { asked, file, object } = yield* fourPages
        const identity = yield* Mappable.identity(object)
        yield* Task.run(
          "reader",
          Effect.gen(function* () {
            const at = Units.raw(yield* Mappable.map({ identity, length: 5 * 4096, perms: AccessType.READ_WRITE }))
            const found: number[] = []
            for (let i = 0; i < 4; i++) found.push(yield* Task.load8(at + i * 4096))
            expect(found).toEqual([1, 2, 3, 4])
            expect(asked).toEqual(["[0x0, 0x1000) r--"])
            yield* Task.store8(at + 4096, 9)
            expect(file.mapInternal({ start: 4096, end: 4097 })[0]![0]).toBe(9)
            expect(asked).toHaveLength(1)
            const signal = yield* Effect.flip(Task.load8(at + 4 * 4096))
            expect(signal).toMatchObject({ _tag: "SIGBUS" })
            yield* Mappable.invalidate(object, Range.ofPages(0, 1), { invalidatePrivate: false })
            expect(yield* Task.load8(at)).toBe(1)
            expect(asked.at(-1)).toBe("[0x0, 0x1000) r--")
          })
        )
      })
    ))
})
