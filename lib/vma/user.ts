/** Sections in which an address space has users. Floor 8, internal. */
import { Effect, type Fiber } from "effect"
import { mmgetNotZero } from "../mm/area/mm.ts"
import { drainMmput, mmput, mmputAsync } from "../mm/sys/process.ts"
import { MmObject, MmUser } from "./handles.ts"
import { inner } from "./raw.ts"
import { door } from "./rim.ts"
import { insideNow } from "./section.ts"
import { Guard, Inside, type World } from "./world.ts"

/** Runs `body` with one more user of the address space, or `gone` if it has none. */
export const withUsers = <A, E, R, B, E2>(
  mm: object,
  async: boolean,
  body: (user: MmUser) => Effect.Effect<A, E, R>,
  gone: () => Effect.Effect<B, E2>
): Effect.Effect<A | B, E | E2, R> =>
  Effect.uninterruptibleMask((restore): Effect.Effect<A | B, E | E2, R> => {
    const { world, row } = inner(mm, MmObject)
    if (!mmgetNotZero(world.k, row)) return gone()
    const outer = insideNow()
    const guard = new Guard(world, 0, outer?.live === true ? outer : undefined)
    const user = new MmUser(guard, row)
    user.async = async
    return Effect.onExit(restore(Effect.suspend(() => body(user))), () => {
      guard.live = false
      return user.async
        ? putLater(world, row)
        : Effect.asVoid(door(world, 0, () => mmput(world.k, row), Effect.succeed))
    })
  })

/** Drops the reference; a teardown is a worker's. */
const putLater = (w: World, row: number): Effect.Effect<void> =>
  Effect.suspend(() => {
    mmputAsync(w.k, row)
    return tearDownLater(w)
  })

/** Leaves address spaces whose last user went to a worker. */
export const tearDownLater = (w: World): Effect.Effect<void> =>
  w.k.deferredMmput.length === 0 ? Effect.void : Effect.asVoid(worker(teardown(w)))

const teardown = (w: World): Effect.Effect<void> => Effect.asVoid(door(w, 0, () => drainMmput(w.k), Effect.succeed))

/** Work of the kernel's own: it outlives the section that left it, so that section's locks are not its locks. */
export const worker = <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<Fiber.Fiber<A, E>, never, R> =>
  Effect.forkDetach(Effect.provideService(work, Inside, undefined))
