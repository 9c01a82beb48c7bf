/** Which areas are one, row by row; every pair of operations is in small-worlds.test.ts. */
import { describe, expect, it } from "vitest"
import { VM_SOFTDIRTY } from "../../../lib/flags/bits.ts"
import { EINVAL, ENOMEM, EPERM, OK } from "../../../lib/flags/Errno.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { EXEC, NONE } from "../../../lib/flags/ProtFlags.ts"
import { VMH_SEALED } from "../../../lib/flags/bits.ts"
import { H_CLOSE, H_MAY_SPLIT, H_MMAP, H_OPEN } from "../../../lib/mm/base/stop.ts"
import { brk } from "../../../lib/mm/sys/brk.ts"
import { call, HEAP, HERE } from "../../../lib/proof/testing/calls.ts"
import { Line, READ, RW } from "../../support/line.ts"

const ANON = MAP.PRIVATE | MAP.ANONYMOUS
const RWX = RW | EXEC

describe("neighbours", () => {
  it("with the same attributes are one area, whatever the order they came in [L-VMA-06]", () => {
    const p = new Line().map("aa..aa")
    expect(p.draw()).toBe("aa..aa")
    p.mmap(2, 2)
    expect(p.draw()).toBe("aaaaaa")
  })

  it("differ in any flag that counts and stay two [L-VMA-01, L-VMA-02]", () => {
    for (const [flags, prot] of [
      [ANON, READ],
      [ANON, RWX],
      [ANON | MAP.NORESERVE, RW],
      [ANON | MAP.LOCKED, RW],
      [ANON | MAP.STACK, RW],
      [ANON | MAP.GROWSDOWN, RW],
      [MAP.DROPPABLE | MAP.ANONYMOUS, RW],
      [MAP.SHARED | MAP.ANONYMOUS, RW]
    ] as const) {
      const p = new Line().map("aa")
      expect(p.mmap(2, 2, prot, flags)).toBe(OK)
      expect(p.draw(), `flags ${flags.toString(16)} prot ${prot}`).toBe("aabb")
      const q = new Line()
      q.mmap(0, 2, prot, flags)
      q.mmap(2, 2)
      expect(q.draw(), `flags ${flags.toString(16)} prot ${prot}, below`).toBe("aabb")
    }
  })

  it("that differ in soft-dirty alone are one, and it sticks to the whole [L-VMA-02, L-VMA-03]", () => {
    const p = new Line().map("aa")
    p.k.vmas.setFlags(p.area(0), p.k.vmas.flags(p.area(0)) | VM_SOFTDIRTY, 0)
    p.mmap(2, 2)
    expect(p.draw()).toBe("aaaa")
    expect(p.k.vmas.flags(p.area(3)) & VM_SOFTDIRTY).not.toBe(0)
    p.mprotect(1, 1, READ)
    expect(p.k.vmas.flags(p.area(1)) & VM_SOFTDIRTY, "every piece of it keeps it").not.toBe(0)
  })

  it("of one open file are one where their offsets meet; of two opens of that file they are not [L-VMA-01, L-VMA-04]", () => {
    const p = new Line()
    const fd = p.open("/f")
    const again = p.open("/f")
    p.mmap(0, 1, RW, MAP.PRIVATE, fd, 0)
    p.mmap(1, 1, RW, MAP.PRIVATE, fd, 1)
    expect(p.draw()).toBe("aa")
    p.mmap(2, 1, RW, MAP.PRIVATE, fd, 3)
    expect(p.draw()).toBe("aa|a")
    p.mmap(3, 1, RW, MAP.PRIVATE, again, 4)
    expect(p.draw()).toBe("aa|ab")
  })

  it("of shared anonymous memory never merge, for each call made its own; pieces of one do [L-VMA-05]", () => {
    const p = new Line()
    p.mmap(0, 2, RW, MAP.SHARED | MAP.ANONYMOUS)
    p.mmap(2, 2, RW, MAP.SHARED | MAP.ANONYMOUS)
    expect(p.draw()).toBe("aabb")
    p.mprotect(0, 1, READ)
    expect(p.draw()).toBe("abcc")
    p.mprotect(0, 1, RW)
    expect(p.draw()).toBe("aabb")
  })

  it("that grow down merge among themselves, never with plain memory [L-VMA-38]", () => {
    const p = new Line()
    p.mmap(0, 2, RW, ANON | MAP.GROWSDOWN)
    p.mmap(2, 2, RW, ANON | MAP.GROWSDOWN)
    expect(p.draw()).toBe("aaaa")
    p.mmap(4, 1)
    expect(p.draw()).toBe("aaaab")
  })

  it("of MAP_STACK memory carry a flag that plain memory has not [L-VMA-39]", () => {
    const p = new Line().map("a")
    p.mmap(1, 1, RW, ANON | MAP.STACK)
    p.mmap(2, 1, RW, ANON | MAP.STACK)
    expect(p.draw()).toBe("abb")
  })
})

describe("a new range", () => {
  it("stands alone, lets the left one grow, the right one grow down, or joins both [L-VMA-16]", () => {
    const at = (picture: string): string => {
      const p = new Line().map(picture)
      p.mmap(2, 1)
      return p.draw()
    }
    expect(at("b....b"), "none fits").toBe("a.b..a")
    expect(at("aa...b"), "left grows").toBe("aaa..b")
    expect(at("b..aa."), "right grows down").toBe("a.bbb")
    expect(at("aa.aa"), "both join").toBe("aaaaa")
  })

  it("between two with anon_vmas of their own joins the left one alone [L-VMA-15]", () => {
    const p = new Line().map("a...a")
    p.write(0, 4)
    expect(p.anonOf(0)).not.toBe(p.anonOf(4))
    p.mmap(1, 3)
    expect(p.draw()).toBe("aaaa|a")
    expect(p.anonOf(3)).toBe(p.anonOf(0))
  })

  it("joins both where only one of them was written to, which the other then shares [L-VMA-10, L-VMA-21]", () => {
    for (const [written, other] of [
      [0, 2],
      [2, 0]
    ] as const) {
      const p = new Line().map("a.a")
      p.write(written)
      const anon = p.anonOf(written)
      p.mmap(1, 1)
      expect(p.draw()).toBe("aaa")
      expect(p.anonOf(other)).toBe(anon)
    }
  })
})

describe("a changed range", () => {
  it("inside its area makes three of it [L-VMA-17]", () => {
    const p = new Line().map("aaaa")
    p.mprotect(1, 1, READ)
    expect(p.draw()).toBe("abaa")
    p.mprotect(3, 1, READ)
    expect(p.draw(), "a head or a tail makes two").toBe("abab")
  })

  it("at the left edge goes to the one below, at the right edge to the one above: the border moves [L-VMA-18]", () => {
    const p = new Line().map("aabbbaa")
    p.mprotect(2, 1, RW)
    expect(p.draw()).toBe("aaabbaa")
    p.mprotect(4, 1, RW)
    expect(p.draw()).toBe("aaabaaa")
  })

  it("that is a whole area, between two that fit, makes three into one [L-VMA-18]", () => {
    const p = new Line().map("aabba")
    p.mprotect(2, 2, RW)
    expect(p.draw()).toBe("aaaaa")
    expect(p.k.maple.size(p.mm)).toBe(1)
  })

  it("that is a whole area joins the one that fits alone [L-VMA-18]", () => {
    const left = new Line().map("aabbc")
    left.mprotect(2, 2, RW)
    expect(left.draw()).toBe("aaaab")
    const right = new Line().map("cbbaa")
    right.mprotect(1, 2, RW)
    expect(right.draw()).toBe("abbbb")
  })

  it("over several areas is changed area by area, up to the first hole, and joined on the way", () => {
    const p = new Line().map("abcn.a")
    expect(p.mprotect(0, 6, READ)).toBe(ENOMEM)
    expect(p.draw()).toBe("aaaa.b")
  })

  it("that already is what it shall be changes nothing", () => {
    const p = new Line().map("aa|aa")
    p.write(0, 2)
    expect(p.mprotect(0, 4, RW)).toBe(OK)
    expect(p.draw()).toBe("aaaa")
  })
})

describe("anon_vma", () => {
  it("of a parent after fork stands in no merge's way [L-VMA-11]", () => {
    const p = new Line().map("aa")
    p.write(0)
    const child = p.fork()
    p.mmap(2, 2)
    expect(p.draw()).toBe("aaaa")
    child.exit()
    expect(p.draw()).toBe("aaaa")
  })

  it("inherited by a child keeps fresh neighbours apart, at any depth, the parent alive or not, written or not [L-VMA-12]", () => {
    const p = new Line().map("aa")
    p.write(0)
    const child = p.fork()
    child.mmap(2, 2)
    expect(child.draw()).toBe("aa|aa")
    const grandchild = child.fork()
    p.exit()
    child.munmap(2, 2)
    child.write(0, 1)
    child.mmap(2, 2)
    expect(child.draw(), "the parent is gone, the child wrote").toBe("aa|aa")
    grandchild.munmap(2, 2)
    grandchild.mmap(2, 2)
    expect(grandchild.draw()).toBe("aa|aa")
  })

  it("is not inherited by an area that was never written: it is an ordinary one in the child [L-VMA-13]", () => {
    const p = new Line().map("aa")
    const child = p.fork()
    child.mmap(2, 2)
    expect(child.draw()).toBe("aaaa")
  })

  it("inherited, lets the pieces of a split area join again [L-VMA-14]", () => {
    const p = new Line().map("aaaa")
    p.write(1)
    const child = p.fork()
    child.mprotect(1, 2, READ)
    expect(child.draw()).toBe("abba")
    child.mprotect(1, 2, RW)
    expect(child.draw()).toBe("aaaa")
  })

  it("of the part that goes is taken over by a survivor that had none [L-VMA-21]", () => {
    const p = new Line().map("ab")
    p.mprotect(1, 1, RWX)
    p.write(1)
    const anon = p.anonOf(1)
    p.mprotect(1, 1, RW)
    expect(p.draw()).toBe("aa")
    expect(p.anonOf(0)).toBe(anon)
    // and later merges see it
    p.map("aa..a")
    p.write(0, 4)
    p.mmap(2, 2)
    expect(p.draw()).toBe("aaaa|a")
  })

  it("is shared at the first write with a neighbour that differs in access alone [L-VMA-22]", () => {
    const p = new Line().map("a")
    p.mmap(1, 1, RWX)
    p.write(0, 1)
    expect(p.anonOf(1)).toBe(p.anonOf(0))
    p.mprotect(1, 1, RW)
    expect(p.draw()).toBe("aa")
  })

  it("is not shared with a neighbour of another file, at another offset, or inherited [L-VMA-22]", () => {
    const p = new Line()
    const fd = p.open("/f")
    p.mmap(0, 1, RW, MAP.PRIVATE, fd, 0)
    p.mmap(1, 1, RWX, MAP.PRIVATE, fd, 3)
    p.mmap(2, 1, RW)
    p.write(0, 1, 2)
    expect(new Set([p.anonOf(0), p.anonOf(1), p.anonOf(2)]).size).toBe(3)
    const q = new Line().map("a")
    q.write(0)
    const child = q.fork()
    child.mmap(1, 1, RWX)
    child.write(1)
    child.mprotect(1, 1, RW)
    expect(child.draw(), "the neighbour's chain is not single").toBe("a|a")
  })

  it("is that of the upper neighbour, where both would do [L-VMA-23]", () => {
    const p = new Line().map("a.a")
    p.write(0, 2)
    p.mmap(1, 1, RWX)
    p.write(1)
    expect(p.anonOf(1)).toBe(p.anonOf(2))
    p.mprotect(1, 1, RW)
    expect(p.draw()).toBe("a|aa")
  })

  it("is not shared with a neighbour that differs in another flag; they never become one [L-VMA-24]", () => {
    const p = new Line().map("a")
    p.mmap(1, 1, RW, ANON | MAP.NORESERVE)
    p.write(0, 1)
    expect(p.anonOf(1)).not.toBe(p.anonOf(0))
    const { k } = p
    k.vmas.setFlags(p.area(1), k.vmas.flags(p.area(0)), 0)
    k.committed++
    p.mprotect(1, 1, READ)
    p.mprotect(1, 1, RW)
    expect(p.draw()).toBe("a|a")
  })

  it("is chosen at the first write only: areas written while apart stay two when they meet [L-VMA-25]", () => {
    const p = new Line().map("a.a")
    p.write(0, 2)
    p.mmap(1, 1, READ)
    p.mprotect(1, 1, RW)
    expect(p.draw()).toBe("aa|a")
  })
})

describe("owners", () => {
  const ops = (hooks: number) => ({ name: "dev", hooks: (1 << H_MMAP) | hooks })
  const legend = (fd: number) => ({ d: { prot: RW, flags: MAP.PRIVATE, fd } })

  it("that want to hear of the end of an area keep it: no merge removes it, though a left one may grow [L-VMA-20]", () => {
    const p = new Line()
    const fd = p.device(ops(1 << H_CLOSE))
    p.map("dddd", legend(fd))
    p.mprotect(1, 2, NONE)
    expect(p.draw()).toBe("abba")
    p.mprotect(1, 2, RW)
    expect(p.draw(), "the middle would vanish").toBe("a|aa|a")
    p.map("dd.dd", legend(fd))
    expect(p.mmap(2, 1, RW, MAP.PRIVATE, fd, 2)).toBe(OK)
    expect(p.draw(), "both fit the new range; the right one stays").toBe("aaa|aa")
  })

  it("without a close hook lose areas to merges", () => {
    const p = new Line()
    const fd = p.device(ops(0))
    p.map("dddd", legend(fd))
    p.mprotect(1, 2, NONE)
    p.mprotect(1, 2, RW)
    expect(p.draw()).toBe("aaaa")
  })

  it("are asked before a split, and told of the new part; a veto is the call's errno and changes nothing [L-VMA-27]", () => {
    const p = new Line()
    const fd = p.device(ops((1 << H_MAY_SPLIT) | (1 << H_OPEN)))
    p.map("ddd", legend(fd))
    const heard: string[] = []
    let veto: number = OK
    p.hook = (hook, _vma, _ops, vpn) => {
      heard.push(`${hook === H_OPEN ? "open" : "may_split"} ${vpn - HERE}`)
      return hook === H_MAY_SPLIT ? veto : OK
    }
    expect(p.mprotect(1, 1, READ)).toBe(OK)
    // two splits: the lower part is the new area, then the upper
    expect(heard).toEqual(["may_split 1", "open 0", "may_split 2", "open 2"])
    expect(p.draw()).toBe("aba")
    veto = EINVAL
    p.map("ddd", legend(fd))
    expect(p.munmap(1, 1)).toBe(EINVAL)
    expect(p.mprotect(0, 1, READ)).toBe(EINVAL)
    expect(p.draw()).toBe("aaa")
  })
})

describe("the number of areas", () => {
  it("at its limit refuses splits, and lets whole areas change [L-VMA-29]", () => {
    const p = Line.on({ maxMapCount: 3 }).map("aaa.b.c")
    expect(p.mprotect(1, 1, READ)).toBe(ENOMEM)
    expect(p.draw()).toBe("aaa.b.c")
    expect(p.mprotect(0, 3, READ)).toBe(OK)
    expect(p.draw()).toBe("aaa.a.b")
  })

  it("may be passed by one by mmap and by brk; then even a mapping that would merge is refused [L-VMA-30]", () => {
    const p = Line.on({ maxMapCount: 3 }).map("a.b.c")
    expect(p.mmap(6, 1, READ)).toBe(OK)
    expect(p.draw()).toBe("a.b.c.b")
    expect(p.mmap(1, 1)).toBe(ENOMEM)
    expect(p.mmap(0, 1)).toBe(ENOMEM)
    expect(call(p.k, () => brk(p.k, p.task, (HEAP + 1) * 4096))).toBe(HEAP * 4096)
    expect(p.draw()).toBe("a.b.c.b")
  })

  it("stops munmap only inside one area; at its ends it always works [L-VMA-31]", () => {
    const p = Line.on({ maxMapCount: 3 }).map("aaa.b.c")
    p.mmap(8, 1)
    expect(p.munmap(1, 1)).toBe(ENOMEM)
    expect(p.munmap(2, 1)).toBe(OK)
    expect(p.munmap(0, 1)).toBe(OK)
    expect(p.draw()).toBe("a..b.c.a")
  })

  it("leaves the first of two splits where the second finds no room [L-VMA-28]", () => {
    const p = Line.on({ maxMapCount: 3 }).map("aaa.b")
    expect(p.mprotect(1, 1, READ)).toBe(ENOMEM)
    expect(p.draw()).toBe("a|aa.b")
    expect(p.k.maple.size(p.mm)).toBe(3)
  })
})

describe("MAP_FIXED that fails", () => {
  it("before anything was gathered changes nothing [L-VMA-35]", () => {
    const p = new Line().map("aaaa")
    p.write(1)
    expect(p.mmap(1, 2, RW, MAP.SHARED, 99)).toBeLessThan(0)
    expect(p.mmap(1, 2, RW, 7 | MAP.ANONYMOUS)).toBe(EINVAL)
    expect(p.draw()).toBe("aaaa")
    expect(p.read(1)).toBe(2)
  })

  it("after gathering, at a seal, leaves the first old area split [L-VMA-33]", () => {
    const p = new Line().map("aaaab")
    p.write(0, 1, 2, 3)
    const { k } = p
    k.vmas.setFlags(p.area(4), k.vmas.flags(p.area(4)), VMH_SEALED)
    expect(p.mmap(2, 3)).toBe(EPERM)
    expect(p.draw()).toBe("aa|aab")
    expect([0, 1, 2, 3].map((page) => p.read(page))).toEqual([1, 2, 3, 4])
  })

  it("in the driver's mmap hook has taken out what was there [L-VMA-34]", () => {
    const p = new Line()
    const fd = p.device({ name: "dev", hooks: 1 << H_MMAP })
    p.map("aaaa")
    p.write(0, 1, 2, 3)
    p.hook = () => ENOMEM
    expect(p.mmap(1, 2, RW, MAP.PRIVATE, fd)).toBe(ENOMEM)
    expect(p.draw()).toBe("a..a")
    expect(p.drawPages()).toBe("A..A")
  })
})
