/**
 * Post-copy live migration: a task stops here and goes on at once in another process of the host, on a kernel of its own,
 * before it has any of its memory there. What it touches is fetched when it touches it; the rest comes in the background.
 *
 *     npx pagewright run examples/postcopy/main.ts
 *     POSTCOPY_SIZE=1GiB npx pagewright run examples/postcopy/main.ts
 */
import { ByteSize, Config, Console, Effect } from "effect"
import { Kernel, Task } from "pagewright"
import { runBeside } from "./child.ts"
import { listen } from "./connection.ts"
import { PAGE } from "./layout.ts"
import { migrate } from "./source.ts"

/** Frames for what is not the task's data. */
const SPARE = 256

const story = (dataPages: number) =>
  Effect.gen(function* () {
    const server = yield* listen
    const destination = yield* runBeside(new URL("./destination.ts", import.meta.url), {
      POSTCOPY_PORT: String(server.port)
    })
    yield* Console.log(`the destination is process ${destination.pid} of the host; it connects to port ${server.port}`)
    const source = Task.run("source", migrate(dataPages, server))
    yield* Effect.raceFirst(source, Effect.andThen(destination.ended, Effect.never))
    yield* destination.ended
  })

export default {
  name: "postcopy",
  run: Effect.gen(function* () {
    const size = yield* Config.ByteSize("POSTCOPY_SIZE").pipe(Config.withDefault(ByteSize.mebibytes(48)))
    const dataPages = Math.ceil(ByteSize.toNumberUnsafe(size) / PAGE)
    yield* Kernel.scenario(
      { name: "postcopy", frames: dataPages + SPARE },
      Effect.catchIf(story(dataPages), (e) => e._tag !== "CheckFailed", Effect.die)
    ).run
  })
}
