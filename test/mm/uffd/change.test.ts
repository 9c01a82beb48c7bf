/** Write protection by userfaultfd, and changes of an address space that it is told of. */
import { describe, expect, it } from "vitest"
import { DONTNEED } from "../../../lib/flags/AdviceFlags.ts"
import { UFFD_WP } from "../../../lib/flags/PteFlags.ts"
import * as UFFD from "../../../lib/flags/UffdFlags.ts"
import { bitsAt } from "../../../lib/mm/page/walk.ts"
import { madvise } from "../../../lib/mm/sys/madvise.ts"
import { mremap } from "../../../lib/mm/sys/mremap.ts"
import { munmap } from "../../../lib/mm/sys/munmap.ts"
import { fork } from "../../../lib/mm/sys/process.ts"
import { at, parse } from "../linux/words.ts"
import { Proc, world } from "../linux/world.ts"
import { begin, MISSING, READ, touch, Uffd, uffd, WP, WRITE } from "./uffd.ts"

const isMarked = (p: Proc, page: `a${number}`): boolean => (bitsAt(p.k, p.mm, parse(page)[0]) & UFFD_WP) !== 0

describe("UFFDIO_WRITEPROTECT", () => {
  it("is EINVAL for WP with DONTWAKE, and for modes that it does not know [UK-WP-01]", () => {
    const u = uffd(world("a"), "a0", 0, WP)
    expect([3, 4, 2 ** 32].map((mode) => u.protect("a0", mode))).toEqual(["EINVAL", "EINVAL", "EINVAL"])
    expect([0, 1, 2].map((mode) => u.protect("a0", mode))).toEqual(["ok", "ok", "ok"])
  })
  it("is ENOENT where writes are not tracked; areas before are changed [UK-WP-02]", () => {
    const p = world("aaa")
    p.write("a0+3")
    const u = uffd(p, "a0+2", 0, WP)
    expect(u.protect("a0+3")).toBe("ENOENT")
    expect([isMarked(p, "a0"), isMarked(p, "a1"), isMarked(p, "a2")]).toEqual([true, true, false])
  })
  it("protects pages of anonymous memory that are there, the others with WP_UNPOPULATED; of shared memory all [UK-WP-03]", () => {
    const p = world("aas")
    p.write("a0")
    const u = uffd(p, "a0+3", 0, WP)
    u.protect("a0+3")
    expect([isMarked(p, "a0"), isMarked(p, "a1"), isMarked(p, "a2")]).toEqual([true, false, true])
    expect([p.write("a1"), u.read()]).toEqual(["ok", "EAGAIN"])
    const q = world("a")
    uffd(q, "a0", UFFD.FEATURE_WP_UNPOPULATED, WP).protect("a0")
    expect(isMarked(q, "a0")).toBe(true)
  })
  it("without WP wakes who waits in the range, unless DONTWAKE [UK-WP-04]", () => {
    const p = world("a")
    p.write("a0")
    const u = uffd(p, "a0", 0, WP)
    u.protect("a0")
    const w = touch(p, "a0", WRITE)
    expect([u.protect("a0", UFFD.WRITEPROTECT_MODE_DONTWAKE), w.state]).toEqual(["ok", "waits"])
    expect([u.protect("a0", 0), w.state]).toEqual(["ok", "ok"])
  })
  it("of anonymous pages is lost when they are dropped; a marker stays in shared memory, page or no page [UK-WP-05, R-ZAP-21, R-ZAP-22]", () => {
    const p = world("aass")
    p.write("a0")
    p.write("a2")
    const u = uffd(p, "a0+4", UFFD.FEATURE_WP_UNPOPULATED, WP)
    u.protect("a0+4")
    const each = ["a0", "a1", "a2", "a3"] as const
    expect(each.map((page) => isMarked(p, page))).toEqual([true, true, true, true])
    expect(p.madvise("a0+4", DONTNEED)).toBe("ok")
    expect(p.pages("a2"), "the page itself is gone").not.toBe("F")
    expect(each.map((page) => isMarked(p, page))).toEqual([false, false, true, true])
    expect(p.madvise("a0+4", DONTNEED)).toBe("ok")
    expect(each.map((page) => isMarked(p, page))).toEqual([false, false, true, true])
    expect([p.write("a0+2"), u.read()]).toEqual(["ok", "EAGAIN"])
    const w = touch(p, "a2", WRITE)
    expect(u.read()).toEqual(["fault a2 wp write"])
    u.protect("a2+2", 0)
    expect([w.state, p.write("a2+2")]).toEqual(["ok", "ok"])
  })
})

describe("poison", () => {
  it("goes when private pages are dropped [R-ZAP-26]", () => {
    const p = world("a")
    const u = uffd(p, "a0")
    expect([u.poison("a0"), p.read("a0")]).toEqual(["ok", "SIGBUS_POISON"])
    expect(p.madvise("a0", DONTNEED)).toBe("ok")
    expect([u.zeropage("a0"), p.read("a0")]).toEqual(["ok", "0"])
  })
})

describe("events", () => {
  it("of fork: without them the child is on its own; with them the parent waits until somebody has the child's descriptor [UK-EV-01, UK-RD-06]", () => {
    const p = world("a")
    const u = uffd(p, "a0")
    const alone = p.fork()
    expect(alone.areas()).toEqual(["a0 rw-p"])
    alone.exit()
    u.close()
    const told = uffd(p, "a0", UFFD.FEATURE_EVENT_FORK | UFFD.FEATURE_THREAD_ID)
    const f = begin(p, () => fork(p.k, p.task, "child"))
    expect(f.state).toBe("waits")
    const [message] = told.read() as string[]
    expect(message).toMatch(/^fork \d+$/)
    expect(f.state).not.toBe("waits")
    const child = new Proc(p.machine, Number(f.state))
    expect(child.areas()).toEqual(["a0 rw-p um"])
    const theirs = new Uffd(p, Number(message!.slice(5)))
    const w = touch(child, "a0", READ)
    expect([told.read(), theirs.read()]).toEqual(["EAGAIN", ["fault a0 read"]])
    expect([theirs.zeropage("a0"), w.state]).toEqual(["ok", "ok"])
  })
  it("of mremap: without them the moved area is registered no longer; with them the mover waits [UK-EV-02]", () => {
    const p = world("a.b")
    const u = uffd(p, "a0")
    expect([p.mremap("a0", "a10"), p.areas()]).toEqual(["a10", ["a2 r--p", "a10 rw-p"]])
    u.close()
    const told = uffd(p, "a10", UFFD.FEATURE_EVENT_REMAP)
    const m = begin(p, () => mremap(p.k, p.task, at("a10"), 4096, 4096, 3, at("a20")))
    expect([m.state, told.read(), m.state]).toEqual(["waits", ["remap a10 a20 1"], "a20"])
    expect(p.areas()).toEqual(["a2 r--p", "a20 rw-p um"])
  })
  it("of dropping pages come before it, of munmap when it is done and unlocked [UK-EV-03, L-MUN-09]", () => {
    const p = world("aa")
    p.write("a0+2")
    const u = uffd(p, "a0+2", UFFD.FEATURE_EVENT_REMOVE | UFFD.FEATURE_EVENT_UNMAP, MISSING)
    const d = begin(p, () => madvise(p.k, p.task, at("a0"), 4096, DONTNEED))
    expect([d.state, p.pages("a0+2")], "still there").toEqual(["waits", "AA"])
    expect([u.read(), d.state, p.pages("a0+2")]).toEqual([["remove a0 a1"], "ok", ".A"])
    const m = begin(p, () => munmap(p.k, p.task, at("a1"), 4096))
    expect([m.state, p.areas()], "gone already").toEqual(["waits", ["a0 rw-p um"]])
    expect(p.mprotect("a0", 1), "no lock is held").toBe("ok")
    expect([u.read(), m.state]).toEqual([["unmap a1 a2"], "ok"])
  })
})
