import { describe, expect, it } from "vitest"
import { SHARED, PRIVATE } from "../../../lib/flags/MapFlags.ts"
import { FAULT_SIGBUS } from "../../../lib/flags/FaultFlags.ts"
import { VM_DONTEXPAND, VM_IO, VM_MIXEDMAP, VM_PFNMAP } from "../../../lib/flags/bits.ts"
import { READ as PROT_READ } from "../../../lib/flags/ProtFlags.ts"
import { checkMm } from "../../../lib/mm/area/check.ts"
import { READ, WRITE } from "../../../lib/mm/area/mmap-lock.ts"
import { vmFlagsMod } from "../../../lib/mm/area/vm-flags.ts"
import { KernelBug } from "../../../lib/mm/base/debug.ts"
import { vmInsertPage } from "../../../lib/mm/page/insert.ts"
import { notifierRegister } from "../../../lib/mm/page/notifier.ts"
import { zapPageRangeSingle, zapVmaPtes } from "../../../lib/mm/page/zap.ts"
import { NO_SLOT } from "../../../lib/mm/store/ptes.ts"
import { bare, BASE, driverPage, machine, mapDevice, Proc, RW, withMmap, withVma } from "./world.ts"

const OVERFLOW = 2 ** 52

/** Four pages at BASE, written: "aaaa". */
const four = () => {
  const k = machine()
  const p = Proc.spawn(k)
  expect(p.map(BASE, 4, RW)).toBe(BASE)
  for (let i = 0; i < 4; i++) p.store(BASE + i, 65 + i)
  return { k, p, vma: p.area(BASE) }
}

describe("which range", () => {
  it.each([
    [0, 1, ".aaa"],
    [1, 2, "a..a"],
    [3, 1, "aaa."],
    [0, 4, "...."]
  ])("zap of pages %i+%i inside the area leaves %s [R-ZAP-03]", (from, len, want) => {
    const { k, p, vma } = four()
    withMmap(k, p.mm, READ, () => zapPageRangeSingle(k, vma, BASE + from, len))
    expect(p.pages(BASE, BASE + 4)).toBe(want)
    expect(k.warn.lines).toEqual([])
    checkMm(k)
  })

  const expectNothing = (vpn: number, len: number) => {
    const { k, p, vma } = four()
    const free = k.frames.free()
    withMmap(k, p.mm, READ, () => expect(zapPageRangeSingle(k, vma, vpn, len)).toBeUndefined())
    expect(p.pages(BASE, BASE + 4)).toBe("aaaa")
    expect(p.rss()).toBe("f0 a4 s0")
    expect(k.frames.free()).toBe(free)
    expect(k.warn.lines).toHaveLength(1)
    checkMm(k)
  }

  it.each([
    [OVERFLOW - 1, 1],
    [BASE + 1, OVERFLOW - 1],
    [BASE + 1, OVERFLOW + 1],
    [BASE, OVERFLOW]
  ])("zap whose end overflows 64 bits zaps nothing: page %i+%i [R-ZAP-01]", (vpn, len) => {
    expectNothing(vpn, len)
  })

  it.each([
    [BASE - 1, 2],
    [BASE - 1, 5],
    [BASE - 1, 1],
    [0, BASE + 4]
  ])("zap below the start of the area zaps nothing, not even the part inside: page %i+%i [R-ZAP-02]", (vpn, len) => {
    expectNothing(vpn, len)
  })

  it.each([
    [BASE + 3, 2],
    [BASE, 5],
    [BASE + 4, 1]
  ])("zap beyond the end of the area zaps nothing: page %i+%i [R-ZAP-03]", (vpn, len) => {
    expectNothing(vpn, len)
  })

  it.each([
    [BASE + 0.5, 1],
    [BASE, 0.5],
    [Number.NaN, 1],
    [BASE, Number.NaN],
    [BASE + 2, -1],
    [Number.POSITIVE_INFINITY, 1]
  ])("zap of what is no whole number of pages ends, and zaps nothing: page %d+%d [R-ZAP-06]", (vpn, len) => {
    expectNothing(vpn, len)
  })

  it("a bad range gives no error and is told once a world [R-ZAP-04]", () => {
    const { k, p, vma } = four()
    withMmap(k, p.mm, READ, () => {
      expect(zapPageRangeSingle(k, vma, BASE - 1, 1)).toBeUndefined()
      expect(zapPageRangeSingle(k, vma, BASE + 4, 1)).toBeUndefined()
    })
    expect(k.warn.lines).toHaveLength(1)
    expect(p.pages(BASE, BASE + 4)).toBe("aaaa")
    checkMm(k)
  })

  it.each([BASE, BASE + 2, BASE + 4])(
    "zap of no pages at %i is fine and does nothing, not even tell a watcher [R-ZAP-05]",
    (at) => {
      const { k, p, vma } = four()
      const told: string[] = []
      notifierRegister(k, p.mm, { start: () => told.push("start"), end: () => told.push("end") })
      withMmap(k, p.mm, READ, () => zapPageRangeSingle(k, vma, at, 0))
      expect(p.pages(BASE, BASE + 4)).toBe("aaaa")
      expect(told).toEqual([])
      expect(k.warn.lines).toEqual([])
      checkMm(k)
    }
  )
})

describe("what stays", () => {
  it("zap of everything keeps every page table [R-ZAP-07]", () => {
    const { k, p, vma } = four()
    const tables = k.ptes.live
    withMmap(k, p.mm, READ, () => zapPageRangeSingle(k, vma, BASE, 4))
    expect(k.ptes.live).toBe(tables)
    expect(k.ptes.slot(k.mms.pgd(p.mm), BASE)).not.toBe(NO_SLOT)
    expect(p.pages(BASE, BASE + 4)).toBe("....")
    checkMm(k)
  })

  it("bounds, flags and statistics of the area stay as they were [R-ZAP-10, R-REF-12]", () => {
    const { k, p, vma } = four()
    const before = [k.vmas.startOf(vma), k.vmas.endOf(vma), k.vmas.flags(vma), k.vmas.flagsHi(vma), k.vmas.pgoff(vma)]
    const total = k.mms.stat(p.mm, 0)
    withMmap(k, p.mm, READ, () => zapPageRangeSingle(k, vma, BASE + 1, 2))
    const after = [k.vmas.startOf(vma), k.vmas.endOf(vma), k.vmas.flags(vma), k.vmas.flagsHi(vma), k.vmas.pgoff(vma)]
    expect(after).toEqual(before)
    expect(k.mms.stat(p.mm, 0)).toBe(total)
    expect(p.areas(BASE, BASE + 5)).toBe("aaaa.")
    checkMm(k)
  })

  it("anonymous memory reads as zeroes after a zap, through the page of zeroes [R-ZAP-10]", () => {
    const { k, p, vma } = four()
    withMmap(k, p.mm, READ, () => zapPageRangeSingle(k, vma, BASE, 2))
    expect(p.load(BASE)).toBe(0)
    expect(p.load(BASE + 2)).toBe(67)
    expect(p.pages(BASE, BASE + 4)).toBe("z.aa")
    checkMm(k)
  })

  it("shared memory comes back as the same page of the cache after a zap [R-ZAP-10]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 2, RW, SHARED, p.memfd(2))
    p.store(BASE, 7)
    const frame = p.frame(BASE)
    withMmap(k, p.mm, READ, () => zapPageRangeSingle(k, p.area(BASE), BASE, 2))
    expect(p.frame(BASE)).toBe(-1)
    expect(p.load(BASE)).toBe(7)
    expect(p.frame(BASE)).toBe(frame)
    checkMm(k)
  })

  it("a mixed map without a fault hook gives SIGBUS after a zap [R-ZAP-10]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    const page = driverPage(k, 5)
    const vma = mapDevice(p, BASE, 1, RW, SHARED, (v) => {
      vmFlagsMod(k, v, VM_MIXEDMAP, 0)
      return vmInsertPage(k, v, BASE, page)
    })
    expect(p.load(BASE)).toBe(5)
    withMmap(k, p.mm, READ, () => zapPageRangeSingle(k, vma, BASE, 1))
    expect(p.load(BASE)).toBe(-FAULT_SIGBUS)
    expect(p.store(BASE, 1)).toBe(-FAULT_SIGBUS)
    k.frames.put(page)
    checkMm(k)
  })
})

describe("under which lock", () => {
  it.each(["area", "mmap read", "mmap write"])("the %s lock is enough to zap [R-ZAP-09, R-LOCK-12]", (lock) => {
    const { k, p, vma } = four()
    const zap = () => zapPageRangeSingle(k, vma, BASE, 4)
    if (lock === "area") withVma(k, p.mm, BASE, zap)
    else withMmap(k, p.mm, lock === "mmap read" ? READ : WRITE, zap)
    expect(p.pages(BASE, BASE + 4)).toBe("....")
    checkMm(k)
  })

  it("no lock, or that of another address space, is not [R-ZAP-09]", () => {
    const { k, p, vma } = four()
    const other = Proc.spawn(k)
    const zap = () => zapPageRangeSingle(k, vma, BASE, 4)
    bare(k, () => expect(zap).toThrow(KernelBug))
    withMmap(k, other.mm, WRITE, () => expect(zap).toThrow(KernelBug))
    expect(p.pages(BASE, BASE + 4)).toBe("aaaa")
    checkMm(k)
  })

  it("a fault may fill the page again while the zapper still holds its lock [R-ZAP-09]", () => {
    const { k, p } = four()
    withVma(k, p.mm, BASE, (vma) => {
      zapPageRangeSingle(k, vma, BASE, 4)
      expect(p.store(BASE + 1, 9)).toBe(0)
      expect(p.pages(BASE, BASE + 4)).toBe(".a..")
      zapPageRangeSingle(k, vma, BASE + 1, 1)
    })
    expect(p.load(BASE + 1)).toBe(0)
    checkMm(k)
  })
})

describe("the guarded form", () => {
  it("zaps PFN and mixed maps only, and says nothing about others [R-ZAP-31]", () => {
    const { k, p, vma } = four()
    withMmap(k, p.mm, READ, () => zapVmaPtes(k, vma, BASE, 4))
    expect(p.pages(BASE, BASE + 4)).toBe("aaaa")
    expect(k.warn.lines).toEqual([])
    withMmap(k, p.mm, READ, () => zapPageRangeSingle(k, vma, BASE, 4))
    expect(p.pages(BASE, BASE + 4)).toBe("....")
    checkMm(k)
  })

  it.each([
    ["a mixed map", VM_MIXEDMAP, "...."],
    ["I/O memory that is neither", VM_IO | VM_DONTEXPAND, "s..."]
  ])("on %s it leaves the right picture [R-ZAP-31]", (_, flags, want) => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 4, RW, SHARED, p.memfd(4))
    p.store(BASE, 1)
    const vma = p.area(BASE)
    k.vmas.setFlags(vma, k.vmas.flags(vma) | flags, 0)
    withMmap(k, p.mm, READ, () => zapVmaPtes(k, vma, BASE, 4))
    expect(p.pages(BASE, BASE + 4)).toBe(want)
    checkMm(k)
  })

  it("does nothing for a bad range either [R-ZAP-31]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 4, RW, SHARED, p.memfd(4))
    p.store(BASE, 1)
    const vma = p.area(BASE)
    k.vmas.setFlags(vma, k.vmas.flags(vma) | VM_PFNMAP, 0)
    withMmap(k, p.mm, READ, () => zapVmaPtes(k, vma, BASE, 5))
    expect(p.pages(BASE, BASE + 4)).toBe("s...")
    checkMm(k)
  })
})

it("every kind of area can be zapped, whatever its flags [R-REF-10]", () => {
  const k = machine()
  const p = Proc.spawn(k)
  for (const [i, flags] of [0, VM_IO, VM_PFNMAP, VM_MIXEDMAP, VM_DONTEXPAND].entries()) {
    const at = BASE + 2 * i
    p.map(at, 1, i === 0 ? PROT_READ : RW, i < 2 ? PRIVATE | 0x20 : SHARED, i < 2 ? -1 : p.memfd(1))
    p.load(at)
    const vma = p.area(at)
    k.vmas.setFlags(vma, k.vmas.flags(vma) | flags, 0)
    expect(p.pages(at, at + 1)).not.toBe(".")
    withVma(k, p.mm, at, () => zapPageRangeSingle(k, vma, at, 1))
    expect(p.pages(at, at + 1)).toBe(".")
  }
  checkMm(k)
})
