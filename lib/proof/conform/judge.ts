/** Compares what was recorded with what a world did and what it looks like. Floor 9. */
import { textOfCodes } from "./pages.ts"
import { type Area, numberNames, type Result } from "./record.ts"
import type { Recollection, State } from "./state.ts"
import { newSeen, type Seen, type World } from "./world.ts"

/** A place where the world is not as recorded. */
export interface Difference {
  /** What differs: a field, in words. */
  readonly what: string
  /** Of which area, or at which address. */
  readonly where?: string
  readonly linux: string
  readonly ours: string
  /** The process that differs, and whose areas are to be shown; -1 none. */
  readonly process: number
  /** Something of ours broke: there is no accepting that. */
  readonly isFault?: true
}

/** Same answer to `process`? Values are compared as 64-bit registers. */
export function judgeResult(process: number, linux: Result, ours: Result): Difference | undefined {
  return sameResult(linux, ours)
    ? undefined
    : { what: "result", linux: textOfResult(linux), ours: textOfResult(ours), process }
}

function sameResult(a: Result, b: Result): boolean {
  if (a.kind === "value" && b.kind === "value") {
    if (a.also !== b.also) return false
    return a.value === b.value || BigInt.asUintN(64, BigInt(a.value)) === BigInt.asUintN(64, BigInt(b.value))
  }
  if (a.kind === "errno" && b.kind === "errno") return a.errno === b.errno && (a.also ?? b.also) === (b.also ?? a.also)
  if (a.kind !== "signal" || b.kind !== "signal") return a.kind === b.kind
  return a.signal === b.signal && a.code === b.code && BigInt(a.addr) === BigInt(b.addr)
}

/** A result as it reads in a program's listing. */
export function textOfResult(result: Result): string {
  switch (result.kind) {
    case "value":
      return `${result.value > 4095 ? `0x${result.value.toString(16)}` : result.value}${result.also === undefined ? "" : ` "${result.also}"`}`
    case "errno":
      return `-1 ${result.errno}${result.also === undefined ? "" : ` "${result.also}"`}`
    case "signal":
      return `${result.signal} ${result.code} at 0x${result.addr.toString(16)}`
    case "nothing":
      return "nothing was run"
  }
}

/** Compares every field of every area of every process, and their statistics. */
export class Judge {
  private readonly seen: Seen = newSeen()
  private readonly sizes = new Float64Array(5)

  /** The first thing in which `world` differs from `state`; without the areas unless `areas` are to be compared. */
  judgeState(state: State, world: World, areas: boolean): Difference | undefined {
    const live = world.processes()
    if (live.length !== state.processes.size) return differentProcesses(state, live)
    for (const process of live) {
      const recorded = state.processes.get(process)
      if (recorded === undefined) return differentProcesses(state, live)
      const found =
        (areas ? this.judgeAreas(process, recorded.areas, world) : undefined) ??
        this.judgeStats(process, recorded, world)
      if (found !== undefined) return found
    }
    return undefined
  }

  private judgeAreas(process: number, areas: readonly Area[], world: World): Difference | undefined {
    const { seen } = this
    let v = world.firstArea(process)
    for (const area of areas) {
      if (v === 0) return { what: "area", linux: area.text, ours: "no area from there on", process }
      world.look(process, v, seen, !area.isStub)
      const found = differenceOf(area, seen, process)
      if (found !== undefined) return found
      v = world.nextArea(process, v)
    }
    if (v === 0) return undefined
    world.look(process, v, seen, true)
    return { what: "area", linux: "no area from there on", ours: textOfSeen(seen, false), process }
  }

  private judgeStats(process: number, { stats }: Recollection, world: World): Difference | undefined {
    const ours = this.sizes
    world.stats(process, ours)
    for (let i = 0; i < 5; i++) {
      if (stats[i] !== ours[i]) {
        const names = ["VmSize", "VmLck", "VmData", "VmStk", "VmExe"]
        return { what: names[i]!, linux: `${stats[i]} kB`, ours: `${ours[i]} kB`, process }
      }
    }
    return undefined
  }
}

function differentProcesses(state: State, live: readonly number[]): Difference {
  const recorded = [...state.processes.keys()].sort((a, b) => a - b)
  return { what: "processes", linux: recorded.join(" "), ours: live.join(" "), process: -1 }
}

/** The first field that differs. */
function differenceOf(area: Area, seen: Seen, process: number): Difference | undefined {
  const differ = (what: string, linux: string, ours: string): Difference => {
    return { what, where: `of ${boundsOf(area)}`, linux, ours, process }
  }
  if (area.start !== seen.start || area.end !== seen.end) return differ("bounds", boundsOf(area), boundsOf(seen))
  if (area.perms !== seen.perms) return differ("permissions", area.perms, seen.perms)
  if (area.flags !== seen.flags) return differ("VmFlags", area.flags, seen.flags)
  if (area.offset !== seen.offset) return differ("offset", hex(area.offset), hex(seen.offset))
  if (area.file !== seen.file) return differ("file", area.file, seen.file)
  if (area.name !== seen.name) return differ("name", area.name, seen.name)
  if (area.isStub) return undefined
  const { numbers, pages } = area
  if (pages !== undefined && !sameCodes(pages, seen.pages)) {
    return differ("page states", textOfCodes(pages, pages.length), textOfCodes(seen.pages, pages.length))
  }
  for (let i = 0; i < 8; i++) {
    if (numbers[i] !== seen.numbers[i]) return differ(numberNames[i]!, `${numbers[i]} kB`, `${seen.numbers[i]} kB`)
  }
  return undefined
}

function sameCodes(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

const boundsOf = ({ end, start }: { readonly start: number; readonly end: number }): string =>
  `${hex(start)}-${hex(end)}`

/** An area of ours as a recording would have it. */
function textOfSeen(seen: Seen, isStub: boolean): string {
  const { end, file, flags, name, numbers, offset, pages, perms, start } = seen
  const head = `${boundsOf({ start, end })} ${perms} ${hex(offset)} ${file}|${flags}|${name}`
  if (isStub) return head
  const states = end - start > pages.length ? "*" : textOfCodes(pages, end - start)
  return `${head}|${states}|${numbers.join(",")}`
}

const hex = (page: number): string => (BigInt(page) * 4096n).toString(16)

/** All areas of a process, one line each. */
export function linesOf(world: World, process: number): readonly string[] {
  const seen = newSeen()
  const lines: string[] = []
  for (let v = world.firstArea(process); v !== 0; v = world.nextArea(process, v)) {
    world.look(process, v, seen, true)
    lines.push(textOfSeen(seen, isStubName(seen.name)))
  }
  return lines
}

const stubNames = new Set(["/subject", "[stack]", "[vdso]", "[vvar]", "[vvar_vclock]", "[vsyscall]"])

/** Names of the stub's own areas: the recorder looks at them from outside only. */
export const isStubName = (name: string): boolean => stubNames.has(name)
