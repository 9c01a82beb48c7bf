/** fork: what a child has, what it has not, and what is undone when there cannot be one; clone with CLONE_VM. */
import * as MFD from "../../../lib/flags/MemfdFlags.ts"
import * as PR from "../../../lib/flags/PrctlFlags.ts"
import { describe, expect, it } from "vitest"
import * as MADV from "../../../lib/flags/AdviceFlags.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { WRITE as WRITING } from "../../../lib/flags/FaultFlags.ts"
import { CHILD_W, H_CLOSE, H_OPEN, MMAP_W, NEED_HOOK } from "../../../lib/mm/base/stop.ts"
import { fault } from "../../../lib/mm/page/fault.ts"
import { F_EXCLUSIVE } from "../../../lib/mm/store/frames.ts"
import { BRK, MMAP_BASE, START_BRK } from "../../../lib/mm/store/mms.ts"
import { RLIMIT_AS, RLIMIT_DATA } from "../../../lib/mm/store/tasks.ts"
import { brk } from "../../../lib/mm/sys/brk.ts"
import { clone, CLONE_VM } from "../../../lib/mm/sys/clone.ts"
import { dup } from "../../../lib/mm/sys/fd.ts"
import { memfdNamed } from "../../../lib/mm/sys/memfd.ts"
import { mlockall } from "../../../lib/mm/sys/mlock.ts"
import { mmap } from "../../../lib/mm/sys/mmap.ts"
import { prctl } from "../../../lib/mm/sys/prctl.ts"
import { fork } from "../../../lib/mm/sys/process.ts"
import { follow } from "../../../lib/mm/page/walk.ts"
import { call } from "../../../lib/proof/testing/calls.ts"
import { Hand } from "../rows/world.ts"
import { A0, ANON, at, outcome, parse, RO, RW, SHARED_ANON } from "./words.ts"
import { Proc, world } from "./world.ts"

const tryFork = (p: Proc): string =>
  outcome(
    Math.min(
      0,
      call(p.k, () => fork(p.k, p.task, "child"), p.machine.answer)
    )
  )
const frameAt = (p: Proc, page: `a${number}`): number => follow(p.k, p.mm, parse(page)[0])
const get = (p: Proc, option: number): string => p.sys(prctl, option, 0, 0, 0, 0)

describe("a child", () => {
  it("has every area but those that are not to be copied, and counts them by class [L-FORK-01]", () => {
    const p = world("aab.cc")
    p.madvise("a1", MADV.DONTFORK)
    p.mmap("a9", RW, ANON | MAP.GROWSDOWN)
    expect(p.counts()).toBe("total 6 data 2 exec 2 stack 1")
    const child = p.fork()
    expect([child.areas(), child.counts()]).toEqual([
      ["a0 rw-p", "a2 r--p", "a4+2 r-xp", "a9 rw-p gd"],
      "total 5 data 1 exec 2 stack 1"
    ])
  })

  it("has nothing locked, now or to come [L-FORK-02]", () => {
    const p = world("aa")
    p.mlock("a0")
    p.sys(mlockall, 2)
    p.mmap("a5", RW)
    expect([p.areas(), p.counts()]).toEqual([["a0 rw-p lo", "a1 rw-p", "a5 rw-p lo"], "total 3 locked 2 data 3"])
    const child = p.fork()
    expect([child.areas(), child.counts()]).toEqual([["a0 rw-p", "a1 rw-p", "a5 rw-p"], "total 3 data 3"])
    child.mmap("a7", RW)
    expect([child.flags("a7"), child.pages("a7")]).toEqual(["rd wr mr mw me ac", "."])
  })

  it("has guards wherever there are any: a file never touched, shared memory, and they are not wiped away [L-FORK-08]", () => {
    const p = world("aa")
    p.mmap("a4+2", RO, MAP.SHARED, p.memfd(2))
    p.mmap("a7+2", RW, SHARED_ANON)
    for (const page of ["a0", "a4", "a7"] as const) expect(p.madvise(page, MADV.GUARD_INSTALL)).toBe("ok")
    const child = p.fork()
    expect(["a0+2", "a4+2", "a7+2"].map((range) => child.pages(range as "a0"))).toEqual(["g.", "g.", "g."])
    expect([child.read("a0"), child.read("a4"), child.read("a7")]).toEqual(Array(3).fill("SEGV_MAPERR"))
    expect(child.madvise("a0", MADV.GUARD_REMOVE)).toBe("ok")
    expect([child.read("a0"), p.read("a0")], "each has his own").toEqual(["0", "SEGV_MAPERR"])
  })

  it("finds zeroes where memory is wiped on fork, guards gone too; and so does its child [L-FORK-09]", () => {
    const p = world("aaa")
    p.write("a0+2")
    p.madvise("a2", MADV.GUARD_INSTALL)
    p.madvise("a0+3", MADV.WIPEONFORK)
    const child = p.fork()
    expect([child.pages("a0+3"), child.read("a0+3")]).toEqual(["...", "0 0 0"])
    expect(child.areas()).toEqual(["a0+3 rw-p gu wf"])
    expect(child.k.vmas.anon(child.area("a0")), "it was never written").toBe(0)
    child.write("a1", 9)
    expect([child.fork().read("a1"), p.read("a1")]).toEqual(["0", "102"])
  })

  it("finds zeroes where memory may be dropped [L-FORK-10]", () => {
    const p = world()
    p.mmap("a0", RW, MAP.DROPPABLE | MAP.ANONYMOUS)
    p.write("a0", 5)
    expect([p.fork().read("a0"), p.flags("a0")]).toEqual(["0", "rd wr mr mw me nr wf dd dp"])
  })

  it("has pages of its own in an anon_vma of its own, below its parent's [L-FORK-11]", () => {
    const p = world("aa")
    p.write("a0")
    const child = p.fork()
    const [mine, its] = [p.k.vmas.anon(p.area("a0")), p.k.vmas.anon(child.area("a0"))]
    expect(its).not.toBe(mine)
    expect([p.k.anon.isLinked(child.area("a0"), mine), p.k.anon.isLinked(p.area("a0"), its)]).toEqual([true, false])
    child.write("a1")
    expect(p.k.frames.mapping(frameAt(child, "a1"))).toBe(its)
    expect(p.k.frames.mapping(frameAt(child, "a0")), "a page from before").toBe(mine)
    const grandchild = child.fork()
    child.exit()
    const last = grandchild.fork()
    expect(p.k.vmas.anon(last.area("a0")), "one that nobody is active in any more is used again").toBe(its)
  })

  it("shares pages that nobody may write in place any more [L-FORK-12]", () => {
    const p = world("aa")
    p.write("a0+2")
    const page = frameAt(p, "a0")
    expect(p.k.frames.has(page, F_EXCLUSIVE)).toBe(true)
    const child = p.fork()
    expect([frameAt(child, "a0"), p.k.frames.has(page, F_EXCLUSIVE), p.pages("a0+2")]).toEqual([page, false, "aa"])
    p.write("a0", 1)
    child.write("a1", 2)
    expect([frameAt(child, "a0"), frameAt(p, "a0") === page]).toEqual([page, false])
    expect([p.read("a0+2"), child.read("a0+2")]).toEqual(["1 102", "101 2"])
  })

  it("is announced to owners area by area, and comes after its parent among a file's mappings [L-FORK-13]", () => {
    const p = world()
    const fd = p.device([H_OPEN, H_CLOSE])
    p.mmap("a0+2", RW, MAP.SHARED, fd)
    p.mmap("a4", RW, MAP.SHARED, fd)
    p.machine.heard.length = 0
    const child = p.fork()
    expect(p.machine.heard).toEqual(["open a0+2", "open a4"])
    const q = world()
    const file = q.memfd(4)
    q.mmap("a0+2", RW, MAP.SHARED, file)
    q.mmap("a8+2", RW, MAP.SHARED, file)
    const fork = q.fork()
    const o = q.k.vmas.obj(q.area("a0"))
    const seen: number[] = []
    for (let v = q.k.mappings.find(o, 0, 4); v !== 0; v = q.k.mappings.next(v, 0, 4)) seen.push(v)
    const place = (who: Proc, page: `a${number}`): number => seen.indexOf(who.area(page))
    expect(place(fork, "a0")).toBeGreaterThan(place(q, "a0"))
    expect(place(fork, "a8")).toBeGreaterThan(place(q, "a8"))
    expect(seen.length).toBe(4)
    child.exit()
    expect(p.machine.heard.slice(2)).toEqual(["close a0+2", "close a4"])
  })

  it("has seals, what prctl said, the heap, the place for new mappings, descriptors and limits [L-FORK-14]", () => {
    const p = world("a")
    p.mseal("a0")
    p.k.mms.setStat(p.mm, START_BRK, at("a50"))
    p.k.mms.setStat(p.mm, BRK, at("a50") + 5)
    p.k.mms.setStat(p.mm, MMAP_BASE, parse("a200")[0])
    p.sys(prctl, PR.SET_THP_DISABLE, 1, 0, 0, 0)
    p.sys(prctl, PR.SET_MEMORY_MERGE, 1, 0, 0, 0)
    p.sys(prctl, PR.SET_MDWE, 1, 0, 0, 0)
    expect(memfdNamed(p.k, p.task, "m", MFD.CLOEXEC)).toBe(0)
    p.limit(RLIMIT_DATA, 100)
    const child = p.fork()
    expect(child.flags("a0")).toBe("rd wr mr mw me ac mg sl")
    expect([get(child, PR.GET_THP_DISABLE), get(child, PR.GET_MEMORY_MERGE), get(child, PR.GET_MDWE)]).toEqual([
      "1",
      "1",
      "1"
    ])
    expect(child.sys(brk, 0)).toBe(outcome(at("a50") + 5))
    expect(child.sys(mmap, 0, 4096, RO, ANON, -1, 0)).toBe("a199")
    expect([child.sys(dup, 0), child.k.tasks.closesOnExec(child.task, 0)]).toEqual(["1", true])
    expect(child.k.tasks.rlimit(child.task, RLIMIT_DATA)).toBe(100 * 4096)
  })

  it("is charged for, area by area, as its parent would be [L-FORK-15, L-PRCTL-18]", () => {
    const p = world("", { ramPages: 100, overcommit: 0 })
    p.mmap("a0+100", RW)
    p.mmap("a200+100", RW, ANON | MAP.NORESERVE)
    expect(p.committed).toBe(100)
    const child = p.fork()
    expect(p.committed).toBe(200)
    child.exit()
    p.mremap("a0+100", 150)
    expect(p.counts(), "it grew by less than there is").toBe("total 250 data 250")
    expect(tryFork(p), "one area is more than there is").toBe("ENOMEM")
    expect([p.committed, p.k.mms.live, p.k.tasks.live]).toEqual([150, 1, 1])
  })

  it("is not measured against RLIMIT_AS and RLIMIT_DATA [L-FORK-16]", () => {
    const p = world("aaaa").limit(RLIMIT_AS, 1).limit(RLIMIT_DATA, 1)
    const child = p.fork()
    expect([child.counts(), child.mmap("a9", RO)]).toEqual(["total 4 data 4", "ENOMEM"])
  })

  it("is made under both locks, and the parent's faults wait until it is done [L-FORK-17]", () => {
    const p = world("a")
    p.mmap("a4", RW, MAP.SHARED, p.device([H_OPEN]))
    p.write("a0")
    const hand = new Hand(p.k, () => fork(p.k, p.task, "child")).to(NEED_HOOK)
    expect(p.k.runs.held[hand.row]! & (MMAP_W | CHILD_W)).toBe(MMAP_W | CHILD_W)
    const faulter = new Hand(p.k, () => fault(p.k, p.mm, A0, WRITING)).step()
    expect(faulter.waits, "a0 was copied before").toBe(true)
    const child = hand.finish()
    expect([child > 0, faulter.waits]).toEqual([true, false])
    expect(faulter.finish()).toBe(0)
  })

  it("that cannot be made leaves nothing, and owners hear of its areas' end [L-FORK-18]", () => {
    const p = world("a", { maxVmas: 16 })
    const fd = p.device([H_OPEN, H_CLOSE])
    p.mmap("a4", RW, MAP.SHARED, fd)
    p.mmap("a6", RW, MAP.SHARED, fd)
    for (let page = 8; page < 28; page += 2) p.mmap(`a${page}`, RO)
    p.write("a0")
    p.machine.heard.length = 0
    expect(tryFork(p), "there are rows for two areas more").toBe("ENOMEM")
    expect(p.machine.heard).toEqual(["open a4", "close a4"])
    expect([p.k.mms.live, p.k.tasks.live, p.committed, p.pages("a0")]).toEqual([1, 1, 1, "A"])
    p.machine.heard.length = 0
    p.machine.hook = (hook, vma) => (hook === H_OPEN && p.k.vmas.startOf(vma) === parse("a6")[0] ? -13 : 0)
    p.munmap("a8+20")
    expect(tryFork(p), "an owner says no").toBe("EACCES")
    expect(p.machine.heard).toEqual(["open a4", "open a6", "close a4"])
    p.machine.hook = undefined
  })
})

describe("clone with CLONE_VM", () => {
  const share = (p: Proc): Proc => {
    const t = call(p.k, () => clone(p.k, p.task, CLONE_VM, "sharer"), p.machine.answer)
    expect(t).toBeGreaterThan(0)
    return new Proc(p.machine, t)
  }

  it("copies nothing: both see what either does [L-FORK-19]", () => {
    const p = world("aa")
    const fd = p.device([H_OPEN])
    p.mmap("a4", RW, MAP.SHARED, fd)
    p.machine.heard.length = 0
    const other = share(p)
    expect([other.mm, p.k.mms.users(p.mm), p.machine.heard, p.committed]).toEqual([p.mm, 2, [], 2])
    other.write("a0", 7)
    other.munmap("a1")
    expect([p.read("a0"), p.areas().length, p.k.vmas.anon(p.area("a0")) !== 0]).toEqual(["7", 2, true])
  })

  it("leaves memory until the last of them has gone, whoever came first [L-FORK-19]", () => {
    const p = world("a")
    p.write("a0", 7)
    const other = share(p)
    p.exit()
    expect([other.read("a0"), other.k.mms.live]).toEqual(["7", 1])
    expect(other.mmap("a1", RW)).toBe("a1")
    other.exit()
    expect([p.k.mms.live, p.committed]).toEqual([0, 0])
  })

  it("gives limits of one's own: those of the one that calls count", () => {
    const p = world("a")
    const other = share(p).limit(RLIMIT_AS, 1)
    expect([other.mmap("a1", RO), p.mmap("a1", RO)]).toEqual(["ENOMEM", "a1"])
    p.exit()
    expect(other.mmap("a2", RO)).toBe("ENOMEM")
  })

  it("is one of the flags that go together", () => {
    const p = world()
    const flags = (bits: number): string => outcome(call(p.k, () => clone(p.k, p.task, bits, "x")))
    expect([flags(0x10000), flags(0x10000 | CLONE_VM), flags(0x800)]).toEqual(Array(3).fill("EINVAL"))
    expect(Number(flags(0)), "a fork").toBeGreaterThan(1)
  })
})
