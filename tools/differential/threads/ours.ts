/** Scripts on our machine: the same steps as `threads.c`, the same words for what comes of them. */
import { nameOf } from "../../../lib/flags/Errno.ts"
import * as FALLOC from "../../../lib/flags/FallocFlags.ts"
import { FAULT_ACCERR, FAULT_HWPOISON, FAULT_MAPERR, FAULT_OK, FAULT_SIGBUS } from "../../../lib/flags/FaultFlags.ts"
import { READ, WRITE } from "../../../lib/flags/FaultFlags.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import * as PROT from "../../../lib/flags/ProtFlags.ts"
import { checkIdle, findings } from "../../../lib/mm/area/check.ts"
import type { StopName, Verb } from "../../../lib/mm/base/stop.ts"
import { PAGE_SIZE } from "../../../lib/mm/base/units.ts"
import type { Kernel } from "../../../lib/mm/kernel.ts"
import { fault } from "../../../lib/mm/page/fault.ts"
import { close } from "../../../lib/mm/sys/fd.ts"
import { fallocate, ftruncate, pwrite } from "../../../lib/mm/sys/file.ts"
import { madvise } from "../../../lib/mm/sys/madvise.ts"
import { memfdNamed } from "../../../lib/mm/sys/memfd.ts"
import { mincore } from "../../../lib/mm/sys/mincore.ts"
import { mlock, munlock } from "../../../lib/mm/sys/mlock.ts"
import { mmap } from "../../../lib/mm/sys/mmap.ts"
import { mprotect } from "../../../lib/mm/sys/mprotect.ts"
import { mremap } from "../../../lib/mm/sys/mremap.ts"
import { munmap } from "../../../lib/mm/sys/munmap.ts"
import { fork } from "../../../lib/mm/sys/process.ts"
import { userStore8 } from "../../../lib/mm/sys/trap.ts"
import { bootTiny, call, endTask, settle, spawnTask } from "../../../lib/proof/testing/calls.ts"
import { countsOf, leaksSince } from "../../../lib/proof/testing/tables.ts"
import { type Flight, Flights, inOrder, type Order } from "./flights.ts"
import { ARENA, areasText, pagesText, uffdsText } from "./look.ts"
import { type Script, type Step, textOfStep, type Transcript } from "./script.ts"
import { onUffd, outcome } from "./uffd-steps.ts"

const SOURCE = 40
const VECTOR = 60
const FILE_PAGES = 12
const SEVERAL = { frames: 256, ramPages: (24 * 2 ** 30) / PAGE_SIZE, maxVmas: 256, maxAnon: 256, maxUffds: 32 }
const MANY = { ...SEVERAL, maxFiles: 64, maxRuns: 160, maxTables: 128 }

const at = (page: number): number => (ARENA + page) * PAGE_SIZE
const bytes = (pages: number): number => pages * PAGE_SIZE

/** What our machine makes of a script, and the steps in which it had a choice of who goes on. */
export interface OurTranscript extends Transcript {
  readonly choices: readonly number[]
}

/** Runs a script. A broken invariant, or an error of our own, ends it, and stands in its last line. */
export function runOurs(script: Script, order: Order = inOrder): OurTranscript {
  const machine = new Machine(order)
  const lines: string[] = []
  try {
    for (const [i, step] of script.steps.entries()) lines.push(machine.step(step, i))
    machine.end()
    return { lines, choices: machine.choices }
  } catch (error) {
    return { lines, lost: error instanceof Error ? error.message : String(error), choices: machine.choices }
  }
}

class Machine {
  private readonly k: Kernel = bootTiny(MANY)
  private readonly atFirst = countsOf(this.k)
  private readonly task = spawnTask(this.k)
  private readonly flights: Flights
  private readonly told = new Set<Flight>()
  private readonly names: string[] = []
  /** Descriptors of userfaultfds; -1 closed. */
  private readonly uffds: number[] = []
  /** In the order of the steps that made them. */
  private children: Array<{ readonly step: number; readonly task: number }> = []
  private readonly file: number

  constructor(order: Order) {
    const { k, task } = this
    this.flights = new Flights(k, order)
    this.file = memfdNamed(k, task, "m", 0)
    const anonymous = MAP.PRIVATE | MAP.ANONYMOUS | MAP.FIXED
    for (const [page, pages] of [
      [SOURCE, 8],
      [VECTOR, 1]
    ] as const) {
      call(k, () => mmap(k, task, at(page), bytes(pages), PROT.READ | PROT.WRITE, anonymous, -1, 0))
    }
    for (let i = 0; i < 8; i++) userStore8(k, k.tasks.mm(task), at(SOURCE + i), 1)
    ftruncate(k, task, this.file, bytes(FILE_PAGES))
    pwrite(k, task, this.file, new Uint8Array(bytes(FILE_PAGES / 2)), 0)
  }

  get choices(): readonly number[] {
    return this.flights.choices
  }

  /** Performs a step, lets everybody go on, and looks. */
  step(step: Step, i: number): string {
    const { k, task } = this
    const answer = this.perform(step)
    this.flights.settle(i)
    const mm = k.tasks.mm(task)
    const seen = [this.threadsText(), uffdsText(k, task, this.uffds), pagesText(k, mm), areasText(k, mm)]
    const wrong = findings(k)
    if (wrong.length > 0) throw new Error(`after step ${i} (${textOfStep(step)}): ${wrong.join("; ")}`)
    return [`${answer} `, ...seen.slice(0, -1).map((each) => `${each} `), seen.at(-1)!].join("|")
  }

  private perform(step: Step): string {
    const { k, task } = this
    const verb = this.verbOf(step)
    if (verb !== undefined) {
      const number = this.names.push(step.name) - 1
      this.flights.begin(task, verb)
      return `t${number}`
    }
    if (step.name === "exit") {
      const first = this.children.shift()
      if (first !== undefined) this.endChild(first.task)
      return first === undefined ? "none" : "ok"
    }
    return onUffd(k, task, this.uffds, step, at(SOURCE))
  }

  /** What a thread of its own does. */
  private verbOf({ name, numbers }: Step): (() => Verb<StopName>) | undefined {
    const { file, k, task } = this
    const [a = 0, b = 0, c = 0, d = 0, e = 0] = numbers
    const anonymous = (a === 2 ? MAP.SHARED : MAP.PRIVATE) | MAP.ANONYMOUS | MAP.FIXED
    const hole = FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE
    const both = PROT.READ | PROT.WRITE
    switch (name) {
      case "map":
        return () => mmap(k, task, at(b), bytes(c), a === 1 ? PROT.READ : both, anonymous, -1, 0)
      case "mapfile":
        return () =>
          mmap(k, task, at(b), bytes(c), both, (a === 0 ? MAP.SHARED : MAP.PRIVATE) | MAP.FIXED, file, bytes(d))
      case "munmap":
        return () => munmap(k, task, at(a), bytes(b))
      case "mprotect":
        return () => mprotect(k, task, at(a), bytes(b), c)
      case "madvise":
        return () => madvise(k, task, at(a), bytes(b), c)
      case "mlock":
        return () => mlock(k, task, at(a), bytes(b), c)
      case "munlock":
        return () => munlock(k, task, at(a), bytes(b))
      case "mremap":
        return () => mremap(k, task, at(a), bytes(b), bytes(c), d, at(e))
      case "truncate":
        return () => atOnce(() => ftruncate(k, task, file, a))
      case "punch":
        return () => atOnce(() => fallocate(k, task, file, hole, bytes(a), bytes(b)))
      case "load":
      case "store":
        return () => fault(k, k.tasks.mm(task), ARENA + a, name === "load" ? READ : WRITE, b)
      case "kstore":
        return () => mincore(k, task, at(VECTOR), PAGE_SIZE, at(a) + b)
      case "fork":
        return () => fork(k, task, "child")
      default:
        return undefined
    }
  }

  private threadsText(): string {
    let out = ""
    let waiting = 0
    for (const [i, flight] of this.flights.all.entries()) {
      if (flight.result === undefined) waiting++
      if (flight.result === undefined || this.told.has(flight)) continue
      this.told.add(flight)
      out += ` t${i}=${this.endOf(i, flight.result)}`
    }
    return `${out} waiting ${waiting}`
  }

  /** What a thread's verb answered. */
  private endOf(i: number, result: number): string {
    const name = this.names[i]!
    if (name === "load" || name === "store") return signalOf(result)
    if (name === "fork" && result > 0) {
      this.children.push({ step: i, task: result })
      this.children.sort((one, other) => one.step - other.step)
      return "ok"
    }
    return (name.startsWith("map") || name === "mremap") && result > 0 ? "ok" : outcome(result)
  }

  private endChild(task: number): void {
    endTask(this.k, task)
    settle(this.k)
  }

  /** Ends everything. Throws with what waits although nothing is left to wait for, and with what is left over. */
  end(): void {
    const { k, task } = this
    for (const child of this.children.splice(0)) this.endChild(child.task)
    for (const fd of this.uffds.splice(0)) if (fd >= 0) close(k, task, fd)
    settle(k)
    this.flights.settle(Infinity)
    // A half-made child has the descriptors already, so that a fork whose event nobody reads is ended by a signal only.
    for (const [i, flight] of this.flights.all.entries()) {
      if (this.names[i] === "fork" && flight.result === undefined) this.flights.kill(flight)
    }
    this.flights.settle(Infinity)
    this.threadsText()
    for (const child of this.children.splice(0)) this.endChild(child.task)
    this.flights.settle(Infinity)
    const waiting = this.flights.all.filter(({ result }) => result === undefined).length
    if (waiting > 0) throw new Error(`${waiting} threads wait although all userfaultfds are closed`)
    checkIdle(k)
    endTask(k, task)
    const left = leaksSince(k, this.atFirst)
    if (left.length > 0) throw new Error(`when everything has ended: ${left.join(", ")}`)
  }
}

// eslint-disable-next-line require-yield -- a call that cannot wait, as a verb
function* atOnce(go: () => number): Verb<StopName> {
  return go()
}

const signals: Readonly<Record<number, string>> = {
  [FAULT_OK]: "ok",
  [FAULT_MAPERR]: "SEGV_MAPERR",
  [FAULT_ACCERR]: "SEGV_ACCERR",
  [FAULT_SIGBUS]: "SIGBUS",
  [FAULT_HWPOISON]: "SIGBUS"
}

const signalOf = (code: number): string => signals[code] ?? `fault ${code} ${nameOf(-code) ?? ""}`
