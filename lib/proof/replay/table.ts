/** Address spaces as text: a line an area, and a line a gap. Floor 9. */
import { type Area, sameArea } from "./areas.ts"

const KIB_A_PAGE = 4
const units = ["K", "M", "G", "T"] as const

/** A number of pages: `4 K`, `1.5 M`, `128 T`. */
export function sizeOf(pages: number): string {
  let size = pages * KIB_A_PAGE
  let unit = 0
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024
    unit++
  }
  const text = size >= 100 || Number.isInteger(size) ? Math.round(size).toString() : size.toFixed(1)
  return `${text} ${units[unit]}`
}

/** The areas, and the gaps between them. */
export function linesOfAreas(areas: readonly Area[]): readonly string[] {
  return linesWithGaps(areas.map((area) => ({ area, mark: " " })))
}

/** The areas as they are now; what has changed is marked: `-` what went, `+` what came. */
export function linesOfChange(before: readonly Area[], after: readonly Area[]): readonly string[] {
  const stays = (area: Area, others: readonly Area[]): boolean => others.some((other) => sameArea(area, other))
  const rows = [
    ...before.filter((area) => !stays(area, after)).map((area) => ({ area, mark: "-" })),
    ...after.map((area) => ({ area, mark: stays(area, before) ? " " : "+" }))
  ]
  rows.sort((a, b) => a.area.start - b.area.start)
  return linesWithGaps(rows)
}

interface Row {
  readonly area: Area
  readonly mark: string
}

function linesWithGaps(rows: readonly Row[]): readonly string[] {
  const lines: string[] = []
  let end = 0
  for (const row of rows) {
    if (end > 0 && row.area.start > end) lines.push(gapLine(row.area.start - end))
    lines.push(lineOf(row))
    end = Math.max(end, row.area.end)
  }
  return lines
}

const RANGE_WIDTH = 25
const SIZE_WIDTH = 9

function lineOf({ area, mark }: Row): string {
  const range = `${hex(area.start)}-${hex(area.end)}`
  const size = sizeOf(area.end - area.start)
  const what = area.name === "" ? "anonymous" : area.name
  const name = area.offset === 0 ? what : `${what} +0x${hex(area.offset)}`
  return `${mark} ${range.padStart(RANGE_WIDTH)} ${size.padStart(SIZE_WIDTH)}  ${area.perms}  ${name}`.trimEnd()
}

const gapLine = (pages: number): string => `  ${"·".padStart(RANGE_WIDTH)} ${sizeOf(pages).padStart(SIZE_WIDTH)}  free`

/** Byte address of a page number in hex. */
export const hex = (page: number): string => (BigInt(page) * 4096n).toString(16)

/** How many areas there are and how much they cover. */
export function totalOf(areas: readonly Area[]): string {
  const known = areas.filter((area) => area.use !== "unknown")
  const mapped = known.reduce((sum, area) => sum + area.end - area.start, 0)
  return `${known.length} ${known.length === 1 ? "area" : "areas"}, ${sizeOf(mapped)} mapped`
}
