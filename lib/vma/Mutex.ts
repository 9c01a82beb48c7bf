/** A driver's own sleeping lock, with a place in the lock order. Floor 8. */
import { Effect, type Option, Semaphore } from "effect"
import type { InOrder, LockClass, Takes } from "./Lockdep.ts"
import { ran } from "./raw.ts"
import type { AnyEffect } from "./region.ts"

declare const lockClass: unique symbol

/** A mutex of lock class `C`, which the driver has added to `LockClasses`. It belongs to the driver's state. */
export interface Mutex<out C extends LockClass> {
  readonly [lockClass]?: C
  /** The class, for messages. */
  readonly name: C
}

class MutexObject<C extends LockClass> implements Mutex<C> {
  readonly name: C
  readonly semaphore = Semaphore.makeUnsafe(1)
  constructor(name: C) {
    this.name = name
  }
}

/** A mutex nobody holds.
 * @example
 * ```ts
 * import { Mutex } from "pagewright"
 * declare module "pagewright" {
 *   interface LockClasses {
 *     readonly ring_lock: "sleeps"
 *   }
 *   interface LockOrder {
 *     readonly "ring_lock > mmap_lock": true
 *   }
 * }
 * const lock = Mutex.make("ring_lock")
 * ```
 */
export const make = <const C extends LockClass>(name: C): Mutex<C> => new MutexObject(name)

const semaphoreOf = (mutex: object): Semaphore.Semaphore => {
  if (mutex instanceof MutexObject) return mutex.semaphore
  throw new TypeError("expected a mutex of Mutex.make")
}

/** Runs `body` while the mutex is held.
 * @locks takes `C`; waits its turn, first come, first served
 * @source include/linux/mutex.h mutex_lock (v6.18)
 */
export const withLock = <C extends LockClass, Fx extends AnyEffect>(
  mutex: Mutex<C>,
  body: () => InOrder<C, Effect.Services<Fx>, Fx>
): Effect.Effect<Effect.Success<Fx>, Effect.Error<Fx>, Effect.Services<Fx> | Takes<C>> =>
  semaphoreOf(mutex).withPermits(1)(Effect.suspend(() => ran<Fx>(body())))

/** Runs `body` while the mutex is held, if it is to be had at once.
 * @returns none if somebody holds it
 * @locks takes `C` without waiting: it has no place in the lock order
 * @source include/linux/mutex.h mutex_trylock (v6.18)
 */
export const tryLock = <C extends LockClass, Fx extends AnyEffect>(
  mutex: Mutex<C>,
  body: () => InOrder<C, Effect.Services<Fx>, Fx>
): Effect.Effect<Option.Option<Effect.Success<Fx>>, Effect.Error<Fx>, Effect.Services<Fx>> =>
  semaphoreOf(mutex).withPermitsIfAvailable(1)(Effect.suspend(() => ran<Fx>(body())))
