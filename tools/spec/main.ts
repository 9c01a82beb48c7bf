/**
 * `npm run spec [-- --summary | --json]`: which rows of docs/spec the tests cover, which are next, left out, unexplained.
 * Exit code 1 while a row of a file in force is unexplained, or when rows, tests and exclusions do not fit together;
 * 2 when something cannot be read.
 */
import { root } from "../run.ts"
import { isIncomplete } from "./coverage.ts"
import { coverageOf } from "./gather.ts"
import { json, listing, summary } from "./report.ts"

function main(flags: ReadonlyArray<string>): number {
  const unknown = flags.filter((flag) => flag !== "--summary" && flag !== "--json")
  if (unknown.length > 0) {
    console.error(`spec: no flag ${unknown.join(" ")}; there are --summary and --json`)
    return 2
  }
  try {
    const coverage = coverageOf(root)
    const show = flags.includes("--json") ? json : flags.includes("--summary") ? summary : listing
    console.log(show(coverage))
    for (const fault of coverage.faults) console.error(fault)
    return isIncomplete(coverage) ? 1 : 0
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error))
    return 2
  }
}

process.exitCode = main(process.argv.slice(2))
