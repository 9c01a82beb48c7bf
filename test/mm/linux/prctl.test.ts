/** prctl's memory options, limits, overcommitment, and the counts that /proc/PID/status shows. */
import * as MREMAP from "../../../lib/flags/MremapFlags.ts"
import * as PR from "../../../lib/flags/PrctlFlags.ts"
import { describe, expect, it } from "vitest"
import * as MADV from "../../../lib/flags/AdviceFlags.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { commitLimit } from "../../../lib/mm/area/account.ts"
import { status } from "../../../lib/mm/proc/status.ts"
import * as MM from "../../../lib/mm/store/mms.ts"
import * as TASK from "../../../lib/mm/store/tasks.ts"
import { RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK, RLIMIT_STACK } from "../../../lib/mm/store/tasks.ts"
import { brk } from "../../../lib/mm/sys/brk.ts"
import { ftruncate } from "../../../lib/mm/sys/file.ts"
import { memfdNamed } from "../../../lib/mm/sys/memfd.ts"
import { mlockall } from "../../../lib/mm/sys/mlock.ts"
import { mmap } from "../../../lib/mm/sys/mmap.ts"
import { prctl } from "../../../lib/mm/sys/prctl.ts"
import { fork } from "../../../lib/mm/sys/process.ts"
import { setrlimit } from "../../../lib/mm/sys/rlimit.ts"
import { shmat, shmget } from "../../../lib/mm/sys/shm.ts"
import { userStore8 } from "../../../lib/mm/sys/trap.ts"
import { call } from "../../../lib/proof/testing/calls.ts"
import { ANON, at, NONE, outcome, RO, RW, RWX, RX, SHARED_ANON } from "./words.ts"
import { type Proc, world } from "./world.ts"

const set = (p: Proc, option: number, a = 0, b = 0, c = 0, d = 0): string => p.sys(prctl, option, a, b, c, d)
const GROWS = ANON | MAP.GROWSDOWN
const GIB = 2 ** 30 / 4096

/** A process whose heap begins at a1000. */
function withHeap(p: Proc): Proc {
  p.k.mms.setStat(p.mm, MM.START_BRK, at("a1000"))
  p.k.mms.setStat(p.mm, MM.BRK, at("a1000"))
  return p
}

/** Lines of /proc/PID/status, in pages: `VmSize 4`. */
function lines(p: Proc, ...labels: readonly string[]): string {
  const all = status(p.k, p.mm)
  return labels
    .map((label) => `${label} ${Number(new RegExp(`^${label}:\\s+(\\d+) kB$`, "m").exec(all)?.[1]) / 4}`)
    .join(", ")
}

describe("PR_SET_MDWE", () => {
  it("is set once: exec gain refused, and perhaps not inherited; the same again is fine [L-PRCTL-01]", () => {
    const p = world()
    expect([set(p, PR.SET_MDWE, 2), set(p, PR.SET_MDWE, 4), set(p, PR.SET_MDWE, 1, 0, 1)]).toEqual(
      Array(3).fill("EINVAL")
    )
    expect([set(p, PR.GET_MDWE), set(p, PR.GET_MDWE, 1), set(p, PR.SET_MDWE, 0)]).toEqual(["ok", "EINVAL", "ok"])
    expect([set(p, PR.SET_MDWE, 1), set(p, PR.SET_MDWE, 1), set(p, PR.GET_MDWE)]).toEqual(["ok", "ok", "1"])
    expect([set(p, PR.SET_MDWE, 0), set(p, PR.SET_MDWE, 3), set(p, PR.GET_MDWE)]).toEqual(["EPERM", "EPERM", "1"])
    expect([p.mmap("a0", RWX), p.mmap("a0", RW), p.mprotect("a0", RX)]).toEqual(["EACCES", "a0", "EACCES"])
  })

  it("is inherited by a child unless it says not to be [L-PRCTL-02]", () => {
    const [p, q] = [world(), world()]
    set(p, PR.SET_MDWE, 1)
    set(q, PR.SET_MDWE, 3)
    expect([set(p.fork(), PR.GET_MDWE), set(q.fork(), PR.GET_MDWE)]).toEqual(["1", "ok"])
  })
})

describe("PR_SET_MEMORY_MERGE", () => {
  it("marks all private memory for KSM, there and to come; shared, special and droppable memory stays without [L-PRCTL-03]", () => {
    const p = withHeap(world("ab").placeSpecial("vdso", "a90+2"))
    const fd = p.memfd(2)
    p.mmap("a3", RW, SHARED_ANON)
    p.mmap("a4", RO, MAP.PRIVATE, fd)
    p.mmap("a5", RW, MAP.SHARED, fd)
    p.mmap("a6", RW, MAP.DROPPABLE | MAP.ANONYMOUS)
    expect([set(p, PR.SET_MEMORY_MERGE, 1, 1), set(p, PR.GET_MEMORY_MERGE, 1)]).toEqual(["EINVAL", "EINVAL"])
    expect([set(p, PR.SET_MEMORY_MERGE, 5), set(p, PR.GET_MEMORY_MERGE)]).toEqual(["ok", "1"])
    p.mmap("a8", RO, MAP.PRIVATE, fd)
    p.mmap("a9", RW, MAP.SHARED, fd)
    p.mmap("a10", NONE)
    p.sys(brk, at("a1001"))
    const marked = (): string[] =>
      p
        .areas()
        .filter((one) => one.endsWith(" mg"))
        .map((one) => one.split(" ")[0]!)
    expect(marked()).toEqual(["a0", "a1", "a4", "a8", "a10", "a1000"])
    expect(set(p.fork(), PR.GET_MEMORY_MERGE)).toBe("1")
    expect([set(p, PR.SET_MEMORY_MERGE), set(p, PR.GET_MEMORY_MERGE), marked()]).toEqual(["ok", "ok", []])
    p.mmap("a20", RW)
    expect(p.flags("a20")).toBe("rd wr mr mw me ac")
  })

  it("merges no areas, though their flags are equal then [L-PRCTL-03]", () => {
    const p = world("aaa")
    p.madvise("a1", MADV.MERGEABLE)
    set(p, PR.SET_MEMORY_MERGE, 1)
    expect(p.areas()).toEqual(["a0 rw-p mg", "a1 rw-p mg", "a2 rw-p mg"])
    p.mmap("a3", RW)
    expect(p.areas()[2], "new memory joins its neighbour").toBe("a2+2 rw-p mg")
  })
})

describe("other options", () => {
  it("of huge pages are kept, and change neither flags nor the 2 MiB placement [L-PRCTL-04]", () => {
    const p = world("a")
    expect([set(p, PR.SET_THP_DISABLE, 1), set(p, PR.GET_THP_DISABLE)]).toEqual(["ok", "1"])
    expect([p.flags("a0"), p.mmapAnywhere(512, RW)]).toEqual(["rd wr mr mw me ac", "0x7ffff7c00000"])
    expect([set(p, PR.SET_THP_DISABLE, 1, 2), set(p, PR.GET_THP_DISABLE)], "but where advised").toEqual(["ok", "3"])
    expect([
      set(p, PR.SET_THP_DISABLE, 0, 2),
      set(p, PR.SET_THP_DISABLE, 1, 4),
      set(p, PR.SET_THP_DISABLE, 1, 0, 1),
      set(p, PR.GET_THP_DISABLE, 1)
    ]).toEqual(Array(4).fill("EINVAL"))
    expect([set(p, PR.SET_THP_DISABLE), set(p, PR.GET_THP_DISABLE)]).toEqual(["ok", "ok"])
  })

  it("that the recorded kernel was built without, or has not on this processor, are EINVAL [L-PRCTL-05]", () => {
    const p = world("a")
    expect([
      set(p, PR.SET_VMA, 0, at("a0"), 4096, 0),
      set(p, PR.SET_TAGGED_ADDR_CTRL, 1),
      set(p, PR.GET_TAGGED_ADDR_CTRL),
      set(p, 9999)
    ]).toEqual(Array(4).fill("EINVAL"))
  })

  it("of PR_SET_MM set one address at a time, with CAP_SYS_RESOURCE, as long as they make sense", () => {
    const p = world("a")
    const fields = [MM.START_CODE, MM.START_DATA, MM.ARG_START, MM.ENV_START, MM.START_STACK, MM.START_BRK, MM.BRK]
    for (const field of [...fields, MM.END_DATA, MM.ARG_END, MM.ENV_END]) p.k.mms.setStat(p.mm, field, at("a0"))
    p.k.mms.setStat(p.mm, MM.END_CODE, at("a1"))
    const one = (option: number, addr: number, c = 0, d = 0): string => set(p, PR.SET_MM, option, addr, c, d)
    expect([one(PR.SET_MM_BRK, at("a9")), p.k.mms.stat(p.mm, MM.BRK)]).toEqual(["ok", at("a9")])
    expect([one(PR.SET_MM_START_BRK, at("a10")), one(PR.SET_MM_START_CODE, at("a1"))], "out of order").toEqual([
      "EINVAL",
      "EINVAL"
    ])
    expect([one(PR.SET_MM_BRK, 0x800), one(PR.SET_MM_BRK, 0x7ffffffff000), one(99, at("a0"))]).toEqual(
      Array(3).fill("EINVAL")
    )
    expect([one(PR.SET_MM_BRK, at("a9"), 1), one(PR.SET_MM_BRK, at("a9"), 0, 1)]).toEqual(["EINVAL", "EINVAL"])
    expect([one(PR.SET_MM_ENV_END, at("a9")), one(PR.SET_MM_START_STACK, at("a0") + 5)], "mapped above?").toEqual([
      "EFAULT",
      "ok"
    ])
    p.k.tasks.setRlimit(p.task, RLIMIT_DATA, 8 * 4096, Infinity)
    expect(one(PR.SET_MM_BRK, at("a9")), "more data than may be").toBe("EINVAL")
    p.asUser()
    expect([one(PR.SET_MM_BRK, at("a1")), one(99, 0), one(PR.SET_MM_BRK, at("a1"), 1)]).toEqual([
      "EPERM",
      "EPERM",
      "EINVAL"
    ])
  })

  it("of PR_SET_MM_MAP set all addresses at once, from memory, without a capability", () => {
    const p = world("aa").asUser()
    expect([set(p, PR.SET_MM, PR.SET_MM_MAP_SIZE, at("a0")), p.read("a0")]).toEqual(["ok", "104"])
    expect(set(p, PR.SET_MM, PR.SET_MM_MAP_SIZE, 0)).toBe("EFAULT")
    const words = ["a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9", "a10", "a11"] as const
    const bytes = new Uint8Array(104)
    const to = new DataView(bytes.buffer)
    words.forEach((page, i) => to.setBigUint64(8 * i, BigInt(at(page)), true))
    to.setInt32(100, -1, true)
    const write = (): void => {
      for (const [i, byte] of bytes.entries()) userStore8(p.k, p.mm, at("a0") + i, byte)
    }
    write()
    const map = (length = 104): string => set(p, PR.SET_MM, PR.SET_MM_MAP, at("a0"), length)
    expect([map(100), map()]).toEqual(["EINVAL", "ok"])
    expect([MM.START_CODE, MM.BRK, MM.START_STACK, MM.ENV_END].map((field) => p.k.mms.stat(p.mm, field))).toEqual(
      (["a1", "a6", "a7", "a11"] as const).map(at)
    )
    to.setInt32(100, 5, true)
    write()
    expect(map(), "another executable needs a right").toBe("EPERM")
    to.setInt32(100, -1, true)
    to.setBigUint64(0, BigInt(at("a5")), true)
    write()
    expect([map(), p.k.mms.stat(p.mm, MM.START_CODE)], "code that ends before it starts").toEqual(["EINVAL", at("a1")])
  })
})

describe("limits", () => {
  it("are raised above the hard one with CAP_SYS_RESOURCE only, and are in order [L-PRCTL-06]", () => {
    const p = world()
    p.k.tasks.setRlimit(p.task, RLIMIT_AS, 4096, 8192)
    expect([p.sys(setrlimit, RLIMIT_AS, 8193, 8192), p.sys(setrlimit, 16, 0, 0)]).toEqual(["EINVAL", "EINVAL"])
    p.k.tasks.setCaps(p.task, TASK.CAPS_ALL & ~TASK.CAP_SYS_RESOURCE)
    expect([p.sys(setrlimit, RLIMIT_AS, 0, 8193), p.sys(setrlimit, RLIMIT_AS, 8192, 8192)]).toEqual(["EPERM", "ok"])
    expect(
      [p.sys(setrlimit, RLIMIT_AS, 0, 4096), p.sys(setrlimit, RLIMIT_AS, 0, 8192)],
      "there is no way back"
    ).toEqual(["ok", "EPERM"])
    p.k.tasks.setCaps(p.task, TASK.CAP_SYS_RESOURCE)
    expect(p.sys(setrlimit, RLIMIT_AS, 0, -1)).toBe("ok")
  })

  it("count when something grows, as they are then; what is there already stays, and may go [L-PRCTL-07]", () => {
    const p = world("aaaa").limit(RLIMIT_AS, 1)
    expect([
      p.mmap("a9", RO),
      p.read("a0+4"),
      p.munmap("a0+3"),
      p.mmap("a9", RO),
      p.munmap("a3"),
      p.mmap("a9", RO)
    ]).toEqual(["ENOMEM", "0 0 0 0", "ok", "ENOMEM", "ok", "a9"])
  })

  it("of address space hold for all that grows it, net of what it replaces [L-PRCTL-08]", () => {
    const fresh = (pages: number): Proc => {
      const p = withHeap(world("aab"))
      p.mmap("a600", RW, GROWS)
      return p.limit(RLIMIT_AS, 4 + pages)
    }
    expect([fresh(1).mmap("a9", RO), fresh(1).mmap("a9+2", RO)]).toEqual(["a9", "ENOMEM"])
    expect([fresh(0).mmap("a0+2", RO), fresh(0).mmap("a1+3", RO)], "MAP_FIXED over as much, over less").toEqual([
      "a0",
      "ENOMEM"
    ])
    expect([fresh(1).sys(brk, at("a1001")), fresh(0).sys(brk, at("a1001"))]).toEqual(["a1001", "a1000"])
    expect(fresh(1).mremap("a0", 2, MREMAP.MAYMOVE), "the difference").toMatch(/^0x7ffff7f/)
    expect(fresh(0).mremap("a0", 2, MREMAP.MAYMOVE)).toBe("ENOMEM")
    const keep = (p: Proc): string => p.mremap("a0+2", "a20+2", MREMAP.MAYMOVE | MREMAP.DONTUNMAP)
    expect([keep(fresh(2)), keep(fresh(1))], "all of it").toEqual(["a20", "ENOMEM"])
    expect([fresh(1).write("a599"), fresh(0).write("a599")]).toEqual(["ok", "SEGV_MAPERR"])
    const segment = (p: Proc): string => p.sys(shmat, shmget(p.k, p.task, 0, 8192, 0o600), at("a30"), 0)
    expect([segment(fresh(2)), segment(fresh(1))]).toEqual(["a30", "ENOMEM"])
    expect(fresh(0).mprotect("a2", RW), "nothing grows").toBe("ok")
    expect(fresh(0).mremap("a0+2", "a20+2"), "a move").toBe("a20")
  })

  it("of data hold for private memory that may be written [L-PRCTL-09]", () => {
    const fresh = (pages: number): Proc => withHeap(world("aab")).limit(RLIMIT_DATA, 2 + pages)
    expect([fresh(1).mmap("a9", RW), fresh(0).mmap("a9", RW)]).toEqual(["a9", "ENOMEM"])
    expect([fresh(1).sys(brk, at("a1001")), fresh(0).sys(brk, at("a1001"))]).toEqual(["a1001", "a1000"])
    expect([fresh(1).mprotect("a2", RW), fresh(0).mprotect("a2", RW)]).toEqual(["ok", "ENOMEM"])
    const lone = (pages: number): Proc => world(".....a").limit(RLIMIT_DATA, 1 + pages)
    expect([lone(1).mremap("a5", 2), lone(0).mremap("a5", 2)]).toEqual(["a5", "ENOMEM"])
    const p = fresh(0)
    expect([p.mmap("a9", RO), p.mmap("a10", RW, SHARED_ANON), p.mmap("a700", RW, GROWS), p.write("a699")]).toEqual([
      "a9",
      "a10",
      "a700",
      "ok"
    ])
    expect([p.mmap("a11", RX), p.mmap("a12", NONE)]).toEqual(["a11", "a12"])
  })

  it("of data that are softly 0 mean the hard one, but for brk [L-PRCTL-10]", () => {
    const p = withHeap(world())
    p.k.tasks.setRlimit(p.task, RLIMIT_DATA, 0, 2 * 4096)
    expect([p.mmap("a0+2", RW), p.mmap("a5", RW), p.sys(brk, at("a1000") + 1)]).toEqual(["a0", "ENOMEM", "a1000"])
    p.k.tasks.setRlimit(p.task, RLIMIT_DATA, 4096, 2 * 4096)
    p.munmap("a0")
    expect(p.mmap("a5", RW), "any other is meant").toBe("ENOMEM")
    p.k.tasks.setRlimit(p.task, RLIMIT_DATA, 0, 0)
    p.munmap("a1")
    expect(p.mmap("a5", RW)).toBe("ENOMEM")
  })

  it("of the stack hold for the length of whatever grows down [L-PRCTL-11]", () => {
    const p = world()
    p.mmap("a600+2", RW, GROWS)
    p.mmap("a900+20", RW, GROWS)
    p.limit(RLIMIT_STACK, 8)
    expect([p.write("a594"), p.write("a593"), p.write("a899")], "8 pages, 9, 21").toEqual([
      "ok",
      "SEGV_MAPERR",
      "SEGV_MAPERR"
    ])
    p.limit(RLIMIT_STACK, 9)
    expect(p.write("a593"), "as it is now").toBe("ok")
  })

  it("say ENOMEM, EAGAIN or EPERM by what they are about [L-PRCTL-21]", () => {
    const p = world("aa").asUser().limit(RLIMIT_MEMLOCK, 1)
    expect([p.mmap("a5+2", RW, ANON | MAP.LOCKED), p.mlock("a0+2")], "the lock limit").toEqual(["EAGAIN", "ENOMEM"])
    p.mlock("a0")
    expect(p.mremap("a0", 3, MREMAP.MAYMOVE)).toBe("EAGAIN")
    p.limit(RLIMIT_MEMLOCK, 0)
    expect([p.mmap("a5", RW, ANON | MAP.LOCKED), p.mlock("a1"), p.sys(mlockall, 1)], "no right").toEqual(
      Array(3).fill("EPERM")
    )
    const q = world("aaa", { maxMapCount: 1 })
    expect([q.madvise("a1", MADV.RANDOM), q.mprotect("a1", RO), q.mseal("a1")], "too many areas").toEqual([
      "EAGAIN",
      "ENOMEM",
      "ENOMEM"
    ])
    q.mseal("a0+3")
    expect([
      q.munmap("a0"),
      world()
        .asUser()
        .sys(mmap, 0, 4096, RO, ANON | MAP.FIXED, -1, 0)
    ]).toEqual(["EPERM", "EPERM"])
    expect([world().sys(mmap, 0, 2 ** 48, RO, ANON, -1, 0), world().mmap("a0+1", RW, ANON)]).toEqual(["ENOMEM", "a0"])
    expect(world("", { ramPages: 10 }).mmap("a0+11", RW), "not that much is promised").toBe("ENOMEM")
  })

  it("do not hold for who has the capability [L-PRCTL-22]", () => {
    const low = (p: Proc): string => p.sys(mmap, 0, 4096, RO, ANON | MAP.FIXED, -1, 0)
    const p = world("aa").asUser().limit(RLIMIT_MEMLOCK, 0)
    expect([p.mlock("a0+2"), low(p)]).toEqual(["EPERM", "EPERM"])
    p.k.tasks.setCaps(p.task, TASK.CAP_IPC_LOCK)
    expect([p.mlock("a0+2"), p.mmap("a4", RW, ANON | MAP.LOCKED), p.sys(mlockall, 1), low(p)]).toEqual([
      "ok",
      "a4",
      "ok",
      "EPERM"
    ])
    p.k.tasks.setCaps(p.task, TASK.CAP_SYS_RAWIO)
    expect(low(p)).toBe("ok")
  })
})

describe("counts", () => {
  it("put an area into one class, by its flags [L-PRCTL-12]", () => {
    const classOf = (prot: number, flags: number = ANON): string => {
      const p = world()
      p.mmap("a0", prot, flags)
      return p.counts()
    }
    expect([RX, RX | 0x2, RX, RW, 0x2].map((prot) => classOf(prot))).toEqual([
      "total 1 exec 1",
      "total 1 data 1",
      "total 1 exec 1",
      "total 1 data 1",
      "total 1 data 1"
    ])
    expect([classOf(RX, GROWS), classOf(RW, GROWS), classOf(RO, GROWS)]).toEqual(Array(3).fill("total 1 stack 1"))
    expect([classOf(RO), classOf(NONE), classOf(RW, SHARED_ANON)]).toEqual(Array(3).fill("total 1"))
    expect(classOf(RX, SHARED_ANON)).toBe("total 1 exec 1")
  })

  it("count special areas too [L-PRCTL-13]", () => {
    const p = world("b").placeSpecial("vvar", "a4+4").placeSpecial("vdso", "a8+2")
    expect([p.counts(), lines(p, "VmSize")]).toEqual(["total 7 exec 2", "VmSize 7"])
  })

  it("are what /proc/PID/status shows [L-PRCTL-14]", () => {
    const p = world("aacc")
    p.k.mms.setStat(p.mm, MM.START_CODE, at("a2") + 16)
    p.k.mms.setStat(p.mm, MM.END_CODE, at("a2") + 100)
    expect(lines(p, "VmSize", "VmLck", "VmPin", "VmData", "VmStk", "VmExe", "VmLib", "VmPTE")).toBe(
      "VmSize 4, VmLck 0, VmPin 0, VmData 2, VmStk 0, VmExe 1, VmLib 1, VmPTE 0"
    )
    p.read("a0")
    expect(lines(p, "VmPTE"), "a table of each level below the top").toBe("VmPTE 3")
    const before = lines(p, "VmLib", "VmExe", "VmData")
    p.mmap("a10+4", RX)
    expect(lines(p, "VmLib", "VmExe", "VmData")).toBe("VmLib 5, VmExe 1, VmData 2")
    p.munmap("a10+4")
    p.mmap("a10+4", RWX)
    expect([before, lines(p, "VmLib", "VmExe", "VmData")]).toEqual([
      "VmLib 1, VmExe 1, VmData 2",
      "VmLib 1, VmExe 1, VmData 6"
    ])
    p.mmap("a600", RW, GROWS)
    p.mlock("a0+2")
    p.munmap("a10+4")
    expect(lines(p, "VmPeak", "VmSize", "VmLck", "VmStk")).toBe("VmPeak 9, VmSize 5, VmLck 2, VmStk 1")
    p.munmap("a0+2")
    expect(lines(p, "VmHWM", "VmRSS")).toBe("VmHWM 2, VmRSS 0")
  })

  it("of resident pages are by kind; the page of zeroes is none [L-PRCTL-15]", () => {
    const p = world("aab")
    const fd = p.memfd(2)
    p.mmap("a4+2", RW, MAP.SHARED, fd)
    p.mmap("a6+2", RW, MAP.PRIVATE, p.open("/f", 2))
    p.mmap("a8", RW, SHARED_ANON)
    p.write("a0")
    p.read("a2")
    expect(lines(p, "VmRSS", "RssAnon", "RssFile", "RssShmem")).toBe("VmRSS 1, RssAnon 1, RssFile 0, RssShmem 0")
    p.write("a4")
    p.write("a8")
    p.read("a7")
    p.write("a6")
    expect(lines(p, "VmRSS", "RssAnon", "RssFile", "RssShmem"), "a private copy is anonymous").toBe(
      "VmRSS 5, RssAnon 2, RssFile 1, RssShmem 2"
    )
  })

  it("move with what each call does [L-PRCTL-16]", () => {
    const p = withHeap(world())
    const steps: [what: () => unknown, counts: string][] = [
      [() => p.mmap("a0+4", RW), "total 4 data 4"],
      [() => p.mmap("a4+2", RX, ANON | MAP.LOCKED), "total 6 locked 2 data 4 exec 2"],
      [() => p.munmap("a5"), "total 5 locked 1 data 4 exec 1"],
      [() => p.mprotect("a0+2", RO), "total 5 locked 1 data 2 exec 1"],
      [() => p.mlock("a0+3"), "total 5 locked 4 data 2 exec 1"],
      [() => p.madvise("a0+4", MADV.RANDOM), "total 5 locked 4 data 2 exec 1"],
      [() => p.sys(brk, at("a1002")), "total 7 locked 4 data 4 exec 1"],
      [() => p.mmap("a600", RW, GROWS), "total 8 locked 4 data 4 exec 1 stack 1"],
      [() => p.write("a598"), "total 10 locked 4 data 4 exec 1 stack 3"],
      [() => p.mlock("a598+3"), "total 10 locked 7 data 4 exec 1 stack 3"],
      [() => p.write("a597"), "total 11 locked 8 data 4 exec 1 stack 4"],
      [() => p.mremap("a3", "a20+2"), "total 12 locked 8 data 5 exec 1 stack 4"],
      [() => p.mremap("a20+2", 1), "total 11 locked 8 data 4 exec 1 stack 4"]
    ]
    for (const [i, [what, counts]] of steps.entries()) {
      what()
      expect(p.counts(), `step ${i}`).toBe(counts)
    }
    p.madvise("a20", MADV.DONTFORK)
    expect(p.fork().counts(), "all but what is locked, and what is not copied").toBe("total 10 data 3 exec 1 stack 4")
  })
})

describe("overcommitment", () => {
  it("mode 0 refuses a request that alone is more than there is; earlier ones do not matter [L-PRCTL-17]", () => {
    const p = world()
    expect([1, 2, 3].map((i) => p.sys(mmap, i * 2 ** 40, 20 * GIB * 4096, RW, ANON, -1, 0) !== "ENOMEM")).toEqual(
      Array(3).fill(true)
    )
    const large = (prot: number, flags: number): string =>
      outcome(
        Math.min(
          0,
          call(p.k, () => mmap(p.k, p.task, 0, 30 * GIB * 4096, prot, flags, -1, 0))
        )
      )
    expect([large(RW, ANON), large(RW, ANON | MAP.NORESERVE), large(RO, ANON)]).toEqual(["ENOMEM", "ok", "ok"])
  })

  it("is asked for all that is to be had and may be written [L-PRCTL-18]", () => {
    const fresh = (): Proc => {
      const p = withHeap(world("", { ramPages: 100 }))
      p.mmap("a600", RW, GROWS)
      p.mmap("a0+120", RO)
      return p
    }
    expect([fresh().mmap("a200+101", RW), fresh().mmap("a200+100", RW)], "a private mapping").toEqual([
      "ENOMEM",
      "a200"
    ])
    expect([fresh().mmap("a200+101", RW, SHARED_ANON), fresh().mmap("a200+101", RO, SHARED_ANON)], "an object").toEqual(
      ["ENOMEM", "ENOMEM"]
    )
    expect([fresh().mprotect("a0+101", RW), fresh().mprotect("a0+100", RW)], "what becomes writable").toEqual([
      "ENOMEM",
      "ok"
    ])
    expect([fresh().sys(brk, at("a1101")), fresh().sys(brk, at("a1100"))], "the heap").toEqual(["a1000", "a1100"])
    expect([fresh().write("a499"), fresh().write("a500")], "a stack").toEqual(["SEGV_MAPERR", "ok"])
    const p = fresh()
    p.mmap("a200", RW)
    expect([p.mremap("a200", 102), p.mremap("a200", 101)], "the difference").toEqual(["ENOMEM", "a200"])
    expect(outcome(call(p.k, () => fork(p.k, p.task, "child"))), "each area of a child").toBe("ENOMEM")
  })

  it("mode 1 refuses nothing; mode 2 what exceeds the limit, with what was promised before [L-PRCTL-19]", () => {
    const always = world("", { ramPages: 100, overcommit: 1 })
    expect([always.mmap("a0+5000", RW), always.committed]).toEqual(["a0", 5000])
    const config = { ramPages: 100_000, overcommit: 2, overcommitRatio: 50 } as const
    const p = world("", config)
    expect(commitLimit(p.k)).toBe(50_000)
    expect(
      [p.mmap("a0+30000", RW), p.mmap("a40000+20000", RW, ANON | MAP.NORESERVE)],
      "a promise is a promise"
    ).toEqual(["a0", "ENOMEM"])
    expect(p.flags("a0")).toBe("rd wr mr mw me ac")
    // each process leaves a 32nd of its own size, at most the user's reserve, which is a 32nd of RAM here
    const room = 50_000 - 30_000 - Math.floor(30_000 / 32)
    expect([p.mmap(`a40000+${room}`, RW), p.mmap(`a40000+${room - 1}`, RW, ANON | MAP.NORESERVE)]).toEqual([
      "ENOMEM",
      "a40000"
    ])
    expect([p.flags("a40000"), p.mmap("a80000", RO, ANON)], "reading costs nothing").toEqual([
      "rd wr mr mw me ac",
      `0x${(at("a0") + 80_000 * 4096).toString(16)}`
    ])
    const reserved = world("", { ...config, adminReserveKbytes: 4000, userReserveKbytes: 400 })
    reserved.asUser()
    expect([reserved.mmap("a0+49000", RW), reserved.mmap("a0+48999", RW)], "kept for root").toEqual(["ENOMEM", "a0"])
    reserved.k.tasks.setCaps(reserved.task, TASK.CAP_SYS_ADMIN)
    expect([reserved.mmap("a50000+901", RW), reserved.mmap("a50000+900", RW)], "but 400 kB").toEqual([
      "ENOMEM",
      "a50000"
    ])
    expect(commitLimit(world("", { ...config, overcommitKbytes: 4000 }).k)).toBe(1000)
  })

  it("mode 2 charges files of shared memory for each page, and refuses one with a SIGBUS [L-PRCTL-19]", () => {
    const p = world("", { ramPages: 100, overcommit: 2, overcommitRatio: 50, userReserveKbytes: 0 })
    const fd = memfdNamed(p.k, p.task, "m", 0)
    p.sys(ftruncate, fd, 60 * 4096)
    p.mmap("a0+60", RW, MAP.SHARED, fd)
    expect([p.committed, p.write("a0+49"), p.committed]).toEqual([0, "ok", 49])
    expect(p.write("a49")).toBe("SIGBUS")
    expect([p.sys(ftruncate, fd, 4096), p.committed, p.mmap("a100+48", RW)]).toEqual(["ok", 1, "a100"])
  })

  it("counts private memory that is or was writable, shared memory by its object [L-PRCTL-20]", () => {
    const p = world("aaaaaaaa")
    expect(p.committed).toBe(8)
    p.mprotect("a0+4", RO)
    expect(p.committed, "never written, and not to be").toBe(4)
    p.write("a5")
    p.mprotect("a4+4", RO)
    expect(p.committed, "it was written").toBe(4)
    const child = p.fork()
    expect(p.committed).toBe(8)
    child.exit()
    p.mmap("a20+4", RW, SHARED_ANON)
    expect(p.committed).toBe(8)
    p.mprotect("a20+4", RO)
    p.munmap("a20+3")
    expect(p.committed, "the object is there").toBe(8)
    p.munmap("a23")
    p.mmap("a20+4", RO, SHARED_ANON)
    expect(p.committed, "read-only from the beginning").toBe(8)
    p.mmap("a30+4", RW, SHARED_ANON | MAP.NORESERVE)
    p.write("a31")
    expect(p.committed, "by the page").toBe(9)
    const fd = memfdNamed(p.k, p.task, "m", 0)
    p.sys(ftruncate, fd, 8 * 4096)
    p.mmap("a40+8", RW, MAP.SHARED, fd)
    expect(p.committed).toBe(9)
    p.read("a40+2")
    expect(p.committed).toBe(11)
  })
})
