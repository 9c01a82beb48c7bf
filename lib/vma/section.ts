/** Sections at run time: take what a section holds, lend it to a body, give it back however the body ends. Floor 8,
 * internal.
 */
import { Cause, Context, Effect, Exit, Fiber, Scheduler } from "effect"
import { vmBugOn } from "../mm/base/debug.ts"
import type { StopName, Verb } from "../mm/base/stop.ts"
import { drive, type Restore } from "./rim.ts"
import { flush, Guard, Inside, type World } from "./world.ts"

/** Answer of `Opening.now`: it would have to wait. Nothing has changed. */
export const WAITS = -1

/** A section about to begin: where, and what it takes and gives back, with its row current. */
export interface Opening<W extends StopName> {
  readonly world: World
  /** The section or hook around it. */
  readonly outer: Guard | undefined
  /** Takes the locks in one plain turn. Its answer is what the body is lent; 0: refused, nothing is held; or WAITS. */
  readonly now: () => number
  /** The same, waiting where it must. */
  readonly take: () => Verb<W>
  /** Gives back what was taken. */
  readonly leave: (lent: number) => void
}

/** Runs `body` between `take` and `leave`, or `refused` when nothing could be taken. Uncontended, that is one turn. */
export const section = <W extends StopName, A, E, R, B, E2>(
  open: () => Opening<W>,
  body: (guard: Guard, lent: number) => Effect.Effect<A, E, R>,
  refused: () => Effect.Effect<B, E2>
): Effect.Effect<A | B, E | E2, R> =>
  Effect.uninterruptibleMask((restore) => {
    const o = open()
    const w = o.world
    const runs = w.k.runs
    const r = runs.alloc(o.outer?.live === true ? o.outer.run : 0)
    runs.current = r
    const then = (lent: number): Effect.Effect<A | B, E | E2, R> => {
      if (lent !== 0) return within(o, r, lent, body, restore)
      runs.release(r)
      return refused()
    }
    // With an explorer the pieces are strung by the generator, so that others may come between them.
    const lent = w.at === undefined ? o.now() : WAITS
    if (lent !== WAITS) return then(lent)
    return Effect.flatMap(entered(w, r, drive(w, r, o.take(), undefined, restore)), then)
  })

/** A section whose lock is always granted in the end has no use for `refused`. */
export const neverRefused = (): Effect.Effect<never> => Effect.sync(() => vmBugOn("a lock that waits was refused"))

/** A wait that was interrupted left nothing held: the row ends with it. */
const entered = (w: World, r: number, taking: Effect.Effect<number>): Effect.Effect<number> =>
  Effect.onExit(taking, (exit) => {
    if (Exit.isFailure(exit)) w.k.runs.release(r)
    return Effect.void
  })

const within = <W extends StopName, A, E, R>(
  o: Opening<W>,
  r: number,
  lent: number,
  body: (guard: Guard, lent: number) => Effect.Effect<A, E, R>,
  restore: Restore
): Effect.Effect<A, E, R> => {
  const w = o.world
  const guard = new Guard(w, r, o.outer?.live === true ? o.outer : undefined)
  // As provideService does, but sharing the one frame that is needed anyway: 100 ns of 600.
  const fiber = Fiber.getCurrent()
  const before = fiber?.context
  if (before !== undefined) fiber?.setContext(Context.add(before, Inside, guard))
  return Effect.onExit(restore(Effect.suspend(() => body(guard, lent))), () => {
    if (before !== undefined) fiber?.setContext(before)
    guard.live = false
    w.k.runs.current = r
    o.leave(lent)
    w.k.runs.release(r)
    if (w.k.runs.wokenN !== 0) flush(w)
    return Effect.void
  })
}

/** Refuses a blocking lock that this fiber holds already: behind a queued writer it would wait for itself.
 * @param q - queue id of the lock
 */
export function assertNotHeld(w: World, outer: Guard | undefined, q: number): void {
  for (let g = outer; g !== undefined; g = g.outer) {
    if (g.live && g.world === w && g.run !== 0 && w.k.runs.mine[g.run] === q) {
      vmBugOn("possible recursive locking: mmap_lock is already held")
    }
  }
}

/** Runs `body` without letting go of the thread: what would wait dies, as it would in an RCU or spinlock section.
 * @param context - words for the message
 */
export const atomically = <A, E, R>(context: string, body: () => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.contextWith((services: Context.Context<R>) => {
    // The caller's scheduler would run the body's waits; here they must not happen.
    const exit = Effect.runSyncExitWith(Context.omit(Scheduler.Scheduler)(services))(Effect.suspend(body))
    if (Exit.isSuccess(exit)) return exit
    for (const reason of exit.cause.reasons) {
      if (!Cause.isDieReason(reason) || !Cause.isAsyncFiberError(reason.defect)) continue
      reason.defect.fiber.interruptUnsafe()
      return vmBugOn(`scheduling while atomic: ${context}`)
    }
    return exit
  })

/** The section or hook that the current fiber is inside of. */
export const insideNow = (): Guard | undefined => Fiber.getCurrent()?.getRef(Inside)
