/** mremap of one area: shrinking, growing, moving. */
import * as MREMAP from "../../../lib/flags/MremapFlags.ts"
import { describe, expect, it } from "vitest"
import * as MADV from "../../../lib/flags/AdviceFlags.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { EIO } from "../../../lib/flags/Errno.ts"
import { H_MREMAP } from "../../../lib/mm/base/stop.ts"
import { mremap } from "../../../lib/mm/sys/mremap.ts"
import { A0, ANON, at, RW, SHARED_ANON } from "./words.ts"
import { type Proc, world } from "./world.ts"

const { PRIVATE, SHARED } = MAP
const MAYMOVE = MREMAP.MAYMOVE

describe("an mremap to the same length", () => {
  it("that may not go elsewhere looks at the start of its range, and does nothing [L-MRE-03]", () => {
    const p = world("aa..b")
    expect(p.mremap("a0+4", 4)).toBe("a0")
    expect(p.mremap("a1+4", 4, MAYMOVE)).toBe("a1")
    expect(p.mremap("a2+4", 4)).toBe("EFAULT")
    p.mseal("a4")
    expect(p.mremap("a1+4", 4)).toBe("a1")
    expect(p.mremap("a4", 1)).toBe("EPERM")
    expect(p.draw()).toBe("aa..b")
  })
})

describe("a mapping shrinks", () => {
  it("as if its tail were unmapped, whatever that tail is [L-MRE-04]", () => {
    const p = world("aabb..aa")
    p.write("a0+2")
    expect(p.mremap("a0+8", 2)).toBe("a0")
    expect(p.draw()).toBe("aa")
    expect(p.mremap("a0+50", 1), "past everything").toBe("a0")
    expect(p.read("a0+2")).toBe("101 SEGV_MAPERR")
  })

  it("not over sealed memory; the first area may stay split [L-MRE-05]", () => {
    const p = world("aaa")
    p.mseal("a2")
    expect(p.mremap("a0+3", 1)).toBe("EPERM")
    expect(p.areas()).toEqual(["a0 rw-p", "a1 rw-p", "a2 rw-p sl"])
  })

  it("to whole pages [L-MRE-09]", () => {
    const p = world("aaa")
    expect(p.sys(mremap, at("a0"), 4097, 4096, 0, 0)).toBe("a0")
    expect(p.draw(), "the second page is gone").toBe("a.a")
    expect(p.sys(mremap, at("a0"), 1, 2, 0, 0), "one page each").toBe("a0")
    expect(p.sys(mremap, at("a0"), 1, 4097, 0, 0), "two").toBe("a0")
    expect(p.draw()).toBe("aaa")
  })
})

describe("a mapping grows", () => {
  it("from within one area; an inner part must move, and is cut out [L-MRE-06]", () => {
    const p = world("aaaaaab")
    p.write("a0+6")
    expect(p.mremap("a5+2", 3, MAYMOVE), "passes the end").toBe("EFAULT")
    expect(p.mremap("a2+2", 4)).toBe("ENOMEM")
    expect(p.mremap("a2+2", 4, MAYMOVE)).toBe("0x7ffff7ffb000")
    expect(p.draw(7)).toBe("aa..aab")
    expect(p.read("a0+2")).toBe("101 102")
  })

  it("in place if it is the tail of its area and there is room, else it must be allowed to move [L-MRE-07]", () => {
    const p = world("aaa..b")
    expect(p.mremap("a1+2", 4)).toBe("a1")
    expect(p.draw()).toBe("aaaaab")
    expect(p.mremap("a1+4", 5)).toBe("ENOMEM")
    expect(p.mremap("a1+4", 5, MAYMOVE)).toBe("0x7ffff7ffa000")
    const top = 0x7ffffffff
    const q = world()
    const end = `a${top - A0 - 1}` as const
    q.mmap(end, RW)
    expect(q.mremap(end, 2), "the end of user space").toBe("ENOMEM")
  })

  it("in place right up to a stack, whose gap does not count [L-MRE-08]", () => {
    const p = world("aaaaaaaaaa")
    p.mmap("a300+2", RW, ANON | MAP.GROWSDOWN)
    expect(p.mremap("a0+10", 100)).toBe("a0")
    expect(p.mremap("a0+100", 300)).toBe("a0")
    expect(p.mremap("a0+300", 301)).toBe("ENOMEM")
    expect(p.areas()).toEqual(["a0+300 rw-p", "a300+2 rw-p gd"])
  })

  it("past the end of its object, where nothing can be touched [L-MRE-31]", () => {
    const p = world()
    for (const [range, flags, fd] of [
      ["a0+2", SHARED, p.memfd(2)],
      ["a10+2", SHARED, p.open("/f", 2)],
      ["a20+2", SHARED_ANON, -1]
    ] as const) {
      p.mmap(range, RW, flags, fd)
      expect(p.mremap(range, 4)).toBe(range.split("+")[0])
    }
    expect(p.write("a0+4")).toBe("ok ok SIGBUS SIGBUS")
    expect(p.write("a10+4")).toBe("ok ok SIGBUS SIGBUS")
    expect(p.write("a20+4")).toBe("ok ok SIGBUS SIGBUS")
  })
})

describe("to a named place", () => {
  it("whatever was there goes first, for good [L-MRE-10]", () => {
    const p = world("aa........bbb")
    p.write("a0")
    expect(p.mremap("a0+2", "a10+2")).toBe("a10")
    expect(p.areas()).toEqual(["a10+2 rw-p", "a12 r--p"])
    expect(p.read("a10+2")).toBe("101 0")
    const q = world("aaaa")
    q.write("a0+4")
    q.mseal("a0")
    expect(q.mremap("a0", "a2"), "a source that may not go is found out in time").toBe("EPERM")
    expect(q.read("a2")).toBe("103")
  })

  it("nothing happens if that is sealed, but that its first area may be split [L-MRE-11]", () => {
    const p = world("aa..................aaa")
    p.write("a20+2")
    p.mseal("a22")
    expect(p.mremap("a0+2", "a21+2")).toBe("EPERM")
    expect(p.areas()).toEqual(["a0+2 rw-p", "a20 rw-p", "a21 rw-p", "a22 rw-p sl"])
    expect(p.read("a20+2")).toBe("121 122")
  })

  it("that overlaps the old one it does not go; another place within the area is fine [L-MRE-12]", () => {
    const p = world("aaaaaaaa")
    p.write("a0+8")
    expect(p.mremap("a0+2", "a1+2")).toBe("EINVAL")
    expect(p.mremap("a2+2", "a1+2")).toBe("EINVAL")
    expect(p.mremap("a50+2", "a51+2"), "before anything is looked up").toBe("EINVAL")
    expect(p.mremap("a0+2", "a4+2")).toBe("a4")
    expect(p.draw()).toBe("..aa|aa|aa")
    expect(p.read("a2+6")).toBe("103 104 101 102 107 108")
  })

  it("the longer source is shrunk first, over several areas; the shorter must be one area [L-MRE-13, L-MRE-14]", () => {
    const p = world("aabb")
    p.write("a0+2")
    expect(p.mremap("a0+4", "a20+5"), "grows").toBe("EFAULT")
    expect(p.mremap("a0+4", "a20+2")).toBe("a20")
    expect(p.areas()).toEqual(["a20+2 rw-p"])
    expect(p.read("a20+2")).toBe("101 102")
    expect(p.mremap("a20+2", "a30+3")).toBe("a30")
    expect(p.read("a30+3")).toBe("101 102 0")
  })

  it("below the lowest address only who has the right to it gets [L-MRE-36]", () => {
    const to = (p: Proc): string => p.sys(mremap, at("a0"), 4096, 4096, MAYMOVE | MREMAP.FIXED, 0)
    expect(to(world("a").asUser())).toBe("EPERM")
    const p = world("a")
    expect([to(p), p.draw()], "root moves to address 0").toEqual(["ok", ""])
  })
})

describe("no length at all", () => {
  it("makes another mapping of shared memory, and of private memory none [L-MRE-26]", () => {
    const p = world()
    p.mmap("a0+4", RW, SHARED, p.memfd(4))
    p.mmap("a8", RW)
    expect(p.mremap("a1+0", "a30+1")).toBe("a30")
    expect([p.offset("a30"), p.read("a30")]).toEqual(["1", "2"])
    expect(p.draw(4), "the old one stays").toBe("aaaa")
    expect(p.mremap("a0+0", 1)).toBe("ENOMEM")
    expect(p.mremap("a0+0", 1, MAYMOVE)).toBe("0x7ffff7ffe000")
    expect(p.mremap("a8+0", "a30+1")).toBe("EINVAL")
    expect(p.mremap("a9+0", "a30+1")).toBe("EFAULT")
  })

  it("to its own place loses both: the target goes, and with it the source [L-MRE-27]", () => {
    const p = world()
    p.mmap("a0+2", RW, SHARED, p.memfd(4))
    expect(p.mremap("a0+0", "a0+1")).toBe("EFAULT")
    expect(p.draw()).toBe(".a")
  })
})

describe("a move", () => {
  it("of sealed memory is refused in every form, as soon as the memory is looked at [L-MRE-28]", () => {
    const p = world()
    p.mmap("a0+2", RW, SHARED_ANON)
    p.mseal("a0+2")
    for (const [to, flags] of [
      [2, 0],
      [1, 0],
      [4, MAYMOVE],
      ["a20+2", MAYMOVE | MREMAP.FIXED],
      ["a20+1", MAYMOVE | MREMAP.FIXED],
      ["a20+2", MAYMOVE | MREMAP.DONTUNMAP]
    ] as const)
      expect(p.mremap("a0+2", to, flags), `to ${to}`).toBe("EPERM")
    expect(p.mremap("a0+0", 1, MAYMOVE)).toBe("EPERM")
    expect(p.mremap("a0+9", 10), "before the range").toBe("EPERM")
    expect(p.mremap("a0+2", 0), "after the parameters").toBe("EINVAL")
    expect(p.areas()).toEqual(["a0+2 rw-s sl"])
  })

  it("keeps every flag [L-MRE-34]", () => {
    const p = world("aaaa")
    for (const advice of [MADV.DONTFORK, MADV.WIPEONFORK, MADV.DONTDUMP, MADV.RANDOM, MADV.HUGEPAGE, MADV.MERGEABLE])
      expect(p.madvise("a0+4", advice)).toBe("ok")
    p.madvise("a1", MADV.GUARD_INSTALL)
    p.mlock("a0+4")
    const before = p.flags("a0")
    expect(p.mremap("a0+4", "a20+4")).toBe("a20")
    expect(p.flags("a20")).toBe(before)
    expect(before).toBe("rd wr mr mw me gu lo rr dc ac wf dd hg mg")
  })

  it("takes guard markers along [L-MRE-35]", () => {
    const p = world("aaa")
    p.write("a0+3")
    p.madvise("a1", MADV.GUARD_INSTALL)
    p.mremap("a0+3", "a20+3")
    expect(p.pages("a20+3")).toBe("AgA")
    expect(p.read("a20+3")).toBe("101 SEGV_MAPERR 103")
  })

  it("leaves a stack a stack, which grows down at its new place [L-MRE-37]", () => {
    const p = world()
    p.mmap("a300+2", RW, ANON | MAP.GROWSDOWN)
    p.write("a300+2")
    p.mremap("a300+2", "a600+2")
    expect(p.write("a599")).toBe("ok")
    expect(p.areas()).toEqual(["a599+3 rw-p gd"])
    expect(p.read("a599+3")).toBe("188 145 146")
  })

  it("takes along private copies and pages of the cache, which need not be found anew [L-MRE-41]", () => {
    const p = world()
    p.mmap("a0+4", RW, PRIVATE, p.memfd(4))
    p.write("a1", 9)
    p.read("a0+4")
    expect(p.pages("a0+4")).toBe("FAFF")
    p.mremap("a0+4", "a20+4")
    expect(p.pages("a20+4")).toBe("FAFF")
    expect(p.read("a20+4")).toBe("1 9 3 4")
  })

  it("that finds no page table puts every entry back, and the new area away [L-MRE-38]", () => {
    for (let nth = 1, done = false; !done; nth++) {
      const p = world("aaaa")
      p.write("a0+4")
      p.k.fail.arm(nth)
      // the four pages go to two tables
      const answer = p.mremap("a0+4", "a1022+4")
      done = !p.k.fail.fired
      p.k.fail.arm(0)
      expect(answer, `allocation ${nth}`).toBe(done ? "a1022" : "ENOMEM")
      expect(p.areas()).toEqual([done ? "a1022+4 rw-p" : "a0+4 rw-p"])
      expect(p.read(done ? "a1022+4" : "a0+4")).toBe("101 102 103 104")
      expect(p.committed).toBe(4)
      if (done) expect(nth, "more than the area itself was tried").toBeGreaterThan(4)
    }
  })

  it("is told to the owner once, with the new area and its pages; his refusal takes it back [L-MRE-39]", () => {
    const p = world()
    p.mmap("a0+2", RW, SHARED, p.device([H_MREMAP], { translate: () => p.driverPage() }))
    p.write("a0+2")
    p.machine.heard.length = 0
    const seen: string[] = []
    p.machine.hook = () => {
      seen.push(`${p.pages("a0+2")} ${p.pages("a20+2")}`)
      return seen.length === 1 ? 0 : EIO
    }
    expect(p.mremap("a0+2", "a20+2")).toBe("a20")
    expect([p.machine.heard, seen]).toEqual([["mremap a20+2"], [".. FF"]])
    expect(p.mremap("a20+2", "a40+2")).toBe("EIO")
    expect(p.areas()).toEqual(["a20+2 rw-s"])
    expect(p.pages("a20+2")).toBe("FF")
  })

  it("of special mappings is whole or not at all; they neither grow nor shrink [L-MRE-30]", () => {
    for (const what of ["vdso", "vvar"] as const) {
      const p = world().placeSpecial(what, "a0+2")
      expect(p.mremap("a0+2", "a20+2")).toBe("a20")
      expect(p.mremap("a20", "a30")).toBe("EINVAL")
      expect(p.mremap("a20+2", 3, MAYMOVE)).toBe("EFAULT")
      expect(p.mremap("a20+2", 1)).toBe("EINVAL")
      expect(p.draw()).toBe("....................aa")
      expect(p.name("a20")).toBe(`[${what}]`)
    }
  })

  it("from the middle of locked memory leaves the rest of it locked [L-MRE-42]", () => {
    const p = world("aaaaaa")
    p.mlock("a0+6")
    expect(p.mremap("a2+2", "a20+2")).toBe("a20")
    expect(p.areas()).toEqual(["a0+2 rw-p lo", "a4+2 rw-p lo", "a20+2 rw-p lo"])
    expect(p.counts()).toBe("total 6 locked 6 data 6")
  })
})
