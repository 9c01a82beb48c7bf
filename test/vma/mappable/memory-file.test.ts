import { Effect } from "effect"
import { Kernel, Mappable, MemoryFile, Range, Task } from "pagewright"
import { describe, expect, it } from "vitest"
import { onKernel } from "../support.ts"
import { AT, mapAt, outcome, read, recorder } from "./support.ts"

describe("a memory file", () => {
  it("counts the holders of each page; who allocates it is the first, and there is no other way to be [G-FILE-01, G-FILE-02]", () =>
    onKernel(
      Effect.gen(function* () {
        const file = yield* MemoryFile.make()
        const pages = file.allocate(3)!
        expect([pages, file.holders(0), file.holders(3 * 4096)]).toEqual([Range.ofPages(0, 3), 1, 0])
        file.incRef(Range.ofPages(1, 1))
        file.decRef(pages)
        expect([0, 1, 2].map((page) => file.holders(page * 4096))).toEqual([0, 1, 0])
        expect(() => file.incRef(Range.ofPages(0, 2))).toThrow("page 0 of a memory file has no holder")
        expect(() => file.decRef(Range.ofPages(1, 2))).toThrow("page 2 of a memory file has no holder")
        expect(file.holders(4096), "what is refused changes nothing").toBe(1)
        expect(() => file.incRef({ ...Range.make(1, 4097) } as Range.PageRange<"file">)).toThrow("is no range of pages")
        const before = yield* Kernel.framesUsed
        file.decRef(Range.ofPages(1, 1))
        expect(yield* Kernel.framesUsed).toBe(before - 1)
      })
    ))

  it("shows its bytes themselves, aligned or not, and nothing of a page that nobody holds [G-FILE-04]", () =>
    onKernel(
      Effect.gen(function* () {
        const { file, object } = yield* recorder(3)
        const identity = yield* Mappable.identity(object)
        yield* Task.run(
          "mapper",
          Effect.gen(function* () {
            yield* mapAt(identity, 0, 3)
            yield* read(1)
            const views = file.mapInternal(Range.make(4000, 8200))
            expect(views.reduce((n, view) => n + view.length, 0)).toBe(4200)
            const bytes = file.mapInternal(Range.make(4096, 4098))[0]!
            expect(bytes[0]).toBe(2)
            bytes[1] = 0x66
            expect(yield* Task.load8(AT + 4097), "no copy lies between").toBe(0x66)
          })
        )
        expect(() => file.mapInternal(Range.make(0, 4 * 4096))).toThrow("has pages that nobody holds")
      })
    ))

  it("is out of memory where the machine is, and then has allocated nothing", () =>
    onKernel(
      Effect.gen(function* () {
        const file = yield* MemoryFile.make()
        const before = yield* Kernel.framesUsed
        expect([file.allocate(1000), yield* Kernel.framesUsed]).toEqual([undefined, before])
        expect(() => file.allocate(0)).toThrow(RangeError)
      })
    ))

  it("is not to be used when its Scope has ended", () =>
    onKernel(
      Effect.gen(function* () {
        const file = yield* Effect.scoped(MemoryFile.make())
        expect(() => file.allocate(1)).toThrow("after the Scope that made it has ended")
      })
    ))

  it("an identity is held for a mapping only if the mapping is made [G-OPT-02]", () =>
    onKernel(
      Effect.gen(function* () {
        const { object } = yield* recorder()
        yield* Task.run(
          "mapper",
          Effect.gen(function* () {
            yield* Effect.scoped(
              Effect.gen(function* () {
                const identity = yield* Mappable.identity(object)
                expect(yield* outcome(mapAt(identity, 0, 1, 0, { perms: "rwx", maxPerms: "r--" }))).toBe("EACCES")
              })
            )
            expect((yield* Kernel.leaks).filter((line) => line.includes("file"))).toEqual([])
          })
        )
      })
    ))
})
