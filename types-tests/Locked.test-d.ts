/** Sections: what stands in the type when they are over. What is refused: diagnostics/sections.ts, locks.ts, bodies.ts. */
import { Data, Effect, type Option } from "effect"
import { type Fail, Locked, type Lockdep, type Mm, Units } from "pagewright"
import { expectType } from "tsd"

declare const seven: Effect.Effect<number>
declare const mm: Mm.Mm
declare const user: Mm.MmWithUser<Locked.AfterUnlock>
declare const file: Locked.Mapping
const at = Units.va("0x1000")

expectType<Effect.Effect<number, Fail.Errno<"ESRCH">, Lockdep.Sleeps<"mmput()">>>(Locked.withUser(mm, () => seven))
expectType<Effect.Effect<number, Fail.Errno<"ESRCH">>>(Locked.withUserAsync(mm, () => seven))
expectType<Effect.Effect<number, Fail.Errno<"EFAULT">, Locked.Held<Locked.AfterUnlock> | Lockdep.Takes<"mmap_lock">>>(
  Locked.mmapRead(user, (mmap) => Effect.map(mmap.vmaLookup(at), (vma) => Units.raw(vma.end)))
)
expectType<Effect.Effect<Option.Option<number>, never, Locked.Held<Locked.AfterUnlock>>>(
  Locked.mmapReadTry(user, () => seven)
)
expectType<Effect.Effect<Option.Option<number>, never, Locked.Held<Locked.AfterUnlock>>>(
  Locked.tryVmaRead(user, at, (vma) => Effect.succeed(Units.raw(vma.end)))
)
expectType<Effect.Effect<number, Fail.Errno<"ESRCH">, Locked.Held<Locked.AfterUnlock> | Lockdep.Takes<"mmap_lock">>>(
  Locked.withVma(user, at, (vma) => Effect.succeed(Units.raw(vma.end)))
)
expectType<Effect.Effect<void, never, Lockdep.Takes<"i_mmap_rwsem">>>(Locked.iMmapRead(file, () => Effect.void))
expectType<Effect.Effect<void>>(Locked.rcuRead(() => Effect.void))

// errors of a program's own pass; Effect's are effects themselves, and no section holds on to itself through them
class NotOurs extends Data.TaggedError("NotOurs")<{ readonly at: number }> {}
expectType<Effect.Effect<never, NotOurs, Locked.Held<Locked.AfterUnlock> | Lockdep.Takes<"mmap_lock">>>(
  Locked.mmapRead(user, () =>
    Effect.gen(function* () {
      return yield* new NotOurs({ at: 1 })
    })
  )
)

// so do results whose type contains itself
type Json = string | readonly Json[]
declare const json: Json
expectType<Effect.Effect<Json, never, Locked.Held<Locked.AfterUnlock> | Lockdep.Takes<"mmap_lock">>>(
  Locked.mmapRead(user, () => Effect.succeed(json))
)
