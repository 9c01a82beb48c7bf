import { readFileSync } from "node:fs"
import { join } from "node:path"
import { expect, it } from "vitest"
import { pageOf } from "../../tools/conformance/page.ts"
import { quoteOf, withQuote } from "../../tools/conformance/quote.ts"
import { type Proof, readResults } from "../../tools/conformance/results.ts"
import { shortenSeeds } from "../../tools/conformance/seeds.ts"
import { root } from "../../tools/run.ts"

const read = (name: string): string => readFileSync(join(root, name), "utf8")

it("the page and README say what docs/conformance.json says", () => {
  const results = readResults()
  expect(read("docs/conformance.md")).toBe(pageOf(results))
  expect(read("README.md")).toContain(quoteOf(results))
  expect(withQuote(read("README.md"), results)).toBe(read("README.md"))
})

it("names of sequences are shortened to ranges of seeds", () => {
  expect(shortenSeeds(["3", "1", "2", "9"])).toBe("1-3, 9")
  expect(shortenSeeds(["merge_two", "7", "fork"])).toBe("7, 2 named probes")
  expect(shortenSeeds(["1", "3", "5", "7", "9", "11", "13"])).toBe("7 of 1-13")
  expect(shortenSeeds([])).toBe("")
})

const counts = {
  sequences: 3,
  complete: 2,
  apart: 1,
  operations: 1200,
  judged: 1100,
  skipped: 40,
  notJudged: 60,
  known: 2,
  divergences: 1
}
const proof: Proof = {
  kernel: "Linux 9.9",
  sources: [{ name: "a.jsonl", sha256: "0123456789abcdef0123", sequences: 3, operations: 1200, seeds: "1-3" }],
  themes: { zeta: counts, alpha: counts },
  total: counts,
  dropped: 1,
  missing: { frob: 40 },
  known: [
    { operation: "brk(0) = 0|1", what: "result", reason: "a clock", met: 2 },
    { seq: "9", what: "Rss", reason: "old", met: 0 }
  ],
  calls: { brk: { all: { OK: [1000, 999], ENOMEM: [1, 1] }, FLAG: { OK: [7, 7] }, "other values": { OK: [1, 1] } } }
}
const nothing: Proof = { ...proof, total: { ...counts, operations: 0 } }

it("the page has a section for each proof, and one table a call for both", () => {
  const page = pageOf({ recordings: proof, live: { ...proof, calls: { brk: { all: { OK: [1, 1] } } } } })
  const lines = page.split("\n")
  expect(lines.filter((line) => line.startsWith("## "))).toEqual([
    "## Recordings",
    "## Live",
    "## Known differences",
    "## Calls",
    "## Flags and outcomes"
  ])
  expect(page).toContain(
    "**1,100 of 1,200 operations of Linux 9.9 are judged; in 3 sequences there are 1 divergences and 2"
  )
  expect(page).toContain("(frob 40)")
  expect(lines).toContain("| `a.jsonl` | 3 | 1,200 | 1-3 | `0123456789abcdef…` |")
  expect(lines.findIndex((line) => line.startsWith("| alpha"))).toBeLessThan(
    lines.indexOf("| zeta | 3 | 1,200 | 1,100 | 2 | 1 |")
  )
  expect(lines).toContain("| `brk(0) = 0\\|1` | result | 2 | a clock |")
  expect(page).not.toContain("old")
  expect(lines).toContain("| [brk](#brk) | 1,002 | 1,001 | OK ENOMEM |")
  expect(lines).toContain("|  | operations | agree | OK | ENOMEM |")
  expect(lines).toContain("| all | 1,002 | 1,001 | 1,001 (1,000 agree) | 1 |")
  expect(lines.slice(lines.indexOf("| `FLAG` | 7 | 7 | 7 |  |"))).toContain("| `other values` | 1 | 1 | 1 |  |")
})

it("a proof that was not run has no section and no quote", () => {
  expect(pageOf({ recordings: proof, live: nothing })).not.toContain("## Live")
  expect(pageOf({ recordings: nothing, live: nothing })).not.toContain("## ")
  expect(quoteOf({ recordings: proof, live: nothing })).not.toContain("**Live.**")
  expect(quoteOf({ recordings: proof, live: proof })).toContain("**Live.**")
})

it("README's quote stands between its marks, and nowhere else", () => {
  expect(() => withQuote("no marks", { recordings: proof, live: nothing })).toThrow("no place")
  expect(quoteOf({ recordings: proof, live: nothing })).toContain("1 sequence differs")
})
