import { describe, expect, it } from "vitest"
import * as bits from "../../../lib/flags/bits.ts"
import { OK } from "../../../lib/flags/Errno.ts"
import { LOCKED, NORESERVE, PRIVATE, SHARED } from "../../../lib/flags/MapFlags.ts"
import { READ as PROT_READ } from "../../../lib/flags/ProtFlags.ts"
import * as VmFlags from "../../../lib/flags/VmFlags.ts"
import { checkIdle, checkMm } from "../../../lib/mm/area/check.ts"
import { WRITE } from "../../../lib/mm/area/mmap-lock.ts"
import { tryStartWrite } from "../../../lib/mm/area/vma-lock.ts"
import { vmFlagsMod } from "../../../lib/mm/area/vm-flags.ts"
import { H_FAULT, H_MMAP } from "../../../lib/mm/base/stop.ts"
import { LOCKED_VM } from "../../../lib/mm/store/mms.ts"
import { placeArea } from "../../../lib/mm/sys/exec.ts"
import { mlock } from "../../../lib/mm/sys/mlock.ts"
import { BASE, device, done, driverPage, machine, mapDevice, PAGE, Proc, RW, withMmap } from "./world.ts"

/** The table of the specification, sections 6 and R-FLAG-27: name and value. */
const table: ReadonlyArray<readonly [string, bigint]> = [
  ["READ", 0x1n],
  ["WRITE", 0x2n],
  ["EXEC", 0x4n],
  ["SHARED", 0x8n],
  ["MAYREAD", 0x10n],
  ["MAYWRITE", 0x20n],
  ["MAYEXEC", 0x40n],
  ["MAYSHARE", 0x80n],
  ["PFNMAP", 0x400n],
  ["IO", 0x4000n],
  ["DONTCOPY", 0x20000n],
  ["DONTEXPAND", 0x40000n],
  ["LOCKONFAULT", 0x80000n],
  ["ACCOUNT", 0x100000n],
  ["NORESERVE", 0x200000n],
  ["HUGETLB", 0x400000n],
  ["SYNC", 0x800000n],
  ["ARCH_1", 0x1000000n],
  ["WIPEONFORK", 0x2000000n],
  ["DONTDUMP", 0x4000000n],
  ["SOFTDIRTY", 0x8000000n],
  ["MIXEDMAP", 0x10000000n],
  ["HUGEPAGE", 0x20000000n],
  ["NOHUGEPAGE", 0x40000000n],
  ["MERGEABLE", 0x80000000n],
  ["GROWSDOWN", 0x100n],
  ["UFFD_MISSING", 0x200n],
  ["MAYBE_GUARD", 0x800n],
  ["UFFD_WP", 0x1000n],
  ["LOCKED", 0x2000n],
  ["SEQ_READ", 0x8000n],
  ["RAND_READ", 0x10000n],
  ["ALLOW_ANY_UNCACHED", 1n << 39n],
  ["DROPPABLE", 1n << 40n],
  ["UFFD_MINOR", 1n << 41n],
  ["SEALED", 1n << 42n]
]

const publicWord = new Map<string, unknown>(Object.entries(VmFlags))
const halves = new Map<string, unknown>(Object.entries(bits))
const half = (name: string, value: bigint): unknown => halves.get(value < 1n << 32n ? `VM_${name}` : `VMH_${name}`)

/** The 64-bit word that two int32 halves stand for. */
const wordOf = (lo: number, hi: number): bigint => BigInt(lo >>> 0) | (BigInt(hi >>> 0) << 32n)

describe("the numbers", () => {
  it("no flag is zero [R-FLAG-01]", () => {
    expect(VmFlags.NONE).toBe(0n)
  })

  it.each(table)("%s is bit %d of the public word, and of one half of the core's [R-FLAG-02..27]", (name, value) => {
    expect(publicWord.get(name)).toBe(value)
    const inCore = half(name, value)
    expect(inCore).toBe(value < 1n << 32n ? Number(value) | 0 : Number(value >> 32n))
  })

  it("no flag has two names, and no name is missing from the table [R-FLAG-02..27]", () => {
    const named = [...publicWord.keys()].filter((name) => !["NONE", "SPECIAL", "COPY_ON_FORK"].includes(name))
    expect(named.sort()).toEqual(table.map(([name]) => name).sort())
    expect(new Set(table.map(([, value]) => value)).size).toBe(table.length)
  })

  it("VM_SPECIAL is IO, DONTEXPAND, PFNMAP and MIXEDMAP in both words [R-FLAG-28]", () => {
    expect(VmFlags.SPECIAL).toBe(0x10044400n)
    expect(bits.VM_SPECIAL).toBe(0x10044400)
  })

  it("what fork copies is PFNMAP, MIXEDMAP, UFFD_WP and MAYBE_GUARD in both words [R-FLAG-29]", () => {
    expect(VmFlags.COPY_ON_FORK).toBe(0x10001c00n)
    expect(bits.VM_COPY_ON_FORK).toBe(0x10001c00)
  })
})

describe("64 bits in two halves", () => {
  it("clearing a bit keeps bits 31 to 63 as they were [R-FLAG-30, R-FLAG-26]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 1, PROT_READ)
    const vma = p.area(BASE)
    const lo = k.vmas.flags(vma) | bits.VM_MERGEABLE
    const hi = bits.VMH_DROPPABLE | bits.VMH_ALLOW_ANY_UNCACHED | (1 << 31)
    k.vmas.setFlags(vma, lo, hi)
    withMmap(k, p.mm, WRITE, () => {
      tryStartWrite(k, vma)
      vmFlagsMod(k, vma, 0, bits.VM_MAYWRITE)
    })
    const after = wordOf(k.vmas.flags(vma), k.vmas.flagsHi(vma))
    expect(after).toBe(wordOf(lo, hi) & BigInt.asUintN(64, ~VmFlags.MAYWRITE))
    expect(after >> 31n).toBe(wordOf(lo, hi) >> 31n)
    checkMm(k)
  })

  it("bit 31 alone is told from no bit and from every bit [R-FLAG-30]", () => {
    expect(bits.VM_MERGEABLE & ~0x7fffffff).not.toBe(0)
    expect(wordOf(bits.VM_MERGEABLE, 0)).toBe(VmFlags.MERGEABLE)
    expect(wordOf(0, bits.VMH_SEALED)).toBe(VmFlags.SEALED)
  })

  it("an area may have bits that have no name here, and keeps them through split and merge [R-FLAG-27]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 3, RW)
    const vma = p.area(BASE)
    const key = 1 << 3 // bit 35: a bit of the protection key
    k.vmas.setFlags(vma, k.vmas.flags(vma), key)
    expect(p.protect(BASE + 1, 1, PROT_READ)).toBe(OK)
    expect(p.areas(BASE, BASE + 3)).toBe("abc")
    for (const i of [0, 1, 2]) expect(k.vmas.flagsHi(p.area(BASE + i))).toBe(key)
    p.protect(BASE + 1, 1, RW)
    expect(p.areas(BASE, BASE + 3)).toBe("aaa")
    expect(k.vmas.flagsHi(p.area(BASE))).toBe(key)
    checkMm(k)
  })
})

describe("special areas", () => {
  const special = [
    ["IO", bits.VM_IO],
    ["DONTEXPAND", bits.VM_DONTEXPAND],
    ["PFNMAP", bits.VM_PFNMAP],
    ["MIXEDMAP", bits.VM_MIXEDMAP]
  ] as const

  /** Maps three pages with `flags`, takes writing from the middle one and gives it back. */
  const apartAndBack = (flags: number) => {
    const k = machine()
    const p = Proc.spawn(k)
    mapDevice(p, BASE, 3, RW, SHARED, (v) => (vmFlagsMod(k, v, flags, 0), 0))
    p.protect(BASE + 1, 1, PROT_READ)
    const apart = p.areas(BASE, BASE + 3)
    p.protect(BASE + 1, 1, RW)
    checkMm(k)
    return [apart, p.areas(BASE, BASE + 3)]
  }

  it.each(special)("areas with %s never merge again once they are split [R-FLAG-28, L-VMA-19]", (_, flag) => {
    expect(apartAndBack(flag)).toEqual(["abc", "abc"])
  })

  it.each([
    ["no flag", 0],
    ["DONTDUMP", bits.VM_DONTDUMP],
    ["DONTCOPY", bits.VM_DONTCOPY]
  ])("areas with %s do [R-FLAG-28]", (_, flag) => {
    expect(apartAndBack(flag)).toEqual(["abc", "aaa"])
  })

  it.each(special)("a new area with %s merges with no equal neighbour [R-FLAG-28, L-VMA-19]", (_, flag) => {
    const k = machine()
    const p = Proc.spawn(k)
    const fd = p.memfd(4)
    p.map(BASE, 2, RW, SHARED, fd)
    const vma = p.area(BASE)
    k.vmas.setFlags(vma, k.vmas.flags(vma) | flag, 0)
    k.mms.setDefFlags(p.mm, flag) // so that the new area is equal in every flag
    p.map(BASE + 2, 2, RW, SHARED, fd, 2)
    expect(p.flags(BASE + 2)).toBe(p.flags(BASE))
    expect(p.areas(BASE, BASE + 4)).toBe("aabb")
    checkMm(k)
  })

  const unpopulated = bits.VM_IO | bits.VM_PFNMAP
  it.each(special)("nothing of an area with %s is ever locked, by MAP_LOCKED or mlock [R-FLAG-28]", (_, flag) => {
    const k = machine()
    const p = Proc.spawn(k)
    const page = driverPage(k)
    const fd = p.open(device(k, { hooks: (1 << H_MMAP) | (1 << H_FAULT) }))
    let faults = 0
    const hook = (hook: number, v: number): number => {
      if (hook === H_MMAP) vmFlagsMod(k, v, flag, 0)
      if (hook === H_FAULT) faults++
      return hook === H_FAULT ? page : OK
    }
    p.map(BASE, 2, RW, SHARED | LOCKED, fd, 0, hook)
    const locked = () => [p.flags(BASE) & (bits.VM_LOCKED | flag), k.mms.stat(p.mm, LOCKED_VM)]
    expect(locked()).toEqual([flag, 0])
    expect(done(k, () => mlock(k, p.task, BASE * PAGE, 2 * PAGE), hook)).toBe(OK)
    expect(locked()).toEqual([flag, 0])
    if ((flag & unpopulated) !== 0) expect(faults).toBe(0) // and nothing is brought in
    k.frames.put(page)
    checkMm(k)
  })

  it("MAP_LOCKED locks and faults in an area of no such flag [R-FLAG-28]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 2, RW, SHARED | LOCKED, p.memfd(2))
    expect(p.flags(BASE) & bits.VM_LOCKED).toBe(bits.VM_LOCKED)
    expect(k.mms.stat(p.mm, LOCKED_VM)).toBe(2)
    expect(p.pages(BASE, BASE + 2)).toBe("ss")
    checkMm(k)
  })
})

describe("what some flags do", () => {
  it("WIPEONFORK: the child sees zeroes [R-FLAG-20]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    const { VM_READ, VM_WRITE, VM_MAYREAD, VM_MAYWRITE, VM_WIPEONFORK, VM_ACCOUNT } = bits
    const lo = VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE | VM_ACCOUNT
    done(k, () => placeArea(k, p.mm, { start: BASE, end: BASE + 1, lo: lo | VM_WIPEONFORK }))
    done(k, () => placeArea(k, p.mm, { start: BASE + 1, end: BASE + 2, lo }))
    p.store(BASE, 5)
    p.store(BASE + 1, 6)
    const child = p.fork()
    expect([child.load(BASE), child.load(BASE + 1)]).toEqual([0, 6])
    expect(p.load(BASE)).toBe(5)
    checkIdle(k)
  })

  it("ACCOUNT: private writable memory is charged, and NORESERVE keeps it from being [R-FLAG-15, R-FLAG-16]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 3, RW)
    expect(k.committed).toBe(3)
    expect(p.flags(BASE) & (bits.VM_ACCOUNT | bits.VM_NORESERVE)).toBe(bits.VM_ACCOUNT)
    p.map(BASE + 8, 5, RW, PRIVATE | 0x20 | NORESERVE)
    expect(k.committed).toBe(3)
    expect(p.flags(BASE + 8) & (bits.VM_ACCOUNT | bits.VM_NORESERVE)).toBe(bits.VM_NORESERVE)
    checkIdle(k)
  })

  it.each([
    ["READ", PROT_READ, SHARED, bits.VM_READ],
    ["READ and WRITE", RW, SHARED, bits.VM_READ | bits.VM_WRITE],
    ["EXEC", 4, SHARED, bits.VM_EXEC]
  ])("mmap with %s sets those, SHARED as asked, and every MAY bit [R-FLAG-02..09]", (_, prot, map, want) => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 1, prot, map, p.memfd(1))
    p.map(BASE + 1, 1, prot, PRIVATE, p.memfd(1))
    const may = bits.VM_MAYREAD | bits.VM_MAYWRITE | bits.VM_MAYEXEC
    expect(p.flags(BASE) & 0xff).toBe(want | may | bits.VM_SHARED | bits.VM_MAYSHARE)
    expect(p.flags(BASE + 1) & 0xff).toBe(want | may)
    checkMm(k)
  })
})
