/** What a run of conform says: a table, what was left out and why, and the first divergences in full. Floor 9. */
import type { Counts, Divergence, Names, Tally } from "./tally.ts"

interface Column {
  readonly title: string
  readonly cell: (counts: Counts) => string
  /** Is there anything in it? Columns without this are always shown. */
  readonly isNeeded?: (total: Counts) => boolean
}

const columns: readonly Column[] = [
  { title: "sequences", cell: (c) => String(c.sequences) },
  { title: "operations", cell: (c) => String(c.operations) },
  { title: "judged", cell: (c) => String(c.judged) },
  { title: "", cell: (c) => `${percentOf(c).toFixed(1)} %` },
  { title: "skipped", cell: (c) => String(c.skipped), isNeeded: (c) => c.skipped > 0 },
  { title: "not judged", cell: (c) => String(c.notJudged), isNeeded: (c) => c.notJudged > 0 },
  { title: "known", cell: (c) => String(c.known), isNeeded: (c) => c.known > 0 },
  { title: "divergences", cell: (c) => String(c.divergences) }
]

/** The report as text. */
export function textOfTally(tally: Tally): string {
  const { complete, divergences, sequences } = tally.total
  const lines = [...tableOf(tally), ""]
  lines.push(`${complete} of ${sequences} sequences were judged to their end, the last sweep included.`)
  lines.push(...linesOfMissing(tally), ...linesOfUnknown(tally), ...linesOfKnown(tally))
  if (tally.dropped > 0) lines.push(`${tally.dropped} sequences were dropped: their process was lost while recording.`)
  tally.divergences.forEach((one) => lines.push("", ...linesOfDivergence(one)))
  const more = divergences - tally.divergences.length
  if (more > 0) lines.push("", `and ${more} more divergences.`)
  return `${lines.join("\n")}\n`
}

function tableOf({ themes, total }: Tally): readonly string[] {
  const shown = columns.filter((column) => column.isNeeded?.(total) ?? true)
  const rowOf = (name: string, counts: Counts): string[] => [name, ...shown.map(({ cell }) => cell(counts))]
  const rows = [
    ["theme", ...shown.map(({ title }) => title)],
    ...[...themes].map(([theme, counts]) => rowOf(theme, counts)),
    rowOf("total", total)
  ]
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)))
  return rows.map((row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  ")
  )
}

const percentOf = (c: Counts): number => (c.operations === 0 ? 0 : (100 * c.judged) / c.operations)

function linesOfMissing({ missing, total }: Tally): readonly string[] {
  if (total.apart === 0) return []
  return [
    `${total.apart} sequences have calls that this version does not have, and are judged up to them: ${textOfNames(missing)}.`
  ]
}

function linesOfUnknown({ unknown }: Tally): readonly string[] {
  return unknown.isEmpty() ? [] : [`Format 1 does not have, so these were ignored: ${textOfNames(unknown)}.`]
}

function linesOfKnown({ known: { entries, uses } }: Tally): readonly string[] {
  return entries.map((entry, at) => {
    const where = [entry.theme, entry.seq === undefined ? undefined : `sequence ${entry.seq}`, entry.operation]
    const place = `${where.filter((part) => part !== undefined).join(", ")}: ${entry.what}`
    return uses[at] === 0
      ? `Known difference ${at + 1} was not met: ${place}.`
      : `Known difference ${at + 1}, met ${uses[at]} times: ${place}. ${entry.reason}`
  })
}

const textOfNames = (names: Names): string =>
  names
    .list()
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
    missing: Object.fromEntries(tally.missing.list()),
    unknown: Object.fromEntries(tally.unknown.list()),
    known: tally.known.entries.map((entry, at) => ({ ...entry, met: tally.known.uses[at] })),
    divergences: tally.divergences
  }
}

const jsonOf = (counts: Counts): object => ({ ...counts, judgedPercent: Math.round(percentOf(counts) * 10) / 10 })
