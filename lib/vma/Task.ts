/** Processes. */
import type { Effect, Fiber } from "effect"
import type { Held } from "./region.ts"
import type { AfterUnlock } from "./region.ts"
import type { Markers } from "./Lockdep.ts"
type HeldIn<Q> = Q extends Held<infer here extends AfterUnlock> ? Held<here> : never
/** Starts a kernel thread. */
export declare const kthread: <A, E, Q>(
  self: [HeldIn<Q>] extends [never] ? Effect.Effect<A, E, Q> : "BUG: a new task cannot rely on a lock its parent holds"
) => Effect.Effect<Fiber.Fiber<A, E>, never, Exclude<Q, Markers>>
