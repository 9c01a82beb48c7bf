import { describe, expect, it } from "vitest"
import { KernelBug } from "../../../lib/mm/base/debug.ts"
import { MMAP_R, MMAP_W, READ, VMA_R, VMA_W, WRITE } from "../../../lib/mm/base/stop.ts"
import { RUN_QUEUED, RUN_RUNNING, RUN_WOKEN, Runs } from "../../../lib/mm/store/runs.ts"
import { forSeeds } from "../../support/random.ts"

const MM = 1

interface Locks {
  readonly runs: Runs
  readonly q: number
  /** A run asks for the lock: true when it has it at once, else it is queued. */
  readonly ask: (run: number, mode: number) => boolean
  /** Stop that run waits at. */
  readonly stops: Map<number, number>
  /** Rows woken since it was last asked. */
  readonly woken: () => number[]
}

function locks(count = 8): Locks {
  const runs = new Runs(32, 16, 4, 2)
  for (let i = 0; i < count; i++) runs.alloc(0)
  const q = runs.mmapLock(MM)
  const stops = new Map<number, number>()
  return {
    runs,
    q,
    stops,
    ask: (run, mode) => {
      runs.current = run
      if (runs.tryLock(q, mode)) return true
      stops.set(run, runs.needLock(q, mode))
      return false
    },
    woken: () => {
      const out = [...runs.woken.subarray(0, runs.wokenN)]
      runs.wokenN = 0
      return out
    }
  }
}

const idle = (runs: Runs, live: number): void => {
  const wrong: string[] = []
  runs.check(wrong)
  expect(wrong).toEqual(live === 0 ? [] : [`${live} verbs are still in flight`])
}

describe("runs: locks", { timeout: 60_000 }, () => {
  it("readers share, a writer is alone", () => {
    const { runs, q, ask } = locks()
    expect([ask(1, READ), ask(2, READ), ask(3, WRITE)]).toEqual([true, true, false])
    expect(runs.lockState(q)).toBe(2)
    runs.unlock(q, READ, 1)
    expect(runs.state[3]).toBe(RUN_QUEUED)
    runs.unlock(q, READ, 2)
    expect([runs.state[3], runs.lockState(q), runs.held[3]]).toEqual([RUN_WOKEN, -1, MMAP_W])
  })

  it("a writer in line turns later readers away, though readers hold the lock", () => {
    const { runs, q, ask, woken } = locks()
    ask(1, READ)
    expect([ask(2, WRITE), ask(3, READ)]).toEqual([false, false])
    expect([runs.canRead(q), runs.canWrite(q)]).toEqual([false, false])
    runs.unlock(q, READ, 1)
    expect(woken()).toEqual([2])
    runs.unlock(q, WRITE, 2)
    expect(woken()).toEqual([3])
  })

  it("hands over in the order of arrival, all readers up to the next writer together", () => {
    const { runs, q, ask, woken } = locks()
    ask(1, WRITE)
    for (const [run, mode] of [
      [2, READ],
      [3, READ],
      [4, WRITE],
      [5, READ]
    ] as const)
      expect(ask(run, mode)).toBe(false)
    expect(runs.waiters(q)).toBe(4)
    runs.unlock(q, WRITE, 1)
    expect(woken()).toEqual([2, 3])
    runs.unlock(q, READ, 3)
    expect(woken()).toEqual([])
    runs.unlock(q, READ, 2)
    expect(woken()).toEqual([4])
    runs.unlock(q, WRITE, 4)
    expect(woken()).toEqual([5])
    runs.unlock(q, READ, 5)
    idle(runs, 8)
  })

  it("what was granted belongs to the run before it has gone on: nobody overtakes it", () => {
    const { runs, q, ask } = locks()
    ask(1, WRITE)
    ask(2, WRITE)
    runs.unlock(q, WRITE, 1)
    expect(runs.held[2]).toBe(MMAP_W)
    expect(ask(3, READ)).toBe(false)
  })

  it("a downgrade lets in the readers that are first in line, and no writer", () => {
    const { runs, q, ask, woken } = locks()
    ask(1, WRITE)
    ask(2, READ)
    ask(3, READ)
    ask(4, WRITE)
    ask(5, READ)
    runs.downgrade(q, 1)
    expect(woken()).toEqual([2, 3])
    expect([runs.lockState(q), runs.held[1]]).toEqual([3, MMAP_R])
    for (const run of [1, 2, 3]) runs.unlock(q, READ, run)
    expect(woken()).toEqual([4])
  })

  it("a writer that withdraws from the line lets the readers behind it in", () => {
    const { runs, q, ask, stops, woken } = locks()
    ask(1, READ)
    ask(2, WRITE)
    ask(3, READ)
    runs.withdraw(2, stops.get(2)!)
    expect(woken()).toEqual([3])
    expect([runs.lockState(q), runs.held[2], runs.state[2]]).toEqual([2, 0, RUN_RUNNING])
  })

  it("a lock that was granted to a run which withdraws goes to the next in line", () => {
    const { runs, q, ask, stops, woken } = locks()
    ask(1, WRITE)
    ask(2, WRITE)
    ask(3, WRITE)
    runs.unlock(q, WRITE, 1)
    runs.withdraw(2, stops.get(2)!)
    expect(woken()).toEqual([2, 3])
    expect([runs.held[2], runs.held[3], runs.mine[3]]).toEqual([0, MMAP_W, q])
    runs.unlock(q, WRITE, 3)
    idle(runs, 8)
  })

  it("locks of areas and of address spaces are apart, and each shows in the run's own bits", () => {
    const { runs, q } = locks()
    runs.current = 1
    expect(runs.tryLock(q, READ)).toBe(true)
    expect(runs.tryLock(runs.vmaLock(3), READ)).toBe(true)
    expect(runs.held[1]).toBe(MMAP_R | VMA_R)
    runs.current = 2
    expect(runs.tryLock(runs.vmaLock(4), WRITE)).toBe(true)
    expect(runs.held[2]).toBe(VMA_W)
    expect(runs.tryLock(runs.mmapLock(2), WRITE)).toBe(true)
    runs.unlock(q, READ, 1)
    expect(runs.held[1]).toBe(VMA_R)
  })

  it("refuses to give back what a run does not hold, and to end a run that holds something", () => {
    const { runs, q, ask } = locks()
    expect(() => runs.unlock(q, READ, 1)).toThrow(KernelBug)
    ask(1, READ)
    expect(() => runs.unlock(q, WRITE, 1)).toThrow(/holds mmap:r/)
    expect(() => runs.release(1)).toThrow(/ended while holding mmap:r/)
  })

  it("refuses a wait for a lock that a verb above the hook holds", () => {
    const { runs, q, ask } = locks(1)
    ask(1, WRITE)
    const hook = runs.alloc(1)
    const below = runs.alloc(hook)
    ask(below, READ)
    expect(() => runs.assertNotOurs(below)).toThrow(/recursive locking/)
    runs.withdraw(below, 0)
    const other = runs.alloc(0)
    ask(other, READ)
    expect(() => runs.assertNotOurs(other)).not.toThrow()
    expect(runs.waiters(q)).toBeGreaterThan(0)
  })

  it("is as a queue of tickets through random asks, ends, downgrades and withdrawals: none lost, none starved", () => {
    forSeeds(40, (random) => {
      const { runs, q, ask, stops, woken } = locks(10)
      const holds = new Map<number, number>()
      let line: { run: number; mode: number }[] = []
      const admit = (): void => {
        while (line.length > 0) {
          const first = line[0]!
          const writer = [...holds.values()].includes(WRITE)
          if (writer || (first.mode === WRITE && holds.size > 0)) return
          line.shift()
          holds.set(first.run, first.mode)
        }
      }
      for (let step = 0; step < 400; step++) {
        const run = 1 + random(10)
        const mode = random(3) === 0 ? WRITE : READ
        const mine = holds.get(run)
        if (mine !== undefined) {
          if (mine === WRITE && random(3) === 0) {
            runs.state[run] = RUN_RUNNING // it has gone on
            runs.downgrade(q, run)
            holds.set(run, READ)
          } else if (runs.state[run] === RUN_WOKEN && random(2) === 0) {
            runs.withdraw(run, stops.get(run)!)
            holds.delete(run)
          } else {
            runs.state[run] = RUN_RUNNING
            runs.unlock(q, mine, run)
            holds.delete(run)
          }
          admit()
        } else if (line.some((ticket) => ticket.run === run)) {
          if (random(4) !== 0) continue
          runs.withdraw(run, stops.get(run)!)
          line = line.filter((ticket) => ticket.run !== run)
          admit()
        } else {
          const got = ask(run, mode)
          line.push({ run, mode })
          admit()
          expect(got).toBe(holds.has(run))
        }
        for (let r = 1; r <= 10; r++) {
          const want = holds.get(r) === WRITE ? MMAP_W : holds.get(r) === READ ? MMAP_R : 0
          if (runs.held[r] !== want) expect.fail(`run ${r} holds ${runs.held[r]}, expected ${want}`)
        }
        if (runs.waiters(q) !== line.length) expect.fail(`${runs.waiters(q)} wait, expected ${line.length}`)
        woken()
      }
      for (const ticket of line) runs.withdraw(ticket.run, stops.get(ticket.run)!)
      for (let r = 1; r <= 10; r++) if (runs.held[r] !== 0) runs.unlock(q, runs.held[r] === MMAP_W ? WRITE : READ, r)
      idle(runs, 10)
    })
  })
})

describe("runs: page queues", () => {
  it("wakes everyone who waits for a page, with its errno, and nobody else", () => {
    const { runs, woken } = locks()
    const q = runs.pageQueue(1, 5)
    for (const [run, obj, pgoff] of [
      [1, 1, 5],
      [2, 1, 5],
      [3, 1, 5 + 64],
      [4, 65, 5]
    ] as const) {
      runs.current = run
      expect(runs.pageQueue(obj, pgoff), "all in one bucket").toBe(q)
      runs.enqueuePage(obj, pgoff)
    }
    runs.wakePage(1, 5, -5)
    expect(woken()).toEqual([1, 2])
    expect([runs.reply[1], runs.reply[2]]).toEqual([-5, -5])
    expect([runs.state[3], runs.state[4]]).toEqual([RUN_QUEUED, RUN_QUEUED])
  })

  it("a waiter that withdraws is not woken", () => {
    const { runs, woken } = locks()
    runs.current = 1
    runs.enqueuePage(1, 5)
    runs.withdraw(1, 0)
    runs.wakePage(1, 5, 0)
    expect(woken()).toEqual([])
  })
})

describe("runs: rows", () => {
  it("are reused, and too many at once are refused without harm", () => {
    const runs = new Runs(4, 16, 4, 2)
    const rows = [runs.alloc(0), runs.alloc(0), runs.alloc(0)]
    expect(() => runs.alloc(0)).toThrow(RangeError)
    expect(() => runs.alloc(0)).toThrow(/maxRuns/)
    for (const r of rows) runs.release(r)
    expect(new Set([runs.alloc(0), runs.alloc(0), runs.alloc(0)])).toEqual(new Set(rows))
    expect(runs.live).toBe(3)
  })
})
