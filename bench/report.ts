/** From figures to a table, or to JSON. */
import type { Figures } from "./measure.ts"
import { type Group, type Row, rows } from "./rows.ts"

/** One row with what was measured. */
export interface Line {
  readonly id: string
  readonly name: string
  /** Nanoseconds; absent where it was not measured. */
  readonly ours?: number
  readonly rival?: "kernel" | "plain loop"
  readonly theirs?: number
  /** ours / theirs */
  readonly ratio?: number
  readonly targetNs?: number
  readonly targetRatio?: number
  /** Met, where a target is and something was measured. */
  readonly nsMet?: boolean
  readonly ratioMet?: boolean
}

/** Judges the rows of some groups against their targets. */
export const judge = (chosen: readonly Group[], ours: Figures, kernel: Figures): readonly Line[] =>
  rows.filter((row) => chosen.includes(row.group)).map((row) => lineOf(row, ours, kernel))

function lineOf(row: Row, figures: Figures, kernel: Figures): Line {
  const ours = figures.get(row.id)
  const onKernel = row.rival === "kernel"
  const theirs = row.rival === undefined ? undefined : onKernel ? kernel.get(row.id) : figures.get(row.rival)
  const ratio = ours === undefined || theirs === undefined ? undefined : ours / theirs
  return {
    id: row.id,
    name: row.name,
    ours,
    rival: row.rival === undefined ? undefined : onKernel ? "kernel" : "plain loop",
    theirs,
    ratio,
    targetNs: row.ns,
    targetRatio: row.ratio,
    nsMet: row.ns === undefined || ours === undefined ? undefined : ours <= row.ns,
    ratioMet: row.ratio === undefined || ratio === undefined ? undefined : ratio <= row.ratio
  }
}

const number = (x: number | undefined): string =>
  x === undefined ? "-" : x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x.toFixed(2)

function verdict(line: Line): string {
  if (line.ours === undefined) return "not measured"
  const missed = [line.nsMet === false ? "ns" : "", line.ratioMet === false ? "ratio" : ""].filter((s) => s !== "")
  if (missed.length > 0) return `MISSED: ${missed.join(" and ")}`
  return line.nsMet === undefined && line.ratioMet === undefined ? "" : "met"
}

/** The table as text. */
export function table(lines: readonly Line[]): string {
  const cells = [
    ["operation", "ours ns", "theirs ns", "ratio", "target ns", "target ratio", "verdict"],
    ...lines.map((line) => [
      line.name,
      number(line.ours),
      number(line.theirs),
      number(line.ratio),
      number(line.targetNs),
      number(line.targetRatio),
      verdict(line)
    ])
  ]
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)))
  const last = widths.length - 1
  return cells
    .map((row) =>
      row
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : i === last ? cell : cell.padStart(widths[i]!)))
        .join("  ")
        .trimEnd()
    )
    .join("\n")
}

/** How many targets were met and missed. */
export function summary(lines: readonly Line[]): string {
  const all = lines.flatMap((line) => [line.nsMet, line.ratioMet]).filter((met) => met !== undefined)
  const met = all.filter(Boolean).length
  return `${met} of ${all.length} targets met, ${all.length - met} missed`
}
