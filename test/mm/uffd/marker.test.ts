/** Write protection of pages and of places without one: who inherits it, what takes it along, what takes it away. As seen on
 * 6.18.44.
 */
import { describe, expect, it } from "vitest"
import * as MADV from "../../../lib/flags/AdviceFlags.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import * as UFFD from "../../../lib/flags/UffdFlags.ts"
import { ftruncate } from "../../../lib/mm/sys/file.ts"
import { mincore } from "../../../lib/mm/sys/mincore.ts"
import { fork } from "../../../lib/mm/sys/process.ts"
import { at, NONE, RO, RW } from "../linux/words.ts"
import { Proc, world } from "../linux/world.ts"
import { begin, MISSING, READ, seen, touch, Uffd, uffd, WP, WRITE } from "./uffd.ts"

const UNPOPULATED = UFFD.FEATURE_WP_UNPOPULATED

/** A page that was written, one that was read, and two that were not touched: all protected. */
function four(features = UNPOPULATED): { p: Proc; u: Uffd } {
  const p = world("aaaa")
  const u = uffd(p, "a0+4", features, WP)
  p.write("a0")
  p.read("a1")
  u.protect("a0+4")
  return { p, u }
}
/** Shared memory of four pages, the first of which is there: all protected. */
function shared(features = 0): { p: Proc; u: Uffd; fd: number } {
  const p = world()
  const fd = p.memfd(0)
  p.sys(ftruncate, fd, 4 * 4096)
  p.mmap("a0+4", RW, MAP.SHARED, fd)
  p.write("a0")
  const u = uffd(p, "a0+4", features, WP)
  u.protect("a0+4")
  return { p, u, fd }
}

describe("protection", () => {
  it("is of pages, of the page of zeroes, and of places without one", () => {
    expect(seen(four().p, "a0+4")).toBe("A!z!m!m!")
    expect(seen(four(0).p, "a0+4")).toBe("A!z!..")
    expect(seen(shared().p, "a0+4")).toBe("F!m!m!m!")
  })
  it("stays through mprotect, COLD, PAGEOUT and FREE", () => {
    const { p, u } = four()
    expect([p.mprotect("a0+4", NONE), p.mprotect("a0+4", RO), p.mprotect("a0+4", RW)]).toEqual(["ok", "ok", "ok"])
    for (const advice of [MADV.COLD, MADV.PAGEOUT, MADV.FREE]) expect(p.madvise("a0+4", advice)).toBe("ok")
    expect(seen(p, "a0+4")).toBe("A!z!m!m!")
    const w = touch(p, "a0", WRITE)
    expect([w.state, u.read(), u.protect("a0", 0), w.state]).toEqual(["waits", ["fault a0 wp write"], "ok", "ok"])
  })
  it("of shared memory stays when its pages go: dropped, paged out, cut off or punched out", () => {
    const { p, u, fd } = shared()
    expect([p.madvise("a0+4", MADV.PAGEOUT), seen(p, "a0+4")]).toEqual(["ok", "m!m!m!m!"])
    expect([p.read("a0+2"), seen(p, "a0+4")]).toEqual(["101 0", "F!F!m!m!"])
    expect([p.madvise("a0+4", MADV.DONTNEED), seen(p, "a0+4")]).toEqual(["ok", "m!m!m!m!"])
    expect(p.read("a0+3")).toBe("101 0 0")
    expect([p.sys(ftruncate, fd, 2 * 4096), seen(p, "a0+4")]).toEqual(["ok", "F!F!m!m!"])
    expect([p.madvise("a0", MADV.REMOVE), seen(p, "a0+4")]).toEqual(["ok", "m!F!m!m!"])
    u.close()
    expect(seen(p, "a0+4")).toBe(".F..")
  })
  it("goes where the range is unregistered, and everywhere with the last close", () => {
    const { p, u } = four()
    expect([u.unregister("a0+2"), seen(p, "a0+4"), p.write("a0+2")]).toEqual(["ok", "Azm!m!", "ok"])
    u.close()
    expect([seen(p, "a0+4"), p.write("a2"), seen(p, "a0+4")]).toEqual(["AA..", "ok", "AAA."])
  })
  it("is given away by registering for something else only where that is no part of what is on", () => {
    const p = world("aa")
    p.write("a0")
    const u = uffd(p, "a0+2", 0, MISSING | WP)
    u.protect("a0")
    expect([u.register("a0+2", MISSING), u.register("a0+2", WP), p.areas(), seen(p, "a0+2")]).toEqual([
      "ok",
      "ok",
      ["a0+2 rw-p um uw"],
      "A!."
    ])
  })
  it("that is given away leaves markers, which are missing pages and no more", () => {
    const { p, u } = four()
    expect([u.register("a2", MISSING), p.areas(), seen(p, "a0+4")]).toEqual([
      "ok",
      ["a0+2 rw-p uw", "a2 rw-p um", "a3 rw-p uw"],
      "A!z!m!m!"
    ])
    const w = touch(p, "a2", WRITE)
    expect([w.state, u.read(), u.copy("a2", "a0"), w.state, seen(p, "a0+4")]).toEqual([
      "waits",
      ["fault a2 write"],
      "ok",
      "ok",
      "A!z!Am!"
    ])
  })
})

describe("a child", () => {
  it("has nothing protected where forks are not told of; the parent has", () => {
    const one = four()
    const c = one.p.fork()
    expect([c.areas(), seen(c, "a0+4"), seen(one.p, "a0+4")]).toEqual([["a0+4 rw-p"], "az..", "a!z!m!m!"])
    expect([c.write("a0+4"), seen(one.p, "a0+4")]).toEqual(["ok", "A!z!m!m!"])
    const two = shared()
    const d = two.p.fork()
    expect([d.areas(), seen(d, "a0+4"), d.write("a0"), seen(d, "a0+4")]).toEqual([["a0+4 rw-s"], "....", "ok", "f..."])
  })
  it("has all of it where they are, and is answered for itself", () => {
    const { p, u } = four(UNPOPULATED | UFFD.FEATURE_EVENT_FORK)
    const f = begin(p, () => fork(p.k, p.task, "child"))
    const theirs = new Uffd(p, Number((u.read() as string[])[0]!.slice(5)))
    const c = new Proc(p.machine, Number(f.state))
    expect([c.areas(), seen(c, "a0+4"), seen(p, "a0+4")]).toEqual([["a0+4 rw-p uw"], "a!z!m!m!", "a!z!m!m!"])
    const w = touch(c, "a0", WRITE)
    expect([u.read(), theirs.read(), theirs.protect("a0", 0), w.state]).toEqual([
      "EAGAIN",
      ["fault a0 wp write"],
      "ok",
      "ok"
    ])
    expect([seen(c, "a0+4"), seen(p, "a0+4")]).toEqual(["Az!m!m!", "A!z!m!m!"])
    const s = shared(UFFD.FEATURE_EVENT_FORK)
    const g = begin(s.p, () => fork(s.p.k, s.p.task, "child"))
    s.u.read()
    expect(seen(new Proc(s.p.machine, Number(g.state)), "a0+4")).toBe("f!m!m!m!")
  })
})

describe("a marker", () => {
  it("gives way to pages that come, protected only if that is asked for; private memory's to ZEROPAGE and POISON not", () => {
    const { p, u } = shared()
    u.register("a0+4", MISSING | WP)
    expect([u.zeropage("a1"), u.copy("a2", "a0", UFFD.COPY_MODE_WP), u.poison("a3")]).toEqual(["ok", "ok", "EEXIST"])
    expect(seen(p, "a0+4")).toBe("F!FF!m!")
    const q = world("aab")
    const v = uffd(q, "a0+2", UNPOPULATED, MISSING | WP)
    v.protect("a0+2")
    expect([v.zeropage("a0"), v.poison("a0"), v.copy("a0", "a2"), seen(q, "a0+2")]).toEqual([
      "EEXIST",
      "EEXIST",
      "ok",
      "Am!"
    ])
  })
  it("where pages are answered for is a missing page first; the page that comes is what it was made", () => {
    const p = world("aab")
    const u = uffd(p, "a0+2", UNPOPULATED, MISSING | WP)
    u.protect("a0+2")
    const all = [touch(p, "a0", WRITE), touch(p, "a1", READ)]
    expect(u.read()).toEqual(["fault a0 write", "fault a1 read"])
    expect([u.copy("a0", "a2"), u.copy("a1", "a2", UFFD.COPY_MODE_WP), all.map((w) => w.state)]).toEqual([
      "ok",
      "ok",
      ["ok", "ok"]
    ])
    expect([seen(p, "a0+2"), u.read()]).toEqual(["AA!", "EAGAIN"])
  })
})

describe("a descriptor that wants SIGBUS", () => {
  it("lets no page come by itself, for reads or writes, and no protected one be written", () => {
    const p = world("aaa")
    const u = uffd(p, "a0+3", UFFD.FEATURE_SIGBUS | UNPOPULATED, MISSING | WP)
    u.zeropage("a0")
    u.protect("a0+2")
    expect([p.read("a0"), p.write("a0"), p.read("a1"), p.write("a1")]).toEqual(["0", "SIGBUS", "SIGBUS", "SIGBUS"])
    expect([u.protect("a0", 0), p.write("a0"), u.poll]).toEqual(["ok", "ok", ""])
    const child = p.fork()
    expect(child.read("a2"), "a child is answered for by nobody").toBe("0")
    child.exit()
    u.close()
    expect(p.read("a2")).toBe("0")
  })
})

describe("writes that are tracked asynchronously", () => {
  it("go through, the kernel's and the user's, and are seen by what is protected no longer", () => {
    const { p, u } = four(UFFD.FEATURE_WP_ASYNC)
    expect(seen(p, "a0+4")).toBe("A!z!m!m!")
    expect([p.write("a0+2"), p.read("a2"), seen(p, "a0+4")]).toEqual(["ok", "0", "AAz!m!"])
    expect([p.sys(mincore, at("a0"), 4096, at("a3")), seen(p, "a0+4"), u.poll]).toEqual(["ok", "AAz!A", ""])
  })
  it("may be of any file's memory", () => {
    const p = world()
    const fd = p.open("/file")
    p.mmap("a0+2", RW, MAP.SHARED, fd)
    p.mmap("a4+2", RW, MAP.PRIVATE, fd)
    const u = uffd(p, "a0+2", UFFD.FEATURE_WP_ASYNC, WP)
    u.register("a4+2", WP)
    expect([u.protect("a0+2"), u.protect("a4+2"), seen(p, "a0+2"), seen(p, "a4+2")]).toEqual([
      "ok",
      "ok",
      "m!m!",
      "m!m!"
    ])
    expect([p.write("a0"), p.write("a4"), seen(p, "a0+2"), seen(p, "a4+2")]).toEqual(["ok", "ok", "Fm!", "Am!"])
    expect([p.read("a1"), p.read("a5"), seen(p, "a1")[1], seen(p, "a5")[1]]).toEqual(["2", "2", "!", "!"])
    u.close()
    expect([seen(p, "a1")[1], seen(p, "a5")[1]]).toEqual([undefined, undefined])
  })
})
