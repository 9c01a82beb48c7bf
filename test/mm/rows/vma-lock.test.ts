import { describe, expect, it } from "vitest"
import { VM_DONTDUMP } from "../../../lib/flags/bits.ts"
import { OK } from "../../../lib/flags/Errno.ts"
import { READ as PROT_READ } from "../../../lib/flags/ProtFlags.ts"
import { checkIdle } from "../../../lib/mm/area/check.ts"
import { holdVma, letVmaGo, vmaStartReadUnlocked } from "../../../lib/mm/area/lookup.ts"
import { mmapUnlock, needMmap, READ, tryMmap, WRITE } from "../../../lib/mm/area/mmap-lock.ts"
import { vmFlagsMod } from "../../../lib/mm/area/vm-flags.ts"
import {
  assertVmaStable,
  isWriteLocked,
  lockVmaNow,
  lockVmaUnderRcu,
  tryStartWrite,
  vmaEndRead,
  vmaStartWrite
} from "../../../lib/mm/area/vma-lock.ts"
import { KernelBug } from "../../../lib/mm/base/debug.ts"
import { MMAP_R, NEED_LOCK, PREEMPT, VMA_R, type Verb } from "../../../lib/mm/base/stop.ts"
import type { Kernel } from "../../../lib/mm/kernel.ts"
import { VMA_ATTACHED, VMA_FREE } from "../../../lib/mm/store/vmas.ts"
import { mprotect } from "../../../lib/mm/sys/mprotect.ts"
import { munmap } from "../../../lib/mm/sys/munmap.ts"
import { bare, BASE, done, Hand, machine, PAGE, Proc, RW, withMmap, withVma } from "./world.ts"

/** Marks `v` under the write lock, stands still once, gives the lock back. */
function* mark(k: Kernel, mm: number, v: number): Verb<"NEED_LOCK" | "PREEMPT"> {
  if (!tryMmap(k, mm, WRITE)) yield needMmap(k, mm, WRITE)
  try {
    yield* vmaStartWrite(k, v)
    yield k.runs.point()
  } finally {
    mmapUnlock(k, mm, WRITE)
  }
  return OK
}

/** Takes an area's read lock, stands still once, gives it back; its number, 0 if refused. */
function* look(k: Kernel, mm: number, vpn: number): Verb<"PREEMPT"> {
  const v = yield* lockVmaUnderRcu(k, mm, vpn)
  if (v === 0) return 0
  yield k.runs.point()
  vmaEndRead(k, v)
  return v
}

/** Two areas: "aa" readable and writable, "bb" read-only. */
const world = () => {
  const k = machine()
  const p = Proc.spawn(k)
  p.map(BASE, 2, RW)
  p.map(BASE + 2, 2, PROT_READ)
  expect(p.areas(BASE, BASE + 5)).toBe("aabb.")
  return { k, p, mm: p.mm, a: p.area(BASE), b: p.area(BASE + 2) }
}

describe("vma_lookup", () => {
  it.each([
    [BASE - 1, "none"],
    [BASE, "a"],
    [BASE + 1, "a"],
    [BASE + 2, "b"],
    [BASE + 3, "b"],
    [BASE + 4, "none"],
    [BASE + 8, "none"],
    [0, "none"],
    [2 ** 35, "none"],
    [2 ** 52 - 1, "none"]
  ])("page %d is in area %s, and never in the next one above [R-LOCK-03]", (vpn, want) => {
    const { k, mm, p, a, b } = world()
    p.map(BASE + 9, 1, RW)
    const found = withMmap(k, mm, READ, () => k.maple.lookup(mm, vpn))
    expect(found).toBe(want === "a" ? a : want === "b" ? b : 0)
    checkIdle(k)
  })
})

describe("lock_vma_under_rcu", () => {
  it("holds the area for reading, without mmap_lock, until it is given back [R-LOCK-05, R-LOCK-09, L-LOCK-06]", () => {
    const { k, mm, a } = world()
    const hand = new Hand(k, () => look(k, mm, BASE + 1)).step()
    expect(k.runs.held[hand.row]).toBe(VMA_R)
    expect(k.runs.lockState(k.runs.vmaLock(a))).toBe(1)
    expect(k.runs.lockState(k.runs.mmapLock(mm))).toBe(0)
    expect(hand.finish()).toBe(a)
    expect(k.runs.lockState(k.runs.vmaLock(a))).toBe(0)
    checkIdle(k)
  })

  it("answers none where no area is [R-LOCK-05, L-LOCK-10]", () => {
    const { k, mm } = world()
    for (const vpn of [BASE - 1, BASE + 4, 0, 2 ** 52 - 1]) expect(done(k, () => look(k, mm, vpn))).toBe(0)
    checkIdle(k)
  })

  it("answers none while a writer has marked the area; the neighbour is to be had [R-LOCK-05, R-LOCK-06, L-LOCK-10]", () => {
    const { k, mm, a, b } = world()
    const writer = new Hand(k, () => mark(k, mm, a)).to(PREEMPT)
    expect(isWriteLocked(k, a)).toBe(true)
    expect(done(k, () => look(k, mm, BASE))).toBe(0)
    expect(bare(k, () => lockVmaNow(k, mm, BASE))).toBe(0)
    expect(done(k, () => look(k, mm, BASE + 2))).toBe(b)
    writer.finish()
    expect(done(k, () => look(k, mm, BASE))).toBe(a)
    checkIdle(k)
  })

  it("works beside a writer who has marked nothing [R-LOCK-05, R-LOCK-11]", () => {
    const { k, mm, a } = world()
    withMmap(k, mm, WRITE, () => expect(bare(k, () => done(k, () => look(k, mm, BASE)))).toBe(a))
    checkIdle(k)
  })

  it("does not so much as touch the lock of a marked area: its writer never waits for it [R-LOCK-05, L-LOCK-10]", () => {
    const { k, mm, a } = world()
    const writer = new Hand(k, () => mark(k, mm, a)).to(PREEMPT)
    k.runs.preempt = true
    const reader = new Hand(k, () => look(k, mm, BASE)).to(PREEMPT).step()
    k.runs.preempt = false
    expect([reader.ended, reader.result]).toEqual([true, 0])
    writer.finish()
    checkIdle(k)
  })

  it("leaves nothing locked when it answers none [R-LOCK-05]", () => {
    const { k, mm, a } = world()
    const writer = new Hand(k, () => mark(k, mm, a)).to(PREEMPT)
    done(k, () => look(k, mm, BASE))
    expect(k.runs.lockState(k.runs.vmaLock(a))).toBe(0)
    writer.finish()
    checkIdle(k)
  })

  it("the mark counts against the area's own address space: a new one of the same row is not marked [R-LOCK-06]", () => {
    const { k, p, mm, a } = world()
    const seq = k.mms.seq(mm)
    expect(k.vmas.seq(a)).not.toBe(seq)
    p.unmap(BASE, 2)
    p.map(BASE, 2, RW)
    expect(isWriteLocked(k, p.area(BASE))).toBe(false)
    expect(done(k, () => look(k, mm, BASE))).toBe(p.area(BASE))
    checkIdle(k)
  })
})

describe("lock_vma_under_rcu, interrupted after it found the area", () => {
  const found = (w: ReturnType<typeof world>) => {
    w.k.runs.preempt = true
    const hand = new Hand(w.k, () => look(w.k, w.mm, BASE)).to(PREEMPT)
    w.k.runs.preempt = false
    expect(w.k.runs.held[hand.row]).toBe(0)
    return hand
  }
  const end = (w: ReturnType<typeof world>, hand: Hand<number>) => {
    const r = hand.finish()
    w.k.runs.preempt = false
    for (let v = 1; v < w.k.vmas.limit(); v++) expect(w.k.runs.lockState(w.k.runs.vmaLock(v))).toBe(0)
    checkIdle(w.k)
    return r
  }

  it("and the area is taken out: it looks again, and finds nothing [R-LOCK-07, L-LOCK-10]", () => {
    const w = world()
    const hand = found(w)
    w.p.unmap(BASE, 2)
    expect(end(w, hand)).toBe(0)
  })

  it("and the area is taken out and another one put there: it looks again, and finds that [R-LOCK-07, L-LOCK-12]", () => {
    const w = world()
    const hand = found(w)
    w.p.unmap(BASE, 2) // its row is free
    w.p.unmap(BASE + 2, 2) // this one's row is taken first
    w.p.map(BASE, 1, PROT_READ)
    const now = w.p.area(BASE)
    expect([w.k.vmas.state(w.a), now]).toEqual([VMA_FREE, w.b])
    expect(end(w, hand)).toBe(now)
  })

  it("and the row is an area of another process now: it answers none [R-LOCK-07, R-LOCK-05, L-LOCK-11, L-LOCK-12]", () => {
    const w = world()
    const hand = found(w)
    const other = Proc.spawn(w.k)
    w.p.unmap(BASE, 2)
    other.map(BASE, 2, RW)
    expect(other.area(BASE)).toBe(w.a)
    expect(w.k.vmas.state(w.a)).toBe(VMA_ATTACHED)
    expect(end(w, hand)).toBe(0)
  })

  it("and the row is another area of this process now: it answers none [R-LOCK-07, R-LOCK-05, L-LOCK-11]", () => {
    const w = world()
    const hand = found(w)
    w.p.unmap(BASE, 2)
    w.p.map(BASE + 32, 2, RW)
    w.p.map(BASE, 1, PROT_READ)
    expect(w.p.area(BASE + 32)).toBe(w.a)
    expect(end(w, hand)).toBe(0)
  })

  it("and the area was cut so that it no longer covers the page: it answers none [R-LOCK-07, R-LOCK-05, L-LOCK-11]", () => {
    const w = world()
    w.k.runs.preempt = true
    const hand = new Hand(w.k, () => look(w.k, w.mm, BASE + 1)).to(PREEMPT)
    w.k.runs.preempt = false
    w.p.unmap(BASE + 1, 1)
    expect(end(w, hand)).toBe(0)
  })

  it("and the row is an area of the same process at the same place: that is as good [R-LOCK-07]", () => {
    const w = world()
    const hand = found(w)
    w.p.unmap(BASE, 2)
    w.p.map(BASE, 2, RW)
    expect(w.p.area(BASE)).toBe(w.a)
    expect(end(w, hand)).toBe(w.a)
  })

  it("and a writer marks it: it answers none [R-LOCK-05]", () => {
    const w = world()
    const hand = found(w)
    const writer = new Hand(w.k, () => mark(w.k, w.mm, w.a)).to(PREEMPT)
    expect(hand.finish()).toBe(0)
    writer.finish()
    checkIdle(w.k)
  })
})

describe("lock_vma_under_rcu, interrupted after it took the lock", () => {
  it("and a writer marks the area: it lets go and answers none, and the writer goes on [R-LOCK-05, R-LOCK-08, L-LOCK-11]", () => {
    const { k, mm, p } = world()
    k.runs.preempt = true
    const hand = new Hand(k, () => look(k, mm, BASE)).to(PREEMPT).to(PREEMPT)
    k.runs.preempt = false
    expect(k.runs.held[hand.row]).toBe(VMA_R)
    const writer = new Hand(k, () => munmap(k, p.task, BASE * PAGE, 2 * PAGE)).to(NEED_LOCK)
    expect(writer.waits).toBe(true)
    expect(hand.finish()).toBe(0)
    expect(writer.waits).toBe(false)
    expect(writer.finish()).toBe(OK)
    checkIdle(k)
  })
})

describe("a writer", () => {
  const calls: ReadonlyArray<readonly [string, (k: Kernel, p: Proc) => Hand<number>]> = [
    ["munmap", (k, p) => new Hand(k, () => munmap(k, p.task, BASE * PAGE, 2 * PAGE))],
    ["munmap of a part", (k, p) => new Hand(k, () => munmap(k, p.task, BASE * PAGE, PAGE))],
    ["mprotect", (k, p) => new Hand(k, () => mprotect(k, p.task, BASE * PAGE, 2 * PAGE, PROT_READ))],
    ["mprotect of a part", (k, p) => new Hand(k, () => mprotect(k, p.task, BASE * PAGE, PAGE, 0))]
  ]

  it.each(calls)(
    "%s waits for the area's readers, and new ones are turned away meanwhile [R-LOCK-08, L-LOCK-06, L-LOCK-07, L-LOCK-10]",
    (_, call) => {
      const { k, p, mm, a } = world()
      const reader = new Hand(k, () => look(k, mm, BASE)).step()
      const second = new Hand(k, () => look(k, mm, BASE + 1)).step()
      const writer = call(k, p).to(NEED_LOCK)
      expect(writer.waits).toBe(true)
      expect(k.vmas.state(a)).toBe(VMA_ATTACHED)
      expect([k.vmas.startOf(a), k.vmas.endOf(a), p.flags(BASE) & 3]).toEqual([BASE, BASE + 2, 3])
      expect(bare(k, () => lockVmaNow(k, mm, BASE))).toBe(0)
      reader.finish()
      expect(writer.waits).toBe(true)
      second.finish()
      expect(writer.waits).toBe(false)
      expect(writer.finish()).toBe(OK)
      checkIdle(k)
    }
  )

  it("of one area does not wait for readers of its neighbour [R-LOCK-11]", () => {
    const { k, p, mm, b } = world()
    withVma(k, mm, BASE + 2, () => {
      p.unmap(BASE, 2)
      expect(p.areas(BASE, BASE + 4)).toBe("..aa")
      p.map(BASE + 4, 1, RW)
      expect([k.vmas.startOf(b), k.vmas.endOf(b)]).toEqual([BASE + 2, BASE + 4])
    })
    checkIdle(k)
  })

  it("waits for no reader twice: a marked area is free until the section ends [R-LOCK-06, L-LOCK-07]", () => {
    const { k, mm, a } = world()
    bare(k, () => {
      tryMmap(k, mm, WRITE)
      expect(tryStartWrite(k, a)).toBe(true)
      const again = vmaStartWrite(k, a).next()
      expect(again.done).toBe(true)
      mmapUnlock(k, mm, WRITE)
    })
    checkIdle(k)
  })

  it("needs the mmap lock to mark [R-LOCK-12, L-LOCK-07]", () => {
    const { k, mm, a } = world()
    withMmap(k, mm, READ, () => expect(() => vmaStartWrite(k, a).next()).toThrow(KernelBug))
    expect(isWriteLocked(k, a)).toBe(false)
    checkIdle(k)
  })
})

describe("falling back", () => {
  it("from the area's lock to mmap_lock waits for the writer and finds the area [R-LOCK-05, L-LOCK-13]", () => {
    const { k, mm, a } = world()
    function* use(): Verb<"NEED_LOCK" | "PREEMPT"> {
      const v = yield* holdVma(k, mm, BASE)
      yield k.runs.point()
      if (v !== 0) letVmaGo(k, mm, v)
      return v
    }
    const fast = new Hand(k, use).step()
    expect(k.runs.held[fast.row]).toBe(VMA_R)
    fast.finish()
    const writer = new Hand(k, () => mark(k, mm, a)).to(PREEMPT)
    const slow = new Hand(k, use).step()
    expect(slow.waits).toBe(true)
    writer.finish()
    slow.step()
    expect(k.runs.held[slow.row]).toBe(MMAP_R)
    expect(slow.finish()).toBe(a)
    checkIdle(k)
  })

  it("finds nothing, and holds nothing, where no area is, though there is one above [R-LOCK-05, R-LOCK-03]", () => {
    const { k, mm, p } = world()
    p.map(BASE + 9, 1, RW)
    expect(done(k, () => holdVma(k, mm, BASE + 4))).toBe(0)
    checkIdle(k)
  })
})

describe("vma_start_read_unlocked", () => {
  function* read(k: Kernel, mm: number, vpn: number): Verb<"NEED_LOCK" | "PREEMPT"> {
    const v = yield* vmaStartReadUnlocked(k, mm, vpn)
    yield k.runs.point()
    if (v !== 0) vmaEndRead(k, v)
    return v
  }

  it("waits for the writer of a marked area, then holds the area alone, without mmap_lock [R-LOCK-10]", () => {
    const { k, mm, a } = world()
    const writer = new Hand(k, () => mark(k, mm, a)).to(PREEMPT)
    const reader = new Hand(k, () => read(k, mm, BASE)).step()
    expect(reader.waits).toBe(true)
    writer.finish()
    reader.step()
    expect(k.runs.held[reader.row]).toBe(VMA_R)
    expect(k.runs.lockState(k.runs.mmapLock(mm))).toBe(0)
    expect(reader.finish()).toBe(a)
    checkIdle(k)
  })

  it("does not wait where nobody writes [R-LOCK-10]", () => {
    const { k, mm, b } = world()
    const reader = new Hand(k, () => read(k, mm, BASE + 3)).step()
    expect(k.runs.held[reader.row]).toBe(VMA_R)
    expect(reader.finish()).toBe(b)
    checkIdle(k)
  })

  it("answers none only where no area is, also when the writer took it away [R-LOCK-10]", () => {
    const { k, mm, p, a } = world()
    expect(done(k, () => read(k, mm, BASE + 4))).toBe(0)
    const writer = new Hand(k, () => mark(k, mm, a)).to(PREEMPT)
    const reader = new Hand(k, () => read(k, mm, BASE)).step()
    const next = new Hand(k, () => munmap(k, p.task, BASE * PAGE, 2 * PAGE)).step()
    expect([reader.waits, next.waits]).toEqual([true, true])
    reader.kill()
    writer.finish()
    expect(next.finish()).toBe(OK)
    expect(done(k, () => read(k, mm, BASE))).toBe(0)
    checkIdle(k)
  })
})

describe("which lock is enough", () => {
  it("to read an area: its own, or mmap_lock in either mode; nothing is not [R-LOCK-12]", () => {
    const { k, p, mm, a } = world()
    withVma(k, mm, BASE, () => assertVmaStable(k, a))
    withMmap(k, mm, READ, () => assertVmaStable(k, a))
    withMmap(k, mm, WRITE, () => assertVmaStable(k, a))
    bare(k, () => expect(() => assertVmaStable(k, a)).toThrow(/without a lock/))
    const other = Proc.spawn(k)
    withMmap(k, other.mm, WRITE, () => expect(() => assertVmaStable(k, a)).toThrow(KernelBug))
    expect(p.areas(BASE, BASE + 4)).toBe("aabb")
    checkIdle(k)
  })

  it("the read lock of another area is not [R-LOCK-12, R-LOCK-11]", () => {
    const { k, mm, b } = world()
    withVma(k, mm, BASE, () => expect(() => assertVmaStable(k, b)).toThrow(KernelBug))
    checkIdle(k)
  })

  it("to change an area: mmap_lock for writing, and the mark [R-LOCK-12, L-LOCK-25]", () => {
    const { k, mm, a } = world()
    const before = k.vmas.flags(a)
    const change = () => vmFlagsMod(k, a, VM_DONTDUMP, 0)
    withVma(k, mm, BASE, () => expect(change).toThrow(KernelBug))
    withMmap(k, mm, READ, () => expect(change).toThrow(KernelBug))
    withMmap(k, mm, WRITE, () => expect(change).toThrow(/without its write lock/))
    expect(k.vmas.flags(a)).toBe(before)
    withMmap(k, mm, WRITE, () => {
      tryStartWrite(k, a)
      change()
    })
    expect(k.vmas.flags(a)).toBe(before | VM_DONTDUMP)
    checkIdle(k)
  })
})
