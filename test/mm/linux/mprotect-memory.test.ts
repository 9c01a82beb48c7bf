/** mprotect: what is promised and counted, and what becomes of the pages. */
import * as MLOCK from "../../../lib/flags/MlockFlags.ts"
import { describe, expect, it } from "vitest"
import { DONTNEED_LOCKED } from "../../../lib/flags/AdviceFlags.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { FILE_ZERO } from "../../../lib/mm/store/files.ts"
import { RLIMIT_DATA } from "../../../lib/mm/store/tasks.ts"
import { ANON, NONE, RO, RW, RX, RWX, SHARED_ANON } from "./words.ts"
import { type Proc, world } from "./world.ts"

const { PRIVATE, SHARED } = MAP
const isCharged = (p: Proc): boolean => p.flags("a0").split(" ").includes("ac")

describe("the promise", () => {
  it("is made when private memory becomes writable, once; never for MAP_NORESERVE or shared memory [L-MPR-09]", () => {
    const p = world("b")
    expect(p.mprotect("a0", RW)).toBe("ok")
    expect([isCharged(p), p.committed]).toEqual([true, 1])
    p.write("a0")
    p.mprotect("a0", RO)
    p.mprotect("a0", RW)
    expect([isCharged(p), p.committed]).toEqual([true, 1])
    for (const flags of [ANON | MAP.NORESERVE, SHARED_ANON]) {
      const q = world()
      q.mmap("a0", RO, flags)
      const before = q.committed
      expect(q.mprotect("a0", RW)).toBe("ok")
      expect([isCharged(q), q.committed - before]).toEqual([false, 0])
    }
    const small = world("", { ramPages: 64 })
    small.mmap("a0+65", RO)
    expect(small.mprotect("a0+65", RW), "more than there is").toBe("ENOMEM")
  })

  it("ends with the right to write only where nothing can have been written [L-MPR-10]", () => {
    for (const [written, what, open, keeps] of [
      [false, "anonymous", () => -1, false],
      [true, "anonymous", () => -1, true],
      [false, "zero", (p: Proc) => p.special(FILE_ZERO), false],
      [true, "zero", (p: Proc) => p.special(FILE_ZERO), true],
      [false, "file", (p: Proc) => p.open("/f"), true]
    ] as const) {
      const p = world()
      p.mmap("a0", RW, what === "anonymous" ? ANON : PRIVATE, open(p))
      if (written) p.write("a0")
      p.mprotect("a0", RO)
      expect([isCharged(p), p.committed], `${what} ${written}`).toEqual(keeps ? [true, 1] : [false, 0])
    }
  })

  it("for a private file stays, once it was made [L-MPR-11]", () => {
    const p = world()
    p.mmap("a0", RO, PRIVATE, p.open("/f"))
    expect(isCharged(p)).toBe(false)
    p.mprotect("a0", RW)
    p.mprotect("a0", RO)
    expect([isCharged(p), p.committed]).toEqual([true, 1])
  })
})

describe("the data limit", () => {
  it("refuses only who comes to exceed it by this change [L-MPR-12]", () => {
    const p = world("aabb").limit(RLIMIT_DATA, 3)
    expect(p.mprotect("a2+2", RW)).toBe("ENOMEM")
    expect(p.mprotect("a2", RW)).toBe("ok")
    const over = world("aabb").limit(RLIMIT_DATA, 1)
    expect(over.mprotect("a0+2", RWX), "it exceeded it before").toBe("ok")
    expect(over.mprotect("a2", RW)).toBe("ENOMEM")
  })

  it("counts what is not promised, too [L-MPR-13]", () => {
    const p = world()
    p.mmap("a0+2", RO, ANON | MAP.NORESERVE)
    expect(p.mprotect("a0+2", RW)).toBe("ok")
    expect([p.counts(), p.committed]).toEqual(["total 2 data 2", 0])
    p.limit(RLIMIT_DATA, 2)
    p.mmap("a2", RO, ANON | MAP.NORESERVE)
    expect(p.mprotect("a2", RW)).toBe("ENOMEM")
  })

  it("is about a class, and mprotect moves memory from one to the other; a stack stays what it is [L-MPR-17]", () => {
    const p = world("aa")
    p.mmap("a4+2", RW, ANON | MAP.GROWSDOWN)
    expect(p.counts()).toBe("total 4 data 2 stack 2")
    p.mprotect("a0", RX)
    expect(p.counts()).toBe("total 4 data 1 exec 1 stack 2")
    p.mprotect("a0+2", RO)
    expect(p.counts()).toBe("total 4 stack 2")
    p.mprotect("a4+2", RX)
    expect(p.counts()).toBe("total 4 stack 2")
  })
})

describe("locked memory", () => {
  it("that is private and becomes writable gets its copies at once [L-MPR-14]", () => {
    const p = world()
    p.mmap("a0+2", RO, ANON | MAP.LOCKED)
    p.mmap("a2+2", RO, PRIVATE | MAP.LOCKED, p.memfd(2))
    expect(p.pages("a0+4")).toBe("zzFF")
    p.mprotect("a0+4", RW)
    expect(p.pages("a0+4")).toBe("AAAA")
    expect(p.read("a0+4")).toBe("0 0 1 2")
    p.mmap("a4+2", RO, SHARED | MAP.LOCKED, p.memfd(2))
    p.madvise("a4+2", DONTNEED_LOCKED)
    p.mprotect("a4+2", RW)
    expect(p.pages("a4+2"), "not shared memory").toBe("..")
    p.mmap("a6+2", NONE)
    p.mlock("a6+2", MLOCK.ONFAULT)
    p.mprotect("a6+2", RW)
    expect(p.pages("a6+2"), "nor what is locked when it is touched").toBe("..")
  })

  it("that may be read from now on stays out until it is touched [L-MPR-15]", () => {
    const p = world()
    p.mmap("a0+2", NONE, ANON | MAP.LOCKED)
    p.mprotect("a0+2", RO)
    expect(p.pages("a0+2")).toBe("..")
    expect(p.read("a0")).toBe("0")
    expect(p.pages("a0+2")).toBe("z.")
  })
})

describe("a page", () => {
  it("outlives PROT_NONE with its contents [L-MPR-16]", () => {
    const p = world("aa")
    p.write("a0")
    p.mprotect("a0+2", NONE)
    expect(p.read("a0")).toBe("SEGV_ACCERR")
    expect(p.pages("a0+2")).toBe("A.")
    p.mprotect("a0+2", RO)
    expect(p.read("a0+2")).toBe("101 0")
  })

  it("that is present has the new protection at once, and loses none of its contents [L-MPR-24]", () => {
    const p = world("aa")
    p.write("a0")
    p.read("a1")
    const shared = p.fork()
    p.mprotect("a0+2", RO)
    expect(p.write("a0+2")).toBe("SEGV_ACCERR SEGV_ACCERR")
    p.mprotect("a0+2", RW)
    expect(p.write("a0+2", 9), "a page that the child has too, and the page of zeroes, are not written through").toBe(
      "ok"
    )
    expect([p.read("a0+2"), shared.read("a0+2")]).toEqual(["9 9", "101 0"])
    p.mprotect("a0+2", RX)
    expect([p.read("a0+2"), p.write("a0")]).toEqual(["9 9", "SEGV_ACCERR"])
    expect(p.pages("a0+2")).toBe("AA")
  })
})
