/** mseal: what it takes, what it forbids, and what it leaves. */
import * as MREMAP from "../../../lib/flags/MremapFlags.ts"
import { describe, expect, it } from "vitest"
import * as MADV from "../../../lib/flags/AdviceFlags.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { flagLetters } from "../../../lib/mm/proc/smaps.ts"
import { BRK, START_BRK } from "../../../lib/mm/store/mms.ts"
import { RLIMIT_STACK } from "../../../lib/mm/store/tasks.ts"
import { brk } from "../../../lib/mm/sys/brk.ts"
import { ftruncate } from "../../../lib/mm/sys/file.ts"
import { mbind, MPOL_BIND } from "../../../lib/mm/sys/mbind.ts"
import { mlockall, munlockall } from "../../../lib/mm/sys/mlock.ts"
import { pkeyMprotect } from "../../../lib/mm/sys/mprotect.ts"
import { msync } from "../../../lib/mm/sys/msync.ts"
import { remapFilePages } from "../../../lib/mm/sys/remap-file-pages.ts"
import { uffdRegister, uffdUnregister } from "../../../lib/mm/sys/uffd-register.ts"
import { uffdApi, userfaultfd } from "../../../lib/mm/sys/userfaultfd.ts"
import * as UFFD from "../../../lib/flags/UffdFlags.ts"
import { mseal } from "../../../lib/mm/sys/seal.ts"
import { VM_GROWSDOWN } from "../../../lib/flags/bits.ts"
import { ANON, at, NONE, RO, RW, SHARED_ANON } from "./words.ts"
import { type Proc, world } from "./world.ts"

const raw = (p: Proc, addr: number, len: number, flags = 0): string => p.sys(mseal, addr, len, flags)

/** Advice that loses data, and advice that does not. */
const DISCARDING = [
  MADV.FREE,
  MADV.DONTNEED,
  MADV.DONTNEED_LOCKED,
  MADV.REMOVE,
  MADV.DONTFORK,
  MADV.WIPEONFORK,
  MADV.GUARD_INSTALL
]

describe("mseal", () => {
  it("looks at flags, alignment and length, in that order, and then for holes [L-SEAL-E1..L-SEAL-E5]", () => {
    const p = world("aa")
    expect([raw(p, at("a0") + 1, 0, 1), raw(p, at("a9"), 0, 1)], "flags").toEqual(["EINVAL", "EINVAL"])
    expect([raw(p, at("a0") + 1, 0), raw(p, at("a0") + 1, 4096)], "unaligned").toEqual(["EINVAL", "EINVAL"])
    expect([raw(p, at("a0"), -1), raw(p, at("a0"), -4096)], "rounds to 0, wraps").toEqual(["EINVAL", "EINVAL"])
    expect([raw(p, at("a0"), 0), raw(p, at("a9"), 0)], "nothing to do, wherever").toEqual(["ok", "ok"])
    expect([raw(p, at("a0"), 3 * 4096), raw(p, at("a9"), 4096)]).toEqual(["ENOMEM", "ENOMEM"])
    expect(p.areas()).toEqual(["a0+2 rw-p"])
    expect(raw(p, at("a0"), 1), "a whole page").toBe("ok")
    expect(p.areas()).toEqual(["a0 rw-p sl", "a1 rw-p"])
  })

  it("fails where there would be too many areas; those before stay sealed [L-SEAL-E6]", () => {
    const p = world("ab|a", { maxMapCount: 3 })
    expect(p.mseal("a0+3")).toBe("ok")
    const q = world("aab", { maxMapCount: 3 })
    expect(q.mmap("a5", RO)).toBe("a5")
    expect(q.mseal("a0")).toBe("ENOMEM")
    expect(q.areas()).toEqual(["a0+2 rw-p", "a2 r--p", "a5 r--p"])
    const r = world("acc|a", { maxMapCount: 3 })
    expect(r.mseal("a0+2"), "the first is whole, the second is to be cut").toBe("ENOMEM")
    expect(r.areas()).toEqual(["a0 rw-p sl", "a1+2 r-xp", "a3 rw-p"])
  })

  it("cuts and merges as any change of flags does; again it changes nothing [L-SEAL-01]", () => {
    const p = world("aaaa")
    expect(p.mseal("a1")).toBe("ok")
    expect(p.areas()).toEqual(["a0 rw-p", "a1 rw-p sl", "a2+2 rw-p"])
    expect(p.mseal("a0+2")).toBe("ok")
    expect(p.areas()).toEqual(["a0+2 rw-p sl", "a2+2 rw-p"])
    expect(p.mseal("a0+2")).toBe("ok")
    expect(p.mseal("a1+3")).toBe("ok")
    expect(p.areas()).toEqual(["a0+4 rw-p sl"])
  })

  it("seals nothing where there is a hole anywhere [L-SEAL-02]", () => {
    const p = world("aa.b")
    expect([p.mseal("a0+4"), p.mseal("a1+2"), p.mseal("a2+2")]).toEqual(Array(3).fill("ENOMEM"))
    expect(p.areas()).toEqual(["a0+2 rw-p", "a3 r--p"])
  })

  it("is the last of the flags, `sl` [L-SEAL-10]", () => {
    const p = world("a")
    p.madvise("a0", MADV.MERGEABLE)
    p.mseal("a0")
    expect(p.flags("a0")).toBe("rd wr mr mw me ac mg sl")
    expect(flagLetters(-1, -1).endsWith("sl")).toBe(true)
  })
})

describe("sealed memory", () => {
  it("is not unmapped, moved, resized, replaced or protected, even to what it is [L-SEAL-03]", () => {
    const p = world("aa.b")
    p.mseal("a0+2")
    const refused = [
      p.munmap("a0"),
      p.munmap("a0+4"),
      p.mremap("a0", 2),
      p.mremap("a0+2", 1),
      p.mremap("a0+2", "a9+2"),
      p.mremap("a0", "a9", MREMAP.MAYMOVE | MREMAP.DONTUNMAP),
      p.mremap("a3", "a1"),
      p.mmap("a1", RW),
      p.mmap("a1+2", RW),
      p.mprotect("a0", RO),
      p.mprotect("a0", RW),
      p.sys(pkeyMprotect, at("a0"), 4096, RW, -1)
    ]
    expect(refused).toEqual(Array(refused.length).fill("EPERM"))
    expect(p.areas()).toEqual(["a0+2 rw-p sl", "a3 r--p"])
  })

  it("is not taken from the heap, nor remapped within its file [L-SEAL-03]", () => {
    const p = world()
    p.k.mms.setStat(p.mm, START_BRK, at("a0"))
    p.k.mms.setStat(p.mm, BRK, at("a0"))
    expect(p.sys(brk, at("a4"))).toBe("a4")
    p.mseal("a2")
    expect(p.sys(brk, at("a1")), "the break is where it was").toBe("a4")
    p.mmap("a10+2", RW, MAP.SHARED, p.memfd(4))
    p.mseal("a10+2")
    expect(p.sys(remapFilePages, at("a10"), 4096, 0, 1, 0)).toBe("EPERM")
    p.mprotect("a0", RO)
    p.mseal("a0")
    expect(p.madvise("a0", MADV.DONTNEED)).toBe("EPERM")
  })

  it("may lose data where it may be written, or has a file; not where it is private and read-only [L-SEAL-04]", () => {
    for (const advice of DISCARDING) {
      const p = world("abn")
      p.mmap("a4", RO, SHARED_ANON)
      p.mmap("a5", RO, MAP.PRIVATE, p.memfd(1))
      p.mmap("a6", RO, MAP.SHARED, p.memfd(1))
      for (const page of ["a0", "a1", "a2", "a4", "a5", "a6"] as const) p.mseal(page)
      expect([p.madvise("a1", advice), p.madvise("a2", advice)], `advice ${advice}`).toEqual(["EPERM", "EPERM"])
      for (const page of ["a0", "a4", "a5", "a6"] as const)
        expect(p.madvise(page, advice), `advice ${advice} at ${page}`).not.toBe("EPERM")
    }
  })

  it("takes every other advice [L-SEAL-04, L-SEAL-05]", () => {
    for (const advice of [
      MADV.NORMAL,
      MADV.RANDOM,
      MADV.WILLNEED,
      MADV.DOFORK,
      MADV.KEEPONFORK,
      MADV.MERGEABLE,
      MADV.HUGEPAGE,
      MADV.NOHUGEPAGE,
      MADV.DONTDUMP,
      MADV.COLD,
      MADV.PAGEOUT,
      MADV.POPULATE_READ,
      MADV.GUARD_REMOVE
    ]) {
      const p = world("b")
      p.mseal("a0")
      expect(p.madvise("a0", advice), `advice ${advice}`).toBe("ok")
    }
  })

  it("is locked, unlocked, synchronised and brought in like any other [L-SEAL-05]", () => {
    const p = world("bb")
    p.mseal("a0+2")
    expect([
      p.mlock("a0"),
      p.munlock("a0"),
      p.sys(mlockall, 1),
      p.sys(munlockall),
      p.sys(msync, at("a0"), 4096, 4)
    ]).toEqual(Array(5).fill("ok"))
    expect([p.pages("a0+2"), p.areas()], "populated").toEqual(["zz", ["a0+2 r--p sl"]])
  })

  it("has a policy put on it, and is registered with a userfaultfd, which both split it [L-SEAL-05]", () => {
    const p = world("aaaa")
    p.mseal("a0+4")
    expect(p.sys(mbind, at("a3"), 4096, MPOL_BIND, 1, 0)).toBe("ok")
    expect(p.areas()).toEqual(["a0+3 rw-p sl", "a3 rw-p sl"])
    const fd = userfaultfd(p.k, p.task, 0)
    expect(uffdApi(p.k, p.task, fd, UFFD.API, 0)).toBe(0)
    expect(p.sys(uffdRegister, fd, at("a1"), 4096, UFFD.REGISTER_MODE_MISSING)).toBe("ok")
    expect(p.areas()).toEqual(["a0 rw-p sl", "a1 rw-p um sl", "a2 rw-p sl", "a3 rw-p sl"])
    expect(p.sys(uffdUnregister, fd, at("a1"), 4096)).toBe("ok")
    expect(p.areas()).toEqual(["a0+3 rw-p sl", "a3 rw-p sl"])
  })

  it("grows as a stack, and loses what is cut off its file [L-SEAL-05]", () => {
    const p = world()
    p.mmap("a600+2", RW, ANON | MAP.GROWSDOWN)
    p.k.tasks.setRlimit(p.task, RLIMIT_STACK, 2 ** 20, Infinity)
    p.mseal("a600+2")
    expect(p.write("a598")).toBe("ok")
    expect(p.areas()).toEqual(["a598+4 rw-p gd sl"])
    expect(p.k.vmas.flags(p.area("a598")) & VM_GROWSDOWN).toBe(VM_GROWSDOWN)
    const fd = p.memfd(2)
    p.mmap("a0+2", RW, MAP.SHARED, fd)
    p.mseal("a0+2")
    expect([p.read("a1"), p.sys(ftruncate, fd, 4096), p.read("a1")]).toEqual(["2", "ok", "SIGBUS"])
  })

  it("is sealed in a child too, and goes with it [L-SEAL-06, L-EXIT-02]", () => {
    const p = world("a")
    p.mseal("a0")
    const child = p.fork()
    expect([child.munmap("a0"), child.areas()]).toEqual(["EPERM", ["a0 rw-p sl"]])
    child.exit()
    expect(p.areas()).toEqual(["a0 rw-p sl"])
  })

  it("may be a special mapping [L-SEAL-07]", () => {
    const p = world().placeSpecial("vdso", "a0+2")
    expect([p.mseal("a0+2"), p.munmap("a0+2"), p.mprotect("a0+2", RO)]).toEqual(["ok", "EPERM", "EPERM"])
  })

  it("is not joined by new memory until that is sealed itself [L-SEAL-08]", () => {
    const p = world("aa")
    p.mseal("a0+2")
    p.mmap("a2+2", RW)
    expect(p.areas()).toEqual(["a0+2 rw-p sl", "a2+2 rw-p"])
    p.mseal("a2")
    expect(p.areas()).toEqual(["a0+3 rw-p sl", "a3 rw-p"])
  })

  it("is found area by area: what a call did before stays, but munmap and MAP_FIXED do all or nothing [L-SEAL-09]", () => {
    const p = world("aabb")
    p.mseal("a2+2")
    expect([p.mprotect("a0+4", NONE), p.areas()]).toEqual(["EPERM", ["a0+2 ---p", "a2+2 r--p sl"]])
    p.mprotect("a0+2", RW)
    p.write("a0+2")
    expect([p.madvise("a0+4", MADV.DONTNEED), p.pages("a0+2")]).toEqual(["EPERM", ".."])
    expect(p.mremap("a0+4", "a20+4"), "the first area moves").toBe("EPERM")
    expect(p.areas()).toEqual(["a2+2 r--p sl", "a20+2 rw-p"])
    const q = world("aab")
    q.mseal("a2")
    expect([q.munmap("a1+2"), q.mmap("a1+2", RO)]).toEqual(["EPERM", "EPERM"])
    expect(q.areas(), "but for the cut at its start").toEqual(["a0 rw-p", "a1 rw-p", "a2 r--p sl"])
  })
})
