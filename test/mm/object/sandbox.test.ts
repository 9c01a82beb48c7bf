/** What a sandbox's memory manager promises its programs (docs/spec/gvisor-memmap.md), kept here by Linux's calls. */
import { describe, expect, it } from "vitest"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { brk } from "../../../lib/mm/sys/brk.ts"
import { madvise } from "../../../lib/mm/sys/madvise.ts"
import { mlock, mlockall } from "../../../lib/mm/sys/mlock.ts"
import { mmap } from "../../../lib/mm/sys/mmap.ts"
import { mprotect } from "../../../lib/mm/sys/mprotect.ts"
import { mremap } from "../../../lib/mm/sys/mremap.ts"
import { msync } from "../../../lib/mm/sys/msync.ts"
import { mapsLine } from "../../../lib/mm/proc/maps.ts"
import { BRK, RSS_ANON, START_BRK } from "../../../lib/mm/store/mms.ts"
import { RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK } from "../../../lib/mm/store/tasks.ts"
import { ANON, at, NONE, RO, RW, SHARED_ANON } from "../linux/words.ts"
import { world } from "../linux/world.ts"

const DONTNEED = 4
const DONTFORK = 10
const LAST = 2n ** 64n - 4096n
const MAYMOVE = 1
const FIXED = 3

describe("moving a mapping", () => {
  it("wants an aligned address, and a new size that is not 0 and does not wrap [G-REM-01]", () => {
    const p = world("aa")
    expect(p.sys(mremap, at("a0") + 1, 4096, 4096, MAYMOVE, 0)).toBe("EINVAL")
    expect(p.sys(mremap, at("a0"), 4096, 0, MAYMOVE, 0)).toBe("EINVAL")
    expect(p.sys(mremap, at("a0"), 4096, LAST + 1n, MAYMOVE, 0)).toBe("EINVAL")
    expect(p.sys(mremap, at("a0"), LAST, 4096, MAYMOVE, 0)).not.toBe("ok")
  })

  it("finds nothing to move where nothing is [G-REM-02]", () => {
    expect(world("a").mremap("a4", 2, MAYMOVE)).toBe("EFAULT")
  })

  it("that is locked and grows beyond RLIMIT_MEMLOCK is EAGAIN, never EPERM [G-REM-03]", () => {
    const p = world("a").asUser().limit(RLIMIT_MEMLOCK, 1)
    expect(p.mlock("a0")).toBe("ok")
    expect(p.mremap("a0", 2)).toBe("EAGAIN")
    p.limit(RLIMIT_MEMLOCK, 0)
    expect(p.mremap("a0", 2)).toBe("EAGAIN")
  })

  it("to its own size does nothing, to a smaller one unmaps the tail, where it is [G-REM-04]", () => {
    const p = world("aaaa")
    expect([p.mremap("a0+4", 4), p.mremap("a0+4", 2)]).toEqual(["a0", "a0"])
    expect(p.draw(4)).toBe("aa..")
  })

  it("grows where there is room, else moves if it may, else has no memory [G-REM-05, G-REM-06]", () => {
    const p = world("a.a")
    expect(p.mremap("a0", 2)).toBe("a0")
    expect(p.draw(3)).toBe("aaa")
    expect(p.mremap("a0", 4)).toBe("ENOMEM")
    const to = p.mremap("a0", 4, MAYMOVE)
    expect(to).toMatch(/^0x/)
    expect(p.draw(3), "only what was named moved").toBe(".aa")
  })

  it("to a place that is unaligned, or overlaps it, or wraps is refused; what is there goes first otherwise [G-REM-07]", () => {
    const p = world("aa.bb")
    expect(p.sys(mremap, at("a0"), 8192, 8192, FIXED, at("a3") + 1)).toBe("EINVAL")
    expect(p.sys(mremap, at("a0"), 8192, 8192, FIXED, at("a1"))).toBe("EINVAL")
    expect(p.sys(mremap, at("a0"), 8192, 8192, FIXED, LAST)).toBe("EINVAL")
    p.write("a0+2")
    expect(p.mremap("a0+2", "a3+2")).toBe("a3")
    expect([p.draw(5), p.read("a3+2")]).toEqual(["...aa", "101 102"])
  })

  it("of size 0 is a second view of shared memory; it cannot be where it is [G-REM-08]", () => {
    const p = world("ss")
    p.write("a0+2")
    expect(p.mremap("a0+2", "a5+2")).toBe("a5")
    expect(p.sys(mremap, at("a5"), 0, 8192, FIXED, at("a8"))).toBe("a8")
    p.write("a8", 9)
    expect(p.read("a5+2")).toBe("9 102")
    expect(p.sys(mremap, at("a5"), 0, 8192, 0, 0)).not.toBe("ok")
  })

  it("is one mapping still when the target is clear, within RLIMIT_AS; a copy that is refused leaves it [G-REM-09]", () => {
    const p = world("aaaa")
    expect(p.mremap("a0+8", "a20+9")).toBe("EFAULT")
    const q = world("aa").limit(RLIMIT_AS, 2)
    expect(q.mremap("a0+2", 3, MAYMOVE)).toBe("ENOMEM")
    expect(q.draw(2)).toBe("aa")
  })

  it("carries its private pages along: the same pages, as many of them [G-REM-10]", () => {
    const p = world("aaa")
    p.write("a0+2")
    const rss = p.k.mms.rss(p.mm, RSS_ANON)
    p.mremap("a0+3", "a8+3")
    expect([p.pages("a8+3"), p.read("a8+2"), p.k.mms.rss(p.mm, RSS_ANON)]).toEqual(["AA.", "101 102", rss])
  })
})

describe("protecting, the heap, locking, advising", () => {
  it("mprotect: unaligned is refused, nothing is fine, a hole ends it after what lies before [G-PR-01]", () => {
    const p = world("aa.a")
    expect(p.sys(mprotect, at("a0") + 1, 4096, RO)).toBe("EINVAL")
    expect(p.sys(mprotect, at("a9"), 0, RO)).toBe("ok")
    expect(p.sys(mprotect, at("a0"), LAST, RO)).toBe("ENOMEM")
    expect(p.mprotect("a0+4", RO)).toBe("ENOMEM")
    expect(p.areas()).toEqual(["a0+2 r--p", "a3 rw-p"])
  })

  it("mprotect with PROT_GROWSDOWN begins with a mapping that grows, at its start [G-PR-03]", () => {
    const p = world("a")
    expect(p.mprotect("a0", RO | 0x01000000)).toBe("EINVAL")
    expect(p.mmap("a300+4", RW, ANON | MAP.GROWSDOWN)).toBe("a300")
    expect(p.mprotect("a302", RO | 0x01000000)).toBe("ok")
    expect(p.areas()).toEqual(["a0 rw-p", "a300+3 r--p gd", "a303 rw-p gd"])
    expect(p.mprotect("a200", RO | 0x01000000)).toBe("ENOMEM")
  })

  it("mprotect takes rights away from pages that are there, and a page that is shared stays a copy to be [G-PR-04]", () => {
    const p = world("aa")
    p.write("a0+2")
    const child = p.fork()
    p.mprotect("a0+2", RO)
    expect(p.write("a0")).toBe("SEGV_ACCERR")
    p.mprotect("a0+2", RW)
    p.write("a0", 5)
    expect([p.read("a0"), child.read("a0")]).toEqual(["5", "101"])
  })

  it("brk grows a private heap and shrinks it; beyond RLIMIT_DATA or below its start it stays [G-BRK-01]", () => {
    const p = world()
    for (const field of [START_BRK, BRK]) p.k.mms.setStat(p.mm, field, at("a0"))
    expect(p.sys(brk, at("a3"))).toBe("a3")
    expect([p.areas(), p.name("a0")]).toEqual([["a0+3 rw-p"], "[heap]"])
    expect(p.sys(brk, at("a1"))).toBe("a1")
    expect(p.areas()).toEqual(["a0 rw-p"])
    p.limit(RLIMIT_DATA, 2)
    expect([p.sys(brk, at("a5")), p.sys(brk, at("a0") - 4096)]).toEqual(["a1", "a1"])
  })

  it("mlock rounds outwards; a range that wraps is refused [G-LK-01]", () => {
    const p = world("aaa")
    expect(p.sys(mlock, at("a0") + 100, 4096)).toBe("ok")
    expect(p.areas()).toEqual(["a0+2 rw-p lo", "a2 rw-p"])
    expect(p.sys(mlock, at("a0"), LAST)).toBe("EINVAL")
  })

  it("mlock beyond the limit is ENOMEM, with no limit at all EPERM; what is locked already does not count twice [G-LK-02]", () => {
    const p = world("aaa").asUser().limit(RLIMIT_MEMLOCK, 2)
    expect([p.mlock("a0+3"), p.mlock("a0+2"), p.mlock("a0+2")]).toEqual(["ENOMEM", "ok", "ok"])
    p.limit(RLIMIT_MEMLOCK, 0)
    expect(p.mlock("a0")).toBe("EPERM")
  })

  it("mlock over a hole is ENOMEM after what lies before it is locked [G-LK-03]", () => {
    const p = world("a.a")
    expect(p.mlock("a0+3")).toBe("ENOMEM")
    expect(p.areas()).toEqual(["a0 rw-p lo", "a2 rw-p"])
  })

  it("mlock of memory that nobody may touch is ENOMEM, and locks it all the same [G-LK-04]", () => {
    const p = world("n")
    expect(p.mlock("a0")).toBe("ENOMEM")
    expect(p.areas()).toEqual(["a0 ---p lo"])
  })

  it("mlockall wants something to lock; what comes later is locked too, and what cannot be touched is passed over [G-LK-05]", () => {
    const p = world("n")
    expect([p.sys(mlockall, 0), p.sys(mlockall, 8)]).toEqual(["EINVAL", "EINVAL"])
    expect(p.sys(mlockall, 3)).toBe("ok")
    p.mmap("a4", RW)
    expect([p.areas(), p.pages("a4")]).toEqual([["a0 ---p lo", "a4 rw-p lo"], "A"])
    const q = world("aaa").asUser().limit(RLIMIT_MEMLOCK, 2)
    expect(q.sys(mlockall, 1)).toBe("ENOMEM")
  })

  it("a child has nothing locked, now or by default [G-LK-06]", () => {
    const p = world("a")
    p.sys(mlockall, 3)
    const child = p.fork()
    child.mmap("a4", RW)
    expect([p.flags("a0"), child.areas()]).toEqual([expect.stringContaining("lo"), ["a0 rw-p", "a4 rw-p"]])
  })

  it("madvise wants an aligned address and a range that does not wrap; nothing is fine [G-AD-01]", () => {
    const p = world("a")
    expect(p.sys(madvise, at("a0") + 1, 4096, DONTNEED)).toBe("EINVAL")
    expect(p.sys(madvise, at("a0"), LAST + 1n, DONTNEED)).toBe("EINVAL")
    expect(p.sys(madvise, at("a9"), 0, DONTNEED)).toBe("ok")
  })

  it("DONTNEED stops at locked memory, after what lies before it [G-AD-02]", () => {
    const p = world("aa")
    p.write("a0+2")
    p.mlock("a1")
    expect(p.madvise("a0+2", DONTNEED)).toBe("EINVAL")
    expect(p.read("a0+2")).toBe("0 102")
  })

  it("passes over holes, and says ENOMEM in the end [G-AD-03]", () => {
    const p = world("a.a")
    p.write("a0")
    p.write("a2")
    expect(p.madvise("a0+3", DONTNEED)).toBe("ENOMEM")
    expect(p.read("a0") + p.read("a2")).toBe("00")
  })

  it("DONTNEED drops pages: private ones read as zeroes or as the file again [G-AD-04]", () => {
    const p = world("a")
    const fd = p.memfd(2)
    p.mmap("a1+2", RW, MAP.PRIVATE, fd)
    p.write("a0+3")
    expect(p.madvise("a0+3", DONTNEED)).toBe("ok")
    expect([p.pages("a0+3"), p.read("a0+3")]).toEqual(["...", "0 1 2"])
  })

  it("DONTFORK marks a piece, which the child does not have, nor count [G-AD-05, G-FK-03]", () => {
    const p = world("aaa")
    expect(p.madvise("a1", DONTFORK)).toBe("ok")
    const child = p.fork()
    expect([p.areas(), child.draw(3), child.counts()]).toEqual([
      ["a0 rw-p", "a1 rw-p dc", "a2 rw-p"],
      "a.a",
      "total 2 data 2"
    ])
  })

  it("msync: unaligned and unknown flags are refused, nothing is fine, locked memory is busy, holes are ENOMEM [G-SY-01]", () => {
    const p = world("s.s")
    expect([p.sys(msync, at("a0") + 1, 4096, 4), p.sys(msync, at("a0"), 4096, 8)]).toEqual(["EINVAL", "EINVAL"])
    expect([p.sys(msync, at("a9"), 0, 4), p.sys(msync, at("a0"), LAST, 4)]).toEqual(["ok", "ENOMEM"])
    expect(p.sys(msync, at("a0"), 3 * 4096, 4)).toBe("ENOMEM")
    p.mlock("a0")
    expect(p.sys(msync, at("a0"), 4096, 2 | 4)).toBe("EBUSY")
  })
})

describe("faults and forks", () => {
  it("an access is refused where nothing is, or where it is not allowed; else its page is there afterwards [G-PF-01, G-PF-03]", () => {
    const p = world("ab")
    expect([p.read("a2"), p.write("a1"), p.write("a0"), p.pages("a0+2")]).toEqual([
      "SEGV_MAPERR",
      "SEGV_ACCERR",
      "ok",
      "A."
    ])
    expect(world("a").read("a0"), "fresh memory is zeroes").toBe("0")
  })

  it("a private page that nobody else has is taken over, not copied [G-PF-06]", () => {
    const p = world("a")
    p.write("a0")
    const child = p.fork()
    expect(p.pages("a0")).toBe("a")
    child.exit()
    const frame = p.k.frames.free()
    p.write("a0", 3)
    expect([p.pages("a0"), p.k.frames.free()]).toEqual(["A", frame])
  })

  it("a copy whose source is gone ends in SIGBUS [G-PF-07]", () => {
    const p = world()
    p.mmap("a0+3", RW, MAP.PRIVATE, p.memfd(2))
    expect(p.write("a0+3")).toBe("ok ok SIGBUS")
  })

  it("what was faulted lies within a mapping, and a private page is memory [G-PF-11]", () => {
    const p = world("as")
    p.write("a0+2")
    p.munmap("a0")
    expect([p.pages("a0+2"), p.draw(2)]).toEqual(["_F", ".a"])
  })

  it("a fork copies private pages, to be copied by who writes; shared ones fault again [G-FK-02]", () => {
    const p = world("as")
    p.write("a0+2")
    const child = p.fork()
    expect([p.pages("a0+2"), child.pages("a0+2")]).toEqual(["aF", "a."])
    expect(child.read("a0+2")).toBe("101 102")
  })

  it("the last user of an address space takes everything with it, and then there is no user to be had [G-FK-04]", () => {
    const p = world("aa")
    const { k, mm } = p
    const child = p.fork()
    expect(k.mms.users(child.mm)).toBe(1)
    const row = child.mm
    child.exit()
    expect([k.mms.users(row) <= 0, k.mms.users(mm), p.draw(2)]).toEqual([true, 1, "aa"])
  })
})

describe("accounting and texts", () => {
  it("counts all of an address space, its private writable memory as data, locked memory once more [G-MM-12]", () => {
    const p = world("aabs")
    p.mlock("a0")
    p.mmap("a300", RW, ANON | MAP.GROWSDOWN)
    expect(p.counts()).toBe("total 5 locked 1 data 2 stack 1")
  })

  it("places a mapping in the highest gap that fits, below what is there [G-MM-05]", () => {
    const p = world()
    const place = (pages: number): number => Number(p.sys(mmap, 0, pages * 4096, RW, ANON, -1, 0))
    const first = place(3)
    expect(place(2)).toBe(first - 8192)
    expect(place(1)).toBe(first - 12288)
  })

  it("prints a line a mapping: eight digits at least, the name in column 74, the rights that were asked for [G-PRC-01, G-PRC-02]", () => {
    const p = world()
    p.mmap("a0", NONE, ANON)
    p.mmap("a1", 2, SHARED_ANON)
    const [first, second] = [mapsLine(p.k, p.area("a0")), mapsLine(p.k, p.area("a1"))]
    expect(first).toBe("200000000000-200000001000 ---p 00000000 00:00 0 ")
    expect(second).toMatch(/^200000001000-200000002000 -w-s 00000000 00:01 \d+ +\/dev\/zero \(deleted\)$/)
    expect(second.indexOf("/dev/zero")).toBe(73)
  })
})
