import { describe, expect, it } from "vitest"
import {
  VM_DONTCOPY,
  VM_DONTDUMP,
  VM_DONTEXPAND,
  VM_EXEC,
  VM_IO,
  VM_MAYEXEC,
  VM_MAYREAD,
  VM_MAYWRITE,
  VM_MIXEDMAP,
  VM_PFNMAP,
  VM_READ,
  VM_WRITE
} from "../../../lib/flags/bits.ts"
import { EACCES, EFAULT, EINVAL, ENOMEM, OK } from "../../../lib/flags/Errno.ts"
import { SHARED } from "../../../lib/flags/MapFlags.ts"
import { EXEC, NONE, READ as PROT_READ, WRITE as PROT_WRITE } from "../../../lib/flags/ProtFlags.ts"
import { checkMm } from "../../../lib/mm/area/check.ts"
import { READ } from "../../../lib/mm/area/mmap-lock.ts"
import { tryClearMay, vmFlagsMod } from "../../../lib/mm/area/vm-flags.ts"
import { KernelBug } from "../../../lib/mm/base/debug.ts"
import { getUserPage } from "../../../lib/mm/page/gup.ts"
import { vmInsertPage } from "../../../lib/mm/page/insert.ts"
import { bare, BASE, done, driverPage, machine, mapDevice, Proc, RW, withMmap } from "./world.ts"

/** The flags of a fresh device area after `change` ran in its mmap hook, and what `change` answered. */
const inHook = (prot: number, change: (k: ReturnType<typeof machine>, v: number) => unknown) => {
  const k = machine()
  const p = Proc.spawn(k)
  let before = 0
  let answer: unknown
  const vma = mapDevice(p, BASE, 2, prot, SHARED, (v) => {
    before = k.vmas.flags(v)
    answer = change(k, v)
    return OK
  })
  checkMm(k)
  return { k, p, vma, before, after: k.vmas.flags(vma), answer }
}

describe("changing flags", () => {
  it("the new word is (old or set) and not clear: a bit in both is cleared [R-NEW-04]", () => {
    const r = inHook(PROT_READ, (k, v) => vmFlagsMod(k, v, VM_DONTDUMP | VM_DONTCOPY, VM_DONTCOPY | VM_MAYEXEC))
    expect(r.after).toBe((r.before | VM_DONTDUMP) & ~VM_MAYEXEC)
    const { before, after } = inHook(PROT_READ, (k, v) => {
      vmFlagsMod(k, v, VM_DONTCOPY, 0)
      vmFlagsMod(k, v, VM_DONTCOPY, VM_DONTCOPY)
    })
    expect(after).toBe(before)
  })

  it("a PFN map and a mixed map at once is no valid word [R-NEW-05]", () => {
    inHook(RW, (k, v) => {
      vmFlagsMod(k, v, VM_MIXEDMAP, 0)
      const before = k.vmas.flags(v)
      expect(() => vmFlagsMod(k, v, VM_PFNMAP, 0)).toThrow(KernelBug)
      expect(k.vmas.flags(v)).toBe(before)
    })
  })

  it("under construction it needs no mark, outside the write lock it is a bug [R-NEW-03, R-NEW-04]", () => {
    const { k, vma, after } = inHook(RW, (k, v) => vmFlagsMod(k, v, VM_DONTDUMP, 0))
    bare(k, () => expect(() => vmFlagsMod(k, vma, VM_DONTCOPY, 0)).toThrow(KernelBug))
    bare(k, () => expect(() => tryClearMay(k, vma, VM_EXEC)).toThrow(KernelBug))
    expect(k.vmas.flags(vma)).toBe(after)
  })

  it.each([
    ["set_mixedmap", VM_MIXEDMAP, 0x10000000],
    ["set_io", VM_IO, 0x4000],
    ["set_dontexpand", VM_DONTEXPAND, 0x40000],
    ["set_dontcopy", VM_DONTCOPY, 0x20000],
    ["set_dontdump", VM_DONTDUMP, 0x4000000]
  ])("%s sets one bit, the second time nothing [R-NEW-12, R-NEW-06, R-NEW-08..11]", (_, flag, bit) => {
    const { before, after } = inHook(RW, (k, v) => {
      vmFlagsMod(k, v, flag, 0)
      expect(k.vmas.flags(v)).toBe(k.vmas.flags(v) | bit)
      vmFlagsMod(k, v, flag, 0)
    })
    expect(before & bit).toBe(0)
    expect(after).toBe(before | bit)
  })

  it("a mixed map made in the hook can be filled there [R-NEW-06]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    const page = driverPage(k, 6)
    mapDevice(p, BASE, 2, RW, SHARED, (v) => {
      vmFlagsMod(k, v, VM_MIXEDMAP, 0)
      return vmInsertPage(k, v, BASE + 1, page)
    })
    expect(p.load(BASE + 1)).toBe(6)
    k.frames.put(page)
    checkMm(k)
  })
})

describe("clearing a MAY bit", () => {
  const rights = [
    ["read", VM_READ, VM_MAYREAD, PROT_READ, "R-NEW-14"],
    ["write", VM_WRITE, VM_MAYWRITE, PROT_WRITE, "R-NEW-15"],
    ["exec", VM_EXEC, VM_MAYEXEC, EXEC, "R-NEW-16"]
  ] as const

  it.each(rights)(
    "of %s is refused while the right is there, and changes nothing [R-NEW-14..16]",
    (_, right, __, prot) => {
      const { before, after, answer } = inHook(prot, (k, v) => tryClearMay(k, v, right))
      expect(answer).toBe(EINVAL)
      expect(after).toBe(before)
    }
  )

  it.each(rights)("of %s clears that bit alone where the right is not there [R-NEW-14..16]", (_, right, may) => {
    const { before, after, answer } = inHook(NONE, (k, v) => tryClearMay(k, v, right))
    expect(answer).toBe(OK)
    expect(before & may).toBe(may)
    expect(after).toBe(before & ~may)
  })

  it.each(rights)("of %s twice is as once [R-NEW-17]", (_, right, may) => {
    const { before, after, answer } = inHook(NONE, (k, v) => [tryClearMay(k, v, right), tryClearMay(k, v, right)])
    expect(answer).toEqual([OK, OK])
    expect(after).toBe(before & ~may)
  })

  it.each(rights)(
    "of %s keeps mprotect from ever giving that right; the others it may give [R-NEW-18]",
    (_, right, __, prot) => {
      const { k, p } = inHook(NONE, (k, v) => tryClearMay(k, v, right))
      for (const [, , , other] of rights) {
        expect(p.protect(BASE, 2, other)).toBe(other === prot ? EACCES : OK)
        expect(p.protect(BASE, 2, NONE)).toBe(OK)
      }
      expect(p.protect(BASE, 1, PROT_READ | PROT_WRITE | EXEC)).toBe(EACCES)
      expect(p.areas(BASE, BASE + 2)).toBe("aa")
      checkMm(k)
    }
  )

  it("of write lets a reader stay a reader: the page cannot be written [R-NEW-15, R-NEW-18]", () => {
    const { k, p, answer } = inHook(PROT_READ, (k, v) => tryClearMay(k, v, VM_WRITE))
    expect(answer).toBe(OK)
    expect(p.protect(BASE, 2, RW)).toBe(EACCES)
    expect(p.protect(BASE, 2, PROT_READ)).toBe(OK)
    expect(p.flags(BASE) & (VM_WRITE | VM_MAYWRITE)).toBe(0)
    checkMm(k)
  })

  it("gives no errno but EINVAL, for no right and no state [R-ERR-03]", () => {
    const answers = new Set<unknown>()
    for (let prot = 0; prot < 8; prot++)
      inHook(prot, (k, v) => {
        for (const [, right] of rights) for (let i = 0; i < 2; i++) answers.add(tryClearMay(k, v, right))
      })
    expect(answers).toEqual(new Set([EINVAL, OK]))
  })
})

describe("get_user_pages", () => {
  const gup = (p: Proc, vpn: number, write = false) => withMmap(p.k, p.mm, READ, () => held(p, vpn, write))
  /** The verb wants the lock of whoever calls it: it is driven on that one's stack. */
  const held = (p: Proc, vpn: number, write: boolean): number => {
    const verb = getUserPage(p.k, p.mm, vpn, write)
    const t = verb.next()
    if (t.done !== true) throw new Error("get_user_pages waits")
    return t.value
  }

  const device = (flags: number, prot = RW) => {
    const k = machine()
    const p = Proc.spawn(k)
    const page = driverPage(k, 4)
    mapDevice(p, BASE, 1, prot, SHARED, (v) => {
      vmFlagsMod(k, v, VM_MIXEDMAP | flags, 0)
      return vmInsertPage(k, v, BASE, page)
    })
    return { k, p, page }
  }

  it("keeps its hands off I/O memory, though a page is there [R-NEW-08]", () => {
    const { k, p, page } = device(VM_IO)
    expect(p.load(BASE)).toBe(4) // its own user may
    expect(gup(p, BASE)).toBe(EFAULT)
    expect(gup(p, BASE, true)).toBe(EFAULT)
    expect(k.frames.refcount(page)).toBe(2)
    k.frames.put(page)
    checkMm(k)
  })

  it("takes a page of a mixed map that is no I/O memory, with a reference [R-NEW-08]", () => {
    const { k, p, page } = device(VM_DONTEXPAND)
    expect(gup(p, BASE)).toBe(page)
    expect(k.frames.refcount(page)).toBe(3)
    k.frames.put(page)
    k.frames.put(page)
    checkMm(k)
  })

  it("keeps its hands off PFN maps [R-NEW-08]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    mapDevice(p, BASE, 1, RW, SHARED, (v) => (vmFlagsMod(k, v, VM_PFNMAP, 0), OK))
    expect(gup(p, BASE)).toBe(EFAULT)
    checkMm(k)
  })

  it("faults in anonymous memory, for writing a page of its own [R-NEW-08]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 2, RW)
    const page = gup(p, BASE, true)
    expect(page).toBe(p.frame(BASE))
    expect([p.pages(BASE, BASE + 2), k.frames.refcount(page)]).toEqual(["a.", 2])
    k.frames.put(page)
    checkMm(k)
  })

  it.each([
    ["where nothing is mapped", BASE + 1, false, EFAULT],
    ["for writing what may only be read", BASE, true, EFAULT]
  ])("gives an error %s [R-NEW-08]", (_, vpn, write, want) => {
    const { k, p, page } = device(0, PROT_READ)
    expect(gup(p, vpn, write)).toBe(want)
    k.frames.put(page)
    checkMm(k)
  })

  it("gives ENOMEM where no frame is left, and wants mmap_lock [R-NEW-08]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 1, RW)
    withMmap(k, p.mm, READ, () => {
      k.fail.arm(1)
      expect(held(p, BASE, true)).toBe(ENOMEM)
      k.fail.arm(0)
    })
    expect(() => done(k, () => getUserPage(k, p.mm, BASE, false))).toThrow(/mmap_lock .* is not held/)
    checkMm(k)
  })
})
