/** What a differential run says. */
import { jsonOfTally, textOfTally } from "../../lib/proof/conform/report.ts"
import type { Compared } from "./compare.ts"
import type { Outcome } from "./run.ts"

/** Of the run itself. */
export interface Told {
  /** Repeats it. */
  readonly command: string
  readonly seconds: number
  readonly seed: string
  readonly kernel: string
  /** The file that got the recordings. */
  readonly keep: string | undefined
}

/** The outcome as text. */
export function textOfOutcome({ differences, lost, tally, unsteady, unsteadyKept }: Outcome, told: Told): string {
  const { divergences, operations, sequences } = tally.total
  const pace = `${told.seconds.toFixed(1)} s, ${Math.round(operations / told.seconds)} a second`
  const lines = [`${operations} operations in ${sequences} programs (${pace})`, ""]
  lines.push(tableOf(textOfTally(tally)), "")
  for (const { found, shrunk } of differences) {
    lines.push(`Program ${found.program.seq} differs; in short:`, "", divergenceOf(shrunk), "")
    lines.push("As a recording:", ...shrunk.lines, "")
  }
  if (divergences > differences.length) lines.push(`${divergences - differences.length} more programs differ.`)
  for (const { lines: its, program } of lost) {
    lines.push(`Program ${program.seq} lost its process each time it was run: ${its.at(-1) ?? ""}`)
    lines.push(its.at(-2) ?? "", "")
  }
  if (unsteady > 0) {
    lines.push(`To ${unsteady} programs Linux itself did not answer the same each time; it agreed when asked again:`)
    for (const each of unsteadyKept) lines.push("", divergenceOf(each))
    lines.push("")
  }
  if (divergences > 0) {
    if (told.keep !== undefined) lines.push(`recordings: ${told.keep}`)
    lines.push(`again: ${told.command}`)
  }
  lines.push(divergences + tally.dropped === 0 ? "no difference" : `${divergences + tally.dropped} programs differ`)
  return `${lines.join("\n")}\n`
}

/** The part of conform's report that counts. */
const tableOf = (report: string): string => report.slice(0, report.indexOf("\n\n"))

/** The part of conform's report that shows differences. */
function divergenceOf({ tally }: Compared): string {
  const report = textOfTally(tally)
  const at = report.indexOf("live:")
  return report.slice(Math.max(at, 0)).trimEnd()
}

/** The outcome for machines. */
export function jsonOfOutcome({ differences, lost, tally, unsteady, unsteadyKept }: Outcome, told: Told): string {
  return JSON.stringify({
    ...told,
    ...jsonOfTally(tally),
    unsteady,
    unsteadyPrograms: unsteadyKept.map(({ program, tally: its }) => ({
      seq: program.seq,
      divergence: its.divergences[0]
    })),
    lost: lost.map(({ lines, program }) => ({ seq: program.seq, recording: lines })),
    differences: differences.map(({ found, shrunk }) => ({
      seq: found.program.seq,
      divergence: shrunk.tally.divergences[0],
      recording: shrunk.lines
    }))
  })
}
