/** Programs that are core verbs, without Effect: at each stop it is a choice who goes on. Floor 9, internal.
 *
 * A schedule boots a fresh kernel and ends with it idle. What the environment does is a choice too: when a page has been
 * read and how that ended, what a hook answers, and at which killable stop somebody is killed.
 */
import { EIO, OK } from "../../flags/Errno.ts"
import { checkIdle, checkMm } from "../../mm/area/check.ts"
import { closeFile } from "../../mm/area/object.ts"
import { tiny } from "../../mm/base/config.ts"
import { KernelBug, vmBugOn } from "../../mm/base/debug.ts"
import {
  heldName,
  heldOf,
  hookNames,
  isHeld,
  KILLABLE,
  kindOf,
  NEED_HOOK,
  NEED_LOCK,
  NEED_PAGE,
  PREEMPT,
  type StopName,
  subOf,
  type Verb
} from "../../mm/base/stop.ts"
import type { Kernel } from "../../mm/kernel.ts"
import { readClaim, readDone, readTarget } from "../../mm/object/filemap.ts"
import { RUN_RUNNING, RUN_WOKEN } from "../../mm/store/runs.ts"
import { FILE_UFFD } from "../../mm/store/files.ts"
import { TASK_LIVE } from "../../mm/store/tasks.ts"
import { boot } from "../../mm/sys/boot.ts"
import { drainMmput, exit } from "../../mm/sys/process.ts"
import { runNow } from "../../mm/sys/run-now.ts"
import { drainReleased, releaseFile } from "../../mm/sys/userfaultfd.ts"
import { type Choice, type Outcome, playAll, type Table } from "./search.ts"
import { ENVIRONMENT, type Strategy } from "./strategy.ts"
import { deadlockText, stopText } from "./words.ts"

/** One verb of a task, and its name in stories. */
export type Call = readonly [name: string, verb: () => Verb<StopName, unknown>]

/** A hook of a driver that is called. */
export interface HookStop {
  readonly hook: number
  readonly vma: number
  readonly ops: number
  readonly vpn: number
}

/** What hooks answer: a reply (>= 0 or an errno), or several, and then it is a choice. */
type HookTable<W> = (world: W, call: HookStop) => number | readonly number[]

/** What is explored. */
export interface VerbCase<W extends { readonly k: Kernel }> {
  /** A fresh kernel, and what the tasks share. Must do the same each time. */
  readonly boot: () => W
  /** Tasks by name; each does its verbs one after another. */
  readonly tasks: (world: W) => Readonly<Record<string, readonly Call[]>>
  /** Looks at what the schedule came to, and lets go of what `boot` kept. Then every process ends, and nothing is left.
   * @param results - of each task's verbs, in order; fewer where it was killed
   */
  readonly end?: (world: W, results: Readonly<Record<string, readonly unknown[]>>) => void
  /** Looks at the world after every step. */
  readonly always?: (world: W) => void
  /** What hooks answer; without it every hook agrees. */
  readonly hooks?: HookTable<W>
  /** How many waits may be ended by a kill, at most. */
  readonly kills?: number
  /** May a read of a page end in an error? */
  readonly readsMayFail?: boolean
}

/** A kernel for one schedule: it boots in 50 microseconds. */
export const bootSmall = (): Kernel =>
  boot({ ...tiny, frames: 32, maxTables: 24, maxVmas: 32, maxMms: 4, maxFiles: 8, maxAnon: 32, maxRuns: 16 })

/** Plays the schedules of `strategy`, `most` at most. */
export const exploreVerbs = <W extends { readonly k: Kernel }>(
  it: VerbCase<W>,
  strategy: Strategy,
  most?: number
): Outcome => playAll((table) => new Play(it, table).run(), strategy, most)

/** A task: its verbs, and the one in flight. */
interface Running {
  readonly who: number
  readonly name: string
  readonly calls: readonly Call[]
  /** Index of the verb in flight, or of the next one. */
  at: number
  verb: Verb<StopName, unknown> | undefined
  row: number
  stop: number
  /** What a hook answered, until the verb goes on with it. */
  answer: number | undefined
  /** Operands of the stop: read at once, dead afterwards. */
  a: number
  b: number
  vpn: number
  isOver: boolean
  readonly results: unknown[]
}

/** A page that somebody reads. */
interface Reading {
  readonly obj: number
  readonly pgoff: number
}

class Play<W extends { readonly k: Kernel }> {
  readonly it: VerbCase<W>
  readonly table: Table
  readonly world: W
  readonly k: Kernel
  readonly tasks: Running[] = []
  readonly reads: Reading[] = []
  kills: number

  constructor(it: VerbCase<W>, table: Table) {
    this.it = it
    this.table = table
    this.world = it.boot()
    this.k = this.world.k
    this.k.runs.preempt = true
    this.kills = it.kills ?? 0
    for (const [name, calls] of Object.entries(it.tasks(this.world))) this.addTask(name, calls)
  }

  addTask(name: string, calls: readonly Call[]): void {
    this.tasks.push({
      who: this.tasks.length,
      name,
      calls,
      at: 0,
      verb: undefined,
      row: 0,
      stop: 0,
      answer: undefined,
      a: 0,
      b: 0,
      vpn: 0,
      isOver: calls.length === 0,
      results: []
    })
  }

  run(): void {
    for (;;) {
      const from: Choice[] = []
      for (const t of this.tasks) if (!t.isOver && this.canGoOn(t)) from.push(this.turn(t))
      for (const r of this.reads) from.push(...this.readEnds(r))
      if (this.kills > 0) for (const t of this.tasks) if (isKillable(t)) from.push(this.kill(t))
      if (from.length === 0) break
      this.table.choose(from)
    }
    const stuck = this.tasks.filter((t) => !t.isOver)
    if (stuck.length > 0) throw new KernelBug(`deadlock:${deadlockText(this.k, stuck)}`)
    this.k.runs.preempt = false
    checkIdle(this.k)
    this.it.end?.(this.world, Object.fromEntries(this.tasks.map((t) => [t.name, t.results])))
    endProcesses(this.k)
  }

  canGoOn(t: Running): boolean {
    if (t.verb === undefined) return true
    const kind = kindOf(t.stop)
    return kind === PREEMPT || kind === NEED_HOOK || this.k.runs.state[t.row] === RUN_WOKEN
  }

  /** The next step of a task: its next verb begins, a hook answers, or the verb goes on. */
  turn(t: Running): Choice {
    const name = `${t.name}: ${t.calls[t.at]![0]}`
    const n = t.results.length
    const led = (): string =>
      t.results.length > n ? `, ends with ${String(t.results.at(-1))}` : `, ${stopText(this.k, t)}`
    const { verb } = t
    if (verb === undefined) {
      return { who: t.who, what: () => `${name} begins`, led, go: () => this.begin(t) }
    }
    if (kindOf(t.stop) === NEED_HOOK && t.answer === undefined) {
      const hook = hookNames[subOf(t.stop)]!
      const what = (): string => `${name}: hook ${hook} runs under ${heldName(heldOf(t.stop))}`
      return { who: t.who, what, led: () => ` and answers ${t.answer}`, go: () => this.callHook(t) }
    }
    return {
      who: t.who,
      what: () => `${name} goes on`,
      led,
      go: () => {
        const reply = t.answer ?? (kindOf(t.stop) === PREEMPT ? OK : this.k.runs.reply[t.row]!)
        t.answer = undefined
        this.k.runs.state[t.row] = RUN_RUNNING
        this.step(t, () => verb.next(reply))
      }
    }
  }

  begin(t: Running): void {
    const { runs } = this.k
    t.row = runs.alloc(0)
    runs.current = t.row
    const verb = t.calls[t.at]![1]()
    t.verb = verb
    this.step(t, () => verb.next(OK))
  }

  /** Runs the verb up to its next stop, with its row current. */
  step(t: Running, next: () => IteratorResult<number, unknown>): void {
    const { runs } = this.k
    runs.current = t.row
    const turn = next()
    runs.flush()
    if (turn.done === true) {
      t.results.push(turn.value)
      this.ended(t)
    } else {
      t.stop = turn.value
      t.a = runs.a[t.row]!
      t.b = runs.b[t.row]!
      t.vpn = runs.at[t.row]!
      this.arrived(t)
    }
    this.check()
  }

  /** What a driver does at once when a verb stops. */
  arrived(t: Running): void {
    const kind = kindOf(t.stop)
    if (heldOf(t.stop) !== this.k.runs.held[t.row])
      vmBugOn(`${t.name} stops with ${heldName(heldOf(t.stop))} and holds ${heldName(this.k.runs.held[t.row]!)}`)
    if (kind === NEED_LOCK) this.k.runs.assertNotOurs(t.row)
    else if (kind === NEED_PAGE) {
      if (readClaim(this.k, t.a, t.b)) this.reads.push({ obj: t.a, pgoff: t.b })
      this.k.runs.flush()
    } else if (kind === NEED_HOOK && !isHeld(heldOf(t.stop), subOf(t.stop)))
      vmBugOn(`hook ${hookNames[subOf(t.stop)]} is called under ${heldName(heldOf(t.stop))}`)
  }

  /** The verb is over; what it left to whoever drove it is done now. */
  ended(t: Running): void {
    const { k } = this
    t.verb = undefined
    k.runs.release(t.row)
    t.at++
    t.isOver = t.at === t.calls.length
    for (let f = k.released.shift(); f !== undefined; f = k.released.shift()) this.released(f)
    if (k.deferredMmput.length > 0 && !this.tasks.some((w) => w.name === WORKER && !w.isOver))
      this.addTask(WORKER, [["mmput", () => drainMmput(k)]])
  }

  private released(f: number): void {
    const { k } = this
    if (k.files.kind(f) === FILE_UFFD) this.addTask(WORKER, [["release", () => releaseFile(k, f)]])
    else closeFile(k, f)
  }

  callHook(t: Running): void {
    const call: HookStop = { hook: subOf(t.stop), vma: t.a, ops: t.b, vpn: t.vpn }
    this.k.runs.current = t.row
    const answers = this.it.hooks?.(this.world, call) ?? OK
    this.k.runs.flush()
    if (typeof answers === "number") t.answer = answers
    else {
      const options = answers.map((n) => ({ who: t.who, what: () => `it answers ${n}` }))
      t.answer = answers[this.table.decide(options)]!
    }
    this.check()
  }

  /** The environment's part: a claimed read ends, well or not. */
  readEnds(r: Reading): Choice[] {
    const { k } = this
    const end = (errno: number): Choice => ({
      who: ENVIRONMENT,
      what: () => `the read of page ${r.pgoff} of object ${r.obj} ends${errno === OK ? "" : " in an error"}`,
      go: () => {
        this.reads.splice(this.reads.indexOf(r), 1)
        k.runs.current = 0
        if (errno === OK) k.backings[k.files.backing(r.obj)]?.read(r.pgoff, readTarget(k, r.obj, r.pgoff))
        readDone(k, r.obj, r.pgoff, errno)
        k.runs.flush()
        this.check()
      }
    })
    return this.it.readsMayFail === true ? [end(OK), end(EIO)] : [end(OK)]
  }

  /** Kills a task where it waits: first its ticket goes, then the verb's own `finally` runs; it does nothing more. */
  kill(t: Running): Choice {
    const verb = t.verb!
    return {
      who: ENVIRONMENT,
      what: () => `${t.name} is killed in ${t.calls[t.at]![0]}, ${stopText(this.k, t)}`,
      go: () => {
        this.kills--
        this.k.runs.withdraw(t.row, t.stop)
        this.k.runs.current = t.row
        const turn = verb.return(undefined)
        if (turn.done !== true) vmBugOn(`a finally block of ${t.calls[t.at]![0]} stops`)
        this.k.runs.flush()
        this.ended(t)
        t.isOver = true
        this.check()
      }
    }
  }

  check(): void {
    if (!this.table.isNew()) return
    checkMm(this.k)
    this.it.always?.(this.world)
  }
}

/** Ends every process that is left: what it mapped goes, and nothing stays behind. */
function endProcesses(k: Kernel): void {
  for (let t = 1; t < k.tasks.limit(); t++) if (k.tasks.state(t) === TASK_LIVE) runNow(k, () => exit(k, t))
  runNow(k, () => drainReleased(k))
  runNow(k, () => drainMmput(k))
  checkIdle(k)
  if (k.vmas.live !== 0) vmBugOn(`${k.vmas.live} areas are left when every process has ended`)
  if (k.mms.live !== 0) vmBugOn(`${k.mms.live} address spaces are left when every process has ended`)
}

const WORKER = "kworker"

const isKillable = (t: Running): boolean => t.verb !== undefined && (t.stop & KILLABLE) !== 0
