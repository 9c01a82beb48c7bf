import { describe, expect, it } from "vitest"
import { PRESENT } from "../../../lib/flags/PteFlags.ts"
import { FailNth } from "../../../lib/mm/base/debug.ts"
import { TASK_PAGES } from "../../../lib/mm/base/units.ts"
import { NO_SLOT, Ptes } from "../../../lib/mm/store/ptes.ts"
import { forSeeds } from "../../support/random.ts"

const LEAVES = 2 ** 26
const tables = (max: number): { readonly p: Ptes; readonly pgd: number; readonly fail: FailNth } => {
  const fail = new FailNth()
  const p = new Ptes(max, fail)
  return { p, pgd: p.newTable(), fail }
}

/** Page numbers at the borders of tables of every level, and the last one of user space. */
const places = [0, 511, 512, 262_143, 262_144, 134_217_727, 134_217_728, TASK_PAGES - 1]

describe("ptes", { timeout: 60_000 }, () => {
  it("has no slot where a level is missing, and makes at most three tables for one", () => {
    for (const vpn of places) {
      const { p, pgd } = tables(64)
      expect(p.slot(pgd, vpn)).toBe(NO_SLOT)
      const s = p.slotAlloc(pgd, vpn)
      expect(p.slot(pgd, vpn)).toBe(s)
      expect(p.isNone(s)).toBe(true)
      expect(p.live).toBe(4)
    }
  })

  it("keeps entries of every page apart, up to the last page of user space", () => {
    const { p, pgd } = tables(64)
    places.forEach((vpn, i) => p.set(p.slotAlloc(pgd, vpn), i + 1, PRESENT))
    places.forEach((vpn, i) => expect(p.pfn(p.slot(pgd, vpn))).toBe(i + 1))
  })

  it("counts the used entries of a leaf, however often one is written or cleared", () => {
    const { p, pgd } = tables(16)
    const a = p.slotAlloc(pgd, 5)
    const b = p.slotAlloc(pgd, 6)
    p.set(a, 1, PRESENT)
    p.set(a, 2, PRESENT)
    p.set(b, 3, PRESENT)
    expect(p.pop[a >>> 10]).toBe(2)
    p.clear(a)
    p.clear(a)
    expect(p.pop[a >>> 10]).toBe(1)
    expect([p.pfn(a), p.bits(a)]).toEqual([0, 0])
  })

  it("finds leaves, entries and tables as a map does, and frees what it made", () => {
    forSeeds(25, (random) => {
      const { p, pgd } = tables(600)
      const used = new Map<number, number>()
      const leaves = new Set<number>()
      const anywhere = (): number => (random(2) === 0 ? places[random(places.length)]! : random(40) * 300 + random(600))
      for (let step = 0; step < 250; step++) {
        const vpn = anywhere()
        const slot = p.slotAlloc(pgd, vpn)
        leaves.add(Math.floor(vpn / 512))
        if (random(3) === 0) {
          p.clear(slot)
          used.delete(vpn)
        } else {
          p.set(slot, step + 1, PRESENT)
          used.set(vpn, step + 1)
        }
      }
      for (const [vpn, pfn] of used) expect(p.pfn(p.slot(pgd, vpn))).toBe(pfn)
      const from = random(100)
      const walked: number[] = []
      for (let l = p.nextLeaf(pgd, from, LEAVES); l >= 0; l = p.nextLeaf(pgd, l + 1, LEAVES)) walked.push(l)
      expect(walked).toEqual([...leaves].filter((l) => l >= from).sort((x, y) => x - y))
      // freeing a range of leaves leaves every other entry as it was
      const end = from + random(30)
      for (const vpn of used.keys()) {
        const l = Math.floor(vpn / 512)
        if (l < from || l >= end) continue
        p.clear(p.slot(pgd, vpn))
        used.delete(vpn)
      }
      p.freeRange(pgd, from, end)
      for (const [vpn, pfn] of used) expect(p.pfn(p.slot(pgd, vpn))).toBe(pfn)
      expect(p.nextLeaf(pgd, from, end)).toBe(-1)
      for (const vpn of used.keys()) p.clear(p.slot(pgd, vpn))
      p.freeRange(pgd, 0, LEAVES)
      expect(p.live, "only the top table is left").toBe(1)
      expect(p.pop[pgd]).toBe(0)
    })
  })

  it("stops a leaf search exactly at its end", () => {
    const { p, pgd } = tables(16)
    p.slotAlloc(pgd, 512 * 10)
    expect(p.nextLeaf(pgd, 0, 10)).toBe(-1)
    expect(p.nextLeaf(pgd, 0, 11)).toBe(10)
    expect(p.nextLeaf(pgd, 11, LEAVES)).toBe(-1)
  })

  it("hands out tables that are all zero, also when they were used before", () => {
    const { p, pgd } = tables(16)
    const s = p.slotAlloc(pgd, 3)
    p.set(s, 9, PRESENT)
    p.clear(s)
    p.freeRange(pgd, 0, LEAVES)
    const again = p.newTable()
    expect(p.ent.subarray(again << 10, (again + 1) << 10).every((word) => word === 0)).toBe(true)
  })

  it("has no slot when tables ran out, and gives back the levels it made for it", () => {
    for (const max of [2, 3, 4]) {
      const { p, pgd } = tables(max)
      expect(p.slotAlloc(pgd, 0)).toBe(NO_SLOT)
      expect(p.live, `of ${max} tables`).toBe(1)
      expect(p.pop[pgd]).toBe(0)
    }
    const { p, pgd } = tables(5)
    const near = p.slotAlloc(pgd, 0)
    expect(p.slotAlloc(pgd, 2 ** 34), "another top-level entry").toBe(NO_SLOT)
    expect(p.slot(pgd, 0), "what was there stays").toBe(near)
    expect(p.live).toBe(4)
  })

  it("gives back its levels whichever of the three allocations fails", () => {
    for (let nth = 1; nth <= 3; nth++) {
      const { p, pgd, fail } = tables(16)
      fail.arm(nth)
      expect(p.slotAlloc(pgd, 77)).toBe(NO_SLOT)
      fail.arm(0)
      expect(p.live).toBe(1)
      expect(p.slotAlloc(pgd, 77)).not.toBe(NO_SLOT)
    }
  })
})
