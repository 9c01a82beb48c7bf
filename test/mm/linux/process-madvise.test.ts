/** process_madvise: whose memory, the order of refusals, how far a vector gets. */
import { describe, expect, it } from "vitest"
import * as MADV from "../../../lib/flags/AdviceFlags.ts"
import * as PIDFD from "../../../lib/flags/PidfdFlags.ts"
import { WRITE } from "../../../lib/mm/area/mmap-lock.ts"
import { NEED_LOCK } from "../../../lib/mm/base/stop.ts"
import { CAP_SYS_NICE, CAP_SYS_PTRACE } from "../../../lib/mm/store/tasks.ts"
import { fdinfo } from "../../../lib/mm/proc/fdinfo.ts"
import { pidfdOpen } from "../../../lib/mm/sys/pidfd.ts"
import { processMadvise, processMadviseFd } from "../../../lib/mm/sys/process-madvise.ts"
import { exit, reap } from "../../../lib/mm/sys/process.ts"
import { userStore8 } from "../../../lib/mm/sys/trap.ts"
import { call } from "../../../lib/proof/testing/calls.ts"
import { Hand, withMmap, withVma } from "../rows/world.ts"
import { at, type Pages, parse, RO } from "./words.ts"
import { type Proc, world } from "./world.ts"

/** Where the tests put their vectors. */
const VECTOR = "a100"

/** Writes a vector of ranges into the caller's memory: its length. */
function vector(p: Proc, ranges: readonly (readonly [addr: number, len: number])[]): number {
  p.mmap(VECTOR, 3)
  const bytes = new Uint8Array(BigUint64Array.from(ranges.flat(), BigInt).buffer)
  for (const [i, byte] of bytes.entries()) expect(userStore8(p.k, p.mm, at(VECTOR) + i, byte)).toBe(0)
  return ranges.length
}
const bytesOf = (ranges: readonly Pages[]): [number, number][] =>
  ranges.map((range) => {
    const [page, pages] = parse(range)
    return [page * 4096, pages * 4096]
  })

/** A descriptor of `target` in `p`. */
function pidfd(p: Proc, target: Proc): number {
  const fd = pidfdOpen(p.k, p.task, target.task, 0)
  expect(fd).toBeGreaterThanOrEqual(0)
  return fd
}

/** Bytes are a number, not an address. */
const counted = (answer: string): string => (answer.startsWith("0x") ? String(Number(answer)) : answer)

/** Advice of `p` about ranges of `target`. */
const advise = (p: Proc, target: Proc, advice: number, ranges: readonly Pages[]): string =>
  counted(p.sys((k, task) => processMadvise(k, task, target.task, bytesOf(ranges), advice, 0)))

/** The call with its registers, a vector at VECTOR. */
const raw = (p: Proc, fd: number, count: number, advice: number, flags = 0, address = at(VECTOR)): string =>
  counted(p.sys(processMadviseFd, fd, address, count, advice, flags))

describe("process_madvise", () => {
  it("looks at flags, then at the vector, then at the descriptor [L-PMADV-E1, L-PMADV-E2, L-PMADV-E3]", () => {
    const p = world("aa")
    const me = pidfd(p, p)
    vector(p, bytesOf(["a0"]))
    expect(raw(p, me, 1025, MADV.DONTNEED, 1, 0)).toBe("EINVAL")
    expect(raw(p, 99, 1025, MADV.DONTNEED)).toBe("EINVAL")
    expect(raw(p, 99, 1024, MADV.DONTNEED), "the vector leaves its area").toBe("EFAULT")
    expect(raw(p, 99, 1, MADV.DONTNEED, 0, 0)).toBe("EFAULT")
    expect([raw(p, 99, 1, 77), raw(p, p.open("/f"), 1, 77)], "no process").toEqual(["EBADF", "EBADF"])
    expect(raw(p, me, 1, MADV.DONTNEED)).toBe("4096")
  })

  it("wants lengths below 2^63, and user space [L-PMADV-E2]", () => {
    const p = world("aa")
    const me = pidfd(p, p)
    const one = (addr: number, len: number): string => raw(p, me, vector(p, [[addr, len]]), MADV.COLD)
    const two = vector(p, [
      [2 ** 63, 4096],
      [at("a0"), 2 ** 63]
    ])
    expect(raw(p, me, two, MADV.COLD), "all lengths first").toBe("EINVAL")
    expect([one(at("a0"), 2 ** 63), one(2 ** 63, 4096), one(0x7ffffffff000, 4096)]).toEqual([
      "EINVAL",
      "EFAULT",
      "EFAULT"
    ])
  })

  it("goes on naming a process that has ended, and says that it has [L-PMADV-E3]", () => {
    const p = world("aa")
    const child = p.fork()
    const fd = pidfd(p, child)
    vector(p, bytesOf(["a0"]))
    expect(raw(p, fd, 1, MADV.COLD)).toBe("4096")
    call(p.k, () => exit(p.k, child.task))
    expect(raw(p, fd, 1, MADV.COLD), "a zombie").toBe("ESRCH")
    reap(p.k, child.task)
    const next = p.fork()
    expect(next.task, "its number is used again").toBe(child.task)
    expect([raw(p, fd, 1, MADV.COLD), raw(p, pidfd(p, next), 1, MADV.COLD)]).toEqual(["ESRCH", "4096"])
  })

  it("needs a right to look at the other's memory, before the advice is looked at [L-PMADV-E4]", () => {
    const root = world("aa")
    const user = root.fork().asUser()
    const other = root.fork().asUser(1000)
    expect([advise(user, root, MADV.COLD, ["a0"]), advise(user, other, 77, ["a0"])]).toEqual(["EACCES", "EACCES"])
    user.k.tasks.setCaps(user.task, CAP_SYS_PTRACE)
    expect([advise(user, root, MADV.COLD, ["a0"]), advise(user, other, 77, ["a0"])]).toEqual(["EPERM", "EINVAL"])
  })

  it("knows what madvise knows; an empty vector is not looked at [L-PMADV-E5]", () => {
    const p = world("aa")
    expect([advise(p, p, 77, ["a0"]), advise(p, p, -1, ["a0"]), advise(p, p, 77, [])]).toEqual([
      "EINVAL",
      "EINVAL",
      "ok"
    ])
  })

  it("gives others four pieces of advice, and says so before it asks for a right [L-PMADV-E6, L-PMADV-E7, L-PMADV-05]", () => {
    const p = world("aa")
    const user = p.asUser()
    const other = user.fork()
    for (const advice of [MADV.DONTNEED, MADV.FREE, MADV.RANDOM, MADV.GUARD_INSTALL, 77])
      expect(advise(user, other, advice, ["a0"]), `advice ${advice}`).toBe("EINVAL")
    for (const advice of [MADV.COLD, MADV.PAGEOUT, MADV.WILLNEED, MADV.COLLAPSE])
      expect(advise(user, other, advice, ["a0"]), `advice ${advice}`).toBe("EPERM")
  })

  it("of a same user's process needs CAP_SYS_NICE; for oneself it does not [L-PMADV-06, L-PRCTL-22]", () => {
    const p = world("aa").asUser()
    const other = p.fork()
    expect([advise(p, other, MADV.COLD, ["a0"]), advise(p, p, MADV.COLD, ["a0"])]).toEqual(["EPERM", "4096"])
    p.k.tasks.setCaps(p.task, CAP_SYS_NICE)
    expect(advise(p, other, MADV.COLD, ["a0"])).toBe("4096")
  })

  it("reaches the other's pages, not one's own", () => {
    const p = world()
    const fd = p.memfd(1)
    p.mmap("a0", RO, 1, fd)
    const other = p.fork()
    other.read("a0")
    expect(advise(p, other, MADV.PAGEOUT, ["a0"])).toBe("4096")
    expect(other.pages("a0")).toBe(".")
  })

  it("gives every advice to oneself [L-PMADV-01]", () => {
    const p = world("aaaa")
    p.write("a0+4")
    expect(advise(p, p, MADV.DONTNEED, ["a0", "a1"])).toBe("8192")
    expect(advise(p, p, MADV.GUARD_INSTALL, ["a2"])).toBe("4096")
    expect(advise(p, p, MADV.HUGEPAGE, ["a0+4"])).toBe("16384")
    expect([p.pages("a0+4"), p.areas()]).toEqual(["..gA", ["a0+4 rw-p gu hg"]])
  })

  it("answers the bytes of the ranges before the one that failed; its errno, if that is the first [L-PMADV-02, L-PMADV-E8]", () => {
    const p = world("aaa")
    p.write("a0+3")
    expect(advise(p, p, MADV.DONTNEED, ["a0+2", "a9", "a2"])).toBe("8192")
    expect(p.pages("a0+3"), "the third is left alone").toBe("..A")
    expect(advise(p, p, MADV.DONTNEED, ["a9", "a2"])).toBe("ENOMEM")
    p.mlock("a2")
    expect(advise(p, p, MADV.DONTNEED, ["a2"])).toBe("EINVAL")
  })

  it("fails for a range with a hole, though its mapped part was done [L-PMADV-03]", () => {
    const p = world("a.a")
    p.write("a0").concat(p.write("a2"))
    expect(advise(p, p, MADV.DONTNEED, ["a0+3", "a0"])).toBe("ENOMEM")
    expect(p.pages("a0+3")).toBe("._.")
  })

  it("counts ranges of no length as nothing, wherever they are [L-PMADV-04]", () => {
    const p = world("a")
    const me = pidfd(p, p)
    expect([advise(p, p, MADV.DONTNEED, []), raw(p, me, 0, MADV.DONTNEED, 0, 0)]).toEqual(["ok", "ok"])
    const n = vector(p, [
      [at("a0"), 4096],
      [at("a50"), 0],
      [at("a0"), 1]
    ])
    expect(raw(p, me, n, MADV.DONTNEED)).toBe("4097")
  })

  it("keeps the memory of a process that ends while it waits for its lock", () => {
    const p = world("aa")
    p.write("a0+2")
    const child = p.fork()
    const { mm } = child
    const hand = new Hand(p.k, () => processMadvise(p.k, p.task, child.task, bytesOf(["a0+2"]), MADV.COLD, 0))
    withMmap(p.k, mm, WRITE, () => expect(hand.to(NEED_LOCK).waits).toBe(true))
    child.exit()
    expect(p.k.maple.lookup(mm, parse("a0")[0]), "its areas are there").not.toBe(0)
    expect(hand.finish()).toBe(8192)
    expect([p.k.mms.users(mm), p.pages("a0+2")]).toEqual([0, "AA"])
  })

  it("reads flags and count as 32 bits, and knows the caller by two numbers that are not open", () => {
    const p = world("aa")
    const n = vector(p, bytesOf(["a0"]))
    expect(p.sys(processMadviseFd, PIDFD.SELF_PROCESS, at(VECTOR), 2 ** 32 + n, MADV.COLD, 2 ** 32)).toBe("0x1000")
    expect([raw(p, PIDFD.SELF_THREAD, n, MADV.COLD), raw(p, -10_002, n, MADV.COLD)]).toEqual(["4096", "EBADF"])
  })

  it("holds its lock over the whole vector: nobody comes in between two ranges [L-PMADV-07]", () => {
    const p = world("aa.aa")
    const ranges = bytesOf(["a0+2", "a3+2"])
    const hand = new Hand(p.k, () => processMadvise(p.k, p.task, p.task, ranges, MADV.RANDOM, 0))
    withVma(p.k, p.mm, parse("a3")[0], () => {
      hand.to(NEED_LOCK) // somebody reads the second range's area: it waits for him
      expect([hand.waits, p.areas()]).toEqual([true, ["a0+2 rw-p rr", "a3+2 rw-p"]])
      expect(p.k.runs.lockState(p.k.runs.mmapLock(p.mm)), "written").toBe(-1)
    })
    expect([hand.finish(), p.areas()]).toEqual([4 * 4096, ["a0+2 rw-p rr", "a3+2 rw-p rr"]])
  })
})

describe("pidfd_open", () => {
  it("shows in fdinfo which process it names, or that it is gone, and how it was opened", () => {
    const p = world()
    const child = p.fork()
    const fds = [0, PIDFD.NONBLOCK, PIDFD.THREAD].map((flags) => pidfdOpen(p.k, p.task, child.task, flags))
    const shown = (): (string | undefined)[] => fds.map((fd) => fdinfo(p.k, p.task, fd))
    const lines = (flags: string, pid: number): string => `pos:\t0\nflags:\t${flags}\nPid:\t${pid}\nNSpid:\t${pid}\n`
    const flags = ["02000002", "02004002", "02000202"]
    expect(shown()).toEqual(flags.map((word) => lines(word, child.task)))
    call(p.k, () => exit(p.k, child.task))
    expect(shown(), "a zombie").toEqual(flags.map((word) => lines(word, child.task)))
    reap(p.k, child.task)
    expect(shown(), "gone").toEqual(flags.map((word) => lines(word, -1)))
  })

  it("wants a process, and flags that it knows", () => {
    const p = world()
    expect([
      p.sys(pidfdOpen, p.task, 1),
      p.sys(pidfdOpen, 0, 0),
      p.sys(pidfdOpen, -1, 0),
      p.sys(pidfdOpen, 99, 0)
    ]).toEqual(["EINVAL", "EINVAL", "EINVAL", "ESRCH"])
    expect([p.sys(pidfdOpen, p.task, 0o4000), p.k.tasks.closesOnExec(p.task, 0)]).toEqual(["ok", true])
  })
})
