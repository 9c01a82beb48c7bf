/** madvise: dropped, lazily freed and guarded pages; huge pages that there are none of. */
import { describe, expect, it } from "vitest"
import * as MADV from "../../../lib/flags/AdviceFlags.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { gatherStats, MemSizeStats } from "../../../lib/mm/proc/mem-size-stats.ts"
import { FILE_ZERO } from "../../../lib/mm/store/files.ts"
import { madvise } from "../../../lib/mm/sys/madvise.ts"
import { mmap } from "../../../lib/mm/sys/mmap.ts"
import { NONE, RO, RW, SHARED_ANON } from "./words.ts"
import { type Proc, world } from "./world.ts"

/** What smaps counts in KiB, where that is not zero: `privateDirty 4`. */
function kinds(p: Proc, page: `a${number}`): string {
  const all = new MemSizeStats()
  gatherStats(p.k, p.area(page), all)
  const { privateClean, privateDirty, sharedClean, sharedDirty } = all
  return Object.entries({ privateClean, privateDirty, sharedClean, sharedDirty })
    .filter(([, bytes]) => bytes !== 0)
    .map(([name, bytes]) => `${name} ${bytes / 1024}`)
    .join(" ")
}

describe("DONTNEED", () => {
  it("brings back zeroes, the file, or the same data, by whose the pages were [L-MADV-06]", () => {
    const p = world("aa")
    p.mmap("a2+2", RW, MAP.PRIVATE, p.memfd(4))
    p.mmap("a4+2", RW, SHARED_ANON)
    p.mmap("a6+2", RW, MAP.SHARED, p.memfd(2))
    p.write("a0+8")
    expect(p.madvise("a0+8", MADV.DONTNEED)).toBe("ok")
    expect(p.pages("a0+8")).toBe("........")
    expect(p.read("a0+8")).toBe("0 0 1 2 105 106 107 108")
    expect(p.pages("a0+2")).toBe("zz")
  })

  it("leaves guard markers; so does all other advice but GUARD_REMOVE [L-MADV-07, L-MADV-09]", () => {
    const p = world("aaaa")
    p.write("a0")
    p.madvise("a2+2", MADV.GUARD_INSTALL)
    expect(p.pages("a0+4")).toBe("A.gg")
    p.madvise("a0+4", MADV.DONTNEED)
    expect(p.pages("a0+4")).toBe("..gg")
    for (const advice of [MADV.FREE, MADV.DONTNEED_LOCKED, MADV.COLD, MADV.PAGEOUT, MADV.WILLNEED]) {
      expect(p.madvise("a0+4", advice)).toBe("ok")
      expect(p.pages("a0+4"), `advice ${advice}`).toBe("..gg")
    }
    expect(p.read("a3")).toBe("SEGV_MAPERR")
  })
})

describe("FREE", () => {
  it("makes pages clean, which keep their data for now; a write makes them one's own again [L-MADV-08]", () => {
    const p = world("aa")
    p.write("a0+2")
    expect(kinds(p, "a0")).toBe("privateDirty 8")
    expect(p.madvise("a0", MADV.FREE)).toBe("ok")
    expect(kinds(p, "a0")).toBe("privateClean 4 privateDirty 4")
    expect(p.read("a0+2")).toBe("101 102")
    expect(kinds(p, "a0"), "read, not written").toBe("privateClean 4 privateDirty 4")
    p.write("a0", 7)
    expect(kinds(p, "a0")).toBe("privateDirty 8")
  })

  it("does so to pages that a child has too, but not to those that are dirty in themselves [L-MADV-08]", () => {
    const p = world("aa")
    p.write("a0+2")
    p.madvise("a1", MADV.FREE)
    p.madvise("a1", MADV.POPULATE_WRITE)
    p.fork()
    expect(kinds(p, "a0")).toBe("sharedDirty 8")
    p.madvise("a0+2", MADV.FREE)
    expect(kinds(p, "a0")).toBe("sharedClean 4 sharedDirty 4")
  })
})

describe("guards", () => {
  it("are put on anonymous memory, on private and on shared files, whose data stays [L-MADV-17]", () => {
    const p = world("aaa")
    const fd = p.memfd(4)
    p.mmap("a3+3", RW, MAP.PRIVATE, fd)
    p.mmap("a6+3", RW, MAP.SHARED, fd)
    p.write("a0+6")
    p.read("a6+3")
    for (const page of ["a1", "a4", "a7"] as const)
      for (const _ of [1, 2]) expect(p.madvise(page, MADV.GUARD_INSTALL), "again, too").toBe("ok")
    expect(p.pages("a0+9")).toBe("AgAAgAFgF")
    expect([p.read("a1"), p.write("a4"), p.read("a7")]).toEqual(["SEGV_MAPERR", "SEGV_MAPERR", "SEGV_MAPERR"])
    p.madvise("a0+9", MADV.GUARD_REMOVE)
    expect(p.read("a0+9"), "private data is lost").toBe("101 0 103 104 2 106 1 2 3")
  })

  it("are not put on locked or special memory, but taken off locked memory [L-MADV-17, L-MADV-18]", () => {
    const p = world("aa")
    p.madvise("a0", MADV.GUARD_INSTALL)
    p.mlock("a1")
    p.write("a1")
    expect(p.mlock("a0"), "the pages cannot be had").toBe("ENOMEM")
    expect(p.areas()).toEqual(["a0+2 rw-p gu lo"])
    expect(p.madvise("a1", MADV.GUARD_INSTALL)).toBe("EINVAL")
    expect(p.madvise("a0+2", MADV.GUARD_REMOVE)).toBe("ok")
    expect(p.pages("a0+2"), "other pages stay").toBe(".A")
    p.placeSpecial("vdso", "a10+2")
    for (const advice of [MADV.GUARD_INSTALL, MADV.GUARD_REMOVE]) expect(p.madvise("a10+2", advice)).toBe("EINVAL")
  })

  it("are shown as possible for ever: in pieces, copies and children [L-MADV-19]", () => {
    const p = world("aaa")
    p.madvise("a1", MADV.GUARD_INSTALL)
    p.madvise("a1", MADV.GUARD_REMOVE)
    p.mprotect("a0", RO)
    p.mprotect("a2", NONE)
    p.mremap("a1", "a20")
    const all = ["a0 r--p gu", "a2 ---p gu", "a20 rw-p gu"]
    expect(p.areas()).toEqual(all)
    expect(p.fork().areas()).toEqual(all)
  })
})

describe("REMOVE", () => {
  it("of an offset of 2^63 and above is EINVAL: offsets have a sign [L-MADV-10]", () => {
    const p = world()
    p.mmap("a0+8", RW, MAP.SHARED, p.special(FILE_ZERO), 2 ** 51 - 1)
    expect(p.madvise("a1", MADV.REMOVE)).toBe("EINVAL")
    expect(p.madvise("a0", MADV.REMOVE)).toBe("EFBIG")
  })
})

describe("COLLAPSE", () => {
  it("wants an area with a whole block of 2 MiB that may be huge; from a border to the same one is no error [L-MADV-22]", () => {
    const p = world()
    p.mmap("a0+1024", RW)
    expect(p.madvise("a1+511", MADV.COLLAPSE), "was never written").toBe("EINVAL")
    p.write("a700")
    for (const range of ["a0", "a1+511", "a1+512", "a511+2", "a511", "a512"] as const)
      expect(p.madvise(range, MADV.COLLAPSE), `${range} touches a border`).toBe("ok")
    for (const range of ["a1", "a1+2", "a513"] as const)
      expect(p.madvise(range, MADV.COLLAPSE), `${range} touches no border`).toBe("EINVAL")
    p.madvise("a0+1024", MADV.NOHUGEPAGE)
    expect(p.madvise("a1+511", MADV.COLLAPSE)).toBe("EINVAL")
    p.mmap("a2049+1022", RW)
    p.write("a2050")
    expect(p.madvise("a2050+2", MADV.COLLAPSE), "from a2048 to a2560 and to a3072, but neither whole").toBe("EINVAL")
  })

  it("of files wants shared memory, whose blocks lie as the area's do [L-MADV-22]", () => {
    const p = world()
    p.mmap("a0+1024", RW, SHARED_ANON)
    expect(p.madvise("a0", MADV.COLLAPSE)).toBe("ok")
    const memfd = p.memfd(4)
    p.mmap("a1024+1024", RW, MAP.PRIVATE, memfd)
    expect(p.madvise("a1024", MADV.COLLAPSE)).toBe("ok")
    p.mmap("a2048+1024", RW, MAP.SHARED, memfd, 1)
    expect(p.madvise("a2048", MADV.COLLAPSE), "a page aside").toBe("EINVAL")
    p.mmap("a3072+1024", RW, MAP.PRIVATE, p.open("/f"))
    expect(p.madvise("a3072", MADV.COLLAPSE)).toBe("EINVAL")
  })

  it("takes an area below 2 MiB for one with a whole block [L-MADV-22]", () => {
    const p = world()
    const low = (at: number): string => {
      p.sys(mmap, at, 4096, RW, MAP.PRIVATE | MAP.ANONYMOUS | MAP.FIXED, -1, 0)
      p.sys(madvise, at, 4096, MADV.POPULATE_WRITE)
      return p.sys(madvise, at, 4096, MADV.COLLAPSE)
    }
    expect([low(0), low(0x10000)]).toEqual(["ok", "EINVAL"])
    p.sys(mmap, 0, 4096, RW, MAP.PRIVATE | MAP.ANONYMOUS | MAP.FIXED, -1, 0)
    expect(p.sys(madvise, 0, 4096, MADV.COLLAPSE), "was never written").toBe("EINVAL")
  })

  it("of a whole block fails, since this machine makes no huge pages [L-MADV-22]", () => {
    const p = world()
    p.mmap("a0+1024", RW)
    p.write("a0")
    expect(p.madvise("a0+512", MADV.COLLAPSE)).toBe("EINVAL")
    expect(p.pages("a0+2")).toBe("A.")
  })
})
