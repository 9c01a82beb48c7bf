/** What a run of conform says: a table, and the first divergences in full. Floor 9. */
import type { Counts, Divergence, Tally } from "./tally.ts"

const columns = ["sequences", "operations", "judged", "", "skipped", "not judged", "divergences"] as const

/** The report as text. */
export function textOfTally(tally: Tally): string {
  const rows = [...tally.themes].map(([theme, counts]) => rowOf(theme, counts))
  const table = [["theme", ...columns], ...rows, rowOf("total", tally.total)]
  const widths = table[0]!.map((_, i) => Math.max(...table.map((row) => row[i]!.length)))
  const lines = table.map((row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  ")
  )
  const { complete, sequences } = tally.total
  lines.push("", `${complete} of ${sequences} sequences were judged to their end, the last sweep included.`)
  if (tally.stops.size > 0) lines.push(`Judgement ended at operations that are not built: ${stopsOf(tally)}.`)
  if (tally.dropped > 0) lines.push(`${tally.dropped} sequences were dropped: their process was lost while recording.`)
  tally.divergences.forEach((one) => lines.push("", ...linesOfDivergence(one)))
  const more = tally.total.divergences - tally.divergences.length
  if (more > 0) lines.push("", `and ${more} more divergences.`)
  return `${lines.join("\n")}\n`
}

const rowOf = (name: string, c: Counts): string[] => [
  name,
  String(c.sequences),
  String(c.operations),
  String(c.judged),
  `${percentOf(c).toFixed(1)} %`,
  String(c.skipped),
  String(c.notJudged),
  String(c.divergences)
]

const percentOf = (c: Counts): number => (c.operations === 0 ? 0 : (100 * c.judged) / c.operations)

const stopsOf = (tally: Tally): string =>
  [...tally.stops]
    .sort((a, b) => b[1] - a[1])
    .map(([name, count]) => `${name} ${count}`)
    .join(", ")

function linesOfDivergence(one: Divergence): readonly string[] {
  const indented = (lines: readonly string[]): readonly string[] => lines.map((line) => `    ${line}`)
  return [
    `sequence ${one.seq} (${one.theme}), line ${one.line}: ${one.what}`,
    ...indented(one.program),
    `  Linux: ${one.linux}`,
    `  ours:  ${one.ours}`,
    ...(one.areas.length > 0 ? ["  areas (- Linux, + ours):", ...indented(one.areas)] : []),
    ...(one.picture.length > 0 ? ["  pages:", ...indented(one.picture)] : [])
  ]
}

/** The report for machines. */
export function jsonOfTally(tally: Tally): object {
  return {
    themes: Object.fromEntries([...tally.themes].map(([theme, counts]) => [theme, jsonOf(counts)])),
    total: jsonOf(tally.total),
    dropped: tally.dropped,
    endedAt: Object.fromEntries([...tally.stops].sort((a, b) => b[1] - a[1])),
    divergences: tally.divergences
  }
}

const jsonOf = (counts: Counts): object => ({ ...counts, judgedPercent: Math.round(percentOf(counts) * 10) / 10 })
