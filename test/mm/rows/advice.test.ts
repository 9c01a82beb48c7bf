import * as MREMAP from "../../../lib/flags/MremapFlags.ts"
import { describe, expect, it } from "vitest"
import * as MADV from "../../../lib/flags/AdviceFlags.ts"
import { VM_DONTCOPY, VM_DONTDUMP, VM_DONTEXPAND, VM_IO, VM_MIXEDMAP, VM_PFNMAP } from "../../../lib/flags/bits.ts"
import { FAULT_MAPERR } from "../../../lib/flags/FaultFlags.ts"
import { EFAULT, EINVAL, OK } from "../../../lib/flags/Errno.ts"
import { PRIVATE, SHARED } from "../../../lib/flags/MapFlags.ts"
import { GUARD } from "../../../lib/flags/PteFlags.ts"
import { checkIdle, checkMm } from "../../../lib/mm/area/check.ts"
import { READ } from "../../../lib/mm/area/mmap-lock.ts"
import { vmFlagsMod } from "../../../lib/mm/area/vm-flags.ts"
import { truncateObject } from "../../../lib/mm/object/truncate.ts"
import { vmInsertPage } from "../../../lib/mm/page/insert.ts"
import { zapPageRangeSingle } from "../../../lib/mm/page/zap.ts"
import { madvise } from "../../../lib/mm/sys/madvise.ts"
import { mremap } from "../../../lib/mm/sys/mremap.ts"
import { BASE, done, driverPage, machine, mapDevice, PAGE, Proc, RW, withMmap } from "./world.ts"

const advise = (p: Proc, at: number, pages: number, advice: number) =>
  done(p.k, () => madvise(p.k, p.task, at * PAGE, pages * PAGE, advice))

/** mremap in pages; where the mapping is afterwards, or an errno. */
const remap = (p: Proc, at: number, from: number, to: number, flags = 0, target = 0) => {
  const r = done(p.k, () => mremap(p.k, p.task, at * PAGE, from * PAGE, to * PAGE, flags, target * PAGE))
  return r < 0 ? r : r / PAGE
}

/** A shared device area of two pages at BASE with `flags`. */
const area = (flags: number) => {
  const k = machine()
  const p = Proc.spawn(k)
  const vma = mapDevice(p, BASE, 2, RW, SHARED, (v) => (vmFlagsMod(k, v, flags, 0), OK))
  return { k, p, vma }
}

describe("DONTCOPY", () => {
  it("is undone by MADV_DOFORK where VM_IO is not set [R-NEW-10]", () => {
    const { k, p } = area(VM_DONTCOPY)
    expect(advise(p, BASE, 2, MADV.DOFORK)).toBe(OK)
    expect(p.flags(BASE) & VM_DONTCOPY).toBe(0)
    expect(p.fork().areas(BASE, BASE + 2)).toBe("aa")
    checkIdle(k)
  })

  it("stays for good where VM_IO is set: MADV_DOFORK is EINVAL [R-NEW-10]", () => {
    const { k, p } = area(VM_DONTCOPY | VM_IO)
    expect(advise(p, BASE, 2, MADV.DOFORK)).toBe(EINVAL)
    expect(p.flags(BASE) & VM_DONTCOPY).toBe(VM_DONTCOPY)
    expect(p.fork().areas(BASE, BASE + 2)).toBe("..")
    checkIdle(k)
  })
})

describe("DONTDUMP", () => {
  it("is undone by MADV_DODUMP where the area is not special [R-NEW-11]", () => {
    const { k, p } = area(VM_DONTDUMP)
    expect(advise(p, BASE, 2, MADV.DODUMP)).toBe(OK)
    expect(p.flags(BASE) & VM_DONTDUMP).toBe(0)
    checkMm(k)
  })

  it.each([
    ["VM_IO", VM_IO],
    ["VM_DONTEXPAND", VM_DONTEXPAND],
    ["VM_PFNMAP", VM_PFNMAP],
    ["VM_MIXEDMAP", VM_MIXEDMAP]
  ])("stays for good where the area has %s: MADV_DODUMP is EINVAL [R-NEW-11]", (_, special) => {
    const { k, p } = area(VM_DONTDUMP | special)
    expect(advise(p, BASE, 2, MADV.DODUMP)).toBe(EINVAL)
    expect(p.flags(BASE) & VM_DONTDUMP).toBe(VM_DONTDUMP)
    checkMm(k)
  })
})

describe("DONTEXPAND", () => {
  it("keeps mremap from growing the area, in place and by moving [R-NEW-09, R-FLAG-13]", () => {
    const { k, p } = area(VM_DONTEXPAND)
    expect(remap(p, BASE, 2, 3)).toBe(EFAULT)
    expect(remap(p, BASE, 2, 3, MREMAP.MAYMOVE)).toBe(EFAULT)
    expect(remap(p, BASE, 2, 3, MREMAP.MAYMOVE | MREMAP.FIXED, BASE + 32)).toBe(EFAULT)
    expect(p.areas(BASE, BASE + 4)).toBe("aa..")
    checkMm(k)
  })

  it("lets it shrink, and move with its pages at the same length [R-NEW-09]", () => {
    const { k, p, vma } = area(VM_DONTEXPAND | VM_MIXEDMAP)
    const page = driverPage(k, 8)
    withMmap(k, p.mm, READ, () => vmInsertPage(k, vma, BASE, page))
    expect(remap(p, BASE, 2, 2, MREMAP.MAYMOVE | MREMAP.FIXED, BASE + 32)).toBe(BASE + 32)
    expect(p.areas(BASE, BASE + 2)).toBe("..")
    expect(p.load(BASE + 32)).toBe(8)
    expect(p.flags(BASE + 32) & VM_DONTEXPAND).toBe(VM_DONTEXPAND)
    expect(remap(p, BASE + 32, 2, 1)).toBe(BASE + 32)
    expect(p.areas(BASE + 32, BASE + 34)).toBe("a.")
    k.frames.put(page)
    checkMm(k)
  })

  it("is what does it: the same area without it grows [R-NEW-09]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 2, RW, SHARED, p.memfd(4))
    expect(remap(p, BASE, 2, 3)).toBe(BASE)
    expect(p.areas(BASE, BASE + 4)).toBe("aaa.")
    checkMm(k)
  })
})

describe("guards", () => {
  const guarded = () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 3, RW)
    for (let i = 0; i < 3; i++) p.store(BASE + i, 1)
    expect(advise(p, BASE + 1, 1, MADV.GUARD_INSTALL)).toBe(OK)
    expect(p.load(BASE + 1)).toBe(-FAULT_MAPERR)
    return { k, p }
  }

  it("outlive a zap: the page still gives SIGSEGV, its neighbours are fresh [R-ZAP-23]", () => {
    const { k, p } = guarded()
    withMmap(k, p.mm, READ, () => zapPageRangeSingle(k, p.area(BASE), BASE, 3))
    expect([BASE, BASE + 1, BASE + 2].map((at) => p.bits(at))).toEqual([0, GUARD, 0])
    expect(p.rss()).toBe("f0 a0 s0")
    expect([p.load(BASE), p.load(BASE + 1), p.store(BASE + 1, 1)]).toEqual([0, -FAULT_MAPERR, -FAULT_MAPERR])
    checkMm(k)
  })

  it("outlive MADV_DONTNEED, which is a zap [R-ZAP-23]", () => {
    const { k, p } = guarded()
    expect(advise(p, BASE, 3, MADV.DONTNEED)).toBe(OK)
    expect(p.load(BASE + 1)).toBe(-FAULT_MAPERR)
    expect(p.load(BASE)).toBe(0)
    checkMm(k)
  })

  it("outlive the truncation of the object below them [R-ZAP-23]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    const fd = p.memfd(2)
    p.map(BASE, 2, RW, SHARED, fd)
    p.store(BASE, 1)
    expect(advise(p, BASE + 1, 1, MADV.GUARD_INSTALL)).toBe(OK)
    truncateObject(k, k.files.obj(k.tasks.file(p.task, fd)), 0)
    expect([p.bits(BASE), p.bits(BASE + 1)]).toEqual([0, GUARD])
    checkMm(k)
  })

  it("go with the area, and by MADV_GUARD_REMOVE [R-ZAP-23, R-ZAP-30]", () => {
    const { k, p } = guarded()
    expect(advise(p, BASE + 1, 1, MADV.GUARD_REMOVE)).toBe(OK)
    expect(p.load(BASE + 1)).toBe(0)
    expect(advise(p, BASE + 1, 1, MADV.GUARD_INSTALL)).toBe(OK)
    expect(p.unmap(BASE, 3)).toBe(OK)
    expect(p.map(BASE, 3, RW, PRIVATE | 0x20)).toBe(BASE)
    expect(p.load(BASE + 1)).toBe(0)
    checkMm(k)
  })

  it("are copied by fork [R-FLAG-29]", () => {
    const { k, p } = guarded()
    const child = p.fork()
    expect([child.load(BASE), child.load(BASE + 1)]).toEqual([1, -FAULT_MAPERR])
    checkMm(k)
  })
})
