import { Effect, Exit, Logger } from "effect"
import { describe, expect, it } from "vitest"
import { EBUSY, EINVAL, byName } from "../../../lib/flags/Errno.ts"
import { fromErrno, make, toResult } from "../../../lib/vma/Fail.ts"

/** What `effect` ended in, and what it logged meanwhile. */
const run = <A, E>(effect: Effect.Effect<A, E>) => {
  const said: unknown[] = []
  const logger = Logger.make(({ message }) => void said.push(message))
  return { exit: Effect.runSyncExit(Effect.provide(effect, Logger.layer([logger]))), said }
}

describe("results of C functions", () => {
  it.each(Object.entries(byName))(
    "%s (%d) is its failure, with the number as user space knows it [R-ERR-01]",
    (name, errno) => {
      const { exit, said } = run(toResult(errno))
      expect(exit).toEqual(Exit.fail(expect.objectContaining({ _tag: name, errno: -errno })))
      expect(said).toEqual([])
    }
  )

  it.each([0, 1, 4096, 2 ** 40])("%d is success, without a value [R-ERR-01]", (n) => {
    expect(run(toResult(n)).exit).toEqual(Exit.void)
  })

  it("EBUSY is -16, EINVAL is -22 [R-ERR-01]", () => {
    expect([EBUSY, EINVAL, make("EBUSY").errno]).toEqual([-16, -22, 16])
  })
})

describe("numbers that are no errno", () => {
  it.each([-5000, -4096, -(2 ** 31), 0, 16])("%d becomes EINVAL, with a warning [R-ERR-02]", (n) => {
    const { exit, said } = run(fromErrno(n))
    expect(exit).toEqual(Exit.succeed(make("EINVAL")))
    expect(said).toHaveLength(1)
    expect(String(said[0])).toContain(String(n))
  })

  it.each([-5000, -4096])("%d as a result is a failure with EINVAL [R-ERR-02]", (n) => {
    expect(run(toResult(n)).exit).toEqual(Exit.fail(make("EINVAL")))
  })

  it("an errno that is one gives no warning [R-ERR-02]", () => {
    const { exit, said } = run(fromErrno(EBUSY))
    expect([exit, said]).toEqual([Exit.succeed(make("EBUSY")), []])
  })
})
