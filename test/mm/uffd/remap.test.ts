/** Moves and changes of length that a userfaultfd is told of: what is reported, in which order. As seen on 6.18.44. */
import { describe, expect, it } from "vitest"
import { DONTUNMAP, FIXED, MAYMOVE } from "../../../lib/flags/MremapFlags.ts"
import * as UFFD from "../../../lib/flags/UffdFlags.ts"
import { mremap } from "../../../lib/mm/sys/mremap.ts"
import { at } from "../linux/words.ts"
import { type Proc, world } from "../linux/world.ts"
import { begin, type Flight, MISSING, seen, touch, type Uffd, uffd, WP, WRITE } from "./uffd.ts"

const BOTH = UFFD.FEATURE_EVENT_REMAP | UFFD.FEATURE_EVENT_UNMAP
const moving = (
  p: Proc,
  from: `a${number}`,
  [pages, length]: readonly [number, number],
  to: `a${number}` = "a0",
  flags: number = MAYMOVE | FIXED
): Flight => begin(p, () => mremap(p.k, p.task, at(from), pages * 4096, length * 4096, flags, at(to)))
/** Reads one message after another until the call is done: what it was told, and what the call answered. */
function follow(f: Flight, ...all: Uffd[]): string {
  const told: string[] = []
  for (let i = 0; i < 8 && f.state === "waits"; i++)
    for (const u of all) if (u.poll === "IN") told.push(String(u.read(1)))
  return [...told, f.state].join(", ")
}

describe("mremap that is told of", () => {
  it("says first what moved, then what was unmapped at the old place", () => {
    const p = world("aaaa")
    const u = uffd(p, "a0+4", BOTH)
    expect(follow(moving(p, "a0", [4, 4], "a10"), u)).toBe("remap a0 a10 4, unmap a0 a4, a10")
    expect(p.areas()).toEqual(["a10+4 rw-p um"])
    expect(follow(moving(p, "a11", [1, 1], "a20"), u), "a part").toBe("remap a11 a20 1, unmap a11 a12, a20")
    expect(p.areas()).toEqual(["a10 rw-p um", "a12+2 rw-p um", "a20 rw-p um"])
  })
  it("says of a shrinking one only what was unmapped, of a growing one nothing", () => {
    const p = world("aaaa")
    const u = uffd(p, "a0+4", BOTH)
    expect(follow(moving(p, "a0", [4, 3], "a0", 0), u)).toBe("unmap a3 a4, a0")
    expect([follow(moving(p, "a0", [3, 5], "a0", 0), u), p.areas()]).toEqual(["a0", ["a0+5 rw-p um"]])
  })
  it("that grows on the way names the old length; one that shrinks tells of its tail before the rest", () => {
    const p = world("a")
    const u = uffd(p, "a0", BOTH)
    expect(follow(moving(p, "a0", [1, 3], "a10"), u)).toBe("remap a0 a10 1, unmap a0 a1, a10")
    expect(p.areas()).toEqual(["a10+3 rw-p um"])
    expect(follow(moving(p, "a10", [3, 2], "a20"), u)).toBe("remap a10 a20 2, unmap a12 a13, unmap a10 a12, a20")
    expect(p.areas()).toEqual(["a20+2 rw-p um"])
  })
  it("with DONTUNMAP unmaps nothing: both places are registered", () => {
    const p = world("aa")
    p.write("a0+2")
    const u = uffd(p, "a0+2", BOTH)
    expect(follow(moving(p, "a0", [2, 2], "a10", MAYMOVE | FIXED | DONTUNMAP), u)).toBe("remap a0 a10 2, a10")
    expect([p.areas(), p.pages("a0+2")]).toEqual([["a0+2 rw-p um", "a10+2 rw-p um"], ".."])
    const w = touch(p, "a0", WRITE)
    expect(u.read()).toEqual(["fault a0 write"])
    u.zeropage("a0")
    expect(w.state).toBe("ok")
  })
  it("onto registered memory tells of that first, each descriptor in turn and of the whole target", () => {
    const p = world("aa........aa")
    const u = uffd(p, "a0+2", BOTH)
    const v = uffd(p, "a10", BOTH)
    u.register("a11")
    const f = moving(p, "a0", [2, 2], "a10")
    expect([f.state, u.poll, v.poll]).toEqual(["waits", "", "IN"])
    expect(follow(f, u, v)).toBe("unmap a10 a12, unmap a10 a12, remap a0 a10 2, unmap a0 a2, a10")
    expect([p.areas(), u.poll, v.poll]).toEqual([["a10+2 rw-p um"], "", ""])
  })
  it("brings the new pages of locked memory in before it tells of anything", () => {
    const p = world("a.........a")
    p.write("a0")
    p.mlock("a0")
    const u = uffd(p, "a10", BOTH)
    const f = moving(p, "a0", [1, 3], "a10")
    expect([f.state, p.pages("a10+3"), follow(f, u)]).toEqual(["waits", "AAA", "unmap a10 a13, a10"])
  })
  it("keeps pages from coming until the last of its messages was read", () => {
    const p = world("a.b")
    const u = uffd(p, "a0", BOTH)
    const f = moving(p, "a0", [1, 1], "a10")
    expect([f.state, u.copy("a10", "a2"), u.read(1), f.state, u.copy("a10", "a2"), u.read(1)]).toEqual([
      "waits",
      "EAGAIN",
      ["remap a0 a10 1"],
      "waits",
      "EAGAIN",
      ["unmap a0 a1"]
    ])
    expect([f.state, u.copy("a10", "a2")]).toEqual(["a10", "ok"])
  })
  it("goes on when the descriptor is closed instead, and when it is killed nothing is changing any longer", () => {
    const p = world("aab")
    const u = uffd(p, "a0+2", BOTH)
    const killed = moving(p, "a0", [1, 1], "a10")
    expect(killed.state).toBe("waits")
    killed.kill()
    expect([u.poll, u.copy("a10", "a2")]).toEqual(["", "ok"])
    const f = moving(p, "a1", [1, 1], "a20")
    expect(f.state).toBe("waits")
    u.close()
    expect([f.state, p.areas()]).toEqual(["a20", ["a2 r--p", "a10 rw-p", "a20 rw-p"]])
  })
  it("of no length, which maps shared memory once more, tells of a move of nothing; both places are registered", () => {
    const p = world("ss")
    const u = uffd(p, "a0+2", BOTH)
    expect(follow(moving(p, "a0", [0, 2], "a10"), u)).toBe("remap a0 a10 0, a10")
    expect(p.areas()).toEqual(["a0+2 rw-s um", "a10+2 rw-s um"])
    const q = world("ss")
    const v = uffd(q, "a0+2", UFFD.FEATURE_EVENT_UNMAP)
    expect([follow(moving(q, "a0", [0, 2], "a10"), v), q.areas()]).toEqual(["a10", ["a0+2 rw-s um", "a10+2 rw-s"]])
  })
  it("that fails before it changes anything tells of nothing", () => {
    const p = world("a.........a")
    const u = uffd(p, "a0", BOTH)
    u.register("a10")
    expect([follow(moving(p, "a0", [2, 3], "a10"), u), u.poll]).toEqual(["EFAULT", ""])
  })
  it("of several areas at once ends before one that is registered", () => {
    const p = world("ab")
    const u = uffd(p, "a0", BOTH)
    expect([p.mremap("a0+2", "a10+2"), p.areas()]).toEqual(["EFAULT", ["a0 rw-p um", "a1 r--p"]])
    const q = world("ba")
    const v = uffd(q, "a1", BOTH)
    expect([q.mremap("a0+2", "a10+2"), q.areas()]).toEqual(["EFAULT", ["a1 rw-p um", "a10 r--p"]])
    expect([u.poll, v.poll]).toEqual(["", ""])
  })
})

describe("mremap that is not told of", () => {
  it("takes the new place from the userfaultfd, and with DONTUNMAP the old one too", () => {
    const p = world("aaa")
    const u = uffd(p, "a0+3", UFFD.FEATURE_EVENT_UNMAP)
    expect(follow(moving(p, "a0", [1, 1], "a10"), u)).toBe("unmap a0 a1, a10")
    expect(follow(moving(p, "a1", [1, 1], "a20", MAYMOVE | FIXED | DONTUNMAP), u)).toBe("a20")
    expect(p.areas()).toEqual(["a1+2 rw-p um", "a10 rw-p", "a20 rw-p"])
  })
  it("loses the protection of pages and markers on the way; one that is told of keeps it", () => {
    for (const [event, after] of [
      [0, "Az.."],
      [UFFD.FEATURE_EVENT_REMAP, "A!z!m!m!"]
    ] as const) {
      const p = world("aaaa")
      const u = uffd(p, "a0+4", UFFD.FEATURE_WP_UNPOPULATED | event, WP)
      p.write("a0")
      p.read("a1")
      u.protect("a0+4")
      expect(seen(p, "a0+4")).toBe("A!z!m!m!")
      expect(follow(moving(p, "a0", [4, 4], "a10"), u)).toMatch(/a10$/)
      expect(seen(p, "a10+4")).toBe(after)
    }
  })
})

describe("a fault that waits", () => {
  it("finds nothing at the old place when it is woken after a move", () => {
    const p = world("aaa")
    const u = uffd(p, "a0+3", 0, MISSING)
    const w = touch(p, "a1", WRITE)
    expect(p.mremap("a1", "a20")).toBe("a20")
    expect(w.state).toBe("waits")
    u.wake("a1")
    expect(w.state).toBe("SEGV_MAPERR")
  })
})
