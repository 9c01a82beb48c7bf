/** Two address spaces side by side: as lines, and as pages. Floor 9. */
import { areaOf } from "./parse.ts"
import { pictureOf } from "./pages.ts"
import type { Area } from "./record.ts"

/** Lines of context around each difference. */
const CONTEXT = 1
/** Wider pictures do not fit a terminal. */
const MOST_COLUMNS = 140

/** Linux's lines and ours, in order of their starts: `-` Linux only, `+` ours only, else in both. */
export function diffOf(linux: readonly string[], ours: readonly string[]): readonly string[] {
  const mine = new Set(ours)
  const theirs = new Set(linux)
  const all = [
    ...linux.map((line) => (mine.has(line) ? `  ${line}` : `- ${line}`)),
    ...ours.filter((line) => !theirs.has(line)).map((line) => `+ ${line}`)
  ]
  // A stable sort: of two lines with one start, Linux's comes first.
  all.sort((a, b) => startOf(a) - startOf(b))
  const isNear = (at: number): boolean =>
    all.slice(Math.max(0, at - CONTEXT), at + CONTEXT + 1).some((line) => !line.startsWith(" "))
  return all.filter((_, at) => isNear(at))
}

const startOf = (line: string): number => Number.parseInt(line.slice(2), 16)

/** The pages where areas differ, one character each, `|` at the bounds of areas and `_` where there is none.
 * Empty where nothing differs, or where it is too wide.
 */
export function pictureOfAreas(linux: readonly string[], ours: readonly string[]): readonly string[] {
  const theirs = linux.map(areaOf)
  const mine = ours.map(areaOf)
  const different = [
    ...theirs.filter((_, at) => !ours.includes(linux[at]!)),
    ...mine.filter((_, at) => !linux.includes(ours[at]!))
  ]
  if (different.length === 0) return []
  const start = Math.min(...different.map((area) => area.start))
  const end = Math.max(...different.map((area) => area.end))
  if (end - start > MOST_COLUMNS) return []
  const bars = ["", ""]
  for (let page = start; page <= end; page++) {
    const bounds = [theirs, mine].map((areas) => areas.some((area) => area.start === page || area.end === page))
    if (bounds.includes(true)) bounds.forEach((isBound, i) => (bars[i] += isBound ? "|" : " "))
    if (page < end) [theirs, mine].forEach((areas, i) => (bars[i] += cellOf(areas, page)))
  }
  const from = `0x${(start * 4096).toString(16)}`
  return [`Linux ${from} ${bars[0]}`, `ours  ${from} ${bars[1]}`]
}

function cellOf(areas: readonly Area[], page: number): string {
  const area = areas.find((one) => one.start <= page && page < one.end)
  if (area === undefined) return "_"
  return area.pages === undefined ? "?" : pictureOf(area.pages[page - area.start]!)
}
