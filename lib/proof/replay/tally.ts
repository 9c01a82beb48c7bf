/** What became of the events of a log, counted. Floor 9. */
import type { Area } from "./areas.ts"
import type { Call, Event } from "./event.ts"
import type { Difference, Verdict } from "./player.ts"
import { textOfEvent } from "./words.ts"

/** What became of a number of events: the total, and how it divides. */
export interface Counts {
  total: number
  /** Predicted as recorded. */
  agreed: number
  /** None of memory's. */
  other: number
  /** The log does not determine them. */
  unanchored: number
  /** Of memory, and not built. */
  unmodelled: number
  /** Linux did something else. */
  differs: number
}

const newCounts = (): Counts => ({ total: 0, agreed: 0, other: 0, unanchored: 0, unmodelled: 0, differs: 0 })

/** A place where we are not as Linux was. */
export interface Disagreement extends Difference {
  readonly line: number
  readonly pid: number
  /** The call, or what happened, in words. */
  readonly event: string
}

/** One process, when it is over. */
export interface ProcessRecord {
  readonly pid: number
  /** The programs it ran, the last one last. */
  readonly programs: string[]
  /** Calls of all its threads. */
  calls: number
  /** How it ended, in words; empty if it had not when the log was over. */
  end: string
  /** Its last map; undefined where it lived in another's. */
  areas: readonly Area[] | undefined
}

/** The address space of a process, just before and just after a call. */
export interface Snapshot {
  readonly n: number
  readonly line: number
  readonly pid: number
  readonly program: string
  readonly call: string
  readonly before: readonly Area[]
  readonly after: readonly Area[]
}

/** A line that is none of the format. */
export interface MalformedLine {
  readonly line: number
  readonly why: string
}

/** Malformed lines that are named. */
const MOST_MALFORMED = 10

/** Everything that is known when a log is over. */
export class Tally {
  format = ""
  lines = 0
  events = 0
  /** All calls. */
  readonly total = newCounts()
  readonly calls = new Map<string, Counts>()
  /** Whole maps, growths, signals: predictions that are none of a call. */
  readonly others = newCounts()
  /** What the log does not tell, and how often a call depended on it. */
  readonly unanchored = new Map<string, number>()
  /** What is not built, and how often it was called. */
  readonly unmodelled = new Map<string, number>()
  /** How often overlapping calls had to be put in another order than the one in which they ended. */
  reordered = 0
  /** Disagreements of which other orders of overlapping calls might have shown that they are none: there were too many. */
  cutShort = 0
  /** What had to be assumed, because logs do not show it. */
  assumed: ReadonlyMap<string, number> = new Map()
  /** Calls whose numbers the log leaves out, and the line before which that happened first. */
  missing = { calls: 0, line: 0 }
  private next: number | undefined
  /** The error of our own that ended the judgement; empty if none did. */
  broken = ""
  /** Events after it. */
  notJudged = 0
  malformed = 0
  readonly malformedLines: MalformedLine[] = []
  /** The first few. */
  readonly disagreements: Disagreement[] = []
  readonly processes: ProcessRecord[] = []
  snapshot: Snapshot | undefined

  constructor(readonly mostShown: number) {}

  /** Takes in what became of an event. */
  add(event: Event, verdict: Verdict): void {
    this.count(event, verdict, 1)
    if (verdict.kind !== "differs" || this.disagreements.length >= this.mostShown) return
    const { line, pid } = event
    this.disagreements.push({ ...verdict.difference, line, pid, event: textOfEvent(event) })
  }

  /** Another order of events was found, and in it `event` has the verdict `now`. */
  revise(event: Event, before: Verdict, now: Verdict): void {
    this.count(event, before, -1)
    const at = this.disagreements.findIndex(({ line, pid }) => line === event.line && pid === event.pid)
    if (at >= 0) this.disagreements.splice(at, 1)
    this.add(event, now)
  }

  private count(event: Event, verdict: Verdict, by: 1 | -1): void {
    if (event.kind !== "call") {
      if (verdict.kind !== "other") add(this.others, verdict, by)
      return
    }
    const { name } = event
    const its = this.calls.get(name) ?? newCounts()
    this.calls.set(name, its)
    add(its, verdict, by)
    add(this.total, verdict, by)
    if (verdict.kind === "unanchored") count(this.unanchored, verdict.why, by)
    if (verdict.kind === "unmodelled") count(this.unmodelled, verdict.what ?? name, by)
  }

  /** Calls are numbered without a gap. */
  number({ line, n }: Call): void {
    if (this.next !== undefined && n > this.next) {
      if (this.missing.calls === 0) this.missing.line = line
      this.missing.calls += n - this.next
    }
    this.next = n + 1
  }

  addMalformed(line: number, why: string): void {
    this.malformed++
    if (this.malformedLines.length < MOST_MALFORMED) this.malformedLines.push({ line, why })
  }

  /** Places where Linux did something else. */
  get differences(): number {
    return this.total.differs + this.others.differs
  }

  /** Does everything agree, so far as the log determines it? */
  get agrees(): boolean {
    return this.differences === 0 && this.total.unmodelled === 0 && this.broken === ""
  }
}

function add(to: Counts, { kind }: Verdict, by: 1 | -1): void {
  to.total += by
  to[kind] += by
}

function count(of: Map<string, number>, what: string, by: 1 | -1): void {
  const times = (of.get(what) ?? 0) + by
  if (times === 0) of.delete(what)
  else of.set(what, times)
}
