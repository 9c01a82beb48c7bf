import { describe, expect, it } from "vitest"
import { PRIVATE, SHARED } from "../../../lib/flags/MapFlags.ts"
import { VM_MIXEDMAP, VM_PFNMAP } from "../../../lib/flags/bits.ts"
import { FAULT_SIGBUS } from "../../../lib/flags/FaultFlags.ts"
import { OK } from "../../../lib/flags/Errno.ts"
import { NONE, READ as PROT_READ } from "../../../lib/flags/ProtFlags.ts"
import { checkMm } from "../../../lib/mm/area/check.ts"
import { READ } from "../../../lib/mm/area/mmap-lock.ts"
import { vmFlagsMod } from "../../../lib/mm/area/vm-flags.ts"
import { KernelBug } from "../../../lib/mm/base/debug.ts"
import { offsetInPage, PAGE_SHIFT, PAGE_SIZE, pageOf, pagesUp } from "../../../lib/mm/base/units.ts"
import { vmfInsertPfn, vmInsertPage } from "../../../lib/mm/page/insert.ts"
import { F_ANON, F_BUDDY, F_COMPOUND, F_TAIL } from "../../../lib/mm/store/frames.ts"
import { copyFromUser, copyToUser } from "../../../lib/mm/sys/usercopy.ts"
import { bare, BASE, done, driverPage, machine, mapDevice, PAGE, Proc, RW, withMmap, withVma } from "./world.ts"

describe("sizes", () => {
  it("a page has 4096 bytes, twelve bits [R-PAGE-01]", () => {
    expect([PAGE_SHIFT, PAGE_SIZE, 1 << PAGE_SHIFT]).toEqual([12, 4096, 4096])
    expect([pageOf(4095), pageOf(4096), offsetInPage(4095), offsetInPage(4096)]).toEqual([0, 1, 4095, 0])
    expect(pageOf(0xffff_ffff_ffff_ffffn)).toBe(2 ** 52 - 1)
    expect(offsetInPage(0xffff_ffff_ffff_ffffn)).toBe(4095)
  })

  it.each([
    [0, 0],
    [1, 1],
    [4095, 1],
    [4096, 1],
    [4097, 2],
    [0xffff_ffff_ffff_f000n, 2 ** 52 - 1],
    [0xffff_ffff_ffff_f001n, 0],
    [0xffff_ffff_ffff_f800n, 0],
    [0xffff_ffff_ffff_ffffn, 0]
  ])("%s bytes are %d pages; beyond 64 bits it wraps to none [R-PAGE-02]", (bytes, pages) => {
    expect(pagesUp(bytes)).toBe(pages)
  })
})

describe("allocating", () => {
  it("gives one page of order 0 with one reference, mapped nowhere [R-PAGE-03, R-PAGE-10]", () => {
    const k = machine()
    const free = k.frames.free()
    const page = k.frames.alloc()
    expect(k.frames.free()).toBe(free - 1)
    expect([k.frames.refcount(page), k.frames.mapcount(page)]).toEqual([1, 0])
    expect(k.frames.has(page, F_ANON | F_BUDDY | F_COMPOUND | F_TAIL)).toBe(false)
    expect(k.frames.folio(page)).toBe(page)
    k.frames.put(page)
    expect(k.frames.free()).toBe(free)
    checkMm(k)
  })

  it("fails when none is left, and when it is told to; nothing is taken then [R-PAGE-03]", () => {
    const k = machine()
    const taken: number[] = []
    for (let page = k.frames.alloc(); page !== 0; page = k.frames.alloc()) taken.push(page)
    expect(taken).toHaveLength(63) // 64 frames, one of them the page of zeroes
    expect(k.frames.allocZeroed()).toBe(0)
    for (const page of taken) k.frames.put(page)
    k.fail.arm(1)
    expect(k.frames.alloc()).toBe(0)
    k.fail.arm(0)
    expect(k.frames.free()).toBe(63)
    checkMm(k)
  })

  it("with __GFP_ZERO gives zeroes, also in a page that somebody wrote before [R-PAGE-03]", () => {
    const k = machine()
    const page = driverPage(k, 0xaa)
    k.frames.put(page)
    const again = k.frames.allocZeroed()
    expect(again).toBe(page)
    expect(k.frames.bytes.subarray(page * PAGE, (page + 1) * PAGE).every((byte) => byte === 0)).toBe(true)
    k.frames.put(again)
    checkMm(k)
  })
})

describe("owning", () => {
  it("the last put frees the page [R-PAGE-04]", () => {
    const k = machine()
    const page = driverPage(k)
    const free = k.frames.free()
    k.frames.get(page)
    k.frames.put(page)
    expect(k.frames.free()).toBe(free)
    k.frames.put(page)
    expect(k.frames.free()).toBe(free + 1)
    checkMm(k)
  })

  it("one put too many is a bug [R-PAGE-04]", () => {
    const k = machine()
    const page = driverPage(k)
    k.frames.put(page)
    expect(() => k.frames.put(page)).toThrow(KernelBug)
  })

  it("a frame that is still mapped may not go free: its last reference is the mapping's [R-PAGE-04]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    const page = driverPage(k)
    mapDevice(p, BASE, 1, RW, SHARED, (v) => vmInsertPage(k, v, BASE, page))
    k.frames.put(page)
    expect(k.frames.refcount(page)).toBe(1)
    expect(() => k.frames.put(page)).toThrow(/entries map it/)
  })
})

describe("bytes", () => {
  it("of a page are the same through every mapping and every process [R-PAGE-07]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    const page = driverPage(k)
    const vma = mapDevice(p, BASE, 2, RW, SHARED, (v) => vmInsertPage(k, v, BASE, page))
    withVma(k, p.mm, BASE, () => expect(vmInsertPage(k, vma, BASE + 1, page)).toBe(OK))
    const child = p.fork()
    k.frames.bytes[page * PAGE + 4095] = 1
    expect([p.load(BASE, 4095), p.load(BASE + 1, 4095), child.load(BASE, 4095)]).toEqual([1, 1, 1])
    child.store(BASE + 1, 2, 4095)
    expect([p.load(BASE, 4095), k.frames.bytes[page * PAGE + 4095]]).toEqual([2, 2])
    k.frames.zero(page, 4095, 4096)
    expect([p.load(BASE, 4095), child.load(BASE, 4095)]).toEqual([0, 0])
    k.frames.put(page)
    checkMm(k)
  })
})

describe("copies from a user", () => {
  const user = () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 2, RW)
    p.store(BASE, 7, 4095)
    p.store(BASE + 1, 8)
    return { k, p }
  }
  const fetch = (p: Proc, addr: number | bigint, bytes: Uint8Array) =>
    done(p.k, () => copyFromUser(p.k, p.mm, addr, bytes))

  it("cross pages, and fault in what is missing [R-PAGE-08]", () => {
    const { k, p } = user()
    p.map(BASE + 2, 1, RW)
    const bytes = new Uint8Array(4098)
    expect(fetch(p, (BASE + 1) * PAGE - 1, bytes)).toBe(0)
    expect([bytes[0], bytes[1], bytes[4097]]).toEqual([7, 8, 0])
    expect(p.pages(BASE, BASE + 3)).toBe("aaz")
    checkMm(k)
  })

  it.each([
    ["nothing is mapped", (BASE + 2) * PAGE, 8],
    ["nothing is mapped any more half-way", (BASE + 2) * PAGE - 3, 5],
    ["the address is the kernel's", 0xffff_8000_0000_0000n, 8],
    ["the address is none", -1, 8]
  ])("end where %s, and say how much is missing [R-PAGE-08]", (_, addr, missing) => {
    const { k, p } = user()
    expect(fetch(p, addr, new Uint8Array(8))).toBe(missing)
    checkMm(k)
  })

  it("end at a page that may not be read [R-PAGE-08]", () => {
    const { k, p } = user()
    p.protect(BASE + 1, 1, NONE)
    expect(fetch(p, (BASE + 1) * PAGE - 1, new Uint8Array(2))).toBe(1)
    checkMm(k)
  })

  it("end at a raw frame number, which has no bytes behind it [R-PAGE-08]", () => {
    const { k, p } = user()
    mapDevice(p, BASE + 8, 1, RW, SHARED, (v) => {
      vmFlagsMod(k, v, VM_PFNMAP, 0)
      return vmfInsertPfn(k, v, BASE + 8, 0x1234)
    })
    expect(fetch(p, (BASE + 8) * PAGE, new Uint8Array(4))).toBe(4)
    expect(done(k, () => copyToUser(k, p.mm, (BASE + 8) * PAGE, new Uint8Array(4)))).toBe(4)
    expect([p.load(BASE + 8), p.store(BASE + 8, 1)]).toEqual([-FAULT_SIGBUS, -FAULT_SIGBUS])
    checkMm(k)
  })

  it("to a user break copy on write like his own stores [R-PAGE-08, R-INS-15]", () => {
    const { k, p } = user()
    const page = driverPage(k, 5)
    mapDevice(p, BASE + 8, 1, RW, PRIVATE, (v) => {
      vmFlagsMod(k, v, VM_MIXEDMAP, 0)
      return vmInsertPage(k, v, BASE + 8, page)
    })
    expect(done(k, () => copyToUser(k, p.mm, (BASE + 8) * PAGE, new Uint8Array([9])))).toBe(0)
    expect([p.load(BASE + 8), p.load(BASE + 8, 1), k.frames.bytes[page * PAGE]]).toEqual([9, 5, 5])
    k.frames.put(page)
    checkMm(k)
  })

  it("never begin while a lock is held: they may fault [R-PAGE-08]", () => {
    const { k, p } = user()
    const copy = () => expect(() => copyFromUser(k, p.mm, BASE * PAGE, new Uint8Array(1)).next()).toThrow(/might_fault/)
    withMmap(k, p.mm, READ, copy)
    withVma(k, p.mm, BASE, copy)
    bare(k, () => expect(copyFromUser(k, p.mm, BASE * PAGE, new Uint8Array(1)).next().done).toBe(true))
    expect(p.protect(BASE, 1, PROT_READ)).toBe(OK)
    checkMm(k)
  })
})
