/** Programs: what a process does stands in the type, its signals and its driver's errors too. */
import type { Effect, Fiber } from "effect"
import { type Device, type Fail, type Kernel, type Lockdep, Task, type Units } from "pagewright"
import { expectAssignable, expectError, expectNotAssignable, expectType } from "tsd"

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
// calls about memory that is mapped: each fails with the errnos that it can have, and takes any register
expectType<Effect.Effect<Units.PageAligned<Units.UserAddr>, Fail.Fail<Fail.ErrnoName>, Mmap>>(
  Task.mremap({ address: 0, oldLength: 1n, newLength: 1 })
)
type AdviceErrors = Effect.Error<ReturnType<typeof Task.madvise>>
declare const poisoned: Fail.Errno<"EHWPOISON">
declare const full: Fail.Errno<"ENOSPC">
expectAssignable<AdviceErrors>(poisoned)
expectNotAssignable<AdviceErrors>(full)
expectType<Effect.Effect<readonly boolean[], Fail.Fail<"EINVAL" | "ENOMEM">, Mmap>>(Task.mincore(0, 1))
expectType<Effect.Effect<void, never, Mmap>>(Task.munlockall)
// files in memory are mapped with no error of a driver's
expectType<Effect.Effect<Task.Fd<never>, Fail.Fail<"EMFILE" | "ENFILE">, Task.Task>>(Task.memfdSecret)
expectType<Effect.Effect<number, Fail.Fail<"EBADF" | "EINVAL">, Task.Task>>(Task.getSeals(fd))
// segments
declare const id: number
expectType<Effect.Effect<Task.SegmentInfo, Fail.Fail<"EACCES" | "EINVAL">, Task.Task>>(Task.shmStat(id))
expectType<Effect.Effect<void, Fail.Fail<"EINVAL">, Mmap>>(Task.shmdt(0))
expectError(Task.shmSet(id, { uid: 0 }))
expectType<Effect.Effect<void, Fail.Fail<"EPERM">, Task.Task>>(Task.capset(["IPC_LOCK"]))
expectError(Task.capset(["CAP_IPC_LOCK"]))
