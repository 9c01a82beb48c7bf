import { describe, expect, it } from "vitest"
import { FailNth } from "../../../lib/mm/base/debug.ts"
import { Mappings } from "../../../lib/mm/store/mappings.ts"
import { Vmas } from "../../../lib/mm/store/vmas.ts"
import { forSeeds } from "../../support/random.ts"

const OBJECT = 3

/** A set, and the area rows that can be put into it. */
function world(areas: number) {
  const vmas = new Vmas(areas + 2, new FailNth())
  const set = new Mappings(vmas, 8)
  const area = (pgoff: number, pages: number): number => {
    const v = vmas.alloc(1, 100, 100 + pages)
    vmas.setPgoff(v, pgoff)
    return v
  }
  const found = (first: number, end: number): number[] => {
    const out: number[] = []
    for (let v = set.find(OBJECT, first, end); v !== 0; v = set.next(v, first, end)) out.push(v)
    return out
  }
  return { vmas, set, area, found }
}

describe("mapping set", { timeout: 60_000 }, () => {
  it("finds exactly the areas that map some of the pages, in order of their first page", () => {
    forSeeds(30, (random) => {
      const { vmas, set, area, found } = world(400)
      const all: number[] = []
      for (let step = 0; step < 400; step++) {
        if (all.length === 0 || random(100) < 60) {
          const v = area(random(60), 1 + random(random(4) === 0 ? 40 : 4))
          set.add(OBJECT, v)
          all.push(v)
          all.sort((a, b) => vmas.pgoff(a) - vmas.pgoff(b)) // stable: of equals, who came first
        } else {
          const [gone] = all.splice(random(all.length), 1)
          set.remove(OBJECT, gone!)
        }
        const first = random(70)
        const end = random(5) === 0 ? Infinity : first + 1 + random(10)
        expect(found(first, end)).toEqual(
          all.filter((v) => vmas.pgoff(v) < end && vmas.pgoff(v) + vmas.pages(v) > first)
        )
        if (step % 40 === 0) {
          const wrong: string[] = []
          expect(set.check(OBJECT, wrong)).toEqual(all)
          expect(wrong).toEqual([])
          expect(set.size(OBJECT)).toBe(all.length)
        }
      }
    })
  })

  it("has a parent's area before its child's of the same pages [L-RMAP-11]", () => {
    const { set, area, found } = world(3)
    const [parent, other, child] = [area(5, 2), area(5, 2), area(5, 2)]
    for (const v of [parent, other, child]) set.add(OBJECT, v)
    expect(found(6, 7)).toEqual([parent, other, child])
  })

  it("keeps the mappings of two objects apart", () => {
    const { set, area, found } = world(2)
    set.add(OBJECT, area(0, 1))
    set.add(OBJECT + 1, area(0, 1))
    expect(found(0, Infinity)).toEqual([1])
  })

  it("is not deep where areas come in order", () => {
    const { set, area } = world(20_000)
    for (let i = 0; i < 20_000; i++) set.add(OBJECT, area(i, 1))
    const depth = (v: number): number => {
      let n = 0
      for (let up = v; up !== 0; up = set["links"][(up << 2) + 2]!) n++
      return n
    }
    expect(Math.max(...Array.from({ length: 20_000 }, (_, i) => depth(i + 1)))).toBeLessThan(64)
  })
})
