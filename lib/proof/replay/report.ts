/** What a replay says: last maps, the map after one call, disagreements, and a summary. Floor 9. */
import type { Area } from "./areas.ts"
import { hex, linesOfAreas, linesOfChange, totalOf } from "./table.ts"
import type { Counts, Disagreement, ProcessRecord, Snapshot, Tally } from "./tally.ts"

/** The report as text. */
export function textOfReplay(tally: Tally, file: string): string {
  const lines: string[] = []
  for (const process of tally.processes) lines.push(...linesOfProcess(process), "")
  if (tally.snapshot !== undefined) lines.push(...linesOfSnapshot(tally.snapshot), "")
  for (const one of tally.disagreements) lines.push(...linesOfDisagreement(one), "")
  const more = tally.differences - tally.disagreements.length
  if (more > 0) lines.push(`and ${more} more disagreements.`, "")
  lines.push(...summaryOf(tally, file))
  return `${lines.join("\n")}\n`
}

function linesOfProcess({ areas, calls, end, pid, programs }: ProcessRecord): readonly string[] {
  const how = end === "" ? "still there when the log ends" : end
  const head = `process ${pid}  ${programs.join(" → ") || "(its start is not in the log)"}: ${plural(calls, "call")}, ${how}`
  if (areas === undefined) return [head, "  lived in the address space of its parent"]
  return [`${head}; ${totalOf(areas)}`, ...linesOfAreas(areas), ...legendOf(areas)]
}

/** What the log does not tell has names that need a word. */
function legendOf(areas: readonly Area[]): readonly string[] {
  if (areas.every(({ use }) => use !== "unknown")) return []
  return [
    "  [unknown]: the log does not tell whether it is mapped; [before]: mapped before the log shows it, by whatever"
  ]
}

function linesOfSnapshot({ after, before, call, line, n, pid, program }: Snapshot): readonly string[] {
  return [
    `process ${pid}  ${program}, after call ${n} (line ${line}): ${call}`,
    `  ${totalOf(after)}; - was there before the call, + is there since`,
    ...linesOfChange(before, after)
  ]
}

function linesOfDisagreement({ areas = [], event, line, linux, ours, pid, what }: Disagreement): readonly string[] {
  return [
    `line ${line}, process ${pid}: ${what} differs`,
    `    ${event}`,
    `  Linux: ${linux}`,
    `  ours:  ${ours}`,
    ...(areas.length > 0 ? ["  areas (- Linux, + ours):", ...areas.map((area) => `    ${area}`)] : [])
  ]
}

const columns = ["call", "times", "agreed", "not judged", "unanchored", "not built", "differ"] as const

function summaryOf(tally: Tally, file: string): readonly string[] {
  const { calls, others, processes, total } = tally
  const lines = [
    `${file}: ${tally.format}, ${plural(tally.lines, "line")}, ${plural(processes.length, "process", "processes")}, ${plural(total.total, "call")}`,
    ""
  ]
  const ofMemory = [...calls]
    .filter(([, counts]) => counts.other < counts.total)
    .sort((a, b) => b[1].total - a[1].total)
  if (ofMemory.length > 0) lines.push(...tableOf(ofMemory), "")
  const elsewhere = [...calls]
    .filter(([, counts]) => counts.other === counts.total)
    .sort((a, b) => b[1].total - a[1].total)
  if (elsewhere.length > 0)
    lines.push(`Not judged, for they leave maps alone: ${listOf(elsewhere.map(([name, c]) => [name, c.total]))}.`)
  if (others.total > 0)
    lines.push(`Whole maps, changes between calls, signals: ${others.agreed} of ${others.total} agree.`)
  if (tally.reordered > 0)
    lines.push(
      `Overlapping calls were put in another order than the one in which they ended: ${times(tally.reordered)}.`
    )
  if (tally.cutShort > 0)
    lines.push(
      `Too many orders of overlapping calls to try them all: ${times(tally.cutShort)}, and then it counts as a disagreement.`
    )
  if (tally.assumed.size > 0) lines.push(`Assumed, because logs do not show it: ${listOf(tally.assumed)}.`)
  if (tally.unanchored.size > 0)
    lines.push(`Not determined by the log, and taken from it: ${listOf(tally.unanchored)}.`)
  if (tally.unmodelled.size > 0) lines.push(`Not built, and taken from the log: ${listOf(tally.unmodelled)}.`)
  if (tally.malformed > 0) lines.push(...malformedOf(tally))
  const { missing } = tally
  if (missing.calls > 0)
    lines.push(
      `Missing, as the numbers of calls tell: ${plural(missing.calls, "call")}, for the first time before line ${missing.line}.`
    )
  if (tally.broken !== "")
    lines.push(
      "",
      `The simulation broke, which is a bug in it. ${tally.broken}`,
      `${tally.notJudged} events after that are not judged.`
    )
  if (lines.at(-1) !== "") lines.push("")
  lines.push(verdictOf(tally))
  return lines
}

function tableOf(calls: readonly (readonly [name: string, counts: Counts])[]): readonly string[] {
  const rows = [
    columns,
    ...calls.map(([name, c]) => [name, c.total, c.agreed, c.other, c.unanchored, c.unmodelled, c.differs])
  ]
  const texts = rows.map((row, i) => row.map((cell, j) => (i > 0 && j > 2 && cell === 0 ? "" : String(cell))))
  const isUsed = columns.map((_, j) => j < 3 || texts.slice(1).some((row) => row[j] !== ""))
  const widths = columns.map((_, j) => Math.max(...texts.map((row) => row[j]!.length)))
  return texts.map((row) =>
    row
      .map((cell, j) => (j === 0 ? cell.padEnd(widths[j]!) : cell.padStart(widths[j]!)))
      .filter((_, j) => isUsed[j])
      .join("  ")
      .trimEnd()
  )
}

function malformedOf({ malformed, malformedLines }: Tally): readonly string[] {
  const more = malformed - malformedLines.length
  return [
    `Skipped, because ${malformed === 1 ? "it is" : "they are"} malformed: ${plural(malformed, "line")}.`,
    ...malformedLines.map(({ line, why }) => `  line ${line}: ${why}`),
    ...(more > 0 ? [`  and ${more} more`] : [])
  ]
}

function verdictOf({ agrees, broken, differences, others, total }: Tally): string {
  const judged = total.agreed + others.agreed + differences
  if (agrees) {
    const open = total.unanchored > 0 ? `; the log does not determine ${total.unanchored} more` : ""
    return judged === 0 ? "Nothing in this log could be judged." : `All ${judged} predictions agree with Linux${open}.`
  }
  const parts = [
    ...(broken === "" ? [] : ["Not everything could be judged"]),
    ...(differences > 0
      ? [`${differences} of ${judged} predictions ${differences === 1 ? "is" : "are"} not what Linux did`]
      : []),
    ...(total.unmodelled > 0 ? [`${plural(total.unmodelled, "call")} could not be predicted`] : [])
  ]
  return `${parts.join(", and ")}.`
}

const listOf = (counts: Iterable<readonly [name: string, count: number]>): string =>
  [...counts]
    .sort((a, b) => b[1] - a[1])
    .map(([name, count]) => `${name} ${count}`)
    .join(", ")

const plural = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`

const times = (count: number): string => (count === 1 ? "once" : `${count} times`)

/** The report for machines. */
export function jsonOfReplay(tally: Tally, file: string): object {
  const { others, snapshot, total } = tally
  return {
    file,
    format: tally.format,
    agrees: tally.agrees,
    lines: tally.lines,
    ...(tally.broken === "" ? {} : { broken: tally.broken, notJudged: tally.notJudged }),
    ...(tally.missing.calls === 0 ? {} : { missing: tally.missing }),
    malformed: { count: tally.malformed, first: tally.malformedLines },
    calls: { total, byName: Object.fromEntries(tally.calls) },
    others,
    reordered: tally.reordered,
    cutShort: tally.cutShort,
    assumed: Object.fromEntries(tally.assumed),
    unanchored: Object.fromEntries(tally.unanchored),
    unmodelled: Object.fromEntries(tally.unmodelled),
    disagreements: tally.disagreements,
    processes: tally.processes.map(({ areas, ...rest }) => ({ ...rest, areas: areas?.map(jsonOfArea) })),
    at: snapshot && {
      ...snapshot,
      before: snapshot.before.map(jsonOfArea),
      after: snapshot.after.map(jsonOfArea)
    }
  }
}

const jsonOfArea = ({ end, name, offset, perms, start, use }: Area): object => ({
  start: `0x${hex(start)}`,
  end: `0x${hex(end)}`,
  perms,
  offset: `0x${hex(offset)}`,
  name,
  use
})
