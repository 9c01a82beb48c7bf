import { describe, expect, it } from "vitest"
import { VM_DONTCOPY, VM_MIXEDMAP, VM_PFNMAP } from "../../../lib/flags/bits.ts"
import { FAULT_ACCERR } from "../../../lib/flags/FaultFlags.ts"
import { EFAULT, OK } from "../../../lib/flags/Errno.ts"
import { PRIVATE, SHARED } from "../../../lib/flags/MapFlags.ts"
import * as PTE from "../../../lib/flags/PteFlags.ts"
import { EXEC, NONE, READ as PROT_READ } from "../../../lib/flags/ProtFlags.ts"
import { checkIdle, checkMm } from "../../../lib/mm/area/check.ts"
import { READ } from "../../../lib/mm/area/mmap-lock.ts"
import { vmFlagsMod } from "../../../lib/mm/area/vm-flags.ts"
import { KernelBug } from "../../../lib/mm/base/debug.ts"
import { pageOf } from "../../../lib/mm/base/units.ts"
import { createFile } from "../../../lib/mm/object/file.ts"
import { shmemGetPage } from "../../../lib/mm/object/shmem.ts"
import { vmfInsertPfn, vmInsertPage } from "../../../lib/mm/page/insert.ts"
import { zapPageRangeSingle } from "../../../lib/mm/page/zap.ts"
import { FILE_REGULAR } from "../../../lib/mm/store/files.ts"
import { BASE, driverPage, machine, mapDevice, PAGE, Proc, RW, withMmap, withVma } from "./world.ts"

/** A device at BASE with `page` inserted as its first page. */
const inserted = (prot = RW, map = SHARED, flags = 0, byte = 7) => {
  const k = machine()
  const p = Proc.spawn(k)
  const page = driverPage(k, byte)
  const vma = mapDevice(p, BASE, 4, prot, map, (v) => {
    vmFlagsMod(k, v, VM_MIXEDMAP | flags, 0)
    return vmInsertPage(k, v, BASE, page)
  })
  return { k, p, page, vma }
}

describe("an inserted page", () => {
  it("has one reference, one mapping and one resident file page more [R-INS-13, R-MIX-05]", () => {
    const { k, p, page } = inserted()
    expect([k.frames.refcount(page), k.frames.mapcount(page), p.rss()]).toEqual([2, 1, "f1 a0 s0"])
    expect(p.frame(BASE)).toBe(page)
    k.frames.put(page)
    checkMm(k)
  })

  it("counts as shared memory if it is swap-backed [R-INS-13]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    const fd = p.memfd(1)
    const page = shmemGetPage(k, k.files.obj(k.tasks.file(p.task, fd)), 0, p.mm)
    mapDevice(p, BASE, 1, RW, SHARED, (v) => vmInsertPage(k, v, BASE, page))
    expect(p.rss()).toBe("f0 a0 s1")
    expect([k.frames.refcount(page), k.frames.mapcount(page)]).toEqual([2, 1])
    checkMm(k)
  })

  it("lives on when its driver lets go of it, until the last entry does [R-MIX-06, R-PAGE-04]", () => {
    const { k, p, page, vma } = inserted()
    const free = k.frames.free()
    k.frames.put(page)
    expect(k.frames.refcount(page)).toBe(1)
    expect(k.frames.free()).toBe(free)
    expect(p.load(BASE)).toBe(7)
    withMmap(k, p.mm, READ, () => zapPageRangeSingle(k, vma, BASE, 1))
    expect(k.frames.free()).toBe(free + 1)
    checkMm(k)
  })

  it.each(["munmap", "exit"])("is as before the insertion after %s [R-INS-20]", (how) => {
    const { k, p, page } = inserted()
    if (how === "munmap") {
      expect(p.unmap(BASE, 4)).toBe(OK)
      expect(p.rss()).toBe("f0 a0 s0")
    } else p.exit()
    expect([k.frames.refcount(page), k.frames.mapcount(page)]).toEqual([1, 0])
    expect(k.frames.bytes[page * PAGE]).toBe(7)
    k.frames.put(page)
    checkMm(k)
  })

  it("may be in several places: each has its own reference [R-INS-13]", () => {
    const { k, p, page, vma } = inserted()
    withVma(k, p.mm, BASE, () => expect(vmInsertPage(k, vma, BASE + 2, page)).toBe(OK))
    expect([k.frames.refcount(page), k.frames.mapcount(page), p.rss()]).toEqual([3, 2, "f2 a0 s0"])
    p.store(BASE, 9)
    expect(p.load(BASE + 2)).toBe(9)
    k.frames.put(page)
    checkMm(k)
  })
})

describe("its entry", () => {
  const { PRESENT, WRITE, PROTNONE } = PTE
  it.each([
    ["shared, writable", RW, SHARED, PRESENT | WRITE],
    ["shared, read-only", PROT_READ, SHARED, PRESENT],
    ["private, writable", RW, PRIVATE, PRESENT],
    ["shared, executable", PROT_READ | EXEC, SHARED, PRESENT | PTE.EXEC],
    ["without any access", NONE, SHARED, PRESENT | PROTNONE]
  ])(
    "in a mapping that is %s is neither dirty nor young, and as writable as the area says [R-INS-15]",
    (_, prot, map, want) => {
      const { k, p, page } = inserted(prot, map)
      expect(p.bits(BASE)).toBe(want)
      k.frames.put(page)
      checkMm(k)
    }
  )

  it("in a private mapping is copied on the first write, and the driver's page keeps its bytes [R-INS-15]", () => {
    const { k, p, page } = inserted(RW, PRIVATE)
    expect(p.load(BASE)).toBe(7)
    expect(p.store(BASE, 8)).toBe(0)
    expect(p.pages(BASE, BASE + 1)).toBe("a")
    expect([p.load(BASE), p.load(BASE, 1)]).toEqual([8, 7])
    expect([...k.frames.bytes.subarray(page * PAGE, page * PAGE + 2)]).toEqual([7, 7])
    expect([k.frames.refcount(page), k.frames.mapcount(page), p.rss()]).toEqual([1, 0, "f0 a1 s0"])
    k.frames.put(page)
    checkMm(k)
  })

  it("in a shared mapping lets writes through to the driver's page [R-INS-15, R-PAGE-07]", () => {
    const { k, p, page } = inserted()
    expect(p.store(BASE, 8)).toBe(0)
    expect(k.frames.bytes[page * PAGE]).toBe(8)
    k.frames.bytes[page * PAGE + 5] = 99
    expect(p.load(BASE, 5)).toBe(99)
    k.frames.put(page)
    checkMm(k)
  })

  it.each([0, 1, 0x123, 0xfff])("is that of the page which contains the address: offset %d [R-INS-16]", (offset) => {
    const { k, p, page, vma } = inserted()
    withVma(k, p.mm, BASE, () => expect(vmInsertPage(k, vma, pageOf((BASE + 1) * PAGE + offset), page)).toBe(OK))
    expect(p.pages(BASE, BASE + 4)).toBe("ff..")
    k.frames.put(page)
    checkMm(k)
  })

  it("one byte below the end of the area is inside, the end itself is not [R-INS-01, R-INS-16]", () => {
    const { k, p, page, vma } = inserted()
    withVma(k, p.mm, BASE, () => {
      expect(vmInsertPage(k, vma, pageOf((BASE + 4) * PAGE), page)).toBe(EFAULT)
      expect(vmInsertPage(k, vma, pageOf((BASE + 4) * PAGE - 1), page)).toBe(OK)
    })
    expect(p.pages(BASE, BASE + 4)).toBe("f..f")
    k.frames.put(page)
    checkMm(k)
  })

  it("in an area without any access is made, and gives none until mprotect does [R-INS-17]", () => {
    const { k, p, page } = inserted(NONE)
    expect(p.pages(BASE, BASE + 1)).toBe("f")
    expect(p.load(BASE)).toBe(-FAULT_ACCERR)
    expect(p.store(BASE, 1)).toBe(-FAULT_ACCERR)
    expect(p.protect(BASE, 4, RW)).toBe(OK)
    expect(p.load(BASE)).toBe(7)
    k.frames.put(page)
    checkMm(k)
  })
})

describe("fork", () => {
  it("copies the entries of a mixed map, because no fault could: parent and child share the page [R-FLAG-29]", () => {
    const { k, p, page } = inserted()
    const child = p.fork()
    expect(child.frame(BASE)).toBe(page)
    expect([k.frames.refcount(page), k.frames.mapcount(page), child.rss()]).toEqual([3, 2, "f1 a0 s0"])
    child.store(BASE, 42)
    expect(p.load(BASE)).toBe(42)
    child.exit()
    expect(k.frames.refcount(page)).toBe(2)
    k.frames.put(page)
    checkIdle(k)
  })

  it("copies a private mixed map too; whoever writes gets a copy, and the driver's page stays [R-FLAG-29, R-INS-15]", () => {
    const { k, p, page } = inserted(RW, PRIVATE)
    const child = p.fork()
    child.store(BASE, 42)
    expect([p.load(BASE), child.load(BASE), k.frames.bytes[page * PAGE]]).toEqual([7, 42, 7])
    k.frames.put(page)
    checkMm(k)
  })

  it("copies raw frame numbers [R-FLAG-29]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    mapDevice(p, BASE, 1, RW, SHARED, (v) => {
      vmFlagsMod(k, v, VM_PFNMAP, 0)
      return vmfInsertPfn(k, v, BASE, 0x4321)
    })
    const child = p.fork()
    expect(child.pages(BASE, BASE + 1)).toBe("x")
    expect(child.bits(BASE) & PTE.SPECIAL).toBe(PTE.SPECIAL)
    checkMm(k)
  })

  it("leaves to faults what faults can rebuild: a shared file mapping starts empty in the child [R-FLAG-29]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    createFile(k, "/f", FILE_REGULAR, PAGE)
    p.map(BASE, 1, RW, SHARED, p.open("/f"))
    p.store(BASE, 3)
    const child = p.fork()
    expect(child.pages(BASE, BASE + 1)).toBe(".")
    expect(child.load(BASE)).toBe(3)
    checkMm(k)
  })

  it("skips an area that is not to be copied, pages and accounts included [R-FLAG-12, R-FLAG-29, R-NEW-10]", () => {
    const { k, p, page } = inserted(RW, SHARED, VM_DONTCOPY)
    p.map(BASE + 8, 1, RW)
    const child = p.fork()
    expect(child.areas(BASE, BASE + 9)).toBe("........a")
    expect(k.mms.stat(child.mm, 0)).toBe(1)
    expect(k.frames.mapcount(page)).toBe(1)
    k.frames.put(page)
    checkIdle(k)
  })
})

describe("raw frame numbers", () => {
  it("go only where the area says so, and not where writes copy [R-FLAG-10, R-FLAG-23]", () => {
    const { k, p } = inserted()
    p.map(BASE + 8, 1, RW)
    withVma(k, p.mm, BASE + 8, (v) => expect(() => vmfInsertPfn(k, v, BASE + 8, 1)).toThrow(KernelBug))
    const pfns = mapDevice(p, BASE + 16, 1, RW, PRIVATE, (v) => (vmFlagsMod(k, v, VM_PFNMAP, 0), 0))
    withVma(k, p.mm, BASE + 16, () => expect(() => vmfInsertPfn(k, pfns, BASE + 16, 1)).toThrow(/copied on write/))
    checkMm(k)
  })

  it("stay out of pages beyond the area [R-FLAG-10]", () => {
    const { k, p, vma } = inserted()
    withVma(k, p.mm, BASE, () => {
      expect(vmfInsertPfn(k, vma, BASE + 4, 1)).toBe(EFAULT)
      expect(vmfInsertPfn(k, vma, BASE + 3, 1)).toBe(OK)
    })
    expect(p.pages(BASE, BASE + 4)).toBe("f..x")
    expect(p.rss()).toBe("f1 a0 s0")
    checkMm(k)
  })
})
