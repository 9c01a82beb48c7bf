/** The flagship: a shrinkable page range (drivers/android/binder/page_range.rs), as core verbs and as the example driver.
 * Pages are used, given back and unmapped in every order with at most two pre-emptions.
 */
import { Deferred, Effect } from "effect"
import { describe, expect, it } from "vitest"
import { Device, type Lockdep, MapFlags, ProtFlags, Task, Units } from "pagewright"
import { DONE, makeBinder, RECEIVE, SEND } from "../../examples/binder/binder.ts"
import { EBUSY, ESRCH, OK } from "../../lib/flags/Errno.ts"
import { holdVma, letVmaGo } from "../../lib/mm/area/lookup.ts"
import { mmgetNotZero } from "../../lib/mm/area/mm.ts"
import { mmapUnlock, READ, tryMmap } from "../../lib/mm/area/mmap-lock.ts"
import { type StopName, type Verb, WAIT_UFFD } from "../../lib/mm/base/stop.ts"
import { vmInsertPage } from "../../lib/mm/page/insert.ts"
import { zapPageRangeSingle } from "../../lib/mm/page/zap.ts"
import { F_DRIVER } from "../../lib/mm/store/frames.ts"
import { exit, mmputAsync } from "../../lib/mm/sys/process.ts"
import * as Explore from "../../lib/proof/explore/Explore.ts"
import { type Call, exploreVerbs, type VerbCase } from "../../lib/proof/explore/verbs.ts"
import { deeper, deviceWorld, FIRST, loadNow, map, passes, RW, SHARED, store, unmap, verb } from "./explore-support.ts"

// ---- the range as core verbs

/** A page of the range: a frame or 0, and is it on the list of idle ones? */
interface Slot {
  frame: number
  isIdle: boolean
}
const range = (used: readonly number[]) => {
  const w = deviceWorld([], SHARED, RW, true)
  const slots: Slot[] = [0, 1].map(() => ({ frame: 0, isIdle: false }))
  const r = { ...w, ops: w.k.vmas.ops(w.k.maple.lookup(w.mm, FIRST)), slots, isLocked: false }
  for (const page of used) {
    const [, body] = use(r, page)
    const turn = body().next()
    expect(turn.done).toBe(true)
    slots[page]!.isIdle = true
  }
  return r
}
type Range = ReturnType<typeof range>
/** The core's page queues are told apart by two numbers; no object has this one. */
const MUTEX = 12_345

function* lock({ k }: Range, r: Range): Verb<StopName, void> {
  while (r.isLocked) {
    k.runs.enqueuePage(MUTEX, 0)
    yield k.runs.stop<"WAIT_UFFD">(WAIT_UFFD)
  }
  r.isLocked = true
}
const unlock = (r: Range): void => {
  r.isLocked = false
  r.k.runs.wakePage(MUTEX, 0, OK)
}

/** Page `page` mapped and in use; whoever began is not killed. */
const use = (r: Range, page: number): Call =>
  verb(`use(${page})`, function* () {
    const { k, mm } = r
    const slot = r.slots[page]!
    yield* lock(r, r)
    try {
      if (slot.frame !== 0) {
        if (!slot.isIdle) return EBUSY
        slot.isIdle = false
        return OK
      }
      if (!mmgetNotZero(k, mm)) return ESRCH
      const frame = k.frames.allocZeroed()
      k.frames.setFlag(frame, F_DRIVER)
      const v = yield* holdVma(k, mm, FIRST + page) // lock_vma_under_rcu, else mmap_lock and a lookup
      const isOurs = v !== 0 && k.vmas.ops(v) === r.ops
      const done = isOurs ? vmInsertPage(k, v, FIRST + page, frame) : ESRCH
      if (v !== 0) letVmaGo(k, mm, v)
      mmputAsync(k, mm)
      if (done === OK) slot.frame = frame
      else k.frames.put(frame)
      return done
    } finally {
      unlock(r)
    }
  })
const done = (r: Range, page: number): Call =>
  verb(`done(${page})`, function* () {
    yield r.k.runs.point()
    if (r.slots[page]!.frame !== 0) r.slots[page]!.isIdle = true
  })

/** The shrinker: gives an idle page back, unless it would have to wait. */
const shrink = (r: Range, page: number, mutant?: "any area" | "no second look"): Call =>
  verb(`shrink(${page})`, function* () {
    const { k, mm } = r
    const slot = r.slots[page]!
    if (!slot.isIdle || !mmgetNotZero(k, mm)) return "nothing to do"
    try {
      yield k.runs.point()
      if (r.isLocked) return "busy"
      r.isLocked = true
      try {
        if (!tryMmap(k, mm, READ)) return "busy"
        try {
          if (!slot.isIdle && mutant !== "no second look") return "used again"
          const { frame } = slot
          slot.frame = 0
          slot.isIdle = false
          yield k.runs.point()
          const v = k.maple.lookup(mm, FIRST + page)
          if (v !== 0 && (k.vmas.ops(v) === r.ops || mutant === "any area")) zapPageRangeSingle(k, v, FIRST + page, 1)
          k.frames.put(frame)
          return "freed"
        } finally {
          mmapUnlock(k, mm, READ)
        }
      } finally {
        unlock(r)
      }
    } finally {
      mmputAsync(k, mm)
    }
  })

/** A page that is in use is mapped, or its place is unmapped. */
const inUseIsMapped = ({ k, mm, slots }: Range): void => {
  for (const [page, { frame, isIdle }] of slots.entries()) {
    if (frame === 0 || isIdle || k.mms.pgd(mm) === 0) continue
    const slot = k.ptes.slot(k.mms.pgd(mm), FIRST + page)
    const isThere = slot >= 0 && k.ptes.isPresent(slot) && k.ptes.pfn(slot) === frame
    const v = k.maple.lookup(mm, FIRST + page)
    if (!isThere && v !== 0 && k.vmas.ops(v) === 0) throw new Error(`page ${page} is in use and not mapped`)
  }
}
const release = ({ k, slots }: Range): void => {
  for (const slot of slots) if (slot.frame !== 0) k.frames.put(slot.frame)
}
const scene = (used: readonly number[], tasks: VerbCase<Range>["tasks"]): VerbCase<Range> => ({
  boot: () => range(used),
  tasks,
  always: inUseIsMapped,
  end: release
})

describe("a shrinkable page range of core verbs", () => {
  passes(
    "pages are used again while the shrinker gives them back",
    scene([0, 1], (r) => ({ A: [use(r, 0), done(r, 0), use(r, 0)], B: [shrink(r, 0), shrink(r, 1)] }))
  )
  passes(
    "the shrinker runs while the process unmaps",
    scene([0, 1], (r) => ({ A: [unmap(r, 0, 1)], B: [shrink(r, 0), shrink(r, 1)] }))
  )
  passes(
    "the shrinker runs while the process exits",
    scene([0, 1], (r) => ({ A: [verb("exit", () => exit(r.k, r.task))], B: [shrink(r, 0), shrink(r, 1)] }))
  )
  passes(
    "use, shrink and munmap by three tasks",
    scene([0], (r) => ({ A: [use(r, 0), use(r, 1)], B: [shrink(r, 0)], C: [unmap(r, 0, 2)] }))
  )
  passes("the shrinker leaves alone what was mapped in the range's place", {
    ...scene([0], (r) => ({ A: [unmap(r, 0, 1), map(r, 0, 1), store(r, r.mm, 0, 5)], B: [shrink(r, 0)] })),
    end: (r) => {
      expect(loadNow(r.k, r.mm, 0)).toBe(5)
      release(r)
    }
  })

  it("a shrinker that zaps any area it finds is found out, without a pre-emption", () => {
    const wrong: VerbCase<Range> = {
      ...scene([0], (r) => ({
        A: [unmap(r, 0, 1), map(r, 0, 1), store(r, r.mm, 0, 5)],
        B: [shrink(r, 0, "any area")]
      })),
      end: (r) => {
        if (loadNow(r.k, r.mm, 0) !== 5) throw new Error("the process lost what it had stored")
        release(r)
      }
    }
    expect(exploreVerbs(wrong, Explore.dfs(0)).failure?.message).toContain("lost what it had stored")
  })
  it("a shrinker that does not look again once it has the locks is found out, with one pre-emption", () => {
    const wrong: VerbCase<Range> = {
      ...scene([0], (r) => ({ A: [use(r, 0)], B: [shrink(r, 0, "no second look")] })),
      end: (r, { A }) => {
        if (A![0] === OK && r.slots[0]!.frame === 0) throw new Error("a page that is in use was given back")
        release(r)
      }
    }
    expect(exploreVerbs(wrong, Explore.dfs(0)).failure).toBeUndefined()
    expect(exploreVerbs(wrong, Explore.dfs(1)).failure?.message).toContain("in use was given back")
  })
})

// ---- the example driver

const PAGES = 2
const setup = Effect.gen(function* () {
  const { device, shrink } = makeBinder()
  yield* Device.register("/dev/binder", device)
  return { device, shrink, ready: yield* Deferred.make<void>() }
})
type Shared = Effect.Success<typeof setup>

/** A process that receives its own messages: one has come and was done with before the shrinker begins. */
const receiver = (
  { device, ready }: Shared,
  then: (fd: Task.Fd<unknown>, base: Units.UserAddr) => Effect.Effect<void, unknown, Task.Task | Lockdep.Markers>
) =>
  Task.run(
    "receiver",
    Effect.gen(function* () {
      const fd = yield* Task.open(device, "rw")
      const length = Units.pages(PAGES)
      const base = yield* Task.mmap({ length, prot: ProtFlags.READ, flags: MapFlags.SHARED, fd })
      yield* Task.ioctl(fd, RECEIVE)
      yield* Task.ioctl(fd, SEND, 100)
      yield* Task.ioctl(fd, DONE, 0)
      yield* Deferred.succeed(ready, undefined)
      yield* then(fd, base)
    })
  )
const shrinker = ({ ready, shrink }: Shared) => Effect.andThen(Deferred.await(ready), shrink(4))

/** Sends itself a message, and reads it where it lies. */
const message = (fd: Task.Fd<unknown>, base: Units.UserAddr, value: number) =>
  Effect.gen(function* () {
    const page = yield* Task.ioctl(fd, SEND, value)
    expect(yield* Task.load64(Units.offset(base, Units.pages(page)))).toBe(BigInt(value))
    return page
  })

const using = (s: Shared) =>
  receiver(s, (fd, base) =>
    Effect.gen(function* () {
      yield* Task.ioctl(fd, DONE, yield* message(fd, base, 200))
      yield* message(fd, base, 300)
    })
  )
const unmapping = (s: Shared) => receiver(s, (_, base) => Task.munmap(base, Units.pages(1)))
const exiting = (s: Shared) => receiver(s, () => Effect.void)

describe("the binder example", () => {
  for (const [what, receives] of [
    ["uses pages", using],
    ["unmaps", unmapping],
    ["exits", exiting]
  ] as const) {
    const tasks = (s: Shared) => ({ A: receives(s), B: shrinker(s) })
    const timeout = deeper === undefined ? 30_000 : 36_000_000
    const holds = (yields: number, strategy: Explore.Strategy): void => {
      const outcome = Explore.search({ setup, tasks, yields }, strategy)
      if (deeper !== undefined) console.log(`${what}: ${Explore.tell(outcome)}`)
      expect(outcome.failure === undefined ? "" : Explore.tell(outcome)).toBe("")
      expect(outcome.isComplete).toBe(true)
      expect(outcome.schedules).toBeGreaterThan(10)
    }
    it(`the shrinker runs while the process ${what}: at most two pre-emptions`, { timeout }, () =>
      holds(0, Explore.dfs(deeper ?? 2))
    )
    it(`the shrinker runs while the process ${what}: pre-emptions between any two ops`, { timeout }, () =>
      holds(deeper === undefined ? 3 : 1, deeper === undefined ? Explore.random(1, 150) : Explore.dfs(deeper))
    )
  }
})
