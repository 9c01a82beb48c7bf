/** Seeded bugs: each kind of mistake that interleavings bring out is found, with as few pre-emptions as it needs, told as a
 * story and played again from its choices.
 */
import { describe, expect, it } from "vitest"
import { OK } from "../../lib/flags/Errno.ts"
import { FAULT_OK, READ as READING } from "../../lib/flags/FaultFlags.ts"
import { mmapDowngrade, mmapUnlock, needMmap, READ, tryMmap, WRITE } from "../../lib/mm/area/mmap-lock.ts"
import { needHook } from "../../lib/mm/area/ops.ts"
import { gatherVmas, removeVma } from "../../lib/mm/area/vma.ts"
import { lockVmaUnderRcu, vmaEndRead } from "../../lib/mm/area/vma-lock.ts"
import { H_CLOSE, H_MAY_SPLIT, KILLABLE, type StopName, type Verb } from "../../lib/mm/base/stop.ts"
import { mapFreshPage } from "../../lib/mm/page/anon.ts"
import { needPage } from "../../lib/mm/page/fault.ts"
import { finishFill } from "../../lib/mm/page/fill.ts"
import { flushRange, putGathered } from "../../lib/mm/page/tlb.ts"
import { ZAP_COWS, zapRange } from "../../lib/mm/page/zap.ts"
import { F_UPTODATE } from "../../lib/mm/store/frames.ts"
import { type Outcome, tell } from "../../lib/proof/explore/search.ts"
import { dfs, pct, random, replay } from "../../lib/proof/explore/strategy.ts"
import { exploreVerbs, type VerbCase } from "../../lib/proof/explore/verbs.ts"
import {
  anonymous,
  deviceWorld,
  faultAt,
  fileWorld,
  FIRST,
  SHARED,
  unmap,
  verb,
  type World
} from "./explore-support.ts"

type Body = Verb<StopName, unknown>

/** Maps a page of the file, as faults do, but trusts after the read what it saw before. */
function* faultWithoutRecheck({ k, mm, obj }: World, page: number): Body {
  if (!tryMmap(k, mm, READ)) yield needMmap(k, mm, READ)
  try {
    const v = k.maple.lookup(mm, FIRST + page)
    const slot = k.ptes.slotAlloc(k.mms.pgd(mm), FIRST + page)
    const r = k.xarray.load(obj, page) === 0 ? yield needPage(k, obj, page) : OK
    return r < 0 ? r : finishFill(k, v, FIRST + page, slot, k.xarray.load(obj, page), false)
  } finally {
    mmapUnlock(k, mm, READ)
  }
}

/** As lock_vma_under_rcu, but takes the area for what it was found to be. */
function* faultInWhateverWasFound({ k, mm }: World, page: number): Body {
  const v = k.maple.lookup(mm, FIRST + page)
  if (v === 0) return "nothing there"
  yield k.runs.point()
  if (!k.runs.tryLock(k.runs.vmaLock(v), READ)) return "busy"
  try {
    return mapFreshPage(k, v, FIRST + page, k.ptes.slotAlloc(k.mms.pgd(mm), FIRST + page))
  } finally {
    vmaEndRead(k, v)
  }
}

/** As munmap, but gives frames back while the TLB still translates to them. */
function* unmapAndPutBeforeFlush({ k, mm }: World, pages: number): Body {
  if (!tryMmap(k, mm, WRITE)) yield needMmap(k, mm, WRITE)
  try {
    const g = yield* gatherVmas(k, mm, FIRST, FIRST + pages)
    if (typeof g === "number") return g
    for (const v of g.vmas) zapRange(k, v, k.vmas.startOf(v), k.vmas.endOf(v), ZAP_COWS)
    putGathered(k)
    yield k.runs.point()
    flushRange(k, mm, FIRST, FIRST + pages)
    for (const v of g.vmas) yield* removeVma(k, v)
    return OK
  } finally {
    mmapUnlock(k, mm, WRITE)
  }
}

/** Waits for a page that it saw missing a moment ago. */
function* lookThenWait({ k, obj }: World, page: number): Body {
  const p = k.xarray.load(obj, page)
  if (p !== 0 && k.frames.has(p, F_UPTODATE)) return FAULT_OK
  yield k.runs.point()
  return yield needPage(k, obj, page)
}

/** Holds an area while it waits for mmap_lock. */
function* areaThenMmap({ k, mm }: World, page: number): Body {
  const v = yield* lockVmaUnderRcu(k, mm, FIRST + page)
  if (v === 0) return "busy"
  try {
    yield k.runs.point()
    if (!tryMmap(k, mm, READ)) yield needMmap(k, mm, READ)
    mmapUnlock(k, mm, READ)
    return OK
  } finally {
    vmaEndRead(k, v)
  }
}

/** Lets go of the lock, and then tells the owner. */
function* closeWithoutLock({ k, mm }: World): Body {
  if (!tryMmap(k, mm, WRITE)) yield needMmap(k, mm, WRITE)
  const v = k.maple.lookup(mm, FIRST)
  mmapDowngrade(k, mm)
  mmapUnlock(k, mm, READ)
  return yield needHook(k, v, H_CLOSE, FIRST, KILLABLE)
}

/** Takes a lock before the `try` that would give it back. */
function* leaksWhenKilled({ k, mm }: World): Body {
  if (!tryMmap(k, mm, WRITE)) yield needMmap(k, mm, WRITE)
  const v = k.maple.lookup(mm, FIRST)
  const r = yield needHook(k, v, H_MAY_SPLIT, FIRST, KILLABLE)
  mmapUnlock(k, mm, WRITE)
  return r
}

interface Seed {
  readonly bug: string
  readonly scene: VerbCase<World>
  /** How many pre-emptions it takes. */
  readonly needs: number
  readonly says: RegExp
}
const seeds: readonly Seed[] = [
  {
    bug: "a fault that does not look again after it waited for a page",
    scene: {
      boot: () => fileWorld(2, SHARED),
      tasks: (w) => ({
        A: [verb("fault", () => faultWithoutRecheck(w, 1))],
        B: [verb("fault", () => faultWithoutRecheck(w, 1))]
      })
    },
    needs: 0,
    says: /mapcount of frame \d+ is 2, 1 entries map it/
  },
  {
    bug: "an area found without a lock and not looked at again",
    scene: {
      boot: () => anonymous(2),
      tasks: (w) => ({ A: [verb("fault", () => faultInWhateverWasFound(w, 1))], B: [unmap(w, 0, 2)] })
    },
    needs: 1,
    says: /lies outside every area/
  },
  {
    bug: "frames given back before the flush",
    scene: {
      boot: () => anonymous(2, [0, 1]),
      tasks: (w) => ({ A: [verb("munmap", () => unmapAndPutBeforeFlush(w, 2))], B: [faultAt(w, 0)] })
    },
    needs: 0,
    says: /the TLB translates page \d+ of mm 1 to frame \d+ for writing, its entry does not/
  },
  {
    bug: "a lost wake-up: somebody looks, and registers later",
    scene: {
      boot: () => fileWorld(2, SHARED),
      tasks: (w) => ({ A: [verb("wait", () => lookThenWait(w, 1))], B: [faultAt(w, 1, READING)] })
    },
    needs: 1,
    says: /deadlock:\n  A waits for page 1 of object 1, holding nothing/
  },
  {
    bug: "locks taken in the wrong order",
    scene: {
      boot: () => anonymous(2, [1]),
      tasks: (w) => ({ A: [verb("look", () => areaThenMmap(w, 1))], B: [unmap(w, 0, 2)] })
    },
    needs: 1,
    says: /A waits for mmap_lock of mm 1 \(read\), holding vma:r: B writes\n  B waits for the lock of area 1 \(write\), holding mmap:w: A reads/
  },
  {
    bug: "a hook that is called when the lock has gone",
    scene: {
      boot: () => deviceWorld([H_CLOSE], SHARED),
      tasks: (w) => ({ A: [verb("close", () => closeWithoutLock(w))], B: [unmap(w, 0, 4)] })
    },
    needs: 0,
    says: /hook close is called under nothing/
  },
  {
    bug: "a lock that a kill leaves behind",
    scene: {
      boot: () => deviceWorld([H_MAY_SPLIT], SHARED),
      tasks: (w) => ({ A: [verb("look", () => leaksWhenKilled(w))] }),
      kills: 1
    },
    needs: 1, // a kill takes the turn from somebody who could go on
    says: /run 1 ended while holding mmap:w/
  }
]

/** The first bound at which it is found. */
const firstFound = (scene: VerbCase<World>): readonly [bound: number, outcome: Outcome] => {
  for (let bound = 0; ; bound++) {
    const outcome = exploreVerbs(scene, dfs(bound))
    if (outcome.failure !== undefined || bound === 3) return [bound, outcome]
  }
}

describe("seeded bugs in verbs", () => {
  for (const { bug, needs, says, scene } of seeds)
    it(`${bug}: found with ${needs} pre-emptions, in at most 20 schedules`, () => {
      const [bound, outcome] = firstFound(scene)
      expect(outcome.failure?.message).toMatch(says)
      expect(bound).toBe(needs)
      expect(outcome.schedules).toBeLessThanOrEqual(20)
      const again = exploreVerbs(scene, replay(outcome.failure!.choices))
      expect(again.failure).toEqual(outcome.failure)
    })

  it("dice and random priorities find them too", () => {
    for (const { scene } of seeds) {
      expect(exploreVerbs(scene, random(7, 500)).failure).toBeDefined()
      expect(exploreVerbs(scene, pct(7, 500, 20, 3)).failure).toBeDefined()
    }
  })

  it("a failing schedule reads as a story: task, verb, stop, locks held", () => {
    const { scene } = seeds.find(({ bug }) => bug.startsWith("locks taken"))!
    const story = tell(exploreVerbs(scene, dfs(1))).replace(/, \d+ ms/, "")
    expect(story).toMatchInlineSnapshot(`
      "deadlock:
        A waits for mmap_lock of mm 1 (read), holding vma:r: B writes
        B waits for the lock of area 1 (write), holding mmap:w: A reads
        1. A: look begins, may be pre-empted, holding nothing
        2. A: look goes on, may be pre-empted, holding vma:r
        3. A: look goes on, may be pre-empted, holding vma:r
        4. B: munmap(0, 2) begins, may be pre-empted, holding nothing
        5. B: munmap(0, 2) goes on, may be pre-empted, holding mmap:w
        6. B: munmap(0, 2) goes on, waits for the lock of area 1 (write), holding mmap:w
        7. A: look goes on, waits for mmap_lock of mm 1 (read), holding vma:r
      (2 schedules, 11 steps each; replay({"3":1}))"
    `)
  })
})
