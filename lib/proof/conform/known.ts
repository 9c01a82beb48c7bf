/** Differences that are accepted, each with its reason. Floor 9. */
import type { Difference } from "./judge.ts"
import { FormatError } from "./record.ts"

/** Where a difference is accepted. Every field that is given must fit; in texts, `*` stands for anything. */
export interface KnownEntry {
  readonly theme?: string
  readonly seq?: string
  /** Number of the operation within its sequence. */
  readonly i?: number
  /** The operation as the report prints it: `madvise(*, MADV_FREE) = 0`. The last sweep is `sweep`. */
  readonly operation?: string
  /** What differs, as the report names it: `result`, `VmFlags`, `Rss`, `contents`. */
  readonly what: string
  readonly linux?: string
  readonly ours?: string
  readonly reason: string
}

/** Where a difference was found. */
export interface Place {
  readonly theme: string
  readonly seq: string
  readonly i: number
  readonly operation: string
}

const texts = ["theme", "operation", "what", "linux", "ours", "reason"] as const

/** The entries of a JSON file that holds a list of them. Throws FormatError. */
export function entriesOfJson(text: string): readonly KnownEntry[] {
  let list: unknown
  try {
    list = JSON.parse(text)
  } catch (error) {
    throw new FormatError(`not JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
  if (!Array.isArray(list)) throw new FormatError("not a list of known differences")
  return list.map((entry: unknown, at) => entryOf(entry, at + 1))
}

function entryOf(value: unknown, nth: number): KnownEntry {
  const refuse = (why: string): never => {
    throw new FormatError(`entry ${nth} ${why}`)
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return refuse("is no object")
  const fields = value as Readonly<Record<string, unknown>> // what else is left of `object`
  for (const key of Object.keys(fields)) {
    if (key !== "seq" && key !== "i" && !texts.some((name) => name === key))
      refuse(`has a field ${key}, which there is not`)
  }
  const textOf = (name: (typeof texts)[number]): string | undefined => {
    const text = fields[name]
    return text === undefined || typeof text === "string" ? text : refuse(`has a ${name} that is no text`)
  }
  const { i, seq } = fields
  if (seq !== undefined && typeof seq !== "string" && typeof seq !== "number") {
    return refuse("has a seq that is no number or name")
  }
  if (i !== undefined && typeof i !== "number") refuse("has an i that is no number")
  const operation = textOf("operation")
  if (seq === undefined && operation === undefined)
    refuse("names neither a seq nor an operation: it would excuse too much")
  return {
    theme: textOf("theme"),
    seq: seq === undefined ? undefined : String(seq),
    i: typeof i === "number" ? i : undefined,
    operation,
    what: textOf("what") ?? refuse("does not say what differs"),
    linux: textOf("linux"),
    ours: textOf("ours"),
    reason: textOf("reason") ?? refuse("gives no reason")
  }
}

/** Entries, and how often each was needed. */
export class Known {
  readonly uses: number[]

  constructor(readonly entries: readonly KnownEntry[]) {
    this.uses = entries.map(() => 0)
  }

  /** Is a difference accepted there? Counts the entry that says so. */
  accepts(place: Place, { linux, ours, what }: Difference): boolean {
    const at = this.entries.findIndex(
      (entry) =>
        fits(entry.theme, place.theme) &&
        (entry.seq === undefined || entry.seq === place.seq) &&
        (entry.i === undefined || entry.i === place.i) &&
        fits(entry.operation, place.operation) &&
        fits(entry.what, what) &&
        fits(entry.linux, linux) &&
        fits(entry.ours, ours)
    )
    if (at < 0) return false
    this.uses[at]!++
    return true
  }
}

/** Does `text` read like `pattern`, in which `*` stands for anything? */
function fits(pattern: string | undefined, text: string): boolean {
  if (pattern === undefined) return true
  const parts = pattern.split("*")
  if (parts.length === 1) return pattern === text
  const [first, last] = [parts[0]!, parts.at(-1)!]
  if (!text.startsWith(first) || !text.endsWith(last) || text.length < first.length + last.length) return false
  let at = first.length
  for (const part of parts.slice(1, -1)) {
    const found = text.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return at <= text.length - last.length
}
