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
  lines.push(`${complete} of ${counted(sequences, "sequence")} judged to the end, the last sweep included.`)
  lines.push(...linesOfMissing(tally), ...linesOfUnknown(tally), ...linesOfKnown(tally))
  if (tally.dropped > 0)
    lines.push(`${counted(tally.dropped, "sequence")} dropped: the process was lost while recording.`)
  tally.divergences.forEach((one) => lines.push("", ...linesOfDivergence(one)))
  if (tally.divergences.some(({ areas }) => areas.length > 0)) lines.push("", ...legend)
  const more = divergences - tally.divergences.length
  if (more > 0) lines.push("", `and ${counted(more, "more divergence")}`)
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

const counted = (n: number, what: string): string => `${n} ${what}${n === 1 ? "" : "s"}`

function linesOfMissing({ missing, total }: Tally): readonly string[] {
  if (total.apart === 0) return []
  return [
    `${counted(total.apart, "sequence")} judged only up to calls that this version does not have: ${textOfNames(missing)}.`
  ]
}

function linesOfUnknown({ unknown }: Tally): readonly string[] {
  return unknown.isEmpty() ? [] : [`Not of format 1, and ignored: ${textOfNames(unknown)}.`]
}

function linesOfKnown({ known: { entries, uses } }: Tally): readonly string[] {
  return entries.map((entry, at) => {
    const where = [entry.theme, entry.seq === undefined ? undefined : `sequence ${entry.seq}`, entry.operation]
    const place = `${where.filter((part) => part !== undefined).join(", ")}: ${entry.what}`
    return uses[at] === 0
      ? `Known difference ${at + 1} was not met: ${place}.`
      : `Known difference ${at + 1}, met ${counted(uses[at]!, "time")}: ${place}. Reason: ${entry.reason}`
  })
}

const textOfNames = (names: Names): string =>
  names
    .list()
    .map(([name, count]) => `${name} ${count}`)
    .join(", ")

function linesOfDivergence(one: Divergence): readonly string[] {
  const { areas, file, left, line, linux, operation, ours, picture, program, seq, theme, what, where } = one
  const indented = (lines: readonly string[]): readonly string[] => lines.map((each) => `    ${each}`)
  const width = String(program.at(-1)?.operation ?? 0).length
  const place = operation === undefined ? "the last sweep" : `operation ${operation}`
  return [
    `${file}:${line}: sequence ${seq} (${theme}), ${program.length === 0 ? "its beginning" : place} differs: ${what}${where === "" ? "" : ` ${where}`}`,
    ...(left > 0 ? [`  ${counted(left, "operation")}, then`] : []),
    ...program.map(({ call, isSkipped, operation: i }) => {
      const mark = i === operation ? ">" : " "
      return `  ${mark} ${String(i).padStart(width)}  ${call}${isSkipped ? "  # skipped" : ""}`
    }),
    `  Linux: ${linux}`,
    `  ours:  ${ours}`,
    ...(areas.length > 0 ? ["  areas (- Linux, + ours):", ...indented(areas)] : []),
    ...(picture.length > 0 ? ["  pages:", ...indented(picture)] : [])
  ]
}

/** What areas and pictures read like. */
const legend = [
  "An area is: start-end permissions offset file|VmFlags|name|pages|Rss,Pss,Shared_Clean,Shared_Dirty,Private_Clean,",
  "Private_Dirty,Anonymous,Locked in kB. A page is: . none, A anonymous, F of a file, a and f mapped by several, z the page of",
  "zeroes, g a guard, m another marker, w after it write-protected by userfaultfd. In pictures such a page is W, no area is _,",
  "and ? is not recorded."
]

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
