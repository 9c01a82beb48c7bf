/**
 * docs/conformance.json: what was judged last, and how it went. `npm run conformance` writes the part `recordings`,
 * `npm run differential` the part `live`; each leaves the other's alone, and both render docs/conformance.md from the file.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { CallTable } from "../../lib/proof/conform/coverage.ts"
import type { KnownEntry } from "../../lib/proof/conform/known.ts"
import { type Counts, newCounts, type Tally } from "../../lib/proof/conform/tally.ts"
import { root } from "../run.ts"
import { pageOf } from "./page.ts"
import { withQuote } from "./quote.ts"

/** A file that was judged, or the command that repeats a live run. */
export interface Source {
  readonly name: string
  /** Of the file as it was given. */
  readonly sha256?: string
  readonly sequences: number
  readonly operations: number
  /** Names of the sequences, shortened: for random ones the seeds they began from. */
  readonly seeds: string
}

/** How one proof ended. */
export interface Proof {
  /** `uname -sr` of the machine that answered. */
  readonly kernel: string
  readonly sources: readonly Source[]
  readonly themes: Readonly<Record<string, Counts>>
  readonly total: Counts
  readonly dropped: number
  /** Calls that we do not have, by operations. */
  readonly missing: Readonly<Record<string, number>>
  readonly known: ReadonlyArray<KnownEntry & { readonly met: number }>
  readonly calls: CallTable
}

/** The whole file. */
export interface Results {
  readonly recordings: Proof
  readonly live: Proof
}

/** Nothing was judged yet. */
const none: Proof = {
  kernel: "",
  sources: [],
  themes: {},
  total: newCounts(),
  dropped: 0,
  missing: {},
  known: [],
  calls: {}
}

/** What `session.tally` knows, of a Session with the option `coverage`. */
export function proofOf(tally: Tally, kernel: string, sources: readonly Source[]): Proof {
  return {
    kernel,
    sources,
    themes: Object.fromEntries(tally.themes),
    total: tally.total,
    dropped: tally.dropped,
    missing: Object.fromEntries(tally.missing.list()),
    known: tally.known.entries.map((entry, at) => ({ ...entry, met: tally.known.uses[at]! })),
    calls: tally.coverage.table()
  }
}

const file = join(root, "docs", "conformance.json")

/** What stands in docs/conformance.json. */
export function readResults(): Results {
  // Only this module writes the file.
  const found = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Partial<Results>) : {}
  return { recordings: found.recordings ?? none, live: found.live ?? none }
}

/** Replaces one part, and renders the page and the lines that README quotes. */
export function writeResults(part: keyof Results, proof: Proof): void {
  const results: Results = { ...readResults(), [part]: proof }
  writeFileSync(file, `${textOf(results)}\n`)
  renderResults(results)
}

/** Writes docs/conformance.md, and README's lines, from `results`. */
export function renderResults(results: Results): void {
  writeFileSync(join(root, "docs", "conformance.md"), pageOf(results))
  const readme = join(root, "README.md")
  writeFileSync(readme, withQuote(readFileSync(readme, "utf8"), results))
}

/** What fits in a line stands in one, so that a difference of two files can be read. */
function textOf(value: unknown, indent = ""): string {
  const short = JSON.stringify(value)
  if (short.length <= WIDTH || typeof value !== "object" || value === null) return short
  const inner = `${indent}  `
  if (Array.isArray(value)) return `[\n${value.map((one) => inner + textOf(one, inner)).join(",\n")}\n${indent}]`
  const parts = Object.entries(value).map(([key, one]) => `${inner}${JSON.stringify(key)}: ${textOf(one, inner)}`)
  return `{\n${parts.join(",\n")}\n${indent}}`
}

const WIDTH = 160
