/** Failures: one type for each errno, so that catchTag takes them out one by one. */
import { Effect } from "effect"
import { Fail } from "pagewright"
import { expectAssignable, expectNotAssignable, expectType } from "tsd"

declare const either: Effect.Effect<number, Fail.Fail<"EBUSY" | "EIO">>
expectType<Effect.Effect<never, Fail.Errno<"EPERM">>>(Fail.fail("EPERM"))
expectType<Fail.Errno<"EPERM">>(Fail.make("EPERM"))
expectType<Effect.Effect<number, Fail.Errno<"EIO">>>(Effect.catchTag(either, "EBUSY", () => Effect.succeed(0)))
expectAssignable<Fail.Fail<Fail.ErrnoName>>(Fail.make("ENOMEM"))
expectNotAssignable<Fail.Fail<"EIO">>(Fail.make("EBUSY"))
