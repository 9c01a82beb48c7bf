import { Option } from "effect"
import fc from "fast-check"
import { Units } from "pagewright"
import { describe, expect, it } from "vitest"

const pageNumber = fc.integer({ min: 0, max: 2 ** 35 })

describe("Units", () => {
  it("a literal is read as it is written, underscores apart", () => {
    expect(Units.raw(Units.va("0x7f00_0000_1000"))).toBe(0x7f0000001000)
    expect(Units.raw(Units.va("0x0"))).toBe(0)
  })
  it.each([
    ["user address", Units.userAddr, [-1, 0.5, NaN, Infinity, 2 ** 64]],
    ["physical address", Units.physAddr, [-1, 2 ** 64]],
    ["page frame number", Units.pfn, [-1, 1.5, 2 ** 52]],
    ["page index", Units.pageIndex, [-1, 2 ** 52]],
    ["length", Units.bytes, [-1, NaN, 2 ** 64]],
    ["file offset", Units.fileOffset, [-1, 2 ** 53]],
    ["length in pages", Units.pages, [-1, 2 ** 52]]
  ] as const)("a number that is no %s is refused, with the bound", (what, make, bad) => {
    for (const n of bad) expect(() => make(n)).toThrow(RangeError)
    expect(() => make(-1)).toThrow(new RegExp(`^${what} is -\\d+, expected an integer of 0 or more, below \\d+$`))
    expect(Units.raw(make(0))).toBe(0)
  })
  it("floor, align, offset, between, pageCount agree", () => {
    fc.assert(
      fc.property(
        pageNumber,
        fc.integer({ min: 0, max: 4095 }),
        fc.integer({ min: 0, max: 1000 }),
        (page, within, n) => {
          const at = Units.userAddr(page * 4096 + within)
          const floor = Units.pageFloor(at)
          expect(Units.raw(floor)).toBe(page * 4096)
          expect(Units.isPageAligned(at)).toBe(within === 0)
          expect(Option.map(Units.pageAlign(at), Units.raw)).toEqual(
            Option.some((within === 0 ? page : page + 1) * 4096)
          )
          const up = Units.offset(floor, Units.pages(n))
          expect(Units.pageCount(Units.between(floor, up))).toBe(n)
          expect(Units.raw(Units.physOf(Units.pfn(page)))).toBe(page * 4096)
        }
      )
    )
  })
  it("an address has the text of /proc/PID/maps", () => {
    expect([Units.hex(Units.va("0x1000")), Units.hex(Units.va("0x7fff_f7ff_e000"))]).toEqual([
      "00001000",
      "7ffff7ffe000"
    ])
  })
})
