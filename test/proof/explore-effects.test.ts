/** The explorer over Effects: its control reaches everything that Effect does by itself, a schedule plays again exactly, what
 * lies outside is named, and mistakes that only op boundaries bring out are found.
 */
import { Deferred, Effect, Fiber, Option, Queue, Random, Scheduler, Scope, Semaphore } from "effect"
import { describe, expect, it } from "vitest"
import { Device, Kernel, Locked, MapFlags, Mm, Mutex, Page, ProtFlags, Task, Units } from "pagewright"
import { mmapUnlock, needMmap, tryMmap, WRITE } from "../../lib/mm/area/mmap-lock.ts"
import { OK } from "../../lib/flags/Errno.ts"
import { RUN_RUNNING, RUN_WOKEN } from "../../lib/mm/store/runs.ts"
import { munmap } from "../../lib/mm/sys/munmap.ts"
import { exit, reap, spawn } from "../../lib/mm/sys/process.ts"
import * as Explore from "../../lib/proof/explore/Explore.ts"
import { inner } from "../../lib/vma/raw.ts"
import { door } from "../../lib/vma/rim.ts"
import { flush, World } from "../../lib/vma/world.ts"

const RW = ProtFlags.READ | ProtFlags.WRITE
const anonymous = (pages: number) =>
  Task.mmap({ length: Units.pages(pages), prot: RW, flags: MapFlags.PRIVATE | MapFlags.ANONYMOUS })
const nothing = { setup: Effect.void }
const expectPass = (outcome: Explore.Outcome): void => {
  expect(outcome.failure === undefined ? "" : Explore.tell(outcome)).toBe("")
}

describe("control", () => {
  /** Everything at once: fork, Deferred, Queue, Semaphore, time, interruption, dice, and the kernel. */
  const rich = (
    log: unknown[]
  ): Explore.Scenario<{ readonly d: Deferred.Deferred<number>; readonly q: Queue.Queue<number> }> => ({
    setup: Effect.all({ d: Deferred.make<number>(), q: Queue.unbounded<number>() }),
    tasks: ({ d, q }) => {
      const semaphore = Semaphore.makeUnsafe(1)
      return {
        A: Task.run(
          "a",
          Effect.gen(function* () {
            const at = yield* anonymous(4)
            const child = yield* Effect.forkChild(Effect.andThen(Effect.sleep("1 second"), Task.store8(at, 2)))
            log.push(yield* Random.nextIntBetween(0, 9))
            yield* Deferred.succeed(d, 5)
            log.push("A after")
            yield* semaphore.withPermits(1)(Task.store8(at, 3))
            yield* Queue.offer(q, 1)
            yield* Fiber.interrupt(child)
            log.push(yield* Task.load8(at))
          })
        ),
        B: Effect.gen(function* () {
          log.push("B", yield* Deferred.await(d))
          yield* semaphore.withPermits(1)(Effect.yieldNow)
          log.push("B took", yield* Queue.take(q))
        }),
        C: Task.run(
          "c",
          Effect.gen(function* () {
            const at = yield* anonymous(2)
            const late = yield* Effect.timeoutOption(Task.munmap(at, 4096), "1 millis")
            log.push(Option.isSome(late) ? "in time" : "late")
            yield* Effect.all([Task.store8(Units.offset(at, Units.pages(1)), 1), Effect.exit(Task.store8(at, 2))], {
              concurrency: 2
            })
          })
        )
      }
    }
  })
  /** The choices that a strategy makes. */
  const recording = (by: Explore.Strategy, made: Record<number, number>): Explore.Strategy => {
    let n = 0
    return {
      ...by,
      pick: (from, last) => {
        const i = by.pick(from, last)
        if (i !== 0) made[n] = i
        n++
        return i
      }
    }
  }

  it(
    "100 random schedules of a program that uses much of Effect play again from their choices",
    { timeout: 30_000 },
    () => {
      const results = new Set<string>()
      for (let seed = 1; seed <= 100; seed++) {
        const choices: Record<number, number> = {}
        const [first, again]: unknown[][] = [[], []]
        expectPass(Explore.search(rich(first!), recording(Explore.random(seed, 1), choices)))
        expectPass(Explore.search(rich(again!), Explore.replay(choices)))
        expect(again).toEqual(first)
        results.add(JSON.stringify(first))
      }
      expect(results.size).toBeGreaterThan(10)
      expect([...results].some((r) => r.indexOf('"B"') < r.indexOf('"A after"'))).toBe(true)
      expect([...results].some((r) => r.indexOf('"B"') > r.indexOf('"A after"'))).toBe(true)
    }
  )

  const alone = (task: Effect.Effect<unknown, unknown, Kernel.Kernel>): string | undefined =>
    Explore.search({ ...nothing, tasks: () => ({ A: task }) }, Explore.dfs(1)).failure?.message

  it("time is virtual: an hour passes at once", () => expect(alone(Effect.sleep("1 hour"))).toBeUndefined())
  it("timers and dice of the host are refused", () => {
    expect(alone(Effect.callback((resume) => void setTimeout(() => resume(Effect.void), 1)))).toContain(
      "setTimeout is outside the explorer's control"
    )
    expect(alone(Effect.sync(() => Math.random()))).toContain("Math.random is outside the explorer's control")
  })
  it("a promise, another scheduler, a queue made outside: who waits for them never goes on, and that is said", () => {
    const outside = Effect.runSync(Queue.unbounded<number>())
    const takes = Effect.gen(function* () {
      const taker = yield* Effect.forkChild(Queue.take(outside))
      yield* Effect.yieldNow
      yield* Queue.offer(outside, 1)
      yield* Fiber.join(taker)
    })
    const elsewhere = Effect.provideService(Effect.yieldNow, Scheduler.Scheduler, new Scheduler.MixedScheduler())
    for (const task of [Effect.promise(() => Promise.resolve(1)), elsewhere, takes])
      expect(alone(task)).toMatch(/deadlock: A cannot go on: .* outside the explorer's control/)
  })
  it("the host's timers and dice are themselves again afterwards", () => {
    const before = [setTimeout, setImmediate, queueMicrotask, Date.now, Math.random]
    alone(Effect.die("on purpose"))
    expect([setTimeout, setImmediate, queueMicrotask, Date.now, Math.random]).toEqual(before)
  })
  it("what a schedule leaves on the machine fails it", () => {
    const grabbed = Effect.gen(function* () {
      const scope = yield* Scope.make()
      yield* Task.run("a", Scope.provide(Mm.current, scope))
    })
    expect(alone(grabbed)).toContain("1 mm reference is left")
  })
  it("a task that fails, and an end that fails, fail the schedule", () => {
    expect(alone(Effect.fail("no"))).toMatch(/A failed: .*no/)
    const end = () => Effect.fail("not so")
    const outcome = Explore.search({ ...nothing, tasks: () => ({ A: Effect.void }), end }, Explore.dfs(0))
    expect(outcome.failure?.message).toMatch(/end failed: .*not so/)
  })
})

describe("seeded bugs in programs and drivers", () => {
  it("two tasks that read, yield and write: an update is lost, with one pre-emption at an op", () => {
    const scenario = (yields: number): Explore.Scenario<{ n: number }> => ({
      setup: Effect.sync(() => ({ n: 0 })),
      yields,
      tasks: (s) => {
        const increment = Effect.gen(function* () {
          const was = yield* Effect.sync(() => s.n)
          yield* Effect.void
          yield* Effect.sync(() => {
            s.n = was + 1
          })
        })
        return { A: increment, B: increment }
      },
      end: (s) => (s.n === 2 ? Effect.void : Effect.fail(`an update was lost: ${s.n}`))
    })
    expectPass(Explore.search(scenario(0), Explore.dfs(2)))
    expectPass(Explore.search(scenario(1), Explore.dfs(0)))
    expect(Explore.search(scenario(1), Explore.dfs(1)).failure?.message).toContain("an update was lost: 1")
  })

  it("a mutex and mmap_lock in opposite orders: the deadlock is told", () => {
    const outcome = Explore.search(
      {
        setup: Effect.sync(() => ({ lock: Mutex.make("explored_lock"), mm: undefined as Mm.Mm | undefined })),
        tasks: (s) => ({
          A: Task.run(
            "a",
            Effect.scoped(
              Effect.gen(function* () {
                const mm = yield* Mm.current
                const one = Locked.withUser(mm, (mm) =>
                  Locked.mmapWrite(mm, () => Effect.andThen(Effect.yieldNow, unordered(s.lock)))
                )
                const other = Mutex.withLock(s.lock, () =>
                  Locked.withUser(mm, (mm) => Locked.mmapWrite(mm, () => Effect.yieldNow))
                )
                yield* Effect.all([one, other], { concurrency: 2 })
              })
            )
          )
        })
      },
      Explore.dfs(1)
    )
    expect(outcome.failure?.message).toMatch(/deadlock: A cannot go on/)
    expect(outcome.failure?.message).toMatch(/waits for mmap_lock of mm 1 \(write\), holding nothing/)
  })
  /** The mutex, with no place in the lock order: tried until it is free. */
  const unordered = (lock: Mutex.Mutex<"explored_lock">): Effect.Effect<void> =>
    Effect.flatMap(
      Mutex.tryLock(lock, () => Effect.void),
      (taken) => (Option.isSome(taken) ? Effect.void : Effect.andThen(Effect.never, Effect.void))
    )

  it("a page put while a fault hook answers with it: its driver is blamed, and the machine stays whole", () => {
    const outcome = Explore.search(
      {
        yields: 1,
        setup: Effect.gen(function* () {
          const page = yield* Page.allocPage("GFP_KERNEL|__GFP_ZERO")
          const device = Device.make({
            open: Effect.succeed(0),
            kind: "mixedmap",
            mmap: () => Effect.void,
            vmOps: { fault: () => Effect.succeed(page) }
          })
          yield* Device.register("/dev/page", device)
          return { device, page, mapped: yield* Deferred.make<void>() }
        }),
        tasks: ({ device, mapped, page }) => ({
          A: Task.run(
            "a",
            Effect.gen(function* () {
              const fd = yield* Task.open(device, "rw")
              const at = yield* Task.mmap({ length: 4096, prot: ProtFlags.READ, flags: MapFlags.SHARED, fd })
              yield* Deferred.succeed(mapped, undefined)
              yield* Task.load8(at)
            })
          ),
          B: Effect.andThen(Deferred.await(mapped), Page.put(page))
        })
      },
      Explore.dfs(2)
    )
    expect(outcome.failure?.message).toMatch(/page \d+ is used after it was put/)
  })
})

describe("mutants of the rim", () => {
  /** A process and its machine. */
  const setup = Effect.map(Kernel.Kernel, (machine) => {
    const w = inner(machine, World)
    const task = spawn(w.k, "a")
    return { w, task, mm: w.k.tasks.mm(task) }
  })
  type Shared = Effect.Success<typeof setup>
  const end = ({ task, w }: Shared) =>
    door(
      w,
      task,
      () => exit(w.k, task),
      () => Effect.sync(() => reap(w.k, task))
    )

  /** Holds mmap_lock for a moment; waits as `park` does. */
  const lockBy = ({ mm, w }: Shared, park: (w: World, r: number) => Effect.Effect<unknown>): Effect.Effect<void> =>
    Effect.suspend(() => {
      const { runs } = w.k
      const r = runs.alloc(0)
      runs.current = r
      const done = Effect.sync(() => {
        runs.state[r] = RUN_RUNNING
        runs.current = r
        mmapUnlock(w.k, mm, WRITE)
        runs.release(r)
        flush(w)
      })
      if (tryMmap(w.k, mm, WRITE)) return Effect.andThen(Effect.yieldNow, done)
      needMmap(w.k, mm, WRITE)
      return Effect.andThen(park(w, r), done)
    })
  const register = (w: World, r: number): Effect.Effect<unknown> =>
    Effect.withFiber((fiber) =>
      Effect.callback((resume) => {
        w.resume[r] = () => resume(Effect.void)
        w.waiting[r] = fiber
      })
    )
  const looksThenRegisters = (w: World, r: number): Effect.Effect<unknown> =>
    Effect.suspend(() => (w.k.runs.state[r] === RUN_WOKEN ? Effect.void : register(w, r)))

  const contend = (yields: number): Explore.Scenario<Shared> => ({
    setup,
    end,
    yields,
    tasks: (s) => ({ A: lockBy(s, looksThenRegisters), B: lockBy(s, looksThenRegisters) })
  })
  it("look and register in two ops: the lost wake-up is found, but only with yields between ops", () => {
    expectPass(Explore.search(contend(0), Explore.dfs(3)))
    expect(Explore.search(contend(1), Explore.dfs(2)).failure?.message).toContain("deadlock")
  })

  /** A verb that starts one op before its mask. */
  const startsTooEarly = ({ task, w }: Shared): Effect.Effect<unknown> =>
    Effect.suspend(() => {
      const { runs } = w.k
      const r = runs.alloc(0)
      runs.current = r
      const g = munmap(w.k, task, 4096, 4096)
      g.next(OK) // up to its first point
      tryMmap(w.k, w.k.tasks.mm(task), WRITE)
      const over = Effect.sync(() => {
        runs.current = r
        mmapUnlock(w.k, w.k.tasks.mm(task), WRITE)
        g.return(0)
        runs.release(r)
        flush(w)
      })
      return Effect.uninterruptibleMask((restore) => Effect.onExit(restore(Effect.yieldNow), () => over))
    })
  const killed = (yields: number, verb: (s: Shared) => Effect.Effect<unknown>): Explore.Scenario<Shared> => ({
    setup,
    end,
    yields,
    tasks: (s) => ({
      A: Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(Effect.exit(verb(s)))
        yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        yield* Fiber.await(fiber)
      })
    })
  })
  it("a generator that starts before its mask: the leaked lock is found, but only with yields between ops", () => {
    expectPass(Explore.search(killed(0, startsTooEarly), Explore.dfs(2)))
    const outcome = Explore.search(killed(1, startsTooEarly), Explore.dfs(2))
    expect(outcome.failure?.message).toMatch(/mmap lock of mm 1 is not idle: state -1/)
  })
  it("the rim as it is passes both searches", () => {
    const verb = ({ task, w }: Shared): Effect.Effect<unknown> =>
      door(w, task, () => munmap(w.k, task, 4096, 4096), Effect.succeed)
    expectPass(Explore.search(killed(1, verb), Explore.dfs(2)))
    const two: Explore.Scenario<Shared> = { setup, end, yields: 1, tasks: (s) => ({ A: verb(s), B: verb(s) }) }
    const outcome = Explore.search(two, Explore.dfs(2))
    expectPass(outcome)
    expect(outcome.isComplete).toBe(true)
  })
})

declare module "pagewright" {
  interface LockClasses {
    readonly explored_lock: "sleeps"
  }
  interface LockOrder {
    readonly "explored_lock > mmap_lock": true
  }
}
