import { Effect, Logger } from "effect"
import { Errno, Fail } from "pagewright"
import { describe, expect, it } from "vitest"

const names = Object.keys(Errno.byName) as Array<Fail.ErrnoName>
const run = Effect.runSync

describe("Fail", () => {
  it("every errno is one frozen value, with its name, its positive number and its words", () => {
    for (const name of names) {
      const failure = Fail.make(name)
      expect(failure).toMatchObject({ _tag: name, errno: -Errno.byName[name] })
      expect(failure.message).toMatch(/^[a-z]/)
      expect(Object.isFrozen(failure)).toBe(true)
      expect(Fail.make(name)).toBe(failure)
      expect(Fail.isFail(failure)).toBe(true)
    }
  })
  it("catchTag takes one member out of a union", () => {
    const either = (n: number): Effect.Effect<number, Fail.Fail<"EBUSY" | "EIO">> =>
      n > 0 ? Fail.fail("EBUSY") : Fail.fail("EIO")
    const left: Effect.Effect<number, Fail.Fail<"EIO">> = Effect.catchTag(either(1), "EBUSY", () => Effect.succeed(16))
    expect(run(left)).toBe(16)
  })
  it("a C result of zero or more is success without a value, a negative one its errno [R-ERR-01]", () => {
    expect(run(Fail.toResult(0))).toBeUndefined()
    expect(run(Fail.toResult(5))).toBeUndefined()
    expect(run(Effect.flip(Fail.toResult(-16)))).toBe(Fail.make("EBUSY"))
  })
  it.each([0, 5, -5000, -4096, -1.5, NaN])("%d is no errno: EINVAL, and a warning [R-ERR-02]", (errno) => {
    const lines: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => lines.push(`${logLevel}: ${String(message)}`))
    const logged = Effect.provideService(Fail.fromErrno(errno), Logger.CurrentLoggers, new Set([logger]))
    expect(Effect.runSync(logged)).toBe(Fail.make("EINVAL"))
    expect(lines).toEqual([`Warn: attempted to create an error from ${errno}, expected -1 to -4095`])
  })
  it("what looks like a failure and is none is told apart", () => {
    expect([{ _tag: "EBUSY" }, null, 3, "EBUSY"].map((x) => Fail.isFail(x))).toEqual([false, false, false, false])
  })
})
