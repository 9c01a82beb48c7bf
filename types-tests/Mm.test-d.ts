/** Handles of an address space: an async one is one with users, and that is one. */
import type { Effect, Option, Scope } from "effect"
import { type Fail, type Locked, type Lockdep, Mm } from "pagewright"
import { expectAssignable, expectNotAssignable, expectType } from "tsd"

declare const seven: Effect.Effect<number>
declare const mm: Mm.Mm
declare const user: Mm.MmWithUser<Locked.AfterUnlock>
declare const later: Mm.MmWithUserAsync<Locked.AfterUnlock>
expectAssignable<Mm.MmWithUser<Locked.AfterUnlock>>(later)
expectAssignable<Mm.Mm>(user)
expectNotAssignable<Mm.MmWithUser<Locked.AfterUnlock>>(mm)
expectType<Effect.Effect<Mm.Mm, Fail.Errno<"ESRCH">, Scope.Scope>>(Mm.current)
expectType<Effect.Effect<Option.Option<number>, never, Lockdep.Sleeps<"mmput()">>>(Mm.mmgetNotZero(mm, () => seven))
expectType<Effect.Effect<Mm.MmWithUserAsync<Locked.AfterUnlock>, never, Locked.Held<Locked.AfterUnlock>>>(
  Mm.intoMmputAsync(user)
)
