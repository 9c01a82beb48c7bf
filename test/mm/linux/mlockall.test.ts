/** mlockall, munlockall: everything that is mapped, and everything that will be. */
import * as MCL from "../../../lib/flags/MlockallFlags.ts"
import * as MLOCK from "../../../lib/flags/MlockFlags.ts"
import * as MREMAP from "../../../lib/flags/MremapFlags.ts"
import { describe, expect, it } from "vitest"
import * as MADV from "../../../lib/flags/AdviceFlags.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { BRK, START_BRK } from "../../../lib/mm/store/mms.ts"
import { RLIMIT_MEMLOCK } from "../../../lib/mm/store/tasks.ts"
import { brk } from "../../../lib/mm/sys/brk.ts"
import { mlockall, munlockall } from "../../../lib/mm/sys/mlock.ts"
import { ANON, at, RO, RW } from "./words.ts"
import { type Proc, world } from "./world.ts"

/** Somebody who may lock so many pages. */
const user = (p: Proc, pages: number): Proc => p.asUser().limit(RLIMIT_MEMLOCK, pages)

describe("mlockall", () => {
  it("refuses what it does not know before it asks for rights [L-MLK-14]", () => {
    const p = user(world("a"), 0)
    expect([0, 8, MCL.ONFAULT, MCL.CURRENT | 8].map((flags) => p.sys(mlockall, flags))).toEqual(Array(4).fill("EINVAL"))
    expect([MCL.CURRENT, MCL.FUTURE, 7].map((flags) => p.sys(mlockall, flags))).toEqual(Array(3).fill("EPERM"))
  })

  it("measures the whole address space against the limit, and passes over what fails [L-MLK-15]", () => {
    const p = user(world("aana"), 3)
    p.madvise("a0", MADV.GUARD_INSTALL)
    expect([p.sys(mlockall, MCL.CURRENT), p.areas()[0]]).toEqual(["ENOMEM", "a0+2 rw-p gu"])
    p.limit(RLIMIT_MEMLOCK, 3)
    p.k.tasks.setCaps(p.task, -1)
    expect(p.sys(mlockall, MCL.CURRENT)).toBe("ok")
    expect([p.areas(), p.pages("a0+4")]).toEqual([["a0+2 rw-p gu lo", "a2 ---p lo", "a3 rw-p lo"], "g..A"])
  })

  it("locks what is to come: anonymous memory, files, the heap, stacks; until a call that does not say so [L-MLK-16]", () => {
    const p = world("a")
    const fd = p.open("/f", 2)
    for (const field of [START_BRK, BRK]) p.k.mms.setStat(p.mm, field, at("a40"))
    p.sys(mlockall, MCL.FUTURE)
    p.mmap("a4", RW)
    p.mmap("a6+2", RO, MAP.SHARED, fd)
    p.mmap("a9", RW, ANON | MAP.GROWSDOWN)
    p.sys(brk, at("a41"))
    expect(p.areas()).toEqual(["a0 rw-p", "a4 rw-p lo", "a6+2 r--s lo", "a9 rw-p gd lo", "a40 rw-p lo"])
    expect(["a4", "a6+2", "a9", "a40"].map((range) => p.pages(range as "a4"))).toEqual(["A", "FF", "A", "A"])
    p.sys(mlockall, MCL.FUTURE | MCL.ONFAULT)
    p.mmap("a12", RW)
    p.sys(mlockall, MCL.CURRENT)
    p.mmap("a14", RW)
    expect([p.flags("a12"), p.flags("a14")], "modes do not add up").toEqual([
      "rd wr mr mw me lo ac",
      "rd wr mr mw me ac"
    ])
  })

  it("for the future alone touches nothing there is, and is measured against nothing [L-MLK-17]", () => {
    const p = user(world("aaa"), 1)
    expect([p.sys(mlockall, MCL.FUTURE), p.areas(), p.counts()]).toEqual(["ok", ["a0+3 rw-p"], "total 3 data 3"])
  })

  it("is undone for all areas, now and to come; they become one again [L-MLK-18]", () => {
    const p = world("aaa")
    p.mlock("a1", MLOCK.ONFAULT)
    p.sys(mlockall, MCL.FUTURE)
    p.mmap("a5", RW)
    expect(p.areas()).toEqual(["a0 rw-p", "a1 rw-p lo lf", "a2 rw-p", "a5 rw-p lo"])
    expect(p.sys(munlockall)).toBe("ok")
    p.mmap("a7", RW)
    expect([p.areas(), p.counts()]).toEqual([["a0+3 rw-p", "a5 rw-p", "a7 rw-p"], "total 5 data 5"])
  })

  it("for the future limits mappings, the heap, stacks and mremap [L-MLK-19]", () => {
    const p = user(world(), 3)
    for (const field of [START_BRK, BRK]) p.k.mms.setStat(p.mm, field, at("a40"))
    p.sys(mlockall, MCL.FUTURE)
    expect([p.mmap("a300", RW, ANON | MAP.GROWSDOWN), p.mmap("a0+3", RW)]).toEqual(["a300", "EAGAIN"])
    expect([p.write("a299"), p.write("a298"), p.write("a297")]).toEqual(["ok", "ok", "SEGV_MAPERR"])
    expect([p.sys(brk, at("a41")), p.mremap("a298", 2, MREMAP.MAYMOVE)]).toEqual(["a40", "EAGAIN"])
    p.munmap("a298+3")
    p.mmap("a0+2", RW)
    expect([p.mremap("a0+2", 3), p.mremap("a0+3", 4)]).toEqual(["a0", "EAGAIN"])
    expect([p.areas(), p.counts()]).toEqual([["a0+3 rw-p lo"], "total 3 locked 3 data 3"])
  })
})
