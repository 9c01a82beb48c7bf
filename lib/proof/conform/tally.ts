/** Counts of what was judged, per theme and in total. Floor 9. */

/** What became of a number of operations. `operations` is the sum of the three that follow it. */
export interface Counts {
  sequences: number
  /** Sequences that were judged to their end, the last sweep included. */
  complete: number
  operations: number
  judged: number
  /** Not built, and without an effect that the recording shows. */
  skipped: number
  /** After the first operation that is not built and had an effect, or after a divergence. */
  notJudged: number
  divergences: number
}

/** Nothing yet. */
export const newCounts = (): Counts => ({
  sequences: 0,
  complete: 0,
  operations: 0,
  judged: 0,
  skipped: 0,
  notJudged: 0,
  divergences: 0
})

/** Adds `more` to `to`. */
function addCounts(to: Counts, more: Counts): void {
  to.sequences += more.sequences
  to.complete += more.complete
  to.operations += more.operations
  to.judged += more.judged
  to.skipped += more.skipped
  to.notJudged += more.notJudged
  to.divergences += more.divergences
}

/** A place where we are not as Linux was. */
export interface Divergence {
  readonly seq: string
  readonly theme: string
  /** Line of the file. */
  readonly line: number
  /** What differs, in words. */
  readonly what: string
  readonly linux: string
  readonly ours: string
  /** The sequence up to there, one call a line. */
  readonly program: readonly string[]
  /** Areas of the process: lines that begin with `-` are Linux's only, with `+` ours only. */
  readonly areas: readonly string[]
  /** The pages in question, one character each: Linux above, ours below. */
  readonly picture: readonly string[]
}

/** Everything that is known when a run ends. */
export class Tally {
  readonly themes = new Map<string, Counts>()
  readonly total = newCounts()
  /** Operations that ended the judgement of a sequence, by name. */
  readonly stops = new Map<string, number>()
  /** The first few. */
  readonly divergences: Divergence[] = []
  /** Sequences whose process was lost while they were recorded; they count nowhere else. */
  dropped = 0

  constructor(private readonly mostShown: number) {}

  /** Takes in a sequence that is over. */
  add(theme: string, counts: Counts, stop: string, divergence: Divergence | undefined): void {
    const its = this.themes.get(theme) ?? newCounts()
    this.themes.set(theme, its)
    addCounts(its, counts)
    addCounts(this.total, counts)
    if (stop !== "") this.stops.set(stop, (this.stops.get(stop) ?? 0) + 1)
    if (divergence !== undefined && this.divergences.length < this.mostShown) this.divergences.push(divergence)
  }
}
