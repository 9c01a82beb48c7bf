/** The same verbs driven in different ways come to the same: `faultNow` and `fault`, one turn and many stops. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type Access, FETCH, READ, WRITE } from "../../lib/flags/FaultFlags.ts"
import { checkIdle, checkMm } from "../../lib/mm/area/check.ts"
import { fault, faultNow } from "../../lib/mm/page/fault.ts"
import { GIVE_UP } from "../../lib/mm/page/need.ts"
import { runNow } from "../../lib/mm/sys/run-now.ts"
import { tablesOf } from "../../lib/proof/testing/tables.ts"
import { holdsProgram } from "../support/compare.ts"
import { anyProgram, Subject, WINDOW, WINDOW_PAGES } from "../support/program.ts"
import { steps, SteppedSubject } from "../support/stepped.ts"

const PROGRAMS = Math.ceil(Number(process.env["PAGEWRIGHT_PROGRAMS"] ?? 500) / 5)
const timeout = 60_000 + PROGRAMS * 200
const configs = [{}, { frames: 20 }, { maxTables: 17 }, { maxAnon: 20 }]
const anyConfig = fc.constantFrom(...configs)

describe("a verb that stops at every point", () => {
  it("answers and leaves the tables as the same verb in one turn does", { timeout }, () => {
    let stops = 0
    fc.assert(
      fc.property(anyProgram(60), anyConfig, (program, config) => {
        const fused = new Subject(config)
        const stepped = new SteppedSubject(config)
        for (const op of program) {
          const want = fused.run(op)
          const got = stepped.run(op)
          if (got !== want) expect.fail(`${JSON.stringify(op)}: ${got}, in one turn ${want}`)
        }
        expect(tablesOf(stepped.k)).toBe(tablesOf(fused.k))
        checkIdle(stepped.k)
        stops += stepped.stops
      }),
      { numRuns: PROGRAMS }
    )
    expect(stops).toBeGreaterThan(PROGRAMS)
  })

  it("does what the model says, every invariant holding at every stop", { timeout }, () => {
    fc.assert(
      fc.property(anyProgram(40), (program) => {
        holdsProgram(() => new SteppedSubject(), program)
      }),
      { numRuns: Math.ceil(PROGRAMS / 2) }
    )
  })
})

describe("faultNow", () => {
  it("comes to what fault comes to, or gives up and has changed nothing that fault would not", { timeout }, () => {
    const codes = new Set<number>()
    fc.assert(
      fc.property(anyProgram(30), anyConfig, (program, config) => {
        const plain = new Subject(config)
        const waiting = new Subject(config)
        for (const op of program) {
          plain.run(op)
          waiting.run(op)
        }
        for (let at = WINDOW - 2; at < WINDOW + WINDOW_PAGES + 2; at++)
          for (const access of [READ, WRITE, FETCH] satisfies Access[]) {
            const task = plain.tasks[at % plain.tasks.length]!
            const mm = plain.k.tasks.mm(task)
            let code = faultNow(plain.k, mm, at, access)
            codes.add(code)
            if (code === GIVE_UP) code = Number(runNow(plain.k, () => fault(plain.k, mm, at, access)))
            expect(code, `page ${at.toString(16)} access ${access}`).toBe(
              steps(waiting.k, () => fault(waiting.k, mm, at, access)).result
            )
          }
        expect(tablesOf(plain.k)).toBe(tablesOf(waiting.k))
        checkMm(plain.k)
        checkIdle(waiting.k)
      }),
      { numRuns: PROGRAMS }
    )
    expect(codes.has(GIVE_UP), "some had to wait").toBe(true)
  })
})
