import { readdirSync } from "node:fs"
import { expect, it } from "vitest"
import { golden, replayText } from "./log.ts"

const names = readdirSync(new URL("../../golden/replay/", import.meta.url)).sort()
const recordings = names.filter((name) => name.endsWith(".jsonl.gz"))

it.each(names)("%s: every answer, every address and every line of every map is as Linux had it", (name) => {
  const tally = replayText(golden(name).join("\n"))
  expect(tally.disagreements).toEqual([])
  expect(tally.agrees).toBe(true)
  expect([tally.malformed, tally.total.unmodelled]).toEqual([0, 0])
  expect(tally.total.agreed).toBeGreaterThan(8)
})

type Fields = { [name: string]: unknown }
type Delta = { "-"?: string[]; "+"?: string[] }

/** Ways to write down something that Linux did not do. Each answers whether it found a place. */
const lies: Readonly<Record<string, (fields: Fields) => boolean>> = {
  "an address": (fields) => {
    if (!["mmap", "mremap", "brk"].includes(String(fields["sc"])) || typeof fields["ret"] !== "string") return false
    fields["ret"] = `0x${(BigInt(fields["ret"]) + 4096n).toString(16)}`
    return true
  },
  "an error": (fields) => {
    if (!["mmap", "munmap", "mprotect", "madvise", "mlock", "mremap"].includes(String(fields["sc"]))) return false
    if (fields["err"] === undefined) fields["ret"] = -1
    fields["err"] = fields["err"] === "EINVAL" ? "EFAULT" : "EINVAL"
    return true
  },
  "an end": altered((line) =>
    line.replace(/-([0-9a-f]+) /, (_, end) => `-${(BigInt(`0x${end}`) + 4096n).toString(16)} `)
  ),
  "a permission": altered((line) =>
    line.replace(/ (.)(.)(.)(.) /, (_, r, w, x, p) => ` ${r}${w}${x === "x" ? "-" : "x"}${p} `)
  ),
  "an offset": altered((line) =>
    line.replace(/ ([0-9a-f]{8}) /, (_, at: string) => ` ${(parseInt(at, 16) + 4096).toString(16).padStart(8, "0")} `)
  ),
  "an inode": altered((line) =>
    line.replace(/ (\d+)( \S.*)?$/, (_, inode, name = "") => ` ${Number(inode) + 1}${name}`)
  ),
  "a name": altered((line) => (/ \d+ \S/.test(line) ? `${line}x` : `${line} [x]`)),
  "a line too few": (fields) => linesOf(fields).shift() !== undefined
}

/** Changes one line that a call brought, or one of a last map. */
function altered(change: (line: string) => string): (fields: Fields) => boolean {
  return (fields) => {
    const lines = linesOf(fields)
    const at = lines.findLastIndex((line) => !line.endsWith("]"))
    if (at < 0) return false
    lines[at] = change(lines[at]!)
    return true
  }
}

function linesOf(fields: Fields): string[] {
  const { maps, t } = fields
  if (Array.isArray(maps)) return t === "exit" ? (maps as string[]) : []
  return ((maps as Delta | undefined) ?? {})["+"] ?? []
}

it.each(Object.entries(lies))(
  "%s that is not what Linux did is found in every recording",
  (_, lie) => {
    recordings.forEach((name, number) => {
      const lines = golden(name)
      const from = Math.floor(((number % 5) / 5) * lines.length)
      const doctored = doctor(lines, from, lie)
      const tally = replayText(doctored.join("\n"))
      expect(tally.agrees && tally.malformed === 0, `${name}, from line ${from + 1}`).toBe(false)
    })
  },
  60_000
)

/** The lines with one lie, told at the first place for it from line `from` on. */
function doctor(lines: readonly string[], from: number, lie: (fields: Fields) => boolean): readonly string[] {
  for (let i = 0; i < lines.length; i++) {
    const at = (from + i) % lines.length
    const fields = JSON.parse(lines[at]!) as Fields
    if (lie(fields)) return lines.with(at, JSON.stringify(fields))
  }
  throw new Error("no place for this lie")
}
