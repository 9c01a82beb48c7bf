/** System calls: how one is made. Floor 8, internal. */
import { Effect } from "effect"
import type { StopName, Verb } from "../mm/base/stop.ts"
import type { Kernel } from "../mm/kernel.ts"
import type { Takes } from "./Lockdep.ts"
import { onProcess, type Task } from "./process.ts"
import { door, releaseFiles } from "./rim.ts"
import { flush } from "./world.ts"

/** A system call that takes mmap_lock. */
export type Call<A, E> = Effect.Effect<A, E, Task | Takes<"mmap_lock">>

/** A system call that takes no lock of memory. */
export type PlainCall<A, E> = Effect.Effect<A, E, Task>

/** The system call that `verb` performs for the process that calls; `done` turns its result into what the program gets. */
export const call = <W extends StopName, A, B, E>(
  verb: (k: Kernel, pid: number) => Verb<W, A>,
  done: (a: A) => Effect.Effect<B, E>
): PlainCall<B, E> => onProcess(({ pid, world }) => door(world, pid, () => verb(world.k, pid), done))

/** The same for what is done at once. */
export const plainCall = <A, B, E>(
  act: (k: Kernel, pid: number) => A,
  done: (a: A) => Effect.Effect<B, E>
): PlainCall<B, E> =>
  onProcess(({ pid, world }) =>
    Effect.uninterruptible(
      Effect.suspend(() => {
        const { k } = world
        const row = k.runs.alloc(0)
        k.runs.task[row] = pid
        k.runs.current = row
        const a = act(k, pid)
        k.runs.release(row)
        if (k.runs.wokenN !== 0) flush(world)
        return k.released.length === 0 ? done(a) : Effect.andThen(releaseFiles(world), done(a))
      })
    )
  )
