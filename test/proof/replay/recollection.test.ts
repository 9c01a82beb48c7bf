import fc from "fast-check"
import { expect, it } from "vitest"
import type { MapLine } from "../../../lib/proof/replay/event.ts"
import { mapLineOf } from "../../../lib/proof/replay/map-line.ts"
import { deltaBetween, Recollection } from "../../../lib/proof/replay/recollection.ts"

const line = (start: number, end: number, perms = "rw-p"): MapLine =>
  mapLineOf(`${(start * 4096).toString(16)}-${(end * 4096).toString(16)} ${perms} 00000000 00:00 0`)!

const short = (lines: readonly MapLine[]): string => lines.map(({ end, start }) => `${start}-${end}`).join(" ")

it("takes out what went and puts in what came, in its place", () => {
  const map = new Recollection([line(1, 2), line(3, 6), line(8, 9)])
  expect(map.apply({ gone: [line(3, 6)], here: [line(3, 4), line(4, 6, "r--p")] })).toBeUndefined()
  expect([short(map.lines), map.size]).toEqual(["1-2 3-4 4-6 8-9", 4])
})

it("says what does not fit, and takes the log's word", () => {
  const map = new Recollection([line(1, 4), line(6, 8)])
  expect(map.apply({ gone: [line(1, 3)], here: [] })).toMatch(/^the log takes away 1000-3000 .* 1000-4000/)
  expect(map.apply({ gone: [line(20, 21)], here: [] })).toMatch(/nothing begins there$/)
  expect(map.apply({ gone: [], here: [line(5, 7)] })).toMatch(/^the log brings 5000-7000 .*, where something is$/)
  expect([short(map.lines), map.size]).toEqual(["5-7", 1])
})

it("reads from any page on", () => {
  const map = new Recollection([line(2, 4), line(6, 8)])
  const from = (page: number): string => {
    map.seek(page)
    return short([map.next(), map.next()].filter((one) => one !== undefined))
  }
  expect([from(0), from(3), from(4), from(7), from(8)]).toEqual(["2-4 6-8", "2-4 6-8", "6-8", "6-8", ""])
})

it("of thousands of lines, after any deltas, is what a plain list is", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(4000), fc.boolean()), { minLength: 1, maxLength: 400 }), (changes) => {
      const first = Array.from({ length: 1500 }, (_, i) => line(4 * i, 4 * i + 2))
      const map = new Recollection(first)
      const plain = new Map(first.map((one) => [one.start, one]))
      for (const [at, comes] of changes) {
        const start = 2 * at
        const there = plain.get(start)
        const gone = there === undefined ? [] : [there]
        const here = comes ? [line(start, start + 1)] : []
        expect(map.apply({ gone, here })).toBeUndefined()
        plain.delete(start)
        for (const one of here) plain.set(start, one)
      }
      const expected = [...plain.values()].sort((a, b) => a.start - b.start)
      expect(map.lines).toEqual(expected)
      expect(map.size).toBe(expected.length)
      expect(map.copy().lines).toEqual(expected)
    }),
    { numRuns: 30 }
  )
})

it("what lies between two maps makes one of the other", () => {
  const lines = fc
    .uniqueArray(fc.nat(60), { maxLength: 20 })
    .map((starts) => [...starts].sort((a, b) => a - b).map((start, i) => line(2 * start, 2 * start + 1 + (i % 2))))
  fc.assert(
    fc.property(lines, lines, (from, to) => {
      const map = new Recollection(from)
      expect(map.apply(deltaBetween(from, to))).toBeUndefined()
      expect(map.lines.map(({ text }) => text)).toEqual(to.map(({ text }) => text))
    })
  )
})
