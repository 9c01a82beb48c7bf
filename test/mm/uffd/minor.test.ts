/** Pages that the object has and the mapping has not: MINOR faults and CONTINUE. As seen on 6.18.44. */
import { describe, expect, it } from "vitest"
import { DONTNEED } from "../../../lib/flags/AdviceFlags.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import * as UFFD from "../../../lib/flags/UffdFlags.ts"
import { ftruncate } from "../../../lib/mm/sys/file.ts"
import { mincore } from "../../../lib/mm/sys/mincore.ts"
import { at, RW } from "../linux/words.ts"
import { type Proc, world } from "../linux/world.ts"
import { begin, MINOR, MISSING, READ, seen, touch, uffd, WP, WRITE } from "./uffd.ts"

/** Eight pages of memory that is shared (or private), of whose object the first four are there. */
function half(flags: number = MAP.SHARED): { p: Proc; fd: number } {
  const p = world()
  const fd = p.memfd(4)
  p.sys(ftruncate, fd, 8 * 4096)
  p.mmap("a0+8", RW, flags, fd)
  return { p, fd }
}

describe("MINOR", () => {
  it("asks about pages that the object has; others come as they would, if they are not missing for somebody", () => {
    const { p } = half()
    const u = uffd(p, "a0+6", 0, MINOR)
    const all = [touch(p, "a0", READ), touch(p, "a1", WRITE)]
    expect(u.read()).toEqual(["fault a0 minor read", "fault a1 minor write"])
    expect([u.continue("a0+2"), all.map((w) => w.state)]).toEqual(["ok", ["ok", "ok"]])
    expect([p.read("a4"), seen(p, "a0+8")]).toEqual(["0", "FF..F..."])
  })
  it("asks about what the kernel does, too", () => {
    const { p } = half()
    const u = uffd(p, "a0+6", 0, MINOR)
    const call = begin(p, () => mincore(p.k, p.task, at("a0"), 4096, at("a1")))
    expect([call.state, u.read(), u.continue("a1"), call.state]).toEqual([
      "waits",
      ["fault a1 minor write"],
      "ok",
      "ok"
    ])
  })
  it("in a private mapping maps the object's page, which a write then copies; pages may also be put over it", () => {
    const { p } = half(MAP.PRIVATE)
    p.map("........b")
    const u = uffd(p, "a0+8", 0, MISSING | MINOR)
    const r = touch(p, "a0", READ)
    expect([u.read(), u.continue("a0"), r.state]).toEqual([["fault a0 minor read"], "ok", "ok"])
    const w = touch(p, "a1", WRITE)
    expect([u.read(), u.continue("a1"), w.state, seen(p, "a0+8")]).toEqual([
      ["fault a1 minor write"],
      "ok",
      "ok",
      "FA......"
    ])
    expect([u.copy("a2", "a8"), u.zeropage("a3"), seen(p, "a0+8")]).toEqual(["ok", "ok", "FAAz...."])
    const m = touch(p, "a6", WRITE)
    expect([u.read(), u.zeropage("a6"), m.state, seen(p, "a0+8")]).toEqual([["fault a6 write"], "ok", "ok", "FAAz..A."])
  })
  it("ends in SIGBUS where the file has become shorter meanwhile", () => {
    const { p, fd } = half()
    const u = uffd(p, "a0+8", 0, MINOR)
    const w = touch(p, "a3", READ)
    expect([u.read(), p.sys(ftruncate, fd, 2 * 4096), w.state]).toEqual([["fault a3 minor read"], "ok", "waits"])
    expect([u.continue("a3"), u.out, u.wake("a3"), w.state]).toEqual(["EINVAL", "EINVAL", "ok", "SIGBUS"])
  })
})

describe("CONTINUE", () => {
  it("maps as many pages as there are, up to the first that is mapped or that the object has not", () => {
    const { p } = half()
    const u = uffd(p, "a0+6", 0, MINOR)
    p.read("a4")
    expect([u.continue("a4"), u.continue("a5"), u.out]).toEqual(["EEXIST", "EFAULT", "EFAULT"])
    expect([u.continue("a2+4"), u.out]).toEqual(["EAGAIN", "8192"])
    expect([u.continue("a6"), u.continue("a5+2")], "not registered").toEqual(["ENOENT", "ENOENT"])
  })
  it("with WP brings pages that are protected, where writes are tracked", () => {
    const { p } = half()
    const u = uffd(p, "a0+4", 0, MINOR)
    expect([u.continue("a0", UFFD.CONTINUE_MODE_WP), u.out]).toEqual(["EINVAL", "EINVAL"])
    u.unregister("a0+4")
    u.register("a0+4", MINOR | WP)
    expect([u.continue("a0", UFFD.CONTINUE_MODE_WP), seen(p, "a0")]).toEqual(["ok", "F!"])
    const w = touch(p, "a0", WRITE)
    expect([u.read(), u.protect("a0", 0), w.state]).toEqual([["fault a0 wp write"], "ok", "ok"])
  })
  it("goes over a marker that protection left, and the page is protected only if that is asked for", () => {
    const { p } = half()
    const u = uffd(p, "a0+4", 0, MINOR | WP)
    p.read("a3")
    u.protect("a0+4")
    expect(p.madvise("a0+4", DONTNEED)).toBe("ok")
    expect(seen(p, "a0+4")).toBe("m!m!m!m!")
    expect([u.continue("a0"), u.continue("a1", UFFD.CONTINUE_MODE_WP), seen(p, "a0+4")]).toEqual([
      "ok",
      "ok",
      "FF!m!m!"
    ])
  })
})
