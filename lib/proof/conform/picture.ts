/** Two address spaces side by side: as lines, and as pages. Floor 9. */
import { pictureOf } from "./pages.ts"
import { areaOf } from "./parse.ts"
import type { Area } from "./record.ts"
import type { Pages } from "./touched.ts"

/** Lines of context around each that is shown. */
const CONTEXT = 1
/** Pages of context around each. */
const MARGIN = 2
/** Longer runs of pages that are alike are written as one and their number. */
const LONGEST_RUN = 12
/** Wider pictures do not fit a terminal. */
const MOST_COLUMNS = 140

/** Linux's lines and ours, in order of their starts: `-` Linux only, `+` ours only, else in both. What is alike is shown
 * only beside what is not, and where the call went.
 */
export function diffOf(
  linux: readonly string[],
  ours: readonly string[],
  touched: readonly Pages[] = []
): readonly string[] {
  const mine = new Set(ours)
  const theirs = new Set(linux)
  const all = [
    ...linux.map((line) => (mine.has(line) ? `  ${line}` : `- ${line}`)),
    ...ours.filter((line) => !theirs.has(line)).map((line) => `+ ${line}`)
  ]
  // A stable sort: of two lines with one start, Linux's comes first.
  all.sort((a, b) => startOf(a) - startOf(b))
  const isShown = all.map((line) => !line.startsWith(" ") || touched.some((pages) => overlaps(line.slice(2), pages)))
  return all.filter((_, at) => isShown.slice(Math.max(0, at - CONTEXT), at + CONTEXT + 1).includes(true))
}

const startOf = (line: string): number => Number.parseInt(line.slice(2), 16)

/** Lines begin with `start-end`. */
function overlaps(line: string, { from, to }: Pages): boolean {
  const [start = NaN, end = NaN] = line.split(/[- ]/, 2).map((hex) => Number.parseInt(hex, 16) / 4096)
  return start < to && end > from
}

/** Pages where areas differ and where the call went: one character each, or one and a number; `|` at the bounds of areas,
 * `_` where there is none. Linux above, ours below, and below that where the call went. Empty where there is nothing to show.
 */
export function pictureOfAreas(
  linux: readonly string[],
  ours: readonly string[],
  touched: readonly Pages[]
): readonly string[] {
  const theirs = linux.map(areaOf)
  const mine = ours.map(areaOf)
  const different = [
    ...theirs.filter(({ text }) => !ours.includes(text)),
    ...mine.filter(({ text }) => !linux.includes(text))
  ].map(({ end, start }) => ({ from: start, to: end }))
  const shown = [...different, ...touched]
  if (shown.length === 0) return []
  const from = Math.max(0, Math.min(...shown.map((pages) => pages.from)) - MARGIN)
  const to = Math.max(...shown.map((pages) => pages.to)) + MARGIN
  const rows = drawn({ from, to }, theirs, mine, touched).map((row) =>
    row.length > MOST_COLUMNS ? `${row.slice(0, MOST_COLUMNS)}…` : row
  )
  const where = `0x${(from * 4096).toString(16)}`
  const blank = " ".repeat(where.length)
  const marks = rows[2]!.trim() === "" ? [] : [`call   ${blank}  ${rows[2]!.trimEnd()}`]
  return rows[0] === rows[1]
    ? [`both   ${where}  ${rows[0]}`, ...marks]
    : [`Linux  ${where}  ${rows[0]}`, `ours   ${blank}  ${rows[1]}`, ...marks]
}

/** Three rows of the same width. */
function drawn(
  { from, to }: Pages,
  theirs: readonly Area[],
  mine: readonly Area[],
  touched: readonly Pages[]
): readonly [string, string, string] {
  const rows: [string, string, string] = ["", "", ""]
  const places = breaksOf({ from, to }, [...theirs, ...mine], touched)
  for (const [i, at] of places.entries()) {
    const bars = [theirs, mine].map((areas) => areas.some(({ end, start }) => start === at || end === at))
    if (bars.includes(true)) {
      rows[0] += bars[0] === true ? "|" : " "
      rows[1] += bars[1] === true ? "|" : " "
      rows[2] += " "
    }
    const count = (places[i + 1] ?? at) - at
    if (count === 0) break
    rows[0] += run(cellOf(theirs, at), count)
    rows[1] += run(cellOf(mine, at), count)
    const isTouched = touched.some((pages) => pages.from <= at && at < pages.to)
    rows[2] += (isTouched ? "^" : " ").repeat(run(" ", count).length)
  }
  return rows
}

/** Where anything changes from one page to the next, from the first to the last. */
function breaksOf({ from, to }: Pages, areas: readonly Area[], touched: readonly Pages[]): readonly number[] {
  const places = new Set([from, to, ...touched.flatMap((pages) => [pages.from, pages.to])])
  for (const { end, pages, start } of areas) {
    if (start >= to || end <= from) continue
    places.add(start)
    places.add(end)
    pages?.forEach((code, i) => {
      if (i > 0 && code !== pages[i - 1]) places.add(start + i)
    })
  }
  return [...places].filter((at) => at >= from && at <= to).sort((a, b) => a - b)
}

const run = (cell: string, count: number): string => (count > LONGEST_RUN ? `${cell}${count}` : cell.repeat(count))

function cellOf(areas: readonly Area[], page: number): string {
  const area = areas.find((one) => one.start <= page && page < one.end)
  if (area === undefined) return "_"
  return area.pages === undefined ? "?" : pictureOf(area.pages[page - area.start]!)
}
