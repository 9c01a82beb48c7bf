/** A differential run: many programs, several recorders, one verdict. */
import { newMachines } from "../../lib/proof/conform/machine.ts"
import { Known } from "../../lib/proof/conform/known.ts"
import { Tally } from "../../lib/proof/conform/tally.ts"
import { type Compared, Comparer, judge, type Verdict } from "./compare.ts"
import type { Program } from "./program.ts"
import { shrink } from "./shrink.ts"

/** Differences that are shrunk; of the rest only the count is told. */
const MOST_SHRUNK = 3
/** Unsteady programs that are kept. */
const MOST_KEPT = 3
/** Programs that wait at each recorder, so that it never does. */
const DEPTH = 2

/** A program that differs, and the shortest found that differs likewise. */
export interface Difference {
  readonly found: Compared
  readonly shrunk: Compared
}

/** What a run found. */
export interface Outcome {
  readonly tally: Tally
  readonly differences: readonly Difference[]
  /** Programs to which Linux did not always answer the same. */
  readonly unsteady: number
  readonly unsteadyKept: readonly Compared[]
  /** Programs whose process was lost each time. */
  readonly lost: readonly Compared[]
}

/** Programs by number, and those who run them. */
export interface Work {
  readonly programs: Iterator<Program>
  readonly hosts: ReadonlyArray<(program: Program) => Promise<readonly string[]>>
  readonly check: boolean
  /** Is told after each program. */
  readonly onProgress?: (tally: Tally) => void
  readonly isStopped?: () => boolean
}

/** Compares every program. Where one differs, it is shrunk, and the others go on. */
export async function runAll({ check, hosts, isStopped, onProgress, programs }: Work): Promise<Outcome> {
  const tally = new Tally(MOST_SHRUNK, new Known([]))
  const differences: Difference[] = []
  const unsteadyKept: Compared[] = []
  const lost: Compared[] = []
  let unsteady = 0
  const newWorld = newMachines()

  const take = async (comparer: Comparer, verdict: Verdict): Promise<void> => {
    tally.merge(verdict.last.tally)
    if (verdict.kind === "unsteady" && unsteady++ < MOST_KEPT) unsteadyKept.push(verdict.differing)
    if (verdict.kind === "lost") lost.push(verdict.last)
    if (verdict.kind !== "differs" || differences.length >= MOST_SHRUNK) return
    const at = differences.push({ found: verdict.last, shrunk: verdict.last }) - 1
    differences[at] = { found: verdict.last, shrunk: await shrunkOf(comparer, verdict.last) }
  }

  const lane = async (comparer: Comparer): Promise<void> => {
    for (let next = programs.next(); next.done !== true && isStopped?.() !== true; next = programs.next()) {
      await take(comparer, await judge(comparer, next.value))
      onProgress?.(tally)
    }
  }
  const comparers = hosts.map((host) => new Comparer(host, newWorld, check))
  await Promise.all(comparers.flatMap((comparer) => Array.from({ length: DEPTH }, () => lane(comparer))))
  return { tally, differences, unsteady, unsteadyKept, lost }
}

async function shrunkOf(comparer: Comparer, found: Compared): Promise<Compared> {
  const what = found.tally.divergences[0]?.what
  const operation = found.tally.divergences[0]?.operation
  const { calls } = found.program
  const shows = async (program: Program): Promise<boolean> =>
    (await comparer.compare(program)).tally.divergences[0]?.what === what
  const cut = { ...found.program, calls: operation === undefined ? calls : calls.slice(0, operation + 1) }
  const least = await shrink((await shows(cut)) ? cut : found.program, shows)
  const again = await comparer.compare(least)
  return again.tally.divergences.length > 0 ? again : found
}
