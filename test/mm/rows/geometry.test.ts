import { describe, expect, it } from "vitest"
import { VM_MIXEDMAP, VM_READ } from "../../../lib/flags/bits.ts"
import { EINVAL, OK } from "../../../lib/flags/Errno.ts"
import { GROWSDOWN, PRIVATE, SHARED } from "../../../lib/flags/MapFlags.ts"
import { READ as PROT_READ } from "../../../lib/flags/ProtFlags.ts"
import { checkMm } from "../../../lib/mm/area/check.ts"
import { vmFlagsMod } from "../../../lib/mm/area/vm-flags.ts"
import { addrOf } from "../../../lib/mm/base/units.ts"
import { vmInsertPage } from "../../../lib/mm/page/insert.ts"
import { zapPageRangeSingle } from "../../../lib/mm/page/zap.ts"
import { munmap } from "../../../lib/mm/sys/munmap.ts"
import { BASE, done, driverPage, machine, mapDevice, PAGE, Proc, RW, withVma } from "./world.ts"

const bounds = (p: Proc, vpn: number) => {
  const v = p.area(vpn)
  return [addrOf(p.k.vmas.startOf(v)), addrOf(p.k.vmas.endOf(v))]
}

describe("start and end", () => {
  it("start is the first byte of the area, end the first byte after it [R-REF-09]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(1, 2, RW)
    expect(bounds(p, 1)).toEqual([0x1000, 0x3000])
    expect(bounds(p, 2)).toEqual([0x1000, 0x3000])
    expect(k.maple.lookup(p.mm, 0)).toBe(0)
    expect(k.maple.lookup(p.mm, 3)).toBe(0)
    checkMm(k)
  })

  it("a length is rounded up to whole pages, so both stay aligned [R-REF-09]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 4, RW)
    expect(done(k, () => munmap(k, p.task, (BASE + 2) * PAGE, 1))).toBe(OK)
    expect(done(k, () => munmap(k, p.task, BASE * PAGE + 1, PAGE))).toBe(EINVAL)
    expect([...bounds(p, BASE), ...bounds(p, BASE + 3)]).toEqual([16, 18, 19, 20].map((n) => n * PAGE))
    checkMm(k)
  })

  it("every split and every merge keeps them whole [R-REF-09]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 6, RW)
    p.protect(BASE + 2, 2, PROT_READ)
    expect(p.areas(BASE, BASE + 6)).toBe("aabbcc")
    expect([BASE, BASE + 2, BASE + 4].map((at) => bounds(p, at).map((a) => a % PAGE))).toEqual([
      [0, 0],
      [0, 0],
      [0, 0]
    ])
    expect(bounds(p, BASE + 3)).toEqual([(BASE + 2) * PAGE, (BASE + 4) * PAGE])
    p.protect(BASE + 2, 2, RW)
    expect(bounds(p, BASE + 3)).toEqual([BASE * PAGE, (BASE + 6) * PAGE])
    checkMm(k)
  })

  it("a stack that grows moves its start only [R-REF-09]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE + 512, 1, RW, PRIVATE | 0x20 | GROWSDOWN)
    expect(p.store(BASE + 510, 1)).toBe(0)
    expect(bounds(p, BASE + 512)).toEqual([(BASE + 510) * PAGE, (BASE + 513) * PAGE])
    checkMm(k)
  })
})

describe("flags", () => {
  it("of a readable mixed map are its two bits among others [R-REF-08]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    const vma = mapDevice(p, BASE, 1, PROT_READ, SHARED, (v) => (vmFlagsMod(k, v, VM_MIXEDMAP, 0), OK))
    expect(k.vmas.flags(vma) & (VM_READ | VM_MIXEDMAP)).toBe(0x10000001)
    expect(k.vmas.flags(vma) & 6).toBe(0)
    checkMm(k)
  })
})

describe("what a holder of the read lock does", () => {
  it("changes neither bounds nor flags: zap, insert, fault, look [R-REF-12]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    const page = driverPage(k)
    const vma = mapDevice(p, BASE, 4, RW, SHARED, (v) => (vmFlagsMod(k, v, VM_MIXEDMAP, 0), OK))
    const word = () => [
      k.vmas.startOf(vma),
      k.vmas.endOf(vma),
      k.vmas.flags(vma),
      k.vmas.flagsHi(vma),
      k.vmas.pgoff(vma)
    ]
    const before = word()
    withVma(k, p.mm, BASE, () => {
      expect(vmInsertPage(k, vma, BASE, page)).toBe(OK)
      p.store(BASE, 1)
      zapPageRangeSingle(k, vma, BASE, 4)
      zapPageRangeSingle(k, vma, BASE - 1, 9)
      vmInsertPage(k, vma, BASE + 4, page)
      expect(k.maple.lookup(p.mm, BASE)).toBe(vma)
    })
    expect(word()).toEqual(before)
    k.frames.put(page)
    checkMm(k)
  })
})
