import { describe, expect, it } from "vitest"
import { FailNth } from "../../../lib/mm/base/debug.ts"
import { Frames } from "../../../lib/mm/store/frames.ts"
import { Tlb } from "../../../lib/mm/store/tlb.ts"
import { forSeeds } from "../../support/random.ts"

const FIRST = 0x7f0000000
const PAGES = 8
/** Code that the miss handler gives where nothing is mapped. */
const FAULT = 1

interface Machine {
  readonly frames: Frames
  readonly tlb: Tlb
  /** Page to frame, and whether it may be written. */
  readonly map: Map<number, { readonly pfn: number; readonly write: boolean }>
}

/** A processor whose page tables are a map. */
function machine(frames = 64): Machine {
  const f = new Frames(frames, new FailNth())
  const tlb = new Tlb(f)
  const map = new Map<number, { readonly pfn: number; readonly write: boolean }>()
  tlb.use(tlb.newTag())
  tlb.miss = (addr, write) => {
    const entry = map.get(Math.floor(addr / 4096))
    if (entry === undefined || (write && !entry.write)) return FAULT
    tlb.fill(Math.floor(addr / 4096), entry.pfn, write)
    return 0
  }
  return { frames: f, tlb, map }
}

const addr = (page: number, offset: number): number => (FIRST + page) * 4096 + offset

describe("tlb", { timeout: 60_000 }, () => {
  it("loads and stores words and bytes at any address as an array of bytes does", () => {
    forSeeds(10, (random) => {
      const { frames, tlb, map } = machine()
      for (let i = 0; i < PAGES; i++) map.set(FIRST + i, { pfn: frames.allocZeroed(), write: true })
      const bytes = new DataView(new ArrayBuffer(PAGES * 4096))
      for (let step = 0; step < 2000; step++) {
        // page borders, words that cross them, and anything else
        const at = random(2) === 0 ? random(PAGES * 4096 - 4) : Math.max(0, (1 + random(PAGES - 1)) * 4096 - random(5))
        const value = random(2 ** 32) | 0
        switch (random(4)) {
          case 0:
            expect(tlb.store32(addr(0, at), value)).toBe(0)
            bytes.setInt32(at, value, true)
            break
          case 1:
            expect(tlb.store8(addr(0, at), value)).toBe(0)
            bytes.setUint8(at, value & 255)
            break
          case 2:
            expect(tlb.load32(addr(0, at)) | 0).toBe(bytes.getInt32(at, true))
            break
          default:
            expect(tlb.load8(addr(0, at))).toBe(bytes.getUint8(at))
        }
        if (random(50) === 0) tlb.flushAll()
      }
      expect(tlb.takeFault()).toBe(0)
    })
  })

  it("changes no byte when the second page of a crossing store may not be written", () => {
    const { frames, tlb, map } = machine()
    map.set(FIRST, { pfn: frames.allocZeroed(), write: true })
    map.set(FIRST + 1, { pfn: frames.allocZeroed(), write: false })
    for (const offset of [4093, 4094, 4095]) {
      expect(tlb.store32(addr(0, offset), -1)).toBe(FAULT)
      expect(tlb.faultAddr[0], "the first byte that could not be reached").toBe(addr(1, 0))
      expect(tlb.takeFault()).toBe(FAULT)
      for (let i = offset; i < 4096; i++) expect(tlb.load8(addr(0, i))).toBe(0)
    }
  })

  it("names the first byte that could not be loaded", () => {
    const { frames, tlb, map } = machine()
    map.set(FIRST, { pfn: frames.allocZeroed(), write: true })
    expect(tlb.load32(addr(0, 4094))).toBe(0)
    expect([tlb.takeFault(), tlb.faultAddr[0]]).toEqual([FAULT, addr(1, 0)])
    expect(tlb.load8(addr(3, 7))).toBe(0)
    expect([tlb.takeFault(), tlb.faultAddr[0]]).toEqual([FAULT, addr(3, 7)])
    expect(tlb.takeFault(), "a fault is taken once").toBe(0)
  })

  it("keeps reads and writes of one page apart: a line for reads lets no write through", () => {
    const { frames, tlb, map } = machine()
    map.set(FIRST, { pfn: frames.allocZeroed(), write: false })
    expect(tlb.load32(addr(0, 0))).toBe(0)
    expect(tlb.store32(addr(0, 0), 1)).toBe(FAULT)
    expect(tlb.store8(addr(0, 1), 1)).toBe(FAULT)
    tlb.takeFault()
    expect(tlb.load32(addr(0, 0))).toBe(0)
  })

  it("misses once a page, until that page is flushed", () => {
    const { frames, tlb, map } = machine()
    map.set(FIRST, { pfn: frames.allocZeroed(), write: true })
    for (let i = 0; i < 10; i++) tlb.store32(addr(0, i * 4), i)
    expect(tlb.misses).toBe(1)
    tlb.flushPage(FIRST + 1)
    tlb.load32(addr(0, 0))
    expect(tlb.misses).toBe(1)
    tlb.flushPage(FIRST)
    tlb.load32(addr(0, 0))
    expect(tlb.misses).toBe(2)
  })

  it("does not take the page 1024 pages further, or 2^25 MiB further, for the one it has", () => {
    const { frames, tlb, map } = machine()
    const far = [0, 1024, 2048, 2 ** 20, 2 ** 30]
    far.forEach((d, i) => {
      map.set(d + 5, { pfn: frames.allocZeroed(), write: true })
      tlb.store32((d + 5) * 4096, i + 1)
    })
    far.forEach((d, i) => expect(tlb.load32((d + 5) * 4096)).toBe(i + 1))
  })

  it("gives each of 200 address spaces its own translations, across rollovers of their numbers", () => {
    const { frames, tlb, map } = machine(256)
    const spaces = Array.from({ length: 200 }, () => ({ tag: 0, pfn: frames.allocZeroed() }))
    const switchTo = (s: { tag: number; readonly pfn: number }): void => {
      if (!tlb.isFresh(s.tag)) s.tag = tlb.newTag()
      tlb.use(s.tag)
      map.set(FIRST, { pfn: s.pfn, write: true })
    }
    forSeeds(1, (random) => {
      const value = new Map<object, number>()
      for (let step = 0; step < 6000; step++) {
        const s = spaces[random(random(2) === 0 ? 200 : 5)]!
        switchTo(s)
        expect(tlb.load32(addr(0, 0))).toBe(value.get(s) ?? 0)
        if (random(2) === 0) {
          tlb.store32(addr(0, 0), step)
          value.set(s, step)
        }
      }
    })
  })

  it("never hands out a number that a sleeping address space still takes for fresh", () => {
    const { tlb } = machine()
    const tags = new Set<number>()
    for (let i = 0; i < 1000; i++) {
      const tag = tlb.newTag()
      expect(tags.has(tag)).toBe(false)
      tags.add(tag)
      expect(tlb.isFresh(tag)).toBe(true)
    }
    expect([...tags].filter((tag) => tlb.isFresh(tag)).length).toBeLessThan(64)
    expect(tlb.isFresh(0), "no number at all").toBe(false)
  })
})
