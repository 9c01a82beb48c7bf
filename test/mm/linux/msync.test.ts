/** msync: what it refuses, and which files it asks. */
import * as MS from "../../../lib/flags/MsyncFlags.ts"
import { describe, expect, it } from "vitest"
import { EIO } from "../../../lib/flags/Errno.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { H_MSYNC, NEED_HOOK } from "../../../lib/mm/base/stop.ts"
import { installFd, openPath } from "../../../lib/mm/object/file.ts"
import { FMODE_READ } from "../../../lib/mm/store/files.ts"
import { msync } from "../../../lib/mm/sys/msync.ts"
import { Hand } from "../rows/world.ts"
import { at, outcome, type Pages, parse, RO, RW, SHARED_ANON } from "./words.ts"
import { type Proc, world } from "./world.ts"

const sync = (p: Proc, range: Pages, flags = MS.SYNC): string => {
  const [page, pages] = parse(range)
  return p.sys(msync, page * 4096, pages * 4096, flags)
}
const LAST = 2n ** 64n - 1n

/** What msync answers, then the pages of files that were asked for. */
function asked(p: Proc, range: Pages, flags: number): string[] {
  const heard: string[] = []
  p.machine.hook = (hook) => {
    if (hook === H_MSYNC) heard.push(`${p.k.range[0]}..${p.k.range[1]}`)
    return 0
  }
  const answer = sync(p, range, flags)
  p.machine.hook = undefined
  return [answer, ...heard]
}

describe("refusals", () => {
  it("come in order: flags and alignment, then a length that wraps; none is fine [L-MSY-E1, L-MSY-E2, L-MSY-E3, L-MSY-01]", () => {
    const p = world("aa")
    const errno = (addr: number | bigint, len: number | bigint, flags: number): string => p.sys(msync, addr, len, flags)
    const wraps = LAST - 8191n
    expect([errno(at("a0"), wraps, 8), errno(at("a0"), wraps, 2 ** 32), errno(at("a0") + 1, wraps, MS.SYNC)]).toEqual([
      "EINVAL",
      "EINVAL",
      "EINVAL"
    ])
    expect(errno(at("a0"), wraps, MS.ASYNC | MS.SYNC)).toBe("EINVAL")
    expect([errno(at("a0"), wraps, MS.SYNC), errno(at("a0"), LAST, MS.SYNC), errno(at("a9"), 0, MS.SYNC)]).toEqual([
      "ENOMEM",
      "ok",
      "ok"
    ])
  })

  it("for a hole come at the end, wherever it is; with MS_ASYNC alone at once [L-MSY-02]", () => {
    const p = world("a.b")
    expect(["a1", "a0+2", "a1+2", "a0+3", "a2+3"].map((range) => sync(p, range as Pages))).toEqual(
      Array(5).fill("ENOMEM")
    )
    p.mlock("a2")
    expect(sync(p, "a0+3", MS.INVALIDATE), "it went on to a2").toBe("EBUSY")
    const q = world()
    const fd = q.device([H_MSYNC])
    q.mmap("a1", RW, MAP.SHARED, fd)
    expect(asked(q, "a0+2", MS.SYNC)).toEqual(["ENOMEM", "0..1"])
  })

  it("for locked memory come at once, even behind a hole [L-MSY-03]", () => {
    const p = world("aa..b")
    p.mlock("a4")
    for (const flags of [MS.INVALIDATE, MS.INVALIDATE | MS.ASYNC, MS.INVALIDATE | MS.SYNC])
      expect([sync(p, "a4", flags), sync(p, "a3+2", flags), sync(p, "a0+2", flags)]).toEqual(["EBUSY", "EBUSY", "ok"])
    expect(sync(p, "a3+2", MS.ASYNC)).toBe("ENOMEM")
  })

  it("without flags are those for holes alone [L-MSY-04, L-MSY-E4]", () => {
    const p = world("ab.b")
    p.mlock("a1")
    expect([sync(p, "a0+2", 0), sync(p, "a0+4", 0), sync(p, "a2", 0)]).toEqual(["ok", "ENOMEM", "ENOMEM"])
  })
})

describe("files", () => {
  /** Three areas of a file that wants to be asked: shared, private, shared through a read-only descriptor. */
  const three = (): Proc => {
    const p = world()
    const fd = p.device([H_MSYNC])
    const reader = installFd(p.k, p.task, openPath(p.k, "/dev/0", FMODE_READ))
    p.mmap("a0+2", RW, MAP.SHARED, fd, 5)
    p.mmap("a2+2", RW, MAP.PRIVATE, fd, 10)
    p.mmap("a4+2", RO, MAP.SHARED, reader, 20)
    p.mmap("a6+2", RO, MAP.SHARED, fd, 30)
    return p
  }

  it("that are shared are asked for the range by MS_SYNC, one after the other; others are not [L-MSY-05, L-MSY-E4]", () => {
    const p = three()
    expect(asked(p, "a0+8", MS.SYNC)).toEqual(["ok", "5..7", "30..32"])
    expect(asked(p, "a1+6", MS.SYNC | MS.INVALIDATE)).toEqual(["ok", "6..7", "30..31"])
  })

  it("hear nothing of MS_ASYNC, nor of no flags [L-MSY-06, L-MSY-04]", () => {
    const p = three()
    for (const flags of [MS.ASYNC, MS.ASYNC | MS.INVALIDATE, 0]) expect(asked(p, "a0+8", flags)).toEqual(["ok"])
  })

  it("that fail end it with their error; a hole before them is forgotten [L-MSY-05]", () => {
    const p = three()
    p.munmap("a0")
    let calls = 0
    p.machine.hook = () => (calls++, EIO)
    expect([sync(p, "a0+8"), calls]).toEqual(["EIO", 1])
    p.machine.hook = undefined
  })

  it("of memory have nothing to be asked: private and shared anonymous memory, shared memory objects [L-MSY-05]", () => {
    const p = world("a")
    p.mmap("a1", RW, SHARED_ANON)
    p.mmap("a2", RW, MAP.SHARED, p.memfd(1))
    p.write("a0+3")
    const hand = new Hand(p.k, () => msync(p.k, p.task, at("a0"), 3 * 4096, MS.SYNC)).to(NEED_HOOK)
    expect([hand.ended, hand.result]).toEqual([true, 0])
    expect([p.read("a0+3"), p.pages("a0+3")]).toEqual(["101 102 103", "AFF"])
  })

  it("are asked with no lock held, and kept meanwhile: the area may go, and what follows is looked up again [L-MSY-07]", () => {
    const p = three()
    const { k } = p
    const hand = new Hand(k, () => msync(k, p.task, at("a0"), 8 * 4096, MS.SYNC)).to(NEED_HOOK)
    expect([k.runs.held[hand.row], k.runs.lockState(k.runs.mmapLock(p.mm))]).toEqual([0, 0])
    expect([p.munmap("a0+2"), p.munmap("a6+2")]).toEqual(["ok", "ok"])
    expect(outcome(hand.finish()), "a6 has gone as well").toBe("ENOMEM")
  })
})
