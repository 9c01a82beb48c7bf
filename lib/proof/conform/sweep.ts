/** The last look at everything: three bytes of each page, read by the process itself. Floor 9. */
import { type Difference, isStubName } from "./judge.ts"
import type { End } from "./record.ts"
import { newSeen, type World } from "./world.ts"

const MOST_OF_AN_AREA = 64
const MOST_OF_A_PROCESS = 320
/** The bytes of each page that are read. */
const offsets = [0, 7, 4095] as const

/** Reads what the recorder read in the order in which it did, and compares what `shown` leaves of it. */
export function judgeSweep(end: End, world: World, shown = (text: string) => text): Difference | undefined {
  for (const process of world.processes()) {
    const recorded = end.sweep.get(process)
    const ours = sweepOf(world, process)
    for (const start of new Set([...(recorded?.keys() ?? []), ...ours.keys()])) {
      const linux = shown(recorded?.get(start) ?? "not swept")
      const mine = shown(ours.get(start) ?? "not swept")
      if (linux !== mine) return { what: `contents at 0x${(start * 4096).toString(16)}`, linux, ours: mine, process }
    }
  }
  for (const process of end.sweep.keys()) {
    if (!world.processes().includes(process)) {
      return { what: "processes", linux: `process ${process} lives`, ours: "it does not", process: -1 }
    }
  }
  return undefined
}

function sweepOf(world: World, process: number): ReadonlyMap<number, string> {
  const seen = newSeen()
  const found = new Map<number, string>()
  let left = MOST_OF_A_PROCESS
  for (let v = world.firstArea(process); v !== 0; v = world.nextArea(process, v)) {
    world.look(process, v, seen, false)
    if (isStubName(seen.name)) continue
    const n = Math.min(seen.end - seen.start, MOST_OF_AN_AREA, left)
    if (n <= 0) continue
    left -= n
    found.set(seen.start, runsOf(Array.from({ length: n }, (_, i) => pageText(world, process, seen.start + i))))
  }
  return found
}

/** Three bytes in hex, or the letter of the last failure. */
function pageText(world: World, process: number, page: number): string {
  let bytes = ""
  let failure = ""
  for (const offset of offsets) {
    const byte = world.peek(process, page * 4096 + offset)
    if (byte < 0) failure = String.fromCharCode(-byte)
    else bytes += byte.toString(16).padStart(2, "0")
  }
  return failure === "" ? bytes : failure
}

function runsOf(pages: readonly string[]): string {
  const runs: string[] = []
  for (let from = 0; from < pages.length;) {
    let to = from + 1
    while (to < pages.length && pages[to] === pages[from]) to++
    runs.push(to - from > 1 ? `${pages[from]}*${to - from}` : pages[from]!)
    from = to
  }
  return runs.join(" ")
}
