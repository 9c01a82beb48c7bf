/** The end of an address space: exit, exec, process_mrelease. */
import * as MFD from "../../../lib/flags/MemfdFlags.ts"
import * as PR from "../../../lib/flags/PrctlFlags.ts"
import { describe, expect, it } from "vitest"
import { VM_ACCOUNT, VM_MAYEXEC, VM_MAYREAD, VM_MAYWRITE, VM_READ, VM_WRITE, VM_EXEC } from "../../../lib/flags/bits.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { mmdrop, mmgrab } from "../../../lib/mm/area/mm.ts"
import { H_CLOSE, H_OPEN, MMAP_W } from "../../../lib/mm/base/stop.ts"
import { follow } from "../../../lib/mm/page/walk.ts"
import { F_EXCLUSIVE } from "../../../lib/mm/store/frames.ts"
import { BRK, MM_DEAD, MM_FREE, MMAP_BASE, START_BRK } from "../../../lib/mm/store/mms.ts"
import { RLIMIT_AS, RLIMIT_DATA, RLIMIT_STACK } from "../../../lib/mm/store/tasks.ts"
import { clone, CLONE_VM } from "../../../lib/mm/sys/clone.ts"
import { exec, type Image } from "../../../lib/mm/sys/exec.ts"
import { dup } from "../../../lib/mm/sys/fd.ts"
import { memfdNamed } from "../../../lib/mm/sys/memfd.ts"
import { mlockall } from "../../../lib/mm/sys/mlock.ts"
import { ADDR_COMPAT_LAYOUT, personality, READ_IMPLIES_EXEC } from "../../../lib/mm/sys/personality.ts"
import { pidfdOpen } from "../../../lib/mm/sys/pidfd.ts"
import { prctl } from "../../../lib/mm/sys/prctl.ts"
import { processMrelease } from "../../../lib/mm/sys/process-mrelease.ts"
import { exit, reap } from "../../../lib/mm/sys/process.ts"
import { call } from "../../../lib/proof/testing/calls.ts"
import { A0, at, outcome, RO, RW, SHARED_ANON } from "./words.ts"
import { Proc, world } from "./world.ts"

const DATA = VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC | VM_ACCOUNT
const CODE = VM_READ | VM_EXEC | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC

/** A program with a page of code at a100, two of data at a110, and a heap behind them. */
const image = (some: Partial<Image> = {}): Image => ({
  name: "other",
  areas: [
    { start: A0 + 100, end: A0 + 101, lo: CODE },
    { start: A0 + 110, end: A0 + 112, lo: DATA }
  ],
  startCode: at("a100"),
  endCode: at("a100") + 500,
  startData: at("a110"),
  endData: at("a111") + 700,
  brk: at("a112"),
  startStack: at("a900"),
  ...some
})
const run = (p: Proc, program = image()): string =>
  outcome(call(p.k, () => exec(p.k, p.task, program), p.machine.answer))
const share = (p: Proc): Proc =>
  new Proc(
    p.machine,
    call(p.k, () => clone(p.k, p.task, CLONE_VM, "sharer"))
  )

describe("the last user's exit", () => {
  it("tells watchers, then clears the pages and tables, then tells owners area by area [L-EXIT-01]", () => {
    const p = world("aa")
    const fd = p.device([H_OPEN, H_CLOSE])
    p.mmap("a4", RW, MAP.SHARED, fd)
    p.mmap("a6", RW, MAP.SHARED, fd)
    p.write("a0+2")
    const { k, mm } = p
    const heard: string[] = []
    const state = (): string =>
      `${k.mms.rssTotal(mm)} resident, ${k.ptes.live - 1} tables, ${k.maple.size(mm)} areas, ${k.committed} promised`
    k.notifiers.set(mm, [
      {
        start: () => heard.push("start"),
        end: () => heard.push("end"),
        release: () => heard.push(`watcher: ${state()}, lock ${k.runs.lockState(k.runs.mmapLock(mm))}`)
      }
    ])
    p.machine.hook = (hook) => {
      if (hook === H_CLOSE) heard.push(`owner: ${state()}, lock ${k.runs.held[k.runs.current] === MMAP_W ? "w" : "?"}`)
      return 0
    }
    p.machine.heard.length = 0
    p.exit()
    p.machine.hook = undefined
    expect(heard[0]).toMatch(/^watcher: 2 resident, [1-9] tables, 3 areas, 2 promised, lock 0$/)
    expect(heard.slice(1)).toEqual(Array(2).fill("owner: 0 resident, 0 tables, 0 areas, 0 promised, lock w"))
    expect(p.machine.heard).toEqual(["close a4", "close a6"])
  })

  it("is not kept from it by seals [L-EXIT-02]", () => {
    const p = world("ab")
    p.mseal("a0+2")
    expect([run(p), p.areas()]).toEqual(["ok", ["a100 r-xp", "a110+2 rw-p"]])
    p.mseal("a110+2")
    p.exit()
    expect(p.k.mms.live).toBe(0)
  })

  it("leaves what others map, gives back what was private, and makes shared pages somebody's own again [L-EXIT-03]", () => {
    const p = world("aa")
    p.mmap("a4", RW, SHARED_ANON)
    p.write("a0+2")
    p.write("a4", 44)
    const free = p.k.frames.free()
    const page = follow(p.k, p.mm, A0)
    const child = p.fork()
    child.write("a1", 5)
    child.write("a4", 45)
    expect([p.pages("a0+2"), p.k.frames.has(page, F_EXCLUSIVE)]).toEqual(["aA", false])
    child.exit()
    expect([p.pages("a0+2"), p.read("a4"), p.k.frames.free()]).toEqual(["AA", "45", free])
    p.write("a0", 1)
    expect([follow(p.k, p.mm, A0), p.k.frames.has(page, F_EXCLUSIVE)], "written in place").toEqual([page, true])
  })

  it("leaves the mm's row to whoever grabbed it [L-EXIT-07]", () => {
    const p = world("a")
    const { k, mm } = p
    p.write("a0")
    mmgrab(k, mm)
    p.exit()
    expect([k.mms.state(mm), k.mms.users(mm), k.mms.live, k.vmas.live, k.ptes.live]).toEqual([MM_DEAD, 0, 1, 0, 0])
    mmdrop(k, mm)
    expect([k.mms.state(mm), k.mms.live]).toEqual([MM_FREE, 0])
  })
})

describe("exec", () => {
  it("has nothing of the old address space: a new one, with the program's areas and a heap without a byte [L-EXIT-04, L-BRK-13]", () => {
    const p = world("aa")
    p.write("a0+2")
    p.mmap("a4", RW, MAP.SHARED, p.device([H_CLOSE]))
    p.sys(mlockall, 2)
    const old = p.mm
    p.machine.heard.length = 0
    expect(run(p)).toBe("ok")
    expect([p.mm === old, p.machine.heard, p.k.mms.live]).toEqual([false, ["close a4"], 1])
    expect([p.areas(), p.counts(), p.committed]).toEqual([["a100 r-xp", "a110+2 rw-p"], "total 3 data 2 exec 1", 2])
    expect([START_BRK, BRK].map((field) => p.k.mms.stat(p.mm, field))).toEqual([at("a112"), at("a112")])
    expect([p.mmap("a0", RW), p.flags("a0")], "what was to be locked to come is not").toEqual([
      "a0",
      "rd wr mr mw me ac"
    ])
  })

  it("clears READ_IMPLIES_EXEC, keeps the rest of the personality, limits and rights [L-EXIT-04]", () => {
    const p = world("a").limit(RLIMIT_AS, 500).asUser()
    p.sys(personality, READ_IMPLIES_EXEC | 0x40000)
    expect(run(p)).toBe("ok")
    expect([p.k.tasks.personality(p.task), p.k.tasks.uid(p.task), p.k.tasks.caps(p.task)]).toEqual([0x40000, 65534, 0])
    expect(p.k.tasks.rlimit(p.task, RLIMIT_AS)).toBe(500 * 4096)
    expect(run(p, image({ readImpliesExec: true })), "an old program").toBe("ok")
    p.mmap("a0", RO)
    expect(p.areas()[0]).toBe("a0 r-xp")
  })

  it("places new mappings by the stack's limit and the personality, as they are now [L-EXIT-04]", () => {
    const p = world()
    const base = (): string => (p.k.mms.stat(p.mm, MMAP_BASE) * 4096).toString(16)
    p.k.tasks.setRlimit(p.task, RLIMIT_STACK, 256 * 2 ** 20, Infinity)
    expect([run(p), base()]).toEqual(["ok", "7fffefeff000"])
    p.k.tasks.setRlimit(p.task, RLIMIT_STACK, 8 * 2 ** 20, Infinity)
    expect(base(), "the limit of a running program moves nothing").toBe("7fffefeff000")
    p.sys(personality, ADDR_COMPAT_LAYOUT)
    expect([run(p), base(), p.mmapAnywhere(1, RO)]).toEqual(["ok", "2aaaaaaab000", "0x2aaaaaaab000"])
  })

  it("keeps what prctl said of huge pages, of KSM, and of MDWE unless that is not inherited [L-EXIT-04]", () => {
    const p = world()
    const get = (option: number): string => p.sys(prctl, option, 0, 0, 0, 0)
    p.sys(prctl, PR.SET_THP_DISABLE, 1, 0, 0, 0)
    p.sys(prctl, PR.SET_MEMORY_MERGE, 1, 0, 0, 0)
    const other = p.fork()
    p.sys(prctl, PR.SET_MDWE, 1, 0, 0, 0)
    other.sys(prctl, PR.SET_MDWE, 3, 0, 0, 0)
    expect([run(p), run(other)]).toEqual(["ok", "ok"])
    expect([PR.GET_THP_DISABLE, PR.GET_MEMORY_MERGE, PR.GET_MDWE].map(get)).toEqual(["1", "1", "1"])
    expect(other.sys(prctl, PR.GET_MDWE, 0, 0, 0, 0)).toBe("ok")
    expect(p.areas(), "all private areas of the new program are for KSM").toEqual(["a100 r-xp mg", "a110+2 rw-p mg"])
  })

  it("closes descriptors that were to be closed", () => {
    const p = world()
    expect([memfdNamed(p.k, p.task, "a", 0), memfdNamed(p.k, p.task, "b", MFD.CLOEXEC), p.sys(dup, 1)]).toEqual([
      0,
      1,
      "2"
    ])
    expect([run(p), p.sys(dup, 1), p.sys(dup, 2)]).toEqual(["ok", "EBADF", "1"])
  })

  it("of one of two that share memory leaves the other where it was [L-FORK-19]", () => {
    const p = world("a")
    p.write("a0", 7)
    const other = share(p)
    expect(run(p)).toBe("ok")
    expect([other.read("a0"), p.read("a0"), p.k.mms.live]).toEqual(["7", "SEGV_MAPERR", 2])
    expect(p.k.mms.owner(other.mm), "and answers for it").toBe(other.task)
  })

  it("with a hard RLIMIT_DATA of 0 finds no room for its data: the old program is gone by then [L-EXIT-05]", () => {
    const p = world("a")
    const old = p.mm
    p.k.tasks.setRlimit(p.task, RLIMIT_DATA, 0, 0)
    expect(run(p)).toBe("ENOMEM")
    expect([p.mm === old, p.read("a0"), p.k.mms.live]).toEqual([false, "SEGV_MAPERR", 1])
    const q = world("a", { maxMms: 2 })
    expect([run(q), q.areas()], "there is no address space for it: the old one runs on").toEqual([
      "ENOMEM",
      ["a0 rw-p"]
    ])
  })
})

describe("process_mrelease", () => {
  it("frees private memory of a dying process, and only of such [L-EXIT-06]", () => {
    const p = world("aa")
    const child = p.fork()
    child.write("a0+2")
    child.mmap("a4", RW, SHARED_ANON)
    child.mmap("a5", RW, MAP.PRIVATE, child.memfd(1))
    child.write("a4+2")
    expect(p.sys(pidfdOpen, child.task, 0)).toBe("ok")
    const release = (pidfd = 0, flags = 0): string => p.sys(processMrelease, pidfd, flags)
    expect([release(0, 1), release(9), release()], "it lives").toEqual(["EINVAL", "EBADF", "EINVAL"])
    expect(child.pages("a0+6")).toBe("AA__FA")
    p.k.tasks.setDying(child.task)
    expect([release(), child.pages("a0+6")]).toEqual(["ok", "..__F."])
    expect([release(), child.areas().length], "again; the areas stay").toEqual(["ok", 3])
    call(p.k, () => exit(p.k, child.task))
    expect(release(), "a zombie").toBe("ESRCH")
    reap(p.k, child.task)
    expect(release()).toBe("ESRCH")
  })

  it("leaves memory that somebody who lives on shares [L-EXIT-06]", () => {
    const p = world("a")
    const first = p.fork()
    const second = share(first)
    first.write("a0")
    p.sys(pidfdOpen, first.task, 0)
    p.k.tasks.setDying(first.task)
    expect([p.sys(processMrelease, 0, 0), first.pages("a0")]).toEqual(["EINVAL", "A"])
    p.k.tasks.setDying(second.task)
    expect([p.sys(processMrelease, 0, 0), first.pages("a0")]).toEqual(["ok", "."])
  })
})
