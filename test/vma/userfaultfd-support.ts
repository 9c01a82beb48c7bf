/** What the tests of the userfaultfd client share: memory, pages of bytes, open descriptors, what was logged. */
import { Effect, Logger, References } from "effect"
import { type Kernel, type Lockdep, MapFlags, ProtFlags, Task, Units } from "pagewright"
import { expect } from "vitest"
import { onProcess } from "../../lib/vma/process.ts"
import { onKernel } from "./support.ts"

export const PAGE = 4096

/** Maps pages of private anonymous memory; answers their byte address. */
export const memory = (pages: number) =>
  Effect.map(
    Task.mmap({
      length: pages * PAGE,
      prot: ProtFlags.READ | ProtFlags.WRITE,
      flags: MapFlags.PRIVATE | MapFlags.ANONYMOUS
    }),
    Units.raw
  )

/** A page full of one byte. */
export const page = (byte: number): Uint8Array => new Uint8Array(PAGE).fill(byte)

/** Runs the program as a process; nothing is left of it. */
export const run = <A, E>(program: Effect.Effect<A, E, Kernel.Kernel | Task.Task | Lockdep.Markers>) =>
  onKernel(Task.run("subject", program))

/** How many descriptors the process has open. */
export const descriptors = onProcess((p) =>
  Effect.sync(() => {
    let n = 0
    for (let fd = 0; fd < 64; fd++) if (p.world.k.tasks.file(p.pid, fd) !== 0) n++
    return n
  })
)

/** One line of the log. */
export interface Line {
  readonly level: string
  readonly message: string
  readonly about: Readonly<Record<string, unknown>>
}

/** What a program logs, of every level; how descriptors are opened aside, which is told once. */
export const logged = <A, E, R>(program: Effect.Effect<A, E, R>): Effect.Effect<readonly [A, readonly Line[]], E, R> =>
  Effect.map(
    loggedAll(program),
    ([a, lines]) => [a, lines.filter(({ message }) => message !== "uffd_detect_open_mode")] as const
  )

/** What a program logs, of every level. */
export const loggedAll = <A, E, R>(
  program: Effect.Effect<A, E, R>
): Effect.Effect<readonly [A, readonly Line[]], E, R> =>
  Effect.suspend(() => {
    const lines: Line[] = []
    const logger = Logger.make<unknown, void>(({ fiber, logLevel, message }) => {
      const about = fiber.getRef(References.CurrentLogAnnotations)
      lines.push({ level: logLevel, message: [message].flat().join(" "), about: { ...about } })
    })
    return Effect.map(
      program.pipe(Effect.provideService(References.MinimumLogLevel, "All"), Effect.provide(Logger.layer([logger]))),
      (a) => [a, lines] as const
    )
  })

/** The tag of a failure that must be. */
export const failureOf = <A, E extends { readonly _tag: string }, R>(program: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(Effect.asVoid(program)), (e) => e._tag)

/** Nobody wrote a line. */
export const expectQuiet = (lines: readonly Line[]): void => expect(lines).toEqual([])
