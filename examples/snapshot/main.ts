/**
 * A consistent image of a process's memory, taken while the process writes on.
 * `npx pagewright run examples/snapshot/main.ts`
 */
import { createHash } from "node:crypto"
import { Console, Effect, Fiber } from "effect"
import { Kernel, MapFlags, ProtFlags, Task, Units } from "pagewright"
import { snapshot } from "./snapshot.ts"

const PAGES = 64
const LENGTH = PAGES * 4096
const hash = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex").slice(0, 16)

/** A program that never stops to write, here and there. */
const program = (at: number, steps: number) =>
  Effect.gen(function* () {
    let where = 1
    for (let step = 0; step < steps; step++) {
      where = (where * 1103515245 + 12345) % 2 ** 31
      yield* Task.store32(at + (where % (LENGTH / 4)) * 4, step)
      yield* Effect.yieldNow
    }
  })

const story = Task.run(
  "subject",
  Effect.gen(function* () {
    const prot = ProtFlags.READ | ProtFlags.WRITE
    const base = yield* Task.mmap({ length: LENGTH, prot, flags: MapFlags.PRIVATE | MapFlags.ANONYMOUS })
    const at = Units.raw(base)
    for (let page = 0; page < PAGES; page++) yield* Task.store32(at + page * 4096, page)
    const writer = yield* Effect.forkChild(program(at, 4000))
    yield* Effect.yieldNow
    let then = ""
    const { faults, image } = yield* snapshot(
      at,
      PAGES,
      Effect.map(Effect.orDie(Task.loadBytes(at, LENGTH)), (bytes) => {
        then = hash(bytes)
      })
    )
    const during = hash(yield* Task.loadBytes(at, LENGTH))
    yield* Fiber.join(writer)
    const now = hash(yield* Task.loadBytes(at, LENGTH))
    yield* Console.log(`memory when the snapshot began   ${then}`)
    yield* Console.log(`the image of ${PAGES} pages            ${hash(image)}`)
    yield* Console.log(`memory when it was complete      ${during}: the program wrote on, and waited ${faults} times`)
    yield* Console.log(`memory in the end                ${now}`)
    if (hash(image) !== then) return yield* Effect.fail(Kernel.checkFailed("the image is not of one moment"))
    if (during === then || faults === 0) return yield* Effect.fail(Kernel.checkFailed("nothing was written meanwhile"))
  })
)

export default Kernel.scenario(
  { name: "snapshot", frames: 256 },
  story.pipe(Effect.catch((e) => (e._tag === "CheckFailed" ? Effect.fail(e) : Effect.die(e))))
)
