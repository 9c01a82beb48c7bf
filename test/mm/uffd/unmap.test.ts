/** Memory unmapped where a userfaultfd is told of it: which calls, which ranges, in which order. As seen on 6.18.44. */
import { describe, expect, it } from "vitest"
import { DONTNEED } from "../../../lib/flags/AdviceFlags.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import * as UFFD from "../../../lib/flags/UffdFlags.ts"
import { brk } from "../../../lib/mm/sys/brk.ts"
import { madvise } from "../../../lib/mm/sys/madvise.ts"
import { mmap } from "../../../lib/mm/sys/mmap.ts"
import { munmap } from "../../../lib/mm/sys/munmap.ts"
import { remapFilePages } from "../../../lib/mm/sys/remap-file-pages.ts"
import { uffdRegister } from "../../../lib/mm/sys/uffd-register.ts"
import { HEAP } from "../../../lib/proof/testing/calls.ts"
import { ANON, at, type Pages, parse, RO, RW } from "../linux/words.ts"
import { type Proc, world } from "../linux/world.ts"
import { begin, type Flight, MISSING, READ, touch, uffd, WRITE } from "./uffd.ts"

const UNMAP = UFFD.FEATURE_EVENT_UNMAP
const unmapping = (p: Proc, range: Pages): Flight => {
  const [page, pages] = parse(range)
  return begin(p, () => munmap(p.k, p.task, page * 4096, pages * 4096))
}

describe("memory that goes", () => {
  it("is told of with the range that was asked for, once a descriptor, one after another", () => {
    const p = world("aaaaaaaaaaaa")
    const u = uffd(p, "a1+2", UNMAP)
    u.register("a5")
    u.register("a6")
    const v = uffd(p, "a8", UNMAP)
    const m = unmapping(p, "a0+10")
    expect([m.state, p.areas(), u.poll, v.poll]).toEqual(["waits", ["a10+2 rw-p"], "IN", ""])
    expect([u.read(), m.state, v.read(), m.state]).toEqual([["unmap a0 a10"], "waits", ["unmap a0 a10"], "ok"])
    expect([u.poll, v.poll]).toEqual(["", ""])
  })
  it("is told of where another mapping takes its place, which is there by then", () => {
    const p = world("aaaa")
    const u = uffd(p, "a0+4", UNMAP)
    const m = begin(p, () => mmap(p.k, p.task, at("a1"), 8192, RO, ANON | MAP.FIXED, -1, 0))
    expect([m.state, p.areas()]).toEqual(["waits", ["a0 rw-p um", "a1+2 r--p", "a3 rw-p um"]])
    expect([u.read(), m.state]).toEqual([["unmap a1 a3"], "a1"])
  })
  it("is told of where the heap shrinks", () => {
    const p = world()
    p.sys(brk, (HEAP + 4) * 4096)
    const u = uffd(p, "", UNMAP)
    expect(p.sys(uffdRegister, u.fd, HEAP * 4096, 4 * 4096, MISSING)).toBe("ok")
    const b = begin(p, () => brk(p.k, p.task, (HEAP + 2) * 4096))
    expect(b.state).toBe("waits")
    expect(u.read()).toEqual([`unmap 0x${((HEAP + 2) * 4096).toString(16)} 0x${((HEAP + 4) * 4096).toString(16)}`])
    expect(b.state).toBe(`0x${((HEAP + 2) * 4096).toString(16)}`)
  })
  it("is not told of where remap_file_pages puts another part of the object in its place", () => {
    const p = world()
    p.mmap("a0+4", RW, MAP.SHARED, p.memfd(4))
    const u = uffd(p, "a0+4", UNMAP)
    expect([p.sys(remapFilePages, at("a0"), 4096, 0, 2, 0), u.poll]).toEqual(["ok", ""])
    expect(p.areas()).toEqual(["a0 rw-s", "a1+3 rw-s um"])
  })
  it("is told of where it stays after all, because something in the range is sealed", () => {
    const p = world("aaaa")
    const u = uffd(p, "a0+2", UNMAP)
    expect(p.mseal("a3")).toBe("ok")
    const m = unmapping(p, "a0+4")
    expect([m.state, u.read(), m.state]).toEqual(["waits", ["unmap a0 a4"], "EPERM"])
    expect(p.areas()[0]).toBe("a0+2 rw-p um")
  })
  it("is told of with each call by itself; nothing comes until all of them were read", () => {
    const p = world("aaaab")
    const u = uffd(p, "a0+4", UNMAP)
    const [m, n] = [unmapping(p, "a0"), unmapping(p, "a1")]
    expect([m.state, n.state, u.copy("a2", "a4"), u.out]).toEqual(["waits", "waits", "EAGAIN", "EAGAIN"])
    expect([u.read(1), m.state, n.state, u.copy("a2", "a4")]).toEqual([["unmap a0 a1"], "ok", "waits", "EAGAIN"])
    u.close()
    expect([n.state, p.areas()]).toEqual(["ok", ["a2+2 rw-p", "a4 r--p"]])
  })
  it("is not told of by one who is killed while it waits, and the rest is no longer changing", () => {
    const p = world("aaab")
    const u = uffd(p, "a0+3", UNMAP)
    const m = unmapping(p, "a2")
    expect(m.state).toBe("waits")
    m.kill()
    expect([u.poll, u.copy("a0", "a3"), p.areas()]).toEqual(["", "ok", ["a0+2 rw-p um", "a3 r--p"]])
  })
  it("leaves a fault that waits there asleep until it is woken: then it finds nothing", () => {
    const p = world("aa")
    const u = uffd(p, "a0+2", UNMAP)
    const w = touch(p, "a1", WRITE)
    const m = unmapping(p, "a1")
    expect([u.read(), m.state, w.state]).toEqual([["fault a1 write", "unmap a1 a2"], "ok", "waits"])
    u.wake("a1")
    expect(w.state).toBe("SEGV_MAPERR")
  })
})

describe("faults and events that wait together", () => {
  it("come with the faults first, whichever was first, and as many at a time as there is room for", () => {
    const p = world("aaaaaaaa")
    const u = uffd(p, "a0+8", UNMAP | UFFD.FEATURE_EVENT_REMOVE)
    const m = unmapping(p, "a7")
    const w = [touch(p, "a2", WRITE)]
    const d = begin(p, () => madvise(p.k, p.task, at("a6"), 4096, DONTNEED))
    w.push(touch(p, "a0", READ), touch(p, "a1", READ))
    expect(u.read(2)).toEqual(["fault a2 write", "fault a0 read"])
    expect(u.read(8)).toEqual(["fault a1 read", "unmap a7 a8", "remove a6 a7"])
    expect([m.state, d.state, u.poll, u.read()]).toEqual(["ok", "ok", "", "EAGAIN"])
    u.zeropage("a0+4")
    expect(w.map((one) => one.state)).toEqual(["ok", "ok", "ok"])
  })
  it("a fault's page cannot come while an event waits, though the fault was read first", () => {
    const p = world("aaa")
    const u = uffd(p, "a0+3", UNMAP)
    const m = unmapping(p, "a2")
    const w = touch(p, "a0")
    expect([u.read(1), u.zeropage("a0"), u.out, u.read(1), m.state]).toEqual([
      ["fault a0 read"],
      "EAGAIN",
      "EAGAIN",
      ["unmap a2 a3"],
      "ok"
    ])
    expect([u.zeropage("a0"), w.state]).toEqual(["ok", "ok"])
  })
})
