/** Processes, and what they may ask: a user program is an effect that needs a `Task`. Floor 8.
 *
 * System calls take anything, as a register would, and answer with Linux's errno. Loads and stores end in a value or in a
 * signal, as a typed failure. A process that ends, however it ends, lets go of everything it had.
 */
import { Context, Effect, Fiber } from "effect"
import { TASK_LIVE } from "../mm/store/tasks.ts"
import { type Fail, fail } from "./Fail.ts"
import { endProcess, forkProcess, live, makeProcess, start } from "./life.ts"
import type { Markers, Takes } from "./Lockdep.ts"
import { type Kernel, onWorld } from "./machine.ts"
import { onProcess, Process, Task, type TaskShape } from "./process.ts"
import { detached, servicesAs } from "./raw.ts"
import type { AfterUnlock, Held } from "./region.ts"
import { worker } from "./rim.ts"

export { cpu, type Cpu, type WouldWait } from "./cpu.ts"
export {
  load16,
  load32,
  load64,
  load8,
  loadBytes,
  type Sigbus,
  type Sigkill,
  type Signal,
  type Sigsegv,
  store16,
  store32,
  store64,
  store8,
  storeBytes
} from "./memory.ts"
export {
  fdinfo,
  maps,
  pagemap,
  type ProcmapArea,
  procmapQuery,
  type ProcmapRequest,
  smaps,
  smapsRollup,
  statm,
  status
} from "./proc.ts"
export { Task, type TaskShape } from "./process.ts"
export {
  close,
  dup,
  fd,
  type Fd,
  ioctl,
  open,
  type OpenMode,
  poll,
  pread,
  pwrite,
  read,
  userfaultfd
} from "./file-calls.ts"
export { addSeals, fallocate, ftruncate, getSeals, memfdCreate, memfdSecret } from "./memfd.ts"
export { madvise, mincore, mlock, mlockall, mseal, msync, munlock, munlockall } from "./range-calls.ts"
export { pidfdOpen, processMadvise } from "./pidfd.ts"
export type { Register } from "./register.ts"
export { type SegmentInfo, shmat, shmdt, shmget, shmLock, shmRemove, shmSet, shmStat, shmUnlock } from "./segments.ts"
export { type Capability, capset, prctl, setrlimit, setuid, walk } from "./settings.ts"
export {
  brk,
  mmap,
  type MmapRequest,
  mprotect,
  mremap,
  type MremapRequest,
  munmap,
  remapFilePages
} from "./syscalls.ts"

type HeldIn<Q> = Q extends Held<infer here extends AfterUnlock> ? Held<here> : never

/** A program, unless it relies on a lock that its parent holds: then the message. */
export type Detached<A, E, Q> = [HeldIn<Q>] extends [never]
  ? Effect.Effect<A, E, Q>
  : "BUG: a new task cannot rely on a lock its parent holds"

/** Runs a program as a new process, and ends the process when the program is over.
 * @returns what the program does | EAGAIN no room for a process | ENOMEM no room for its address space
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { MapFlags, ProtFlags, Task } from "pagewright"
 * const program = Effect.gen(function*() {
 *   const at = yield* Task.mmap({ length: 4096, prot: ProtFlags.READ | ProtFlags.WRITE, flags: MapFlags.PRIVATE | MapFlags.ANONYMOUS })
 *   yield* Task.store32(at, 42)
 *   return yield* Task.load32(at)
 * })
 * const answer = Task.run("demo", program)
 * ```
 */
export const run = <A, E, R>(
  name: string,
  program: Effect.Effect<A, E, R>
): Effect.Effect<A, E | Fail<"EAGAIN" | "ENOMEM">, Exclude<R, Task> | Kernel> =>
  onWorld((w) =>
    Effect.uninterruptibleMask((restore) => Effect.flatMap(makeProcess(w, name), (p) => live(p, program, restore)))
  )

/** Runs a program as a process that lives already: one of a restored machine, whose first program is gone. The process ends
 * with it.
 * @returns what the program does | ESRCH no such process, or it has ended
 */
export const resume = <A, E, R>(
  pid: number,
  program: Effect.Effect<A, E, R>
): Effect.Effect<A, E | Fail<"ESRCH">, Exclude<R, Task> | Kernel> =>
  onWorld((w) =>
    Effect.uninterruptibleMask((restore): Effect.Effect<A, E | Fail<"ESRCH">, Exclude<R, Task>> => {
      const { tasks } = w.k
      const isLive = Number.isInteger(pid) && pid > 0 && pid < tasks.limit() && tasks.state(pid) === TASK_LIVE
      return isLive ? live(new Process(w, pid, tasks.names[pid]!), program, restore) : fail("ESRCH")
    })
  )

/** A process that runs beside the one that started it. It ends with its program, or with the fiber that started it. */
export interface Child<out A, out E> extends TaskShape {
  /** The fiber that lives its life: ended means ended and cleaned up. */
  readonly fiber: Fiber.Fiber<A, E>
}

/** Starts a program as a new process in the background.
 * @returns the process | EAGAIN no room for a process | ENOMEM no room for its address space
 */
export const spawn = <A, E, Q>(
  name: string,
  program: Detached<A, E, Q>
): Effect.Effect<Child<A, E>, Fail<"EAGAIN" | "ENOMEM">, Exclude<Exclude<Q, Markers>, Task> | Kernel> =>
  onWorld((w) =>
    Effect.uninterruptible(
      Effect.flatMap(makeProcess(w, name), (p) => childOf(p, start(p, detached<A, E, Exclude<Q, Markers>>(program))))
    )
  )

/** fork(2): a child with a copy of everything runs `program`. Memory is shared until one of the two writes.
 * @param name - of the child; its parent's if absent
 * @returns the child | EAGAIN no room for a process | ENOMEM no memory, or a driver's open hook said so
 * @locks takes the parent's mmap_lock, write, and the child's inside it
 * @source kernel/fork.c dup_mm, mm/mmap.c dup_mmap (v6.18)
 */
export const fork = <A, E, Q>(
  program: Detached<A, E, Q>,
  name?: string
): Effect.Effect<
  Child<A, E>,
  Fail<"EAGAIN" | "ENOMEM">,
  Exclude<Exclude<Q, Markers>, Task> | Task | Takes<"mmap_lock">
> =>
  onProcess((p) =>
    forkProcess(p, name ?? p.name, (child) =>
      childOf(child, start(child, detached<A, E, Exclude<Q, Markers>>(program)))
    )
  )

/** Waits until a child has ended.
 * @returns what its program did
 */
export const wait = <A, E>(child: Child<A, E>): Effect.Effect<A, E> => Fiber.join(child.fiber)

/** Kills a child and waits until it has ended. */
export const kill = <A, E>(child: Child<A, E>): Effect.Effect<void> => Fiber.interrupt(child.fiber)

/** What `exit` fails with: nothing more may be asked of the process. */
export interface Exited {
  /** For `Effect.catchTag`. */
  readonly _tag: "Exited"
  /** 0..255. */
  readonly status: number
}

/** exit(2): the process lets go of everything now. What runs it sees the status as a failure.
 * @param status - 0..255
 * @source kernel/exit.c do_exit; mm/mmap.c exit_mmap (v6.18)
 */
export const exit = (status: number): Effect.Effect<never, Exited, Task | Takes<"mmap_lock">> =>
  onProcess((p) => Effect.andThen(endProcess(p), Effect.fail(Object.freeze({ _tag: "Exited", status: status & 255 }))))

/** Starts a kernel thread: no process, no address space, none of its parent's locks.
 * @source kernel/kthread.c kthread_run (v6.18)
 */
export const kthread = <A, E, Q>(
  body: Detached<A, E, Q>
): Effect.Effect<Fiber.Fiber<A, E>, never, Exclude<Q, Task | Markers>> =>
  worker(Effect.updateContext(detached<A, E, Exclude<Q, Task | Markers>>(body), withoutTask))

const withoutTask = <R>(services: Context.Context<R>): Context.Context<R> => servicesAs<R>(Context.omit(Task)(services))

/** The process that calls. */
export const self: Effect.Effect<TaskShape, never, Task> = Task

const childOf = <A, E, R>(
  { name, pid }: TaskShape,
  starting: Effect.Effect<Fiber.Fiber<A, E>, never, R>
): Effect.Effect<Child<A, E>, never, R> => Effect.map(starting, (fiber) => ({ fiber, name, pid }))
