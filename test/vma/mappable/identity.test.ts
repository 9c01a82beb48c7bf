import { Effect } from "effect"
import { Fail, Kernel, Mappable, Range, Task } from "pagewright"
import { describe, expect, it } from "vitest"
import { onKernel } from "../support.ts"
import { AT, mapAt, mapsLines, protect, read, recorder, unmap, write } from "./support.ts"

describe("a mapping identity", () => {
  it("is not the object: two of one object show the same pages, and never merge [G-ID-01, G-ID-04]", () =>
    onKernel(
      Effect.gen(function* () {
        const { object } = yield* recorder()
        const [one, other] = [
          yield* Mappable.identity(object, { name: "/one" }),
          yield* Mappable.identity(object, { name: "/other" })
        ]
        yield* Task.run(
          "mapper",
          Effect.gen(function* () {
            yield* mapAt(one, 0, 2)
            yield* mapAt(other, 2, 2, 2)
            yield* mapAt(one, 4, 1, 0)
            yield* write(0, 0x44)
            expect(yield* read(4), "the same bytes").toBe(0x44)
            expect((yield* mapsLines).map((line) => line.split(/\s+/).slice(-1)[0])).toEqual(["/one", "/other", "/one"])
          })
        )
      })
    ))

  it("is held by each piece of a mapping, and by nobody when the last one goes [G-ID-02, G-ID-03, G-ID-08]", () =>
    onKernel(
      Effect.gen(function* () {
        const { news, object } = yield* recorder()
        yield* Task.run(
          "mapper",
          Effect.gen(function* () {
            yield* Effect.scoped(
              Effect.gen(function* () {
                const identity = yield* Mappable.identity(object)
                expect(
                  yield* Effect.flip(mapAt(identity, 0, 1, 0, { perms: "rwx", maxPerms: "r--" as never }))
                ).toMatchObject({
                  _tag: "EACCES"
                })
                yield* mapAt(identity, 0, 3)
              })
            )
            yield* protect(1, 1, 1) // three pieces
            yield* protect(1, 1, 3) // and one again
            yield* unmap(0, 2)
            expect(yield* read(2), "its Scope is over; the mapping is not").toBe(3)
            yield* unmap(2, 1)
            expect(news().filter((line) => line.startsWith("remove"))).toEqual([
              "remove [0, 2) @0 writable",
              "remove [2, 3) @2 writable"
            ])
          })
        )
        expect(yield* Kernel.leaks).toEqual([])
      })
    ))

  it("gives maps its name, device and inode [G-ID-06, G-OPT-20, G-PRC-03]", () =>
    onKernel(
      Effect.gen(function* () {
        const { object } = yield* recorder()
        const identity = yield* Mappable.identity(object, { name: "/tmp/x", device: 0x100002, inode: 77 })
        yield* Task.run(
          "mapper",
          Effect.gen(function* () {
            yield* mapAt(identity, 0, 1)
            yield* mapAt(identity, 1, 1, 1, { hint: "[mine]" })
            yield* mapAt(identity, 2, 1, 2, { hint: "[mine]" })
            const hex = (page: number) => (AT + page * 4096).toString(16)
            expect(yield* mapsLines).toEqual([
              `${hex(0)}-${hex(1)} rw-s 00000000 01:02 77                         /tmp/x`,
              `${hex(1)}-${hex(3)} rw-s 00001000 01:02 77                         [mine]`
            ])
          })
        )
      })
    ))
  it("stores what msync asks for: the part of each shared mapping, at its offsets; its error ends the call [G-ID-07, G-SY-02]", () =>
    onKernel(
      Effect.gen(function* () {
        const { object } = yield* recorder()
        const stored: string[] = []
        let fails = false
        const identity = yield* Mappable.identity(object, {
          msync: (range) =>
            Effect.suspend(() => {
              stored.push(Range.format(range))
              return fails ? Fail.fail("EIO") : Effect.void
            })
        })
        yield* Task.run(
          "mapper",
          Effect.gen(function* () {
            yield* mapAt(identity, 0, 4, 1)
            yield* mapAt(identity, 4, 2, 0, { private: true })
            yield* mapAt(identity, 6, 2, 6)
            yield* protect(6, 2, 1)
            yield* Task.msync(AT + 4096, 7 * 4096, 4)
            expect(stored.splice(0)).toEqual(["[0x2000, 0x5000)", "[0x6000, 0x8000)"])
            yield* Task.msync(AT, 4096, 1)
            expect(stored).toEqual([])
            fails = true
            expect(yield* Effect.flip(Task.msync(AT, 8 * 4096, 4))).toMatchObject({ _tag: "EIO" })
            expect(stored).toEqual(["[0x1000, 0x5000)"])
          })
        )
      })
    ))
})
