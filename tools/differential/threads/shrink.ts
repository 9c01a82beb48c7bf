/** A script that differs, made as short as it can be while it still differs, for the same kind of step. */
import { compareScript, differenceOf, type Host, type ScriptDifference } from "./compare.ts"
import type { Script, Step, Transcript } from "./script.ts"

/** Scripts that a shrink may run on the host. */
const MOST_RUNS = 400

/** A script, what the host makes of it, and where we part. */
export interface DifferingScript {
  readonly script: Script
  readonly linux: Transcript
  readonly difference: ScriptDifference
}

/** The shortest script found that differs at a step of the same name. */
export async function shrinkScript(host: Host, found: DifferingScript): Promise<DifferingScript> {
  let best = found
  let runs = 0
  const nameAt = ({ difference, script }: DifferingScript): string | undefined => script.steps[difference.step]?.name
  const tryWith = async (steps: readonly Step[]): Promise<boolean> => {
    if (runs++ >= MOST_RUNS || steps.length === 0) return false
    const smaller = await differs(host, { name: found.script.name, steps })
    if (smaller === undefined || nameAt(smaller) !== nameAt(found)) return false
    best = smaller
    return true
  }
  await tryWith(best.script.steps.slice(0, best.difference.step + 1))
  for (let before = Infinity; best.script.steps.length < before && runs < MOST_RUNS;) {
    before = best.script.steps.length
    for (let size = Math.ceil(before / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
      for (let from = best.script.steps.length - size; from >= 0; from -= size) {
        const { steps } = best.script
        await tryWith([...steps.slice(0, from), ...steps.slice(from + size)])
      }
    }
  }
  return best
}

/** Undefined where it agrees, or the host does not answer twice the same. */
async function differs(host: Host, script: Script): Promise<DifferingScript | undefined> {
  const linux = await host(script)
  const verdict = compareScript(script, linux)
  if (verdict.kind !== "differs") return undefined
  const isSteady = differenceOf(linux, await host(script)) === undefined
  return isSteady ? { script, linux, difference: verdict.difference } : undefined
}
