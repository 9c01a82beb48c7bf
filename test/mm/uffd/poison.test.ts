/** Poisoned pages: what goes over them, what takes them away, who inherits them. As seen on 6.18.44. */
import { describe, expect, it } from "vitest"
import * as MADV from "../../../lib/flags/AdviceFlags.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { ftruncate } from "../../../lib/mm/sys/file.ts"
import { NONE, RW } from "../linux/words.ts"
import { world } from "../linux/world.ts"
import { MINOR, MISSING, seen, touch, uffd, WP } from "./uffd.ts"

const GONE = "SIGBUS_POISON"

describe("poison in private memory", () => {
  it("is written over by COPY; ZEROPAGE and POISON find it there; write protection passes over it", () => {
    const p = world("aaab")
    const u = uffd(p, "a0+3", 0, MISSING | WP)
    expect([u.poison("a0+3"), u.out, seen(p, "a0+3")]).toEqual(["ok", "12288", "ppp"])
    expect([u.copy("a0", "a3"), u.zeropage("a1"), u.poison("a1"), u.protect("a1")]).toEqual([
      "ok",
      "EEXIST",
      "EEXIST",
      "ok"
    ])
    expect([p.read("a0+3"), seen(p, "a0+3")]).toEqual([`0 ${GONE} ${GONE}`, "App"])
  })
  it("goes with DONTNEED and FREE, and the page is missing then; COLD, PAGEOUT and mprotect leave it", () => {
    const p = world("aaaa")
    const u = uffd(p, "a0+4")
    u.poison("a0+4")
    expect([p.madvise("a0", MADV.DONTNEED), p.madvise("a1", MADV.FREE)]).toEqual(["ok", "ok"])
    expect([p.madvise("a2", MADV.COLD), p.madvise("a2", MADV.PAGEOUT)]).toEqual(["ok", "ok"])
    expect([p.mprotect("a3", NONE), p.read("a3"), p.mprotect("a3", RW)]).toEqual(["ok", "SEGV_ACCERR", "ok"])
    expect(seen(p, "a0+4")).toBe("..pp")
    const w = touch(p, "a1")
    expect([w.state, u.read(), u.poison("a1"), w.state]).toEqual(["waits", ["fault a1 read"], "ok", GONE])
  })
  it("gives way to a guard, and does not come back; a guard gives way to COPY only", () => {
    const p = world("aab")
    const u = uffd(p, "a0+2")
    u.poison("a0")
    expect([p.madvise("a0", MADV.GUARD_INSTALL), p.read("a0"), p.madvise("a0", MADV.GUARD_REMOVE)]).toEqual([
      "ok",
      "SEGV_MAPERR",
      "ok"
    ])
    expect(seen(p, "a0")).toBe(".")
    p.madvise("a1", MADV.GUARD_INSTALL)
    expect([u.zeropage("a1"), u.poison("a1"), u.copy("a1", "a2"), p.read("a1")]).toEqual([
      "EEXIST",
      "EEXIST",
      "ok",
      "0"
    ])
  })
  it("is the child's too, registered or not; it moves with mremap, and stays when nobody answers any longer", () => {
    const p = world("aaa")
    const u = uffd(p, "a0+3")
    u.poison("a0+3")
    const c = p.fork()
    expect([c.areas(), c.read("a0+3")]).toEqual([["a0+3 rw-p"], `${GONE} ${GONE} ${GONE}`])
    expect([p.mremap("a1", "a10"), p.read("a10"), p.areas()]).toEqual([
      "a10",
      GONE,
      ["a0 rw-p um", "a2 rw-p um", "a10 rw-p"]
    ])
    expect([p.madvise("a10", MADV.DONTNEED), p.read("a10")]).toEqual(["ok", "0"])
    expect([u.unregister("a0"), p.read("a0")]).toEqual(["ok", GONE])
    u.close()
    expect([p.read("a2"), p.munmap("a2"), p.mmap("a2", RW), p.read("a2")]).toEqual([GONE, "ok", "a2", "0"])
  })
})

describe("poison in shared memory", () => {
  it("is of the mapping, not of the object; COPY goes over it where the object has no page, CONTINUE where it has one", () => {
    const p = world()
    const fd = p.memfd(0)
    expect(p.sys(ftruncate, fd, 4 * 4096)).toBe("ok")
    p.mmap("a0+4", RW, MAP.SHARED, fd)
    p.mmap("a10+4", RW, MAP.SHARED, fd)
    p.map("..............b")
    const u = uffd(p, "a0+4", 0, MISSING | MINOR)
    expect([u.poison("a0+2"), p.read("a0"), p.read("a10")]).toEqual(["ok", GONE, "0"])
    expect([u.copy("a0", "a14"), u.out]).toEqual(["EEXIST", "EEXIST"])
    expect([u.copy("a1", "a14"), u.continue("a0"), p.read("a0+2")]).toEqual(["ok", "ok", "0 0"])
  })
  it("goes with DONTNEED and with the end of the file, not with a hole punched into it; beyond the end there is none", () => {
    const p = world()
    const fd = p.memfd(0)
    p.sys(ftruncate, fd, 4 * 4096)
    p.mmap("a0+4", RW, MAP.SHARED, fd)
    const u = uffd(p, "a0+4")
    expect([u.poison("a2"), p.madvise("a2", MADV.DONTNEED), seen(p, "a2")]).toEqual(["ok", "ok", "."])
    expect([u.poison("a2"), p.madvise("a2", MADV.REMOVE), seen(p, "a2")]).toEqual(["ok", "ok", "p"])
    expect([u.poison("a3"), p.sys(ftruncate, fd, 4096), seen(p, "a0+4")]).toEqual(["ok", "ok", "...."])
    expect([u.poison("a3"), u.out]).toEqual(["EFAULT", "EFAULT"])
  })
})
