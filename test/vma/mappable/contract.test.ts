/** Objects that break their contract: named with the clause, SIGBUS to who faulted, and nothing else happens. */
import { Effect, Fiber, Latch, Scope } from "effect"
import { AccessType, Fail, Kernel, Mappable, MemoryFile, Page, Range, Task } from "pagewright"
import { describe, expect, it } from "vitest"
import { checkTables, defectOf, onKernel, small } from "../support.ts"
import { mapAt, mapsLines, outcome, read, recorder, unmap, write } from "./support.ts"

type Ask = Mappable.Ask<"rwx", never>
type Translate = (ask: Ask) => unknown
const pages = (first: number, count: number) => Range.ofPages<"mappable">(first, count)
const keep = { invalidatePrivate: false }

/** What the object may answer wrongly, for page 1 of 4 mapped ones, and the clause that it breaks. */
const breaches = (
  file: MemoryFile.MemoryFile,
  foreign: MemoryFile.MemoryFile
): readonly (readonly [clause: string, translate: Translate])[] => {
  const of = (ask: Ask, source: Range.MappableRange, more: Partial<Mappable.Found<"rwx">> = {}) =>
    ask.translation({ source, file, offset: 0, ...more })
  return [
    ["no translation, and no error that says why", () => []],
    ["no translation, and no error that says why", () => ({ translations: [] })],
    ["no translation, and no error that says why", () => ({ translations: [], error: "because" })],
    ["does not contain the first byte", (ask) => of(ask, pages(0, 1))],
    ["does not contain the first byte", (ask) => ({ translations: [of(ask, pages(2, 1))], error: Fail.make("EIO") })],
    ["is empty or ill-formed", (ask) => [of(ask, pages(1, 1)), of(ask, Range.make(8192, 8192))]],
    ["is not page-aligned", (ask) => of(ask, Range.make(4096, 8191))],
    // a gap, an overlap, disorder
    ["does not begin where the one before ends", (ask) => [of(ask, pages(1, 1)), of(ask, pages(3, 1))]],
    ["does not begin where the one before ends", (ask) => [of(ask, pages(0, 2)), of(ask, pages(1, 2))]],
    ["does not begin where the one before ends", (ask) => [of(ask, pages(1, 1)), of(ask, pages(0, 1))]],
    ["has nothing of", (ask) => [of(ask, pages(1, 1)), of(ask, pages(2, 1))]],
    // a wrong range
    ["goes beyond", (ask) => of(ask, pages(0, 5))],
    ["names no file", (ask) => of(ask, ask.required, { file: {} as never })],
    ["is not page-aligned", (ask) => of(ask, ask.required, { offset: 7 })],
    ["is not page-aligned", (ask) => of(ask, ask.required, { offset: -4096 })],
    ["its permissions do not include r--", (ask) => of(ask, ask.required, { perms: "---" })],
    ["a page of a file that nobody holds", (ask) => of(ask, ask.required, { offset: 4096 * 4 })],
    ["a page of a file that nobody holds", (ask) => of(ask, pages(1, 3), { offset: 4096 * 2 })],
    ["a page of a file that nobody holds", (ask) => of(ask, ask.required, { offset: 2 ** 52 })],
    ["a page of a file that nobody holds", (ask) => of(ask, ask.required, { file: foreign })],
    ["translation 0 is none", () => "nonsense"],
    ["translation 0 is none", () => ({ translations: [{ source: pages(1, 1), file, offset: 0 }] })],
    ["translation 0 is none", () => undefined],
    ["it threw Error: oops", () => fails("oops")],
    ["it threw TypeError: a translation's source is no range", (ask) => of(ask, {} as never)]
  ]
}
const fails = (why: string): never => {
  throw new Error(why)
}

/** Maps 4 pages of an object that answers so, and touches page 1; page 2 of an honest object beside it answers all the while. */
const expectBreach = (clause: string, translate: Translate) =>
  Effect.gen(function* () {
    const { object: honest } = yield* recorder(4, "honest")
    const beside = yield* Mappable.identity(honest)
    const name = `liar ${(yield* Kernel.warnings).length}`
    const object = yield* Mappable.make({ name, translate: translate as () => [] })
    const identity = yield* Mappable.identity(object)
    yield* Task.run(
      "mapper",
      Effect.gen(function* () {
        yield* mapAt(beside, 10, 4)
        yield* mapAt(identity, 0, 4)
        const [one, other] = yield* Effect.all([read(1), read(12)], { concurrency: 2 })
        expect([clause, one, other]).toEqual([clause, "SIGBUS", 3])
        const said = (yield* Kernel.warnings).filter((line) => line.includes(`mappable ${name} broke its contract: `))
        expect(said).toEqual([expect.stringContaining(clause)])
        yield* checkTables
        expect(yield* write(11)).toBe("done")
      })
    )
  })

describe("an object that breaks its contract", () => {
  /** Of another machine. */
  const foreign = Effect.provide(Effect.scoped(MemoryFile.make()), Kernel.layer(small))
  const file = Effect.map(MemoryFile.make(), (made) => {
    made.allocate(4)
    return made
  })
  it("at once: the clause is named, SIGBUS, and all else goes on [G-TR-22]", () =>
    onKernel(
      Effect.gen(function* () {
        for (const [clause, translate] of breaches(yield* file, yield* foreign))
          yield* Effect.scoped(expectBreach(clause, translate))
      })
    ))

  it("later: the same [G-TR-22]", () =>
    onKernel(
      Effect.gen(function* () {
        for (const [clause, translate] of breaches(yield* file, yield* foreign)) {
          const dies = clause.replace("it threw", "it died of")
          const later = (ask: Ask) =>
            Effect.delay(
              Effect.sync(() => translate(ask)),
              "1 millis"
            )
          yield* Effect.scoped(expectBreach(dies, later))
        }
      })
    ))

  it("keeps a translation for a later question: it is none of that one's [G-MAP-14]", () =>
    onKernel(
      Effect.gen(function* () {
        const memory = yield* file
        for (const later of [false, true]) {
          let kept: unknown
          const object = yield* Mappable.make({
            name: `keeper ${later}`,
            translate: ((ask: Ask) => {
              kept ??= ask.translation({ source: ask.optional, file: memory, offset: 0 })
              return later ? Effect.succeed(kept) : kept
            }) as () => []
          })
          const identity = yield* Mappable.identity(object)
          yield* Task.run(
            "mapper",
            Effect.gen(function* () {
              yield* mapAt(identity, 0, 2)
              expect(yield* read(0)).toBe(0)
              yield* Mappable.invalidate(object, pages(0, 2), keep)
              expect(yield* read(1)).toBe("SIGBUS")
              expect((yield* Kernel.warnings).at(-1)).toContain("translation 0 was made for another question")
              yield* checkTables
            })
          )
        }
      })
    ))

  it("fails with what is no reason, or dies: the clause is named, and who faulted gets SIGBUS and not the failure", () =>
    onKernel(
      Effect.gen(function* () {
        const wrong: readonly (readonly [string, Effect.Effect<never, unknown>])[] = [
          ['it failed with "gone", which is no errno and no BusError', Effect.fail("gone")],
          ['it failed with {"_tag":"Odd"}, which is no errno and no BusError', Effect.fail({ _tag: "Odd" })],
          ["it died of Error: oops", Effect.die(new Error("oops"))],
          ["it died of Error: late", Effect.delay(Effect.die(new Error("late")), "1 millis")],
          ["it died of Error: thrown", Effect.sync(() => fails("thrown"))]
        ]
        for (const [clause, effect] of wrong) yield* Effect.scoped(expectBreach(clause, () => effect))
      })
    ))

  it("names the clause once, however often it is broken", () =>
    onKernel(
      Effect.gen(function* () {
        const object = yield* Mappable.make({ name: "liar", translate: () => [] })
        const identity = yield* Mappable.identity(object)
        yield* Task.run(
          "mapper",
          Effect.gen(function* () {
            yield* mapAt(identity, 0, 4)
            for (const page of [0, 1, 2, 0]) expect(yield* read(page)).toBe("SIGBUS")
            expect(yield* Kernel.warnings).toHaveLength(1)
          })
        )
      })
    ))

  it("throws, dies or refuses with nonsense where it is told of a mapping: mmap dies of that, and is undone", () =>
    onKernel(
      Effect.gen(function* () {
        const memory = yield* file
        for (const addMapping of [() => fails("no"), () => Effect.die(new Error("no"))]) {
          const object = yield* Mappable.make({
            name: "shy",
            addMapping,
            translate: (ask) => ask.translation({ source: ask.required, file: memory, offset: 0 })
          })
          const identity = yield* Mappable.identity(object)
          yield* Task.run(
            "mapper",
            Effect.gen(function* () {
              const before = yield* mapsLines
              expect(yield* defectOf(mapAt(identity, 0, 4))).toContain("no")
              expect(yield* mapsLines).toEqual(before)
              yield* checkTables
            })
          )
        }
      })
    ))

  it("dies where it is told that a mapping is gone: munmap dies of that, and the mapping is gone all the same [G-MAP-06]", () =>
    onKernel(
      Effect.gen(function* () {
        const memory = yield* file
        const object = yield* Mappable.make({
          name: "clingy",
          removeMapping: () => fails("mine"),
          translate: (ask) => ask.translation({ source: ask.required, file: memory, offset: 0 })
        })
        const identity = yield* Mappable.identity(object)
        yield* Task.run(
          "mapper",
          Effect.gen(function* () {
            const before = yield* mapsLines
            yield* mapAt(identity, 0, 4)
            yield* read(0)
            expect(yield* defectOf(unmap(0, 4))).toContain("mine")
            expect(yield* mapsLines).toEqual(before)
            yield* checkTables
          })
        )
      })
    ))
})

describe("an answer that comes after an invalidation", () => {
  /** An object that answers when `gate` is opened; with page `at()` of its file, found before it waits. */
  const waiting = Effect.gen(function* () {
    const file = yield* MemoryFile.make()
    file.allocate(2)
    for (const i of [0, 1]) file.mapInternal(Range.make(i * 4096, i * 4096 + 1))[0]![0] = i + 1
    const gate = yield* Latch.make(false)
    const asked: number[] = []
    const state = { page: 0, spaces: new Set<Mappable.MappingSpace>() }
    const object = yield* Mappable.make({
      name: "slow",
      addMapping: ({ space }) => void state.spaces.add(space),
      translate: (ask) =>
        Effect.gen(function* () {
          asked.push(ask.required.start / 4096)
          const found = ask.translation({ source: ask.required, file, offset: state.page * 4096, perms: ask.at })
          yield* gate.await
          return found
        })
    })
    return { asked, gate, object, state, identity: yield* Mappable.identity(object) }
  })

  it.each(["object", "space"] as const)(
    "of the %s is late: nothing of it is mapped, and the object is asked again [G-MAP-14, G-MSP-06]",
    (whose) =>
      onKernel(
        Effect.gen(function* () {
          const { asked, gate, identity, object, state } = yield* waiting
          yield* Task.run(
            "mapper",
            Effect.gen(function* () {
              yield* mapAt(identity, 0, 4)
              const reading = yield* Effect.forkChild(read(2))
              while (asked.length === 0) yield* Effect.yieldNow
              state.page = 1
              const [space] = state.spaces
              // of other pages: no matter
              yield* Mappable.invalidate(object, pages(3, 1), keep)
              yield* whose === "object"
                ? Mappable.invalidate(object, pages(0, 4), keep)
                : space!.invalidate(Range.ofPages(0x7f00_0000_0000 / 4096 + 2, 1), keep)
              yield* gate.open
              expect(yield* Fiber.join(reading)).toBe(2)
              expect(asked).toEqual([2, 2])
              yield* checkTables
              expect(yield* Kernel.warnings).toEqual([])
            })
          )
        })
      )
  )

  it("of other pages, or of other spaces, is in time", () =>
    onKernel(
      Effect.gen(function* () {
        const { asked, gate, identity, object, state } = yield* waiting
        yield* Task.run(
          "mapper",
          Effect.gen(function* () {
            yield* mapAt(identity, 0, 4)
            const reading = yield* Effect.forkChild(read(2))
            while (asked.length === 0) yield* Effect.yieldNow
            state.page = 1
            const [space] = state.spaces
            yield* Mappable.invalidate(object, pages(3, 1), keep)
            yield* Mappable.invalidate(object, pages(0, 2), keep)
            yield* space!.invalidate(Range.ofPages(0x7f00_0000_0000 / 4096 + 3, 5), keep)
            yield* gate.open
            expect(yield* Fiber.join(reading)).toBe(1)
            expect(asked).toEqual([2])
          })
        )
      })
    ))

  it("is late for a write to a page that could be read, too", () =>
    onKernel(
      Effect.gen(function* () {
        const { asked, gate, identity, object, state } = yield* waiting
        yield* Task.run(
          "mapper",
          Effect.gen(function* () {
            yield* mapAt(identity, 0, 4)
            yield* gate.open
            expect(yield* read(2)).toBe(1)
            yield* gate.close
            const writing = yield* Effect.forkChild(write(2, 9))
            while (asked.length === 1) yield* Effect.yieldNow
            state.page = 1
            yield* Mappable.invalidate(object, pages(2, 1), keep)
            yield* gate.open
            expect(yield* Fiber.join(writing)).toBe("done")
            expect(asked).toEqual([2, 2, 2])
            yield* Mappable.invalidate(object, pages(2, 1), keep)
            expect(yield* read(2), "page 1 was written, and not the one that was forgotten").toBe(9)
            yield* checkTables
          })
        )
      })
    ))

  it("is a breach where it was the object itself, in the middle of the question: asking again would not help", () =>
    onKernel(
      Effect.gen(function* () {
        const file = yield* MemoryFile.make()
        file.allocate(1)
        for (const how of ["in its effect", "in its function"]) {
          const object: Mappable.Mappable<"rwx"> = yield* Mappable.make({
            name: `contrary ${how}`,
            translate: (ask) => {
              const found = ask.translation({ source: ask.required, file, offset: 0 })
              const forget = Effect.suspend(() => Mappable.invalidate(object, ask.required, keep))
              if (how === "in its effect") return Effect.as(forget, found)
              Effect.runSync(forget)
              return found
            }
          })
          const identity = yield* Mappable.identity(object)
          yield* Task.run(
            "mapper",
            Effect.gen(function* () {
              yield* mapAt(identity, 0, 1)
              expect(yield* read(0)).toBe("SIGBUS")
              expect((yield* Kernel.warnings).at(-1)).toMatch(
                /told its mappings to forget \[0x0, 0x1000\), and then answered/
              )
              yield* checkTables
            })
          )
        }
      })
    ))
})

describe("a translate that answers later", () => {
  it("maps all that it found, where the kernel asks on its own behalf too: no page table is there yet [G-MAP-12, G-OPT-17]", () =>
    onKernel(
      Effect.gen(function* () {
        const file = yield* MemoryFile.make()
        file.allocate(4)
        let asked = 0
        const object = yield* Mappable.make({
          name: "generous",
          translate: (ask) =>
            Effect.sync(() => {
              asked++
              return ask.translation({ source: ask.optional, file, offset: ask.optional.start })
            })
        })
        const identity = yield* Mappable.identity(object)
        yield* Task.run(
          "mapper",
          Effect.gen(function* () {
            yield* mapAt(identity, 0, 4, 0, { precommit: "required" })
            expect(asked).toBe(1)
            yield* checkTables
            expect(yield* Effect.forEach([0, 1, 2, 3], read)).toEqual([0, 0, 0, 0])
            expect(asked).toBe(1)
          })
        )
      })
    ))

  it("has the Scope that the object was made in: what it acquires lives as long", () =>
    onKernel(
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const file = yield* MemoryFile.make()
        file.allocate(1)
        let page: Page.Page | undefined
        const object = yield* Mappable.make({
          name: "owner",
          translate: (ask) =>
            Effect.gen(function* () {
              page ??= yield* Page.allocPage("GFP_KERNEL")
              return ask.translation({ source: ask.required, file, offset: 0 })
            })
        }).pipe(Scope.provide(scope))
        const identity = yield* Mappable.identity(object)
        yield* Task.run(
          "mapper",
          Effect.gen(function* () {
            yield* mapAt(identity, 0, 2)
            yield* Effect.forEach([0, 1], read)
            yield* Page.write(page!, 0, new Uint8Array([1]))
          })
        )
        yield* Scope.close(scope, yield* Effect.exit(Effect.void))
        expect(yield* defectOf(Page.write(page!, 0, new Uint8Array([1])))).toContain("after it was put")
      })
    ))

  it("of an object that has ended is not waited for: the access ends in SIGBUS", () =>
    onKernel(
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const file = yield* MemoryFile.make()
        file.allocate(1)
        const gate = yield* Latch.make(false)
        const object = yield* Mappable.make({
          name: "mortal",
          translate: (ask) =>
            Effect.as(gate.await, ask.translation({ source: ask.required, file, offset: 0, perms: ask.at }))
        }).pipe(Scope.provide(scope))
        const identity = yield* Mappable.identity(object)
        yield* Task.run(
          "mapper",
          Effect.gen(function* () {
            yield* mapAt(identity, 0, 2, 0, { perms: AccessType.READ_WRITE })
            const reading = yield* Effect.forkChild(read(0))
            yield* Effect.yieldNow
            yield* Scope.close(scope, yield* Effect.exit(Effect.void))
            yield* gate.open
            expect(yield* Fiber.join(reading)).toBe("SIGBUS")
            expect(yield* outcome(Task.load8(0x7f00_0000_1000))).toBe("SIGBUS")
            yield* checkTables
          })
        )
      })
    ))
})

describe("Mappable.special", () => {
  it("wants whole pages", () =>
    onKernel(
      Effect.gen(function* () {
        const file = yield* MemoryFile.make()
        for (const [length, offset] of [
          [0, 0],
          [5000, 0],
          [4096, 1],
          [-4096, 8192]
        ] as const)
          expect(yield* defectOf(Mappable.special({ name: "odd", file, length, offset }))).toContain(
            "expected whole pages"
          )
      })
    ))
})
