import { describe, expect, it } from "vitest"
import { VMH_SEALED } from "../../../lib/flags/bits.ts"
import { EINVAL, EPERM, OK } from "../../../lib/flags/Errno.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { DATA_VM, STACK_VM, TOTAL_VM } from "../../../lib/mm/store/mms.ts"
import { munmap } from "../../../lib/mm/sys/munmap.ts"
import { call, HERE } from "../../../lib/proof/testing/calls.ts"
import { Line, READ, RW } from "../../support/line.ts"

const seal = (p: Line, page: number): void => p.k.vmas.setFlags(p.area(page), p.k.vmas.flags(p.area(page)), VMH_SEALED)

describe("munmap", () => {
  it("takes a head, a tail, a middle, a whole, several and none [L-MUN-02, L-MUN-E2, L-MUN-E5]", () => {
    for (const [picture, at, pages, left] of [
      ["aaaa", 0, 1, ".aaa"],
      ["aaaa", 3, 1, "aaa."],
      ["aaaa", 1, 2, "a..a"],
      ["aaaa", 0, 4, "...."],
      ["abab", 1, 2, "a..b"],
      ["a.bb", 0, 3, "...a"],
      ["..a.", 0, 2, "..a."],
      ["....", 1, 2, "...."]
    ] as const) {
      const p = new Line().map(picture)
      expect(p.munmap(at, pages), `of ${picture}`).toBe(OK)
      expect(p.draw(4), `of ${picture}`).toBe(left)
    }
  })

  it("rounds its length up, and refuses nothing, fractions of a page and what is not user space [L-MUN-01, L-MUN-03, L-MUN-E1]", () => {
    const p = new Line().map("aaa")
    const at = HERE * 4096
    for (const [addr, len] of [
      [at + 1, 4096],
      [at, 0],
      [2 ** 47, 4096],
      [at, 2 ** 47],
      [at, 2n ** 63n - 1n],
      [at, -1],
      [0xffff_ffff_ff60_0000n, 4096]
    ] as const)
      expect(
        call(p.k, () => munmap(p.k, p.task, addr, len)),
        `${addr} ${len}`
      ).toBe(EINVAL)
    expect(p.draw()).toBe("aaa")
    expect(call(p.k, () => munmap(p.k, p.task, at, 1))).toBe(OK)
    expect(p.draw(3)).toBe(".aa")
  })

  it("takes nothing where anything is sealed; the first area may stay split [L-MUN-04, L-MUN-10, L-MUN-E4]", () => {
    const p = new Line().map("aab")
    seal(p, 2)
    expect(p.munmap(1, 2)).toBe(EPERM)
    expect(p.draw()).toBe("a|ab")
  })

  it("does not split an area that is sealed itself [L-MUN-05]", () => {
    const p = new Line().map("aaa")
    seal(p, 0)
    expect(p.munmap(1, 2)).toBe(EPERM)
    expect(p.k.maple.size(p.mm)).toBe(1)
    expect(p.draw()).toBe("aaa")
  })

  it("takes what it removes out of every count [L-MUN-07]", () => {
    const p = new Line().map("aab")
    p.mmap(10, 3, RW, MAP.PRIVATE | MAP.ANONYMOUS | MAP.GROWSDOWN)
    p.write(0, 1)
    const before = p.k.committed
    p.munmap(1, 10)
    const stat = (s: number): number => p.k.mms.stat(p.mm, s)
    expect([stat(TOTAL_VM), stat(DATA_VM), stat(STACK_VM), p.k.mms.rssTotal(p.mm)]).toEqual([3, 1, 2, 1])
    expect(p.k.committed).toBe(before - 2)
    expect(p.draw()).toBe("a..........bb")
  })

  it("frees page tables, but none that a neighbour reaches into [L-MUN-08]", () => {
    const p = new Line()
    p.mmap(500, 24)
    p.write(510, 514)
    expect(p.k.ptes.live, "a top, two between, two leaves").toBe(5)
    p.munmap(500, 13)
    expect(p.k.ptes.live, "the upper leaf is in use").toBe(4)
    expect(p.read(514)).toBe(515 & 255)
    p.munmap(513, 10)
    expect(p.k.ptes.live, "the last page has no entry, and its area keeps the table").toBe(4)
    p.munmap(523, 1)
    expect(p.k.ptes.live).toBe(1)
    expect(p.draw()).toBe("")
  })

  it("of written memory lets a later mapping there begin with zeroes", () => {
    const p = new Line().map("aa")
    p.write(0, 1)
    p.munmap(0, 1)
    p.mmap(0, 1, READ)
    expect([p.read(0), p.read(1)]).toEqual([0, 2])
    expect(p.drawPages()).toBe("zA")
  })
})
