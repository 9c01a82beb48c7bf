/** mprotect and pkey_mprotect: how far they get, and what they refuse. */
import * as PR from "../../../lib/flags/PrctlFlags.ts"
import { describe, expect, it } from "vitest"
import * as MADV from "../../../lib/flags/AdviceFlags.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { EXEC, GROWSDOWN, GROWSUP, SEM, WRITE } from "../../../lib/flags/ProtFlags.ts"
import { FILE_NOEXEC, FMODE_READ } from "../../../lib/mm/store/files.ts"
import { mprotect, pkeyMprotect } from "../../../lib/mm/sys/mprotect.ts"
import { setMdwe } from "../../../lib/mm/sys/prctl.ts"
import { ANON, at, NONE, RO, RW, RWX, RX } from "./words.ts"
import { world } from "./world.ts"

const { PRIVATE, SHARED } = MAP

describe("mprotect over several areas", () => {
  it("goes from one to the next, and stops at a hole: what came before is changed [L-MPR-03]", () => {
    const p = world("aac.aa")
    expect(p.mprotect("a0+6", RO)).toBe("ENOMEM")
    expect(p.draw()).toBe("aaa.bb")
    expect(p.areas()).toEqual(["a0+3 r--p", "a4+2 rw-p"])
  })

  it("with a hole at its start changes nothing [L-MPR-04]", () => {
    const p = world(".aa")
    expect(p.mprotect("a0+3", RO)).toBe("ENOMEM")
    expect(p.mprotect("a5", RO)).toBe("ENOMEM")
    expect(p.areas()).toEqual(["a1+2 rw-p"])
  })

  it("stops at the first that refuses, too [L-MPR-03, L-MPR-06]", () => {
    const p = world("aabaa")
    p.mseal("a2")
    expect(p.mprotect("a0+5", NONE)).toBe("EPERM")
    expect(p.areas()).toEqual(["a0+2 ---p", "a2 r--p sl", "a3+2 rw-p"])
  })

  it("that has what is wanted does no work and makes no split [L-MPR-22]", () => {
    const p = world("aaaa", { maxMapCount: 1 })
    p.write("a0+4")
    expect(p.mprotect("a1+2", RW)).toBe("ok")
    expect(p.mprotect("a1+2", RW | SEM)).toBe("ok")
    expect(p.draw()).toBe("aaaa")
    expect(p.mprotect("a1+2", RO), "where there would be work").toBe("ENOMEM")
    const q = world("bb")
    q.mmap("a2+4", RW, ANON | MAP.NORESERVE)
    expect(q.mprotect("a0+4", RW), "nor as the last of several").toBe("ok")
    expect(q.areas()).toEqual(["a0+2 rw-p", "a2+4 rw-p nr"])
  })
})

describe("a right", () => {
  it("is had only where the mapping may ever have it [L-MPR-05]", () => {
    const p = world()
    p.mmap("a0", RO, SHARED, p.open("/f", 4, FMODE_READ))
    expect(p.mprotect("a0", RW)).toBe("EACCES")
    expect(p.mprotect("a0", RX)).toBe("ok")
    const fd = p.open("/f")
    p.k.files.setFlags(p.k.tasks.file(p.task, fd), FILE_NOEXEC)
    p.mmap("a1", RO, PRIVATE, fd)
    expect(p.mprotect("a1", RX)).toBe("EACCES")
    expect(p.mprotect("a1", RW)).toBe("ok")
  })

  it("is not changed in sealed memory, not even to what it is; that it may not be had is said first [L-MPR-06]", () => {
    const p = world("a")
    p.mmap("a1", RO, SHARED, p.open("/f", 4, FMODE_READ))
    p.mseal("a0+2")
    expect(p.mprotect("a0", RW)).toBe("EPERM")
    expect(p.mprotect("a0", RO)).toBe("EPERM")
    expect(p.mprotect("a1", RO)).toBe("EPERM")
    expect(p.mprotect("a1", RW)).toBe("EACCES")
  })

  it("to execute is never gained under MDWE, nor kept beside the one to write [L-MPR-20]", () => {
    const p = world("a")
    p.mmap("a1", RWX)
    p.mmap("a2", RX)
    p.sys(setMdwe, PR.MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)
    expect(p.mprotect("a0", RX)).toBe("EACCES")
    expect(p.mprotect("a0", EXEC)).toBe("EACCES")
    expect(p.mprotect("a1", RWX)).toBe("EACCES")
    expect(p.mprotect("a1", RW)).toBe("ok")
    expect(p.mprotect("a1", RX), "gone for good").toBe("EACCES")
    expect(p.mprotect("a2", RX)).toBe("ok")
    expect(p.mprotect("a2", RX | WRITE)).toBe("EACCES")
    expect(p.mprotect("a2", EXEC)).toBe("ok")
  })
})

describe("PROT_GROWSDOWN", () => {
  it("extends the range down to the start of its stack, from the hole below it too [L-MPR-07]", () => {
    const p = world()
    p.mmap("a300+2", RW, ANON | MAP.GROWSDOWN)
    expect(p.mprotect("a298+2", RO | GROWSDOWN), "ends below it").toBe("ENOMEM")
    expect(p.mprotect("a298+3", RO | GROWSDOWN)).toBe("ok")
    expect(p.areas()).toEqual(["a300 r--p gd", "a301 rw-p gd"])
    p.mprotect("a300", RW)
    expect(p.mprotect("a301", NONE | GROWSDOWN)).toBe("ok")
    expect(p.areas(), "from its middle down to its start").toEqual(["a300+2 ---p gd"])
  })

  it("wants a stack [L-MPR-07, L-MPR-E7]", () => {
    const p = world("aa")
    expect(p.mprotect("a1", RO | GROWSDOWN)).toBe("EINVAL")
    expect(p.mprotect("a1", RO | GROWSUP)).toBe("EINVAL")
    expect(p.mprotect("a1", RO | GROWSDOWN | GROWSUP)).toBe("EINVAL")
    expect(p.draw()).toBe("aa")
  })
})

describe("special mappings", () => {
  it("[vvar] may be read or not; it is never written, executed or cut [L-MPR-21]", () => {
    const p = world().placeSpecial("vvar", "a0+4")
    expect(p.mprotect("a0+4", NONE)).toBe("ok")
    expect(p.mprotect("a0+4", RO)).toBe("ok")
    expect(p.mprotect("a0+4", RW)).toBe("EACCES")
    expect(p.mprotect("a0+4", RX)).toBe("EACCES")
    expect(p.mprotect("a0+2", NONE)).toBe("EINVAL")
    expect(p.areas()).toEqual(["a0+4 r--p pf io de dd"])
  })

  it("[vdso] may be everything, and then is charged for and counted as data; it is not cut either [L-MPR-21]", () => {
    const p = world().placeSpecial("vdso", "a0+2")
    expect(p.counts()).toBe("total 2 exec 2")
    expect(p.mprotect("a0", RO)).toBe("EINVAL")
    expect(p.mprotect("a0+2", RWX)).toBe("ok")
    expect(p.flags("a0")).toBe("rd wr ex mr mw me de ac")
    expect(p.counts()).toBe("total 2 data 2")
    expect(p.committed).toBe(2)
  })

  it("[vsyscall] is no area [L-MPR-23]", () => {
    const p = world("a")
    expect(p.sys(mprotect, 0xffff_ffff_ff60_0000n, 4096, RO)).toBe("ENOMEM")
  })
})

describe("pkey_mprotect, without keys in the processor", () => {
  it("knows key -1 alone, which is none; what is wrong with the range comes first [L-MPR-19, L-MPR-E5]", () => {
    const p = world("aa")
    expect(p.sys(pkeyMprotect, at("a0"), 4096, RO, -1)).toBe("ok")
    expect(p.draw()).toBe("ab")
    for (const key of [0, 1, 15, 99]) {
      expect(p.sys(pkeyMprotect, at("a1"), 4096, RO, key)).toBe("EINVAL")
      expect(p.sys(pkeyMprotect, at("a1"), 0, RO, key), "nothing to do").toBe("ok")
      expect(p.sys(pkeyMprotect, at("a9"), 4096, RO, key), "before the hole").toBe("EINVAL")
      expect(p.sys(pkeyMprotect, at("a1"), -1, RO, key), "after a range that wraps").toBe("ENOMEM")
    }
    expect(p.draw()).toBe("ab")
  })
})

describe("a guard marker", () => {
  it("stays where it is, whatever the protection around it [L-MPR-18]", () => {
    const p = world("aaa")
    p.write("a0+3")
    p.madvise("a1", MADV.GUARD_INSTALL)
    for (const prot of [RO, NONE, RW]) {
      expect(p.mprotect("a0+3", prot)).toBe("ok")
      expect(p.pages("a0+3")).toBe("AgA")
    }
    expect(p.read("a0+3")).toBe("101 SEGV_MAPERR 103")
  })
})
