/** What Effect is given instead of its own scheduler, clock and dice: whatever could happen next is listed, and somebody
 * picks. Floor 9, internal.
 */
import { Clock, Console, Context, Duration, Effect, type Fiber, Random, type Scheduler } from "effect"
import type { Table } from "./search.ts"
import { ENVIRONMENT, numbers } from "./strategy.ts"

/** A fiber that could go on. */
export interface Ready {
  readonly who: number
  readonly what: () => string
  readonly go: () => void
}

/** A turn that no task takes: being made to yield is a pre-emption, and whoever goes on afterwards is none. */
const INTERRUPTOR = -3

/** No fiber is entered: whoever is resumed is put off. */
const NO_FIBER = Symbol("no fiber")

/** Everything that waits for its turn. */
export class Controls {
  readonly ready: Ready[] = []
  readonly #sleepers: { readonly at: number; readonly wake: () => void }[] = []
  /** Milliseconds. */
  #now = 0
  /** Whose step it is. */
  turn = ENVIRONMENT
  /** What each task's next fiber to be listed has stopped for. */
  readonly stops = new Map<number, () => string>()
  /** The fiber that this step is about; undefined until it is entered. */
  #entered: unknown = NO_FIBER
  /** Asks how things go on; undefined while there is nothing to choose. */
  table: Table | undefined = undefined
  /** How many yields between two ops this schedule may still have. */
  yields = 0

  /** Asked by Effect at every op. At op 1 a fiber is entered: the step's own goes on; one that is resumed inside the step
   * (by a Deferred, an interruption, a join) goes on at once, as under Effect's own scheduler, or is put off.
   */
  shouldYield(fiber: Fiber.Fiber<unknown, unknown>, name: string): boolean {
    if (fiber.currentOpCount !== 1) return this.yields > 0 && this.#mustYield(name)
    if (this.#entered === undefined) {
      this.#entered = fiber
      return false
    }
    return this.#entered === NO_FIBER || !this.#onTheSpot(name)
  }

  /** Runs a listed fiber. */
  step(r: Ready): void {
    this.ready.splice(this.ready.indexOf(r), 1)
    this.turn = r.who
    this.#entered = undefined
    r.go()
    this.#entered = NO_FIBER
  }

  /** Does anybody sleep? */
  get isTimePending(): boolean {
    return this.#sleepers.length > 0
  }

  /** The earliest sleeper's time comes. */
  passTime(): void {
    let first = 0
    for (let i = 1; i < this.#sleepers.length; i++) if (this.#sleepers[i]!.at < this.#sleepers[first]!.at) first = i
    const [sleeper] = this.#sleepers.splice(first, 1)
    this.#now = Math.max(this.#now, sleeper!.at)
    this.#entered = NO_FIBER
    sleeper!.wake()
  }

  /** Time and dice, the same in every run; and nothing is printed. */
  services(): Context.Context<never> {
    return Context.make(Clock.Clock, this.#clock()).pipe(
      Context.add(Random.Random, dice()),
      Context.add(Console.Console, quiet)
    )
  }

  #onTheSpot(name: string): boolean {
    const { table, turn } = this
    if (table === undefined) return true
    const now = { who: turn, what: () => `${name} is resumed, and goes on at once` }
    const later = { who: turn, what: () => `${name} is resumed, and goes on later` }
    return table.decide([now, later]) === 0
  }

  #mustYield(name: string): boolean {
    const { table, turn } = this
    if (table === undefined) return false
    const goesOn = { who: turn, what: () => `${name} goes on` }
    const yields = { who: INTERRUPTOR, what: () => `${name} is made to yield` }
    if (table.decide([goesOn, yields]) === 0) return false
    this.yields--
    return true
  }

  #clock(): Clock.Clock {
    const nanos = (): bigint => BigInt(this.#now) * 1_000_000n
    const millis = (): number => this.#now
    return {
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos),
      monotonicTimeNanosUnsafe: nanos,
      monotonicTimeNanos: Effect.sync(nanos),
      sleep: (duration) =>
        Effect.callback<void>((resume) => {
          const sleeper = { at: this.#now + Duration.toMillis(duration), wake: () => resume(Effect.void) }
          this.#sleepers.push(sleeper)
          return Effect.sync(() => {
            const i = this.#sleepers.indexOf(sleeper)
            if (i >= 0) this.#sleepers.splice(i, 1)
          })
        })
    }
  }
}

/** One task's scheduler; the fibers that it forks inherit it. Each fiber has a dispatcher of its own, and by that a name:
 * `fiber.id` counts through the whole process and would differ from run to run.
 */
export class TaskScheduler implements Scheduler.Scheduler {
  readonly executionMode = "sync"
  readonly #controls: Controls
  readonly #who: number
  readonly #name: string
  #fibers = 0

  constructor(controls: Controls, who: number, name: string) {
    this.#controls = controls
    this.#who = who
    this.#name = name
  }

  shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    return this.#controls.shouldYield(fiber, this.#name)
  }

  makeDispatcher(): Scheduler.SchedulerDispatcher {
    const label = ++this.#fibers === 1 ? this.#name : `${this.#name}, fiber ${this.#fibers}`
    const { ready, stops } = this.#controls
    return {
      scheduleTask: (go) => {
        const stop = stops.get(this.#who)
        stops.delete(this.#who)
        ready.push({ who: this.#who, what: () => `${label} goes on${stop === undefined ? "" : stop()}`, go })
      },
      flush: () => {
        throw new Error("a dispatcher is flushed: a fiber of the explorer was run with runSync")
      }
    }
  }
}

function dice(): (typeof Random.Random)["Service"] {
  const below = numbers(1)
  return { nextIntUnsafe: () => below(2 ** 31), nextDoubleUnsafe: () => below(2 ** 31) / 2 ** 31 }
}

const nothing = (): void => {}
const quiet: Console.Console = {
  ...globalThis.console,
  debug: nothing,
  dir: nothing,
  error: nothing,
  group: nothing,
  groupCollapsed: nothing,
  groupEnd: nothing,
  info: nothing,
  log: nothing,
  table: nothing,
  trace: nothing,
  warn: nothing
}
