/** Random programs against a plain model. The full number: PAGEWRIGHT_PROGRAMS=10000 npm run test:unit -- test/mm/model */
import fc from "fast-check"
import { describe, it } from "vitest"
import { holdsProgram } from "../support/compare.ts"
import { anyProgram, Subject } from "../support/program.ts"

const PROGRAMS = Number(process.env["PAGEWRIGHT_PROGRAMS"] ?? 400)
/** A failure prints its seed; this repeats it. */
const SEED = process.env["PAGEWRIGHT_SEED"]
const STEPS = 40

const runs = (numRuns: number): fc.Parameters<[readonly unknown[]]> =>
  SEED === undefined ? { numRuns } : { numRuns, seed: Number(SEED) }

describe("random programs", () => {
  it(
    `answer, map, protect and hold what a map from pages to contents says: ${PROGRAMS} programs`,
    { timeout: 60_000 + PROGRAMS * 50 },
    () => {
      fc.assert(
        fc.property(anyProgram(STEPS), (program) => holdsProgram(() => new Subject(), program)),
        runs(PROGRAMS)
      )
    }
  )
})
