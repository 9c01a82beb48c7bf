/** The driver of core verbs under interruption: thousands of random ones, on the real scheduler. */
import { Effect, Exit, Fiber, References, type Scope } from "effect"
import { Device, Fail, Kernel, type Lockdep, Locked, MapFlags, Mm, Page, ProtFlags, Task, Units } from "pagewright"
import { describe, expect, it } from "vitest"
import { forSeeds } from "../support/random.ts"
import { inner } from "../../lib/vma/raw.ts"
import { World } from "../../lib/vma/world.ts"
import { anonymous, checkTables, onKernel, pageAt, rw, small } from "./support.ts"

const rounds = Number(process.env["PAGEWRIGHT_STRESS"] ?? 6)

/** One machine, one process, eight fibers that do what they like and are interrupted at any time. */
const stress = (random: (n: number) => number, maxOps: number) => {
  const pause = (n: number) => Effect.forEach(Array.from({ length: n }), () => Effect.yieldNow, { discard: true })
  const maybe = Effect.suspend(() => pause(random(4)))
  const device = Device.make({
    open: Page.allocPage("GFP_KERNEL|__GFP_ZERO"),
    mmap: (page, vma) =>
      Effect.gen(function* () {
        yield* maybe
        const mixed = yield* vma.setMixedmap()
        if (random(2) === 0) yield* Effect.ignore(mixed.vmInsertPage(mixed.start, page))
        if (random(5) === 0) return yield* Fail.fail("ENOMEM")
        if (random(6) === 0) return yield* Effect.fail({ _tag: "Own" } as const)
        yield* maybe
      }),
    vmOps: {
      open: () =>
        Effect.andThen(
          maybe,
          Effect.suspend(() => (random(8) === 0 ? Fail.fail("ENOMEM") : Effect.void))
        ),
      close: () => maybe,
      maySplit: () =>
        Effect.andThen(
          maybe,
          Effect.suspend(() => (random(8) === 0 ? Fail.fail("EINVAL") : Effect.void))
        ),
      fault: (page) =>
        Effect.andThen(
          maybe,
          Effect.suspend(() => (random(8) === 0 ? Fail.fail("EIO") : Effect.succeed(page)))
        )
    }
  })
  const slowFile = Effect.gen(function* () {
    yield* Kernel.createFile("/slow", 8 * 4096)
    const world = inner(yield* Kernel.Kernel, World)
    world.readers.set(world.k.paths.get("/slow")!.obj, () =>
      Effect.andThen(
        pause(random(8)),
        Effect.suspend(() => (random(5) === 0 ? Fail.fail("EIO") : Effect.succeed(Uint8Array.of(7))))
      )
    )
  })
  const program = Effect.gen(function* () {
    const fd = yield* Task.open(device, "rw")
    const file = yield* Task.open("/slow", "rw")
    const base = yield* Task.mmap({ length: Units.pages(64), prot: ProtFlags.NONE, flags: anonymous })
    const mm = yield* Mm.current
    const at = () => pageAt(base, random(60))
    const fixed = () => ({ address: at(), length: Units.pages(1 + random(4)), prot: rw })
    const ops: ReadonlyArray<() => Effect.Effect<unknown, unknown, Task.Task | Lockdep.Markers | Scope.Scope>> = [
      () => Task.mmap({ ...fixed(), flags: anonymous | MapFlags.FIXED }),
      () => Task.mmap({ ...fixed(), flags: MapFlags.SHARED | MapFlags.FIXED, fd }),
      () => Task.mmap({ ...fixed(), flags: MapFlags.PRIVATE | MapFlags.FIXED, fd: file }),
      () => Task.munmap(at(), Units.pages(1 + random(6))),
      () => Task.mprotect(at(), Units.pages(1 + random(6)), random(2) === 0 ? ProtFlags.READ : rw),
      () => Task.load8(at()),
      () => Task.load8(at()),
      () => Task.store8(at(), random(256)),
      () => Effect.flatMap(Task.fork(Effect.exit(Task.load8(at()))), Task.wait),
      () => {
        const where = at()
        return Locked.withUser(mm, (mm) =>
          Locked.withVma(mm, where, (vma) => Effect.andThen(maybe, vma.zapPageRangeSingle(where, Units.pages(0))))
        )
      },
      () => Locked.withUser(mm, (mm) => Locked.mmapWrite(mm, () => maybe)),
      () => Locked.withUser(mm, (mm) => Locked.mmapReadTry(mm, () => maybe))
    ]
    const worker = Effect.gen(function* () {
      for (let i = 0; i < 10; i++) {
        yield* Effect.exit(ops[random(ops.length)]!())
        yield* checkTables
        yield* pause(random(2))
      }
    })
    const fibers: Array<Fiber.Fiber<void, unknown>> = []
    for (let i = 0; i < 8; i++) fibers.push(yield* Effect.forkChild(worker))
    for (let i = 0; i < 30; i++) {
      yield* pause(1 + random(5))
      const j = random(fibers.length)
      fibers[j]!.interruptUnsafe()
      yield* checkTables
      if (random(3) === 0) fibers[j] = yield* Effect.forkChild(worker)
    }
    for (const fiber of fibers) {
      const exit = yield* Fiber.await(fiber)
      if (Exit.isFailure(exit) && !String(exit.cause).includes("Interrupt")) return yield* Effect.failCause(exit.cause)
    }
  })
  return onKernel(
    Effect.gen(function* () {
      yield* slowFile
      yield* Device.register("/dev/stress", device)
      yield* Task.run("stress", Effect.scoped(program))
      yield* pause(20) // reads that nobody waits for any more
    }).pipe(Effect.provideService(References.MaxOpsBeforeYield, maxOps)),
    {
      ...small,
      frames: 512,
      tables: { maxTables: 256, maxVmas: 512, maxMms: 64, maxFiles: 64, maxAnon: 512, maxRuns: 128 }
    }
  )
}

describe("interruption", () => {
  it.each([2048, 8, 3])(
    "at any op, with a yield every %d ops: no lock, row, page, VMA or waiter is lost",
    async (maxOps) => {
      const pending: Array<() => Promise<void>> = []
      forSeeds(rounds, (random, seed) => {
        pending.push(async () => {
          try {
            await stress(random, maxOps)
          } catch (cause) {
            throw new Error(`seed ${seed}`, { cause })
          }
        })
      })
      for (const run of pending) await run()
      expect(pending.length).toBe(rounds)
    }
  )
})
