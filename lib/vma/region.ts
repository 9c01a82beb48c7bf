/** Lock sections as types: a fresh, rank-2 type per section, which nothing typed by it can leave. Floor 8, internal.
 *
 * A section's body is generic in `here`, so no variable outside it can name `here`, and a value whose type mentions it
 * has no type out there. Four things make that hold, and each was found by a leak (types.md):
 * - `here` is invariant: `in out`, and a real `(_: here) => here` property. A covariant tag leaks silently.
 * - Every operation carries `Held<here>` in its R channel, so an effect that was not run yet cannot leave either.
 * - The body answers `Services | Holding<here>`: another symbol than `Held`, or TypeScript folds the two.
 * - `Fx` is inferred whole (a union of Effects, where the body is a ternary), its parts are computed from it.
 */
import type { Cause, Effect, Exit, Fiber, Option, Result } from "effect"

declare const afterUnlock: unique symbol
/** Key of the tag that ties a reference to its section; the name is what the compiler says. */
export declare const mustNotOutliveItsLock: unique symbol

/** Upper bound of every section's tag. It is what `here` turns into when a value escapes, hence the name. */
export interface AfterUnlock {
  readonly [afterUnlock]: true
}

/** Supertype of every reference that is tied to the section `here`, and the requirement (Effect's R channel) of every
 * operation on one. No service can provide it: only the end of the section takes it away.
 */
export interface Held<in out here extends AfterUnlock> {
  readonly [mustNotOutliveItsLock]: (_: here) => here
}

/** What a section's body may require because it runs inside the section `here`. */
export interface Holding<in out here extends AfterUnlock> extends Held<here> {}

type Same<X, Y> = (<T>() => T extends X ? 1 : 2) extends <T>() => T extends Y ? 1 : 2 ? true : false

/** `Q` without the requirement of the section that just ended; those of enclosing sections stay. */
export type Release<Q> = Q extends infer One ? (Same<One, Held<AfterUnlock>> extends true ? never : One) : never

/** Any Effect at all: what a section infers its body as. */
export type AnyEffect = Effect.Effect<unknown, unknown, unknown>

// A shallow probe, whose only job is the one-line message; invariance catches what it misses. Types may contain themselves
// (`type Json = Json[] | string`): after four levels of arrays, functions and the like it looks no further.
type Is<X> = 0 extends 1 & X ? never : X extends { readonly [mustNotOutliveItsLock]: infer Its } ? Ends<Its> : never
// Does it end with this section? Not what belongs to one around it, whose tag is a type of its own there. A name for the tag
// alone keeps TypeScript from answering before it knows the tag.
type Ends<Its> = Same<Its, Held<AfterUnlock>[typeof mustNotOutliveItsLock]> extends true ? true : never
type Requires<R> = unknown extends R
  ? true
  : R extends infer One
    ? Same<One, Held<AfterUnlock>> extends true
      ? true
      : never
    : never
type Leaks<X, Deep extends 0[] = []> = Deep["length"] extends 4
  ? never
  : 0 extends 1 & X
    ? never
    : X extends string | number | bigint | boolean | symbol | null | undefined | void
      ? never
      : X extends { readonly [mustNotOutliveItsLock]: infer Its }
        ? Ends<Its>
        : X extends Cause.YieldableError // an Effect that fails with itself: only what it says
          ? { [K in Exclude<keyof X, keyof Cause.YieldableError>]: Within<X[K]> }[Exclude<
              keyof X,
              keyof Cause.YieldableError
            >]
          : X extends Effect.Effect<infer A, infer E, infer R>
            ? Requires<R> | Leaks<A, [...Deep, 0]> | Leaks<E, [...Deep, 0]>
            : X extends (...args: never) => infer A
              ? Leaks<A, [...Deep, 0]>
              : X extends readonly (infer A)[]
                ? Leaks<A, [...Deep, 0]>
                : X extends ReadonlyMap<infer K, infer V>
                  ? Leaks<K, [...Deep, 0]> | Leaks<V, [...Deep, 0]>
                  : X extends ReadonlySet<infer A> | Promise<infer A> | Iterator<infer A>
                    ? Leaks<A, [...Deep, 0]>
                    : X extends
                          | Option.Option<infer A>
                          | Exit.Exit<infer A, infer A>
                          | Fiber.Fiber<infer A, infer A>
                          | Result.Result<infer A, infer A>
                      ? Leaks<A, [...Deep, 0]>
                      : X extends object
                        ? { [K in keyof X]-?: Within<X[K]> }[keyof X]
                        : never
type Within<X> =
  Is<X> extends never
    ? X extends readonly (infer A)[]
      ? Is<A>
      : X extends (...args: never) => unknown
        ? never
        : X extends object
          ? { [K in keyof X]-?: Is<X[K]> }[keyof X]
          : never
    : true

/** `Ok`, or the message if the result or the error still refers to the section that is about to end. Asked in two steps: where
 * a body is generic in its result or errors the first cannot be answered yet, and TypeScript, trying `any` for what it does
 * not know, sees that the second can only end in `Ok`.
 */
export type Stay<A, E, Ok> =
  Verdict<A, E> extends "leaks" ? "BUG: use after unlock: the result refers to what only this section may touch" : Ok
type Verdict<A, E> = [Leaks<A> | Leaks<E>] extends [never] ? "stays" : "leaks"

/** What a body must be that is inferred as `Fx` and runs in the section `here`. The first member is there for inference
 * only: what holds on to `here` fits the second, or neither. From the second nothing is inferred: its parts are conditional
 * types, which would match those of a body that is generic itself.
 */
export type Body<Fx, here extends AfterUnlock> =
  | Fx
  | NoInfer<Effect.Effect<Effect.Success<Fx>, Effect.Error<Fx>, Effect.Services<Fx> | Holding<here>>>
