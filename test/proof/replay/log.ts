/** Recordings of format 2, written by hand: what tests of the machine are made of. */
import { gunzipSync } from "node:zlib"
import { readFileSync } from "node:fs"
import { Session, type Options } from "../../../lib/proof/replay/session.ts"
import type { Tally } from "../../../lib/proof/replay/tally.ts"

type Record = { readonly [field: string]: unknown }
type Changes = { readonly "-"?: readonly string[]; readonly "+"?: readonly string[] }

export const PID = 100
/** First page above the mmap area of `program`: what is mapped first ends there. */
export const TOP = 0x7f0000010000
export const HEAP = 0x560000010000

/** A line of a map. */
export const area = (start: number, pages: number, perms = "rw-p", rest = "00000000 00:00 0"): string =>
  `${start.toString(16)}-${(start + pages * 4096).toString(16)} ${perms} ${rest}`

/** A program's first map: a segment, the vdso, the stack. */
export const program: readonly string[] = [
  area(0x560000000000, 4, "r-xp", "00000000 fe:00 7 /bin/program"),
  area(0x560000004000, 2, "rw-p", "00004000 fe:00 7 /bin/program"),
  area(TOP, 4, "r--p", "00000000 00:00 0 [vvar]"),
  area(TOP + 0x4000, 2, "r-xp", "00000000 00:00 0 [vdso]"),
  area(0x7ffe00000000, 33, "rw-p", "00000000 00:00 0 [stack]")
]

export const stackEnd = 0x7ffe00000000 + 33 * 4096

export const exec = (pid = PID, maps = program, path = "/bin/program"): Record => ({
  t: "exec",
  pid,
  path,
  start_stack: hex(stackEnd - 64),
  start_brk: hex(HEAP),
  maps
})

let next = 0

/** A call; numbers are put in by `replay`. A result that is a word is the name of an error. */
export function call(
  name: string,
  args: readonly (number | bigint)[],
  result: number | string,
  more: Record = {}
): Record {
  const answer = typeof result === "string" ? { ret: -1, err: result } : { ret: hex(result) }
  return { t: "sys", n: 0, pid: PID, tid: PID, sc: name, a: args.map(hex), ...answer, ...more }
}

export const changed = (gone: readonly string[], here: readonly string[]): { readonly maps: Changes } => ({
  maps: { ...(gone.length > 0 ? { "-": gone } : {}), ...(here.length > 0 ? { "+": here } : {}) }
})

/** mmap of private anonymous memory anywhere, that answers `at` and makes a line of its own. */
export const mmap = (at: number, pages: number, prot = 3): Record =>
  call("mmap", [0, pages * 4096, prot, 0x22, 0xffffffff, 0], at, changed([], [area(at, pages, permsOf(prot))]))

const permsOf = (prot: number): string =>
  `${(prot & 1) !== 0 ? "r" : "-"}${(prot & 2) !== 0 ? "w" : "-"}${(prot & 4) !== 0 ? "x" : "-"}p`

const hex = (word: number | bigint): string => `0x${word.toString(16)}`

/** Replays records and lines; calls are numbered in their order. */
export function replay(records: readonly (Record | string)[], options: Options = {}): Tally {
  next = 0
  const lines = records.map((record) => {
    if (typeof record === "string") return record
    return JSON.stringify(record["t"] === "sys" ? { ...record, n: next++ } : record)
  })
  return replayText(lines.join("\n"), options)
}

export function replayText(text: string, options: Options = {}): Tally {
  const session = new Session(options)
  session.lines.push(new TextEncoder().encode(text))
  session.lines.finish()
  session.finish()
  return session.tally
}

/** Everything that a test may want to know of a log, as far as it is worth mention. */
export const told = ({ agrees, assumed, disagreements, malformedLines, unmodelled }: Tally) => ({
  agrees,
  ...(assumed.size > 0 ? { assumed: Object.fromEntries(assumed) } : {}),
  ...(unmodelled.size > 0 ? { unmodelled: Object.fromEntries(unmodelled) } : {}),
  ...(malformedLines.length > 0 ? { malformedLines } : {}),
  ...(disagreements.length > 0
    ? { disagreements: disagreements.map(({ line, linux, ours, what }) => `${line} ${what}: ${linux} | ${ours}`) }
    : {})
})

/** The lines of a recording of test/golden/replay. */
export const golden = (name: string): readonly string[] =>
  gunzipSync(readFileSync(new URL(`../../golden/replay/${name}`, import.meta.url)))
    .toString("utf8")
    .trimEnd()
    .split("\n")
