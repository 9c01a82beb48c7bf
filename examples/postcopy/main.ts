/**
 * Post-copy live migration: a task stops here and goes on at once in another process of the host, on a kernel of its own,
 * before its memory is there. What it touches is fetched when it touches it; the rest comes in the background.
 *
 *     source                            destination
 *     starts it, connects               probe: can userfaultfd do it?
 *     Advise: the areas           -->   maps them, unlocks, empties, registers
 *     the task runs               <--   Listening
 *     stops it, Run               -->   the task goes on, and faults
 *     looks for page 7            <--   Request 7
 *     Pages 7                     -->   copyPage, which wakes it
 *     Pages 0..63, ...            -->   copyPage, if nobody asks
 *     cuts the connection               the task waits, if it touches what is not there
 *     what is missing             <--   Received: a bitmap; requests again
 *     compares                    <--   Arrived, Halted: fingerprints
 *
 *     npx pagewright run examples/postcopy/main.ts
 *     POSTCOPY_SIZE=1GiB npx pagewright run examples/postcopy/main.ts
 */
import { Console, Effect } from "effect"
import { Kernel, Task } from "pagewright"
import { runBeside } from "./child.ts"
import { listen } from "./connection.ts"
import { dataPages, framesFor } from "./settings.ts"
import { migrate } from "./source.ts"

const story = (pages: number) =>
  Effect.gen(function* () {
    const server = yield* listen
    const destination = yield* runBeside(new URL("./destination.ts", import.meta.url), {
      POSTCOPY_PORT: String(server.port)
    })
    yield* Console.log(`the destination is process ${destination.pid} of the host; it connects to port ${server.port}`)
    const source = Task.run("source", migrate(pages, server))
    yield* Effect.raceFirst(source, Effect.andThen(destination.ended, Effect.never))
    yield* destination.ended
  })

export default {
  name: "postcopy",
  run: Effect.gen(function* () {
    const pages = yield* dataPages
    yield* Kernel.scenario(
      { name: "postcopy", frames: framesFor(pages) },
      Effect.catchIf(story(pages), (e) => e._tag !== "CheckFailed", Effect.die)
    ).run
  })
}
