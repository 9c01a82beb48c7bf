/**
 * Lazy restore: the task goes on at once, in areas where nothing is; what it touches is read then, with its neighbours, and
 * what it does not touch is read when nothing has been asked for during a moment.
 */
import { Effect, Latch } from "effect"
import { type Lockdep, type Task, Userfaultfd } from "pagewright"
import { map } from "./eager.ts"
import type { Image } from "./image.ts"
import { Pending } from "./pending.ts"
import { type Counts, deliver, drain, EVENTS } from "./serve.ts"

/** Nothing is asked for when no message has come for so long. */
const QUIET = "2 millis"

/** How far it is. */
export interface Progress extends Counts {
  /** Waits until every page is there. */
  readonly complete: Effect.Effect<void>
}

/** Restores the memory of an image in the current process, and runs `task` meanwhile. Both are over when this is. The task may
 * do with its memory what it likes; a child that it forks has all pages before it touches the first that is missing.
 * @returns what the task fails with | why a page could not be put there; the task has ended then, and has seen nothing wrong
 */
export const restore = (
  image: Image,
  task: (progress: Progress) => Effect.Effect<void, Task.Signal, Task.Task | Lockdep.Takes<"mmap_lock">>
) =>
  Userfaultfd.open(
    (fresh) =>
      Effect.gen(function* () {
        const complete = yield* Latch.make(false)
        const counts: Counts = { faults: 0, onDemand: 0, inBackground: 0, zero: 0, damaged: [] }
        const progress = Object.assign(counts, { complete: complete.await })
        const uffd = yield* fresh.api(["POISON", ...EVENTS])
        const [memory] = yield* Effect.forEach(image.areas, (area) =>
          Effect.andThen(map(area), uffd.register(area.start, area.length, ["MISSING"]))
        )
        if (memory === undefined) return yield* Effect.die("an image without areas")
        const served = { uffd, memory, image, counts, pending: new Pending(image), areas: [...image.areas], asked: [] }
        const serving = deliver(served, QUIET).pipe(Effect.andThen(complete.open), Effect.andThen(drain(served)))
        yield* Effect.raceFirst(serving, Effect.andThen(task(progress), complete.await))
        return progress
      }),
    { nonBlocking: true }
  )
