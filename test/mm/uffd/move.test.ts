/** UFFDIO_MOVE: between which areas, which pages, who is woken. As seen on 6.18.44. */
import { describe, expect, it } from "vitest"
import * as MADV from "../../../lib/flags/AdviceFlags.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { ONFAULT } from "../../../lib/flags/MlockFlags.ts"
import * as UFFD from "../../../lib/flags/UffdFlags.ts"
import { follow } from "../../../lib/mm/page/walk.ts"
import { parse, RO, RW, RWX } from "../linux/words.ts"
import { type Proc, world } from "../linux/world.ts"
import { MISSING, READ, seen, touch, type Uffd, uffd, WP, WRITE } from "./uffd.ts"

const HOLES = UFFD.MOVE_MODE_ALLOW_SRC_HOLES

/** Two pages at a0, and two written ones at a10. */
function pair(prot: number = RW): Proc {
  const p = world()
  p.mmap("a0+2", prot)
  p.mmap("a10+2", prot)
  p.write("a10+2")
  return p
}

describe("pages that move", () => {
  it("wake who waits for them at their new place, unless DONTWAKE", () => {
    const p = pair()
    const u = uffd(p, "a0+2")
    const r = touch(p, "a0", READ)
    expect([u.read(), u.move("a0", "a10"), r.state, p.read("a0")]).toEqual([["fault a0 read"], "ok", "ok", "111"])
    const w = touch(p, "a1", WRITE)
    expect([u.read(), u.move("a1", "a11", UFFD.MOVE_MODE_DONTWAKE), w.state]).toEqual([
      ["fault a1 write"],
      "ok",
      "waits"
    ])
    expect([u.wake("a1"), w.state]).toEqual(["ok", "ok"])
  })
  it("are missing at their old place: who touches them there is asked about, if it is registered", () => {
    const p = pair()
    const u = uffd(p, "a0+2")
    u.register("a10+2")
    u.move("a0", "a10")
    const w = touch(p, "a10", READ)
    expect([w.state, u.read(), u.move("a10", "a0"), w.state, p.read("a10")]).toEqual([
      "waits",
      ["fault a10 read"],
      "ok",
      "ok",
      "111"
    ])
  })
  it("may be the page of zeroes; a hole moves with ALLOW_SRC_HOLES, and who waits looks in vain", () => {
    const p = world("aaaa......aaaa")
    p.read("a10")
    const u = uffd(p, "a0+4")
    expect([u.move("a0", "a10"), seen(p, "a0"), seen(p, "a10")]).toEqual(["ok", "z", "."])
    expect([u.move("a1", "a11"), u.out]).toEqual(["ENOENT", "ENOENT"])
    const w = touch(p, "a1", READ)
    expect([u.read(), u.move("a1", "a11", HOLES), u.out, w.state, u.read()]).toEqual([
      ["fault a1 read"],
      "ok",
      "4096",
      "waits",
      ["fault a1 read"]
    ])
    u.zeropage("a1")
    expect(w.state).toBe("ok")
    expect([u.move("a1", "a11", HOLES), u.out], "a page is there").toEqual(["EEXIST", "EEXIST"])
  })
  it("move as far as that goes", () => {
    const p = world("aaaa......aaaa")
    p.write("a10+4")
    const u = uffd(p, "a0+4")
    u.zeropage("a1")
    expect([u.move("a0+3", "a10+3"), u.out, seen(p, "a0+4"), seen(p, "a10+4")]).toEqual([
      "EAGAIN",
      "4096",
      "Az..",
      ".AAA"
    ])
  })
  it("may overlap where each finds its place empty, downwards from the end of the gap", () => {
    const p = world("aaaaaa")
    p.write("a1+3")
    const u = uffd(p, "a0+6")
    expect([u.move("a0+3", "a1+3"), p.read("a0+3"), seen(p, "a0+6")]).toEqual(["ok", "102 103 104", "AAA..."])
    expect([u.move("a1+3", "a0+3"), u.move("a0", "a0"), u.move("a3", "a3")]).toEqual(["EEXIST", "EEXIST", "ENOENT"])
    expect([u.move("a3+3", "a0+3"), seen(p, "a0+6")]).toEqual(["ok", "...AAA"])
  })
  it("lose their protection; a marker, poison and a guard do not move, nor does anything go over them", () => {
    const p = pair()
    const u = uffd(p, "a0+2", UFFD.FEATURE_WP_UNPOPULATED, MISSING | WP)
    u.register("a10+2", WP)
    u.protect("a10+2")
    expect([u.move("a0+2", "a10+2"), seen(p, "a0+2")]).toEqual(["ok", "AA"])
    u.protect("a10+2")
    expect([seen(p, "a10+2"), p.madvise("a0+2", MADV.DONTNEED)]).toEqual(["m!m!", "ok"])
    expect([u.move("a0", "a10"), u.move("a0", "a10", HOLES)]).toEqual(["EFAULT", "EFAULT"])
    u.protect("a0")
    expect([u.move("a0", "a10"), u.move("a10", "a0")], "and the target must be registered for something").toEqual([
      "EEXIST",
      "EEXIST"
    ])
    const q = pair()
    const v = uffd(q, "a0+2")
    v.register("a10+2")
    q.madvise("a10+2", MADV.DONTNEED)
    v.poison("a10")
    q.madvise("a11", MADV.GUARD_INSTALL)
    expect([v.move("a0", "a10"), v.move("a0", "a10", HOLES), v.move("a0", "a11"), v.move("a0", "a11", HOLES)]).toEqual([
      "EFAULT",
      "EFAULT",
      "EFAULT",
      "EFAULT"
    ])
    expect(v.move("a10", "a0")).toBe("EEXIST")
  })
  it("are nobody else's: a child that has them too is in the way, and having had them, until they are written", () => {
    const p = pair()
    const u = uffd(p, "a0+2")
    const c = p.fork()
    p.write("a10")
    expect([u.move("a0+2", "a10+2"), u.out, seen(p, "a0+2")]).toEqual(["EAGAIN", "4096", "A."])
    expect(u.move("a1", "a11")).toBe("EBUSY")
    c.exit()
    expect([u.move("a1", "a11"), p.write("a11"), u.move("a1", "a11"), p.read("a1")]).toEqual([
      "EBUSY",
      "ok",
      "ok",
      "112"
    ])
  })
})

describe("a page that somebody else has a reference to", () => {
  it("moves all the same, as one that a pipe was given does", () => {
    const p = pair()
    const u = uffd(p, "a0+2")
    const frame = follow(p.k, p.mm, parse("a10")[0])
    p.k.frames.get(frame)
    expect([u.move("a0", "a10"), p.read("a0")]).toEqual(["ok", "111"])
    p.k.frames.put(frame)
  })
})

describe("areas between which pages move", () => {
  const cases: readonly (readonly [string, (p: Proc, u: Uffd) => unknown, string])[] = [
    ["a target of the descriptor's", (_, u) => u.register("a0+2"), "ok"],
    ["a target registered for writes only", (_, u) => u.register("a0+2", WP), "ok"],
    ["both", (_, u) => [u.register("a0+2"), u.register("a10+2")], "ok"],
    ["a source of another descriptor's", (p, u) => [u.register("a0+2"), uffd(p, "a10+2")], "ok"],
    ["a target of nobody's", () => 0, "EINVAL"],
    ["a target of another descriptor's", (p) => uffd(p, "a0+2"), "EINVAL"],
    ["a target that is registered in part", (_, u) => u.register("a0"), "EINVAL"],
    ["a source of two areas", (p, u) => [u.register("a0+2"), p.mprotect("a11", RO)], "EINVAL"],
    ["a source that is read-only", (p, u) => [u.register("a0+2"), p.mprotect("a10+2", RO)], "EINVAL"],
    ["a target that is read-only", (p, u) => [u.register("a0+2"), p.mprotect("a0+2", RO)], "EINVAL"],
    ["a source that is locked", (p, u) => [u.register("a0+2"), p.mlock("a10+2")], "EINVAL"],
    ["both locked", (p, u) => [u.register("a0+2"), p.mlock("a0+2", ONFAULT), p.mlock("a10+2")], "ok"],
    ["a source that is not forked", (p, u) => [u.register("a0+2"), p.madvise("a10+2", MADV.DONTFORK)], "ok"],
    ["a source that is gone", (p, u) => [u.register("a0+2"), p.munmap("a10+2")], "ENOENT"],
    ["a target that is gone", (p) => p.munmap("a0+2"), "ENOENT"],
    [
      "a source of a private file's",
      (p, u) => [u.register("a0+2"), p.mmap("a10+2", RW, MAP.PRIVATE, p.memfd(2)), p.write("a10+2")],
      "EINVAL"
    ],
    [
      "a target of a private file's",
      (p, u) => [p.mmap("a0+2", RW, MAP.PRIVATE, p.memfd(2)), u.register("a0+2")],
      "EINVAL"
    ],
    [
      "a source that is shared",
      (p, u) => [u.register("a0+2"), p.mmap("a10+2", RW, MAP.SHARED | MAP.ANONYMOUS)],
      "EINVAL"
    ]
  ]
  it.each(cases)("%s", (_, change, answer) => {
    const p = pair()
    const u = uffd(p)
    change(p, u)
    expect(u.move("a0+2", "a10+2")).toBe(answer)
    expect(u.out).toBe(answer === "ok" ? "8192" : answer)
  })
  it("any that can be written, executable or not", () => {
    const p = pair(RWX)
    expect(uffd(p, "a0+2").move("a0+2", "a10+2")).toBe("ok")
  })
})
