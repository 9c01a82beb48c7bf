/** Page faults: by whom, with what signal, and what else they bring. See also test/mm/page/fault.test.ts. */
import { describe, expect, it } from "vitest"
import * as MADV from "../../../lib/flags/AdviceFlags.ts"
import { FAULT_MAPERR, FETCH, READ as READING } from "../../../lib/flags/FaultFlags.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { DIRTY, WRITE, YOUNG } from "../../../lib/flags/PteFlags.ts"
import * as UFFD from "../../../lib/flags/UffdFlags.ts"
import { WAIT_UFFD } from "../../../lib/mm/base/stop.ts"
import { fault } from "../../../lib/mm/page/fault.ts"
import { bitsAt } from "../../../lib/mm/page/walk.ts"
import { gatherStats, kibOf, kibOfPss, MemSizeStats } from "../../../lib/mm/proc/mem-size-stats.ts"
import { RLIMIT_STACK } from "../../../lib/mm/store/tasks.ts"
import { preadUser, pwriteUser } from "../../../lib/mm/sys/file.ts"
import { userLoad8, userStore8 } from "../../../lib/mm/sys/trap.ts"
import { uffdRegister, uffdUnregister } from "../../../lib/mm/sys/uffd-register.ts"
import { releaseFile, uffdApi, userfaultfd } from "../../../lib/mm/sys/userfaultfd.ts"
import { call } from "../../../lib/proof/testing/calls.ts"
import { Hand } from "../rows/world.ts"
import { A0, ANON, at, byteOrSignal, NONE, type Pages, parse, RO, RW } from "./words.ts"
import { type Proc, world } from "./world.ts"

/** What an instruction fetch meets. */
const fetch = (p: Proc, page: `a${number}`): string =>
  byteOrSignal(-call(p.k, () => fault(p.k, p.mm, parse(page)[0], FETCH)))
/** What smaps says of an area, in KiB. */
function smaps(p: Proc, page: `a${number}`): string {
  const all = new MemSizeStats()
  gatherStats(p.k, p.area(page), all)
  const { resident, pss, sharedClean, sharedDirty, privateClean, privateDirty } = all
  return `rss ${kibOf(resident)} pss ${kibOfPss(pss)} shared ${kibOf(sharedClean + sharedDirty)} private ${kibOf(privateClean + privateDirty)}`
}
/** Which bits of the entry are set: young, dirty, writable. */
function entry(p: Proc, page: `a${number}`): string {
  const bits = bitsAt(p.k, p.mm, parse(page)[0])
  return `${(bits & YOUNG) !== 0 ? "y" : "-"}${(bits & DIRTY) !== 0 ? "d" : "-"}${(bits & WRITE) !== 0 ? "w" : "-"}`
}

/** A userfaultfd that answers for missing pages of these. */
function registered(p: Proc, range: Pages, features = 0): number {
  const [page, pages] = parse(range)
  const fd = userfaultfd(p.k, p.task, 0)
  expect(fd).toBeGreaterThanOrEqual(0)
  expect(uffdApi(p.k, p.task, fd, UFFD.API, features)).toBe(0)
  expect(p.sys(uffdRegister, fd, page * 4096, pages * 4096, UFFD.REGISTER_MODE_MISSING)).toBe("ok")
  return fd
}

/** Closes a userfaultfd. */
function release(p: Proc, fd: number): void {
  p.close(fd)
  for (const f of p.k.released.splice(0)) call(p.k, () => releaseFile(p.k, f))
}

describe("signals", () => {
  it("of a guard are as if nothing were mapped, for every access [L-FLT-05]", () => {
    const p = world("ac")
    p.mmap("a2", RW, MAP.SHARED, p.memfd(1))
    for (const page of ["a0", "a1", "a2"] as const) {
      expect(p.madvise(page, MADV.GUARD_INSTALL)).toBe("ok")
      expect(p.read(page)).toBe("SEGV_MAPERR")
    }
    expect([p.write("a0"), p.write("a2"), fetch(p, "a1")]).toEqual(["SEGV_MAPERR", "SEGV_MAPERR", "SEGV_MAPERR"])
    expect([p.write("a1"), fetch(p, "a0")], "what the area forbids comes first").toEqual(["SEGV_ACCERR", "SEGV_ACCERR"])
  })

  it("of the old system-call page are as if nothing were mapped [L-FLT-07]", () => {
    const p = world("", { vsyscall: "xonly" })
    const page = 0xffff_ffff_ff60_0000n
    expect([userLoad8(p.k, p.mm, page), userStore8(p.k, p.mm, page, 1)]).toEqual([-FAULT_MAPERR, -FAULT_MAPERR])
  })

  it("are SIGBUS for the end of an object, for a special page that is not there, and for a userfaultfd that wants that [L-FLT-27, L-FLT-39]", () => {
    const p = world("aa").placeSpecial("vvar", "a4+4")
    p.mmap("a2+2", RW, MAP.SHARED, p.memfd(1))
    expect([p.read("a2+2"), p.read("a4+4")]).toEqual(["1 SIGBUS", "0 SIGBUS 0 SIGBUS"])
    const fd = registered(p, "a0+2", UFFD.FEATURE_SIGBUS)
    expect([p.read("a0"), p.write("a1"), p.pages("a0+2")]).toEqual(["SIGBUS", "SIGBUS", ".."])
    release(p, fd)
    expect(p.read("a0+2")).toBe("0 0")
  })

  it("of an access over the border of two pages name the second one, where that is what is missing [L-FLT-41]", () => {
    const p = world("a.a")
    p.write("a0")
    const { tlb } = p.k
    const meets = (access: () => number): string => {
      access()
      const code = tlb.takeFault()
      return `${byteOrSignal(-code)} at byte ${tlb.faultAddr[0]! - at("a0")}`
    }
    for (const back of [1, 2, 3]) expect(meets(() => tlb.load32(at("a1") - back))).toBe("SEGV_MAPERR at byte 4096")
    expect(meets(() => tlb.store32(at("a1") - 2, -1))).toBe("SEGV_MAPERR at byte 4096")
    expect(userLoad8(p.k, p.mm, at("a1") - 2), "nothing of it was stored").toBe(0)
    expect(
      meets(() => tlb.load32(at("a2") - 2)),
      "the first page, if that is missing"
    ).toBe("SEGV_MAPERR at byte 8190")
  })
})

describe("neighbours that are mapped along", () => {
  it("are for reading where the mapping is private, and writable at once where it is shared memory [L-FLT-21]", () => {
    const p = world()
    const fd = p.memfd(4)
    p.mmap("a0+4", RW, MAP.PRIVATE, fd)
    p.mmap("a16+4", RW, MAP.SHARED, fd)
    p.read("a0")
    p.read("a16")
    expect(["a1", "a2", "a17", "a18"].map((page) => entry(p, page as "a1"))).toEqual(["y--", "y--", "y-w", "y-w"])
    p.write("a17")
    expect([entry(p, "a17"), p.read("a1")]).toEqual(["ydw", "118"])
  })

  it("of one page twice in one address space are shared like any other [L-FLT-43]", () => {
    const p = world()
    const fd = p.memfd(2)
    p.mmap("a0+2", RW, MAP.SHARED, fd)
    p.mmap("a4+2", RO, MAP.PRIVATE, fd)
    p.read("a0")
    expect(smaps(p, "a0")).toBe("rss 8 pss 8 shared 0 private 8")
    p.read("a4")
    expect([p.pages("a0+2"), p.pages("a4+2")]).toEqual(["ff", "ff"])
    expect([smaps(p, "a0"), smaps(p, "a4")]).toEqual(Array(2).fill("rss 8 pss 4 shared 8 private 0"))
    p.munmap("a4")
    expect(smaps(p, "a0")).toBe("rss 8 pss 6 shared 4 private 4")
  })
})

describe("population", () => {
  it("faults as an access does, by mlock, MAP_POPULATE and MADV_POPULATE alike, and gives no signal [L-FLT-28]", () => {
    const kinds = [
      [RW, ANON, "AA"],
      [RO, ANON, "zz"],
      [RW, MAP.PRIVATE, "A."],
      [RO, MAP.PRIVATE, "F."],
      [RW, MAP.SHARED, "F."],
      [NONE, ANON, ".."]
    ] as const
    for (const [prot, flags, want] of kinds) {
      const one = (populate: number): Proc => {
        const p = world()
        expect(p.mmap("a0+2", prot, flags | populate, flags === ANON ? -1 : p.memfd(1))).toBe("a0")
        return p
      }
      const complete = want.length === 2 && !want.includes(".")
      expect(one(MAP.POPULATE).pages("a0+2")).toBe(want)
      expect(one(MAP.LOCKED).pages("a0+2")).toBe(want)
      const locked = one(0)
      expect([locked.mlock("a0+2"), locked.pages("a0+2")]).toEqual([complete ? "ok" : "ENOMEM", want])
      const advised = one(0)
      const advice = prot === RW && flags !== MAP.SHARED ? MADV.POPULATE_WRITE : MADV.POPULATE_READ
      expect([advised.madvise("a0+2", advice), advised.pages("a0+2")]).toEqual([
        complete ? "ok" : prot === NONE ? "EINVAL" : "EFAULT",
        want
      ])
    }
  })
})

describe("the kernel's own accesses", () => {
  /** A file of three pages of which page i is i + 1: reads so many of its bytes to memory, and writes them from there. */
  function io(p: Proc): {
    into: (addr: number, len: number, off?: number) => string
    from: (addr: number, len: number) => string
  } {
    const fd = p.open("/data", 3)
    const count = (answer: string): string => (answer.startsWith("0x") ? String(Number(answer)) : answer)
    return {
      into: (addr, len, off = 0) => count(p.sys(preadUser, fd, addr, len, off)),
      from: (addr, len) => count(p.sys(pwriteUser, fd, addr, len, 8192))
    }
  }

  it("fault like the process's: they copy on write and grow stacks, but give no signal [L-FLT-29]", () => {
    const p = world("an...bb.a")
    const { into, from } = io(p)
    p.write("a0")
    const child = p.fork()
    expect([into(at("a0"), 100), p.read("a0"), child.read("a0")]).toEqual(["100", "1", "101"])
    p.mmap("a300", RW, ANON | MAP.GROWSDOWN)
    expect([into(at("a298") + 50, 10), p.areas().at(-1), p.pages("a298+3")]).toEqual(["10", "a298+3 rw-p gd", "A.."])
    p.madvise("a8", MADV.GUARD_INSTALL)
    p.mmap("a10", RW, MAP.SHARED, p.memfd(0))
    for (const page of ["a1", "a2", "a5", "a8", "a10"] as const)
      expect(into(at(page), 10), `reading to ${page}`).toBe("EFAULT")
    for (const page of ["a1", "a2", "a8", "a10"] as const)
      expect(from(at(page), 10), `writing from ${page}`).toBe("EFAULT")
    expect(from(at("a5"), 10), "a page to read from").toBe("10")
  })

  it("stop at the first byte that cannot be had: what came before it counts [L-FLT-29]", () => {
    const p = world("a.")
    const { into, from } = io(p)
    expect([into(at("a1") - 100, 300), into(at("a1"), 300)]).toEqual(["100", "EFAULT"])
    expect(userLoad8(p.k, p.mm, at("a1") - 1)).toBe(1)
    expect(from(at("a1") - 100, 300)).toBe("100")
  })

  it("are EFAULT where no frame is left; the process's own end in the lack of it [L-FLT-40]", () => {
    const p = world("a".repeat(20), { frames: 16, ramPages: 1000 })
    const { into } = io(p)
    let page = 0
    while (p.write(`a${page}`) === "ok") page++
    expect([page > 2, p.write(`a${page}`), into(at(`a${page}`), 10)]).toEqual([true, "OOM", "EFAULT"])
    p.madvise("a0", MADV.DONTNEED)
    expect([into(at(`a${page}`), 10), p.read(`a${page}`)], "once there is one").toEqual(["10", "1"])
  })
})

describe("a stack", () => {
  it("is as large as RLIMIT_STACK at most, measured from its end [L-FLT-37]", () => {
    const p = world().limit(RLIMIT_STACK, 2048)
    p.mmap("a3000", RW, ANON | MAP.GROWSDOWN)
    const lowest = 3001 - 2048
    expect(p.write(`a${lowest - 1}`)).toBe("SEGV_MAPERR")
    expect(p.write(`a${lowest}`)).toBe("ok")
    expect([p.areas(), p.write(`a${lowest - 1}`)]).toEqual([[`a${lowest}+2048 rw-p gd`], "SEGV_MAPERR"])
  })
})

describe("a registered area", () => {
  it("holds up who touches what is missing; what is there is as ever [L-FLT-39]", () => {
    const p = world("aa")
    const { k } = p
    p.write("a0")
    const fd = registered(p, "a0+2")
    expect([p.read("a0"), p.write("a0", 5), p.read("a0")]).toEqual(["101", "ok", "5"])
    const reader = new Hand(k, () => fault(k, p.mm, A0 + 1, READING)).to(WAIT_UFFD)
    expect([reader.ended, p.pages("a0+2"), k.runs.held[reader.row]]).toEqual([false, "A.", 0])
    expect(p.sys(uffdUnregister, fd, at("a0"), 8192)).toBe("ok")
    expect([reader.finish(), p.pages("a0+2")]).toEqual([0, "Az"])
    release(p, fd)
  })
})
