/**
 * The destination of the migration: a process of the host that `main.ts` starts. It runs the task before it has the task's
 * memory.
 */
import { Deferred, Effect } from "effect"
import { Kernel, MlockallFlags, Task, Userfaultfd } from "pagewright"
import { map } from "../lazy-restore/eager.ts"
import { execute } from "../lazy-restore/processor.ts"
import { connect, type Connection, expect } from "./connection.ts"
import { ofMemory } from "./fingerprint.ts"
import { answerFaults, type Contents, makeRoom, Pages, place, probe } from "./incoming.ts"
import { Layout } from "./layout.ts"
import { makeLink } from "./link.ts"
import { framesFor, port } from "./settings.ts"

/** Runs the task while its memory comes.
 * @param source - port where it is reached
 */
const takeOver = (source: number, connection: Connection, layout: Layout) =>
  Userfaultfd.open(
    (fresh) =>
      Effect.gen(function* () {
        const uffd = yield* fresh.api([])
        const ranges = yield* Effect.forEach(layout.areas, (area) =>
          uffd.register(area.start, area.length, ["MISSING"])
        )
        yield* connection.send({ _tag: "Listening" })
        yield* expect(connection, "Run")
        const pages = new Pages(layout)
        const link = makeLink(source, connection, pages)
        const whole = yield* Deferred.make<void>()

        const fill = (contents: Contents) =>
          Effect.gen(function* () {
            yield* place(pages, ranges, contents)
            if (!pages.isWhole) return
            const { background, fingerprint, urgent } = pages
            yield* link.say({ _tag: "Arrived", fingerprint: fingerprint.toString(), urgent, background })
            yield* Deferred.succeed(whole, undefined)
          })
        const program = Effect.gen(function* () {
          const first = yield* execute(1)
          yield* link.say({ _tag: "Running" })
          const instructions = first + (yield* execute(Infinity))
          yield* Deferred.await(whole)
          yield* link.say({ _tag: "Halted", fingerprint: yield* ofMemory(layout), instructions })
          return yield* Effect.never
        })
        yield* Effect.raceAllFirst([link.serve(fill), program, answerFaults(uffd, pages, link.request)])
      }),
    { nonBlocking: true, userModeOnly: true }
  )

/** A monitor that keeps its memory locked, as many do, and gets ready for a task that comes. */
const monitor = (source: number, connection: Connection, layout: Layout) =>
  Effect.gen(function* () {
    yield* probe
    yield* Task.mlockall(MlockallFlags.CURRENT | MlockallFlags.FUTURE)
    yield* Effect.forEach(layout.areas, map)
    yield* makeRoom(layout)
    yield* takeOver(source, connection, layout)
    yield* Task.mlockall(MlockallFlags.CURRENT)
  })

export default {
  name: "destination",
  run: Effect.scoped(
    Effect.gen(function* () {
      const source = yield* port
      const connection = yield* connect(source)
      const { areas } = yield* expect(connection, "Advise")
      const layout = new Layout(areas)
      const task = Task.run("destination", monitor(source, connection, layout))
      yield* Kernel.scenario({ name: "destination", frames: framesFor(layout.pages) }, Effect.orDie(task)).run
    })
  )
}
