/** A driver's mutex has a class, and its section a place in the order. */
import type { Effect, Option } from "effect"
import { type Lockdep, Mutex } from "pagewright"
import { expectType } from "tsd"

declare const seven: Effect.Effect<number>
const mutex = Mutex.make("anon_vma")
expectType<Mutex.Mutex<"anon_vma">>(mutex)
expectType<Effect.Effect<number, never, Lockdep.Takes<"anon_vma">>>(Mutex.withLock(mutex, () => seven))
expectType<Effect.Effect<Option.Option<number>>>(Mutex.tryLock(mutex, () => seven))
