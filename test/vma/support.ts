/** What the capability tests share: a small machine, a process with memory, a device with one page. */
import { Cause, Effect, Exit, Option, type Scope } from "effect"
import {
  Device,
  type Fail,
  Kernel,
  Lockdep,
  type Locked,
  MapFlags,
  Mm,
  Page,
  ProtFlags,
  Task,
  Units,
  type VmaNew
} from "pagewright"
import { expect } from "vitest"

export const small: Kernel.Options = {
  frames: 128,
  tables: { maxTables: 64, maxVmas: 128, maxMms: 16, maxFiles: 64, maxAnon: 128, maxRuns: 64 }
}

/** What a test of the capabilities needs. */
export type Needs = Kernel.Kernel | Scope.Scope | Lockdep.Markers

/** Runs a test on a machine of its own. Whatever it does, the tables are right and nothing is left behind. */
export const onKernel = <A, E>(program: Effect.Effect<A, E, Needs>, options: Kernel.Options = small): Promise<A> =>
  Lockdep.runTask(
    Effect.gen(function* () {
      const a = yield* Effect.scoped(program)
      yield* Effect.yieldNow // workers
      expect(yield* Kernel.leaks).toEqual([])
      return a
    }).pipe(Effect.orDie, Effect.provide(Kernel.layer(options)))
  )

/** The tables are right in the middle of things, too. */
export const checkTables = Effect.map(Kernel.findings, (wrong) => expect(wrong).toEqual([]))

export const rw = ProtFlags.READ | ProtFlags.WRITE
export const anonymous = MapFlags.PRIVATE | MapFlags.ANONYMOUS
export const one = Units.pages(1)

/** A page of the range that starts at `base`. */
export const pageAt = (base: Units.PageAligned<Units.UserAddr>, n: number): Units.PageAligned<Units.UserAddr> =>
  Units.offset(base, Units.pages(n))

/** Runs `body` as a process that has `pages` pages of anonymous memory. */
export const withMemory = <A, E, R>(
  pages: number,
  body: (mm: Mm.Mm, base: Units.PageAligned<Units.UserAddr>) => Effect.Effect<A, E, R>
) =>
  Task.run(
    "test",
    Effect.scoped(
      Effect.gen(function* () {
        const base = yield* Task.mmap({ length: Units.pages(pages), prot: rw, flags: anonymous })
        return yield* body(yield* Mm.current, base)
      })
    )
  )

/** A body for `inMmapHook`. */
export type HookTest<A> = <here extends Locked.AfterUnlock>(
  vma: VmaNew.VmaNew<"!VM_PFNMAP" | "!VM_MIXEDMAP", here>
) => Effect.Effect<A, Fail.Fail<Fail.ErrnoName>, Locked.Held<here>>

/** Maps four pages of a device; answers what `body` answered in its mmap hook. */
export const inMmapHook = <A>(body: HookTest<A>, request: Partial<Task.MmapRequest> = {}) =>
  Effect.gen(function* () {
    let answer = Option.none<A>()
    const device = Device.make({
      open: Effect.void,
      mmap: (_, vma) =>
        Effect.gen(function* () {
          answer = Option.some(yield* body(vma))
        })
    })
    yield* Device.register("/dev/test", device)
    yield* Task.run(
      "test",
      Effect.gen(function* () {
        const fd = yield* Task.open(device, "rw")
        yield* Task.mmap({ length: Units.pages(4), prot: ProtFlags.READ, flags: MapFlags.SHARED, ...request, fd })
        yield* checkTables
      })
    )
    return Option.getOrThrow(answer)
  })

/** A device with one page, mapped at the start of every mapping. */
export const pageDevice = () => {
  const open = Effect.map(Page.allocPage("GFP_KERNEL|__GFP_ZERO"), (page) => ({ page }))
  return Device.make({ open, kind: "mixedmap", mmap: (self, vma) => vma.vmInsertPage(vma.start, self.page) })
}

/** How an effect dies: the message of its defect. */
export const defectOf = <A, E, R>(program: Effect.Effect<A, E, R>): Effect.Effect<string, never, R> =>
  Effect.map(Effect.exit(program), (exit) => {
    if (Exit.isSuccess(exit)) return "it did not die"
    const reason = exit.cause.reasons.find(Cause.isDieReason)
    return reason === undefined ? `it did not die: ${Cause.pretty(exit.cause)}` : String(reason.defect)
  })
