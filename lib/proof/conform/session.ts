/** Judges one recording after another: what is judged, what is skipped, where judgement ends. Floor 9.
 *
 * A call that we do not have is skipped if it failed (skip.ts). Otherwise it ends the judgement of its sequence: everything
 * after it, the last sweep included, is not judged, which is not agreement. So does a divergence, and a known difference of
 * more than the result: from there on we are elsewhere.
 */
import { LineError } from "../lines.ts"
import { Coverage } from "./coverage.ts"
import { type Difference, Judge, judgeResult } from "./judge.ts"
import { Known, type KnownEntry } from "./known.ts"
import { lineOfOp } from "./program.ts"
import { type Dead, type End, FormatError, type Header, type Op, type Recorded } from "./record.ts"
import { maySkip } from "./skip.ts"
import { State } from "./state.ts"
import { judgeSweep } from "./sweep.ts"
import { told } from "./tell.ts"
import { type Counts, type Divergence, Names, newCounts, Tally } from "./tally.ts"
import { movesUnknownBytes, sweepWithoutBytes, withoutBytes } from "./unknown-bytes.ts"
import { newSeen, type World } from "./world.ts"

/** How to judge. */
export interface Options {
  /** Divergences that are kept in full. Default 3. */
  readonly shown?: number
  /** Compare areas and states of pages after each operation. Default true; without, the reader need not read them. */
  readonly areas?: boolean
  /** Also ask the world for broken promises after each operation. */
  readonly check?: boolean
  /** Also count by call, flag and outcome. */
  readonly coverage?: boolean
  /** Differences that are accepted. */
  readonly known?: readonly KnownEntry[]
}

/** Lines of a program that are kept: sequences may be of any length. */
const MOST_PROGRAM = 64

interface Sequence {
  readonly header: Header
  readonly state: State
  readonly world: World
  readonly counts: Counts
  readonly missing: Names
  readonly coverage: Coverage | undefined
  /** The last operations, and those of them that were skipped. */
  readonly program: Op[]
  readonly skipped: Set<Op>
  next: number
  /** Does some file hold bytes that the recording does not? */
  hasUnknownBytes: boolean
  isOver: boolean
  divergence: Divergence | undefined
}

/** Takes records of any number of files. */
export class Session {
  readonly tally: Tally
  /** The file that is being read, for the report. */
  file = ""
  private readonly judge = new Judge()
  private readonly seen = newSeen()
  private readonly hasAreas: boolean
  private current: Sequence | undefined
  /** Of the file that is being read. */
  private hasBegun = false
  private firstStray: LineError | undefined

  constructor(
    private readonly newWorld: (header: Header) => World,
    private readonly options: Options = {}
  ) {
    this.hasAreas = options.areas ?? true
    this.tally = new Tally(options.shown ?? 3, new Known(options.known ?? []))
  }

  /** The next record of a file. Throws FormatError where it may not stand there. */
  readonly take = (record: Recorded, line: number): void => {
    if (record.kind === "header") this.begin(record)
    else if (record.kind === "stray") this.stray(record.name, line)
    else if (this.current === undefined) throw new FormatError("no sequence has begun: its header is missing")
    else if (record.kind === "op") this.op(this.current, record, line)
    else this.end(this.current, record, line)
  }

  /** Something that format 1 does not have: it is counted, and left out. */
  readonly note = (what: string): void => this.tally.unknown.add(what)

  /** A file is over, `lines` long. Throws LineError where a sequence is not, or if there was none. */
  finish(lines: number): void {
    const { current, firstStray, hasBegun } = this
    this.hasBegun = false
    this.firstStray = undefined
    if (current !== undefined) {
      throw new LineError(lines, `the file ends within sequence ${current.header.seq}: its end record is missing`)
    }
    if (!hasBegun) throw firstStray ?? new LineError(lines, "the file holds no sequence")
  }

  /** A file of nothing else is none of ours. */
  private stray(name: string, line: number): void {
    this.firstStray ??= new LineError(line, `no record of format 1: it begins with ${name}`)
    this.note(`record ${name}`)
  }

  private begin(header: Header): void {
    this.hasBegun = true
    if (this.current !== undefined) {
      throw new FormatError(`sequence ${header.seq} begins before sequence ${this.current.header.seq} has ended`)
    }
    this.current = {
      header,
      state: new State(header, this.hasAreas),
      world: this.worldOf(header),
      counts: { ...newCounts(), sequences: 1 },
      missing: new Names(),
      coverage: this.options.coverage === true ? new Coverage() : undefined,
      program: [],
      skipped: new Set(),
      next: 0,
      hasUnknownBytes: false,
      isOver: false,
      divergence: undefined
    }
  }

  private worldOf(header: Header): World {
    try {
      return this.newWorld(header)
    } catch (error) {
      if (error instanceof FormatError) throw error
      throw new FormatError(`sequence ${header.seq} cannot begin: ${textOf(error)}`)
    }
  }

  private op(run: Sequence, op: Op, line: number): void {
    if (op.oddity !== undefined && run.world.has(op.name)) throw new FormatError(op.oddity)
    const isRun = op.result.kind !== "nothing" || op.oddity !== undefined
    if (isRun && !run.state.processes.has(op.process)) {
      throw new FormatError(`an operation of process ${op.process}, which does not live`)
    }
    if (op.i >= 0 && op.i !== run.next) throw new FormatError(`operation ${op.i} where ${run.next} was expected`)
    run.next++
    run.counts.operations++
    if (run.next === 1) this.guarded(run, line, undefined, () => this.judgeState(run))
    run.state.apply(op)
    const agrees = !run.isOver && isRun && this.perform(run, op, line)
    if (!isRun && !run.isOver) run.counts.skipped++
    run.counts.notJudged = run.counts.operations - run.counts.judged - run.counts.skipped
    run.coverage?.note(op, agrees)
  }

  /** Performs an operation and compares; or skips it; or ends the judgement. Does everything agree? */
  private perform(run: Sequence, op: Op, line: number): boolean {
    const before = run.counts.known
    this.guarded(run, line, op, () => {
      const ours = run.world.perform(op)
      note(run, op)
      if (ours === undefined) {
        run.skipped.add(op)
        run.counts.apart = 1
        run.missing.add(op.name)
        if (maySkip(op)) run.counts.skipped++
        else run.isOver = true
        return undefined
      }
      run.counts.judged++
      const wrong = run.hasUnknownBytes
        ? judgeResult(op.process, withoutBytes(op, op.result), withoutBytes(op, ours))
        : judgeResult(op.process, op.result, ours)
      run.hasUnknownBytes ||= movesUnknownBytes(op, run.header)
      return wrong !== undefined && !this.accepts(run, op, wrong) ? wrong : this.judgeState(run)
    })
    return !run.isOver && run.counts.known === before && !run.skipped.has(op)
  }

  private judgeState(run: Sequence): Difference | undefined {
    const found = this.judge.judgeState(run.state, run.world, this.hasAreas)
    if (found !== undefined || this.options.check !== true) return found
    return broken(run.world.check())
  }

  private end(run: Sequence, record: End | Dead, line: number): void {
    this.current = undefined
    if (record.kind === "dead") {
      closeQuietly(run.world)
      this.tally.dropped++
      return
    }
    const isWhole = !run.isOver
    if (isWhole)
      this.guarded(run, line, undefined, () =>
        judgeSweep(record, run.world, this.seen, run.hasUnknownBytes ? sweepWithoutBytes : undefined)
      )
    if (!run.isOver) run.counts.complete++
    const left = closeQuietly(run.world)
    if (!run.isOver && this.options.check === true) this.guarded(run, line, undefined, () => broken(left))
    this.tally.add({ theme: run.header.theme, ...run })
  }

  /** Runs a part of the judgement. What it finds ends the judgement: known, or a divergence as an error of our own is. */
  private guarded(run: Sequence, line: number, op: Op | undefined, part: () => Difference | undefined): void {
    let found: Difference | undefined
    try {
      found = part()
    } catch (error) {
      if (error instanceof FormatError) throw error
      const linux = op === undefined ? "no error" : lineOfOp(op, op.result)
      found = { what: "the simulation broke", linux, ours: textOf(error), process: -1, isFault: true }
    }
    if (found === undefined) return
    run.isOver = true
    if (this.accepts(run, op, found)) return
    run.counts.divergences = 1
    if (this.tally.divergences.length >= (this.options.shown ?? 3)) return
    run.divergence = told({ ...run, file: this.file, line, op, hasAreas: this.hasAreas }, found)
  }

  /** Is the difference a known one? Then it is counted. */
  private accepts(run: Sequence, op: Op | undefined, found: Difference): boolean {
    const { known } = this.tally
    if (found.isFault === true || known.entries.length === 0) return false
    const { seq, theme } = run.header
    const operation = op === undefined ? "sweep" : lineOfOp(op, op.result)
    if (!known.accepts({ theme, seq, i: op === undefined ? -1 : run.next - 1, operation }, found)) return false
    run.counts.known++
    return true
  }
}

const broken = ([wrong]: readonly string[]): Difference | undefined =>
  wrong === undefined ? undefined : { what: "broken promise", linux: "none", ours: wrong, process: -1, isFault: true }

/** A world in which something broke may be unable to end. It is not used again. */
function closeQuietly(world: World): readonly string[] {
  try {
    return world.close()
  } catch (error) {
    return [textOf(error)]
  }
}

function note({ program, skipped }: Sequence, op: Op): void {
  if (program.push(op) > MOST_PROGRAM) skipped.delete(program.shift()!)
}

const textOf = (error: unknown): string => (error instanceof Error ? `${error.name}: ${error.message}` : String(error))
