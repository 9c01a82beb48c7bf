/** The service that says which process a program is, and what stands behind it. Floor 8, internal. */
import { Context, Effect } from "effect"
import { vmBugOn } from "../mm/base/debug.ts"
import type { World } from "./world.ts"

/** A process, as its programs see it. */
export interface TaskShape {
  /** Process id. */
  readonly pid: number
  /** As `Task.run` or `Task.fork` gave it. */
  readonly name: string
}

/** The process that a program runs as: a user program is an effect that needs a Task. */
export class Task extends Context.Service<Task, TaskShape>()("pagewright/Task") {}

/** A process at run time. */
export class Process implements TaskShape {
  readonly world: World
  readonly pid: number
  readonly name: string
  /** Has it begun to end? Its system calls are refused from then on. */
  ended = false
  /** May it open /dev/userfaultfd? Asked when it first wants to. */
  opensUffdDevice: boolean | undefined
  constructor(world: World, pid: number, name: string) {
    this.world = world
    this.pid = pid
    this.name = name
  }
}

/** The process of the current context. */
export const onProcess = <A, E, R>(f: (p: Process) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R | Task> =>
  Effect.withFiber((fiber) => {
    const task = Context.getOrUndefined(fiber.context, Task)
    if (!(task instanceof Process)) return notMade(task, f)
    return task.ended ? vmBugOn(`process ${task.pid} (${task.name}) has ended`) : f(task)
  })

/** No Task at all: Effect says which service is missing. Another's: so do we. */
const notMade = <A, E, R>(task: unknown, f: (p: Process) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R | Task> =>
  task === undefined
    ? Effect.flatMap(Task, () => onProcess(f))
    : Effect.die(new TypeError("a Task that this library did not make"))
