/** A run of many scripts on several processors, and its one verdict. */
import { type Host, judgeScript, type ScriptDifference } from "./compare.ts"
import type { Recorded, Script } from "./script.ts"
import { type DifferingScript, shrinkScript } from "./shrink.ts"

/** Differences that are shrunk; of the rest only the count is told. */
const MOST_SHRUNK = 3
/** Scripts that wait at each host, so that it never does. */
const DEPTH = 2

/** What was counted so far. */
interface ThreadsTally {
  scripts: number
  steps: number
  /** Scripts that agree with another order of threads woken together. */
  reordered: number
  /** Scripts that agree up to a call that never ends on the host. */
  endless: number
  /** Scripts to which the host did not always answer the same. */
  unsteady: number
  differences: number
}

/** What a run found. */
export interface ThreadsOutcome {
  readonly tally: ThreadsTally
  /** Scripts that differ, in short. */
  readonly shrunk: readonly DifferingScript[]
  /** Scripts that differ, as they were found. */
  readonly found: readonly Recorded[]
  /** The first script to which the host did not always answer the same, and how it differs from itself. */
  readonly unsteady: { readonly script: Script; readonly difference: ScriptDifference } | undefined
}

export interface ThreadsWork {
  readonly scripts: Iterator<Script>
  readonly hosts: readonly Host[]
  /** Is told of each script. */
  readonly onScript: (recorded: Recorded, tally: ThreadsTally) => void
}

/** Compares every script. */
export async function runThreads({ hosts, onScript, scripts }: ThreadsWork): Promise<ThreadsOutcome> {
  const tally: ThreadsTally = { scripts: 0, steps: 0, reordered: 0, endless: 0, unsteady: 0, differences: 0 }
  const shrunk: DifferingScript[] = []
  const found: Recorded[] = []
  let unsteady: ThreadsOutcome["unsteady"]

  const take = async (host: Host, script: Script): Promise<void> => {
    const verdict = await judgeScript(host, script)
    const { linux } = verdict
    tally.scripts++
    tally.steps += linux.lines.length
    if (verdict.kind === "reordered") tally.reordered++
    if (verdict.kind === "endless") tally.endless++
    if (verdict.kind === "unsteady") {
      tally.unsteady++
      unsteady ??= { script, difference: verdict.difference }
    }
    if (verdict.kind === "differs") {
      tally.differences++
      found.push({ script, transcript: linux })
      if (tally.differences <= MOST_SHRUNK) {
        shrunk.push(await shrinkScript(host, { script, linux, difference: verdict.difference }))
      }
    }
    onScript({ script, transcript: linux }, tally)
  }

  const lane = async (host: Host): Promise<void> => {
    for (let next = scripts.next(); next.done !== true; next = scripts.next()) await take(host, next.value)
  }
  await Promise.all(hosts.flatMap((host) => Array.from({ length: DEPTH }, () => lane(host))))
  return { tally, shrunk, found, unsteady }
}
