/** What the Effect side adds to the core. */
import { Effect } from "effect"
import type * as Rim from "../../lib/vma/rim.ts"
import type * as Worlds from "../../lib/vma/world.ts"
import { mmap, munmap } from "../built.ts"
import { type Figures, timed } from "../measure.ts"
import { ANON, PAGE, RW, world } from "../world.ts"

const CALLS = 10_000

export async function rim(figures: Figures): Promise<void> {
  const { door } = (await import(new URL("../../dist/vma/rim.js", import.meta.url).href)) as typeof Rim
  const { Guard, guarded, World } = (await import(
    new URL("../../dist/vma/world.js", import.meta.url).href
  )) as typeof Worlds
  const { k, task } = world()
  const w = new World(k)
  const row = k.runs.alloc(0)
  const guard = new Guard(w, row, undefined)
  // eslint-disable-next-line require-yield
  function* empty(): Generator<never, number, number> {
    return 0
  }
  const calls: Record<string, () => Effect.Effect<unknown>> = {
    "rim.floor": () => Effect.suspend(() => Effect.void),
    "rim.plain": () => guarded(guard, () => Effect.void),
    "rim.door": () => door(w, task, empty, Effect.succeed),
    "rim.mmap": () =>
      Effect.flatMap(
        door(w, task, () => mmap(k, task, 0, PAGE, RW, ANON, -1, 0), Effect.succeed),
        (at) => door(w, task, () => munmap(k, task, at, PAGE), Effect.succeed)
      )
  }
  for (const [id, call] of Object.entries(calls)) {
    const program = Effect.gen(function* () {
      for (let i = 0; i < CALLS; i++) yield* call()
    })
    for (let i = 0; i < 25; i++) {
      if (i < 5) Effect.runSync(program)
      else timed(figures, id, CALLS, () => Effect.runSync(program))
    }
  }
}
