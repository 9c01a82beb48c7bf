/** Counts of what was judged, per theme and in total. Floor 9. */
import { Coverage } from "./coverage.ts"
import type { Known } from "./known.ts"

/** What became of a number of operations: `operations` is the sum of `judged`, `skipped` and `notJudged`. */
export interface Counts {
  sequences: number
  /** Sequences that were judged to their end, the last sweep included. */
  complete: number
  /** Sequences with a call that we do not have: judged as far as that goes. */
  apart: number
  operations: number
  /** Performed, and compared with the recording. */
  judged: number
  /** Run by nobody, or failed in Linux and unknown to us. */
  skipped: number
  /** After a call that we do not have and that changed something; after a known difference in the state; after a divergence. */
  notJudged: number
  /** Differences that are accepted, with a reason. */
  known: number
  /** Sequences in which something differs that is not accepted. */
  divergences: number
}

/** Nothing yet. */
export const newCounts = (): Counts => ({
  sequences: 0,
  complete: 0,
  apart: 0,
  operations: 0,
  judged: 0,
  skipped: 0,
  notJudged: 0,
  known: 0,
  divergences: 0
})

/** Adds `more` to `to`. */
function addCounts(to: Counts, more: Readonly<Counts>): void {
  to.sequences += more.sequences
  to.complete += more.complete
  to.apart += more.apart
  to.operations += more.operations
  to.judged += more.judged
  to.skipped += more.skipped
  to.notJudged += more.notJudged
  to.known += more.known
  to.divergences += more.divergences
}

/** A place where we are not as Linux was. */
export interface Divergence {
  readonly file: string
  /** Line of the file. */
  readonly line: number
  readonly seq: string
  readonly theme: string
  /** Number of the operation; undefined before the first, and at the end. */
  readonly operation: number | undefined
  /** What differs, in words. */
  readonly what: string
  /** Of which area, at which address, in which process; empty if that goes without saying. */
  readonly where: string
  readonly linux: string
  readonly ours: string
  /** Operations before the program's first. */
  readonly left: number
  /** The sequence up to there. */
  readonly program: ReadonlyArray<{ readonly operation: number; readonly call: string; readonly isSkipped: boolean }>
  /** Areas of the process: lines that begin with `-` are Linux's only, with `+` ours only. */
  readonly areas: readonly string[]
  /** The pages in question, see picture.ts. */
  readonly picture: readonly string[]
}

/** Names and how often they came; of endlessly many names only the first are kept apart. */
export class Names {
  private readonly counts = new Map<string, number>()

  add(name: string, count = 1): void {
    const key = this.counts.has(name) || this.counts.size < MOST_NAMES ? name : "others"
    this.counts.set(key, (this.counts.get(key) ?? 0) + count)
  }

  merge(more: Names): void {
    for (const [name, count] of more.counts) this.add(name, count)
  }

  isEmpty(): boolean {
    return this.counts.size === 0
  }

  /** The most frequent first. */
  list(): ReadonlyArray<readonly [name: string, count: number]> {
    return [...this.counts].sort((a, b) => b[1] - a[1])
  }
}

const MOST_NAMES = 200

/** One sequence that is over. */
export interface Finished {
  readonly theme: string
  readonly counts: Readonly<Counts>
  /** Calls that we do not have. */
  readonly missing: Names
  readonly coverage: Coverage | undefined
  readonly divergence: Divergence | undefined
}

/** Everything that is known when a run ends. */
export class Tally {
  readonly themes = new Map<string, Counts>()
  readonly total = newCounts()
  /** Calls that we do not have, by operations. */
  readonly missing = new Names()
  /** Fields, flags and limits that format 1 does not have, by records that have them. */
  readonly unknown = new Names()
  readonly coverage = new Coverage()
  /** The first few. */
  readonly divergences: Divergence[] = []
  /** Sequences whose process was lost while they were recorded; they count nowhere else. */
  dropped = 0

  constructor(
    private readonly mostShown: number,
    readonly known: Known
  ) {}

  /** Takes in all that `more` knows. Known differences are not joined: it has none. */
  merge(more: Tally): void {
    for (const [theme, counts] of more.themes) addCounts(this.of(theme), counts)
    addCounts(this.total, more.total)
    this.missing.merge(more.missing)
    this.unknown.merge(more.unknown)
    this.coverage.merge(more.coverage)
    this.divergences.push(...more.divergences.slice(0, this.mostShown - this.divergences.length))
    this.dropped += more.dropped
  }

  /** Takes in a sequence that is over. */
  add({ counts, coverage, divergence, missing, theme }: Finished): void {
    addCounts(this.of(theme), counts)
    addCounts(this.total, counts)
    this.missing.merge(missing)
    if (coverage !== undefined) this.coverage.merge(coverage)
    if (divergence !== undefined && this.divergences.length < this.mostShown) this.divergences.push(divergence)
  }
  private of(theme: string): Counts {
    const key = this.themes.has(theme) || this.themes.size < MOST_NAMES ? theme : "others"
    const its = this.themes.get(key) ?? newCounts()
    this.themes.set(key, its)
    return its
  }
}
