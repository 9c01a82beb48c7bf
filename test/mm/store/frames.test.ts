import { describe, expect, it } from "vitest"
import { FailNth, KernelBug } from "../../../lib/mm/base/debug.ts"
import { F_ANON, F_COMPOUND, F_TAIL, Frames, ZERO_PFN } from "../../../lib/mm/store/frames.ts"
import { forSeeds } from "../../support/random.ts"

const ram = (frames: number): Frames => new Frames(frames, new FailNth())

const used = (f: Frames): number[] => {
  const out: number[] = []
  f.forEachUsed((p) => out.push(p))
  return out
}

describe("frames", { timeout: 60_000 }, () => {
  it("hands out every frame but the page of zeroes once, then none, whatever the size of RAM", () => {
    for (const size of [16, 64, 100, 1023, 1024, 1025, 1500, 2047, 2048, 3000]) {
      const f = ram(size)
      expect(f.free(), `${size} frames`).toBe(size - 1)
      const got = new Set<number>()
      for (let p = f.alloc(); p !== 0; p = f.alloc()) got.add(p)
      expect(got.size, `${size} frames`).toBe(size - 1)
      expect(Math.max(...got)).toBe(size - 1)
      expect(f.free()).toBe(0)
      expect(f.check()).toEqual([])
      for (const p of got) f.put(p)
      expect(f.free()).toBe(size - 1)
      expect(f.check()).toEqual([])
      expect(used(f)).toEqual([])
    }
  })

  it("gives back a frame with its last reference, and not before", () => {
    const f = ram(64)
    const p = f.alloc()
    f.get(p)
    f.put(p)
    expect(f.refcount(p)).toBe(1)
    expect(used(f)).toEqual([p])
    f.put(p)
    expect(f.refcount(p)).toBe(0)
    expect(f.alloc(), "the frame just freed is warm").toBe(p)
  })

  it("zeroes a frame that was used before", () => {
    const f = ram(64)
    const p = f.allocZeroed()
    f.words[p * 1024 + 1023] = 42
    f.put(p)
    const q = f.allocZeroed()
    expect(q).toBe(p)
    expect(f.words.subarray(q * 1024, (q + 1) * 1024).every((w) => w === 0)).toBe(true)
  })

  it("zeroes a frame that was written before it was ever zeroed", () => {
    const f = ram(64)
    f.alloc() // the last of all
    const p = f.alloc()
    f.write(p, new Uint8Array(4096).fill(7))
    expect([f.bytes[p * 4096 - 1], f.bytes[p * 4096], f.bytes[p * 4096 + 4095], f.bytes[p * 4096 + 4096]]).toEqual([
      0, 7, 7, 0
    ])
    f.put(p)
    const q = f.allocZeroed()
    expect(q).toBe(p)
    expect(f.words.subarray(q * 1024, (q + 1) * 1024).every((w) => w === 0)).toBe(true)
  })

  it("zeroes a frame that was used as part of a block before", () => {
    const f = ram(64)
    const block = f.allocOrder(2, true)
    for (let i = 0; i < 4; i++) f.words[(block + i) * 1024] = 1
    f.put(block)
    for (let p = f.allocZeroed(); p !== 0; p = f.allocZeroed()) expect(f.words[p * 1024]).toBe(0)
  })

  it("refuses to free what entries still map, to drop a mapping twice, and to put a reference twice", () => {
    const f = ram(64)
    const p = f.alloc()
    f.addMap(p)
    f.put(p)
    expect(() => f.put(p)).toThrow(KernelBug)
    expect(() => f.dropMap(f.alloc())).toThrow(/below zero/)
    const r = f.alloc()
    f.put(r)
    expect(() => f.put(r)).toThrow(/below zero/)
  })

  it("never gives the page of zeroes away", () => {
    const f = ram(16)
    for (let p = f.alloc(); p !== 0; p = f.alloc()) expect(p).not.toBe(ZERO_PFN)
    expect(f.refcount(ZERO_PFN)).toBe(1)
  })

  it("hands out aligned blocks of every order, disjoint, and joins them again", () => {
    forSeeds(20, (random) => {
      const size = [64, 700, 1024, 1300, 4096][random(5)]!
      const f = ram(size)
      const blocks: { readonly at: number; readonly order: number }[] = []
      const owner = new Map<number, number>()
      for (let step = 0; step < 300; step++) {
        if (random(100) < 60) {
          const order = random(3) === 0 ? random(11) : random(3)
          const at = order === 0 && random(2) === 0 ? f.alloc() : f.allocOrder(order, random(2) === 0)
          if (at === 0) continue
          expect(at % (1 << order), "aligned").toBe(0)
          for (let p = at; p < at + (1 << order); p++) {
            if (owner.has(p) || p >= size) expect.fail(`frame ${p} is handed out twice, or is none of ${size}`)
            owner.set(p, at)
          }
          blocks.push({ at, order })
        } else if (blocks.length > 0) {
          const { at, order } = blocks.splice(random(blocks.length), 1)[0]!
          f.put(at)
          for (let p = at; p < at + (1 << order); p++) owner.delete(p)
        }
        expect(f.free()).toBe(size - 1 - owner.size)
        if (step % 25 === 0) {
          expect(f.check()).toEqual([])
          expect(used(f)).toEqual([...owner.keys()].sort((a, b) => a - b))
        }
      }
      for (const { at } of blocks) f.put(at)
      expect(f.free()).toBe(size - 1)
      expect(f.check()).toEqual([])
    })
  })

  it("counts references of a compound block on its head, mappings on each frame", () => {
    const f = ram(64)
    const head = f.allocOrder(2, true)
    expect(f.has(head, F_COMPOUND)).toBe(true)
    expect(f.has(head + 3, F_TAIL)).toBe(true)
    expect(f.folio(head + 3)).toBe(head)
    f.addMap(head + 3)
    expect([f.refcount(head), f.mapcount(head), f.mapcount(head + 3)]).toEqual([2, 0, 1])
    f.dropMap(head + 3)
    f.put(head + 3)
    expect(f.refcount(head)).toBe(1)
    f.put(head)
    expect(used(f)).toEqual([])
    expect(f.check()).toEqual([])
  })

  it("forgets what a frame was when it is freed", () => {
    const f = ram(64)
    const p = f.alloc()
    f.setAnon(p, 5, 2 ** 34 + 3)
    expect([f.mapping(p), f.index(p), f.mapcount(p)]).toEqual([5, 2 ** 34 + 3, 1])
    f.dropMap(p)
    f.put(p)
    const q = f.alloc()
    expect(q).toBe(p)
    expect([f.mapping(q), f.mapcount(q), f.flags(q) & F_ANON]).toEqual([0, 0, 0])
  })

  it("makes a block of frames that all went through the stack of single frames", () => {
    const f = ram(64)
    const all: number[] = []
    for (let p = f.alloc(); p !== 0; p = f.alloc()) all.push(p)
    for (const p of all) f.put(p)
    const block = f.allocOrder(3, false)
    expect(block).not.toBe(0)
    expect(block % 8).toBe(0)
    expect(f.check()).toEqual([])
  })

  it("copies and zeroes bytes of one frame only", () => {
    const f = ram(64)
    const [a, b] = [f.allocZeroed(), f.allocZeroed()]
    f.words.fill(7, a * 1024, (a + 1) * 1024)
    f.copy(b, a)
    f.zero(b, 4000, 4096)
    expect(f.bytes[b * 4096 + 3996]).toBe(7)
    expect(f.words[b * 1024 + 1000]).toBe(0)
    expect(f.words[a * 1024 + 1000]).toBe(7)
    expect(f.words.subarray(0, 1024).every((w) => w === 0)).toBe(true)
  })

  it("names what is wrong with its lists", () => {
    const f = ram(64)
    const p = f.alloc()
    f.put(p)
    f.get(p)
    expect(f.check()).toEqual([`free frame ${p} has references`])
  })
})
