import { describe, expect, it } from "vitest"
import { FailNth } from "../../../lib/mm/base/debug.ts"
import { MAX_INDEX, Xarray } from "../../../lib/mm/store/xarray.ts"
import { forSeeds } from "../../support/random.ts"

const ROOT = 3

/** Offsets that meet the borders of levels, and some between. */
const places = [0, 1, 63, 64, 65, 4095, 4096, 262_143, 262_144, 16_777_215, 16_777_216, MAX_INDEX - 1]

describe("xarray", { timeout: 60_000 }, () => {
  it("loads, stores, erases and walks as a map does", () => {
    forSeeds(30, (random) => {
      const x = new Xarray(4096, 8, new FailNth())
      const map = new Map<number, number>()
      const anywhere = (): number =>
        random(3) === 0 ? places[random(places.length)]! : random(2) === 0 ? random(200) : random(MAX_INDEX)
      for (let step = 0; step < 400; step++) {
        const i = anywhere()
        if (random(100) < 55) {
          expect(x.store(ROOT, i, step + 1)).toBe(true)
          map.set(i, step + 1)
        } else {
          const known = [...map.keys()]
          const j = known.length > 0 && random(2) === 0 ? known[random(known.length)]! : i
          expect(x.erase(ROOT, j)).toBe(map.get(j) ?? 0)
          map.delete(j)
        }
        expect(x.load(ROOT, i)).toBe(map.get(i) ?? 0)
        if (step % 20 === 0) {
          const walked: number[] = []
          for (let at = x.next(ROOT, 0); at >= 0; at = x.next(ROOT, at + 1)) walked.push(at)
          expect(walked).toEqual([...map.keys()].sort((a, b) => a - b))
          const from = anywhere()
          const above = [...map.keys()].filter((k) => k >= from)
          expect(x.next(ROOT, from)).toBe(above.length === 0 ? -1 : Math.min(...above))
        }
      }
      for (const i of map.keys()) x.erase(ROOT, i)
      expect(x.live, "an empty cache has no nodes").toBe(0)
      expect(x.next(ROOT, 0)).toBe(-1)
    })
  })

  it("gives back the nodes it grew through when its one page lay far away", () => {
    for (const far of places) {
      const x = new Xarray(64, 4, new FailNth())
      x.store(1, far, 7)
      expect(x.erase(1, far)).toBe(7)
      expect(x.live, `after offset ${far}`).toBe(0)
    }
  })

  it("keeps the caches of two objects apart", () => {
    const x = new Xarray(64, 4, new FailNth())
    x.store(1, 5, 11)
    x.store(2, 5, 22)
    expect(x.erase(1, 5)).toBe(11)
    expect([x.load(1, 5), x.load(2, 5)]).toEqual([0, 22])
  })

  it("has nothing at or above its highest offset", () => {
    const x = new Xarray(64, 4, new FailNth())
    x.store(1, MAX_INDEX - 1, 9)
    expect([x.load(1, MAX_INDEX), x.erase(1, MAX_INDEX), x.next(1, MAX_INDEX)]).toEqual([0, 0, -1])
    expect(x.load(1, MAX_INDEX - 1)).toBe(9)
  })

  it("changes nothing when nodes ran out, whatever the store would have needed", () => {
    forSeeds(20, (random) => {
      const x = new Xarray(24, 4, new FailNth())
      const map = new Map<number, number>()
      for (let step = 1; step < 300; step++) {
        const i = random(2) === 0 ? places[random(places.length)]! : random(MAX_INDEX)
        if (x.store(1, i, step)) map.set(i, step)
        else expect(x.load(1, i)).toBe(map.get(i) ?? 0)
        if (random(4) === 0) {
          const known = [...map.keys()]
          const j = known[random(known.length)]!
          expect(x.erase(1, j)).toBe(map.get(j) ?? 0)
          map.delete(j)
        }
        for (const [at, v] of map) expect(x.load(1, at)).toBe(v)
      }
      for (const i of map.keys()) x.erase(1, i)
      expect(x.live).toBe(0)
    })
  })
})
