/** What a run of scripts says. */
import type { Told } from "../report.ts"
import type { ThreadsOutcome } from "./run.ts"
import { type Script, textOfRecorded, textOfStep } from "./script.ts"

/** The outcome as text. */
export function textOfThreads({ shrunk, tally, unsteady }: ThreadsOutcome, told: Told): string {
  const pace = `${told.seconds.toFixed(1)} s, ${Math.round(tally.steps / told.seconds)} a second`
  const lines = [`${tally.steps} steps in ${tally.scripts} scripts (${pace})`]
  if (tally.reordered > 0) {
    lines.push(`${tally.reordered} scripts agree once threads that are woken together go on in another order.`)
  }
  if (tally.endless > 0) {
    lines.push(`${tally.endless} scripts agree up to a call that never ends on this host, and are left there.`)
  }
  if (tally.unsteady > 0) {
    lines.push(
      `To ${tally.unsteady} scripts the host disagrees with itself when it is asked again; they are not judged.`
    )
  }
  if (unsteady !== undefined) {
    const { difference, script } = unsteady
    lines.push(`The first is ${script.name}, at step ${difference.step}:`)
    lines.push(stepText(script, difference.step), `  once:  ${difference.linux}`, `  again: ${difference.ours}`)
  }
  for (const { difference, linux, script } of shrunk) {
    lines.push("", `Script ${script.name} differs; in short:`, "")
    lines.push(textOfRecorded({ script, transcript: linux }).trimEnd(), "")
    lines.push(stepText(script, difference.step), `  Linux: ${difference.linux}`, `  ours:  ${difference.ours}`)
  }
  if (tally.differences > shrunk.length) lines.push("", `${tally.differences - shrunk.length} more scripts differ.`)
  if (tally.differences > 0) lines.push("", `again: ${told.command}`)
  if (tally.differences > 0 && told.keep !== undefined) lines.push(`recordings: ${told.keep}`)
  lines.push(tally.differences === 0 ? "no difference" : `${tally.differences} scripts differ`)
  return `${lines.join("\n")}\n`
}

const stepText = ({ steps }: Script, at: number): string => {
  const step = steps[at]
  return step === undefined ? "  at the end" : `> ${textOfStep(step)}`
}

/** The outcome for machines. */
export function jsonOfThreads({ shrunk, tally, unsteady }: ThreadsOutcome, told: Told): string {
  return JSON.stringify({
    ...told,
    ...tally,
    firstUnsteady:
      unsteady === undefined ? undefined : { script: unsteady.script.name, difference: unsteady.difference },
    shrunk: shrunk.map(({ difference, linux, script }) => ({
      script: script.name,
      difference,
      recording: textOfRecorded({ script, transcript: linux })
    }))
  })
}
