/** Machines: a Layer, and scenarios that need nothing more. */
import { Effect, type Layer } from "effect"
import { Kernel, type Lockdep, Task } from "pagewright"
import { expectAssignable, expectError, expectType } from "tsd"

expectType<Layer.Layer<Kernel.Kernel>>(Kernel.layer({ frames: 64 }))
expectType<Kernel.Scenario>(Kernel.scenario({ name: "quiet" }, Effect.void))
expectAssignable<Effect.Effect<void, Kernel.CheckFailed>>(Kernel.scenario({ name: "quiet" }, Effect.void).run)
// locks may be taken and processes run; what may fail must be handled first (text: diagnostics/locks.ts M30)
declare const maps: Effect.Effect<string, never, Kernel.Kernel | Lockdep.Takes<"mmap_lock">>
expectType<Kernel.Scenario>(Kernel.scenario({ name: "maps" }, maps))
expectError(Kernel.scenario({ name: "unhandled" }, Task.run("test", Task.maps)))
