/**
 * A simulated process edits a file of the host through its memory. `npx pagewright run examples/host-file/main.ts`
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Console, Effect } from "effect"
import { Kernel, Mappable, Task, Units } from "pagewright"
import { makeHostFile } from "./host-file.ts"

const MS_SYNC = 4
const text = Array.from({ length: 2000 }, (_, i) => `${i} green bottles\n`).join("")

const story = Effect.gen(function* () {
  const folder = yield* Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "pagewright-"))),
    (path) => Effect.promise(() => rm(path, { recursive: true }))
  )
  const path = join(folder, "bottles.txt")
  yield* Effect.promise(() => writeFile(path, text))
  const { identity, pagesRead, size } = yield* makeHostFile(path)
  yield* Task.run(
    "editor",
    Effect.gen(function* () {
      const base = yield* Mappable.map({ identity, length: size, perms: "rw-" })
      yield* Console.log(`${size} bytes of a file of the host are mapped; ${pagesRead()} pages are read`)
      const at = text.indexOf("1000 green")
      const found = new TextDecoder().decode(yield* Task.loadBytes(Units.raw(base) + at, 18))
      yield* Console.log(`"${found.trim()}" is there; ${pagesRead()} page is read`)
      yield* Task.storeBytes(Units.raw(base) + at + 5, new TextEncoder().encode("brown"))
      const before = yield* Effect.promise(() => readFile(path, "utf8"))
      yield* Console.log(
        `written through memory; the host's file has ${before === text ? "not changed yet" : "changed"}`
      )
      yield* Task.msync(base, size, MS_SYNC)
      const after = yield* Effect.promise(() => readFile(path, "utf8"))
      const expected = text.replace("1000 green", "1000 brown")
      if (after !== expected) return yield* Effect.fail(Kernel.checkFailed("msync did not store what was written"))
      yield* Console.log(
        `msync: the host's file says "${after.slice(at, at + 18).trim()}", and nothing else has changed`
      )
      const end = Math.ceil(size / 4096) * 4096
      const wide = yield* Mappable.map({ identity, length: end + 4096, perms: "r--" })
      const signal = yield* Effect.orDie(Effect.flip(Task.load8(Units.raw(wide) + end)))
      yield* Console.log(`beyond its end there is ${signal._tag}`)
    })
  )
})

export default Kernel.scenario(
  { name: "host-file", frames: 128 },
  story.pipe(Effect.catch((e) => (e._tag === "CheckFailed" ? Effect.fail(e) : Effect.die(e))))
)
