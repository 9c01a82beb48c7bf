/** Processes at run time: made, forked, ended. A process is a fiber of its own, so that whatever its program forks ends
 * before it does. Floor 8, internal.
 */
import { Effect, Fiber } from "effect"
import { VM_ACCOUNT, VM_GROWSDOWN, VM_MAYEXEC, VM_MAYREAD, VM_MAYWRITE, VM_READ, VM_WRITE } from "../flags/bits.ts"
import { EAGAIN, ENOMEM, OK } from "../flags/Errno.ts"
import { PAGE_SIZE, TASK_PAGES } from "../mm/base/units.ts"
import { BRK, START_BRK, START_STACK } from "../mm/store/mms.ts"
import { TASK_LIVE } from "../mm/store/tasks.ts"
import { placeArea } from "../mm/sys/exec.ts"
import { exit, fork, reap, spawn } from "../mm/sys/process.ts"
import type { Fail } from "./Fail.ts"
import { Process, Task } from "./process.ts"
import { door, type Restore } from "./rim.ts"
import { settler } from "./settle.ts"
import { Inside, type World } from "./world.ts"

/** Where a new program's heap begins, and how large its stack is: as on the recorded machine. */
const HEAP = 0x555555559000
const STACK_PAGES = 33
const STACK_FLAGS = VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC | VM_GROWSDOWN | VM_ACCOUNT

const made = settler("EAGAIN", "ENOMEM")

/** A new process with a stack and a place for its heap. The caller ends it. */
export const makeProcess = (w: World, name: string): Effect.Effect<Process, Fail<"EAGAIN" | "ENOMEM">> =>
  Effect.suspend(() => {
    const { k } = w
    const pid = spawn(k, name)
    if (pid < 0) return Effect.flatMap(made(pid, undefined), () => Effect.never)
    const process = new Process(w, pid, name)
    const mm = k.tasks.mm(pid)
    k.mms.setStat(mm, START_BRK, HEAP)
    k.mms.setStat(mm, BRK, HEAP)
    k.mms.setStat(mm, START_STACK, (TASK_PAGES - 1) * PAGE_SIZE)
    const stack = { start: TASK_PAGES - STACK_PAGES, end: TASK_PAGES, lo: STACK_FLAGS }
    return door(
      w,
      pid,
      () => placeArea(k, mm, stack),
      (r) => (r === OK ? Effect.succeed(process) : Effect.andThen(endProcess(process), made(r, process)))
    )
  })

/** A child of `p` with a copy of everything; handed to `own` before an interruption can lose it. Whatever errno an object
 * refuses with to be mapped by the child, the fork says ENOMEM.
 */
export const forkProcess = <A, R>(
  p: Process,
  name: string,
  own: (child: Process) => Effect.Effect<A, never, R>
): Effect.Effect<A, Fail<"EAGAIN" | "ENOMEM">, R> =>
  door(
    p.world,
    p.pid,
    () => fork(p.world.k, p.pid, name),
    (pid) =>
      pid > 0
        ? own(new Process(p.world, pid, name))
        : Effect.flatMap(made(pid === EAGAIN ? EAGAIN : ENOMEM, undefined), () => Effect.never)
  )

/** Runs a program as process `p` in a fiber of its own, and ends the process when it is over. To be run masked, so that
 * `p` is owned from the first op on; `restore` lets the wait be interrupted.
 */
export const live = <A, E, R>(
  p: Process,
  program: Effect.Effect<A, E, R>,
  restore: Restore
): Effect.Effect<A, E, Exclude<R, Task>> => {
  const own = program.pipe(Effect.provideService(Task, p), Effect.provideService(Inside, undefined))
  return Effect.flatMap(Effect.forkChild(own), (fiber) =>
    Effect.onExit(restore(Fiber.join(fiber)), () => Effect.andThen(Fiber.interrupt(fiber), endProcess(p)))
  )
}

/** The same in the background. */
export const start = <A, E, R>(
  p: Process,
  program: Effect.Effect<A, E, R>
): Effect.Effect<Fiber.Fiber<A, E>, never, Exclude<R, Task>> =>
  Effect.forkChild(live(p, program, Effect.interruptible), { uninterruptible: true })

/** exit(2): its system calls in flight are killed, its address space goes, its row is free. Nothing interrupts that. */
export const endProcess = (p: Process): Effect.Effect<void> =>
  Effect.uninterruptible(
    Effect.suspend(() => {
      const { k } = p.world
      if (k.tasks.state(p.pid) !== TASK_LIVE || p.ended) return Effect.void
      p.ended = true
      const verb = door(p.world, p.pid, () => exit(k, p.pid), Effect.succeed)
      return Effect.andThen(
        killCalls(p),
        Effect.map(verb, () => reap(k, p.pid))
      )
    })
  )

/** Kills the system calls that the process has in flight, and waits until each has left the kernel: nobody may hold or want
 * a lock of what is torn down. It waits for the calls, not for their fibers: one of those may wait for this one.
 */
const killCalls = (p: Process): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const { calls, k, over } = p.world
    const self = Fiber.getCurrent()
    const others: Fiber.Fiber<unknown, unknown>[] = []
    let left = 0
    const one = (): void => {
      if (--left === 0) self?.currentDispatcher.scheduleTask(() => resume(Effect.void), 0)
    }
    for (let r = 1; r < k.runs.max; r++) {
      const fiber = calls[r]
      if (fiber === undefined || fiber === self || k.runs.task[r] !== p.pid) continue
      left++
      over[r] = one
      others.push(fiber)
    }
    if (left === 0) return resume(Effect.void)
    for (const fiber of others) fiber.interruptUnsafe()
  })
