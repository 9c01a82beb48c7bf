/** Which memory a userfaultfd answers for. */
import { describe, expect, it } from "vitest"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import * as UFFD from "../../../lib/flags/UffdFlags.ts"
import { FMODE_READ } from "../../../lib/mm/store/files.ts"
import { uffdRegister, uffdUnregister, uffdWake } from "../../../lib/mm/sys/uffd-register.ts"
import { A0, ANON, at, NONE, RO, RW } from "../linux/words.ts"
import { world } from "../linux/world.ts"
import { MINOR, MISSING, READ, touch, uffd, WP, WRITE } from "./uffd.ts"

describe("UFFDIO_REGISTER", () => {
  it("wants a mode that it knows [UK-RG-01]", () => {
    const p = world("a")
    const u = uffd(p)
    const bad = [0, 8, 8 | MISSING, 2 ** 32, 2 ** 32 + MISSING]
    expect(bad.map((mode) => u.register("a0", mode))).toEqual(bad.map(() => "EINVAL"))
    expect([u.register("a0", WP), u.register("a0", MISSING | WP)]).toEqual(["ok", "ok"])
  })
  it("wants whole pages of user space, one at least [UK-RG-02]", () => {
    const p = world("aa")
    const u = uffd(p)
    const call = (start: number | bigint, len: number | bigint): string =>
      p.sys(uffdRegister, u.fd, start, len, MISSING)
    const bad: [number | bigint, number | bigint][] = [
      [at("a0") + 1, 4096],
      [at("a0"), 0],
      [at("a0"), 4095],
      [2 ** 47 - 4096, 4096],
      [2 ** 47 - 8192, 8192],
      [at("a0"), 2n ** 64n - 4096n]
    ]
    expect(bad.map(([start, len]) => call(start, len))).toEqual(bad.map(() => "EINVAL"))
    expect(call(at("a0"), 8192)).toBe("ok")
    for (const [start, len] of bad) {
      expect(p.sys(uffdUnregister, u.fd, start, len)).toBe("EINVAL")
      expect(p.sys(uffdWake, u.fd, start, len)).toBe("EINVAL")
    }
  })
  it("is EINVAL where nothing at all is mapped, and passes over holes [UK-RG-04]", () => {
    const p = world("a..a")
    const u = uffd(p)
    expect([u.register("a1+2"), u.register("a4+2"), u.register("a0+6")]).toEqual(["EINVAL", "EINVAL", "ok"])
    expect(p.areas()).toEqual(["a0 rw-p um", "a3 rw-p um"])
  })
  it("is for anonymous and shared memory; of files, only where writes are tracked asynchronously; never droppable [UK-RG-05]", () => {
    const p = world("as")
    p.mmap("a2", RW, MAP.SHARED, p.memfd(1))
    p.mmap("a3", RW, MAP.PRIVATE, p.open("/f"))
    p.mmap("a4", RW, MAP.SHARED, p.open("/f"))
    p.mmap("a5", RW, (ANON & ~MAP.PRIVATE) | MAP.DROPPABLE)
    const each = ["a0", "a1", "a2", "a3", "a4", "a5"] as const
    const u = uffd(p)
    expect(each.map((page) => u.register(page))).toEqual(["ok", "ok", "ok", "EINVAL", "EINVAL", "EINVAL"])
    expect(each.map((page) => u.register(page, WP))).toEqual(["ok", "ok", "ok", "EINVAL", "EINVAL", "EINVAL"])
    u.close()
    const async = uffd(p, "", UFFD.FEATURE_WP_ASYNC)
    expect(each.map((page) => async.register(page, WP))).toEqual(["ok", "ok", "ok", "ok", "ok", "EINVAL"])
    expect(async.register("a3", MISSING | WP)).toBe("EINVAL")
  })
  it("is EPERM for memory that may never be written [UK-RG-06]", () => {
    const p = world("b")
    p.mmap("a1", RO, MAP.SHARED, p.memfd(1, FMODE_READ))
    const u = uffd(p)
    expect([u.register("a0"), u.register("a1")], "read-only now, or for ever").toEqual(["ok", "EPERM"])
  })
  it("is EBUSY for another descriptor's memory [UK-RG-07]", () => {
    const p = world("aa")
    const u = uffd(p, "a1")
    const other = uffd(p)
    expect([other.register("a0+2"), other.register("a0")]).toEqual(["EBUSY", "ok"])
    u.unregister("a1")
    expect(other.register("a1")).toBe("ok")
  })
  it("looks at every area before it changes one [UK-RG-09]", () => {
    const p = world("aa")
    p.mmap("a2", RW, MAP.PRIVATE, p.open("/f"))
    const u = uffd(p)
    expect(u.register("a0+3")).toBe("EINVAL")
    expect(p.areas()).toEqual(["a0+2 rw-p", "a2 rw-p"])
  })
  it("splits areas at the ends of the range, and another set of modes takes the place of the first [UK-RG-10, UK-RG-12]", () => {
    const p = world("aaaa")
    const u = uffd(p, "a1+2")
    expect(p.areas()).toEqual(["a0 rw-p", "a1+2 rw-p um", "a3 rw-p"])
    expect(u.register("a1+2", WP)).toBe("ok")
    expect(p.areas()).toEqual(["a0 rw-p", "a1+2 rw-p uw", "a3 rw-p"])
    expect(u.register("a1+2", MISSING | WP)).toBe("ok")
    expect(p.areas()).toEqual(["a0 rw-p", "a1+2 rw-p um uw", "a3 rw-p"])
    expect(u.register("a1+2", MISSING), "all of them are on: nothing changes").toBe("ok")
    expect(p.areas()).toEqual(["a0 rw-p", "a1+2 rw-p um uw", "a3 rw-p"])
  })
  it("answers minor faults of shared memory, not of anonymous [UK-RG-11]", () => {
    const p = world("as")
    const u = uffd(p)
    expect([u.register("a0", MINOR), u.register("a0", MISSING | MINOR), u.register("a1", MINOR)]).toEqual([
      "EINVAL",
      "EINVAL",
      "ok"
    ])
  })
})

describe("UFFDIO_UNREGISTER", () => {
  it("is EINVAL for another descriptor's memory, for files, and where nothing is mapped [UK-UR-01]", () => {
    const p = world("aa..a")
    p.mmap("a2", RW, MAP.PRIVATE, p.open("/f"))
    uffd(p, "a1")
    const u = uffd(p, "a0")
    expect([u.unregister("a0+2"), u.unregister("a2"), u.unregister("a3"), u.unregister("a0")]).toEqual([
      "EINVAL",
      "EINVAL",
      "EINVAL",
      "ok"
    ])
  })
  it("passes over memory that nobody answers for [UK-UR-02]", () => {
    const p = world("aa.a")
    const u = uffd(p, "a1")
    expect(u.unregister("a0+5")).toBe("ok")
    expect(u.unregister("a0+5")).toBe("ok")
    expect(p.areas()).toEqual(["a0+2 rw-p", "a3 rw-p"])
  })
  it("lets go on who waits for missing pages there, and takes write protection away [UK-UR-03]", () => {
    const p = world("aaa")
    p.write("a1")
    const u = uffd(p, "a0+3", 0, MISSING | WP)
    u.protect("a1")
    const here = [touch(p, "a0", READ), touch(p, "a1", WRITE)]
    const there = touch(p, "a2", READ)
    expect(u.unregister("a0+2")).toBe("ok")
    expect([...here, there].map((w) => w.state)).toEqual(["ok", "ok", "waits"])
    expect(p.write("a0+2")).toBe("ok")
    u.close()
    expect(there.state).toBe("ok")
  })
  it("merges what registering split, also with areas that came meanwhile [L-VMA-36]", () => {
    const p = world("aaaa")
    const u = uffd(p, "a1+2")
    expect(p.draw()).toBe("abba")
    expect(p.mmap("a4+2", RW)).toBe("a4")
    expect(p.draw()).toBe("abbaaa")
    expect(u.unregister("a1+2")).toBe("ok")
    expect(p.areas()).toEqual(["a0+6 rw-p"])
  })
  it("does not merge what differs otherwise, and a part of an area is split off", () => {
    const p = world("aaab")
    const u = uffd(p, "a0+4")
    expect(u.unregister("a1")).toBe("ok")
    expect(p.areas()).toEqual(["a0 rw-p um", "a1 rw-p", "a2 rw-p um", "a3 r--p um"])
    expect(p.mprotect("a1", NONE)).toBe("ok")
    expect(u.unregister("a0+4")).toBe("ok")
    expect(p.draw()).toBe("abac")
    expect(p.k.maple.lookup(p.mm, A0)).not.toBe(0)
  })
})

describe("UFFDIO_WAKE", () => {
  it("lets go on who waits in the range, read or not; who finds no page faults again [UK-WK-01]", () => {
    const p = world("aaa")
    const u = uffd(p, "a0+3")
    const all = [touch(p, "a0", WRITE), touch(p, "a1"), touch(p, "a2")]
    expect(u.read(1)).toEqual(["fault a0 write"])
    expect(u.wake("a0+2")).toBe("ok")
    expect(all.map((w) => w.state)).toEqual(["waits", "waits", "waits"])
    expect(u.read(), "a2 was not woken; the others came again, behind it").toEqual([
      "fault a2 read",
      "fault a0 write",
      "fault a1 read"
    ])
    u.zeropage("a0+3")
    expect(
      all.map((w) => w.state),
      "a0: a write finds the page of zeroes, and copies it"
    ).toEqual(["ok", "ok", "ok"])
  })
  it("asks for whole pages, registered or mapped or not [UK-WK-02]", () => {
    const p = world("a")
    const u = uffd(p)
    expect([u.wake("a0"), u.wake("a5+3"), p.sys(uffdWake, u.fd, at("a0") + 1, 4096)]).toEqual(["ok", "ok", "EINVAL"])
  })
})
