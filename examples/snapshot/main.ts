/**
 * A consistent image of a process's memory, in a file, taken while the process writes on.
 * `npx pagewright run examples/snapshot/main.ts`
 */
import { createHash } from "node:crypto"
import { mkdtemp, open, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Console, Effect, Fiber } from "effect"
import { Kernel, MapFlags, ProtFlags, Task, Units } from "pagewright"
import { type Block, isAvailable, isCompatible, prepare, type Sink, SinkError, snapshot } from "./snapshot.ts"

const PAGES = 256
const LENGTH = PAGES * 4096
const hash = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex").slice(0, 16)

/** A program that never stops to write, here and there, until it is told. */
const program = (at: number, told: () => boolean) =>
  Effect.gen(function* () {
    let where = 1
    for (let step = 1; !told(); step++) {
      where = (where * 1103515245 + 12345) % 2 ** 31
      yield* Task.store32(at + (where % (LENGTH / 4)) * 4, step)
      if (step % 8 === 0) yield* Effect.sleep(0)
    }
  })

const written = (io: () => Promise<unknown>): Effect.Effect<void, SinkError> =>
  Effect.asVoid(Effect.tryPromise({ try: io, catch: (cause) => new SinkError({ cause }) }))

/** A file in a directory of its own, both gone when the scope ends. */
const imageFile = Effect.gen(function* () {
  const dir = yield* Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "snapshot-"))),
    (made) => Effect.promise(() => rm(made, { recursive: true }))
  )
  const path = join(dir, "memory")
  const file = yield* Effect.acquireRelease(
    Effect.promise(() => open(path, "w")),
    (opened) => Effect.promise(() => opened.close())
  )
  const sink: Sink = {
    write: (_, offset, bytes) => written(() => file.write(bytes, 0, bytes.length, offset)),
    flush: written(() => file.datasync())
  }
  return { path, sink }
})

const story = Task.run(
  "subject",
  Effect.scoped(
    Effect.gen(function* () {
      const prot = ProtFlags.READ | ProtFlags.WRITE
      const base = yield* Task.mmap({ length: LENGTH, prot, flags: MapFlags.PRIVATE | MapFlags.ANONYMOUS })
      const at = Units.raw(base)
      const blocks: readonly Block[] = [{ start: at, used: LENGTH, max: LENGTH }]
      if (!(yield* isAvailable) || !(yield* isCompatible(blocks)))
        return yield* Console.log("this kernel cannot tell of writes")
      let over = false
      const writer = yield* Effect.forkChild(program(at, () => over))
      yield* Effect.sleep(0)
      yield* prepare(blocks)

      const { path, sink } = yield* imageFile
      let then = ""
      const moment = Effect.map(Effect.orDie(Task.loadBytes(at, LENGTH)), (bytes) => void (then = hash(bytes)))
      const waited = yield* snapshot(blocks, sink, moment)
      const image = hash(yield* Effect.promise(() => readFile(path)))
      const now = hash(yield* Task.loadBytes(at, LENGTH))
      over = true
      yield* Fiber.join(writer)

      yield* Console.log(`memory when the snapshot began   ${then}`)
      yield* Console.log(`the image of ${PAGES} pages, on disk  ${image}`)
      yield* Console.log(`memory when it was complete      ${now}: the program wrote on, and waited ${waited} times`)
      if (image !== then) return yield* Effect.fail(Kernel.checkFailed("the image is not of one moment"))
      if (now === then || waited === 0) return yield* Effect.fail(Kernel.checkFailed("nothing was written meanwhile"))
    })
  )
)

export default Kernel.scenario(
  { name: "snapshot", frames: 512 },
  story.pipe(Effect.catch((e) => (e._tag === "CheckFailed" ? Effect.fail(e) : Effect.die(e))))
)
