import { describe, expect, it } from "vitest"
import { VM_MIXEDMAP, VM_PFNMAP, VM_RAND_READ, VM_SEQ_READ } from "../../../lib/flags/bits.ts"
import { PRIVATE, SHARED } from "../../../lib/flags/MapFlags.ts"
import * as PTE from "../../../lib/flags/PteFlags.ts"
import { READ as PROT_READ } from "../../../lib/flags/ProtFlags.ts"
import { checkMm } from "../../../lib/mm/area/check.ts"
import { READ } from "../../../lib/mm/area/mmap-lock.ts"
import { vmFlagsMod } from "../../../lib/mm/area/vm-flags.ts"
import type { Kernel } from "../../../lib/mm/kernel.ts"
import { createFile, readObject } from "../../../lib/mm/object/file.ts"
import { punchHole, truncateObject } from "../../../lib/mm/object/truncate.ts"
import { vmfInsertPfn, vmInsertPage } from "../../../lib/mm/page/insert.ts"
import { notifierRegister } from "../../../lib/mm/page/notifier.ts"
import { zapPageRangeSingle } from "../../../lib/mm/page/zap.ts"
import { FILE_REGULAR } from "../../../lib/mm/store/files.ts"
import { F_CACHE, F_DIRTY, F_REFERENCED, ZERO_PFN } from "../../../lib/mm/store/frames.ts"
import { BASE, driverPage, machine, mapDevice, Proc, RW, withMmap } from "./world.ts"

const zap = (p: Proc, at: number, pages: number) =>
  withMmap(p.k, p.mm, READ, () => zapPageRangeSingle(p.k, p.area(at), at, pages))

/** A file of `pages` whose page i is filled with 10 + i. */
const file = (k: Kernel, pages: number): string => {
  const read = (i: number, into: Uint8Array) => (into.fill(10 + i), 0)
  expect(createFile(k, "/f", FILE_REGULAR, pages * 4096, { read })).toBe(0)
  return "/f"
}
const objectOf = (p: Proc, fd: number) => p.k.files.obj(p.k.tasks.file(p.task, fd))

describe("private pages", () => {
  it("a zapped private copy is lost: the file shows again, and the frame is free [R-ZAP-08, R-ZAP-16]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 2, RW, PRIVATE, p.open(file(k, 2)))
    expect(p.load(BASE)).toBe(10)
    p.store(BASE, 99)
    expect(p.pages(BASE, BASE + 1)).toBe("a")
    const copy = p.frame(BASE)
    const free = k.frames.free()
    zap(p, BASE, 2)
    expect(k.frames.refcount(copy)).toBe(0)
    expect(k.frames.free()).toBe(free + 1)
    expect(p.load(BASE)).toBe(10)
    checkMm(k)
  })

  it("a zapped anonymous page loses its mapping and its frame, dirty or not [R-ZAP-16]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 2, RW)
    p.store(BASE, 1)
    const frame = p.frame(BASE)
    expect(p.bits(BASE) & (PTE.DIRTY | PTE.YOUNG)).toBe(PTE.DIRTY | PTE.YOUNG)
    k.frames.get(frame) // a pin keeps the frame, so that its flags can be read
    zap(p, BASE, 1)
    expect(k.frames.mapcount(frame)).toBe(0)
    expect(k.frames.refcount(frame)).toBe(1)
    expect(k.frames.has(frame, F_DIRTY | F_REFERENCED)).toBe(false)
    k.frames.put(frame)
    checkMm(k)
  })

  it("a page shared with a child after fork stays the child's [R-ZAP-17]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 1, RW)
    p.store(BASE, 7)
    const child = p.fork()
    const frame = p.frame(BASE)
    expect(k.frames.mapcount(frame)).toBe(2)
    zap(p, BASE, 1)
    expect(k.frames.mapcount(frame)).toBe(1)
    expect(k.frames.refcount(frame)).toBe(1)
    expect(child.load(BASE)).toBe(7)
    expect(p.load(BASE)).toBe(0)
    checkMm(k)
  })
})

describe("pages of an object", () => {
  it("the mapcount is what it was before the page was mapped, and the cache keeps its page [R-ZAP-17]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    const q = Proc.spawn(k)
    const fd = p.memfd(1)
    p.map(BASE, 1, RW, SHARED, fd)
    p.map(BASE + 4, 1, RW, SHARED, fd)
    p.store(BASE, 5)
    p.load(BASE + 4)
    const frame = p.frame(BASE)
    expect([k.frames.mapcount(frame), k.frames.refcount(frame)]).toEqual([2, 3])
    zap(p, BASE, 1)
    expect([k.frames.mapcount(frame), k.frames.refcount(frame)]).toEqual([1, 2])
    expect(k.frames.has(frame, F_CACHE)).toBe(true)
    expect(p.load(BASE + 4)).toBe(5)
    expect(q.mm).not.toBe(p.mm)
    checkMm(k)
  })

  it("a dirty entry makes its page dirty, and the data stays in the cache [R-ZAP-13]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    const fd = p.open(file(k, 2))
    p.map(BASE, 2, RW, SHARED, fd)
    p.store(BASE, 77)
    const frame = p.frame(BASE)
    k.frames.clearFlag(frame, F_DIRTY) // as if it had been written back since
    zap(p, BASE, 2)
    expect(k.frames.has(frame, F_DIRTY)).toBe(true)
    const byte = new Uint8Array(1)
    readObject(k, objectOf(p, fd), 0, byte)
    expect(byte[0]).toBe(77)
    checkMm(k)
  })

  it("a clean entry leaves its page clean [R-ZAP-13]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 2, RW, SHARED, p.open(file(k, 2)))
    p.load(BASE)
    const frame = p.frame(BASE)
    zap(p, BASE, 2)
    expect(k.frames.has(frame, F_DIRTY)).toBe(false)
    checkMm(k)
  })

  it.each([
    ["touched by a load", 0, true, true],
    ["never touched", 0, false, false],
    ["touched in an area read in sequence", VM_SEQ_READ, true, false],
    ["touched in an area read at random", VM_RAND_READ, true, false]
  ])("the page behind an entry that was %s counts as accessed as it should [R-ZAP-14]", (_, advice, touch, want) => {
    const k = machine()
    const p = Proc.spawn(k)
    const page = driverPage(k)
    mapDevice(p, BASE, 1, RW, SHARED, (v) => {
      vmFlagsMod(k, v, VM_MIXEDMAP | advice, 0)
      return vmInsertPage(k, v, BASE, page)
    })
    if (touch) expect(p.load(BASE)).toBe(0)
    expect((p.bits(BASE) & PTE.YOUNG) !== 0).toBe(touch)
    zap(p, BASE, 1)
    expect(k.frames.has(page, F_REFERENCED)).toBe(want)
    k.frames.put(page)
    checkMm(k)
  })
})

describe("counters", () => {
  it("resident pages go down by kind: three of a file, two private [R-ZAP-15]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 6, RW, PRIVATE, p.open(file(k, 6)))
    for (const i of [0, 1, 2]) p.load(BASE + i)
    for (const i of [3, 4, 5]) p.store(BASE + i, 1)
    expect(p.pages(BASE, BASE + 6)).toBe("fffaaa")
    expect(p.rss()).toBe("f3 a3 s0")
    zap(p, BASE, 5)
    expect(p.rss()).toBe("f0 a1 s0")
    checkMm(k)
  })

  it("shared memory counts apart [R-ZAP-15]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 3, RW, SHARED, p.memfd(3))
    for (const i of [0, 1, 2]) p.store(BASE + i, 1)
    expect(p.rss()).toBe("f0 a0 s3")
    zap(p, BASE + 1, 2)
    expect(p.rss()).toBe("f0 a0 s1")
    checkMm(k)
  })

  it("pages in several page tables are all counted [R-ZAP-15]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(508, 8, RW)
    for (let at = 508; at < 516; at++) p.store(at, 1)
    zap(p, 510, 5)
    expect(p.pages(508, 516)).toBe("aa.....a")
    expect(p.rss()).toBe("f0 a3 s0")
    checkMm(k)
  })

  it("the high mark of resident pages remembers what was there before the zap [R-ZAP-11]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 4, RW)
    for (let i = 0; i < 4; i++) p.store(BASE + i, 1)
    zap(p, BASE, 4)
    p.store(BASE, 1)
    expect(p.rss()).toBe("f0 a1 s0")
    expect(k.mms.hiwaterRss(p.mm)).toBe(4)
    checkMm(k)
  })

  it("a mapcount that would go below zero is the kernel's bug, not an errno [R-ZAP-18]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 1, RW)
    p.store(BASE, 1)
    k.frames.dropMap(p.frame(BASE)) // corruption
    expect(() => zap(p, BASE, 1)).toThrow(/bad pte.*mapcount/)
    expect(() => checkMm(k)).toThrow(/mapcount/)
  })
})

describe("entries without a page behind them", () => {
  it("the page of zeroes is only forgotten [R-ZAP-20]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 2, RW)
    p.load(BASE)
    const before = [k.frames.refcount(ZERO_PFN), k.frames.mapcount(ZERO_PFN), p.rss(), k.frames.free()]
    expect(p.pages(BASE, BASE + 2)).toBe("z.")
    zap(p, BASE, 2)
    expect(p.pages(BASE, BASE + 2)).toBe("..")
    expect([k.frames.refcount(ZERO_PFN), k.frames.mapcount(ZERO_PFN), p.rss(), k.frames.free()]).toEqual(before)
    checkMm(k)
  })

  it("a raw frame number is only forgotten, even where a frame of that number is in use [R-ZAP-20]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    const page = driverPage(k)
    mapDevice(p, BASE, 2, RW, SHARED, (v) => {
      vmFlagsMod(k, v, VM_PFNMAP, 0)
      return vmfInsertPfn(k, v, BASE, page)
    })
    expect(p.pages(BASE, BASE + 2)).toBe("x.")
    zap(p, BASE, 2)
    expect(p.pages(BASE, BASE + 2)).toBe("..")
    expect([k.frames.refcount(page), k.frames.mapcount(page), p.rss()]).toEqual([1, 0, "f0 a0 s0"])
    k.frames.put(page)
    checkMm(k)
  })
})

describe("watchers of a secondary MMU", () => {
  /** Lets a watcher write down each call, and the entries it sees meanwhile. */
  const watch = (p: Proc): string[] => {
    const told: string[] = []
    const see = (what: string) => (start: number, end: number) =>
      told.push(`${what} ${start - BASE}..${end - BASE} ${p.pages(BASE, BASE + 4)}`)
    notifierRegister(p.k, p.mm, { start: see("start"), end: see("end") })
    return told
  }
  const four = () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 4, RW)
    for (let i = 0; i < 4; i++) p.store(BASE + i, 1)
    return p
  }

  it("hear of a zap before the first entry goes and after the last one has [R-ZAP-12]", () => {
    const p = four()
    const told = watch(p)
    zap(p, BASE + 1, 2)
    expect(told).toEqual(["start 1..3 aaaa", "end 1..3 a..a"])
    checkMm(p.k)
  })

  it("hear of an unmapping the same way [R-ZAP-12]", () => {
    const p = four()
    const told = watch(p)
    p.unmap(BASE, 3)
    expect(told).toEqual(["start 0..3 aaaa", "end 0..3 ...a"])
    checkMm(p.k)
  })

  it("hear of a copy on write, of the page of zeroes too, and of fork's write protection [R-ZAP-12, L-LOCK-23]", () => {
    const p = four()
    const told = watch(p)
    const child = p.fork()
    expect(told.splice(0)).toEqual(["start 0..4 aaaa", "end 0..4 aaaa"])
    p.store(BASE + 1, 9)
    expect(told.splice(0)).toEqual(["start 1..2 aaaa", "end 1..2 aaaa"])
    p.map(BASE + 3, 1, RW)
    p.load(BASE + 3)
    told.length = 0
    p.store(BASE + 3, 1)
    expect(told).toEqual(["start 3..4 aaaz", "end 3..4 aaaa"])
    expect(child.load(BASE + 1)).toBe(1)
    checkMm(p.k)
  })

  it("hear nothing of a first touch, which takes nothing away [R-ZAP-12]", () => {
    const p = four()
    p.map(BASE + 3, 1, RW)
    const told = watch(p)
    p.load(BASE + 3)
    p.unmap(BASE + 3, 1)
    told.length = 0
    p.map(BASE + 3, 1, RW)
    p.store(BASE + 3, 1)
    expect(told).toEqual([])
    checkMm(p.k)
  })

  it("hear nothing of another address space, nor once they are off [R-ZAP-12]", () => {
    const p = four()
    const other = Proc.spawn(p.k)
    other.map(BASE, 1, RW)
    other.store(BASE, 1)
    const told: number[] = []
    const off = notifierRegister(p.k, p.mm, { start: (a) => told.push(a), end: (a) => told.push(a) })
    zap(other, BASE, 1)
    expect(told).toEqual([])
    zap(p, BASE, 1)
    off()
    zap(p, BASE + 1, 1)
    expect(told).toEqual([BASE, BASE])
    checkMm(p.k)
  })
})

describe("who else zaps", () => {
  /** Two pages of a private file mapping: the first only read, the second written. */
  const half = () => {
    const k = machine()
    const p = Proc.spawn(k)
    const fd = p.open(file(k, 2))
    p.map(BASE, 2, RW, PRIVATE, fd)
    p.load(BASE)
    p.store(BASE + 1, 99)
    expect(p.pages(BASE, BASE + 2)).toBe("fa")
    return { k, p, o: objectOf(p, fd) }
  }

  it("a hole in the object leaves private copies alone [R-ZAP-30]", () => {
    const { k, p, o } = half()
    punchHole(k, o, 0, 2 * 4096)
    expect(p.pages(BASE, BASE + 2)).toBe(".a")
    expect(p.load(BASE + 1)).toBe(99)
    checkMm(k)
  })

  it("truncation takes private copies too [R-ZAP-30, R-ZAP-08]", () => {
    const { k, p, o } = half()
    truncateObject(k, o, 0)
    expect(p.pages(BASE, BASE + 2)).toBe("..")
    expect(p.rss()).toBe("f0 a0 s0")
    checkMm(k)
  })

  it("munmap takes everything, and the tables with it [R-ZAP-30]", () => {
    const { k, p } = half()
    const tables = k.ptes.live
    expect(p.unmap(BASE, 2)).toBe(0)
    expect(p.areas(BASE, BASE + 2)).toBe("..")
    expect(p.rss()).toBe("f0 a0 s0")
    expect(k.ptes.live).toBe(tables - 3)
    checkMm(k)
  })

  it("a hole zaps every mapping of the object, in every process [R-ZAP-30]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    const fd = p.memfd(4)
    p.map(BASE, 4, RW, SHARED, fd)
    p.map(BASE + 8, 2, PROT_READ, SHARED, fd, 2)
    for (let i = 0; i < 4; i++) p.store(BASE + i, 1 + i)
    p.load(BASE + 8)
    p.load(BASE + 9)
    const q = p.fork()
    q.load(BASE + 2)
    punchHole(k, objectOf(p, fd), 2 * 4096, 3 * 4096)
    expect(p.pages(BASE, BASE + 4)).toBe("ss.s")
    expect(p.pages(BASE + 8, BASE + 10)).toBe(".s")
    expect(q.frame(BASE + 2)).toBe(-1)
    expect(q.load(BASE + 2)).toBe(0)
    checkMm(k)
  })
})
