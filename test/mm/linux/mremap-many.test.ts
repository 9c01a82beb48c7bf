/** mremap of several areas at once, and of areas that stay behind (DONTUNMAP); what both cost. */
import * as MREMAP from "../../../lib/flags/MremapFlags.ts"
import { describe, expect, it } from "vitest"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { FILE_ZERO } from "../../../lib/mm/store/files.ts"
import { RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK } from "../../../lib/mm/store/tasks.ts"
import { munlockall } from "../../../lib/mm/sys/mlock.ts"
import { mremap } from "../../../lib/mm/sys/mremap.ts"
import { ANON, at, RW, SHARED_ANON } from "./words.ts"
import { type Proc, world } from "./world.ts"

const { PRIVATE, SHARED } = MAP
const MAYMOVE = MREMAP.MAYMOVE
const KEEP = MAYMOVE | MREMAP.DONTUNMAP
const KEEP_AT = KEEP | MREMAP.FIXED

describe("several areas to a named place", () => {
  it("move together, each as far as the range goes, the gaps between them kept [L-MRE-15]", () => {
    const p = world()
    p.mmap("a0+2", RW, PRIVATE, p.open("/f"))
    p.mmap("a2+2", RW)
    p.mmap("a5+2", RW, SHARED_ANON)
    p.write("a0+4")
    p.write("a5+2")
    expect(p.mremap("a1+5", "a20+5")).toBe("a20")
    expect(p.areas()).toEqual(["a0 rw-p", "a6 rw-s", "a20 rw-p", "a21+2 rw-p", "a24 rw-s"])
    expect(p.read("a20+5")).toBe("102 103 104 SEGV_MAPERR 106")
  })

  it("may begin with an area, not with a hole [L-MRE-16]", () => {
    const p = world(".a..b...")
    expect(p.mremap("a0+4", "a20+4")).toBe("EFAULT")
    expect(p.draw()).toBe(".a..b")
    expect(p.mremap("a1+7", "a21+7"), "holes within and at the end").toBe("a21")
    expect(p.areas()).toEqual(["a21 rw-p", "a24 r--p"])
  })

  it("may stay behind, too [L-MRE-17]", () => {
    const p = world("ab")
    p.write("a0")
    expect(p.mremap("a0+2", "a20+2", KEEP_AT)).toBe("a20")
    expect(p.areas()).toEqual(["a0 rw-p", "a1 r--p", "a20 rw-p", "a21 r--p"])
    expect([p.read("a0"), p.read("a20")]).toEqual(["0", "101"])
  })

  it("stop at the first that cannot: what came before has moved [L-MRE-18]", () => {
    const sealed = world("abab")
    sealed.mseal("a2")
    expect(sealed.mremap("a0+4", "a20+4")).toBe("EPERM")
    expect(sealed.areas()).toEqual(["a2 rw-p sl", "a3 r--p", "a20 rw-p", "a21 r--p"])
    const target = world("ab....................a")
    target.mmap("a21", RW)
    target.mseal("a21")
    expect(target.mremap("a0+2", "a20+2")).toBe("EPERM")
    expect(target.areas()).toEqual(["a1 r--p", "a20 rw-p", "a21 rw-p sl", "a22 rw-p"])
    const special = world("a").placeSpecial("vdso", "a1+2")
    expect(special.mremap("a0+2", "a20+2"), "a part of it").toBe("EINVAL")
    expect(special.draw(21)).toBe(".aa.................b")
  })

  it("have none among them whose file chooses places itself; alone it moves [L-MRE-19]", () => {
    const p = world("a")
    p.mmap("a1", RW, PRIVATE, p.special(FILE_ZERO))
    expect(p.mremap("a0+2", "a20+2")).toBe("EFAULT")
    expect(p.areas(), "the first has moved").toEqual(["a1 rw-p", "a20 rw-p"])
    expect(p.mremap("a1", "a21")).toBe("a21")
    const all = world()
    all.mmap("a0", RW, PRIVATE, all.open("/f"))
    all.mmap("a1", RW, SHARED, all.memfd(1))
    all.mmap("a2", RW, SHARED, all.device())
    expect(all.mremap("a0+3", "a20+3"), "files, shared memory, devices").toBe("a20")
  })

  it("do nothing where the place has no name [L-MRE-20]", () => {
    const p = world("aabb")
    expect(p.mremap("a0+4", 4, MAYMOVE)).toBe("a0")
    expect(p.mremap("a0+4", 4)).toBe("a0")
    expect(p.draw()).toBe("aabb")
  })
})

describe("DONTUNMAP", () => {
  it("wants MAYMOVE and equal lengths; the new place is a hint, and taken as it is [L-MRE-21]", () => {
    const p = world("aab")
    expect(p.mremap("a0+2", "a10+2", MREMAP.DONTUNMAP)).toBe("EINVAL")
    expect(p.mremap("a0+2", "a10+3", KEEP)).toBe("EINVAL")
    expect(p.sys(mremap, at("a0"), 8192, 8192, KEEP, at("a10") + 1)).toBe("EINVAL")
    expect(p.mremap("a0+2", "a10+2", KEEP)).toBe("a10")
    expect(p.mremap("a0+2", "a10+2", KEEP), "busy").toBe("0x7ffff7ffd000")
    expect(p.sys(mremap, at("a0"), 8192, 8192, KEEP, 0x1000), "not rounded").toBe("0x1000")
  })

  it("takes the pages away and leaves the area, unlocked [L-MRE-22]", () => {
    const p = world("aa")
    p.mmap("a2+2", RW, PRIVATE, p.open("/f"))
    p.mmap("a4+2", RW, SHARED_ANON)
    for (const range of ["a0+6"] as const) {
      p.write(range)
      p.mlock(range)
    }
    for (const page of [0, 2, 4]) expect(p.mremap(`a${page}+2`, `a${20 + page}+2`, KEEP_AT)).toBe(`a${20 + page}`)
    expect(p.areas()).toEqual([
      "a0+2 rw-p",
      "a2+2 rw-p",
      "a4+2 rw-s",
      "a20+2 rw-p lo",
      "a22+2 rw-p lo",
      "a24+2 rw-s lo"
    ])
    expect(p.pages("a0+6")).toBe("......")
    expect(p.read("a20+6")).toBe("101 102 103 104 105 106")
    expect(p.read("a0+6"), "zeroes, the file, the same object").toBe("0 0 1 2 105 106")
  })

  it("taken whole forgets that it was written, and so merges with fresh memory; a part does not [L-MRE-22]", () => {
    const p = world("aa")
    p.write("a0+2")
    p.mremap("a0+2", "a20+2", KEEP_AT)
    expect(p.k.vmas.anon(p.area("a0"))).toBe(0)
    const q = world("aa")
    q.write("a0+2")
    q.mremap("a0", "a20", KEEP_AT)
    expect(q.k.vmas.anon(q.area("a0"))).not.toBe(0)
  })

  it("is for memory of every kind but special mappings [L-MRE-23]", () => {
    for (const [flags, open] of [
      [ANON, () => -1],
      [SHARED_ANON, () => -1],
      [SHARED, (p: Proc) => p.open("/f")],
      [ANON | MAP.GROWSDOWN, () => -1],
      [MAP.DROPPABLE | MAP.ANONYMOUS, () => -1]
    ] as const) {
      const p = world()
      p.mmap("a0+2", RW, flags, open(p))
      expect(p.mremap("a0+2", "a20+2", KEEP), `flags ${flags}`).toBe("a20")
      const [old = "", copy = ""] = p.areas()
      expect([old.replace("a0", ""), p.areas().length]).toEqual([copy.replace("a20", ""), 2])
    }
    for (const what of ["vdso", "vvar"] as const) {
      const p = world().placeSpecial(what, "a0+2")
      expect(p.mremap("a0+2", "a20+2", KEEP)).toBe("EINVAL")
    }
  })

  it("of locked memory counts it twice for good, past the limit even [L-MRE-24]", () => {
    const p = world("aa").limit(RLIMIT_MEMLOCK, 3).asUser()
    p.mlock("a0+2")
    expect(p.mremap("a0+2", "a20+2", KEEP), "the limit is not asked").toBe("a20")
    expect(p.counts()).toBe("total 4 locked 4 data 4")
    p.munmap("a0+2")
    expect(p.sys(munlockall)).toBe("ok")
    expect(p.counts()).toBe("total 2 locked 2 data 2")
    expect(p.mlock("a20+2")).toBe("ENOMEM")
  })

  it("needs room, and a promise, for the full length; not the right to lock it [L-MRE-25, L-MRE-33]", () => {
    const p = world("aa").limit(RLIMIT_AS, 3)
    expect(p.mremap("a0+2", "a20+2", KEEP)).toBe("ENOMEM")
    p.limit(RLIMIT_AS, 4)
    expect(p.mremap("a0+2", "a20+2", KEEP)).toBe("a20")
    expect(p.committed).toBe(4)
    expect(p.counts()).toBe("total 4 data 4")
    const q = world("", { ramPages: 64 })
    q.mmap("a0+65", RW, ANON | MAP.NORESERVE)
    expect(q.mremap("a0+65", "a100+65", KEEP), "what is not promised needs none").toBe("a100")
    q.mmap("a300+40", RW)
    expect(q.mremap("a300+40", "a400+40", KEEP), "as much again is no more than there is").toBe("a400")
    expect(q.committed).toBe(80)
  })
})

describe("growing", () => {
  const G = 2 ** 30 / 4096

  it("of locked memory is measured before the address space is, and brings the new pages in [L-MRE-29]", () => {
    const p = world("aab").limit(RLIMIT_MEMLOCK, 3).limit(RLIMIT_AS, 4).asUser()
    p.mlock("a0+2")
    expect(p.mremap("a0+2", 4, MAYMOVE), "too much for both limits").toBe("EAGAIN")
    expect(p.mremap("a0+2", "a20+3")).toBe("a20")
    expect(p.areas()[1]).toBe("a20+3 rw-p lo")
    expect(p.pages("a20+3")).toBe("AAA")
    expect(p.counts()).toBe("total 4 locked 3 data 3")
    const q = world()
    q.mmap("a0+2", RW, SHARED, q.memfd(2))
    q.mlock("a0+2")
    expect(q.mremap("a0+2", 4)).toBe("a0")
    expect(q.pages("a0+4"), "nothing to be had there").toBe("FF..")
    expect(q.counts()).toBe("total 4 locked 4")
  })

  it("is promised, limited and counted by what it adds [L-MRE-33]", () => {
    const p = world("", { maxTables: 64 })
    p.mmap(`a0+${20 * G}`, RW)
    expect(p.committed).toBe(20 * G)
    expect(p.mremap(`a0+${20 * G}`, 50 * G), "30 GiB more, of 24").toBe("ENOMEM")
    expect(p.mremap(`a0+${20 * G}`, 30 * G)).toBe("a0")
    expect(p.mremap(`a0+${30 * G}`, 50 * G)).toBe("a0")
    expect(p.counts()).toBe(`total ${50 * G} data ${50 * G}`)
    expect(p.committed).toBe(50 * G)
  })

  it("by moving takes the old length back [L-MRE-33]", () => {
    const p = world("aab").limit(RLIMIT_AS, 5).limit(RLIMIT_DATA, 4)
    expect(p.mremap("a0+2", "a20+4"), "3 + 2").toBe("a20")
    expect(p.counts()).toBe("total 5 data 4")
    expect(p.committed).toBe(4)
    expect(p.mremap("a20+4", "a30+4")).toBe("a30")
    expect(p.counts()).toBe("total 5 data 4")
    expect(p.committed).toBe(4)
  })
})
