/** What a touch does to page tables, as pictures: see drawPages for the letters. */
import { describe, expect, it } from "vitest"
import { FAULT_ACCERR, FAULT_GP, FAULT_MAPERR, FAULT_SIGBUS, FETCH } from "../../../lib/flags/FaultFlags.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { EXEC, NONE, READ, WRITE } from "../../../lib/flags/ProtFlags.ts"
import { TASK_SIZE } from "../../../lib/mm/base/units.ts"
import { fault } from "../../../lib/mm/page/fault.ts"
import { follow } from "../../../lib/mm/page/walk.ts"
import { truncateObject } from "../../../lib/mm/object/truncate.ts"
import { F_EXCLUSIVE } from "../../../lib/mm/store/frames.ts"
import { RLIMIT_STACK } from "../../../lib/mm/store/tasks.ts"
import { STACK_VM, TOTAL_VM } from "../../../lib/mm/store/mms.ts"
import { userLoad8, userStore8 } from "../../../lib/mm/sys/trap.ts"
import { call, HERE } from "../../../lib/proof/testing/calls.ts"
import { Line, RW } from "../../support/line.ts"

const ANON = MAP.PRIVATE | MAP.ANONYMOUS

describe("a touch that gives a signal", () => {
  it("names a hole, a forbidden access, and an address that is none [L-FLT-01, L-FLT-02, L-FLT-03, L-FLT-04]", () => {
    const p = new Line().map("bn")
    expect([p.read(2), p.write(2)]).toEqual([-FAULT_MAPERR, -FAULT_MAPERR])
    expect([p.write(0), p.read(1), p.write(1)]).toEqual([-FAULT_ACCERR, -FAULT_ACCERR, -FAULT_ACCERR])
    for (const [addr, code] of [
      [2 ** 47, FAULT_GP],
      [0xffff_8000_0000_0000n, FAULT_MAPERR],
      [TASK_SIZE, FAULT_MAPERR],
      [TASK_SIZE - 1, FAULT_MAPERR]
    ] as const) {
      expect(userLoad8(p.k, p.mm, addr)).toBe(-code)
      expect(userStore8(p.k, p.mm, addr, 1)).toBe(-code)
    }
    expect(p.drawPages()).toBe("__")
  })

  it("asks a write for W alone, a read for any right, a fetch for X [L-FLT-06]", () => {
    const outcome = (prot: number): string => {
      const p = new Line()
      p.mmap(0, 1, prot)
      const fetch = call(p.k, () => fault(p.k, p.mm, HERE, FETCH))
      return `${p.read(0) >= 0 ? "r" : "-"}${p.write(0) >= 0 ? "w" : "-"}${fetch === 0 ? "x" : "-"}`
    }
    expect([NONE, READ, WRITE, EXEC, READ | WRITE, READ | EXEC, WRITE | EXEC, 7].map(outcome)).toEqual([
      "---",
      "r--",
      "rw-",
      "r-x",
      "rw-",
      "r-x",
      "rwx",
      "rwx"
    ])
  })

  it("comes behind the end of a file, for reads and writes, shared and private [L-FLT-25]", () => {
    const p = new Line()
    const fd = p.open("/f", 2)
    truncateObject(p.k, p.k.files.obj(p.k.tasks.file(p.task, fd)), 4097)
    for (const kind of [MAP.PRIVATE, MAP.SHARED]) {
      p.mmap(0, 3, RW, kind, fd)
      expect([p.read(0), p.read(1), p.read(2), p.write(2)]).toEqual([1, 2, -FAULT_SIGBUS, -FAULT_SIGBUS])
      expect(userLoad8(p.k, p.mm, (HERE + 1) * 4096 + 1), "the rest of the last page is zero").toBe(0)
      expect(userStore8(p.k, p.mm, (HERE + 1) * 4096 + 1, 1), "and may be written").toBe(0)
    }
    expect(p.draw()).toBe("aaa")
  })

  it("keeps a page of an area that nobody may touch any more [L-FLT-38]", () => {
    const p = new Line().map("a")
    p.write(0)
    p.mprotect(0, 1, NONE)
    expect(p.read(0)).toBe(-FAULT_ACCERR)
    expect(p.drawPages()).toBe("n")
    p.mprotect(0, 1, READ)
    expect(p.read(0)).toBe(1)
    expect(p.drawPages()).toBe("a")
  })
})

describe("anonymous memory", () => {
  it("shows the page of zeroes on a read, a page of its own on a write, over the zero page too [L-FLT-08, L-FLT-09]", () => {
    const p = new Line().map("aaa")
    expect(p.read(0)).toBe(0)
    p.write(1)
    expect(p.drawPages()).toBe("zA_")
    expect([p.k.mms.rssTotal(p.mm), p.anonOf(0) !== 0]).toEqual([1, true])
    p.write(0)
    expect(p.drawPages()).toBe("AA_")
    expect(p.read(0)).toBe(1)
  })

  it("needs no anon_vma and counts no page while it is only read [L-FLT-08]", () => {
    const p = new Line().map("aa")
    p.read(0)
    p.read(1)
    expect([p.anonOf(0), p.k.mms.rssTotal(p.mm), p.drawPages()]).toEqual([0, 0, "zz"])
  })

  it("made read-only keeps its page; made writable again it is written in place [L-FLT-10]", () => {
    const p = new Line().map("a")
    p.write(0)
    const frame = follow(p.k, p.mm, HERE)
    p.mprotect(0, 1, READ)
    expect(p.drawPages()).toBe("a")
    p.mprotect(0, 1, RW)
    expect(p.drawPages(), "and needs no fault for it").toBe("A")
    p.write(0)
    expect(follow(p.k, p.mm, HERE)).toBe(frame)
  })

  it("shared with a child is copied by who writes, and reused by who is left [L-FLT-11, L-FLT-12, L-FLT-13, L-FORK-12]", () => {
    const p = new Line().map("a")
    p.write(0)
    const frame = follow(p.k, p.mm, HERE)
    const child = p.fork()
    expect([p.drawPages(), child.drawPages()]).toEqual(["a", "a"])
    expect(p.k.frames.has(frame, F_EXCLUSIVE)).toBe(false)
    p.write(0)
    expect(follow(p.k, p.mm, HERE), "the parent got a copy").not.toBe(frame)
    expect(follow(p.k, child.mm, HERE)).toBe(frame)
    child.write(0)
    expect(follow(p.k, child.mm, HERE), "the child is alone now").toBe(frame)
    expect(p.k.frames.has(frame, F_EXCLUSIVE)).toBe(true)
  })

  it("shared by three is copied until one is left [L-FLT-14]", () => {
    const p = new Line().map("a")
    p.write(0)
    const frame = follow(p.k, p.mm, HERE)
    const [b, c] = [p.fork(), p.fork()]
    const after = [p, b, c].map((one) => {
      one.write(0)
      return follow(one.k, one.mm, HERE) === frame
    })
    expect(after).toEqual([false, false, true])
    expect(c.drawPages()).toBe("A")
  })

  it("is the last owner's again when the others have gone [L-FLT-13]", () => {
    const p = new Line().map("a")
    p.write(0)
    const frame = follow(p.k, p.mm, HERE)
    p.fork().exit()
    p.write(0)
    expect(follow(p.k, p.mm, HERE)).toBe(frame)
    p.fork().munmap(0, 1)
    p.write(0)
    expect(follow(p.k, p.mm, HERE)).toBe(frame)
    expect(p.drawPages()).toBe("A")
  })

  it("made writable after a fork is not written in place while the child shares it", () => {
    const p = new Line().map("a")
    p.write(0)
    const child = p.fork()
    for (const one of [p, child]) {
      one.mprotect(0, 1, READ)
      one.mprotect(0, 1, RW)
      expect(one.drawPages()).toBe("a")
    }
    userStore8(p.k, p.mm, HERE * 4096, 9)
    expect([p.read(0), child.read(0)]).toEqual([9, 1])
    expect(child.drawPages()).toBe("a")
  })
})

describe("memory of a file", () => {
  it("maps the cached pages around a read, by 16 pages of virtual address, as far as area and file go [L-FLT-15, L-FLT-16, L-FLT-17, L-FLT-20]", () => {
    const q = Line.on({ frames: 128 })
    const fd = q.open("/f", 40)
    q.mmap(0, 40, READ, MAP.PRIVATE, fd)
    q.read(20)
    expect(q.drawPages()).toBe("_".repeat(16) + "o".repeat(16) + "_".repeat(8))
    q.read(39)
    expect(q.drawPages(), "the area's end").toBe("_".repeat(16) + "o".repeat(24))
    q.mmap(0, 40, READ, MAP.PRIVATE, fd, 3)
    q.read(33)
    expect(q.drawPages(), "the file's end; where it lies in the file does not count").toBe(
      "_".repeat(32) + "o".repeat(5) + "_".repeat(3)
    )
    q.munmap(0, 40)
    q.mmap(10, 30, READ, MAP.PRIVATE, fd)
    q.read(12)
    expect(q.drawPages(), "clipped by the area's start, the window slides up").toBe("o".repeat(16) + "_".repeat(14))
  })

  it("fills empty entries only: private copies stay, writes map one page [L-FLT-18, L-FLT-20, L-FLT-22]", () => {
    const p = Line.on({ frames: 128 })
    const fd = p.open("/f", 8)
    p.mmap(0, 8, RW, MAP.PRIVATE, fd)
    p.write(2)
    expect(p.drawPages()).toBe("__A_____")
    p.read(0)
    expect(p.drawPages()).toBe("ooAooooo")
    p.write(5)
    expect(p.drawPages()).toBe("ooAooAoo")
  })

  it("that is a hole is skipped on the way, and made where it is touched [L-FLT-19]", () => {
    const p = new Line()
    p.mmap(0, 4, RW, MAP.SHARED | MAP.ANONYMOUS)
    p.read(1)
    expect(p.drawPages()).toBe("_o__")
    p.write(2)
    expect(p.drawPages()).toBe("_oO_")
  })

  it("copied by a private write is the process's own for good; other pages still show the file [L-FLT-23]", () => {
    const p = new Line()
    const fd = p.open("/f", 2)
    p.map("pp.ss", { p: { prot: RW, flags: MAP.PRIVATE, fd }, s: { prot: RW, flags: MAP.SHARED, fd, pgoff: -3 } })
    p.read(1)
    userStore8(p.k, p.mm, HERE * 4096 + 1, 7)
    for (const page of [3, 4]) userStore8(p.k, p.mm, (HERE + page) * 4096, 99)
    expect([p.read(0), p.read(1)]).toEqual([1, 99])
    expect(p.drawPages()).toBe("Ao.OO")
  })

  it("written through a shared mapping is seen by all, and stays when they have gone [L-FLT-24]", () => {
    const p = new Line()
    const fd = p.open("/f", 1)
    p.mmap(0, 1, RW, MAP.SHARED, fd)
    userStore8(p.k, p.mm, HERE * 4096, 42)
    const child = p.fork()
    expect(child.read(0)).toBe(42)
    p.munmap(0, 1)
    p.mmap(0, 1, READ, MAP.PRIVATE, fd)
    expect(p.read(0)).toBe(42)
    expect(p.draw()).toBe("a")
  })

  it("cut off takes the private copies behind the new end along [L-FLT-26]", () => {
    const p = new Line()
    const fd = p.open("/f", 3)
    p.mmap(0, 3, RW, MAP.PRIVATE, fd)
    p.write(0, 1, 2)
    const child = p.fork()
    truncateObject(p.k, p.k.files.obj(p.k.tasks.file(p.task, fd)), 4096)
    expect([p.drawPages(), child.drawPages()]).toEqual(["a__", "a__"])
    expect([p.read(0), p.read(1), child.read(2)]).toEqual([1, -FAULT_SIGBUS, -FAULT_SIGBUS])
  })

  it("shared and without a name ends where it was made to [L-FLT-42]", () => {
    const p = new Line()
    p.mmap(0, 2, RW, MAP.SHARED | MAP.ANONYMOUS)
    const v = p.area(0)
    truncateObject(p.k, p.k.vmas.obj(v), 4096)
    expect([p.read(0), p.read(1)]).toEqual([0, -FAULT_SIGBUS])
    expect(p.draw()).toBe("aa")
  })
})

describe("fork", () => {
  it("copies the tables of written private memory, zero pages and file pages included [L-FORK-03, L-FORK-04, L-FORK-06]", () => {
    const p = new Line()
    const fd = p.open("/f", 4)
    p.map("aaa.ffff", { f: { prot: RW, flags: MAP.PRIVATE, fd, pgoff: -4 } })
    p.write(0, 5)
    p.read(1)
    p.read(4)
    expect(p.drawPages()).toBe("Az_.oAoo")
    expect(p.fork().drawPages()).toBe("az_.oaoo")
  })

  it("leaves memory that was never written to the child's own faults [L-FORK-03, L-FORK-05, L-FORK-06, L-FORK-07]", () => {
    const p = new Line()
    const fd = p.open("/f", 2)
    p.map("aa.ff.ss", { f: { prot: RW, flags: MAP.PRIVATE, fd, pgoff: -3 } })
    for (const page of [0, 1, 3, 4]) p.read(page)
    p.write(6)
    expect(p.drawPages()).toBe("zz.oo.O_")
    expect(p.fork().drawPages()).toBe("__.__.__")
  })

  it("gives the child the parent's areas, and counts them as the parent's [L-FORK-01]", () => {
    const p = new Line().map("aab.ss")
    const child = p.fork()
    expect(child.draw()).toBe(p.draw())
    expect(child.k.mms.stat(child.mm, TOTAL_VM)).toBe(5)
  })
})

describe("a stack", () => {
  const stack = (prot = RW, config = {}): Line => {
    const p = Line.on(config)
    p.mmap(300, 2, prot, ANON | MAP.GROWSDOWN)
    return p
  }

  it("grows down to a touch in the hole beneath it, at any distance, by any access [L-FLT-30]", () => {
    const p = stack()
    expect(p.write(299)).toBe(0)
    expect(p.read(290)).toBe(0)
    expect(p.draw()).toBe("a".repeat(12))
    expect(call(p.k, () => fault(p.k, p.mm, HERE + 280, FETCH))).toBe(FAULT_ACCERR)
    expect(p.k.vmas.pages(p.area(300)), "it grew all the same").toBe(22)
    p.write(280, 300)
    expect(p.read(280)).toBe(281 & 255)
  })

  it("counts what it grew by, and keeps each page where it was [L-FLT-34]", () => {
    const p = stack()
    p.write(301)
    p.write(295)
    expect([p.k.mms.stat(p.mm, STACK_VM), p.k.mms.stat(p.mm, TOTAL_VM)]).toEqual([7, 7])
    expect(p.k.vmas.pgoff(p.area(300))).toBe(HERE + 295)
    expect(p.read(301)).toBe(302 & 255)
    const child = p.fork()
    child.write(301, 295)
    expect([child.drawPages(), p.drawPages()]).toEqual(["A_____A", "a_____a"])
  })

  it("keeps 256 pages from what may be touched below it, and may come close to what may not [L-FLT-31, L-FLT-32]", () => {
    const roomy = { frames: 512 }
    const p = stack(RW, roomy)
    p.mmap(10, 1, READ)
    expect(p.write(11 + 255)).toBe(-FAULT_MAPERR)
    expect(p.write(11 + 256)).toBe(0)
    const q = stack(RW, roomy)
    q.mmap(10, 1, NONE)
    expect(q.write(11)).toBe(0)
    const r = stack(RW, roomy)
    r.mmap(10, 1, RW, ANON | MAP.GROWSDOWN)
    expect(r.write(11)).toBe(0)
    expect(r.draw()).toBe("a|a*291")
  })

  it("grows before the access is looked at: a forbidden touch leaves it larger [L-FLT-33]", () => {
    const p = stack(READ)
    expect(p.write(299)).toBe(-FAULT_ACCERR)
    expect(p.draw()).toBe("aaa")
    const q = stack(NONE)
    expect(q.read(298)).toBe(-FAULT_ACCERR)
    expect(q.draw()).toBe("aaaa")
  })

  it("stays within RLIMIT_STACK, counted from its end [L-FLT-31]", () => {
    const p = stack()
    p.k.tasks.setRlimit(p.task, RLIMIT_STACK, 4 * 4096, Infinity)
    expect(p.write(297)).toBe(-FAULT_MAPERR)
    expect(p.write(298)).toBe(0)
    expect(p.draw()).toBe("aaaa")
  })

  it("is not grown by calls: mprotect of what lies beneath it finds a hole [L-FLT-35]", () => {
    const p = stack()
    expect(p.mprotect(299, 2, READ)).toBeLessThan(0)
    expect(p.munmap(290, 5)).toBe(0)
    expect(p.draw()).toBe("aa")
  })

  it("cut in the middle grows from its upper piece [L-FLT-36]", () => {
    const p = stack()
    p.write(290)
    p.munmap(294, 3)
    expect(p.write(296)).toBe(0)
    expect(p.draw()).toBe("aaaa..aaaaaa")
  })
})
