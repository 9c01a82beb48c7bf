import { describe, expect, it } from "vitest"
import { VMH_SEALED } from "../../../lib/flags/bits.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { NONE } from "../../../lib/flags/ProtFlags.ts"
import { checkIdle } from "../../../lib/mm/area/check.ts"
import { BRK, START_BRK } from "../../../lib/mm/store/mms.ts"
import { RLIMIT_AS, RLIMIT_DATA } from "../../../lib/mm/store/tasks.ts"
import { brk } from "../../../lib/mm/sys/brk.ts"
import { call, HERE } from "../../../lib/proof/testing/calls.ts"
import { Line, READ, RW } from "../../support/line.ts"

/** A process whose heap begins at the start of its picture. */
function heap(config = {}): Line {
  const p = Line.on({ frames: 512, ...config })
  p.k.mms.setStat(p.mm, START_BRK, HERE * 4096)
  p.k.mms.setStat(p.mm, BRK, HERE * 4096)
  return p
}

/** Moves the break to so many pages (and bytes) above its start; the answer likewise. */
function to(p: Line, pages: number, bytes = 0): number {
  const r = call(p.k, () => brk(p.k, p.task, (HERE + pages) * 4096 + bytes))
  checkIdle(p.k)
  return r / 4096 - HERE
}

describe("brk", () => {
  it("begins with no area, and keeps the exact byte: pages cover it [L-BRK-01, L-BRK-13]", () => {
    const p = heap()
    expect([to(p, 0), p.draw()]).toEqual([0, ""])
    expect(to(p, 0, 1)).toBe(1 / 4096)
    expect(p.draw()).toBe("a")
    expect(to(p, 1)).toBe(1)
    expect(p.draw()).toBe("a")
    expect(to(p, 1, 1)).toBe(1 + 1 / 4096)
    expect(p.draw()).toBe("aa")
  })

  it("is left as it is by what lies below its start, and by what is absurd [L-BRK-02]", () => {
    const p = heap()
    to(p, 2)
    for (const addr of [0, -1, NaN, Infinity, 2 ** 47, 2 ** 63, 2n ** 64n - 1n, (HERE - 1) * 4096])
      expect(
        call(p.k, () => brk(p.k, p.task, addr)),
        `to ${addr}`
      ).toBe((HERE + 2) * 4096)
    expect(p.draw()).toBe("aa")
  })

  it("keeps a page free below the next area, and 256 more below a stack [L-BRK-03]", () => {
    const p = heap()
    p.mmap(10, 1, READ)
    expect(to(p, 10)).toBe(0)
    expect(to(p, 9)).toBe(9)
    const q = heap()
    q.mmap(300, 1, RW, MAP.PRIVATE | MAP.ANONYMOUS | MAP.GROWSDOWN)
    expect(to(q, 44)).toBe(0)
    expect(to(q, 43)).toBe(43)
  })

  it("grows the area that ends at the old break, and swallows none above [L-BRK-04]", () => {
    const p = heap()
    to(p, 2)
    p.write(1)
    p.mmap(5, 1)
    expect(to(p, 4)).toBe(4)
    expect(p.draw()).toBe("aaaa.a")
  })

  it("begins with an area of its own behind equal memory that ends where the heap begins [L-BRK-04]", () => {
    const p = Line.on({ frames: 512 })
    p.mmap(0, 2)
    p.k.mms.setStat(p.mm, START_BRK, (HERE + 2) * 4096)
    p.k.mms.setStat(p.mm, BRK, (HERE + 2) * 4096)
    expect(to(p, 3)).toBe(3)
    expect(to(p, 4), "and goes on growing that one").toBe(4)
    expect(p.draw()).toBe("aa|aa")
  })

  it("makes a second area where the first does not fit: changed, or inherited and written [L-BRK-04]", () => {
    const p = heap()
    to(p, 2)
    p.mprotect(0, 2, READ)
    to(p, 4)
    expect(p.draw()).toBe("aabb")
    const q = heap()
    to(q, 2)
    q.write(0)
    const child = q.fork()
    expect(to(child, 3), "the break is inherited").toBe(3)
    expect(child.draw()).toBe("aa|a")
  })

  it("down unmaps whatever is there, foreign mappings too [L-BRK-06]", () => {
    const p = heap()
    to(p, 6)
    p.mmap(3, 1, READ)
    expect(to(p, 2)).toBe(2)
    expect(p.draw()).toBe("aa")
  })

  it("down into a hole is refused [L-BRK-07]", () => {
    const p = heap()
    to(p, 6)
    p.munmap(3, 3)
    expect(to(p, 4)).toBe(6)
    expect(p.draw()).toBe("aaa")
  })

  it("down over a seal is refused; a split may stay [L-BRK-08]", () => {
    const p = heap()
    to(p, 4)
    p.mprotect(2, 2, READ)
    p.k.vmas.setFlags(p.area(2), p.k.vmas.flags(p.area(2)), VMH_SEALED)
    expect(to(p, 1)).toBe(4)
    expect(p.draw()).toBe("a|abb")
  })

  it("cannot pass memory that was mapped right behind it, though that became one area with the heap [L-BRK-09]", () => {
    const p = heap()
    to(p, 2)
    p.mmap(2, 2)
    expect(p.draw()).toBe("aaaa")
    expect(to(p, 3)).toBe(2)
    expect(p.draw()).toBe("aaaa")
  })

  it("obeys RLIMIT_DATA in bytes, also where its soft limit is 0, and RLIMIT_AS [L-BRK-10, L-BRK-11]", () => {
    const p = heap()
    p.k.tasks.setRlimit(p.task, RLIMIT_DATA, 8192, Infinity)
    expect(to(p, 2, 1)).toBe(0)
    expect(to(p, 2)).toBe(2)
    p.k.tasks.setRlimit(p.task, RLIMIT_DATA, 0, Infinity)
    expect(to(p, 3)).toBe(2)
    expect(p.mmap(8, 1)).toBe(0)
    const q = heap()
    q.k.tasks.setRlimit(q.task, RLIMIT_AS, 4096, Infinity)
    expect(to(q, 2)).toBe(0)
    expect(to(q, 1)).toBe(1)
  })

  it("is inherited by a fork [L-BRK-14]", () => {
    const p = heap()
    to(p, 3)
    const child = p.fork()
    expect(to(child, 1)).toBe(1)
    expect([child.draw(), p.draw()]).toEqual(["a", "aaa"])
  })

  it("gives memory that reads as zero again after it went down and up", () => {
    const p = heap()
    to(p, 2)
    p.write(0, 1)
    to(p, 1)
    to(p, 2)
    expect([p.read(0), p.read(1)]).toEqual([1, 0])
    expect(p.drawPages()).toBe("Az")
    p.mprotect(0, 1, NONE)
    expect(p.draw()).toBe("ab")
  })
})
