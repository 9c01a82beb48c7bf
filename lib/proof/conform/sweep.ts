/** The last look at everything: three bytes of each page, read by the process itself. Floor 9. */
import { type Difference, isStubName } from "./judge.ts"
import type { End } from "./record.ts"
import type { Seen, World } from "./world.ts"

const none: ReadonlyMap<number, string> = new Map()

const MOST_OF_AN_AREA = 64
const MOST_OF_A_PROCESS = 320
/** Bytes 0, 7 and 4095 of each page are read. */
const SECOND = 7
const THIRD = 4095

/** Reads what the recorder read in the order in which it did, and compares what `shown` leaves of it.
 * @param seen - is used for each area
 */
export function judgeSweep(
  end: End,
  world: World,
  seen: Seen,
  shown?: (text: string) => string
): Difference | undefined {
  for (const process of world.processes()) {
    const found = judgeProcess(process, end.sweep.get(process) ?? none, world, seen, shown)
    if (found !== undefined) return found
  }
  for (const process of end.sweep.keys()) {
    if (!world.processes().includes(process)) {
      return { what: "processes", linux: `process ${process} lives`, ours: "it does not", process: -1 }
    }
  }
  return undefined
}

function judgeProcess(
  process: number,
  recorded: ReadonlyMap<number, string>,
  world: World,
  seen: Seen,
  shown?: (text: string) => string
): Difference | undefined {
  let swept = 0
  let left = MOST_OF_A_PROCESS
  const differ = (start: number, linux: string, ours: string): Difference => {
    // Reading has faulted pages in by now, so areas are not shown.
    const owner = process > 0 ? ` of process ${process}` : ""
    const where = `at 0x${(start * 4096).toString(16)}${owner}, three bytes of each page`
    return { what: "contents", where, linux, ours, process: -1 }
  }
  for (let v = world.firstArea(process); v !== 0; v = world.nextArea(process, v)) {
    world.look(process, v, seen, false)
    if (isStubName(seen.name)) continue
    const n = Math.min(seen.end - seen.start, MOST_OF_AN_AREA, left)
    if (n <= 0) continue
    left -= n
    const { start } = seen
    const text = recorded.get(start)
    if (text !== undefined) swept++
    if (text !== undefined && readsLike(text, world, process, start, n)) continue
    const linux = text ?? "not swept"
    const ours = textOf(world, process, start, n)
    if (shown === undefined || shown(linux) !== shown(ours))
      return differ(start, shown?.(linux) ?? linux, shown?.(ours) ?? ours)
  }
  if (swept === recorded.size) return undefined
  for (const [start, text] of recorded) {
    if (!isSwept(world, process, start, seen)) return differ(start, text, "not swept")
  }
  return undefined
}

function isSwept(world: World, process: number, start: number, seen: Seen): boolean {
  for (let v = world.firstArea(process); v !== 0; v = world.nextArea(process, v)) {
    world.look(process, v, seen, false)
    if (seen.start === start && !isStubName(seen.name)) return true
  }
  return false
}

/** The three bytes of a page in one number, or minus the letter of their failure. A page that gives no byte gives none. */
function readPage(world: World, process: number, page: number): number {
  const first = world.peek(process, page * 4096)
  if (first < 0) return first
  const second = world.peek(process, page * 4096 + SECOND)
  const third = world.peek(process, page * 4096 + THIRD)
  return Math.min(second, third) < 0 ? Math.min(second, third) : (first << 16) | (second << 8) | third
}

/** Reads `n` pages; do they read as `text` says? Stops at the first that does not. */
function readsLike(text: string, world: World, process: number, start: number, n: number): boolean {
  let at = 0
  for (let page = 0; page < n;) {
    const to = endOfRun(text, at)
    const star = text.indexOf("*", at)
    const isMany = star >= 0 && star < to
    const count = isMany ? Number(text.slice(star + 1, to)) : 1
    const want = valueOf(text.slice(at, isMany ? star : to))
    if (!(count > 0) || page + count > n) return false
    for (const last = page + count; page < last; page++) {
      if (readPage(world, process, start + page) !== want) return false
    }
    at = to + 1
  }
  return at >= text.length
}

function endOfRun(text: string, from: number): number {
  const to = text.indexOf(" ", from)
  return to < 0 ? text.length : to
}

/** As `readPage` gives it. */
const valueOf = (page: string): number => (page.length === 1 ? -page.charCodeAt(0) : Number.parseInt(page, 16))

function textOf(world: World, process: number, start: number, n: number): string {
  const runs: string[] = []
  for (let from = 0; from < n;) {
    const value = readPage(world, process, start + from)
    let to = from + 1
    while (to < n && readPage(world, process, start + to) === value) to++
    const page = value < 0 ? String.fromCharCode(-value) : value.toString(16).padStart(6, "0")
    runs.push(to - from > 1 ? `${page}*${to - from}` : page)
    from = to
  }
  return runs.join(" ")
}
