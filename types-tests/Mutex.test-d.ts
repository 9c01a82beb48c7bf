/** A driver's mutex has a class, and its section a place in the order. */
import { Effect, type Option } from "effect"
import { type Lockdep, Mutex } from "pagewright"
import { expectType } from "tsd"

const mutex = Mutex.make("anon_vma")
expectType<Mutex.Mutex<"anon_vma">>(mutex)
expectType<Effect.Effect<number, never, Lockdep.Takes<"anon_vma">>>(
  Mutex.withLock(mutex, () => Effect.succeed(1 as number))
)
expectType<Effect.Effect<Option.Option<number>>>(Mutex.tryLock(mutex, () => Effect.succeed(1 as number)))
