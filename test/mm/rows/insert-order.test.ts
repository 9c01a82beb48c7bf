import { describe, expect, it } from "vitest"
import { VM_IO, VM_MAYWRITE, VM_MIXEDMAP, VM_PFNMAP, VM_WRITE } from "../../../lib/flags/bits.ts"
import { EBUSY, EFAULT, EINVAL, ENOMEM, ENXIO, OK } from "../../../lib/flags/Errno.ts"
import { PRIVATE, SHARED } from "../../../lib/flags/MapFlags.ts"
import { SPECIAL, PRESENT, ZERO } from "../../../lib/flags/PteFlags.ts"
import { READ as PROT_READ } from "../../../lib/flags/ProtFlags.ts"
import { checkMm } from "../../../lib/mm/area/check.ts"
import { READ, WRITE } from "../../../lib/mm/area/mmap-lock.ts"
import { vmFlagsMod } from "../../../lib/mm/area/vm-flags.ts"
import { KernelBug } from "../../../lib/mm/base/debug.ts"
import type { Kernel, Ops } from "../../../lib/mm/kernel.ts"
import { vmfInsertPfn, vmInsertPage, vmInsertPages, vmMapPages } from "../../../lib/mm/page/insert.ts"
import { F_TYPED, ZERO_PFN } from "../../../lib/mm/store/frames.ts"
import { H_MMAP } from "../../../lib/mm/base/stop.ts"
import { BASE, bare, device, driverPage, machine, mapDevice, onMmap, Proc, RW, withMmap, withVma } from "./world.ts"

/** A device mapped at BASE, four pages, with the flags `set` (VM_*). */
const mapped = (set: number, prot = RW, map = SHARED, k = machine()) => {
  const p = Proc.spawn(k)
  const vma = mapDevice(p, BASE, 4, prot, map, (v) => (vmFlagsMod(k, v, set, 0), 0))
  return { k, p, vma }
}
const isMixed = (k: Kernel, vma: number) => (k.vmas.flags(vma) & VM_MIXEDMAP) !== 0
const freed = (k: Kernel) => {
  const f = driverPage(k)
  k.frames.put(f)
  return f
}

describe("step 1: the address", () => {
  it.each([
    [BASE - 1, EFAULT],
    [BASE, OK],
    [BASE + 3, OK],
    [BASE + 4, EFAULT],
    [0, EFAULT],
    [2 ** 52 - 1, EFAULT]
  ])("a page at %d of an area of pages 16 to 19 gives %d [R-INS-01]", (vpn, want) => {
    const { k, p, vma } = mapped(VM_MIXEDMAP)
    const page = driverPage(k)
    expect(withVma(k, p.mm, BASE, () => vmInsertPage(k, vma, vpn, page))).toBe(want)
    expect(k.frames.mapcount(page)).toBe(want === OK ? 1 : 0)
    k.frames.put(page)
    checkMm(k)
  })

  it("is looked at before everything else: a bad page outside gives EFAULT, and no flag changes [R-INS-01, R-INS-03]", () => {
    const { k, p, vma } = mapped(0)
    expect(withMmap(k, p.mm, READ, () => vmInsertPage(k, vma, BASE + 4, freed(k)))).toBe(EFAULT)
    expect(isMixed(k, vma)).toBe(false)
    checkMm(k)
  })
})

describe("step 2: the mixed map", () => {
  it("under the write lock an area becomes a mixed map [R-INS-03]", () => {
    const { k, p, vma } = mapped(0)
    const page = driverPage(k)
    expect(withMmap(k, p.mm, WRITE, () => vmInsertPage(k, vma, BASE, page))).toBe(OK)
    expect(isMixed(k, vma)).toBe(true)
    k.frames.put(page)
    checkMm(k)
  })

  it("so it does in the mmap hook [R-INS-03, R-MIX-07]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    const page = driverPage(k, 3)
    const vma = mapDevice(p, BASE, 4, RW, SHARED, (v) => vmInsertPage(k, v, BASE, page))
    expect(isMixed(k, vma)).toBe(true)
    expect(p.load(BASE)).toBe(3)
    k.frames.put(page)
    checkMm(k)
  })

  it.each(["mmap read", "area"])(
    "under the %s lock it is a bug of the driver's, and no flag changes [R-INS-03]",
    (lock) => {
      const { k, p, vma } = mapped(0)
      const page = driverPage(k)
      const insert = () => expect(() => vmInsertPage(k, vma, BASE, page)).toThrow(KernelBug)
      if (lock === "area") withVma(k, p.mm, BASE, insert)
      else withMmap(k, p.mm, READ, insert)
      expect(isMixed(k, vma)).toBe(false)
      expect(p.pages(BASE, BASE + 1)).toBe(".")
      k.frames.put(page)
      checkMm(k)
    }
  )

  it("an area that is a mixed map already takes pages under any lock [R-MIX-07, R-INS-03]", () => {
    const { k, p, vma } = mapped(VM_MIXEDMAP)
    const page = driverPage(k)
    expect(withVma(k, p.mm, BASE, () => vmInsertPage(k, vma, BASE, page))).toBe(OK)
    expect(withMmap(k, p.mm, READ, () => vmInsertPage(k, vma, BASE + 1, page))).toBe(OK)
    bare(k, () => expect(() => vmInsertPage(k, vma, BASE + 2, page)).toThrow(KernelBug))
    k.frames.put(page)
    checkMm(k)
  })

  it("a PFN map never becomes a mixed map: that is a bug too [R-INS-03]", () => {
    const { k, p, vma } = mapped(VM_PFNMAP)
    const page = driverPage(k)
    withMmap(k, p.mm, WRITE, () => expect(() => vmInsertPage(k, vma, BASE, page)).toThrow(/PFN map/))
    expect(isMixed(k, vma)).toBe(false)
    k.frames.put(page)
    checkMm(k)
  })

  it("comes before the page is looked at: a bad page under the read lock is a bug, not EINVAL [R-INS-03]", () => {
    const { k, p, vma } = mapped(0)
    withMmap(k, p.mm, READ, () => expect(() => vmInsertPage(k, vma, BASE, freed(k))).toThrow(KernelBug))
    checkMm(k)
  })
})

/** What fails after step 2, and how. `busy` pages are in the way at BASE. */
const later: ReadonlyArray<readonly [string, number, (k: Kernel) => number, string]> = [
  ["a page without references", EINVAL, freed, ""],
  ["the page of zeroes where it could be written", EINVAL, () => ZERO_PFN, ""],
  ["no table", ENOMEM, driverPage, "no table"],
  ["an entry in use", EBUSY, driverPage, "busy"]
]

it.each(later)("the flag stays when a later step fails: %s gives %d [R-INS-04]", (_, want, bad, how) => {
  const { k, p, vma } = mapped(0)
  if (how === "busy") {
    const other = driverPage(k)
    withMmap(k, p.mm, WRITE, () => vmInsertPage(k, vma, BASE, other))
    k.frames.put(other)
    k.vmas.setFlags(vma, k.vmas.flags(vma) & ~VM_MIXEDMAP, 0)
  }
  const page = bad(k)
  withMmap(k, p.mm, WRITE, () => {
    if (how === "no table") k.fail.arm(1)
    expect(vmInsertPage(k, vma, BASE, page)).toBe(want)
    k.fail.arm(0)
  })
  expect(isMixed(k, vma)).toBe(true)
  if (how !== "") k.frames.put(page)
  checkMm(k)
})

describe("step 3: the page", () => {
  const expectAnswer = (make: (k: Kernel, p: Proc) => number, want: number) => {
    const { k, p, vma } = mapped(VM_MIXEDMAP)
    const page = make(k, p)
    const before = [k.frames.refcount(page), k.frames.mapcount(page), p.rss()]
    expect(withVma(k, p.mm, BASE, () => vmInsertPage(k, vma, BASE, page))).toBe(want)
    if (want !== OK) {
      expect(p.pages(BASE, BASE + 1)).toBe(".")
      expect([k.frames.refcount(page), k.frames.mapcount(page), p.rss()]).toEqual(before)
    }
    checkMm(k)
  }

  it("a page without references gives EINVAL [R-INS-05]", () => {
    expectAnswer(freed, EINVAL)
  })

  it("a page that was never handed out gives EINVAL [R-INS-05, R-INS-09]", () => {
    expectAnswer((k) => k.frames.limit - 1, EINVAL)
  })

  it("a page inside an unsplit block of order 1 gives EINVAL [R-INS-05, R-INS-10]", () => {
    expectAnswer((k) => k.frames.allocOrder(1, false) + 1, EINVAL)
  })

  it("an anonymous page gives EINVAL [R-INS-08]", () => {
    expectAnswer((_, p) => {
      p.map(BASE + 8, 1, RW)
      p.store(BASE + 8, 1)
      return p.frame(BASE + 8)
    }, EINVAL)
  })

  it("a page of a special type gives EINVAL [R-INS-09]", () => {
    expectAnswer((k) => {
      const page = driverPage(k)
      k.frames.setFlag(page, F_TYPED)
      return page
    }, EINVAL)
  })

  it("what is no frame of this machine gives EINVAL [R-INS-05]", () => {
    const { k, p, vma } = mapped(VM_MIXEDMAP)
    withVma(k, p.mm, BASE, () => {
      for (const pfn of [-1, k.frames.limit, 1.5, Number.NaN]) expect(vmInsertPage(k, vma, BASE, pfn)).toBe(EINVAL)
    })
    checkMm(k)
  })

  it("a page inside a compound block is taken, and its block is held by the mapping [R-INS-10]", () => {
    const { k, p, vma } = mapped(VM_MIXEDMAP)
    const head = k.frames.allocOrder(1, true)
    k.frames.bytes[(head + 1) * 4096] = 42
    expect(withVma(k, p.mm, BASE, () => vmInsertPage(k, vma, BASE, head + 1))).toBe(OK)
    expect([k.frames.refcount(head), k.frames.mapcount(head), k.frames.mapcount(head + 1)]).toEqual([2, 0, 1])
    k.frames.put(head)
    expect(p.load(BASE)).toBe(42)
    const free = k.frames.free()
    expect(p.unmap(BASE, 4)).toBe(OK)
    expect(k.frames.free()).toBe(free + 2)
    checkMm(k)
  })

  it("is looked at before the entry: a bad page for an entry in use gives EINVAL [R-INS-05, R-INS-12]", () => {
    const { k, p, vma } = mapped(VM_MIXEDMAP)
    const page = driverPage(k)
    withVma(k, p.mm, BASE, () => {
      expect(vmInsertPage(k, vma, BASE, page)).toBe(OK)
      expect(vmInsertPage(k, vma, BASE, freed(k))).toBe(EINVAL)
    })
    k.frames.put(page)
    checkMm(k)
  })

  it("is looked at before tables are made: a bad page makes none [R-INS-05, R-INS-11]", () => {
    const { k, p, vma } = mapped(VM_MIXEDMAP)
    const tables = k.ptes.live
    expect(withVma(k, p.mm, BASE, () => vmInsertPage(k, vma, BASE, freed(k)))).toBe(EINVAL)
    expect(k.ptes.live).toBe(tables)
    checkMm(k)
  })
})

describe("the page of zeroes", () => {
  const cases: ReadonlyArray<readonly [string, number, number, number, number, Partial<Ops>]> = [
    ["a shared writable mapping", EINVAL, SHARED, RW, 0, {}],
    ["a shared read-only one that may become writable", EINVAL, SHARED, PROT_READ, 0, {}],
    ["a private writable one", OK, PRIVATE, RW, 0, {}],
    ["a private read-only one that may become writable", OK, PRIVATE, PROT_READ, 0, {}],
    ["a shared one that can never be written", OK, SHARED, PROT_READ, VM_MAYWRITE, {}],
    ["pfn_mkwrite alone", EINVAL, SHARED, RW, 0, { pfnMkwrite: true }]
  ]
  it.each(cases)("in %s gives %d [R-INS-06, R-INS-07]", (_, want, map, prot, clear, ops) => {
    const k = machine()
    const p = Proc.spawn(k)
    const fd = p.open(device(k, ops))
    const hook = onMmap((v) => {
      vmFlagsMod(k, v, VM_MIXEDMAP, clear)
      return 0
    })
    p.map(BASE, 2, prot, map, fd, 0, hook)
    expect(withVma(k, p.mm, BASE, (v) => vmInsertPage(k, v, BASE, ZERO_PFN))).toBe(want)
    expect(p.pages(BASE, BASE + 2)).toBe(want === OK ? "z." : "..")
    checkMm(k)
  })

  it.each([
    ["VM_IO with pfn_mkwrite", true, OK],
    ["VM_IO alone", false, EINVAL]
  ])("%s in a shared writable mapping gives the right answer [R-INS-07]", (_, pfnMkwrite, want) => {
    const k = machine()
    const p = Proc.spawn(k)
    const fd = p.open(device(k, { hooks: 1 << H_MMAP, pfnMkwrite }))
    p.map(
      BASE,
      1,
      RW,
      SHARED,
      fd,
      0,
      onMmap((v) => (vmFlagsMod(k, v, VM_MIXEDMAP | VM_IO, 0), 0))
    )
    expect(withVma(k, p.mm, BASE, (v) => vmInsertPage(k, v, BASE, ZERO_PFN))).toBe(want)
    checkMm(k)
  })

  it("is mapped without reference, mapcount or resident page, and never writable [R-INS-14]", () => {
    const { k, p, vma } = mapped(VM_MIXEDMAP, RW, PRIVATE)
    const before = [k.frames.refcount(ZERO_PFN), k.frames.mapcount(ZERO_PFN), p.rss()]
    expect(withVma(k, p.mm, BASE, () => vmInsertPage(k, vma, BASE, ZERO_PFN))).toBe(OK)
    expect([k.frames.refcount(ZERO_PFN), k.frames.mapcount(ZERO_PFN), p.rss()]).toEqual(before)
    expect(p.bits(BASE)).toBe(PRESENT | ZERO)
    expect(p.store(BASE, 5)).toBe(0)
    expect(p.pages(BASE, BASE + 1)).toBe("a")
    expect(k.frames.bytes[ZERO_PFN]).toBe(0)
    checkMm(k)
  })
})

describe("steps 4 and 5: the entry", () => {
  it("a missing table gives ENOMEM and maps nothing [R-INS-11]", () => {
    for (let n = 1; n <= 3; n++) {
      const { k, p, vma } = mapped(VM_MIXEDMAP)
      const page = driverPage(k)
      withVma(k, p.mm, BASE, () => {
        k.fail.arm(n) // each of the three levels below the top
        expect(vmInsertPage(k, vma, BASE, page)).toBe(ENOMEM)
        expect(k.fail.fired).toBe(true)
        k.fail.arm(0)
      })
      expect(p.pages(BASE, BASE + 1)).toBe(".")
      expect([k.frames.refcount(page), k.frames.mapcount(page), p.rss()]).toEqual([1, 0, "f0 a0 s0"])
      k.frames.put(page)
      checkMm(k)
    }
  })

  it("the same page a second time gives EBUSY, and its counts stay [R-INS-12]", () => {
    const { k, p, vma } = mapped(VM_MIXEDMAP)
    const page = driverPage(k)
    withVma(k, p.mm, BASE, () => {
      expect(vmInsertPage(k, vma, BASE, page)).toBe(OK)
      expect(vmInsertPage(k, vma, BASE, page)).toBe(EBUSY)
    })
    expect([k.frames.refcount(page), k.frames.mapcount(page), p.rss()]).toEqual([2, 1, "f1 a0 s0"])
    k.frames.put(page)
    checkMm(k)
  })

  it("the page of zeroes and a raw frame number are in the way as well [R-INS-12]", () => {
    const { k, p, vma } = mapped(VM_MIXEDMAP, RW, PRIVATE)
    const page = driverPage(k)
    withVma(k, p.mm, BASE, () => {
      expect(vmInsertPage(k, vma, BASE, ZERO_PFN)).toBe(OK)
      expect(vmInsertPage(k, vma, BASE, page)).toBe(EBUSY)
      expect(vmfInsertPfn(k, vma, BASE + 1, 0x1234)).toBe(OK)
      expect(vmInsertPage(k, vma, BASE + 1, page)).toBe(EBUSY)
      expect(vmfInsertPfn(k, vma, BASE + 1, 0x1234)).toBe(EBUSY)
    })
    expect(p.bits(BASE + 1) & SPECIAL).toBe(SPECIAL)
    k.frames.put(page)
    checkMm(k)
  })
})

describe("several pages", () => {
  const three = (k: Kernel) => [driverPage(k, 1), driverPage(k, 2), driverPage(k, 3)]

  it("the batch ends at the first error and says how many are missing; the earlier ones stay [R-INS-19]", () => {
    const { k, p, vma } = mapped(VM_MIXEDMAP)
    const pages = three(k)
    withVma(k, p.mm, BASE, () => {
      expect(vmInsertPage(k, vma, BASE + 1, pages[2]!)).toBe(OK)
      expect(vmInsertPages(k, vma, BASE, pages)).toBe(EBUSY)
      expect(k.out[0]).toBe(2)
    })
    expect(p.pages(BASE, BASE + 4)).toBe("ff..")
    expect([p.load(BASE), p.load(BASE + 1)]).toEqual([1, 3])
    expect(pages.map((f) => k.frames.refcount(f))).toEqual([2, 1, 2])
    for (const f of pages) k.frames.put(f)
    checkMm(k)
  })

  it("a batch that fits leaves none over [R-INS-19]", () => {
    const { k, p, vma } = mapped(VM_MIXEDMAP)
    const pages = three(k)
    withVma(k, p.mm, BASE, () => expect(vmInsertPages(k, vma, BASE + 1, pages)).toBe(OK))
    expect(k.out[0]).toBe(0)
    expect(p.pages(BASE, BASE + 4)).toBe(".fff")
    for (const f of pages) k.frames.put(f)
    checkMm(k)
  })

  it("a batch that leaves the area maps nothing at all [R-INS-19, R-INS-01]", () => {
    const { k, p, vma } = mapped(0)
    const pages = three(k)
    withMmap(k, p.mm, READ, () => expect(vmInsertPages(k, vma, BASE + 2, pages)).toBe(EFAULT))
    expect(k.out[0]).toBe(3)
    expect(p.pages(BASE, BASE + 4)).toBe("....")
    expect(isMixed(k, vma)).toBe(false)
    for (const f of pages) k.frames.put(f)
    checkMm(k)
  })

  it.each([
    [4, 4, ENXIO],
    [4, 5, ENXIO],
    [4, 1, ENXIO],
    [3, 0, ENXIO],
    [4, 0, OK],
    [6, 2, OK],
    [6, 3, ENXIO]
  ])("an array of %d pages from page %d on fills an area of four: %d [R-INS-21]", (have, offset, want) => {
    const { k, p, vma } = mapped(VM_MIXEDMAP)
    const pages = Array.from({ length: have }, (_, i) => driverPage(k, i))
    expect(withVma(k, p.mm, BASE, () => vmMapPages(k, vma, pages, offset))).toBe(want)
    expect(p.pages(BASE, BASE + 4)).toBe(want === OK ? "ffff" : "....")
    if (want === OK) expect(p.load(BASE + 3)).toBe(offset + 3)
    for (const f of pages) k.frames.put(f)
    checkMm(k)
  })
})

it("VM_WRITE of the area has no say [R-INS-17]", () => {
  const { k, p, vma } = mapped(VM_MIXEDMAP, PROT_READ, PRIVATE)
  expect(k.vmas.flags(vma) & VM_WRITE).toBe(0)
  const page = driverPage(k, 1)
  expect(withVma(k, p.mm, BASE, () => vmInsertPage(k, vma, BASE, page))).toBe(OK)
  k.frames.put(page)
  checkMm(k)
})
