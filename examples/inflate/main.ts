/**
 * A megabyte of text in a few kilobytes of memory, mapped as if it were there. `npx pagewright run examples/inflate/main.ts`
 */
import { createHash } from "node:crypto"
import { Console, Effect } from "effect"
import { Kernel, Mappable, Task, Units } from "pagewright"
import { makeInflate } from "./inflate.ts"

const MIB = 2 ** 20
const content = new TextEncoder()
  .encode(Array.from({ length: 40_000 }, (_, i) => `line ${i}: pages are made up as they are read\n`).join(""))
  .subarray(0, MIB)
const hash = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex").slice(0, 16)
const kib = (bytes: number) => `${Math.round(bytes / 1024)} KiB`

export default Kernel.scenario(
  { name: "inflate", frames: 512 },
  Effect.gen(function* () {
    const { inflations, object, packedBytes, shrink } = yield* makeInflate("book", content)
    const identity = yield* Mappable.identity(object, { name: "/books/pages" })
    yield* Console.log(`${kib(content.length)} of text, ${kib(packedBytes)} compressed`)
    yield* Task.run(
      "reader",
      Effect.gen(function* () {
        const base = yield* Mappable.map({ identity, length: MIB, perms: "r--" })
        yield* Console.log(`mapped at ${Units.hex(base)}: nothing is unpacked, ${inflations()} blocks inflated`)
        const at = Units.raw(base) + 500_000
        const line = new TextDecoder().decode(yield* Task.loadBytes(at, 64))
        yield* Console.log(`byte 500,000 and on: "${line.split("\n")[1] ?? ""}", ${inflations()} block inflated`)
        let whole = ""
        for (const half of [0, MIB / 2]) {
          const bytes = yield* Task.loadBytes(Units.raw(base) + half, MIB / 2)
          whole += hash(bytes)
          const gone = yield* shrink
          yield* Console.log(`read ${kib(MIB / 2)}; under pressure ${gone} blocks were packed away`)
        }
        const expected = hash(content.subarray(0, MIB / 2)) + hash(content.subarray(MIB / 2))
        if (whole !== expected) return yield* Effect.fail(Kernel.checkFailed("what was read is not what was packed"))
        yield* Console.log(`every byte is right, in ${inflations()} inflations`)
        const refused = yield* Effect.orDie(Effect.flip(Task.store8(base, 1)))
        yield* Console.log(`a write ends in ${refused._tag}: the object may be read, and nothing else`)
      })
    ).pipe(Effect.catch((e) => (e._tag === "CheckFailed" ? Effect.fail(e) : Effect.die(e))))
  }).pipe(Effect.catch((e) => (e._tag === "CheckFailed" ? Effect.fail(e) : Effect.die(e))))
)
