/** Reads specification files, tests and exclusions from disk. */
import { readFileSync } from "node:fs"
import { basename, join } from "node:path"
import { filesUnder } from "../source.ts"
import { type Coverage, cover } from "./coverage.ts"
import { claimsOfTests, claimsOfTypesTests } from "./names.ts"
import { parseExclusions, parseSpec } from "./rows.ts"

const exclusionFile = "docs/spec/left-out.md"
/** The tools' own tests are full of ids that claim nothing. */
const toolTests = "test/tools/"

const isText = (file: string): boolean => /\.(?:ts|txt|md|json)$/.test(file)

/** Joins everything that stands under `top`. Throws, with file and line, where something cannot be read as meant. */
export function coverageOf(top: string): Coverage {
  const text = (file: string): string => readFileSync(join(top, file), "utf8")
  const specs = filesUnder(top, "docs/spec", ".md")
    .filter((file) => file !== exclusionFile)
    .map((file) => parseSpec(basename(file), text(file)))
  const tests = [...filesUnder(top, "test", ".test.ts"), ...filesUnder(top, "examples", ".test.ts")]
  const claims = [
    ...tests.filter((file) => !file.startsWith(toolTests)).flatMap((file) => claimsOfTests(file, text(file))),
    ...filesUnder(top, "types-tests", "")
      .filter(isText)
      .flatMap((file) => claimsOfTypesTests(file, text(file)))
  ]
  const exclusions = filesUnder(top, "docs/spec", "left-out.md").flatMap((file) => parseExclusions(file, text(file)))
  return cover(specs, claims, exclusions, exclusionFile)
}
