/** Merging, splitting, and the life of an area: what test/mm/area/merge.test.ts does not show. */
import * as SHM from "../../../lib/flags/ShmFlags.ts"
import { describe, expect, it } from "vitest"
import * as MADV from "../../../lib/flags/AdviceFlags.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { H_CLOSE } from "../../../lib/mm/base/stop.ts"
import { FILE_ZERO } from "../../../lib/mm/store/files.ts"
import { VMA_DETACHED } from "../../../lib/mm/store/vmas.ts"
import { lockVmaUnderRcu } from "../../../lib/mm/area/vma-lock.ts"
import { Hand } from "../rows/world.ts"
import { shmat, shmget } from "../../../lib/mm/sys/shm.ts"
import { A0, ANON, at, NONE, RO, RW, RX } from "./words.ts"
import { world } from "./world.ts"

describe("neighbours", () => {
  it("differ in any flag but two, and stay apart for it; without the difference they are one [L-VMA-01, L-VMA-02]", () => {
    for (const [advice, undo] of [
      [MADV.RANDOM, MADV.NORMAL],
      [MADV.SEQUENTIAL, MADV.NORMAL],
      [MADV.DONTFORK, MADV.DOFORK],
      [MADV.WIPEONFORK, MADV.KEEPONFORK],
      [MADV.DONTDUMP, MADV.DODUMP],
      [MADV.MERGEABLE, MADV.UNMERGEABLE]
    ] as const) {
      const p = world("aaaa")
      expect(p.madvise("a2+2", advice)).toBe("ok")
      expect(p.draw(), `advice ${advice}`).toBe("aabb")
      expect(p.madvise("a2+2", undo)).toBe("ok")
      expect(p.draw(), `advice ${undo}`).toBe("aaaa")
    }
    const p = world("aaaa")
    p.mlock("a2+2")
    expect(p.areas()).toEqual(["a0+2 rw-p", "a2+2 rw-p lo"])
    p.munlock("a2+2")
    expect(p.draw()).toBe("aaaa")
    p.mseal("a2+2")
    expect(p.areas()).toEqual(["a0+2 rw-p", "a2+2 rw-p sl"])
  })

  it("of which one was charged for and the other never was are two [L-VMA-02]", () => {
    const p = world("ab")
    p.write("a0")
    p.mprotect("a0", RO)
    expect(p.draw()).toBe("a|a")
    expect([p.flags("a0"), p.flags("a1")]).toEqual(["rd mr mw me ac", "rd mr mw me"])
  })

  it("keep what may be guarded for ever: the whole has it, and every piece of the whole [L-VMA-03]", () => {
    const p = world("aa")
    p.madvise("a1", MADV.GUARD_INSTALL)
    p.mmap("a2+2", RW)
    expect(p.areas()).toEqual(["a0+4 rw-p gu"])
    p.madvise("a0+4", MADV.GUARD_REMOVE)
    expect(p.pages("a0+4")).toBe("....")
    p.mprotect("a3", RO)
    expect(p.areas()).toEqual(["a0+3 rw-p gu", "a3 r--p gu"])
    p.munmap("a0+3")
    p.mprotect("a3", RW)
    p.mmap("a2", RW)
    expect(p.areas(), "the new one comes under it").toEqual(["a2+2 rw-p gu"])
  })

  it("get what may be guarded from a part that moves in, too [L-VMA-03]", () => {
    const p = world()
    p.mmap("a0+4", RW, MAP.SHARED, p.memfd(4))
    p.mremap("a2+2", "a20+2")
    p.madvise("a20", MADV.GUARD_INSTALL)
    expect(p.areas()).toEqual(["a0+2 rw-s", "a20+2 rw-s gu"])
    p.mremap("a20+2", "a2+2")
    expect(p.areas()).toEqual(["a0+4 rw-s gu"])
    expect(p.read("a0+4")).toBe("1 2 SEGV_MAPERR 4")
  })

  it("of one open file are one through any of its descriptors; not through another open of it [L-VMA-04]", () => {
    const p = world()
    const fd = p.open("/f")
    p.mmap("a0", RO, MAP.SHARED, fd, 0)
    p.mmap("a1", RO, MAP.SHARED, p.dup(fd), 1)
    expect(p.draw()).toBe("aa")
    p.mmap("a2", RO, MAP.SHARED, p.open("/f"), 2)
    expect(p.draw()).toBe("aab")
  })

  it("that grow down do not become one when they meet by growth [L-VMA-38]", () => {
    const p = world()
    const STACK = ANON | MAP.GROWSDOWN
    p.mmap("a300+2", RW, STACK)
    p.mmap("a303", RW, STACK)
    expect(p.write("a302"), "it grows").toBe("ok")
    expect(p.areas()).toEqual(["a300+2 rw-p gd", "a302+2 rw-p gd"])
    p.mmap("a304", RW)
    expect(p.areas(), "nor do they take in plain memory").toEqual(["a300+2 rw-p gd", "a302+2 rw-p gd", "a304 rw-p"])
  })

  it("of MAP_STACK are one, and are not once huge pages were allowed in one of them [L-VMA-39]", () => {
    const p = world()
    const STACK = ANON | MAP.STACK
    p.mmap("a0", RW, STACK)
    p.mmap("a1", RW, STACK)
    expect(p.areas()).toEqual(["a0+2 rw-p nh"])
    p.madvise("a0+2", MADV.HUGEPAGE)
    p.mmap("a2", RW, STACK)
    expect(p.areas()).toEqual(["a0+2 rw-p hg", "a2 rw-p nh"])
  })
})

describe("memory that was moved", () => {
  it("counts its pages from the new place if nobody wrote it, and so merges there [L-VMA-07]", () => {
    const p = world("a.aaa")
    expect(p.mremap("a0", "a5")).toBe("a5")
    expect(p.offset("a5")).toBe("a2")
    expect(p.draw()).toBe("..aaaa")
  })

  it("keeps the offsets of its old place once it was written, and fits no native of the new one [L-VMA-07]", () => {
    const p = world("aaa.a")
    p.write("a1")
    expect(p.mremap("a0+3", "a20+3")).toBe("a20")
    expect(p.offset("a20")).toBe("a0")
    p.mmap("a23", RW)
    p.mmap("a19", RW)
    expect(p.areas(), "neighbours of its own kind stay apart").toEqual([
      "a4 rw-p",
      "a19 rw-p",
      "a20+3 rw-p",
      "a23 rw-p"
    ])
    p.munmap("a21")
    expect(p.mremap("a22", "a21")).toBe("a21")
    expect(p.areas().slice(1), "nor in a hole of its own").toEqual(["a19 rw-p", "a20 rw-p", "a21 rw-p", "a23 rw-p"])
  })

  it("merges again where offsets and anon_vma agree: back home, or at the distance it had [L-VMA-08]", () => {
    const p = world("aaaaaa")
    p.write("a0+6")
    p.mremap("a2+2", "a20+2")
    expect(p.areas()).toEqual(["a0+2 rw-p", "a4+2 rw-p", "a20+2 rw-p"])
    expect(p.mremap("a4+2", "a22+2")).toBe("a22")
    expect(p.areas(), "two pieces of one original").toEqual(["a0+2 rw-p", "a20+4 rw-p"])
    p.mremap("a20+4", "a2+4")
    expect(p.draw()).toBe("aaaaaa")
    expect(p.read("a0+6")).toBe("101 102 103 104 105 106")
  })

  it("that is a private /dev/zero is anonymous, and shows its new address as its file offset [L-VMA-09]", () => {
    const p = world()
    const zero = p.special(FILE_ZERO)
    p.mmap("a0", RW, MAP.PRIVATE, zero, 3)
    expect(p.offset("a0")).toBe("3")
    p.mremap("a0", "a10")
    expect(p.offset("a10")).toBe("a10")
    expect(p.k.vmas.file(p.area("a10")), "it keeps its file").toBe(p.k.tasks.file(p.task, zero))
    p.write("a10")
    p.mremap("a10", "a12")
    expect(p.offset("a12"), "written by now").toBe("a10")
  })

  it("that a child inherited stays apart from fresh memory, whichever of the two moves [L-VMA-10, L-VMA-14, L-VMA-21]", () => {
    const p = world("a")
    p.write("a0")
    const child = p.fork()
    child.mmap("a1", RW)
    child.mremap("a0", "a20")
    expect(child.mremap("a20", "a0"), "back, to the offset that would fit").toBe("a0")
    expect(child.draw()).toBe("a|a")
    child.mremap("a1", "a20")
    expect(child.mremap("a20", "a1")).toBe("a1")
    expect(child.draw()).toBe("a|a")
    p.mremap("a0", "a20")
    p.mmap("a1", RW)
    p.mremap("a20", "a0")
    expect(p.draw(), "the parent's own is not inherited").toBe("aa")
    expect(p.k.vmas.anon(p.area("a0")), "what took it in has its anon_vma").not.toBe(0)
  })

  it("to the end of its own area becomes part of it while nobody wrote there [L-VMA-40]", () => {
    const p = world("aaaa")
    expect(p.mremap("a0+2", "a4+2")).toBe("a4")
    expect(p.draw()).toBe("..aaaa")
    const between = world("aa..aaaa")
    expect(between.mremap("a6+2", "a2+2"), "it vanishes into the one below").toBe("a2")
    expect(between.draw()).toBe("aaaaaa")
    const q = world("aaaa")
    q.write("a1")
    expect(q.mremap("a0+2", "a4+2")).toBe("a4")
    expect(q.draw()).toBe("..aa|aa")
  })

  it("by no page at all but grown, joins what follows; what does not fit stays apart [L-VMA-41]", () => {
    const p = world("aa..aa")
    expect(p.mremap("a0+2", 4)).toBe("a0")
    expect(p.draw()).toBe("aaaaaa")
    const q = world("aa..aa")
    q.write("a0")
    q.write("a4")
    expect(q.mremap("a0+2", 4)).toBe("a0")
    expect(q.draw()).toBe("aaaa|aa")
  })
})

describe("anon_vma", () => {
  it("that differs since flags differed at the first write keeps two apart for good [L-VMA-24]", () => {
    const p = world("aaa")
    p.madvise("a1", MADV.DONTDUMP)
    p.write("a1")
    p.write("a0")
    p.madvise("a1", MADV.DODUMP)
    expect(p.draw()).toBe("a|aa")
    p.mprotect("a0+3", RO)
    p.mprotect("a0+3", RW)
    expect(p.draw()).toBe("a|aa")
  })

  it("comes with guard markers as with a write [L-VMA-26]", () => {
    const p = world("aa")
    p.madvise("a0", MADV.GUARD_INSTALL)
    expect(p.k.vmas.anon(p.area("a0"))).not.toBe(0)
    const child = p.fork()
    child.mmap("a2", RW)
    expect(child.draw(), "apart, as from written memory").toBe("aab")
    p.mprotect("a0+2", RO)
    expect(p.flags("a0"), "what may have been written stays charged").toBe("rd mr mw me gu ac")
  })
})

describe("an area of a System V segment", () => {
  it("is not removed by a merge, since the segment counts its areas; a left neighbour may grow [L-VMA-20]", () => {
    const p = world()
    const id = shmget(p.k, p.task, SHM.PRIVATE, 4 * 4096, SHM.CREAT | 0o600)
    expect(p.sys(shmat, id, at("a0"), 0)).toBe("a0")
    p.mprotect("a1+2", NONE)
    expect(p.draw()).toBe("abba")
    p.mprotect("a1+2", RW)
    expect(p.draw(), "as a whole it would vanish").toBe("a|aa|a")
    p.mprotect("a1+2", NONE)
    p.mprotect("a1", RW)
    expect(p.draw(), "a part of it goes over").toBe("aaba")
  })
})

describe("the end of an area", () => {
  it("leaves its tree first, then its pages, then tells its owner, then lets the file go [L-VMA-42]", () => {
    const p = world()
    const { k } = p
    const fd = p.device([H_CLOSE], { translate: () => p.driverPage() })
    p.mmap("a0+2", RW, MAP.SHARED, fd)
    p.close(fd)
    expect(p.write("a0+2")).toBe("ok")
    const area = p.area("a0")
    const file = k.vmas.file(area)
    const seen: string[] = []
    p.machine.hook = () => {
      seen.push(
        `tree ${k.maple.lookup(p.mm, A0)}`,
        `detached ${k.vmas.state(area) === VMA_DETACHED}`,
        `resident ${k.mms.rssTotal(p.mm)}`,
        `file ${k.files.fileRefs(file)}`
      )
      return 0
    }
    p.machine.heard.length = 0
    expect(p.munmap("a0+2")).toBe("ok")
    expect(p.machine.heard).toEqual(["close a0+2"])
    expect(seen).toEqual(["tree 0", "detached true", "resident 0", "file 1"])
    expect(k.files.liveFiles).toBe(0)
  })

  it("is seen by a reader that had found it: he never gets it, nor what its row is used for next [L-VMA-42]", () => {
    const p = world("a")
    const { k } = p
    const area = p.area("a0")
    k.runs.preempt = true
    const reader = new Hand(k, () => lockVmaUnderRcu(k, p.mm, A0))
    reader.step()
    const second = new Hand(k, () => lockVmaUnderRcu(k, p.mm, A0))
    second.step()
    k.runs.preempt = false
    p.munmap("a0")
    expect(reader.finish(), "taken out").toBe(0)
    p.mmap("a7", RX)
    expect(p.area("a7"), "the row is in use again").toBe(area)
    expect(second.finish()).toBe(0)
  })
})
