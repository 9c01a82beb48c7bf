import { describe, expect, it } from "vitest"
import { FailNth } from "../../../lib/mm/base/debug.ts"
import { Anon } from "../../../lib/mm/store/anon.ts"
import { Vmas } from "../../../lib/mm/store/vmas.ts"
import { forSeeds } from "../../support/random.ts"

interface Family {
  readonly fail: FailNth
  readonly vmas: Vmas
  readonly anon: Anon
  readonly area: () => number
}

function family(max = 64): Family {
  const fail = new FailNth()
  const vmas = new Vmas(512, fail)
  const anon = new Anon(max, vmas, fail)
  return { fail, vmas, anon, area: () => vmas.alloc(1, 0, 1) }
}

const members = (f: Family, a: number): number[] => {
  const out: number[] = []
  f.anon.forEachVma(a, (v) => out.push(v))
  return out.sort((x, y) => x - y)
}

/** Links of an area's chain. */
const chainOf = (f: Family, v: number, all: readonly number[]): number[] => all.filter((a) => f.anon.isLinked(v, a))

describe("anon", { timeout: 60_000 }, () => {
  it("a fresh anon_vma has one area, one link, and dies with it [L-RMAP-05]", () => {
    const f = family()
    const v = f.area()
    expect(f.anon.prepare(v, 0)).toBe(true)
    expect(members(f, f.vmas.anon(v))).toEqual([v])
    expect([f.anon.live, f.anon.links, f.anon.singular(v)]).toEqual([1, 1, true])
    f.anon.unlinkAll(v)
    expect([f.anon.live, f.anon.links, f.vmas.anon(v), f.vmas.chain(v)]).toEqual([0, 0, 0, 0])
  })

  it("a neighbour's anon_vma can be shared; it lives until the last of them leaves", () => {
    const f = family()
    const [v, w] = [f.area(), f.area()]
    f.anon.prepare(v, 0)
    f.anon.prepare(w, f.vmas.anon(v))
    expect(members(f, f.vmas.anon(v))).toEqual([v, w])
    expect(f.anon.live).toBe(1)
    f.anon.unlinkAll(v)
    expect(members(f, f.vmas.anon(w))).toEqual([w])
    f.anon.unlinkAll(w)
    expect([f.anon.live, f.anon.links]).toEqual([0, 0])
  })

  it("a split area is on every list of the whole, under the same anon_vma [L-RMAP-05]", () => {
    const f = family()
    const [v, child, part] = [f.area(), f.area(), f.area()]
    f.anon.prepare(v, 0)
    f.anon.fork(child, v)
    f.anon.clone(part, child)
    expect(f.vmas.anon(part)).toBe(f.vmas.anon(child))
    expect(members(f, f.vmas.anon(v))).toEqual([v, child, part])
    expect(members(f, f.vmas.anon(child))).toEqual([child, part])
  })

  it("a fork's child has an anon_vma of its own and is on its parent's list; its chain is not single [L-FORK-11]", () => {
    const f = family()
    const [v, child] = [f.area(), f.area()]
    f.anon.prepare(v, 0)
    expect(f.anon.fork(child, v)).toBe(true)
    expect(f.vmas.anon(child)).not.toBe(f.vmas.anon(v))
    expect(members(f, f.vmas.anon(v))).toEqual([v, child])
    expect([f.anon.singular(v), f.anon.singular(child)]).toEqual([true, false])
  })

  it("a fork of an area that was never written links nothing", () => {
    const f = family()
    const child = f.area()
    expect(f.anon.fork(child, f.area())).toBe(true)
    expect([f.anon.live, f.anon.links, f.vmas.anon(child)]).toEqual([0, 0, 0])
  })

  it("an ancestor's anon_vma that nobody is active in is used again by a grandchild [L-RMAP-06]", () => {
    const f = family()
    const [v, child, grandchild] = [f.area(), f.area(), f.area()]
    f.anon.prepare(v, 0)
    const root = f.vmas.anon(v)
    f.anon.fork(child, v)
    f.anon.unlinkAll(v) // the parent is gone; the child's pages may still belong to its anon_vma
    expect(members(f, root)).toEqual([child])
    expect(f.anon.activeOf(root)).toBe(0)
    f.anon.fork(grandchild, child)
    // a root with a child of its own is not free to be used again; the child's own is active: a third is made
    expect(f.anon.live).toBe(3)
    const third = f.vmas.anon(grandchild)
    f.anon.unlinkAll(child)
    const last = f.area()
    f.anon.fork(last, grandchild)
    expect(f.anon.live, "one of the empty ancestors serves").toBe(3)
    expect([root, third]).not.toContain(f.vmas.anon(last))
  })

  it("a chain of forks whose parents die does not grow for ever", () => {
    const f = family(64)
    let v = f.area()
    f.anon.prepare(v, 0)
    for (let generation = 0; generation < 200; generation++) {
      const child = f.area()
      expect(f.anon.fork(child, v), `generation ${generation}`).toBe(true)
      f.anon.unlinkAll(v)
      f.vmas.free(v)
      v = child
      expect(f.anon.live).toBeLessThan(6)
    }
    f.anon.unlinkAll(v)
    expect([f.anon.live, f.anon.links]).toEqual([0, 0])
  })

  it("leaks nothing and keeps its lists through random prepares, splits, forks and ends, when rows run out too", () => {
    forSeeds(12, (random) => {
      const f = family(random(2) === 0 ? 12 : 200)
      const live: number[] = []
      for (let step = 0; step < 120; step++) {
        const v = live[random(live.length)] ?? 0
        if (v === 0 || random(5) === 0) live.push(f.area())
        else if (random(4) === 0) {
          f.anon.unlinkAll(v)
          f.vmas.free(v)
          live.splice(live.indexOf(v), 1)
        } else if (f.vmas.anon(v) === 0) {
          const single = live.filter((w) => f.vmas.anon(w) !== 0 && f.anon.singular(w))
          f.anon.prepare(v, random(2) === 0 ? (f.vmas.anon(single[random(single.length)] ?? 0) ?? 0) : 0)
        } else {
          const w = f.area()
          const linked = random(2) === 0 ? f.anon.clone(w, v) : f.anon.fork(w, v)
          if (linked) live.push(w)
          else {
            expect([f.vmas.anon(w), f.vmas.chain(w)], "a failure leaves it as it was").toEqual([0, 0])
            f.vmas.free(w)
          }
        }
        const known = [...new Set(live.map((w) => f.vmas.anon(w)))].filter((a) => a !== 0)
        for (const a of known) {
          expect(f.anon.activeOf(a)).toBe(live.filter((w) => f.vmas.anon(w) === a).length)
          expect(members(f, a)).toEqual(live.filter((w) => f.anon.isLinked(w, a)).sort((x, y) => x - y))
        }
        for (const w of live) if (f.vmas.anon(w) !== 0) expect(chainOf(f, w, known)).toContain(f.vmas.anon(w))
      }
      for (const v of live) f.anon.unlinkAll(v)
      expect([f.anon.live, f.anon.links]).toEqual([0, 0])
    })
  })

  it("changes nothing when an allocation fails, whichever it is", () => {
    for (let nth = 1; nth <= 4; nth++) {
      const f = family()
      const [v, child, part] = [f.area(), f.area(), f.area()]
      f.anon.prepare(v, 0)
      f.anon.fork(child, v)
      const before = [f.anon.live, f.anon.links]
      for (const act of [
        () => f.anon.prepare(part, 0),
        () => f.anon.clone(part, child),
        () => f.anon.fork(part, child)
      ]) {
        f.fail.arm(nth)
        const ok = act()
        f.fail.arm(0)
        if (ok) f.anon.unlinkAll(part)
        expect([f.anon.live, f.anon.links, f.vmas.anon(part), f.vmas.chain(part)]).toEqual([...before, 0, 0])
      }
    }
  })
})
