import { readdirSync, readFileSync } from "node:fs"
import { gunzipSync } from "node:zlib"
import { expect, it } from "vitest"
import { Session } from "../../../lib/proof/replay/session.ts"
import type { Tally } from "../../../lib/proof/replay/tally.ts"

const folder = new URL("../../golden/strace/", import.meta.url)
const textOf = (name: string): string => gunzipSync(readFileSync(new URL(`${name}.strace.gz`, folder))).toString("utf8")

function judge(text: string): Tally {
  const session = new Session()
  session.lines.push(new TextEncoder().encode(text))
  session.lines.finish()
  session.finish()
  return session.tally
}

/** What becomes of each log: calls that agree, calls that it does not determine, lines that are none of strace's. */
const logs: Readonly<Record<string, readonly [agreed: number, unanchored: number, malformed: number]>> = {
  attached: [721, 51, 0],
  heavy: [931, 4, 0],
  "memory-only": [211, 15, 0],
  raw: [38, 8, 0],
  shell: [83, 28, 0],
  terminal: [213, 13, 2],
  threads: [213, 13, 0]
}

it("every recorded log is judged", () => {
  expect(readdirSync(folder).sort()).toEqual(Object.keys(logs).map((name) => `${name}.strace.gz`))
})

it.each(Object.entries(logs))(
  "%s: everything that the log determines is as Linux did it",
  (name, [agreed, open, bad]) => {
    const tally = judge(textOf(name))
    expect(tally.disagreements).toEqual([])
    expect(tally.agrees).toBe(true)
    expect([tally.total.agreed, tally.total.unanchored, tally.malformed]).toEqual([agreed, open, bad])
  }
)

const alterations: readonly (readonly [what: string, from: RegExp, to: (answer: string) => string])[] = [
  ["one address altered", / = 0x7[0-9a-f]+/, (answer) => ` = 0x${(Number(answer.slice(3)) - 0x2000).toString(16)}`],
  ["one place refused", / = 0x7[0-9a-f]+/, () => " = -1 ENOMEM (Cannot allocate memory)"],
  ["one failure for success", / = 0(?: <[\d.]+>)?$/, () => " = -1 EINVAL (Invalid argument)"]
]

/** The log with the last line of a thread's memory changed by which there is something to change. */
function altered(text: string, from: RegExp, to: (answer: string) => string): string {
  const lines = text.split("\n")
  const at = lines.findLastIndex((line) => /\b(mmap|munmap|mprotect)(\(| resumed)/.test(line) && from.test(line))
  expect(at).toBeGreaterThan(0)
  lines[at] = lines[at]!.replace(from, to)
  return lines.join("\n")
}

it.each(Object.keys(logs).flatMap((name) => alterations.map(([what, from, to]) => ({ name, what, from, to }))))(
  "$name with $what altered is found out",
  ({ from, name, to }) => {
    expect(judge(altered(textOf(name), from, to)).agrees).toBe(false)
  }
)
