/** What a user of the package pays: its public names, in a process on a machine of its own. */
import { Effect } from "effect"
import type * as Pagewright from "../../lib/index.ts"
import { best, type Figures, note, use } from "../measure.ts"

const CALLS = 10_000
const ROUNDS = 25
const WARM = 5
const CHUNK_PAGES = 64
const CHUNK = CHUNK_PAGES * 4096

export async function api(figures: Figures): Promise<void> {
  const { Kernel, Lockdep, Locked, MapFlags, Mm, ProtFlags, Task } = (await import(
    new URL("../../dist/index.js", import.meta.url).href
  )) as typeof Pagewright

  const memory = {
    length: 4096,
    prot: ProtFlags.READ | ProtFlags.WRITE,
    flags: MapFlags.PRIVATE | MapFlags.ANONYMOUS
  }
  const pair = Effect.flatMap(Task.mmap(memory), (at) => Task.munmap(at, 4096))
  const program = Effect.gen(function* () {
    yield* often(figures, "api.mmap", () => pair)
    const at = yield* Task.mmap(memory)
    yield* Task.store32(at, 42)
    yield* often(figures, "api.load", () => Task.load32(at))
    // 8 MB, more than a cache close to the processor holds, as of a process that is moved elsewhere
    const start = Number(yield* Task.mmap({ ...memory, length: 32 * CHUNK }))
    const chunk = new Uint8Array(CHUNK).fill(7)
    let next = 0
    const place = (): number => start + (next++ & 31) * CHUNK
    yield* often(figures, "api.storeBytes", () => Task.storeBytes(place(), chunk), 256, CHUNK_PAGES)
    yield* often(figures, "api.loadBytes", () => Task.loadBytes(place(), CHUNK), 256, CHUNK_PAGES)
    const cpu = yield* Task.cpu()
    const address = Number(at)
    cpu.resume()
    best(figures, "api.cpu", 1 << 18, (n) => {
      let sum = 0
      for (let i = 0; i < n; i++) sum = (sum + cpu.load32(address + ((i * 4) & 4095))) | 0
      use(sum)
    })
    yield* Effect.scoped(
      Effect.flatMap(Mm.current, (mm) =>
        Locked.withUser(mm, (user) => often(figures, "api.section", () => Locked.mmapRead(user, () => Effect.void)))
      )
    )
  })
  const run = Task.run("bench", program).pipe(Effect.orDie, Effect.provide(Kernel.layer({ frames: 4096 })))
  await Lockdep.runTask(run)
}

/** Times an effect, called over and over by one fiber; what it costs is spread over `each`. */
function often<E, R>(
  figures: Figures,
  id: string,
  call: () => Effect.Effect<unknown, E, R>,
  calls = CALLS,
  each = 1
): Effect.Effect<void, E, R> {
  return Effect.gen(function* () {
    for (let round = -WARM; round < ROUNDS; round++) {
      const from = process.hrtime.bigint()
      for (let i = 0; i < calls; i++) yield* call()
      if (round >= 0) note(figures, id, Number(process.hrtime.bigint() - from) / (calls * each))
    }
  })
}
