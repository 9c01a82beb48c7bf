import { describe, expect, it } from "vitest"
import { FAULT_OK, WRITE as WRITING } from "../../../lib/flags/FaultFlags.ts"
import { OK } from "../../../lib/flags/Errno.ts"
import { SHARED } from "../../../lib/flags/MapFlags.ts"
import { READ as PROT_READ } from "../../../lib/flags/ProtFlags.ts"
import { checkIdle, checkMm } from "../../../lib/mm/area/check.ts"
import {
  assertMmapLocked,
  assertMmapWrite,
  mmapDowngrade,
  mmapUnlock,
  needMmap,
  READ,
  tryMmap,
  WRITE
} from "../../../lib/mm/area/mmap-lock.ts"
import { isWriteLocked, tryStartWrite } from "../../../lib/mm/area/vma-lock.ts"
import { KernelBug } from "../../../lib/mm/base/debug.ts"
import { H_FAULT, H_MMAP, NEED_HOOK, NEED_LOCK, type Verb } from "../../../lib/mm/base/stop.ts"
import type { Kernel } from "../../../lib/mm/kernel.ts"
import { fault } from "../../../lib/mm/page/fault.ts"
import { munmap } from "../../../lib/mm/sys/munmap.ts"
import { runNow } from "../../../lib/mm/sys/run-now.ts"
import { bare, BASE, device, driverPage, Hand, machine, PAGE, Proc, RW, withMmap } from "./world.ts"

/** Takes the lock, stands still once, gives it back. */
function* hold(k: Kernel, mm: number, mode: number): Verb<"NEED_LOCK" | "PREEMPT"> {
  if (!tryMmap(k, mm, mode)) yield needMmap(k, mm, mode)
  try {
    yield k.runs.point()
  } finally {
    mmapUnlock(k, mm, mode)
  }
  return OK
}

const world = () => {
  const k = machine()
  const p = Proc.spawn(k)
  p.map(BASE, 2, RW)
  const q = k.runs.mmapLock(p.mm)
  const enter = (mode: number) => new Hand(k, () => hold(k, p.mm, mode)).step()
  return { k, p, q, mm: p.mm, enter }
}

describe("one hold", () => {
  it("counts one reader more, and its end one fewer [R-LOCK-01]", () => {
    const { k, q, enter } = world()
    const a = enter(READ)
    const b = enter(READ)
    expect(k.runs.lockState(q)).toBe(2)
    a.finish()
    expect(k.runs.lockState(q)).toBe(1)
    b.finish()
    expect(k.runs.lockState(q)).toBe(0)
    checkIdle(k)
  })

  it("ends by whoever took it, once [R-LOCK-01, R-LOCK-02]", () => {
    const { k, mm, enter } = world()
    const a = enter(READ)
    bare(k, () => expect(() => mmapUnlock(k, mm, READ)).toThrow(KernelBug))
    a.finish()
    withMmap(k, mm, READ, () => expect(() => mmapUnlock(k, mm, WRITE)).toThrow(KernelBug))
    checkIdle(k)
  })

  it("a verb that ends with a lock is the kernel's bug [R-LOCK-01]", () => {
    const { k, mm } = world()
    const r = k.runs.alloc(0)
    k.runs.current = r
    tryMmap(k, mm, READ)
    expect(() => k.runs.release(r)).toThrow(/ended while holding mmap:r/)
  })
})

describe("who waits", () => {
  it("readers share; a reader waits for a writer, and goes on when he is done [R-MM-11, L-LOCK-01]", () => {
    const { k, enter } = world()
    const w = enter(WRITE)
    const r = enter(READ)
    expect(r.waits).toBe(true)
    w.finish()
    expect(r.waits).toBe(false)
    expect(r.finish()).toBe(OK)
    checkIdle(k)
  })

  it("a writer waits for every reader, and for a writer [R-MM-11, R-LOCK-13, L-LOCK-01]", () => {
    const { k, enter } = world()
    const a = enter(READ)
    const b = enter(READ)
    const w = enter(WRITE)
    const x = enter(WRITE)
    a.finish()
    expect(w.waits).toBe(true)
    b.finish()
    expect([w.waits, x.waits]).toEqual([false, true])
    w.finish()
    expect(x.waits).toBe(false)
    x.finish()
    checkIdle(k)
  })

  it("trylock for reading answers at once: while a writer holds it, no [R-MM-12]", () => {
    const { k, mm, enter } = world()
    const w = enter(WRITE)
    bare(k, () => expect(tryMmap(k, mm, READ)).toBe(false))
    w.finish()
    bare(k, () => {
      expect(tryMmap(k, mm, READ)).toBe(true)
      mmapUnlock(k, mm, READ)
    })
    checkIdle(k)
  })

  it("trylock for writing fails while anybody holds it [R-MM-12]", () => {
    const { k, mm, enter } = world()
    const r = enter(READ)
    bare(k, () => expect(tryMmap(k, mm, WRITE)).toBe(false))
    r.finish()
    withMmap(k, mm, WRITE, () => expect(k.runs.lockState(k.runs.mmapLock(mm))).toBe(-1))
    checkIdle(k)
  })

  it("address spaces do not wait for each other [R-MM-11]", () => {
    const { k, enter } = world()
    const w = enter(WRITE)
    const other = Proc.spawn(k)
    withMmap(k, other.mm, WRITE, () => {
      expect(k.runs.waiters(k.runs.mmapLock(other.mm))).toBe(0)
    })
    w.finish()
    checkIdle(k)
  })
})

describe("fairness", () => {
  it("a queued writer turns new readers away: they wait, and a trylock fails [R-LOCK-13]", () => {
    const { k, q, mm, enter } = world()
    const r = enter(READ)
    const w = enter(WRITE)
    expect(w.waits).toBe(true)
    bare(k, () => expect(tryMmap(k, mm, READ)).toBe(false))
    const late = enter(READ)
    expect(late.waits).toBe(true)
    r.finish()
    expect([w.waits, late.waits]).toEqual([false, true])
    expect(k.runs.lockState(q)).toBe(-1)
    w.finish()
    expect(late.waits).toBe(false)
    late.finish()
    checkIdle(k)
  })

  it("first come, first served; readers next to each other come in together [R-LOCK-13]", () => {
    const { k, enter } = world()
    const order: string[] = []
    const all = (["w", "r", "r", "w", "r"] as const).map((what, i) => ({
      what: `${what}${i}`,
      mode: what === "w" ? WRITE : READ
    }))
    const first = enter(WRITE)
    const queue = all.map(({ what, mode }) => ({ what, hand: enter(mode) }))
    first.finish()
    while (queue.some(({ hand }) => !hand.ended)) {
      const free = queue.filter(({ hand }) => !hand.ended && !hand.waits)
      order.push(free.map(({ what }) => what).join("+"))
      for (const { hand } of free) hand.finish()
    }
    expect(order).toEqual(["w0", "r1+r2", "w3", "r4"])
    checkIdle(k)
  })

  it("those behind a writer who gives up come in at once [R-LOCK-13, R-MM-11, L-LOCK-01]", () => {
    const { k, enter } = world()
    const r = enter(READ)
    const w = enter(WRITE)
    const late = enter(READ)
    w.kill()
    expect(late.waits).toBe(false)
    late.finish()
    r.finish()
    checkIdle(k)
  })

  it("a lock granted to one who gives up before he goes on is handed to the next [R-LOCK-13]", () => {
    const { k, q, enter } = world()
    const r = enter(READ)
    const w = enter(WRITE)
    const late = enter(READ)
    r.finish() // w has it now, and has not run since
    expect(k.runs.lockState(q)).toBe(-1)
    w.kill()
    expect(late.waits).toBe(false)
    late.finish()
    checkIdle(k)
  })
})

describe("the end of a write section", () => {
  const marked = (k: Kernel, mm: number, vmas: readonly number[]) => {
    expect(tryMmap(k, mm, WRITE)).toBe(true)
    for (const v of vmas) expect(tryStartWrite(k, v)).toBe(true)
  }
  const areas = () => {
    const w = world()
    w.p.map(BASE + 8, 1, PROT_READ)
    w.p.map(BASE + 16, 1, RW)
    return { ...w, vmas: [BASE, BASE + 8, BASE + 16].map((at) => w.p.area(at)) }
  }

  it("unmarks every area at once, by a new sequence number [R-LOCK-06, R-LOCK-15, L-LOCK-08]", () => {
    const { k, mm, vmas } = areas()
    bare(k, () => {
      marked(k, mm, vmas.slice(0, 2))
      const seq = k.mms.seq(mm)
      expect(vmas.map((v) => isWriteLocked(k, v))).toEqual([true, true, false])
      mmapUnlock(k, mm, WRITE)
      expect(k.mms.seq(mm)).not.toBe(seq)
      expect(vmas.map((v) => isWriteLocked(k, v))).toEqual([false, false, false])
      expect(k.vmas.seq(vmas[0]!)).toBe(seq) // nobody touched the area for it
    })
    checkIdle(k)
  })

  it("is a downgrade as well: the marks go, the lock stays for reading [R-LOCK-06, R-LOCK-15, L-LOCK-08]", () => {
    const { k, mm, vmas, q } = areas()
    bare(k, () => {
      marked(k, mm, vmas)
      mmapDowngrade(k, mm)
      expect(vmas.map((v) => isWriteLocked(k, v))).toEqual([false, false, false])
      expect(k.runs.lockState(q)).toBe(1)
      assertMmapLocked(k, mm)
      expect(() => assertMmapWrite(k, mm)).toThrow(KernelBug)
      mmapUnlock(k, mm, READ)
    })
    checkIdle(k)
  })

  it("a downgrade lets in the readers that are first in line, and no writer [R-LOCK-06]", () => {
    const { k, mm, enter } = areas()
    const r = k.runs.alloc(0)
    k.runs.current = r
    tryMmap(k, mm, WRITE)
    const a = enter(READ)
    const w = enter(WRITE)
    const b = enter(READ)
    k.runs.current = r
    mmapDowngrade(k, mm)
    expect([a.waits, w.waits, b.waits]).toEqual([false, true, true])
    k.runs.current = r
    mmapUnlock(k, mm, READ)
    k.runs.release(r)
    a.finish()
    expect([w.waits, b.waits]).toEqual([false, true])
    w.finish()
    b.finish()
    checkIdle(k)
  })

  it("is none when a reader leaves: the numbers stay [R-LOCK-06]", () => {
    const { k, mm } = areas()
    const seq = k.mms.seq(mm)
    withMmap(k, mm, READ, () => {})
    expect(k.mms.seq(mm)).toBe(seq)
    withMmap(k, mm, WRITE, () => {})
    expect(k.mms.seq(mm)).not.toBe(seq)
    checkIdle(k)
  })
})

describe("reading inside reading", () => {
  /** A fault of `p` that stands in the hook of its driver, who maps pages along or not: it holds a lock for reading. */
  const inHook = (own: "area" | "mmap") => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 1, RW, SHARED, p.open(device(k, { hooks: (1 << H_MMAP) | (1 << H_FAULT), mapsAround: own === "area" })))
    p.map(BASE + 8, 1, RW)
    const outer = bare(k, () => new Hand(k, () => fault(k, p.mm, BASE, WRITING)).to(NEED_HOOK))
    expect(k.runs.lockState(k.runs.mmapLock(p.mm))).toBe(own === "mmap" ? 1 : 0)
    return { k, p, outer, page: driverPage(k) }
  }
  const inside = (k: Kernel, p: Proc, outer: Hand<number>) => {
    k.runs.current = outer.row
    return () => runNow(k, () => hold(k, p.mm, READ))
  }

  it("is fine while nobody wants to write [R-LOCK-14]", () => {
    const { k, p, outer, page } = inHook("mmap")
    expect(inside(k, p, outer)()).toBe(OK)
    outer.step(page)
    expect(outer.finish()).toBe(FAULT_OK)
    k.frames.put(page)
    checkIdle(k)
  })

  it("behind a queued writer would wait for itself for ever, and is reported instead [R-LOCK-14]", () => {
    const { k, p, outer } = inHook("mmap")
    const writer = new Hand(k, () => munmap(k, p.task, (BASE + 8) * PAGE, PAGE)).to(NEED_LOCK)
    expect(writer.waits).toBe(true)
    expect(inside(k, p, outer)).toThrow(/recursive locking/)
  })

  it("is fine behind a queued writer if only the area's lock is held: the writer gets through [R-LOCK-14, R-LOCK-11]", () => {
    const { k, p, outer, page } = inHook("area")
    const writer = new Hand(k, () => munmap(k, p.task, (BASE + 8) * PAGE, PAGE)).step()
    expect(writer.ended).toBe(true)
    expect(inside(k, p, outer)()).toBe(OK)
    outer.step(page)
    expect(outer.finish()).toBe(FAULT_OK)
    k.frames.put(page)
    checkIdle(k)
  })

  it("a trylock inside never waits, whoever is in line [R-LOCK-14]", () => {
    const { k, p, outer, page } = inHook("mmap")
    const writer = new Hand(k, () => munmap(k, p.task, (BASE + 8) * PAGE, PAGE)).to(NEED_LOCK)
    k.runs.current = outer.row
    bare(k, () => expect(tryMmap(k, p.mm, READ)).toBe(false))
    outer.step(page)
    expect(outer.finish()).toBe(FAULT_OK)
    expect(writer.finish()).toBe(OK)
    k.frames.put(page)
    checkMm(k)
  })
})
