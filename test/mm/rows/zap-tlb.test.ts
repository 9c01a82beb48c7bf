import { describe, expect, it } from "vitest"
import { FAULT_MAPERR } from "../../../lib/flags/FaultFlags.ts"
import { checkIdle, checkMm } from "../../../lib/mm/area/check.ts"
import { READ } from "../../../lib/mm/area/mmap-lock.ts"
import { PREEMPT } from "../../../lib/mm/base/stop.ts"
import { zapPageRangeSingle } from "../../../lib/mm/page/zap.ts"
import { munmap } from "../../../lib/mm/sys/munmap.ts"
import { copyToUser } from "../../../lib/mm/sys/usercopy.ts"
import { BASE, done, Hand, machine, PAGE, Proc, RW, withMmap } from "./world.ts"

describe("stale translations", () => {
  it("a load after a zap does not see the old page [R-ZAP-19]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 1, RW)
    p.store(BASE, 7)
    expect(p.load(BASE)).toBe(7)
    withMmap(k, p.mm, READ, () => zapPageRangeSingle(k, p.area(BASE), BASE, 1))
    const misses = k.tlb.misses
    expect(p.load(BASE)).toBe(0)
    expect(k.tlb.misses).toBe(misses + 1)
    checkMm(k)
  })

  it("a store after a zap does not reach the old frame, whoever has it now [R-ZAP-19]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 1, RW)
    p.store(BASE, 7)
    withMmap(k, p.mm, READ, () => zapPageRangeSingle(k, p.area(BASE), BASE, 1))
    const reused = k.frames.allocZeroed()
    p.store(BASE, 9)
    expect(k.frames.bytes[reused * PAGE]).toBe(0)
    k.frames.put(reused)
    checkMm(k)
  })

  it("more pages than are flushed one by one are all flushed [R-ZAP-19]", () => {
    const k = machine({ frames: 128 })
    const p = Proc.spawn(k)
    p.map(BASE, 60, RW)
    for (let i = 0; i < 60; i++) p.store(BASE + i, 1 + i)
    withMmap(k, p.mm, READ, () => zapPageRangeSingle(k, p.area(BASE), BASE, 60))
    for (let i = 0; i < 60; i++) expect(p.load(BASE + i)).toBe(0)
    checkMm(k)
  })

  it("another address space keeps its translations of the same page numbers [R-ZAP-19]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    const q = Proc.spawn(k)
    for (const [x, byte] of [
      [p, 1],
      [q, 2]
    ] as const) {
      x.map(BASE, 1, RW)
      x.store(BASE, byte)
    }
    withMmap(k, p.mm, READ, () => zapPageRangeSingle(k, p.area(BASE), BASE, 1))
    expect([p.load(BASE), q.load(BASE)]).toEqual([0, 2])
    checkMm(k)
  })
})

describe("munmap, step by step", () => {
  /** Munmaps `pages` pages at `at` up to the mark after the entries were cleared: before the flush. */
  const cleared = (p: Proc, at: number, pages: number) => {
    const before = p.frame(at + pages - 1)
    expect(before).toBeGreaterThan(0)
    p.k.runs.preempt = true
    const hand = new Hand(p.k, () => munmap(p.k, p.task, at * PAGE, pages * PAGE))
    do hand.to(PREEMPT)
    while (p.frame(at + pages - 1) === before)
    return hand
  }

  it("frames are not free between clearing and flushing, and a stale translation still finds them [R-ZAP-19]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 3, RW)
    for (let i = 0; i < 3; i++) p.store(BASE + i, 5 + i)
    const frames = [0, 1, 2].map((i) => p.frame(BASE + i))
    const free = k.frames.free()
    const hand = cleared(p, BASE, 3)
    expect(k.frames.free()).toBe(free)
    expect(frames.map((f) => k.frames.refcount(f))).toEqual([1, 1, 1])
    expect(frames.map((f) => k.frames.mapcount(f))).toEqual([0, 0, 0])
    expect(p.load(BASE + 1)).toBe(6) // the other processor has not been told yet
    checkMm(k)
    hand.to(PREEMPT) // flushed
    expect(k.frames.free()).toBe(free)
    expect(p.load(BASE + 1)).toBe(-FAULT_MAPERR)
    checkMm(k)
    expect(hand.finish()).toBe(0)
    expect(k.frames.free()).toBe(free + 3)
    k.runs.preempt = false
    checkIdle(k)
  })

  it("the area is gone for newcomers before its pages go [R-ZAP-19]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 2, RW)
    p.store(BASE + 1, 5)
    const hand = cleared(p, BASE, 2)
    expect(p.areas(BASE, BASE + 2)).toBe("..")
    expect(p.load(BASE)).toBe(-FAULT_MAPERR)
    hand.finish()
    k.runs.preempt = false
    checkIdle(k)
  })

  it.each([
    ["begins at the end of a page table", 1, 500],
    ["ends at the start of the next page table", 499, 500],
    ["lies in one page table", 512, 512],
    ["is full twice", 11, 1013]
  ])("a full batch that %s is flushed whole before its frames are put [R-ZAP-19]", (_, inFirst, pages) => {
    // Frames are held back 500 at a time; a table has 512 entries, and the second one starts at page 1024 here.
    const k = machine({ frames: 2048 })
    const p = Proc.spawn(k)
    const at = 1024 - inFirst
    p.map(at, pages, RW)
    for (let i = 0; i < pages; i++) p.store(at + i, 1)
    const first = p.frame(at)
    const free = k.frames.free()
    const hand = cleared(p, at, pages)
    expect(k.frames.free()).toBeGreaterThan(free)
    // whatever is free by now, no translation finds any more
    expect(k.frames.refcount(first)).toBe(0)
    checkMm(k)
    expect(hand.finish()).toBe(0)
    expect(k.frames.free()).toBe(free + pages)
    k.runs.preempt = false
    checkIdle(k)
  })

  it("a batch filled by several areas is flushed whole before its frames are put [R-ZAP-19]", () => {
    const k = machine({ frames: 2048 })
    const p = Proc.spawn(k)
    p.map(512, 495, RW)
    p.map(1007, 5, 1) // read only: an area of its own
    p.protect(1007, 5, RW)
    p.protect(1007, 5, 7)
    for (let i = 0; i < 500; i++) p.store(512 + i, 1)
    expect(p.areas(1005, 1009)).toBe("aabb")
    const free = k.frames.free()
    const hand = cleared(p, 512, 500)
    expect(k.frames.free()).toBe(free + 500)
    checkMm(k)
    expect(hand.finish()).toBe(0)
    k.runs.preempt = false
    checkIdle(k)
  })
})

describe("a page that takes another's place", () => {
  const put = (p: Proc, vpn: number, byte: number) =>
    done(p.k, () => copyToUser(p.k, p.mm, vpn * PAGE, new Uint8Array([byte])))

  it("is seen at once where the page of zeroes was read before, also if the kernel wrote it [R-ZAP-19, R-ZAP-20]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 1, RW)
    expect(p.load(BASE)).toBe(0)
    expect(put(p, BASE, 9)).toBe(0)
    expect(p.load(BASE)).toBe(9)
    checkMm(k)
  })

  it("is seen at once where a shared page was read before, also if the kernel copied it [R-ZAP-19]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 1, RW)
    p.store(BASE, 1)
    const child = p.fork()
    expect([p.load(BASE), child.load(BASE), p.load(BASE)]).toEqual([1, 1, 1])
    expect(put(p, BASE, 9)).toBe(0)
    expect([p.load(BASE), child.load(BASE)]).toEqual([9, 1])
    checkMm(k)
  })
})
