/** Lock order and atomic context, checked in Effect's R channel. Texts follow lockdep's own splats. Floor 8. */
import { Effect, type Exit } from "effect"
import type { LockClasses, LockOrder } from "./lock-order.ts"
import { discharged } from "./raw.ts"

export type { LockClasses, LockOrder } from "./lock-order.ts"

declare const takes: unique symbol
declare const sleeps: unique symbol

/** Name of a lock class. */
export type LockClass = keyof LockClasses

/** "Running this effect takes a lock of class C." No service provides it; `runTask` ends it. */
export interface Takes<out C extends LockClass> {
  readonly [takes]: C
}

/** "Running this effect may sleep, because of Why." No service provides it; `runTask` ends it. */
export interface Sleeps<out Why extends string> {
  readonly [sleeps]: Why
}

/** The markers that a task ends: it starts with no lock held and may sleep. */
export type Markers = Takes<LockClass> | Sleeps<string>

/** What may be taken while X is held, transitively; `Seen` ends a cycle (which the run-time table refuses). */
type Inside<X extends LockClass, Seen = never> = X extends Seen ? never : Further<Edge<X>, Seen | X>
type Edge<X extends LockClass> = keyof LockOrder extends infer K
  ? K extends `${X} > ${infer C extends LockClass}`
    ? C
    : never
  : never
type Further<C extends LockClass, Seen> = C extends LockClass ? C | Inside<C, Seen> : never

type TakenBy<Q> = Q extends Takes<infer C> ? C : never
type SleepIn<Q> =
  Q extends Sleeps<infer W>
    ? W
    : Q extends Takes<infer C>
      ? C extends LockClass
        ? LockClasses[C] extends "sleeps"
          ? `taking ${C}`
          : never
        : never
      : never

type OrderSplat<X extends LockClass, Q> =
  Exclude<TakenBy<Q>, Inside<X>> extends infer C extends string
    ? C extends X
      ? `BUG: possible recursive locking: ${C} is already held`
      : `BUG: possible circular locking: ${C} taken inside ${X}`
    : never
type SleepSplat<Context extends string, Q> =
  SleepIn<Q> extends infer W extends string
    ? `BUG: sleeping function called from invalid context: ${W} inside ${Context}`
    : never

/** `Ok`, or the message if requirements `Q`, met inside a section of class X, break the lock order. */
export type InOrder<X extends LockClass, Q, Ok> = [OrderSplat<X, Q>] extends [never] ? Ok : OrderSplat<X, Q>
/** `Ok`, or the message if requirements `Q` may sleep. */
export type Atomic<Context extends string, Q, Ok> = [SleepSplat<Context, Q>] extends [never]
  ? Ok
  : SleepSplat<Context, Q>
/** A spinlock section: ordered and atomic. */
export type Spin<X extends LockClass, Q, Ok> = [OrderSplat<X, Q> | SleepSplat<X, Q>] extends [never]
  ? Ok
  : OrderSplat<X, Q> | SleepSplat<X, Q>

/** Runs a task: it starts with no lock held and may sleep, so the markers end here. Every errno must be handled first.
 *
 * Terminal on purpose, not an Effect to Effect function: inside a section that would hide what the section must see.
 * @returns the task's result; rejects only for a defect
 * @locks none held on entry
 */
export const runTask = <A>(self: Effect.Effect<A, never, Markers>): Promise<A> => Effect.runPromise(discharged(self))

/** Runs a task and answers how it ended; failures need no handling first.
 * @locks none held on entry
 */
export const runTaskExit = <A, E>(self: Effect.Effect<A, E, Markers>): Promise<Exit.Exit<A, E>> =>
  Effect.runPromiseExit(discharged(self))
