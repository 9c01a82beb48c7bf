import { readFileSync } from "node:fs"
import { join } from "node:path"
import { expect, it } from "vitest"
import { pageOf } from "../../tools/conformance/page.ts"
import { quoteOf, withQuote } from "../../tools/conformance/quote.ts"
import { readResults } from "../../tools/conformance/results.ts"
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
