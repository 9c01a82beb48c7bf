import { Option } from "effect"
import { AccessType, Range } from "pagewright"
import { describe, expect, it } from "vitest"

const r = (start: number, end: number) => Range.make<"addr">(start, end)

describe("ranges", () => {
  it("are [start, end); one that ends before it begins is ill-formed, and may be asked no more than that [G-RNG-01]", () => {
    expect([Range.isWellFormed(r(3, 5)), Range.isWellFormed(r(3, 3)), Range.isWellFormed(r(5, 3))]).toEqual([
      true,
      true,
      false
    ])
  })

  it("contain start and not end; an empty one contains nothing, of length end - start [G-RNG-02]", () => {
    expect([1, 2, 3, 4, 5].map((at) => Range.contains(r(2, 4), at))).toEqual([false, true, true, false, false])
    expect([Range.contains(r(2, 2), 2), Range.length(r(2, 2)), Range.length(r(2, 9))]).toEqual([false, 0, 7])
  })

  it("overlap where they have a byte in common, not where they touch [G-RNG-03]", () => {
    expect([r(0, 2), r(0, 3), r(3, 4), r(4, 6)].map((other) => Range.overlaps(r(2, 4), other))).toEqual([
      false,
      true,
      true,
      false
    ])
  })

  it("include by their ends alone: an empty one inside or at an edge is included [G-RNG-04]", () => {
    const all = [r(0, 0), r(2, 2), r(4, 4), r(0, 4), r(5, 5), r(3, 5)]
    expect(all.map((inner) => Range.isSupersetOf(r(0, 4), inner))).toEqual([true, true, true, true, false, false])
  })

  it("have nothing in common where they are disjoint: of length 0 [G-RNG-05]", () => {
    expect(Range.intersect(r(0, 4), r(2, 9))).toEqual(r(2, 4))
    expect([Range.length(Range.intersect(r(0, 2), r(5, 9))), Range.length(Range.intersect(r(5, 9), r(0, 2)))]).toEqual([
      0, 0
    ])
  })

  it("can be split strictly inside [G-RNG-06]", () => {
    expect([2, 3, 4].map((at) => Range.canSplitAt(r(2, 4), at))).toEqual([false, true, false])
  })

  it("an address is rounded up to a page, unless that leaves 64 bits [G-RNG-07]", () => {
    const max = 2n ** 64n - 1n
    expect([0, 1, 4096, 4097].map((a) => Option.getOrThrow(Range.roundUp(a)))).toEqual([0, 4096, 4096, 8192])
    expect(Option.isNone(Range.roundUp(max - 1n))).toBe(true)
    expect(Option.getOrThrow(Range.roundUp(max - 4095n))).toBe(2 ** 64 - 4096)
  })

  it("from a start and a length, unless their end wraps; an end of exactly 2^64 is none [G-RNG-08]", () => {
    expect(Option.getOrThrow(Range.from(0x1000, 0x2000))).toEqual(r(0x1000, 0x3000))
    expect(Option.isNone(Range.from(2n ** 64n - 4096n, 4096))).toBe(true)
    expect(Option.isNone(Range.from(2n ** 64n - 4096n, 8192))).toBe(true)
    expect(Option.isSome(Range.from(2n ** 64n - 8192n, 4096))).toBe(true)
  })

  it("are written in hexadecimal, half open [G-RNG-09]", () => {
    expect(Range.format(r(0x1000, 0x2000))).toBe("[0x1000, 0x2000)")
  })

  it("of pages are one page or more, aligned; nothing else becomes one", () => {
    expect(Range.ofPages(2, 3)).toEqual(r(0x2000, 0x5000))
    for (const [first, count] of [
      [0, 0],
      [-1, 1],
      [0.5, 1],
      [0, Infinity],
      [2 ** 53, 1]
    ] as const)
      expect(() => Range.ofPages(first, count)).toThrow(RangeError)
    expect([r(0, 4096), r(0, 0), r(4096, 0), r(1, 4097), r(0, 4097)].map((x) => Option.isSome(Range.pages(x)))).toEqual(
      [true, false, false, false, false]
    )
  })
})

describe("access types", () => {
  const all = Array.from({ length: 8 }, (_, n) => AccessType.fromBits(n))

  it("are three letters [G-RNG-10]", () => {
    expect(all).toEqual(["---", "r--", "-w-", "rw-", "--x", "r-x", "-wx", "rwx"])
    expect(all.map(AccessType.bits)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  })

  it("are compared, joined and cut bit by bit; effective adds reading to writing and executing [G-RNG-11]", () => {
    for (const a of all)
      for (const b of all) {
        const [x, y] = [AccessType.bits(a), AccessType.bits(b)]
        expect(AccessType.isSupersetOf(a, b)).toBe((x & y) === y)
        expect(AccessType.bits(AccessType.intersect(a, b))).toBe(x & y)
        expect(AccessType.bits(AccessType.union(a, b))).toBe(x | y)
      }
    expect(all.map(AccessType.effective)).toEqual(["---", "r--", "rw-", "rw-", "r-x", "r-x", "rwx", "rwx"])
  })
})
