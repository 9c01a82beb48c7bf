/** brk: flags of the heap, and limits. The rest is in test/mm/sys/brk.test.ts. */
import * as MCL from "../../../lib/flags/MlockallFlags.ts"
import * as PR from "../../../lib/flags/PrctlFlags.ts"
import { describe, expect, it } from "vitest"
import { BRK, START_BRK } from "../../../lib/mm/store/mms.ts"
import { RLIMIT_MEMLOCK } from "../../../lib/mm/store/tasks.ts"
import { brk } from "../../../lib/mm/sys/brk.ts"
import { mlockall, munlockall } from "../../../lib/mm/sys/mlock.ts"
import { prctl } from "../../../lib/mm/sys/prctl.ts"
import { at } from "./words.ts"
import { type Proc, world } from "./world.ts"

/** A process whose heap begins at a0. */
function heap(): Proc {
  const p = world()
  p.k.mms.setStat(p.mm, START_BRK, at("a0"))
  p.k.mms.setStat(p.mm, BRK, at("a0"))
  return p
}

describe("brk", () => {
  it("makes private read-write memory that may be executed, is charged, and is absent [L-BRK-05]", () => {
    const p = heap()
    expect([p.sys(brk, at("a2")), p.flags("a0"), p.pages("a0+2")]).toEqual(["a2", "rd wr mr mw me ac", ".."])
    expect([p.counts(), p.committed]).toEqual(["total 2 data 2", 2])
  })

  it("locks and brings in new pages where all that comes is to be locked [L-BRK-05]", () => {
    const p = heap()
    p.sys(brk, at("a1"))
    p.sys(mlockall, MCL.FUTURE)
    expect(p.sys(brk, at("a3"))).toBe("a3")
    expect([p.areas(), p.pages("a0+3")]).toEqual([["a0 rw-p", "a1+2 rw-p lo"], ".AA"])
    expect(p.counts()).toBe("total 3 locked 2 data 3")
    p.sys(mlockall, MCL.FUTURE | MCL.ONFAULT)
    p.sys(brk, at("a4"))
    expect([p.flags("a3"), p.pages("a3")], "when it is touched").toEqual(["rd wr mr mw me lo lf ac", "."])
    p.sys(munlockall)
    p.sys(brk, at("a5"))
    expect(p.areas(), "what was locked is not any more").toEqual(["a0+5 rw-p"])
  })

  it("lets KSM merge new pages where it may merge everything [L-BRK-05]", () => {
    const p = heap()
    p.sys(brk, at("a1"))
    p.sys(prctl, PR.SET_MEMORY_MERGE, 1, 0, 0, 0)
    p.sys(brk, at("a2"))
    expect(p.areas()).toEqual(["a0+2 rw-p mg"])
  })

  it("stays where it is when more would be locked than may be [L-BRK-12]", () => {
    const p = heap().asUser().limit(RLIMIT_MEMLOCK, 2)
    p.sys(mlockall, MCL.FUTURE)
    expect([p.sys(brk, at("a3")), p.areas()]).toEqual(["a0", []])
    expect([p.sys(brk, at("a2")), p.sys(brk, at("a3"))]).toEqual(["a2", "a2"])
    p.sys(munlockall)
    expect(p.sys(brk, at("a3"))).toBe("a3")
  })
})
