/** Pages that a userfaultfd's user puts into an address space. */
import { describe, expect, it } from "vitest"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import * as UFFD from "../../../lib/flags/UffdFlags.ts"
import { DIRTY, WRITE as PTE_WRITE } from "../../../lib/flags/PteFlags.ts"
import { bitsAt } from "../../../lib/mm/page/walk.ts"
import { uffdCopy } from "../../../lib/mm/sys/uffd-fill.ts"
import { munmap } from "../../../lib/mm/sys/munmap.ts"
import { at, parse, RO, RW } from "../linux/words.ts"
import { type Proc, world } from "../linux/world.ts"
import { begin, MINOR, MISSING, touch, uffd, WP, WRITE } from "./uffd.ts"

describe("UFFDIO_COPY", () => {
  it("and all others answer EAGAIN, and store it, from an event's announcement to its being read [UK-CP-01, UK-EV-04]", () => {
    const p = world("aaaas")
    p.write("a3")
    const u = uffd(p, "a0+3", UFFD.FEATURE_EVENT_UNMAP, MISSING | WP)
    const e = begin(p, () => munmap(p.k, p.task, at("a2"), 4096))
    expect(e.state).toBe("waits")
    const each = (): string[] => [
      `${u.copy("a0", "a3")} ${u.out}`,
      `${u.zeropage("a0")} ${u.out}`,
      `${u.continue("a0")} ${u.out}`,
      `${u.poison("a0")} ${u.out}`,
      `${u.move("a0", "a3")} ${u.out}`
    ]
    expect(each()).toEqual(each().map(() => "EAGAIN EAGAIN"))
    expect(u.protect("a0")).toBe("EAGAIN")
    expect(u.read()).toEqual(["unmap a2 a3"])
    expect([e.state, u.copy("a0", "a3"), u.out]).toEqual(["ok", "ok", "4096"])
  })
  it("takes any source, but whole pages to go to, and modes that it knows [UK-CP-02]", () => {
    const p = world("aa.aa")
    p.write("a3+2")
    const u = uffd(p, "a0+2")
    const call = (dst: number, src: number, len: number, mode = 0): string => p.sys(uffdCopy, u.fd, dst, src, len, mode)
    expect([call(at("a0") + 1, at("a3"), 4096), call(at("a0"), at("a3"), 4095), call(at("a0"), at("a3"), 0)]).toEqual([
      "EINVAL",
      "EINVAL",
      "EINVAL"
    ])
    expect([4, 8, 2 ** 32].map((mode) => call(at("a0"), at("a3"), 4096, mode))).toEqual(["EINVAL", "EINVAL", "EINVAL"])
    expect(call(at("a0"), at("a3") + 4095, 4096)).toBe("ok")
    expect(p.sys(uffdCopy, u.fd, at("a1"), at("a3"), 4096, 0)).toBe("ok")
    expect(p.read("a0+2")).toBe("0 104")
  })
  it("is ENOENT unless one registered area has all of it [UK-CP-03]", () => {
    const p = world("aab.a")
    p.write("a4")
    const u = uffd(p, "a1+2")
    expect([u.copy("a0", "a4"), u.out, u.copy("a3", "a4"), u.zeropage("a1+2")]).toEqual([
      "ENOENT",
      "ENOENT",
      "ENOENT",
      "ENOENT"
    ])
    expect([u.zeropage("a1"), u.zeropage("a2")]).toEqual(["ok", "ok"])
  })
  it("with WP is EINVAL where writes are not tracked; elsewhere the page comes protected [UK-CP-04]", () => {
    const p = world("aba")
    p.write("a2")
    const u = uffd(p, "a0")
    expect(u.copy("a0", "a2", UFFD.COPY_MODE_WP)).toBe("EINVAL")
    expect(u.register("a0", MISSING | WP)).toBe("ok")
    expect(u.copy("a0", "a2", UFFD.COPY_MODE_WP)).toBe("ok")
    const w = touch(p, "a0", WRITE)
    expect(u.read()).toEqual(["fault a0 wp write"])
    u.protect("a0", 0)
    expect(w.state).toBe("ok")
  })
  it("is EEXIST over a page; markers of write protection are overwritten [UK-CP-05]", () => {
    const p = world("aaa")
    p.write("a0")
    p.write("a2")
    const u = uffd(p, "a0+2", UFFD.FEATURE_WP_UNPOPULATED, MISSING | WP)
    expect([u.copy("a0", "a2"), u.out]).toEqual(["EEXIST", "EEXIST"])
    expect(u.protect("a1")).toBe("ok")
    expect([u.copy("a1", "a2"), p.read("a1")]).toEqual(["ok", "103"])
  })
  it("is EFAULT for a source that is not there and beyond the end of an object, ENOMEM without memory [UK-CP-06]", () => {
    const p = world("a..a", { frames: 24 })
    p.write("a3")
    p.mmap("a1+2", RW, MAP.SHARED, p.memfd(1))
    const u = uffd(p, "a0+3")
    expect([u.copy("a0", "a9"), u.out]).toEqual(["EFAULT", "EFAULT"])
    expect([u.copy("a2", "a3"), u.zeropage("a2"), u.poison("a2")]).toEqual(["EFAULT", "EFAULT", "EFAULT"])
    const all: number[] = []
    for (let f = p.k.frames.allocZeroed(); f !== 0; f = p.k.frames.allocZeroed()) all.push(f)
    expect([u.copy("a0", "a3"), u.out]).toEqual(["ENOMEM", "ENOMEM"])
    for (const f of all) p.k.frames.put(f)
    expect(u.copy("a0", "a3")).toBe("ok")
  })
  it("that gets through a part answers EAGAIN, stores the bytes, and wakes who waits for those [UK-CP-07]", () => {
    const p = world("aaaaaaaa")
    p.write("a2")
    p.write("a4+4")
    const u = uffd(p, "a0+4")
    const all = [touch(p, "a1"), touch(p, "a3")]
    expect([u.copy("a0+4", "a4+4"), u.out]).toEqual(["EAGAIN", "8192"])
    expect(all.map((w) => w.state)).toEqual(["ok", "waits"])
    expect(u.zeropage("a3")).toBe("ok")
    expect(all[1]!.state).toBe("ok")
    expect(p.read("a0+4")).toBe("105 106 103 0")
  })
  it("that gets nowhere stores the errno that it answers [UK-CP-08]", () => {
    const p = world("aa")
    p.write("a0+2")
    const u = uffd(p, "a0")
    expect([u.copy("a0", "a1"), u.out]).toEqual(["EEXIST", "EEXIST"])
    expect([u.copy("a1", "a0"), u.out]).toEqual(["ENOENT", "ENOENT"])
  })
  it("goes by what the area allows to be written, not by what may be read; a cached page stays read-only in a private area [UK-CP-09]", () => {
    const p = world("anba")
    p.write("a3")
    const fd = p.memfd(1)
    p.mmap("a6", RW, MAP.PRIVATE, fd)
    const u = uffd(p, "a0+3")
    u.register("a6", MISSING | MINOR)
    expect([u.copy("a0", "a3"), u.copy("a1", "a3"), u.copy("a2", "a3"), u.continue("a6")]).toEqual([
      "ok",
      "ok",
      "ok",
      "ok"
    ])
    expect([entry(p, "a0"), entry(p, "a2"), entry(p, "a6")]).toEqual(["dirty writable", "dirty", "dirty"])
    expect([p.read("a1"), p.mprotect("a1", RO), p.read("a1+2")]).toEqual(["SEGV_ACCERR", "ok", "104 104"])
  })
  it("with DONTWAKE leaves who waits asleep, though the page is there [UK-CP-10]", () => {
    const p = world("aa")
    p.write("a1")
    const u = uffd(p, "a0")
    const w = touch(p, "a0")
    expect([u.copy("a0", "a1", UFFD.COPY_MODE_DONTWAKE), w.state, p.read("a0")]).toEqual(["ok", "waits", "102"])
    expect(u.wake("a0")).toBe("ok")
    expect(w.state).toBe("ok")
  })
})

describe("UFFDIO_ZEROPAGE", () => {
  it("maps the page of zeroes in private memory, and a page of its own in shared memory [UK-ZP-01]", () => {
    const p = world("as")
    const u = uffd(p, "a0")
    u.register("a1")
    expect([u.zeropage("a0"), u.zeropage("a1"), p.pages("a0+2")]).toEqual(["ok", "ok", "zF"])
    expect([2, 3, 2 ** 32].map((mode) => u.zeropage("a0", mode))).toEqual(["EINVAL", "EINVAL", "EINVAL"])
    expect([u.zeropage("a0"), u.out]).toEqual(["EEXIST", "EEXIST"])
  })
  it("is EEXIST over a marker too [UK-ZP-02]", () => {
    const p = world("a")
    const u = uffd(p, "a0", UFFD.FEATURE_WP_UNPOPULATED, MISSING | WP)
    expect([u.protect("a0"), u.zeropage("a0")]).toEqual(["ok", "EEXIST"])
  })
})

describe("UFFDIO_CONTINUE", () => {
  it("maps the page that the object has, is EFAULT where it has none, and EINVAL for anonymous memory [UK-CT-01]", () => {
    const p = world("a")
    const fd = p.memfd(3)
    p.mmap("a1+3", RW, MAP.SHARED, fd)
    const u = uffd(p, "a0")
    u.register("a1+3", MISSING | MINOR)
    expect(p.madvise("a2", 9)).toBe("ok")
    const w = touch(p, "a3", WRITE)
    expect(u.read()).toEqual(["fault a3 minor write"])
    expect([u.continue("a0"), u.continue("a1"), u.continue("a2"), u.continue("a3")]).toEqual([
      "EINVAL",
      "ok",
      "EFAULT",
      "ok"
    ])
    expect([w.state, p.read("a1"), u.continue("a1")]).toEqual(["ok", "1", "EEXIST"])
  })
})

describe("UFFDIO_POISON", () => {
  it("makes every access a SIGBUS, and is EEXIST over anything [UK-PO-01]", () => {
    const p = world("aaas")
    p.write("a1")
    const u = uffd(p, "a0+3")
    u.register("a3")
    const w = touch(p, "a0")
    expect([u.poison("a0"), u.poison("a3"), u.poison("a1"), u.poison("a0")]).toEqual(["ok", "ok", "EEXIST", "EEXIST"])
    expect([w.state, p.read("a0"), p.write("a0"), p.write("a3")]).toEqual(Array(4).fill("SIGBUS_POISON"))
  })
})

describe("UFFDIO_MOVE", () => {
  it("moves a page without a copy: who had it has nothing, and nothing is over a page or out of a hole [UK-MV-01]", () => {
    const p = world("aa.aaa.s")
    p.write("a3")
    p.write("a5")
    const u = uffd(p, "a0+2")
    expect([u.move("a0", "a3"), u.out, p.pages("a0+6"), p.read("a0")]).toEqual(["ok", "4096", "A._..A", "104"])
    expect(u.move("a0", "a5"), "a page is there").toBe("EEXIST")
    expect(u.move("a1", "a4"), "no page to move").toBe("ENOENT")
    expect(u.move("a1", "a4", UFFD.MOVE_MODE_ALLOW_SRC_HOLES)).toBe("ok")
    expect([u.move("a1+2", "a4+2"), u.move("a1", "a7"), u.move("a4", "a5")]).toEqual(["EINVAL", "EINVAL", "EINVAL"])
    const child = p.fork()
    expect(u.move("a1", "a5"), "the child has it too").toBe("EBUSY")
    child.exit()
    expect(u.move("a1", "a5"), "and had it: a write finds out that nobody has it any longer").toBe("EBUSY")
    p.write("a5")
    expect([u.move("a1", "a5"), p.read("a1")]).toEqual(["ok", "106"])
  })
})

const entry = (p: Proc, page: `a${number}`): string => {
  const bits = bitsAt(p.k, p.mm, parse(page)[0])
  return `${(bits & DIRTY) !== 0 ? "dirty" : "clean"}${(bits & PTE_WRITE) !== 0 ? " writable" : ""}`
}
