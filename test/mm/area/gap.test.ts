/** Where memory goes that did not say where, or only hinted. */
import { describe, expect, it } from "vitest"
import { EEXIST, EINVAL, ENOMEM, EPERM } from "../../../lib/flags/Errno.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { NONE, READ } from "../../../lib/flags/ProtFlags.ts"
import { checkIdle } from "../../../lib/mm/area/check.ts"
import { TASK_PAGES } from "../../../lib/mm/base/units.ts"
import { mmap } from "../../../lib/mm/sys/mmap.ts"
import { call } from "../../../lib/proof/testing/calls.ts"
import { Line, RW } from "../../support/line.ts"

const ANON = MAP.PRIVATE | MAP.ANONYMOUS
/** First page above the area that searches fill from the top. */
const BASE = 0x7ffff7fff
/** The lowest page that is searched. */
const LOWEST = 16
const BIG = 512

/** A process that asks for memory in pages; the answer is a page number or an errno. */
class Asker extends Line {
  ask(hint: number, pages: number, flags = 0, prot = NONE, kind: number = ANON, fd = -1): number {
    const { k, task } = this
    const r = call(k, () => mmap(k, task, hint * 4096, pages * 4096, prot, kind | flags, fd, 0))
    checkIdle(k)
    return r < 0 ? r : r / 4096
  }
  at(page: number, pages: number, flags = 0): this {
    expect(this.ask(page, pages, MAP.FIXED | flags)).toBe(page)
    return this
  }
}

describe("a place without a hint", () => {
  it("is the top of the highest gap that fits, below the base [L-GUA-04]", () => {
    const p = new Asker()
    expect(p.ask(0, 4)).toBe(BASE - 4)
    expect(p.ask(0, 1)).toBe(BASE - 5)
    p.at(BASE - 30, 10)
    expect(p.ask(0, 20), "too small a gap is passed over").toBe(BASE - 50)
    expect(p.ask(0, 15), "a hole that fits is filled from its top").toBe(BASE - 20)
  })

  it("goes no lower than the security module's lowest address, though the sysctl says less [L-GUA-05]", () => {
    const p = new Asker()
    p.at(LOWEST + 1, BASE - LOWEST - 1)
    expect(p.ask(0, 1)).toBe(LOWEST)
    expect(p.ask(0, 1), "then above the base").toBe(BASE)
  })

  it("keeps 256 pages free below a stack [L-GUA-10]", () => {
    const p = new Asker()
    p.at(BASE - 1, 1, MAP.GROWSDOWN)
    expect(p.ask(0, 4)).toBe(BASE - 1 - 256 - 4)
  })

  it("is found from below, once everything under the base is taken, from a third of user space up [L-GUA-22]", () => {
    const p = new Asker()
    p.at(LOWEST, BASE - LOWEST)
    expect(p.ask(0, 3)).toBe(BASE)
    expect(p.ask(0, 3)).toBe(BASE + 3)
  })

  it("is ENOMEM where nothing fits, or more is asked for than there is [L-GUA-23]", () => {
    const p = new Asker()
    expect(p.ask(0, TASK_PAGES + 1)).toBe(ENOMEM)
    p.at(LOWEST, TASK_PAGES - LOWEST)
    expect(p.ask(0, 1)).toBe(ENOMEM)
  })
})

describe("a hint", () => {
  it("is taken if it is free, rounded down to its page [L-GUA-07]", () => {
    const p = new Asker()
    expect(p.ask(1000, 2)).toBe(1000)
    expect(p.ask(2000 + 4091 / 4096, 1)).toBe(2000)
  })

  it("below the lowest address becomes that; below one page it is none [L-GUA-06]", () => {
    const p = new Asker()
    expect(p.ask(5, 1)).toBe(LOWEST)
    expect(p.ask(0.5, 1)).toBe(BASE - 1)
    expect(p.ask(5, 1), "taken by now").toBe(BASE - 2)
  })

  it("that is taken, or beyond user space, is ignored [L-GUA-09, L-GUA-24]", () => {
    const p = new Asker().at(1000, 4)
    expect(p.ask(1002, 1)).toBe(BASE - 1)
    expect(p.ask(998, 3)).toBe(BASE - 4)
    expect(p.ask(2 ** 35, 1)).toBe(BASE - 5)
    expect(p.ask(TASK_PAGES - 1, 2)).toBe(BASE - 7)
  })

  it("keeps away from the stack above it, not from the one below [L-GUA-08]", () => {
    const p = new Asker().at(600, 2, MAP.GROWSDOWN)
    expect(p.ask(344, 1), "within its guard pages").toBe(BASE - 1)
    expect(p.ask(343, 1)).toBe(343)
    expect(p.ask(602, 1)).toBe(602)
  })
})

describe("MAP_FIXED", () => {
  it("goes where it says, guard pages or not [L-GUA-11]", () => {
    const p = new Asker().at(600, 2, MAP.GROWSDOWN)
    expect(p.ask(599, 1, MAP.FIXED)).toBe(599)
  })

  it("is refused beyond user space, unaligned, and below the lowest address without the right to it [L-GUA-12]", () => {
    const p = new Asker()
    expect(p.ask(TASK_PAGES - 1 + 1 / 4096, 2, MAP.FIXED), "the range first").toBe(ENOMEM)
    expect(p.ask(1000 + 1 / 4096, 1, MAP.FIXED)).toBe(EINVAL)
    expect(p.ask(0, 1, MAP.FIXED), "root may").toBe(0)
    p.k.tasks.setCaps(p.task, 0)
    expect(p.ask(0, 1, MAP.FIXED)).toBe(EPERM)
    expect(p.ask(1, 1, MAP.FIXED)).toBe(1)
  })

  it("_NOREPLACE is refused where a single page is taken, and is not rounded [L-GUA-13]", () => {
    const p = new Asker().at(1000, 2)
    expect(p.ask(998, 3, MAP.FIXED_NOREPLACE)).toBe(EEXIST)
    expect(p.ask(1001, 3, MAP.FIXED_NOREPLACE)).toBe(EEXIST)
    expect(p.ask(998, 2, MAP.FIXED_NOREPLACE)).toBe(998)
    expect(p.ask(1002 + 1 / 4096, 1, MAP.FIXED_NOREPLACE)).toBe(EINVAL)
  })
})

describe("limits of a search", () => {
  it("MAP_32BIT is searched from 1 GiB up to 2 GiB, or hinted anywhere below; never elsewhere [L-GUA-14, L-GUA-15]", () => {
    const p = new Asker()
    expect(p.ask(0, 1, MAP.MAP_32BIT)).toBe(0x40000)
    expect(p.ask(0, 1, MAP.MAP_32BIT)).toBe(0x40001)
    expect(p.ask(0x50000, 1, MAP.MAP_32BIT)).toBe(0x50000)
    expect(p.ask(1, 1, MAP.MAP_32BIT)).toBe(LOWEST)
    expect(p.ask(0x90000, 1, MAP.MAP_32BIT)).toBe(0x40002)
    expect(p.ask(0, 0x80000, MAP.MAP_32BIT)).toBe(ENOMEM)
  })

  it("MAP_ABOVE4G goes no lower than 4 GiB; MAP_32BIT beside it wins [L-GUA-16]", () => {
    const p = new Asker().at(0x100001, BASE - 0x100001)
    expect(p.ask(0, 1, MAP.ABOVE4G)).toBe(0x100000)
    expect(p.ask(0, 1, MAP.ABOVE4G), "then above the base").toBe(BASE)
    expect(p.ask(0, 1)).toBe(0xfffff)
    expect(p.ask(0, 1, MAP.ABOVE4G | MAP.MAP_32BIT)).toBe(0x40000)
  })
})

describe("private anonymous memory of a multiple of 2 MiB", () => {
  it("lies on a multiple of 2 MiB, whatever its protection; other lengths and kinds do not [L-GUA-17, L-GUA-20]", () => {
    const p = new Asker()
    const first = p.ask(0, BIG)
    expect(first % BIG).toBe(0)
    expect(first).toBe(Math.floor((BASE - BIG) / BIG) * BIG)
    expect(p.ask(0, 2 * BIG, MAP.NORESERVE, READ) % BIG).toBe(0)
    const q = new Asker()
    expect(q.ask(0, BIG + 1)).toBe(BASE - BIG - 1)
    const r = new Asker()
    expect(r.ask(0, BIG, MAP.NORESERVE, NONE, MAP.SHARED | MAP.ANONYMOUS)).toBe(BASE - BIG)
  })

  it("is placed by a search for 2 MiB more, so a hole that just fits is passed over [L-GUA-18]", () => {
    const p = new Asker().at(BASE - 10 * BIG, 8 * BIG)
    const hole = BASE - 2 * BIG
    expect(p.ask(0, BIG), "the hole of 4 MiB takes 2 MiB and the padding").toBeGreaterThan(hole)
    expect(p.ask(0, BIG), "the rest of it is too small for both").toBeLessThan(BASE - 10 * BIG)
  })

  it("is not aligned when there was a hint, even one that was refused [L-GUA-19]", () => {
    const p = new Asker().at(1000, 1)
    expect(p.ask(3001, BIG)).toBe(3001)
    expect(p.ask(1000, BIG)).toBe(BASE - BIG)
    expect(p.ask(0, 1, 0, RW)).toBe(BASE - BIG - 1)
  })
})
