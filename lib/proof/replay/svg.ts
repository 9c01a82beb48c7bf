/** The address space of a process over time, as a picture: calls go from left to right, addresses from the bottom up. Floor 9. */
import type { Area, Use } from "./areas.ts"
import type { History, Look } from "./history.ts"
import { Scale, textOfGap } from "./scale.ts"
import { hex, sizeOf } from "./table.ts"

/** Pixels. */
const PLOT = { left: 150, top: 96, width: 960, height: 720 } as const
const RIGHT = 250
const LINE = 13
const COLUMNS_BETWEEN_TICKS = 6

/** Colours that people with the common weaknesses of colour vision tell apart; light ones for what is not used. */
const looksOf: Readonly<Record<Use, { readonly colour: string; readonly what: string }>> = {
  code: { colour: "#4e79a7", what: "code" },
  constants: { colour: "#a0cbe8", what: "file, read-only" },
  data: { colour: "#f28e2b", what: "file, private and writable" },
  heap: { colour: "#e15759", what: "[heap]" },
  anonymous: { colour: "#59a14f", what: "anonymous" },
  shared: { colour: "#b07aa1", what: "shared" },
  stack: { colour: "#edc948", what: "[stack]" },
  none: { colour: "#d4d4d4", what: "no access" },
  kernel: { colour: "#9c755f", what: "[vdso], [vvar]" },
  unknown: { colour: "#ededed", what: "mapped before the log" }
}

/** Draws a history.
 * @param title - the first line
 */
export function svgOf(history: History, title: string): string {
  const looks = history.looks.map(({ areas, n }) => ({ n, areas: areas.filter(({ name }) => name !== "[unknown]") }))
  const scale = new Scale(looks, PLOT.top, PLOT.height)
  const runs = runsOf(looks)
  const width = PLOT.left + PLOT.width + RIGHT
  const height = scale.bottom + 56
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${px(height)}" viewBox="0 0 ${width} ${px(height)}" font-family="Helvetica, Arial, sans-serif" font-size="11">`,
    `<rect width="100%" height="100%" fill="#fff"/>`,
    text(16, 28, title, `font-size="16" font-weight="bold"`),
    text(16, 46, subtitleOf(history, looks), `fill="#555"`),
    ...legend(runs),
    ...grid(looks, scale),
    `<g shape-rendering="crispEdges">`,
    ...runs.map((run) => rectOf(run, looks, scale)),
    `</g>`,
    ...gapMarks(scale),
    ...addresses(scale),
    ...names(runs, scale),
    `</svg>`,
    ""
  ].join("\n")
}

function subtitleOf({ calls }: History, looks: readonly Look[]): string {
  const step =
    looks.length === calls
      ? "one column a call"
      : `${looks.length} columns, one every ${Math.ceil(calls / looks.length)} calls`
  return `${calls} calls, from left to right (${step}); addresses grow upwards, heights with the logarithm of sizes, what is never mapped is squeezed`
}

/** An area that stayed what it was from one look to another. */
interface Run {
  readonly area: Area
  readonly from: number
  /** Exclusive. */
  to: number
}

function runsOf(looks: readonly Look[]): readonly Run[] {
  const runs: Run[] = []
  let live = new Map<string, Run>()
  looks.forEach(({ areas }, column) => {
    const next = new Map<string, Run>()
    for (const area of areas) {
      const key = `${area.start} ${area.end} ${area.use} ${area.perms} ${area.name}`
      const run = live.get(key) ?? { area, from: column, to: column }
      if (run.from === column) runs.push(run)
      run.to = column + 1
      next.set(key, run)
    }
    live = next
  })
  return runs
}

const xOf = (column: number, columns: number): number => PLOT.left + (PLOT.width * column) / Math.max(1, columns)

function rectOf({ area, from, to }: Run, looks: readonly Look[], scale: Scale): string {
  const x = xOf(from, looks.length)
  const y = scale.y(area.end)
  const width = xOf(to, looks.length) - x
  const height = scale.y(area.start) - y
  const edge = height >= 3 && width >= 4 ? ` stroke="#fff" stroke-width="0.5"` : ""
  const what = `${hex(area.start)}-${hex(area.end)} ${area.perms} ${area.name || "anonymous"}, ${sizeOf(area.end - area.start)}`
  const when = `calls ${looks[from]!.n} to ${looks[to - 1]!.n}`
  return `<rect x="${px(x)}" y="${px(y)}" width="${px(width)}" height="${px(Math.max(height, 0.5))}" fill="${looksOf[area.use].colour}"${edge}><title>${escaped(`${what}; ${when}`)}</title></rect>`
}

/** The uses that there are. */
function legend(runs: readonly Run[]): readonly string[] {
  const used = new Set(runs.map(({ area }) => area.use))
  const out: string[] = []
  let x = 16
  for (const [use, { colour, what }] of Object.entries(looksOf)) {
    if (![...used].some((one) => one === use)) continue
    out.push(`<rect x="${x}" y="60" width="12" height="12" fill="${colour}" stroke="#999" stroke-width="0.5"/>`)
    out.push(text(x + 17, 70, what))
    x += 17 + widthOf(what) + 18
  }
  return out
}

/** The plot's edge, and ticks that bear the numbers of calls. */
function grid(looks: readonly Look[], scale: Scale): readonly string[] {
  const { left, top, width } = PLOT
  const bottom = scale.bottom
  const out = [
    `<rect x="${left}" y="${top}" width="${width}" height="${px(bottom - top)}" fill="#fafafa" stroke="#bbb"/>`
  ]
  const step = Math.max(1, niceStep(looks.length / COLUMNS_BETWEEN_TICKS))
  for (let column = 0; column < looks.length; column += step) {
    const x = px(xOf(column, looks.length))
    out.push(`<line x1="${x}" y1="${px(bottom)}" x2="${x}" y2="${px(bottom + 5)}" stroke="#888"/>`)
    out.push(text(x, bottom + 17, `${looks[column]!.n}`, `text-anchor="middle" fill="#555"`))
  }
  out.push(text(left + width / 2, bottom + 36, "number of the call in the log", `text-anchor="middle" fill="#555"`))
  return out
}

/** 1, 2, 5, 10, 20... */
function niceStep(about: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, about)))
  const digit = about / power
  return Math.round(power * (digit < 1.5 ? 1 : digit < 3.5 ? 2 : digit < 7.5 ? 5 : 10))
}

/** Squeezed addresses: a band, and how much it stands for. */
function gapMarks(scale: Scale): readonly string[] {
  const out: string[] = []
  for (const gap of scale.gaps) {
    const words = textOfGap(gap)
    if (words === "") continue
    const { left, width } = PLOT
    out.push(`<rect x="${left}" y="${px(gap.y)}" width="${width}" height="${px(gap.height)}" fill="#fff"/>`)
    for (const y of [gap.y, gap.y + gap.height])
      out.push(
        `<line x1="${left}" y1="${px(y)}" x2="${left + width}" y2="${px(y)}" stroke="#bbb" stroke-dasharray="4 3"/>`
      )
    out.push(text(left + width / 2, gap.y + gap.height / 2 + 4, words, `text-anchor="middle" fill="#888"`))
  }
  return out
}

/** Where blocks begin and end, as far as there is room: large ones first. */
function addresses(scale: Scale): readonly string[] {
  const out: string[] = []
  const taken: number[] = []
  const blocks = [...scale.blocks].sort((a, b) => b.bottom - b.top - (a.bottom - a.top))
  for (const { bottom, end, start, top } of blocks) {
    for (const [page, y] of [
      [start, bottom],
      [end, top]
    ] as const) {
      if (taken.some((other) => Math.abs(other - y) < LINE)) continue
      taken.push(y)
      out.push(text(PLOT.left - 8, y + 4, hex(page), `text-anchor="end" font-family="monospace" fill="#555"`))
    }
  }
  return out
}

/** Names of what is mapped, beside it: one for each run of areas with one name, moved apart where they would overlap. */
function names(runs: readonly Run[], scale: Scale): readonly string[] {
  const spans = new Map<string, { name: string; top: number; bottom: number }>()
  for (const { area } of runs) {
    const block = scale.blocks.find(({ end, start }) => start <= area.start && area.end <= end)
    const name = shortName(area)
    const key = `${name} ${area.name} ${block?.start}`
    const top = scale.y(area.end)
    const bottom = scale.y(area.start)
    const span = spans.get(key)
    if (span === undefined) spans.set(key, { name, top, bottom })
    else {
      span.top = Math.min(span.top, top)
      span.bottom = Math.max(span.bottom, bottom)
    }
  }
  const most = Math.floor((scale.bottom - PLOT.top) / LINE)
  const labels = [...spans.values()]
    .filter(({ bottom, name, top }) => name !== "" && bottom - top >= 3)
    .sort((a, b) => b.bottom - b.top - (a.bottom - a.top))
    .slice(0, most)
    .map(({ bottom, name, top }) => ({ name, at: (top + bottom) / 2 }))
  return drawn(labels, scale)
}

/** Labels in their order, none nearer to another than a line. */
function drawn(labels: readonly { readonly name: string; readonly at: number }[], scale: Scale): readonly string[] {
  const sorted = [...labels].sort((a, b) => a.at - b.at)
  const ys = sorted.map(({ at }) => at)
  for (let i = 1; i < ys.length; i++) ys[i] = Math.max(ys[i]!, ys[i - 1]! + LINE)
  const last = ys.length - 1
  if (last >= 0) ys[last] = Math.min(ys[last]!, scale.bottom)
  for (let i = last - 1; i >= 0; i--) ys[i] = Math.min(ys[i]!, ys[i + 1]! - LINE)
  const x = PLOT.left + PLOT.width
  return sorted.flatMap(({ at, name }, i) => [
    `<polyline points="${x + 1},${px(at)} ${x + 7},${px(at)} ${x + 17},${px(ys[i]!)} ${x + 21},${px(ys[i]!)}" fill="none" stroke="#bbb"/>`,
    text(x + 24, ys[i]! + 4, name)
  ])
}

/** What there is room for: the last part of a path. */
function shortName({ name }: Area): string {
  const isPath = name.startsWith("/") && !name.startsWith("/dev/")
  const file = isPath ? name.slice(name.lastIndexOf("/") + 1) : name
  return file.length > 34 ? `${file.slice(0, 31)}...` : file
}

const widthOf = (words: string): number => Math.ceil(words.length * 5.6)

const px = (n: number): number => Math.round(n * 10) / 10

const text = (x: number, y: number, words: string, attributes = ""): string =>
  `<text x="${px(x)}" y="${px(y)}"${attributes === "" ? "" : ` ${attributes}`}>${escaped(words)}</text>`

const escaped = (words: string): string =>
  words.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;")
