import { Cause, Console, Effect, Exit } from "effect"
import { Device, Kernel, Lockdep, Page, ProtFlags, Task, Units } from "pagewright"
import { describe, expect, it } from "vitest"
import { anonymous, defectOf, one, onKernel, pageDevice, rw, small } from "./support.ts"

const run = async (scenario: Kernel.Scenario) => {
  const lines: Array<string> = []
  const recording: Console.Console = { ...globalThis.console, log: (...args) => void lines.push(args.join(" ")) }
  const exit = await Effect.runPromiseExit(Effect.provideService(scenario.run, Console.Console, recording))
  return [Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "done", lines] as const
}

describe("Kernel", () => {
  it("machines live side by side, each with tables of its own", async () => {
    const life = Effect.gen(function* () {
      const at = yield* Task.mmap({ length: one, prot: rw, flags: anonymous })
      yield* Effect.yieldNow
      return Units.raw(at)
    })
    const boot = () => onKernel(Task.run("test", life))
    const [a, b] = await Promise.all([boot(), boot()])
    expect(a).toBe(b)
  })

  it("options that make no machine are said to", () =>
    Lockdep.runTask(
      Effect.gen(function* () {
        const booting = Effect.provide(Kernel.leaks, Kernel.layer({ frames: 3 }))
        expect(yield* defectOf(booting)).toMatch("frames is 3, expected an integer of 16 or more")
      })
    ))

  it("sysctls are those of the machine: no more areas than max_map_count", () =>
    onKernel(
      Task.run(
        "test",
        Effect.gen(function* () {
          const map = (prot: number) => Task.mmap({ length: one, prot, flags: anonymous })
          for (const prot of [rw, ProtFlags.NONE, rw, ProtFlags.NONE]) yield* map(prot) // the stack is the fifth
          expect((yield* Effect.flip(map(ProtFlags.READ)))._tag).toBe("ENOMEM")
        })
      ),
      { ...small, sysctl: { maxMapCount: 4 } }
    ))

  it("leaks says what is left: a page, a VMA, an mm, a process, an open file", () =>
    onKernel(
      Effect.gen(function* () {
        const device = pageDevice()
        yield* Device.register("/dev/page", device)
        const during = yield* Task.run(
          "test",
          Effect.gen(function* () {
            yield* Task.open(device, "rw")
            return yield* Kernel.leaks
          })
        )
        expect(during).toEqual([
          "1 page is left",
          "1 VMA is left",
          "1 mm reference is left",
          "1 process row is left",
          "1 open file is left"
        ])
      })
    ))

  it("a scenario ends with its leak check", async () => {
    const [ended, lines] = await run(
      Kernel.scenario({ name: "quiet", ...small }, Task.run("test", Task.maps).pipe(Effect.orDie))
    )
    expect([ended, lines.at(-1)]).toEqual(["done", "\nleak check: no page, VMA, lock or mm reference left"])
  })

  it("a scenario that leaves something fails its check, with everything that is left", async () => {
    const leaky = Effect.gen(function* () {
      const machine = yield* Kernel.Kernel
      // a page in a scope that nobody closes
      const scoped = Page.allocPage("GFP_ATOMIC").pipe(Effect.provideService(Kernel.Kernel, machine))
      yield* Effect.forkDetach(Effect.scoped(Effect.andThen(scoped, Effect.never)))
      yield* Effect.yieldNow
    })
    const [ended] = await run(Kernel.scenario({ name: "leaky", ...small }, leaky))
    expect(ended).toMatch("1 page is left")
  })

  it("a check of one's own fails the scenario", async () => {
    const [ended] = await run(
      Kernel.scenario({ name: "wrong", ...small }, Effect.fail(Kernel.checkFailed("two is not three")))
    )
    expect(ended).toMatch("two is not three")
  })

  it("/proc/PID/maps is empty for a process that is not there", () =>
    onKernel(
      Effect.gen(function* () {
        for (const pid of [0, 1, -1, 1.5, NaN, 1e9]) expect(yield* Kernel.maps(pid)).toBe("")
        const text = yield* Task.run(
          "test",
          Effect.flatMap(Task.self, ({ pid }) => Kernel.maps(pid))
        )
        expect(text).toMatch(/\[stack\]\n$/)
      })
    ))
})
