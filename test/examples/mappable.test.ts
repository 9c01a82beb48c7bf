/** The example objects: each scenario checks itself, and tells its story. */
import { Cause, Console, Effect, Exit } from "effect"
import { describe, expect, it } from "vitest"
import hostFile from "../../examples/host-file/main.ts"
import inflate from "../../examples/inflate/main.ts"
import worker from "../../examples/worker/main.ts"
import { makeInflate } from "../../examples/inflate/inflate.ts"
import { Mappable, Task } from "pagewright"
import { onKernel } from "../vma/support.ts"

/** The lines that a scenario tells; a check that fails is the test's failure. */
const lines = async (scenario: typeof inflate): Promise<readonly string[]> => {
  const told: string[] = []
  const console_ = { ...globalThis.console, log: (line: string) => void told.push(line) }
  const exit = await Effect.runPromiseExit(Effect.provideService(scenario.run, Console.Console, console_))
  if (Exit.isFailure(exit)) throw new Error(Cause.pretty(exit.cause))
  return told
}

describe("example objects", () => {
  it("inflate: a megabyte of text in a few pages, every byte right, packed away under pressure", async () => {
    const told = await lines(inflate)
    expect(
      told.filter((line) => /every byte is right|a write ends in SIGSEGV|leak check: no page/.test(line))
    ).toHaveLength(3)
  })

  it("host-file: read as it is touched, written back by msync, SIGBUS beyond its end", async () => {
    const told = await lines(hostFile)
    expect(told.filter((line) => /1 page is read|1000 brown|there is SIGBUS/.test(line))).toHaveLength(3)
  })

  it("worker: a thread of the host and a process have the same bytes", async () => {
    expect((await lines(worker)).join("\n")).toContain("counted to 1000")
  })

  it("inflate: a block is inflated once for all its pages, and again after it was packed away", () =>
    onKernel(
      Effect.gen(function* () {
        const { inflations, object, shrink } = yield* makeInflate("x", new Uint8Array(9 * 4096).fill(7))
        const identity = yield* Mappable.identity(object)
        yield* Task.run(
          "reader",
          Effect.gen(function* () {
            const at = Number(yield* Mappable.map({ identity, length: 9 * 4096, perms: "r--" }))
            for (const page of [0, 1, 3, 4, 8]) expect(yield* Task.load8(at + page * 4096)).toBe(7)
            expect(inflations()).toBe(3)
            expect(yield* shrink).toBe(3)
            expect(yield* Task.load8(at)).toBe(7)
            expect(inflations()).toBe(4)
          })
        )
      })
    ))
})
