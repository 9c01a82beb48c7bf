import { describe, expect, it } from "vitest"
import { FailNth } from "../../../lib/mm/base/debug.ts"
import { Maple } from "../../../lib/mm/store/maple.ts"
import { Vmas } from "../../../lib/mm/store/vmas.ts"
import { forSeeds, randomFrom } from "../../support/random.ts"

const BASE = 0x700000000
const MM = 1

interface Index {
  readonly vmas: Vmas
  readonly maple: Maple
  /** The same areas in a sorted array: what the tree is compared with. */
  readonly sorted: number[]
}

function indexOf(maxVmas: number): Index {
  const fail = new FailNth()
  const vmas = new Vmas(maxVmas, fail)
  const maple = new Maple(vmas, 4, fail)
  maple.create(MM)
  return { vmas, maple, sorted: [] }
}

const startOf = (x: Index, i: number): number => (i < x.sorted.length ? x.vmas.startOf(x.sorted[i]!) : Infinity)
const endOf = (x: Index, i: number): number => (i >= 0 ? x.vmas.endOf(x.sorted[i]!) : 0)

/** First index whose area ends above `vpn`. */
function upper(x: Index, vpn: number): number {
  let low = 0
  let high = x.sorted.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (x.vmas.endOf(x.sorted[middle]!) > vpn) high = middle
    else low = middle + 1
  }
  return low
}

function insert(x: Index, start: number, end: number): boolean {
  const i = upper(x, start)
  if (startOf(x, i) < end) return false
  const v = x.vmas.alloc(MM, start, end)
  if (v === 0) return false
  expect(x.maple.reserve(1)).toBe(true)
  x.maple.insert(MM, v)
  x.sorted.splice(i, 0, v)
  return true
}

function erase(x: Index, i: number): void {
  const v = x.sorted[i]!
  x.maple.erase(MM, v)
  x.vmas.free(v)
  x.sorted.splice(i, 1)
}

function naiveGapDown(x: Index, len: number, low: number, high: number): number {
  for (let i = x.sorted.length - 1; i >= -1; i--) {
    const to = Math.min(startOf(x, i + 1), high)
    if (to - Math.max(endOf(x, i), low) >= len) return to - len
  }
  return -1
}

function naiveGapUp(x: Index, len: number, low: number, high: number): number {
  for (let i = -1; i < x.sorted.length; i++) {
    const from = Math.max(endOf(x, i), low)
    if (Math.min(startOf(x, i + 1), high) - from >= len) return from
  }
  return -1
}

function holdsShape(x: Index): void {
  const wrong: string[] = []
  expect(x.maple.check(MM, wrong)).toEqual(x.sorted)
  expect(wrong).toEqual([])
  expect(x.maple.size(MM)).toBe(x.sorted.length)
}

function holdsAnswers(x: Index, at: number): void {
  const { maple, sorted } = x
  const i = upper(x, at)
  const v = sorted[i] ?? 0
  const inside = v !== 0 && x.vmas.startOf(v) <= at
  expect(maple.find(MM, at), "find").toBe(v)
  expect(maple.lookup(MM, at), "lookup").toBe(inside ? v : 0)
  expect(maple.below(MM, at), "below").toBe(sorted[i - 1] ?? 0)
  expect(maple.around(MM, at), "around").toBe(v)
  expect([...maple.near], "around: neighbours").toEqual(
    v === 0 ? [0, 0, 0] : [sorted[i - 1] ?? 0, v, sorted[i + 1] ?? 0]
  )
  maple.neighbours(MM, at)
  expect([maple.near[0], maple.near[1]], "neighbours").toEqual([sorted[i - 1] ?? 0, v])
  if (v === 0) return
  expect(maple.prev(MM, v), "prev").toBe(sorted[i - 1] ?? 0)
  expect(maple.next(MM, v), "next").toBe(sorted[i + 1] ?? 0)
}

function holdsGaps(x: Index, len: number, low: number, high: number): void {
  expect(x.maple.gapDown(MM, len, low, high), `gapDown ${len} in [${low}, ${high})`).toBe(
    naiveGapDown(x, len, low, high)
  )
  expect(x.maple.gapUp(MM, len, low, high), `gapUp ${len} in [${low}, ${high})`).toBe(naiveGapUp(x, len, low, high))
}

/** Random inserts, erases and border moves; `grow` is how often, of 100, something is inserted. */
function churn(x: Index, random: (n: number) => number, space: number, steps: number, grow: number): void {
  for (let step = 0; step < steps; step++) {
    const at = BASE + random(space)
    if (random(100) < grow) insert(x, at, at + 1 + random(3))
    else if (x.sorted.length > 0) {
      const i = random(x.sorted.length)
      if (random(4) === 0) {
        const v = x.sorted[i]!
        const low = Math.max(endOf(x, i - 1), BASE)
        const high = Math.min(startOf(x, i + 1), BASE + space + 16)
        const start = low + random(x.vmas.endOf(v) - low)
        x.maple.adjust(MM, v, start, Math.min(high, start + 1 + random(high - start)))
      } else erase(x, i)
    }
    if (step % 5 === 0) {
      holdsAnswers(x, at)
      const low = BASE + random(space)
      holdsGaps(x, 1 + random(40), low, low + random(space + 100))
    }
    if (step % 200 === 0) holdsShape(x)
  }
  holdsShape(x)
}

describe("maple", { timeout: 60_000 }, () => {
  it("answers as a sorted array does, while it grows, churns and shrinks", () => {
    forSeeds(4, (random) => {
      const x = indexOf(4096)
      churn(x, random, 6000, 1500, 75)
      churn(x, random, 6000, 1000, 50)
      churn(x, random, 6000, 1500, 20)
      while (x.sorted.length > 0) erase(x, random(x.sorted.length))
      holdsShape(x)
      expect(x.maple.live, "an empty tree has one node").toBe(1)
    })
  })

  it("answers at every page of a small crowded space", () => {
    forSeeds(20, (random) => {
      const x = indexOf(256)
      churn(x, random, 120, 150, 60)
      for (let at = BASE - 2; at < BASE + 140; at++) {
        holdsAnswers(x, at)
        for (const len of [1, 2, 5]) {
          holdsGaps(x, len, at, BASE + 130)
          holdsGaps(x, len, BASE, at)
        }
      }
    })
  })

  it("keeps three levels and more in order when areas come in rising order, in falling order, and in a crowd", () => {
    const orders: Record<string, (i: number) => number> = {
      rising: (i) => i,
      falling: (i) => 999 - i,
      outward: (i) => (i % 2 === 0 ? 500 + i / 2 : 499 - (i - 1) / 2)
    }
    for (const [name, order] of Object.entries(orders)) {
      const x = indexOf(1024)
      for (let i = 0; i < 1000; i++) {
        expect(insert(x, BASE + order(i) * 3, BASE + order(i) * 3 + 2), `${name} order`).toBe(true)
      }
      holdsShape(x)
      for (const at of [BASE, BASE + 1, BASE + 1499, BASE + 2998, BASE + 4000]) holdsAnswers(x, at)
      holdsGaps(x, 1, BASE, BASE + 3000)
      holdsGaps(x, 2, BASE, BASE + 3000)
      while (x.sorted.length > 0) erase(x, x.sorted.length >> 1)
      holdsShape(x)
    }
  })

  it("holds 10,000 areas: neighbours and gaps are right anywhere", () => {
    const x = indexOf(1 << 14)
    const random = randomFrom(7)
    for (let i = 0; i < 10_000; i++) insert(x, BASE + i * 5, BASE + i * 5 + 1 + random(4))
    expect(x.maple.size(MM)).toBe(10_000)
    for (let i = 0; i < 300; i++) {
      const at = BASE + random(50_100)
      holdsAnswers(x, at)
      holdsGaps(x, 1 + random(6), at, at + random(20_000))
    }
    for (let i = 0; i < 4000; i++) erase(x, random(x.sorted.length))
    holdsShape(x)
    for (let i = 0; i < 200; i++) holdsGaps(x, 1 + random(40), BASE + random(50_000), BASE + 50_000)
  })

  it("keeps two trees apart, the remembered path included", () => {
    const x = indexOf(64)
    x.maple.create(2)
    const other = x.vmas.alloc(2, BASE, BASE + 4)
    x.maple.insert(2, other)
    insert(x, BASE + 1, BASE + 2)
    expect(x.maple.lookup(2, BASE)).toBe(other)
    expect(x.maple.lookup(MM, BASE)).toBe(0)
    expect(x.maple.lookup(MM, BASE + 1)).toBe(x.sorted[0])
    x.maple.destroy(2)
    x.maple.create(2)
    expect(x.maple.find(2, 0)).toBe(0)
    holdsShape(x)
  })

  it("gives all nodes back when a tree of many levels is destroyed", () => {
    const x = indexOf(1024)
    for (let i = 0; i < 1000; i++) insert(x, BASE + i * 2, BASE + i * 2 + 1)
    expect(x.maple.live).toBeGreaterThan(60)
    x.maple.destroy(MM)
    expect(x.maple.live).toBe(0)
  })

  it("says beforehand when nodes do not suffice, and never runs out inside an insert", () => {
    const fail = new FailNth()
    const vmas = new Vmas(4096, fail)
    const maple = new Maple(vmas, 16, fail)
    maple.create(MM)
    // Leaves are thinned to one slot each, the worst that erasing does; then the thin tree is asked for more.
    const x: Index = { vmas, maple, sorted: [] }
    for (let i = 0; i < 4000; i++) insert(x, BASE + i * 4, BASE + i * 4 + 1)
    for (let i = x.sorted.length - 1; i >= 0; i--) if (i % 9 !== 0) erase(x, i)
    holdsShape(x)
    const random = randomFrom(3)
    for (let i = 0; i < 4000 && maple.reserve(1); i++) {
      const at = BASE + random(16_000)
      const place = upper(x, at)
      if (startOf(x, place) <= at) continue
      const v = vmas.alloc(MM, at, at + 1)
      if (v === 0) break
      maple.insert(MM, v)
      x.sorted.splice(place, 0, v)
    }
    holdsShape(x)
  })
})
