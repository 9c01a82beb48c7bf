/** One script: run here and there, and compared line by line. */
import { Random } from "../random.ts"
import { inOrder, type Order } from "./flights.ts"
import { type OurTranscript, runOurs } from "./ours.ts"
import type { Script, Transcript } from "./script.ts"

/** What runs scripts on the host. */
export type Host = (script: Script) => Promise<Transcript>

/** How often a script that differs is run again on the host before it is called a difference. */
const AGAIN = 2
/** What `threads.c` says of a script in which a call computes without end: Linux puts a guard where a protected page of an
 * object was, finds the mark of its protection, takes the page out once more, and so on. `installGuards` of
 * `lib/mm/page/advise.ts` overwrites the mark, and says so.
 */
const ENDLESS = "a call spins"
/** Orders that are tried for one step. */
const MOST_ORDERS = 12
/** Runs that the search for an order may take. */
const MOST_RUNS = 300

/** The first step whose line is not the same, and both lines; `<end>` where one has none. */
export interface ScriptDifference {
  readonly step: number
  readonly linux: string
  readonly ours: string
}

/** What became of a script. */
export type ScriptVerdict =
  | { readonly kind: "agrees"; readonly linux: Transcript }
  /** It agrees once threads that are woken together go on in another order than that in which they were woken. */
  | { readonly kind: "reordered"; readonly linux: Transcript }
  /** It agrees, up to a call that never ends on Linux. */
  | { readonly kind: "endless"; readonly linux: Transcript }
  | { readonly kind: "differs"; readonly linux: Transcript; readonly difference: ScriptDifference }
  /** The host does not answer the same when it is asked again. */
  | { readonly kind: "unsteady"; readonly linux: Transcript; readonly difference: ScriptDifference }

/** Where two transcripts part; undefined where they do not. Of a call that never ends on Linux only what came before counts. */
export function differenceOf(linux: Transcript, ours: Transcript): ScriptDifference | undefined {
  const isEndless = linux.lost === ENDLESS
  const most = isEndless ? linux.lines.length : Math.max(linux.lines.length, ours.lines.length)
  for (let step = 0; step < most; step++) {
    if (linux.lines[step] !== ours.lines[step]) {
      return { step, linux: lineOf(linux, step), ours: lineOf(ours, step) }
    }
  }
  if (isEndless || linux.lost === ours.lost) return undefined
  return { step: most, linux: lineOf(linux, most), ours: lineOf(ours, most) }
}

const lineOf = ({ lines, lost }: Transcript, step: number): string =>
  lines[step] ?? (lost === undefined ? "<end>" : `<${lost}>`)

/** Runs a script on the host and here, and compares. */
export async function judgeScript(host: Host, script: Script): Promise<ScriptVerdict> {
  const linux = await host(script)
  const verdict = compareScript(script, linux)
  if (verdict.kind !== "differs") return verdict
  for (let i = 0; i < AGAIN; i++) {
    const again = await host(script)
    const difference = differenceOf(linux, again)
    if (difference !== undefined) return { kind: "unsteady", linux, difference }
  }
  return verdict
}

/** Compares what the host made of a script with what we do. Does not ask the host again.
 *
 * Where one step wakes several threads, Linux's scheduler says who goes on first, and that may show: in the order of their
 * messages, in who finds the page. This is the only freedom that the kernel has here, so it is looked for nowhere else: if
 * there is an order of the threads woken in one step, or in several, with which the whole transcript is the same, the script
 * agrees, and is counted apart.
 */
export function compareScript(script: Script, linux: Transcript): Exclude<ScriptVerdict, { kind: "unsteady" }> {
  const first = runOurs(script)
  const difference = differenceOf(linux, first)
  if (difference === undefined) return { kind: linux.lost === ENDLESS ? "endless" : "agrees", linux }
  return new OrderSearch(script, linux).finds(first, difference.step)
    ? { kind: "reordered", linux }
    : { kind: "differs", linux, difference }
}

/** Looks for orders of woken threads under which a script agrees: what agreed so far is kept, and the latest choice before
 * the difference is changed first.
 */
class OrderSearch {
  private runs = 0
  private readonly seeds = new Map<number, number>()

  constructor(
    private readonly script: Script,
    private readonly linux: Transcript
  ) {}

  finds(first: OurTranscript, step: number): boolean {
    let farthest = step
    let choices = first.choices
    while (this.runs < MOST_RUNS) {
      const better = this.improve(choices, farthest)
      if (better === undefined) return false
      const difference = differenceOf(this.linux, better)
      if (difference === undefined) return true
      farthest = difference.step
      choices = better.choices
    }
    return false
  }

  /** A run that agrees farther than `farthest`. */
  private improve(choices: readonly number[], farthest: number): OurTranscript | undefined {
    for (const choice of choices.filter((each) => each <= farthest).reverse()) {
      const before = this.seeds.get(choice)
      for (let seed = 1; seed <= MOST_ORDERS && this.runs < MOST_RUNS; seed++) {
        this.runs++
        this.seeds.set(choice, seed)
        const ours = runOurs(this.script, this.order())
        const difference = differenceOf(this.linux, ours)
        if (difference === undefined || difference.step > farthest) return ours
      }
      if (before === undefined) this.seeds.delete(choice)
      else this.seeds.set(choice, before)
    }
    return undefined
  }

  /** Steps with a seed have an order that it determines; the first seed is the reverse one. */
  private order(): Order {
    const randoms = new Map([...this.seeds].map(([step, seed]) => [step, new Random(seed)]))
    return (step, candidates) => {
      const random = randoms.get(step)
      if (random === undefined) return inOrder(step, candidates)
      return this.seeds.get(step) === 1 ? candidates - 1 : random.below(candidates)
    }
  }
}
