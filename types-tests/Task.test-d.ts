/** Programs: what a process does stands in the type, its signals and its driver's errors too. */
import type { Effect, Fiber } from "effect"
import { type Device, type Fail, type Kernel, type Lockdep, Task, type Units } from "pagewright"
import { expectAssignable, expectNotAssignable, expectType } from "tsd"

type Mmap = Task.Task | Lockdep.Takes<"mmap_lock">
declare const device: Device.Device<{ n: number }, Fail.Fail<"EBUSY">, { readonly _tag: "Tired" }, never>
declare const program: Effect.Effect<number, Task.Signal, Mmap>

expectType<Effect.Effect<number, Task.Signal, Mmap>>(Task.load32(0))
expectType<Effect.Effect<bigint, Task.Signal, Mmap>>(Task.load64(0n))
expectType<Effect.Effect<Units.UserAddr, never, Mmap>>(Task.brk(0))
expectType<
  Effect.Effect<
    Task.Fd<{ readonly _tag: "Tired" }>,
    Fail.Errno<"EBUSY"> | Fail.Fail<"ENOENT" | "ENFILE" | "EMFILE">,
    Task.Task
  >
>(Task.open(device, "rw"))
expectType<Effect.Effect<Task.Fd<Fail.Fail<Fail.ErrnoName>>, Fail.Fail<Fail.ErrnoName>, Task.Task>>(
  Task.open("/data", "r")
)
declare const fd: Task.Fd<{ readonly _tag: "Tired" }>
type MmapErrors = Effect.Error<ReturnType<typeof Task.mmap<{ readonly _tag: "Tired" }>>>
expectAssignable<MmapErrors>({ _tag: "Tired" } as const)
expectNotAssignable<MmapErrors>({ _tag: "Other" } as const)
expectAssignable<Task.MmapRequest<{ readonly _tag: "Tired" }>>({ length: 1, prot: 1, flags: 1, fd })
// run is the program plus what making a process may fail with; the Task is provided
expectType<
  Effect.Effect<number, Task.Signal | Fail.Fail<"EAGAIN" | "ENOMEM">, Lockdep.Takes<"mmap_lock"> | Kernel.Kernel>
>(Task.run("test", program))
expectType<Effect.Effect<Task.Child<number, Task.Signal>, Fail.Fail<"EAGAIN" | "ENOMEM">, Mmap>>(Task.fork(program))
declare const child: Task.Child<number, Task.Signal>
expectType<Effect.Effect<number, Task.Signal>>(Task.wait(child))
expectAssignable<Fiber.Fiber<number, Task.Signal>>(child.fiber)
