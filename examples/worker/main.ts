/**
 * A worker thread of the host fills a page while a simulated process watches it: one piece of memory, no copy.
 * `npx pagewright run examples/worker/main.ts`
 *
 * The machine's RAM is a SharedArrayBuffer. The object's bytes are views on it; the view goes to the worker as it is.
 */
import { once } from "node:events"
import { Worker } from "node:worker_threads"
import { Console, Effect } from "effect"
import { Kernel, Mappable, MemoryFile, Task, Units } from "pagewright"

/** What the worker does: counts in the first word, and says so in the second when it is done. */
const program = `
  const { workerData } = require("node:worker_threads")
  const words = new Int32Array(workerData.buffer, workerData.offset, 2)
  for (let i = 1; i <= 1000; i++) Atomics.store(words, 0, i)
  Atomics.store(words, 1, 1)
`

const story = Effect.gen(function* () {
  const file = yield* MemoryFile.make("counter")
  const page = file.allocate(1)
  const view = page === undefined ? undefined : file.mapInternal(page)[0]
  if (view === undefined) return yield* Effect.fail(Kernel.checkFailed("no memory for one page"))
  const object = yield* Mappable.make({
    name: "counter",
    maxPerms: "r--",
    translate: (ask) => ask.translation({ source: ask.required, file, offset: 0 })
  })
  const identity = yield* Mappable.identity(object)
  yield* Task.run(
    "watcher",
    Effect.gen(function* () {
      const base = yield* Mappable.map({ identity, length: 4096, perms: "r--" })
      yield* Console.log(`the process reads ${yield* Task.load32(base)}, and maps the page of the worker's memory`)
      const worker = new Worker(program, { eval: true, workerData: { buffer: view.buffer, offset: view.byteOffset } })
      const exited = once(worker, "exit") // listened for before it can happen
      let looks = 0
      while ((yield* Task.load32(Units.raw(base) + 4)) === 0) {
        looks++
        yield* Effect.sleep("1 millis")
      }
      yield* Effect.promise(() => exited)
      const count = yield* Task.load32(base)
      if (count !== 1000)
        return yield* Effect.fail(Kernel.checkFailed(`the worker counted to 1000, the process reads ${count}`))
      yield* Console.log(
        `the worker has counted to ${count}; the process saw it ${looks > 0 ? "while it ran" : "at once"}`
      )
    })
  )
})

export default Kernel.scenario(
  { name: "worker", frames: 64, sharedMemory: true },
  story.pipe(Effect.catch((e) => (e._tag === "CheckFailed" ? Effect.fail(e) : Effect.die(e))))
)
