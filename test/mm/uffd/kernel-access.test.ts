/** Faults that the kernel takes on somebody's behalf, in memory that a userfaultfd answers for. As seen on 6.18.44. */
import { describe, expect, it } from "vitest"
import * as MADV from "../../../lib/flags/AdviceFlags.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import * as MLOCK from "../../../lib/flags/MlockFlags.ts"
import * as UFFD from "../../../lib/flags/UffdFlags.ts"
import { RLIMIT_MEMLOCK } from "../../../lib/mm/store/tasks.ts"
import { madvise } from "../../../lib/mm/sys/madvise.ts"
import { mincore } from "../../../lib/mm/sys/mincore.ts"
import { mlock, mlockall } from "../../../lib/mm/sys/mlock.ts"
import { mremap } from "../../../lib/mm/sys/mremap.ts"
import { ANON, at, RO, RW } from "../linux/words.ts"
import { type Proc, world } from "../linux/world.ts"
import { begin, type Flight, MISSING, NONBLOCK, touch, uffd, WP, WRITE } from "./uffd.ts"

const locking = (p: Proc, page: `a${number}`, pages: number): Flight =>
  begin(p, () => mlock(p.k, p.task, at(page), pages * 4096))
const advising = (p: Proc, page: `a${number}`, pages: number, advice: number): Flight =>
  begin(p, () => madvise(p.k, p.task, at(page), pages * 4096, advice))

describe("mlock of missing pages", () => {
  it("asks about one page after another, and goes on from where it was woken", () => {
    const p = world("aaa")
    const u = uffd(p, "a0+3")
    const w = locking(p, "a0", 3)
    expect([w.state, u.read()]).toEqual(["waits", ["fault a0 write"]])
    u.zeropage("a0")
    expect([w.state, u.read()], "the page of zeroes will not do").toEqual(["waits", ["fault a1 write"]])
    expect(p.pages("a0+3")).toBe("A..")
    expect(p.munmap("a1")).toBe("ok")
    u.wake("a1")
    expect([w.state, u.read()], "the hole that came meanwhile is passed over").toEqual(["waits", ["fault a2 write"]])
    u.zeropage("a2")
    expect([w.state, p.areas()]).toEqual(["ok", ["a0 rw-p um lo", "a2 rw-p um lo"]])
  })
  it("is ENOMEM where the kernel's faults are not answered; the area stays locked", () => {
    for (const features of [0, UFFD.FEATURE_SIGBUS]) {
      const p = world("a")
      const u = uffd(p, "a0", features, MISSING, NONBLOCK | UFFD.USER_MODE_ONLY)
      expect([locking(p, "a0", 1).state, u.read(), p.areas()]).toEqual(["ENOMEM", "EAGAIN", ["a0 rw-p um lo"]])
    }
  })
  it("does not ask with ONFAULT", () => {
    const p = world("a")
    const u = uffd(p, "a0")
    expect([p.mlock("a0", MLOCK.ONFAULT), u.read(), p.pages("a0")]).toEqual(["ok", "EAGAIN", "."])
  })
  it("of everything goes on with the next area where nobody answers", () => {
    const p = world("a.a").limit(RLIMIT_MEMLOCK, 1000)
    const u = uffd(p, "a0", 0, MISSING, NONBLOCK | UFFD.USER_MODE_ONLY)
    const v = uffd(p, "a2")
    const w = begin(p, () => mlockall(p.k, p.task, 1))
    expect([w.state, u.read(), v.read()]).toEqual(["waits", "EAGAIN", ["fault a2 write"]])
    v.zeropage("a2")
    expect([w.state, p.pages("a0+3")]).toEqual(["ok", "._A"])
  })
  it("comes with mremap too, for what locked memory grows by", () => {
    const p = world("a")
    p.write("a0")
    expect(p.mlock("a0")).toBe("ok")
    const u = uffd(p, "a0")
    const w = begin(p, () => mremap(p.k, p.task, at("a0"), 4096, 8192, 0, 0))
    expect([w.state, u.read()]).toEqual(["waits", ["fault a1 write"]])
    u.zeropage("a1")
    expect([w.state, p.pages("a0+2")]).toEqual(["a0", "AA"])
  })
})

describe("pages that come along with a call", () => {
  it("are not asked about by mprotect of locked memory: they stay missing", () => {
    const p = world("bb")
    const u = uffd(p, "a0+2")
    p.mlock("a0+2", MLOCK.ONFAULT)
    expect([p.mprotect("a0+2", RW), u.poll, p.pages("a0+2")]).toEqual(["ok", "", ".."])
  })
  it("of a new mapping are nobody's, next to registered ones too", () => {
    const p = world("a")
    const u = uffd(p, "a0")
    expect([p.mmap("a1", RW, ANON | MAP.POPULATE), u.poll, p.pages("a0+2")]).toEqual(["a1", "", ".A"])
    expect(p.areas()).toEqual(["a0 rw-p um", "a1 rw-p"])
  })
})

describe("POPULATE of missing pages", () => {
  it("asks about one after another, and looks the area up again", () => {
    const p = world("aaa")
    const u = uffd(p, "a0+3")
    const w = advising(p, "a0", 3, MADV.POPULATE_WRITE)
    expect([w.state, u.read()]).toEqual(["waits", ["fault a0 write"]])
    u.zeropage("a0")
    expect([w.state, u.read(), p.pages("a0+3")]).toEqual(["waits", ["fault a1 write"], "A.."])
    expect(p.mprotect("a1", RO)).toBe("ok")
    u.wake("a1")
    expect(w.state).toBe("EINVAL")
    const r = advising(p, "a2", 1, MADV.POPULATE_READ)
    expect([r.state, u.read()]).toEqual(["waits", ["fault a2 read"]])
    u.zeropage("a2")
    expect([r.state, p.pages("a2")]).toEqual(["ok", "z"])
  })
  it("is EFAULT where the kernel's faults are not answered, for missing and for protected pages", () => {
    const p = world("aa")
    const u = uffd(p, "a0+2", UFFD.FEATURE_SIGBUS, MISSING | WP)
    u.zeropage("a0")
    u.protect("a0")
    expect([p.madvise("a0", MADV.POPULATE_READ), p.madvise("a0", MADV.POPULATE_WRITE)]).toEqual(["ok", "EFAULT"])
    expect([p.madvise("a1", MADV.POPULATE_READ), p.madvise("a1", MADV.POPULATE_WRITE)]).toEqual(["EFAULT", "EFAULT"])
  })
  it("is EHWPOISON over poison; mlock is ENOMEM, a copy EFAULT", () => {
    const p = world("aa")
    const u = uffd(p, "a0")
    u.poison("a0")
    expect([p.madvise("a0", MADV.POPULATE_READ), p.madvise("a0", MADV.POPULATE_WRITE)]).toEqual([
      "EHWPOISON",
      "EHWPOISON"
    ])
    expect([p.mlock("a0"), p.sys(mincore, at("a1"), 4096, at("a0"))]).toEqual(["ENOMEM", "EFAULT"])
    expect(p.sys(mincore, at("a0"), 8192, at("a1"))).toBe("ok")
    expect(p.read("a1"), "poison is no page in memory").toBe("0")
  })
})

describe("a copy to or from user memory", () => {
  it("tells of the byte that it could not reach, with EXACT_ADDRESS", () => {
    const p = world("a")
    const u = uffd(p, "a0", UFFD.FEATURE_EXACT_ADDRESS)
    const w = begin(p, () => mincore(p.k, p.task, at("a0"), 4096, at("a0") + 0x123))
    expect([w.state, u.read()]).toEqual(["waits", ["fault 0x200000000123 write"]])
    u.zeropage("a0")
    expect(w.state).toBe("ok")
  })
  it("is EFAULT where nobody is asked: SIGBUS was wanted", () => {
    const p = world("a")
    uffd(p, "a0", UFFD.FEATURE_SIGBUS)
    expect(p.sys(mincore, at("a0"), 4096, at("a0"))).toBe("EFAULT")
  })
  it("waits once more where it was woken in vain, and its page is told of again", () => {
    const p = world("aa")
    const u = uffd(p, "a0")
    const w = begin(p, () => mincore(p.k, p.task, at("a0"), 4096, at("a0")))
    expect(u.read()).toEqual(["fault a0 write"])
    u.wake("a0")
    expect([w.state, u.read()]).toEqual(["waits", ["fault a0 write"]])
    expect(touch(p, "a1", WRITE).state).toBe("ok")
    expect(p.munmap("a0")).toBe("ok")
    u.wake("a0")
    expect(w.state).toBe("EFAULT")
  })
})
