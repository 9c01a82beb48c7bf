/** Which calls take mmap_lock, and how; what they let go of on the way, and who may come in then. See lock-area.test.ts; the
 * locks themselves are in test/mm/rows/mmap-lock.test.ts and vma-lock.test.ts.
 */
import { describe, expect, it } from "vitest"
import * as MADV from "../../../lib/flags/AdviceFlags.ts"
import { READ as READING } from "../../../lib/flags/FaultFlags.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { READ, WRITE } from "../../../lib/mm/area/mmap-lock.ts"
import { H_OPEN, MMAP_W, CHILD_W, NEED_HOOK, NEED_LOCK, PREEMPT } from "../../../lib/mm/base/stop.ts"
import { fault } from "../../../lib/mm/page/fault.ts"
import { KERNEL_MODE } from "../../../lib/mm/page/userfault.ts"
import { maps } from "../../../lib/mm/proc/maps.ts"
import { smaps } from "../../../lib/mm/proc/smaps.ts"
import { brk } from "../../../lib/mm/sys/brk.ts"
import { madvise } from "../../../lib/mm/sys/madvise.ts"
import { mbind } from "../../../lib/mm/sys/mbind.ts"
import { mincore } from "../../../lib/mm/sys/mincore.ts"
import { mlock, mlockall, munlock } from "../../../lib/mm/sys/mlock.ts"
import { mmap } from "../../../lib/mm/sys/mmap.ts"
import { mprotect } from "../../../lib/mm/sys/mprotect.ts"
import { mremap } from "../../../lib/mm/sys/mremap.ts"
import { msync } from "../../../lib/mm/sys/msync.ts"
import { munmap } from "../../../lib/mm/sys/munmap.ts"
import { fork } from "../../../lib/mm/sys/process.ts"
import { remapFilePages } from "../../../lib/mm/sys/remap-file-pages.ts"
import { mseal } from "../../../lib/mm/sys/seal.ts"
import { shmat, shmget } from "../../../lib/mm/sys/shm.ts"
import { Hand, withMmap } from "../rows/world.ts"
import { A0, ANON, at, outcome, RO, RW } from "./words.ts"
import { world } from "./world.ts"
import { type Call, PAGES, scene, waits } from "./lock-scene.ts"

const writers: Readonly<Record<string, Call>> = {
  mmap: ({ k, task }) => mmap(k, task, at("a9"), PAGES, RW, ANON | MAP.FIXED, -1, 0),
  mprotect: ({ k, task }) => mprotect(k, task, at("a0"), PAGES, RO),
  mremap: ({ k, task }) => mremap(k, task, at("a0"), PAGES, 2 * PAGES, 1, 0),
  brk: ({ k, task }) => brk(k, task, at("a43")),
  mlock: ({ k, task }) => mlock(k, task, at("a0"), PAGES),
  munlock: ({ k, task }) => munlock(k, task, at("a0"), PAGES),
  mlockall: ({ k, task }) => mlockall(k, task, 2),
  mseal: ({ k, task }) => mseal(k, task, at("a2"), PAGES, 0),
  "madvise, flags": ({ k, task }) => madvise(k, task, at("a0"), PAGES, MADV.DONTDUMP),
  munmap: ({ k, task }) => munmap(k, task, at("a2"), PAGES),
  shmat: ({ k, task }) => shmat(k, task, shmget(k, task, 0, PAGES, 0o600), at("a20"), 0),
  mbind: ({ k, task }) => mbind(k, task, at("a0"), PAGES, 1, 1, 0),
  fork: ({ k, task }) => fork(k, task, "child")
}
const readers: Readonly<Record<string, Call>> = {
  msync: ({ k, task }) => msync(k, task, at("a4"), PAGES, 4),
  mincore: ({ k, task }) => mincore(k, task, at("a0"), PAGES, at("a1")),
  "madvise, pages": ({ k, task }) => madvise(k, task, at("a0"), PAGES, MADV.COLD),
  populate: ({ k, task }) => madvise(k, task, at("a0"), PAGES, MADV.POPULATE_WRITE),
  smaps: ({ k, mm }) => smaps(k, mm),
  "a fault that is the kernel's": ({ k, mm }) => fault(k, mm, A0 + 2, READING, 0, KERNEL_MODE),
  "remap_file_pages, looking": ({ k, task }) => remapFilePages(k, task, at("a0"), PAGES, 0, 0, 0)
}
const lockless: Readonly<Record<string, Call>> = {
  "a fault": ({ k, mm }) => fault(k, mm, A0 + 2, READING),
  DONTNEED: ({ k, task }) => madvise(k, task, at("a0"), PAGES, MADV.DONTNEED),
  FREE: ({ k, task }) => madvise(k, task, at("a0"), PAGES, MADV.FREE),
  guards: ({ k, task }) => madvise(k, task, at("a0"), PAGES, MADV.GUARD_INSTALL),
  "/proc/PID/maps": ({ k, mm }) => maps(k, mm)
}

describe("mmap_lock", () => {
  it.each(Object.entries(writers))("%s waits for a reader: it takes the lock for writing [L-LOCK-02]", (_, make) => {
    expect(waits(READ, make)).toBe(true)
  })

  it.each(Object.entries(readers))(
    "%s goes on beside a reader, and waits for a writer [L-LOCK-03, L-LOCK-15]",
    (_, make) => {
      expect([waits(READ, make), waits(WRITE, make)]).toEqual([false, true])
    }
  )

  it.each(Object.entries(lockless))("%s goes on beside a writer who has not marked the area [L-LOCK-04]", (_, make) => {
    expect(waits(WRITE, make)).toBe(false)
  })

  it("is taken by remap_file_pages for reading, then for writing; what was seen is looked at again [L-LOCK-02, L-LOCK-03]", () => {
    const remap: Call = ({ k, task }) => remapFilePages(k, task, at("a4"), PAGES, 0, 1, 0)
    expect(waits(READ, remap)).toBe(true)
    const p = scene()
    const { k } = p
    let hand!: Hand<unknown>
    withMmap(k, p.mm, READ, () => {
      hand = new Hand(k, () => remap(p)).to(NEED_LOCK)
      expect([hand.waits, k.runs.held[hand.row]]).toEqual([true, 0])
      hand.kill()
    })
    k.runs.preempt = true
    hand = new Hand(k, () => remap(p)).to(PREEMPT)
    k.runs.preempt = false
    p.mprotect("a4+2", RO)
    hand.finish()
    expect(p.areas().filter((line) => line.includes("s"))).toEqual(["a4 r--s", "a5 r--s"])
  })

  it("is held for the parent and the child while a fork's areas are opened [L-LOCK-02]", () => {
    const p = scene()
    const { k } = p
    p.mmap("a10", RW, MAP.SHARED, p.device([H_OPEN]))
    const hand = new Hand(k, () => fork(k, p.task, "child")).to(NEED_HOOK)
    expect(k.runs.held[hand.row]).toBe(MMAP_W | CHILD_W)
    expect(hand.finish()).toBeGreaterThan(0)
  })

  const populating: ReadonlyArray<readonly [string, Call, place: `a${number}`, answer: string]> = [
    ["mmap", writers["mmap"]!, "a9", "a9"],
    ["mlock", ({ k, task }) => mlock(k, task, at("a2"), PAGES), "a2", "ok"],
    ["brk", writers["brk"]!, "a42", "a43"]
  ]
  it.each(populating)(
    "is let go by %s before it brings pages in: others may come between, and nothing is undone [L-LOCK-05]",
    (_, make, place, answer) => {
      const p = scene()
      const { k } = p
      p.sys(mlockall, 2)
      let hand!: Hand<unknown>
      let other!: Hand<number>
      withMmap(k, p.mm, READ, () => {
        hand = new Hand(k, () => make(p)).to(NEED_LOCK)
        other = new Hand(k, () => munmap(k, p.task, at(place), PAGES)).to(NEED_LOCK)
      })
      hand.step()
      expect([hand.waits, other.waits, k.runs.held[hand.row]], "who was in line has it").toEqual([true, false, 0])
      expect([k.maple.lookup(p.mm, at(place) / PAGES) !== 0, other.finish()]).toEqual([true, 0])
      expect(outcome(Number(hand.finish()))).toBe(answer)
      expect([p.pages(place), p.pages("a41")]).toEqual(["_", answer === "a43" ? "A" : "_"])
    }
  )

  it.each([MADV.REMOVE, MADV.WILLNEED])(
    "is let go by advice %s for each area of an object, and what follows is looked up again [L-LOCK-21]",
    (advice) => {
      const p = world()
      p.mmap("a0", RW, MAP.SHARED, p.open("/f", 2))
      p.mmap("a1", RW, MAP.SHARED, p.open("/g", 2))
      const { k } = p
      let hand!: Hand<number>
      let other!: Hand<number>
      withMmap(k, p.mm, WRITE, () => {
        hand = new Hand(k, () => madvise(k, p.task, at("a0"), 2 * PAGES, advice)).to(NEED_LOCK)
        other = new Hand(k, () => munmap(k, p.task, at("a1"), PAGES)).to(NEED_LOCK)
      })
      hand.step()
      expect([hand.waits, other.waits, k.runs.held[hand.row]]).toEqual([true, false, 0])
      other.finish()
      expect(outcome(hand.finish()), "a hole by now").toBe("ENOMEM")
    }
  )
})
