import { describe, expect, it } from "vitest"
import { OK } from "../../../lib/flags/Errno.ts"
import { checkIdle, checkMm } from "../../../lib/mm/area/check.ts"
import { mmdrop, mmget, mmgetNotZero, mmgrab } from "../../../lib/mm/area/mm.ts"
import { READ, tryMmap, WRITE } from "../../../lib/mm/area/mmap-lock.ts"
import { H_CLOSE, H_MMAP, NEED_HOOK } from "../../../lib/mm/base/stop.ts"
import type { Kernel } from "../../../lib/mm/kernel.ts"
import { SHARED } from "../../../lib/flags/MapFlags.ts"
import { closeFile } from "../../../lib/mm/area/object.ts"
import { MM_DEAD, MM_FREE, MM_LIVE } from "../../../lib/mm/store/mms.ts"
import { drainMmput, mmput, mmputAsync } from "../../../lib/mm/sys/process.ts"
import { BASE, bare, device, done, Hand, machine, Proc, RW, withMmap } from "./world.ts"

const counts = (k: Kernel, mm: number) => ({ users: k.mms.users(mm), count: k.mms.count(mm), state: k.mms.state(mm) })
const LIVE = { users: 1, count: 1, state: MM_LIVE }

/** A process with two written pages. */
const two = () => {
  const k = machine()
  const p = Proc.spawn(k)
  p.map(BASE, 2, RW)
  p.store(BASE, 1)
  p.store(BASE + 1, 2)
  return { k, p, mm: p.mm, free: k.frames.free() }
}

describe("mm_count and mm_users", () => {
  it("a process has one user, and the users together hold the row once [R-MM-01]", () => {
    const { k, mm } = two()
    expect(counts(k, mm)).toEqual(LIVE)
    checkMm(k)
  })

  it("who grabbed the row keeps it after the last user went, without areas, pages or tables [R-MM-01]", () => {
    const { k, p, mm, free } = two()
    mmgrab(k, mm)
    p.exit()
    expect(counts(k, mm)).toEqual({ users: 0, count: 1, state: MM_DEAD })
    expect(k.vmas.live).toBe(0)
    expect(k.ptes.live).toBe(0)
    expect(k.frames.free()).toBe(free + 2)
    checkIdle(k)
    mmdrop(k, mm)
    expect(k.mms.state(mm)).toBe(MM_FREE)
    expect(k.mms.live).toBe(0)
    checkIdle(k)
  })

  it("mmgrab and mmdrop count up and down, and touch no user [R-MM-02]", () => {
    const { k, mm } = two()
    mmgrab(k, mm)
    mmgrab(k, mm)
    expect(counts(k, mm)).toEqual({ ...LIVE, count: 3 })
    mmdrop(k, mm)
    expect(counts(k, mm)).toEqual({ ...LIVE, count: 2 })
    mmdrop(k, mm)
    expect(counts(k, mm)).toEqual(LIVE)
    checkMm(k)
  })

  it("a grabbed row is not given to a new process [R-MM-01]", () => {
    const { k, p, mm } = two()
    mmgrab(k, mm)
    p.exit()
    const q = Proc.spawn(k, "q")
    expect(q.mm).not.toBe(mm)
    mmdrop(k, mm)
    expect(Proc.spawn(k, "r").mm).toBe(mm)
    checkIdle(k)
  })

  it("mmget and mmput count up and down; only the last mmput unmaps, and drops the users' grab [R-MM-03]", () => {
    const { k, p, mm, free } = two()
    mmget(k, mm)
    expect(counts(k, mm)).toEqual({ ...LIVE, users: 2 })
    p.exit()
    expect(counts(k, mm)).toEqual(LIVE)
    expect(k.vmas.live).toBe(1)
    expect(k.frames.free()).toBe(free)
    done(k, () => mmput(k, mm))
    expect(k.vmas.live).toBe(0)
    expect(k.frames.free()).toBe(free + 2)
    expect(k.mms.state(mm)).toBe(MM_FREE)
    checkIdle(k)
  })

  it("the last mmput tells the owners of the areas, after their pages went [R-MM-03]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    const fd = p.open(device(k, { hooks: (1 << H_MMAP) | (1 << H_CLOSE) }))
    p.map(BASE, 1, RW, SHARED, fd)
    const closed: number[] = []
    p.exit((hook, vma) => (hook === H_CLOSE && closed.push(k.vmas.startOf(vma)), 0))
    expect(closed).toEqual([BASE])
    for (const f of k.released.splice(0)) closeFile(k, f)
    checkIdle(k)
  })
})

describe("mmget_not_zero", () => {
  it("adds a user while there is one [R-MM-07]", () => {
    const { k, mm } = two()
    expect(mmgetNotZero(k, mm)).toBe(true)
    expect(counts(k, mm)).toEqual({ ...LIVE, users: 2 })
    done(k, () => mmput(k, mm))
    checkIdle(k)
  })

  it("refuses when the last user has gone, and changes nothing [R-MM-07, R-MM-08]", () => {
    const { k, p, mm } = two()
    mmgrab(k, mm)
    p.exit()
    expect(mmgetNotZero(k, mm)).toBe(false)
    expect(counts(k, mm)).toEqual({ users: 0, count: 1, state: MM_DEAD })
    mmdrop(k, mm)
    checkIdle(k)
  })

  it("refuses while the last mmput is still tearing down [R-MM-07, R-BIND-03]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    const { mm } = p
    p.map(BASE, 1, RW, SHARED, p.open(device(k, { hooks: (1 << H_MMAP) | (1 << H_CLOSE) })))
    mmgrab(k, mm)
    const last = new Hand(k, () => mmput(k, mm)).to(NEED_HOOK) // in the close hook
    expect(mmgetNotZero(k, mm)).toBe(false)
    expect(k.mms.users(mm)).toBe(0)
    expect(last.finish()).toBe(OK)
    mmdrop(k, mm)
    k.tasks.setMm(p.task, 0)
    checkMm(k)
  })
})

describe("mmput_async", () => {
  it("unmaps nothing by itself; whoever drains does [R-MM-04]", () => {
    const { k, p, mm, free } = two()
    mmget(k, mm)
    p.exit()
    bare(k, () => mmputAsync(k, mm))
    expect(k.mms.users(mm)).toBe(0)
    expect(k.deferredMmput).toEqual([mm])
    expect(k.vmas.live).toBe(1)
    expect(k.frames.free()).toBe(free)
    expect(mmgetNotZero(k, mm)).toBe(false)
    done(k, () => drainMmput(k))
    expect(k.deferredMmput).toEqual([])
    expect(k.vmas.live).toBe(0)
    expect(k.frames.free()).toBe(free + 2)
    expect(k.mms.state(mm)).toBe(MM_FREE)
    checkIdle(k)
  })

  it("is only a count where it is not the last [R-MM-04, R-MM-05]", () => {
    const { k, mm } = two()
    mmget(k, mm)
    mmputAsync(k, mm)
    expect(counts(k, mm)).toEqual(LIVE)
    expect(k.deferredMmput).toEqual([])
    checkIdle(k)
  })

  it("may be called under a spinlock's rules: it takes no lock and calls no hook [R-MM-04]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    const { mm } = p
    const fd = p.open(device(k, { hooks: (1 << H_MMAP) | (1 << H_CLOSE) }))
    p.map(BASE, 1, RW, SHARED, fd)
    mmget(k, mm)
    p.exit()
    bare(k, () => mmputAsync(k, mm))
    const closed: number[] = []
    expect(k.vmas.live).toBe(1)
    done(
      k,
      () => drainMmput(k),
      (hook) => (hook === H_CLOSE && closed.push(hook), 0)
    )
    expect(closed).toEqual([H_CLOSE])
    for (const f of k.released.splice(0)) closeFile(k, f)
    checkIdle(k)
  })
})

describe("a task's own address space", () => {
  it("a kernel thread has none, and neither has a process that ended [R-MM-14]", () => {
    const { k, p } = two()
    expect(k.tasks.mm(k.tasks.alloc(0, "kswapd0"))).toBe(0)
    expect(p.mm).toBeGreaterThan(0)
    p.exit()
    expect(p.mm).toBe(0)
    checkIdle(k)
  })
})

describe("mmap_lock of an address space", () => {
  it("has no owner any more when its space is torn down: nobody may find it taken [R-MM-03, R-MM-11]", () => {
    const { k, p, mm } = two()
    mmgrab(k, mm)
    withMmap(k, mm, WRITE, () => {
      expect(k.runs.lockState(k.runs.mmapLock(mm))).toBe(-1)
    })
    p.exit()
    bare(k, () => {
      expect(tryMmap(k, mm, READ)).toBe(true)
      k.runs.unlock(k.runs.mmapLock(mm), READ)
    })
    mmdrop(k, mm)
    checkIdle(k)
  })
})
