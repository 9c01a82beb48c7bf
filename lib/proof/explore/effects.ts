/** Programs that are Effects, on a machine of their own: every order of their steps, up to a bound. Floor 9, internal.
 *
 * Each task has a scheduler that only lists what could happen next. A step is what one fiber does up to its next stop: a
 * lock that it waits for, a driver's hook, a point where the kernel may be pre-empted, a yield.
 */
import { Cause, Context, Effect, Exit, type Fiber, Layer, Scope } from "effect"
import { checkIdle, checkMm } from "../../mm/area/check.ts"
import { RUN_QUEUED } from "../../mm/store/runs.ts"
import { Kernel, layer, leaks, type Options } from "../../vma/Kernel.ts"
import type { Markers } from "../../vma/Lockdep.ts"
import { discharged, inner } from "../../vma/raw.ts"
import { World } from "../../vma/world.ts"
import { Controls, TaskScheduler } from "./control.ts"
import { sealed } from "./seal.ts"
import { type Choice, type Outcome, playAll, type Table } from "./search.ts"
import { ENVIRONMENT, type Strategy } from "./strategy.ts"
import { type Stopped, deadlockText, stopText } from "./words.ts"

/** A scenario: what is there, and the tasks whose steps may fall in any order.
 * @typeParam S - what `setup` answers and tasks share
 */
export interface Scenario<S> {
  /** The machine; a small one if absent. Each schedule boots one, so it should boot quickly. */
  readonly kernel?: Options
  /** Makes what the tasks share, before they begin. It must do the same each time. Its Scope is closed after `end`. */
  readonly setup: Effect.Effect<S, unknown, Kernel | Scope.Scope | Markers>
  /** The tasks by name. One that fails or dies fails the schedule. */
  readonly tasks: (shared: S) => Readonly<Record<string, Effect.Effect<unknown, unknown, Kernel | Markers>>>
  /** Looks at what the schedule came to: fails or dies if that is wrong. Afterwards nothing may be left. */
  readonly end?: (shared: S) => Effect.Effect<void, unknown, Kernel | Scope.Scope | Markers>
  /** How often in a schedule a fiber may be made to yield between two ops, as Effect does to a fiber that ran for long.
   * 0 if absent. Each is a pre-emption, and multiplies the schedules by the number of ops.
   */
  readonly yields?: number
}

/** A machine that boots in 50 microseconds: 64 frames, a handful of everything. */
export const small: Options = {
  frames: 64,
  tables: { maxTables: 24, maxVmas: 32, maxMms: 4, maxFiles: 8, maxAnon: 32, maxRuns: 16 }
}

/** Plays schedules of `scenario`, until one fails or `strategy` has no more. After every step each invariant of the machine
 * must hold, and at the end nothing may be left on it. Synchronous: nothing else runs meanwhile.
 * @param most - how many schedules, at most
 * @returns how many there were, and the one that failed: as a story, and as choices for `replay`
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { MapFlags, ProtFlags, Task } from "pagewright"
 * import { Explore } from "pagewright/testing"
 * const program = Effect.gen(function* () {
 *   const at = yield* Task.mmap({ length: 4096, prot: ProtFlags.READ, flags: MapFlags.PRIVATE | MapFlags.ANONYMOUS })
 *   yield* Effect.all([Task.munmap(at, 4096), Task.munmap(at, 4096)], { concurrency: 2 })
 * })
 * const outcome = Explore.search(
 *   { setup: Effect.void, tasks: () => ({ A: Task.run("a", program), B: Task.run("b", program) }) },
 *   Explore.dfs(0),
 *   100
 * )
 * if (outcome.failure !== undefined) throw new Error(Explore.tell(outcome))
 * ```
 */
export const search = <S>(scenario: Scenario<S>, strategy: Strategy, most?: number): Outcome =>
  sealed(() => playAll((table) => new Play(scenario, table).run(), strategy, most))

/** A task: its fiber, and what to call it. */
interface Running {
  readonly name: string
  readonly fiber: Fiber.Fiber<unknown, unknown>
}

class Play<S> {
  readonly #scenario: Scenario<S>
  readonly #table: Table
  readonly #controls = new Controls()
  readonly #world: World
  readonly #services: Context.Context<Kernel | Scope.Scope>
  readonly #scope = Scope.makeUnsafe()
  /** Verbs that stopped, by run row. */
  readonly #stopped = new Map<number, Stopped>()
  #tasks = 0

  constructor(scenario: Scenario<S>, table: Table) {
    this.#scenario = scenario
    this.#table = table
    const machine = Effect.runSync(Effect.scoped(Layer.build(layer(scenario.kernel ?? small))))
    this.#world = inner(Context.get(machine, Kernel), World)
    this.#world.scheduler = new TaskScheduler(this.#controls, ENVIRONMENT, "the kernel")
    this.#services = this.#controls.services().pipe(Context.merge(machine), Context.add(Scope.Scope, this.#scope))
  }

  run(): void {
    const shared = this.#inOrder("setup", this.#scenario.setup)
    this.#watch()
    const tasks = Object.entries(this.#scenario.tasks(shared)).map(([name, task]) => this.#start(name, task))
    this.#controls.table = this.#table
    this.#controls.yields = this.#scenario.yields ?? 0
    for (;;) {
      for (const { fiber, name } of tasks) mustNotFail(name, fiber.pollUnsafe())
      const from = this.#choices()
      if (from.length === 0) break
      this.#table.choose(from)
    }
    if (tasks.some(({ fiber }) => fiber.pollUnsafe() === undefined)) throw new Error(this.#whyStuck(tasks))
    this.#controls.table = undefined
    this.#world.at = undefined
    this.#world.k.runs.preempt = false
    checkIdle(this.#world.k)
    if (this.#scenario.end !== undefined) this.#inOrder("end", this.#scenario.end(shared))
    this.#inOrder("the end of the scope", Scope.close(this.#scope, Exit.void))
    const left = this.#inOrder("the leak check", leaks)
    if (left.length > 0) throw new Error(`something is left at the end:\n  ${left.join("\n  ")}`)
  }

  #start(name: string, effect: Effect.Effect<unknown, unknown, Kernel | Scope.Scope | Markers>): Running {
    const scheduler = new TaskScheduler(this.#controls, this.#tasks++, name)
    return { name, fiber: Effect.runForkWith(this.#services)(discharged(effect), { scheduler }) }
  }

  /** Runs an effect, and whatever it leaves in the background, in the one order in which things became possible. */
  #inOrder<A>(name: string, effect: Effect.Effect<A, unknown, Kernel | Scope.Scope | Markers>): A {
    let result: { readonly value: A } | undefined
    const kept = Effect.map(effect, (value) => {
      result = { value }
    })
    const { fiber } = this.#start(name, kept)
    while (this.#controls.ready.length > 0 || (fiber.pollUnsafe() === undefined && this.#controls.isTimePending)) {
      const next = this.#controls.ready[0]
      if (next === undefined) this.#controls.passTime()
      else this.#controls.step(next)
    }
    mustNotFail(name, fiber.pollUnsafe())
    if (result === undefined) throw new Error(this.#whyStuck([{ name, fiber }]))
    return result.value
  }

  /** From now on every stop is a step's end. */
  #watch(): void {
    const { k } = this.#world
    k.runs.preempt = true
    this.#world.at = (row, stop) =>
      Effect.suspend(() => {
        const { a, at, b, state } = k.runs
        const name = `run ${row} of ${k.tasks.names[k.runs.task[row]!] ?? "the kernel"}`
        const stopped = { name, row, stop, a: a[row]!, b: b[row]!, vpn: at[row]! }
        this.#stopped.set(row, stopped)
        this.#controls.stops.set(this.#controls.turn, () => `; it ${stopText(k, stopped)}`)
        return state[row] === RUN_QUEUED ? Effect.void : Effect.yieldNow
      })
  }

  #choices(): Choice[] {
    const controls = this.#controls
    const from: Choice[] = controls.ready.map((r) => ({
      who: r.who,
      what: r.what,
      go: () => {
        controls.step(r)
        if (this.#table.isNew()) checkMm(this.#world.k)
      }
    }))
    if (controls.isTimePending) {
      const go = (): void => controls.passTime()
      from.push({ who: ENVIRONMENT, what: () => "time passes", go })
    }
    return from
  }

  #whyStuck(tasks: readonly Running[]): string {
    const { k } = this.#world
    const names = tasks.flatMap(({ fiber, name }) => (fiber.pollUnsafe() === undefined ? [name] : [])).join(", ")
    const waiting = [...this.#stopped.values()].filter(({ row }) => k.runs.state[row] === RUN_QUEUED)
    if (waiting.length > 0) return `deadlock: ${names} cannot go on${deadlockText(k, waiting)}`
    return `deadlock: ${names} cannot go on: nobody is left to do what they wait for, or it is outside the explorer's control (a promise, a timer of the host)`
  }
}

function mustNotFail(name: string, exit: Exit.Exit<unknown, unknown> | undefined): void {
  if (exit === undefined || Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return
  throw new Error(`${name} failed: ${Cause.pretty(exit.cause)}`)
}
