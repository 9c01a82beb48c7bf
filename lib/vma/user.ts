/** Sections in which an address space has users. Floor 8, internal. */
import { Effect } from "effect"
import { mmgetNotZero } from "../mm/area/mm.ts"
import { mmput, mmputAsync } from "../mm/sys/process.ts"
import { MmObject, MmUser } from "./handles.ts"
import { inner } from "./raw.ts"
import { door, tearDownLater } from "./rim.ts"
import { insideNow } from "./section.ts"
import { Guard, type World } from "./world.ts"

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
