/** Judges one recording after another: what is judged, what is skipped, where judgement ends. Floor 9.
 *
 * An operation that is not built is skipped if its record shows no effect. The first one that shows one ends the
 * judgement of its sequence: everything after it, the last sweep included, is not judged, which is not agreement. So does
 * one that may have changed something unseen (skip.ts), and so does a divergence: from there on we are elsewhere.
 */
import { LineError } from "../lines.ts"
import { Judge, judgeResult, linesOf, type Difference } from "./judge.ts"
import { diffOf, pictureOfAreas } from "./picture.ts"
import { lineOfOp } from "./program.ts"
import { type Dead, type End, FormatError, hasEffect, type Header, type Op, type Recorded } from "./record.ts"
import { maySkip } from "./skip.ts"
import { State } from "./state.ts"
import { judgeSweep } from "./sweep.ts"
import { type Counts, type Divergence, newCounts, Tally } from "./tally.ts"
import type { World } from "./world.ts"

/** How to judge. */
export interface Options {
  /** Divergences that are kept in full. Default 3. */
  readonly shown?: number
  /** Also ask the world for broken promises after each operation. */
  readonly check?: boolean
}

/** Lines of a program that are kept: sequences may be of any length. */
const MOST_PROGRAM = 64

/** A line of the program, written only if somebody is to read it. */
interface Step {
  readonly op: Op
  readonly isSkipped: boolean
}

interface Sequence {
  readonly header: Header
  readonly state: State
  readonly world: World
  readonly counts: Counts
  readonly program: Step[]
  next: number
  isOver: boolean
  /** The operation that ended the judgement. */
  stop: string
  divergence: Divergence | undefined
}

/** Takes records of any number of files. */
export class Session {
  readonly tally: Tally
  private readonly judge = new Judge()
  private current: Sequence | undefined

  constructor(
    private readonly newWorld: (header: Header) => World,
    private readonly options: Options = {}
  ) {
    this.tally = new Tally(options.shown ?? 3)
  }

  /** The next record of a file. Throws FormatError where it may not stand there. */
  take(record: Recorded, line: number): void {
    if (record.kind === "header") this.begin(record)
    else if (this.current === undefined) throw new FormatError("no sequence has begun: its header is missing")
    else if (record.kind === "op") this.op(this.current, record, line)
    else this.end(this.current, record, line)
  }

  /** A file is over, `lines` long. Throws LineError where a sequence is not. */
  finish(lines: number): void {
    if (this.current === undefined) return
    throw new LineError(lines, `the file ends within sequence ${this.current.header.seq}: its end record is missing`)
  }

  private begin(header: Header): void {
    if (this.current !== undefined) {
      throw new FormatError(`sequence ${header.seq} begins before sequence ${this.current.header.seq} has ended`)
    }
    this.current = {
      header,
      state: new State(header),
      world: this.newWorld(header),
      counts: { ...newCounts(), sequences: 1 },
      program: [],
      next: 0,
      isOver: false,
      stop: "",
      divergence: undefined
    }
  }

  private op(run: Sequence, op: Op, line: number): void {
    if (op.i >= 0 && op.i !== run.next) throw new FormatError(`operation ${op.i} where ${run.next} was expected`)
    run.next++
    run.counts.operations++
    if (run.next === 1) this.guarded(run, line, () => this.compareState(run))
    run.state.apply(op)
    if (run.isOver) run.counts.notJudged++
    else if (op.result.kind === "nothing") run.counts.skipped++
    else this.guarded(run, line, () => this.perform(run, op), op)
  }

  /** Performs an operation and compares; or skips it; or ends the judgement. */
  private perform(run: Sequence, op: Op): Difference | undefined {
    const ours = run.world.perform(op)
    if (ours === undefined) {
      if (!hasEffect(op) && maySkip(op)) {
        run.counts.skipped++
        note(run, op, true)
        return undefined
      }
      run.counts.notJudged++
      run.isOver = true
      run.stop = op.name
      return undefined
    }
    run.counts.judged++
    note(run, op, false)
    return judgeResult(op.result, ours) ?? this.compareState(run)
  }

  private compareState(run: Sequence): Difference | undefined {
    const found = this.judge.judgeState(run.state, run.world)
    if (found !== undefined || this.options.check !== true) return found
    return broken(run.world.check())
  }

  private end(run: Sequence, record: End | Dead, line: number): void {
    this.current = undefined
    if (record.kind === "dead") {
      run.world.close()
      this.tally.dropped++
      return
    }
    if (!run.isOver) {
      this.guarded(run, line, () => judgeSweep(record, run.world))
    }
    if (!run.isOver) run.counts.complete++
    const left = run.world.close()
    if (!run.isOver && this.options.check === true) this.guarded(run, line, () => broken(left))
    this.tally.add(run.header.theme, run.counts, run.stop, run.divergence)
  }

  /** Runs a part of the judgement. A difference, or an error of our own, is a divergence. */
  private guarded(run: Sequence, line: number, part: () => Difference | undefined, op?: Op): void {
    let found: Difference | undefined
    try {
      found = part()
    } catch (error) {
      if (error instanceof FormatError) throw error
      const linux = op === undefined ? "no error" : lineOfOp(op, op.result)
      found = { what: "the simulation broke", linux, ours: textOf(error), process: -1 }
    }
    if (found === undefined) return
    run.isOver = true
    run.counts.divergences = 1
    run.divergence = this.tally.divergences.length < (this.options.shown ?? 3) ? told(run, found, line) : undefined
  }
}

const broken = ([wrong]: readonly string[]): Difference | undefined =>
  wrong === undefined ? undefined : { what: "broken promise", linux: "none", ours: wrong, process: -1 }

function note(run: Sequence, op: Op, isSkipped: boolean): void {
  if (run.program.push({ op, isSkipped }) > MOST_PROGRAM) run.program.shift()
}

function told(run: Sequence, found: Difference, line: number): Divergence {
  const { header, program, state, world } = run
  const linux = state.processes.get(found.process)?.areas.map((area) => area.text) ?? []
  const ours = found.process < 0 ? [] : linesOf(world, found.process)
  return {
    seq: header.seq,
    theme: header.theme,
    line,
    what: found.process > 0 ? `${found.what} of process ${found.process}` : found.what,
    linux: found.linux,
    ours: found.ours,
    program: program.map(({ isSkipped, op }) => `${lineOfOp(op, op.result)}${isSkipped ? "  # skipped" : ""}`),
    areas: diffOf(linux, ours),
    picture: pictureOfAreas(linux, ours)
  }
}

const textOf = (error: unknown): string => (error instanceof Error ? `${error.name}: ${error.message}` : String(error))
