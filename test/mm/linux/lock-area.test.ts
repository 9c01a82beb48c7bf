/** What happens to areas under which lock: downgrades, faults, bounds, page tables, moves. */
import { describe, expect, it } from "vitest"
import * as MADV from "../../../lib/flags/AdviceFlags.ts"
import { FAULT_MAPERR, READ as READING, WRITE as WRITING } from "../../../lib/flags/FaultFlags.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { VM_DONTDUMP } from "../../../lib/flags/bits.ts"
import { EIO } from "../../../lib/flags/Errno.ts"
import { checkMm } from "../../../lib/mm/area/check.ts"
import { READ, WRITE } from "../../../lib/mm/area/mmap-lock.ts"
import { isWriteLocked } from "../../../lib/mm/area/vma-lock.ts"
import { H_FAULT, H_MAY_SPLIT, MMAP_R, MMAP_W, NEED_HOOK, NEED_LOCK, VMA_R } from "../../../lib/mm/base/stop.ts"
import { fault } from "../../../lib/mm/page/fault.ts"
import { VMA_ATTACHED } from "../../../lib/mm/store/vmas.ts"
import { brk } from "../../../lib/mm/sys/brk.ts"
import { madvise } from "../../../lib/mm/sys/madvise.ts"
import { mprotect } from "../../../lib/mm/sys/mprotect.ts"
import { mremap } from "../../../lib/mm/sys/mremap.ts"
import { munmap } from "../../../lib/mm/sys/munmap.ts"
import { userStore8 } from "../../../lib/mm/sys/trap.ts"
import { call } from "../../../lib/proof/testing/calls.ts"
import { Hand, withMmap, withVma } from "../rows/world.ts"
import { A0, ANON, at, outcome, RO, RW } from "./words.ts"
import { world } from "./world.ts"
import { type Call, PAGES, scene, waits } from "./lock-scene.ts"

describe("a downgrade", () => {
  const shrinks: Readonly<Record<string, Call>> = {
    munmap: ({ k, task }) => munmap(k, task, at("a1"), PAGES),
    mremap: ({ k, task }) => mremap(k, task, at("a0"), 2 * PAGES, PAGES, 0, 0),
    brk: ({ k, task }) => brk(k, task, at("a40"))
  }

  it.each(Object.entries(shrinks))(
    "of %s comes once the areas are out: others fault elsewhere, and find nothing there [L-LOCK-09]",
    (name, make) => {
      const p = scene()
      const { k } = p
      p.write("a40")
      const page = A0 + (name === "brk" ? 40 : 1)
      const frames = k.frames.free()
      k.runs.preempt = true
      const hand = new Hand(k, () => make(p)).step()
      while (k.runs.held[hand.row] !== MMAP_R) hand.step()
      k.runs.preempt = false
      expect([k.runs.lockState(k.runs.mmapLock(p.mm)), k.maple.lookup(p.mm, page)]).toEqual([1, 0])
      expect(k.frames.free(), "its page has not gone yet, or not to others").toBe(frames)
      const touch = (at: number): number => call(k, () => fault(k, p.mm, at, READING))
      expect([touch(page), touch(A0), touch(A0 + 2)]).toEqual([FAULT_MAPERR, 0, 0])
      hand.finish()
      expect(k.frames.free()).toBe(frames + 1)
      checkMm(k)
    }
  )
})

describe("a fault", () => {
  it("takes the area's lock; its first anonymous page looks at the neighbours, and gives up where a writer is [L-LOCK-14, L-LOCK-13]", () => {
    const p = scene()
    p.mmap("a8+2", RW)
    const write =
      (page: number): Call =>
      ({ k, mm }) =>
        fault(k, mm, A0 + page, WRITING)
    expect([waits(WRITE, write(8), p), p.pages("a8+2")], "in vain no longer").toEqual([true, "A."])
    expect([waits(WRITE, write(9), p), waits(WRITE, write(5), p)], "there is an anon_vma; none is needed").toEqual([
      false,
      false
    ])
  })

  it("asks a driver under mmap_lock, unless he maps pages along himself [L-LOCK-14]", () => {
    const p = world()
    p.mmap("a0", RW, MAP.SHARED, p.device([H_FAULT]))
    p.mmap("a2", RW, MAP.SHARED, p.device([H_FAULT], { mapsAround: true }))
    const { k } = p
    const page = p.driverPage()
    const held = [0, 2].map((at) => {
      const hand = new Hand(k, () => fault(k, p.mm, A0 + at, WRITING)).to(NEED_HOOK)
      const locks = k.runs.held[hand.row]
      hand.step(page)
      expect(hand.finish()).toBe(0)
      return locks
    })
    expect(held).toEqual([MMAP_R, VMA_R])
    expect(p.write("a0")).toBe("ok")
  })

  it("below a stack lets go of the lock, takes it for writing, looks again, and goes on as a reader [L-LOCK-16]", () => {
    const p = scene()
    const { k } = p
    p.mmap("a300", RW, ANON | MAP.GROWSDOWN)
    const touch = (): Hand<number> => new Hand(k, () => fault(k, p.mm, A0 + 298, WRITING))
    let hands: Hand<number>[] = []
    withMmap(k, p.mm, READ, () => {
      hands = [touch().to(NEED_LOCK), touch().to(NEED_LOCK)]
      expect(hands.map((hand) => [hand.waits, k.runs.held[hand.row]])).toEqual([
        [true, 0],
        [true, 0]
      ])
    })
    expect([hands.map((hand) => hand.finish()), p.areas().at(-1)], "it grew once").toEqual([[0, 0], "a298+3 rw-p gd"])
    p.munmap("a298+3")
    p.mmap("a300", RW, ANON | MAP.GROWSDOWN)
    let hand!: Hand<number>
    withVma(k, p.mm, A0 + 300, (v) => {
      hand = touch().to(NEED_LOCK)
      expect([hand.waits, k.runs.held[hand.row], k.vmas.pages(v)], "the area's readers are waited for").toEqual([
        true,
        MMAP_W,
        1
      ])
    })
    k.runs.preempt = true
    while (!(k.runs.held[hand.row] === MMAP_R && k.vmas.pages(p.area("a300")) === 3)) hand.step()
    k.runs.preempt = false
    expect([k.vmas.anon(p.area("a298")) !== 0, isWriteLocked(k, p.area("a298"))]).toEqual([true, false])
    expect([hand.finish(), p.pages("a298+3")]).toEqual([0, "A.."])
  })
})

describe("an area", () => {
  it("that was to be taken out is there again if a later one refuses [L-LOCK-17]", () => {
    const p = world("a")
    const { k } = p
    p.mmap("a1+2", RW, MAP.SHARED, p.device([H_MAY_SPLIT]))
    p.write("a0")
    const v = p.area("a0")
    p.machine.hook = () => EIO
    expect(p.munmap("a0+2")).toBe("EIO")
    p.machine.hook = undefined
    expect([p.areas(), k.vmas.state(v), p.area("a0") === v]).toEqual([["a0 rw-p", "a1+2 rw-s"], VMA_ATTACHED, true])
    withVma(k, p.mm, A0, (again) => expect(again).toBe(v))
    const hand = withVma(k, p.mm, A0, () => {
      const waiting = new Hand(k, () => munmap(k, p.task, at("a0"), PAGES)).to(NEED_LOCK)
      expect([waiting.waits, k.vmas.state(v)], "attached as long as it has readers").toEqual([true, VMA_ATTACHED])
      return waiting
    })
    expect(hand.finish()).toBe(0)
  })

  it("changes its bounds marked, and whoever walks from a page to its areas meets old bounds or new ones [L-LOCK-19]", () => {
    const cuts: readonly Call[] = [
      ({ k, task }) => munmap(k, task, at("a5"), PAGES),
      ({ k, task }) => mprotect(k, task, at("a5"), PAGES, RO),
      ({ k, task }) => mremap(k, task, at("a4"), 4 * PAGES, 2 * PAGES, 0, 0)
    ]
    for (const make of cuts) {
      const p = world()
      const { k } = p
      const fd = p.memfd(4)
      p.mmap("a4+4", RW, MAP.SHARED, fd)
      const o = k.vmas.obj(p.area("a4"))
      k.runs.preempt = true
      const hand = new Hand(k, () => make(p)).step()
      let bounds = 4
      while (!hand.ended) {
        for (let page = 0; page < 4; page++) {
          const first = k.mappings.find(o, page, page + 1)
          const second = first === 0 ? 0 : k.mappings.next(first, page, page + 1)
          expect(second, "no page is mapped twice").toBe(0)
        }
        const v = p.area("a4")
        if (k.vmas.pages(v) !== bounds && k.runs.held[hand.row] === MMAP_W) expect(isWriteLocked(k, v)).toBe(true)
        bounds = k.vmas.pages(v)
        checkMm(k)
        hand.step()
      }
      k.runs.preempt = false
      expect(k.vmas.pages(p.area("a4"))).toBeLessThan(4)
    }
  })

  it("keeps its page tables as long as it has readers: they go when it has been taken out [L-LOCK-20]", () => {
    const p = world("a")
    const { k } = p
    p.write("a0")
    const tables = k.ptes.live
    const hand = withVma(k, p.mm, A0, () => {
      const waiting = new Hand(k, () => munmap(k, p.task, at("a0"), PAGES)).to(NEED_LOCK)
      expect([k.ptes.live, p.pages("a0"), userStore8(k, p.mm, at("a0"), 7)]).toEqual([tables, "A", 0])
      return waiting
    })
    hand.finish()
    expect(k.ptes.live).toBeLessThan(tables)
  })

  it("that moves is marked before anything is copied: its readers are waited for, and its pages are found all along [L-LOCK-22]", () => {
    const p = scene()
    const { k } = p
    const hand = withVma(k, p.mm, A0, () => {
      const waiting = new Hand(k, () => mremap(k, p.task, at("a0"), 2 * PAGES, 2 * PAGES, 3, at("a20"))).to(NEED_LOCK)
      expect([waiting.waits, p.pages("a0+2"), k.maple.lookup(p.mm, A0 + 20)]).toEqual([true, "AA", 0])
      return waiting
    })
    k.runs.preempt = true
    while (!hand.ended) {
      checkMm(k)
      hand.step()
    }
    k.runs.preempt = false
    expect([outcome(hand.finish()), p.read("a20+2")]).toEqual(["a20", "101 102"])
  })

  it("is told that it may have guards under its own lock, while no other flag changes without marks [L-LOCK-25]", () => {
    const p = scene()
    const guard: Call = ({ k, task }) => madvise(k, task, at("a0"), PAGES, MADV.GUARD_INSTALL)
    const before = p.k.vmas.seq(p.area("a0"))
    expect([waits(WRITE, guard, p), p.areas()[0]]).toEqual([false, "a0+2 rw-p gu"])
    expect(p.k.vmas.seq(p.area("a0")), "not marked").toBe(before)
    p.madvise("a0+2", MADV.DONTDUMP)
    expect((p.k.vmas.flags(p.area("a0")) & VM_DONTDUMP) !== 0).toBe(true)
    expect(p.k.vmas.seq(p.area("a0")), "marked").not.toBe(before)
  })
})
