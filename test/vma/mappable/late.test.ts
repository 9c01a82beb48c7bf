/** Answers that take their time, invalidations at any moment: nobody reads what was forgotten before he began. */
import { Effect, Scheduler } from "effect"
import { Kernel, Mappable, MemoryFile, Range, Task } from "pagewright"
import { describe, expect, it } from "vitest"
import { forSeeds } from "../../support/random.ts"
import { checkTables, onKernel } from "../support.ts"
import { mapAt } from "./support.ts"

const AT = 0x7f00_0000_0000
const PAGES = 3

describe("an object whose pages move all the time", () => {
  it.each([2048, 8, 3])("is never seen as it was before an invalidation, a yield every %i ops", async (ops) => {
    const seeds: (readonly [number, (n: number) => number])[] = []
    forSeeds(6, (random, seed) => void seeds.push([seed, random]))
    for (const [seed, random] of seeds)
      await onKernel(
        Effect.gen(function* () {
          const file = yield* MemoryFile.make()
          let edition = 0
          let where = new Map<number, Range.PageRange<"file">>()
          const print = (n: number): Range.PageRange<"file"> => {
            const page = where.get(n) ?? file.allocate(1)!
            if (!where.has(n)) file.mapInternal(page)[0]![0] = edition
            where.set(n, page)
            return page
          }
          const object = yield* Mappable.make({
            name: "moving",
            translate: (ask) =>
              Effect.gen(function* () {
                const n = ask.required.start / 4096
                if (random(2) === 0) yield* Effect.yieldNow
                const perms = random(2) === 0 ? ask.at : "rwx"
                const found = ask.translation({ source: ask.required, file, offset: print(n).start, perms })
                for (let i = random(4); i > 0; i--) yield* Effect.yieldNow
                return found
              })
          })
          const identity = yield* Mappable.identity(object)
          let isOver = false
          const reprint = Effect.gen(function* () {
            for (let i = 0; i < 40; i++) {
              for (let n = random(4); n > 0; n--) yield* Effect.yieldNow
              const old = where
              edition++
              where = new Map()
              yield* Mappable.invalidate(object, Range.ofPages(0, PAGES), { invalidatePrivate: true })
              for (const page of old.values()) file.decRef(page)
            }
            isOver = true
          })
          const reader = Effect.gen(function* () {
            for (let i = 0; !isOver; i++) {
              const page = random(PAGES)
              const before = edition
              const isWrite = random(3) === 0
              if (isWrite) yield* Task.store8(AT + page * 4096 + 1, i & 255)
              const seen = yield* Task.load8(AT + page * 4096)
              expect(seen, `seed ${seed}: edition`).toBeGreaterThanOrEqual(before)
              expect(seen).toBeLessThanOrEqual(edition)
              if (i % 7 === 0) yield* Effect.yieldNow
            }
          })
          yield* Task.run(
            "mapper",
            Effect.gen(function* () {
              yield* mapAt(identity, 0, PAGES, 0, random(2) === 0 ? {} : { private: true })
              yield* Effect.all([reprint, reader, reader, reader], { concurrency: "unbounded" })
              yield* checkTables
              expect(yield* Kernel.warnings).toEqual([])
            })
          )
        }).pipe(Effect.provideService(Scheduler.MaxOpsBeforeYield, ops)),
        { frames: 512 }
      )
  })
})
