/** mlock, mlock2, munlock: what is locked, counted and brought in, and what is refused. See mlockall.test.ts. */
import * as MCL from "../../../lib/flags/MlockallFlags.ts"
import * as MLOCK from "../../../lib/flags/MlockFlags.ts"
import * as MS from "../../../lib/flags/MsyncFlags.ts"
import { describe, expect, it } from "vitest"
import * as MADV from "../../../lib/flags/AdviceFlags.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { EXEC, WRITE } from "../../../lib/flags/ProtFlags.ts"
import { gatherStats, kibOfPss, MemSizeStats } from "../../../lib/mm/proc/mem-size-stats.ts"
import { RLIMIT_MEMLOCK } from "../../../lib/mm/store/tasks.ts"
import { fallocate, ftruncate } from "../../../lib/mm/sys/file.ts"
import { memfdSecret } from "../../../lib/mm/sys/memfd.ts"
import { mlock, mlockall, munlock, munlockall } from "../../../lib/mm/sys/mlock.ts"
import { msync } from "../../../lib/mm/sys/msync.ts"
import { ANON, at, RO, RW } from "./words.ts"
import { type Proc, world } from "./world.ts"

/** Somebody who may lock so many pages. */
const user = (p: Proc, pages: number): Proc => p.asUser().limit(RLIMIT_MEMLOCK, pages)
/** `Locked` of smaps, in KiB. */
function lockedKib(p: Proc, page: `a${number}`): number {
  const mss = new MemSizeStats()
  gatherStats(p.k, p.area(page), mss)
  return kibOfPss(mss.pssLocked)
}
const LAST = 2n ** 64n - 1n
const DROPPABLE = MAP.DROPPABLE | MAP.ANONYMOUS

describe("mlock", () => {
  it("refuses unknown flags, then who may lock nothing, then what is too much, then what wraps [L-MLK-E1, L-MLK-E2, L-MLK-E3, L-MLK-E4]", () => {
    const p = world("aaa")
    expect([2, 3, 2 ** 32].map((flags) => p.mlock("a0", flags))).toEqual(["EINVAL", "EINVAL", "EINVAL"])
    expect(p.sys(mlock, at("a0"), LAST - 8191n)).toBe("EINVAL")
    user(p, 2)
    expect([p.mlock("a0+3"), p.sys(mlock, at("a0"), LAST - 8191n)]).toEqual(["ENOMEM", "ENOMEM"])
    p.limit(RLIMIT_MEMLOCK, 0)
    expect([p.mlock("a0", 2), p.mlock("a0"), p.mlock("a0+0")]).toEqual(["EINVAL", "EPERM", "EPERM"])
    expect(p.areas()).toEqual(["a0+3 rw-p"])
  })

  it("of nothing is fine, mapped or not [L-MLK-E5]", () => {
    const p = user(world("a"), 1)
    expect([p.mlock("a0+0"), p.mlock("a9+0"), p.munlock("a9+0")]).toEqual(["ok", "ok", "ok"])
    expect(p.areas()).toEqual(["a0 rw-p"])
  })

  it("rounds its start down and its end up [L-MLK-01]", () => {
    const p = world("aaa")
    expect(p.sys(mlock, at("a0") + 100, 4096)).toBe("ok")
    expect([p.areas(), p.pages("a0+3"), p.counts()]).toEqual([
      ["a0+2 rw-p lo", "a2 rw-p"],
      "AA.",
      "total 3 locked 2 data 3"
    ])
    expect(p.sys(munlock, at("a1") + 4095, 2)).toBe("ok")
    expect(p.areas(), "a1 and a2").toEqual(["a0 rw-p lo", "a1+2 rw-p"])
  })

  it("of 2^64 - 1 bytes is one of none where the address is aligned [L-MLK-02]", () => {
    const p = world("aa")
    expect([p.sys(mlock, at("a0"), LAST), p.areas()]).toEqual(["ok", ["a0+2 rw-p"]])
    expect(p.sys(mlock, at("a0") + 1, LAST)).toBe("ok")
    expect(p.areas()).toEqual(["a0+2 rw-p"])
    expect(p.sys(mlock, at("a0") + 2, LAST), "the sum is 1").toBe("ok")
    expect(p.areas()).toEqual(["a0 rw-p lo", "a1 rw-p"])
  })

  it("over a hole locks what lies before it, and brings nothing in [L-MLK-03, L-MLK-E6]", () => {
    const p = world("aa.a")
    expect([p.mlock("a2+2"), p.areas()]).toEqual(["ENOMEM", ["a0+2 rw-p", "a3 rw-p"]])
    expect([p.mlock("a0+4"), p.areas()]).toEqual(["ENOMEM", ["a0+2 rw-p lo", "a3 rw-p"]])
    expect([p.pages("a0+4"), p.counts()]).toEqual([".._.", "total 3 locked 2 data 3"])
  })

  it("that would make too many areas is refused after what came before [L-MLK-E6]", () => {
    const p = world("bbaa", { maxMapCount: 4 }).map("bbaa......b")
    expect(p.k.maple.size(p.mm)).toBe(3)
    expect(p.mlock("a1+2"), "b splits, a does not").toBe("ENOMEM")
    expect(p.areas()).toEqual(["a0 r--p", "a1 r--p lo", "a2+2 rw-p", "a10 r--p"])
  })

  it("counts what it asks for and what is locked elsewhere, not what is locked in its range, and that before it looks for holes [L-MLK-04, L-MLK-E3]", () => {
    const p = user(world("a".repeat(13)), 8)
    expect([p.mlock("a0+8"), p.mlock("a0+8"), p.mlock("a7+5"), p.mlock("a20+9")]).toEqual([
      "ok",
      "ok",
      "ENOMEM",
      "ENOMEM"
    ])
    expect(p.counts()).toBe("total 13 locked 8 data 13")
    p.munlock("a0+8")
    expect([p.mlock("a7+5"), p.mlock("a5+6"), p.mlock("a13+1"), p.mlock("a13+4")]).toEqual([
      "ok",
      "ok",
      "ENOMEM",
      "ENOMEM"
    ])
    expect(p.counts(), "a5 to a11").toBe("total 13 locked 7 data 13")
    p.k.tasks.setCaps(p.task, -1)
    expect([p.mlock("a0+13"), p.counts()]).toEqual(["ok", "total 13 locked 13 data 13"])
  })

  it("fails where a page cannot be had, but the area is locked and counted [L-MLK-05, L-MLK-E7]", () => {
    const p = world("n.aa")
    p.madvise("a3", MADV.GUARD_INSTALL)
    p.mmap("a5+2", RW, MAP.SHARED, p.memfd(1))
    expect([p.mlock("a0"), p.mlock("a2+2"), p.mlock("a5+2")]).toEqual(["ENOMEM", "ENOMEM", "ENOMEM"])
    expect(p.areas()).toEqual(["a0 ---p lo", "a2+2 rw-p gu lo", "a5+2 rw-s lo"])
    expect([p.pages("a2+2"), p.pages("a5+2"), p.counts()]).toEqual(["Ag", "F.", "total 5 locked 5 data 2"])
  })

  it("brings pages in as the area is used: to write where it is private and writable, else to read [L-MLK-06]", () => {
    const p = world()
    const fd = p.open("/f", 4)
    p.mmap("a0", RW)
    p.mmap("a2", RO)
    p.mmap("a4", EXEC)
    p.mmap("a6", WRITE)
    p.mmap("a10+4", RW, MAP.PRIVATE, fd)
    p.mmap("a20+4", RO, MAP.PRIVATE, fd)
    p.mmap("a30+4", RW, MAP.SHARED, fd)
    for (const page of ["a0", "a2", "a4", "a6", "a11", "a21", "a31"] as const) expect(p.mlock(page)).toBe("ok")
    expect(["a0", "a2", "a4", "a6"].map((page) => p.pages(page as "a0")).join("")).toBe("AzzA")
    expect([p.pages("a10+4"), p.pages("a20+4"), p.pages("a30+4")], "a read maps its area's neighbours along").toEqual([
      ".A..",
      ".f..",
      ".f.."
    ])
    expect(p.read("a11")).toBe("2")
  })

  it("takes the neighbours of a file's page along, as reads do [L-MLK-06]", () => {
    const p = world()
    p.mmap("a0+4", RO, MAP.PRIVATE, p.open("/f", 4))
    p.mlock("a0+4")
    p.madvise("a0+4", MADV.DONTNEED_LOCKED)
    expect(p.pages("a0+4")).toBe("....")
    p.sys(mlock, at("a2"), 1)
    expect(p.pages("a0+4")).toBe("FFFF")
  })

  it("with ONFAULT brings nothing in: pages count once they are touched, the page of zeroes never [L-MLK-07]", () => {
    const p = world("aaaa")
    expect([p.mlock("a0+4", MLOCK.ONFAULT), p.areas(), p.pages("a0+4")]).toEqual(["ok", ["a0+4 rw-p lo lf"], "...."])
    expect([lockedKib(p, "a0"), p.counts()]).toEqual([0, "total 4 locked 4 data 4"])
    p.write("a0+2")
    p.read("a2")
    expect([p.pages("a0+4"), lockedKib(p, "a0")]).toEqual(["AAz.", 8])
  })

  it("changes from one kind to the other; the count stays [L-MLK-08]", () => {
    const p = world("aa")
    const seen = (["a0", "a0+2"] as const).flatMap((range) =>
      [MLOCK.ONFAULT, 0, MLOCK.ONFAULT].map((flags) => {
        expect(p.mlock(range, flags)).toBe("ok")
        return `${p.areas().join(", ")}; ${p.pages("a0+2")} ${p.counts()}`
      })
    )
    expect(seen).toEqual([
      "a0 rw-p lo lf, a1 rw-p; .. total 2 locked 1 data 2",
      "a0 rw-p lo, a1 rw-p; A. total 2 locked 1 data 2",
      "a0 rw-p lo lf, a1 rw-p; A. total 2 locked 1 data 2",
      "a0+2 rw-p lo lf; A. total 2 locked 2 data 2",
      "a0+2 rw-p lo; AA total 2 locked 2 data 2",
      "a0+2 rw-p lo lf; AA total 2 locked 2 data 2"
    ])
  })

  it("passes over special mappings, and over droppable memory's flag, which it brings in [L-MLK-10, L-MLK-11]", () => {
    const p = world().placeSpecial("vdso", "a0+2").placeSpecial("vvar", "a4+2")
    p.mmap("a8+2", RW, DROPPABLE)
    const before = p.areas()
    expect([p.mlock("a0+2"), p.mlock("a4+2"), p.mlock("a8+2")]).toEqual(["ok", "ok", "ok"])
    expect([p.areas(), p.counts().includes("locked"), p.pages("a8+2")]).toEqual([before, false, "AA"])
    expect(p.sys(mlockall, MCL.CURRENT | MCL.FUTURE)).toBe("ok")
    p.mmap("a12", RW, DROPPABLE)
    expect([p.areas().slice(0, 3), p.flags("a12").includes("lo")]).toEqual([before, false])
    expect(p.counts()).not.toMatch("locked")
  })

  it("leaves secret memory as it is: locked, and never by ONFAULT [L-MLK-12]", () => {
    const p = world()
    const fd = memfdSecret(p.k, p.task, 0)
    p.sys(ftruncate, fd, 8192)
    p.mmap("a0+2", RW, MAP.SHARED, fd)
    for (const change of [
      () => p.munlock("a0+2"),
      () => p.mlock("a0+2", MLOCK.ONFAULT),
      () => p.sys(munlockall),
      () => p.sys(mlockall, MCL.CURRENT | MCL.ONFAULT)
    ]) {
      change()
      expect([p.areas(), p.counts()]).toEqual([["a0+2 rw-s lo dd"], "total 2 locked 2"])
    }
    expect(p.munlock("a0+2")).toBe("ok")
  })

  it("goes on sealed memory, and so does munlock [L-MLK-13]", () => {
    const p = world("a")
    p.mseal("a0")
    expect([p.mlock("a0"), p.areas(), p.munlock("a0"), p.areas()]).toEqual([
      "ok",
      ["a0 rw-p lo sl"],
      "ok",
      ["a0 rw-p sl"]
    ])
  })

  it("counts the length of an area, whether its pages can be had or not [L-MLK-23]", () => {
    const p = world("nn.aa")
    p.mlock("a0+2")
    p.mlock("a3+2", MLOCK.ONFAULT)
    expect([p.pages("a0+5"), p.counts()]).toEqual([".._..", "total 4 locked 4 data 2"])
  })
})

describe("munlock", () => {
  it("of what is not locked is fine; a hole is ENOMEM after what lies before it [L-MLK-09]", () => {
    const p = world("aa.a")
    expect(p.munlock("a0+2")).toBe("ok")
    p.mlock("a0+2")
    p.mlock("a3")
    expect([p.munlock("a1+3"), p.areas()]).toEqual(["ENOMEM", ["a0 rw-p lo", "a1 rw-p", "a3 rw-p lo"]])
    expect(p.counts()).toBe("total 3 locked 2 data 3")
  })
})

describe("locked pages", () => {
  it("are not given up by advice or msync; a file that shrinks, or a hole in it, takes them [L-MLK-20, L-TRUNC-07]", () => {
    const p = world("a")
    const fd = p.memfd(4)
    p.mmap("a2+4", RW, MAP.SHARED, fd)
    p.write("a0")
    p.mlock("a0")
    p.mlock("a2+4")
    for (const advice of [MADV.DONTNEED, MADV.FREE, MADV.COLD, MADV.PAGEOUT, MADV.GUARD_INSTALL])
      expect(p.madvise("a0", advice), `advice ${advice}`).toBe("EINVAL")
    expect([p.madvise("a2", MADV.REMOVE), p.sys(msync, at("a2"), 4096, MS.INVALIDATE)]).toEqual(["EINVAL", "EBUSY"])
    expect([p.pages("a0"), p.pages("a2+4")]).toEqual(["A", "FFFF"])
    expect(p.sys(fallocate, fd, 3, 4096, 4096)).toBe("ok")
    expect(p.pages("a2+4")).toBe("F.FF")
    expect(p.sys(ftruncate, fd, 4096)).toBe("ok")
    expect([p.pages("a2+4"), p.areas()[1], p.counts()]).toEqual(["F...", "a2+4 rw-s lo", "total 5 locked 5 data 1"])
  })

  it("of a stack that grows: all of it counts, the page that was touched is brought in [L-MLK-21]", () => {
    const p = world()
    p.mmap("a300", RW, ANON | MAP.GROWSDOWN)
    p.mlock("a300")
    expect([p.pages("a300"), p.counts()]).toEqual(["A", "total 1 locked 1 stack 1"])
    expect(p.write("a297")).toBe("ok")
    expect([p.areas(), p.pages("a297+4")]).toEqual([["a297+4 rw-p gd lo"], "A..A"])
    expect(p.counts()).toBe("total 4 locked 4 stack 4")
  })

  it("that two share count half for each [L-MLK-22]", () => {
    const p = world("aa")
    p.mlock("a0+2")
    expect(lockedKib(p, "a0")).toBe(8)
    const child = p.fork()
    expect([lockedKib(p, "a0"), lockedKib(child, "a0")], "the child has nothing locked").toEqual([4, 0])
    child.exit()
    expect(lockedKib(p, "a0")).toBe(8)
  })
})
