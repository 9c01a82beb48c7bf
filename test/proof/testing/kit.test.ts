import { Effect, Exit, Scope } from "effect"
import { describe, expect, it } from "vitest"
import { Kernel, Lockdep, MapFlags, Page, ProtFlags, Task, Units } from "pagewright"
import {
  boot,
  checkIdle,
  checkMm,
  draw,
  drawPages,
  exit,
  failNth,
  type Legend,
  type Machine,
  map,
  spawn,
  start
} from "pagewright/testing"

const ANON = MapFlags.PRIVATE | MapFlags.ANONYMOUS
const RW = ProtFlags.READ | ProtFlags.WRITE

/** Runs a program as a process of `k`. */
const on = <A, E>(k: Machine, program: Effect.Effect<A, E, Task.Task | Kernel.Kernel | Lockdep.Markers>): Promise<A> =>
  Lockdep.runTask(Effect.orDie(Effect.provideService(Task.run("p", program), Kernel.Kernel, k)))

describe("pictures", () => {
  it("are drawn as they were mapped: a letter a page, equal neighbours one area", () => {
    for (const picture of ["a", "ab", "aba", "aa.bb", "abcde", "a..b...a"]) {
      const k = boot()
      const pid = spawn(k)
      map(k, pid, picture, { d: { prot: ProtFlags.NONE, flags: ANON }, e: { prot: 7, flags: ANON } })
      expect(draw(k, pid)).toBe(picture)
      checkIdle(k)
    }
  })

  it("name letters in order of first appearance, whatever was mapped", () => {
    const k = boot()
    const pid = spawn(k)
    map(k, pid, "nsa")
    expect(draw(k, pid)).toBe("abc")
    checkIdle(k)
  })

  it("part areas of equal attributes that did not merge", () => {
    const k = boot()
    const pid = spawn(k)
    map(k, pid, "ss|ss")
    expect(draw(k, pid), "each call made its own file").toBe("aabb")
    map(k, pid, "aa|aa")
    expect(draw(k, pid), "private memory merges").toBe("aaaa")
    checkIdle(k)
  })

  it("show a window where one is asked for, holes at its ends included", () => {
    const k = boot()
    const pid = spawn(k)
    map(k, pid, "..aaab")
    expect(draw(k, pid, { at: start, pages: 8 })).toBe("..aaab..")
    expect(draw(k, pid, { at: Units.va("0x10003000"), pages: 2 })).toBe("aa")
    expect(drawPages(k, pid, { at: start, pages: 4 })).toBe("..__")
    checkIdle(k)
  })

  it("of an empty address space are empty, and wide areas and holes are counted", () => {
    const k = boot({ frames: 256 })
    const pid = spawn(k)
    expect([draw(k, pid), drawPages(k, pid)]).toEqual(["", ""])
    map(k, pid, `${"a".repeat(100)}${".".repeat(70)}b`)
    expect(draw(k, pid)).toBe("a*100.*70b")
    expect(drawPages(k, pid)).toBe("_*100.*70_")
    checkIdle(k)
  })

  it("of pages show what was read, written, shared with a fork and forbidden; the stack is left out", async () => {
    const k = boot()
    await on(
      k,
      Effect.gen(function* () {
        const { pid } = yield* Task.self
        map(k, pid, "aaab")
        const page = (i: number): number => Units.raw(start) + i * 4096
        yield* Task.load8(page(0))
        yield* Task.store8(page(1), 1)
        yield* Task.store8(page(2), 1)
        expect(draw(k, pid)).toBe("aaab")
        expect(drawPages(k, pid)).toBe("zAA_")
        const child = yield* Task.fork(Effect.void)
        yield* Task.wait(child)
        expect(drawPages(k, pid)).toBe("zaa_")
        yield* Task.store8(page(2), 2)
        expect(drawPages(k, pid)).toBe("zaA_")
        yield* Task.mprotect(page(1), 4096, ProtFlags.NONE)
        expect(drawPages(k, pid)).toBe("znA_")
        expect(draw(k, pid)).toBe("abac")
      })
    )
    checkIdle(k)
  })

  it("refuse letters that nobody explained, processes that are not there, and calls that fail, in words", () => {
    const k = boot({ maxMapCount: 1 })
    const pid = spawn(k)
    expect(() => map(k, pid, "ax")).toThrow(`picture "ax": the legend has no "x"`)
    expect(() => map(k, pid, "abna")).toThrow(`picture "abna": mmap answers ENOMEM`)
    for (const none of [0, -1, 7, 1.5, NaN, 1e9]) {
      expect(() => draw(k, none)).toThrow(`there is no process ${none} on this machine`)
      expect(() => exit(k, none)).toThrow(RangeError)
    }
    exit(k, pid)
    expect(() => draw(k, pid)).toThrow(RangeError)
    checkIdle(k)
  })

  it("take a legend of one's own", () => {
    const k = boot()
    const pid = spawn(k)
    const mine: Legend = { x: { prot: ProtFlags.EXEC, flags: ANON | MapFlags.NORESERVE } }
    map(k, pid, "xxa", mine)
    expect(draw(k, pid)).toBe("aab")
    checkMm(k)
  })
})

describe("machines", () => {
  it("are apart: each boot is another one", () => {
    const [k, l] = [boot(), boot()]
    const pid = spawn(k)
    map(k, pid, "aa")
    expect(() => draw(l, pid)).toThrow(/no process/)
    checkIdle(l)
  })

  it("are given sizes, and refuse sizes that make none", () => {
    expect(() => boot({ frames: 3 })).toThrow(RangeError)
    const k = boot({ frames: 1000 })
    checkIdle(k)
  })

  it("are told by checkIdle what is wrong with them", async () => {
    const k = boot()
    const pid = spawn(k)
    map(k, pid, "a")
    checkIdle(k)
    // a process in whose midst checkIdle is asked holds no lock, so that is idle too
    await on(
      k,
      Effect.sync(() => checkIdle(k))
    )
    exit(k, pid)
    checkIdle(k)
  })
})

describe("failNth", () => {
  const scenario = Task.run(
    "p",
    Effect.gen(function* () {
      const at = yield* Task.mmap({ length: 8192, prot: RW, flags: ANON })
      yield* Task.store8(at, 1)
      const child = yield* Task.fork(Task.store8(at, 2))
      yield* Task.wait(child)
    })
  )

  it("fails every allocation of a scenario in turn, and finds a kernel that undoes each", async () => {
    expect(await Lockdep.runTask(failNth(scenario))).toBeGreaterThan(20)
  })

  it("dies where the scenario fails with nothing in its way", async () => {
    const greedy = Task.run("p", Task.mmap({ length: 4096 * 100, prot: RW, flags: ANON }))
    await expect(Lockdep.runTask(failNth(greedy))).rejects.toThrow("the scenario ends in")
  })

  it("dies naming the first allocation whose failure leaves something behind", async () => {
    const careless = Effect.gen(function* () {
      const scope = yield* Scope.make()
      yield* Effect.provideService(Page.allocPage("GFP_KERNEL"), Scope.Scope, scope)
      yield* scenario // fails, and nobody closes the scope
      yield* Scope.close(scope, Exit.void)
    })
    await expect(Lockdep.runTask(failNth(careless))).rejects.toThrow("with allocation 2 failed:\n  1 page is left")
  })
})
