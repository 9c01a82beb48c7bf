/** The service that says which machine a program runs on. Floor 8, internal. */
import { Context, Effect } from "effect"
import type { Machine } from "./mm-handle.ts"
import { inner } from "./raw.ts"
import { World } from "./world.ts"

/** The machine that a program runs on. Several live side by side in one process. */
export class Kernel extends Context.Service<Kernel, Machine>()("pagewright/Kernel") {}

/** An effect on the machine of the current context. */
export const onWorld = <A, E, R>(f: (w: World) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R | Kernel> =>
  Effect.flatMap(Kernel, (here) => f(inner(here, World)))
