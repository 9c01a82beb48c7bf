/** Replays one log: reads it, performs it, and counts what became of it. Floor 9. */
import { LineError, Lines } from "../lines.ts"
import { type Area, areasOf } from "./areas.ts"
import { BarePlayer } from "./bare/player.ts"
import type { Call, Event, LogReader, Sink } from "./event.ts"
import { looksLikeFormat2, newFormat2Reader } from "./format2.ts"
import { Machine } from "./machine.ts"
import { type Listener, Order } from "./order.ts"
import type { Mark, Player, Searcher, Verdict } from "./player.ts"
import { StraceReader } from "./strace.ts"
import { type ProcessRecord, Tally } from "./tally.ts"
import { textOfEvent } from "./words.ts"
import type { Process, World } from "./world.ts"

/** How to replay. */
export interface Options {
  /** Disagreements that are kept in full. Default 5. */
  readonly shown?: number
  /** The call after which the address space of its process is to be shown. */
  readonly at?: number
  /** Is told of every call when it has been performed; of one that is performed anew, again. */
  readonly watch?: (call: Call, process: Process, world: World) => void
}

/** After so many lines without an event, the file is given up. */
const MOST_WITHOUT_EVENT = 1000

/** Replays the log whose bytes are pushed into `lines`. */
export class Session implements Sink, Searcher, Listener {
  readonly lines = new Lines((text, line) => this.line(text, line), new TextDecoder())
  readonly tally: Tally
  private reader: LogReader | undefined
  /** Puts overlapping calls in order, where the log does not. */
  private order: Order | undefined
  private searcher: Searcher | undefined
  private stage: { readonly player: Player; readonly world: World } | undefined
  private readonly records = new Map<number, ProcessRecord>()
  /** What the reader had to assume. */
  private readonly taken = new Map<string, number>()
  /** What was told of processes already: events may be performed more than once. */
  private readonly booked = new WeakSet<Event>()

  constructor(private readonly options: Options = {}) {
    this.tally = new Tally(options.shown ?? 5)
  }

  /** The log is over. Throws LineError where it was none. */
  finish(): void {
    this.reader?.finish()
    this.guarded(undefined, () => this.order?.finish())
    const { tally } = this
    tally.reordered = this.order?.reordered ?? 0
    tally.cutShort = this.order?.cutShort ?? 0
    tally.lines = this.lines.count
    if (tally.events === 0) throw new LineError(this.firstBad(), this.notALog())
    const open = new Set(this.world.processes.values())
    for (const process of open) {
      open.delete(process)
      this.close(process, "", open)
    }
    tally.assumed = this.player instanceof Machine ? this.player.assumed : this.taken
  }

  event(event: Event): void {
    this.tally.events++
    if (event.kind === "call") this.tally.number(event)
    this.guarded(event, () => {
      if (this.order !== undefined) return this.order.push(event)
      this.verdict(event, this.perform(event))
      this.settle()
    })
  }

  /** An error of our own ends the judgement: the simulation is not what it should be from there on. */
  private guarded(event: Event | undefined, part: () => void): void {
    const { tally } = this
    if (tally.broken !== "") {
      tally.notJudged++
      return
    }
    try {
      part()
    } catch (error) {
      if (error instanceof LineError) throw error
      const where = event === undefined ? "at the end" : `line ${event.line}, ${textOfEvent(event)}`
      tally.broken = `${where}: ${error instanceof Error ? error.message : String(error)}`
    }
  }

  verdict(event: Event, verdict: Verdict): void {
    if (event.kind === "call") this.recordOf(event.pid).calls++
    this.tally.add(event, verdict)
  }

  revised(event: Event, before: Verdict, now: Verdict): void {
    this.tally.revise(event, before, now)
  }

  malformed(line: number, why: string): void {
    this.tally.addMalformed(line, why)
    if (this.tally.events === 0 && this.tally.malformed >= MOST_WITHOUT_EVENT)
      throw new LineError(this.firstBad(), this.notALog())
  }

  assumed(_line: number, what: string): void {
    this.taken.set(what, (this.taken.get(what) ?? 0) + 1)
  }

  perform(event: Event): Verdict {
    return this.follow(event, () => this.player.perform(event))
  }

  tryOut(event: Event): Verdict {
    return this.follow(event, () => this.searcher?.tryOut(event) ?? this.player.perform(event))
  }

  /** What a call does and what becomes of processes is booked on the way. */
  private follow(event: Event, perform: () => Verdict): Verdict {
    const process = this.world.find(event.pid)
    if (event.kind === "end" && process !== undefined) {
      const end = event.signal === 0 ? `exited with ${event.status}` : `ended by signal ${event.signal}`
      this.close(process, end, this.world.processes.values())
    }
    if (event.kind !== "call") {
      const verdict = perform()
      if (!this.booked.has(event)) this.book(event)
      return verdict
    }
    const isAsked = event.n === this.options.at
    const before = isAsked && process !== undefined ? this.areasOf(process) : []
    const verdict = perform()
    const after = this.world.find(event.pid)
    if (after === undefined) return verdict
    if (isAsked) this.snap(event, after, before)
    this.options.watch?.(event, after, this.world)
    return verdict
  }

  mark(): Mark {
    return this.player.mark()
  }

  back(mark: Mark): void {
    this.player.back(mark)
  }

  settle(): void {
    this.player.settle()
  }

  private line(text: string, line: number): void {
    this.reader ??= this.open(text)
    this.reader.push(text, line)
  }

  private open(first: string): LogReader {
    const reader = looksLikeFormat2(first) ? newFormat2Reader(this) : new StraceReader(this)
    this.tally.format = reader.format
    if (reader.showsMaps) {
      const machine = new Machine(this.tally.mostShown)
      this.stage = { player: machine, world: machine.world }
    } else {
      const bare = new BarePlayer()
      this.stage = { player: bare, world: bare.state.world }
      this.searcher = bare
      this.order = new Order(this, this)
    }
    return reader
  }

  private get player(): Player {
    return this.theStage.player
  }

  private get world(): World {
    return this.theStage.world
  }

  private get theStage(): { readonly player: Player; readonly world: World } {
    if (this.stage === undefined) throw new LineError(1, "the log is empty")
    return this.stage
  }

  private areasOf({ space }: Process): readonly Area[] {
    return areasOf(this.world.k, space.mm)
  }

  private recordOf(pid: number): ProcessRecord {
    const known = this.records.get(pid)
    if (known !== undefined) return known
    const record: ProcessRecord = { pid, programs: [], calls: 0, end: "", areas: undefined }
    this.records.set(pid, record)
    this.tally.processes.push(record)
    return record
  }

  private book(event: Event): void {
    this.booked.add(event)
    if (event.kind === "exec") this.recordOf(event.pid).programs.push(event.path)
    if (event.kind === "clone" && event.childPid !== event.pid) this.begin(event.pid, event.childPid)
  }

  /** A child runs its parent's program until it runs one of its own. */
  private begin(parent: number, child: number): void {
    this.records.delete(child)
    this.recordOf(child).programs.push(...this.recordOf(parent).programs.slice(-1))
  }

  /** A process is over: what it had is kept, unless it lived in the address space of another that is not. */
  private close(process: Process, end: string, open: Iterable<Process>): void {
    const record = this.recordOf(process.pid)
    record.end = end
    let isShared = false
    for (const other of open) if (other !== process && other.space === process.space) isShared = true
    record.areas = isShared ? undefined : this.areasOf(process)
  }

  private snap(call: Call, process: Process, before: readonly Area[]): void {
    this.tally.snapshot = {
      n: call.n,
      line: call.line,
      pid: process.pid,
      program: process.path,
      call: textOfEvent(call),
      before,
      after: this.areasOf(process)
    }
  }

  private firstBad(): number {
    return this.tally.malformedLines[0]?.line ?? 1
  }

  private notALog(): string {
    const [first] = this.tally.malformedLines
    const reason = first === undefined ? "" : `: ${first.why}`
    if (this.tally.format === "format 2" && first?.why === "t is missing")
      return "neither a recording of format 2 nor a log of strace; recordings of format 1 are for conform"
    return `neither a recording of format 2 nor a log of strace${reason}`
  }
}
