import { Effect, type Scope } from "effect"
import { AccessType, type Kernel, type Lockdep, Mappable, Mm, Task, Units } from "pagewright"
import { describe, expect, it } from "vitest"
import { checkTables, defectOf, onKernel, small } from "../support.ts"
import { addressOf, AT, mapAt, mapsLines, outcome, protect, read, recorder, unmap, write } from "./support.ts"

const anonymous = { perms: AccessType.READ_WRITE, length: 4096 } as const

/** Runs a test in a process that can map an object. */
const inProcess = <A, E>(
  body: (
    identity: Mappable.MappingIdentity<"rwx">,
    news: () => string[]
  ) => Effect.Effect<A, E, Kernel.Kernel | Task.Task | Lockdep.Takes<"mmap_lock"> | Scope.Scope>
) =>
  onKernel(
    Effect.gen(function* () {
      const { news, object } = yield* recorder()
      const identity = yield* Mappable.identity(object)
      yield* Task.run("mapper", Effect.scoped(body(identity, news)))
    })
  )

describe("Mappable.map", () => {
  it("wants a length, rounded up to pages; one that wraps has no room [G-OPT-01]", () =>
    inProcess(() =>
      Effect.gen(function* () {
        expect(yield* outcome(Mappable.map({ ...anonymous, length: 0 }))).toBe("EINVAL")
        expect(yield* outcome(Mappable.map({ ...anonymous, length: 2n ** 64n - 1n }))).toBe("ENOMEM")
        yield* Mappable.map({ ...anonymous, length: 4097, addr: AT, fixed: true })
        expect([yield* read(1), yield* read(2)]).toEqual([0, "SIGSEGV"])
      })
    ))

  it("takes an offset of an object in pages, below 2^64; memory of no object has none [G-OPT-03, G-OPT-04, G-OPT-05]", () =>
    inProcess((identity) =>
      Effect.gen(function* () {
        const at = (offset: bigint | number) => outcome(Mappable.map({ ...anonymous, identity, offset }))
        expect([yield* at(0x800), yield* at(2n ** 64n - 4096n), yield* at(4096)]).toEqual([
          "EINVAL",
          "EOVERFLOW",
          "done"
        ])
        expect(yield* outcome(Mappable.map(anonymous))).toBe("done")
      })
    ))

  it("in the contract of 2020 an offset that wraps is ENOMEM, at the same place in the order; all else is today's [G-OPT-05]", () =>
    onKernel(
      Effect.gen(function* () {
        const { object } = yield* recorder()
        const identity = yield* Mappable.identity(object)
        yield* Task.run(
          "mapper",
          Effect.gen(function* () {
            const map = (options: object) => outcome(Mappable.map({ ...anonymous, identity, ...options }))
            const wraps = { offset: 2n ** 64n - 4096n }
            expect(yield* map(wraps)).toBe("ENOMEM")
            expect(yield* map({ ...wraps, length: 0 }), "the length comes first").toBe("EINVAL")
            expect(yield* map({ ...wraps, fixed: true, addr: 1 }), "the address comes later").toBe("ENOMEM")
            expect(yield* map({ offset: 4096 })).toBe("done")
          })
        )
      }),
      { ...small, memmap: "2020" }
    ))

  it("takes an address as a hint, rounded down; fixed, it must be aligned and free, and nothing else will do [G-OPT-06, G-OPT-07, G-MM-04]", () =>
    inProcess(() =>
      Effect.gen(function* () {
        const at = (more: Partial<Mappable.AnonymousOpts>) => Mappable.map({ ...anonymous, addr: AT, ...more })
        expect(addressOf(yield* at({ addr: AT + 5 }))).toBe(0)
        expect(addressOf(yield* at({})), "busy: elsewhere").not.toBe(0)
        expect(yield* outcome(at({ addr: AT + 5, fixed: true }))).toBe("EINVAL")
        expect(yield* outcome(at({ fixed: true }))).toBe("ENOMEM")
        expect(addressOf(yield* at({ addr: AT + 4096, fixed: true }))).toBe(1)
      })
    ))

  it("replaces what is there only if it is fixed and told to [G-OPT-08]", () =>
    inProcess((identity, news) =>
      Effect.gen(function* () {
        expect(yield* outcome(Mappable.map({ ...anonymous, addr: AT, unmap: true }))).toBe("EINVAL")
        yield* mapAt(identity, 0, 3)
        news()
        yield* Mappable.map({ ...anonymous, addr: AT + 4096, fixed: true, unmap: true })
        expect(news()).toEqual(["remove [1, 2) @1 writable"])
        expect(yield* Effect.forEach([0, 1, 2], read)).toEqual([1, 0, 3])
      })
    ))

  it("with noReplace says EEXIST where something is, and may lie in a stack's guard gap [G-OPT-09, G-MM-07]", () =>
    inProcess(() =>
      Effect.gen(function* () {
        const at = (page: number, more: Partial<Mappable.AnonymousOpts>) =>
          Mappable.map({ ...anonymous, addr: AT + page * 4096, ...more })
        yield* at(300, { fixed: true, growsDown: true })
        expect(yield* outcome(at(300, { fixed: true, noReplace: true }))).toBe("EEXIST")
        expect(yield* outcome(at(0, { noReplace: true }))).toBe("EINVAL")
        expect(yield* outcome(at(0, { fixed: true, unmap: true, noReplace: true }))).toBe("EINVAL")
        expect(yield* outcome(at(299, { fixed: true })), "in the gap").toBe("ENOMEM")
        expect(addressOf(yield* at(299, {})), "a hint in the gap is refused").not.toBe(299)
        expect(addressOf(yield* at(298, { fixed: true, noReplace: true }))).toBe(298)
      })
    ))

  it("stays in the second GiB if it is to, lowest first, unless it is fixed [G-OPT-10]", () =>
    inProcess(() =>
      Effect.gen(function* () {
        const low = yield* Mappable.map({ ...anonymous, map32Bit: true })
        expect(Units.raw(low)).toBe(0x40000000)
        expect(Units.raw(yield* Mappable.map({ ...anonymous, map32Bit: true }))).toBe(0x40001000)
        expect(yield* outcome(Mappable.map({ ...anonymous, map32Bit: true, length: 2 ** 31 }))).toBe("ENOMEM")
        expect(addressOf(yield* Mappable.map({ ...anonymous, map32Bit: true, addr: AT, fixed: true }))).toBe(0)
      })
    ))

  it("may have what it may have at most, and no more, now or by mprotect [G-OPT-11, G-OPT-13, G-PR-02]", () =>
    inProcess((identity) =>
      Effect.gen(function* () {
        const wants = (perms: AccessType.Access, maxPerms: AccessType.Access) =>
          outcome(Mappable.map({ ...anonymous, identity, addr: AT, fixed: true, unmap: true, perms, maxPerms }))
        expect([yield* wants("rw-", "r--"), yield* wants("r-x", "rw-"), yield* wants("r--", "rw-")]).toEqual([
          "EACCES",
          "EACCES",
          "done"
        ])
        expect([yield* outcome(protect(0, 1, 3)), yield* outcome(protect(0, 1, 4))]).toEqual(["done", "EACCES"])
      })
    ))

  it("wants a ceiling to include reading if it includes anything else [G-OPT-12]", () =>
    inProcess(() =>
      Effect.gen(function* () {
        expect(yield* defectOf(Mappable.map({ ...anonymous, perms: "---", maxPerms: "-w-" }))).toMatch(/not reading/)
      })
    ))

  it("private, writes to a copy that the object never sees [G-OPT-14]", () =>
    onKernel(
      Effect.gen(function* () {
        const { file, news, object } = yield* recorder()
        const identity = yield* Mappable.identity(object)
        yield* Task.run(
          "mapper",
          Effect.gen(function* () {
            yield* mapAt(identity, 0, 1, 0, { private: true })
            yield* write(0, 9)
            expect(yield* read(0)).toBe(9)
          })
        )
        expect(file.mapInternal({ start: 0, end: 1 })[0]![0]).toBe(1)
        expect(news()[1]).toBe("translate 0 r--")
      })
    ))

  it("grows down only if it is memory of no object [G-OPT-15]", () =>
    inProcess((identity) =>
      Effect.gen(function* () {
        expect(yield* outcome(Mappable.map({ ...anonymous, identity, growsDown: true }))).toBe("EINVAL")
        expect(yield* outcome(Mappable.map({ ...anonymous, growsDown: true }))).toBe("done")
      })
    ))

  it("makes its pages resident before it returns if it is to; what cannot be is nobody's business, unless it was required [G-OPT-17, G-OPT-18, G-MM-10]", () =>
    inProcess((identity, news) =>
      Effect.gen(function* () {
        const at = (pages: number, precommit: boolean | "required") =>
          outcome(
            Mappable.map({
              identity,
              perms: "rw-",
              length: pages * 4096,
              addr: AT,
              fixed: true,
              unmap: true,
              precommit
            })
          )
        expect(yield* at(3, true)).toBe("done")
        expect(news()).toEqual(["add [0, 3) @0 writable", "translate 0 r--", "translate 1 r--", "translate 2 r--"])
        expect(yield* at(9, true)).toBe("done")
        expect(yield* read(8)).toBe("SIGBUS")
        expect(yield* at(9, "required")).toBe("EFAULT")
        expect(yield* read(0), "and then there is no mapping").toBe("SIGSEGV")
        yield* checkTables
      })
    ))

  it("maps nothing into pages that nobody may touch [G-MM-08]", () =>
    inProcess((identity, news) =>
      Effect.gen(function* () {
        yield* mapAt(identity, 0, 2, 0, { perms: "---", precommit: true })
        expect(news()).toEqual(["add [0, 2) @0 writable"])
      })
    ))

  it("marked as a stack does not merge with what is none [G-OPT-23]", () =>
    inProcess(() =>
      Effect.gen(function* () {
        for (const [page, stack] of [
          [0, false],
          [1, true],
          [2, true]
        ] as const)
          yield* Mappable.map({ ...anonymous, addr: AT + page * 4096, fixed: true, stack })
        expect(yield* mapsLines).toHaveLength(2)
      })
    ))

  it("answers with the first thing that is wrong, in one order [G-MM-01]", () =>
    inProcess((identity) =>
      Effect.gen(function* () {
        const all = {
          identity,
          length: 0 as number | bigint,
          offset: 0x801 as number | bigint,
          addr: AT + 1,
          fixed: true,
          perms: "rwx",
          maxPerms: "r--",
          unmap: true,
          noReplace: true,
          growsDown: true
        } as const
        const map = (options: object) => outcome(Mappable.map({ ...all, ...options }))
        expect(yield* map({})).toBe("EINVAL") // length 0
        expect(yield* map({ length: 2n ** 64n - 1n })).toBe("ENOMEM")
        expect(yield* map({ length: 4096 })).toBe("EINVAL") // offset
        expect(yield* map({ length: 4096, offset: 2n ** 64n - 4096n })).toBe("EOVERFLOW")
        expect(yield* map({ length: 4096, offset: 0 })).toBe("EINVAL") // address
        expect(yield* map({ length: 4096, offset: 0, addr: AT })).toBe("EACCES")
        expect(yield* map({ length: 4096, offset: 0, addr: AT, perms: "r--" })).toBe("EINVAL") // unmap and noReplace
        expect(yield* map({ length: 4096, offset: 0, addr: AT, perms: "r--", noReplace: false })).toBe("EINVAL") // growsDown
        const right = { length: 4096, offset: 0, addr: AT, perms: "r--", noReplace: false, growsDown: false }
        expect(yield* map(right)).toBe("done")
      })
    ))

  it("counts against RLIMIT_AS less what it replaces [G-MM-03]", () =>
    inProcess((identity) =>
      Effect.gen(function* () {
        yield* mapAt(identity, 0, 4)
        const { totalVm } = yield* Effect.flatMap(Mm.current, Mm.stat)
        yield* Task.setrlimit("AS", totalVm * 4096)
        expect(yield* outcome(mapAt(identity, 10, 1))).toBe("ENOMEM")
        expect(yield* outcome(mapAt(identity, 0, 4))).toBe("done")
        expect(yield* outcome(mapAt(identity, 0, 5))).toBe("ENOMEM")
      })
    ))

  it("merges with a neighbour that continues it in everything, and with no other [G-MM-11]", () =>
    inProcess((identity) =>
      Effect.gen(function* () {
        const lines = (more: object, offset = 1) =>
          Effect.gen(function* () {
            yield* mapAt(identity, 0, 1, 0)
            yield* mapAt(identity, 1, 1, offset, more)
            const { length } = yield* mapsLines
            yield* unmap(0, 2)
            return length
          })
        expect(yield* lines({})).toBe(1)
        for (const more of [
          { perms: "r--" },
          { maxPerms: "rw-" },
          { private: true },
          { mlockMode: 2 },
          { stack: true }
        ])
          expect([more, yield* lines(more)]).toEqual([more, 2])
        expect(yield* lines({}, 5)).toBe(2)
      })
    ))

  it("is unmapped page by page, holes or not; a range that is none is refused [G-UN-01, G-UN-02]", () =>
    inProcess((identity, news) =>
      Effect.gen(function* () {
        yield* mapAt(identity, 0, 1)
        yield* mapAt(identity, 2, 1, 2)
        news()
        expect(yield* outcome(unmap(0, 5))).toBe("done")
        expect(news()).toEqual(["remove [0, 1) @0 writable", "remove [2, 3) @2 writable"])
        expect(yield* outcome(unmap(0, 5))).toBe("done")
        for (const [at, length] of [
          [AT + 1, 4096],
          [AT, 0],
          [AT, 2n ** 64n - 1n],
          [AT, 2 ** 47]
        ] as const)
          expect(yield* outcome(Task.munmap(at, length))).toBe("EINVAL")
      })
    ))
})

describe("MLockMode", () => {
  it("is ordered: none is 0, eager 1, lazy 2; the greater of two counts [G-ML-01, G-ML-02]", () =>
    inProcess((identity) =>
      Effect.gen(function* () {
        const { Eager, Lazy, None } = Mappable.MLockMode
        expect([None, Eager, Lazy]).toEqual([0, 1, 2])
        expect([Mappable.mlockMax(None, Eager), Mappable.mlockMax(Lazy, Eager), Mappable.mlockMax(None, None)]).toEqual(
          [1, 2, 0]
        )
        yield* mapAt(identity, 0, 1, 0, { mlockMode: Lazy })
        yield* mapAt(identity, 1, 1, 1, { mlockMode: Eager })
        expect(yield* mapsLines, "two modes do not merge").toHaveLength(2)
      })
    ))

  it("eager has every page at once, lazy as each is touched; nothing is locked on the host [G-ML-03, G-ML-04]", () =>
    inProcess((identity, news) =>
      Effect.gen(function* () {
        yield* mapAt(identity, 0, 2, 0, { mlockMode: 1 })
        yield* mapAt(identity, 4, 2, 0, { mlockMode: 2 })
        expect(news().filter((line) => line.startsWith("translate"))).toEqual(["translate 0 r--", "translate 1 r--"])
        yield* read(4)
        expect(news()).toEqual(["translate 0 r--"])
      })
    ))
})
