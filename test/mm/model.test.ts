/** Random programs against a plain model. All of them: PAGEWRIGHT_PROGRAMS=10000 npm run test:unit -- test/mm/model */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import * as MAP from "../../lib/flags/MapFlags.ts"
import type { KernelConfig } from "../../lib/mm/base/config.ts"
import { holdsProgram } from "../support/compare.ts"
import { anyProgram, Subject } from "../support/program.ts"

const PROGRAMS = Number(process.env["PAGEWRIGHT_PROGRAMS"] ?? 500)
/** A failure prints its seed; PAGEWRIGHT_SEED repeats it. */
const SEED = process.env["PAGEWRIGHT_SEED"]
const STEPS = 80
const timeout = 60_000 + PROGRAMS * 50

const parameters = (numRuns: number): { numRuns: number; seed?: number } =>
  SEED === undefined ? { numRuns } : { numRuns, seed: Number(SEED) }

/** Machines on which one thing or another soon runs out. */
const shortages: Readonly<Record<string, Partial<KernelConfig>>> = {
  "frames of RAM": { frames: 18 },
  "page tables": { maxTables: 16 },
  VMAs: { maxVmas: 20 },
  anon_vmas: { maxAnon: 16 },
  "files and objects": { maxFiles: 9 },
  "address spaces": { maxMms: 3 },
  "areas allowed (max_map_count)": { maxMapCount: 4 },
  "promised memory (overcommit_memory 2)": { overcommit: 2, overcommitRatio: 20, ramPages: 64 }
}

describe("random programs", () => {
  it(
    `answer, map, protect and hold what a map from pages to protection and contents says (${PROGRAMS} programs)`,
    { timeout },
    () => {
      fc.assert(
        fc.property(anyProgram(STEPS), (program) => {
          holdsProgram(() => new Subject(), program)
        }),
        parameters(PROGRAMS)
      )
    }
  )

  const each = Math.ceil(PROGRAMS / 10)
  for (const [what, config] of Object.entries(shortages))
    it(`change nothing they should not, and leak nothing, short of ${what} (${each} programs)`, { timeout }, () => {
      let refused = 0
      fc.assert(
        fc.property(anyProgram(STEPS), (program) => {
          refused += holdsProgram(() => new Subject(config), program, { isTight: true })
        }),
        parameters(each)
      )
      expect(refused, "something did run out").toBeGreaterThan(0)
    })

  it(
    `change nothing they should not, and leak nothing, whichever allocation fails (${each * 4} programs)`,
    { timeout },
    () => {
      let refused = 0
      fc.assert(
        fc.property(anyProgram(STEPS), fc.integer({ min: 1, max: 1_000_000 }), (program, seed) => {
          // what a failed population left out cannot be told from outside
          const unpopulated = program.map((op) => (op.op === "mmap" ? { ...op, flags: op.flags & ~MAP.POPULATE } : op))
          const failing = (step: number): number => (seed * (step + 7)) % 11
          refused += holdsProgram(() => new Subject(), unpopulated, { isTight: true, failing })
        }),
        parameters(each * 4)
      )
      expect(refused, "something did fail").toBeGreaterThan(0)
    }
  )
})
