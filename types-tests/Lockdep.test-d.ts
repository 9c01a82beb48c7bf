/** Lock order: drivers extend it by keys, and what follows from two edges follows. What is refused: diagnostics/locks.ts. */
import type { Effect } from "effect"
import { Lockdep } from "pagewright"
import { expectAssignable, expectNotAssignable, expectType } from "tsd"

declare module "pagewright" {
  interface LockClasses {
    readonly ring_lock: "sleeps"
  }
  interface LockOrder {
    readonly "ring_lock > mmap_lock": true
  }
}
expectAssignable<Lockdep.LockClass>("ring_lock")
expectNotAssignable<Lockdep.LockClass>("no_lock")
type Inside<Outer extends Lockdep.LockClass, Inner extends Lockdep.LockClass> = Lockdep.InOrder<
  Outer,
  Lockdep.Takes<Inner>,
  "fine"
>
expectType<"fine">("" as unknown as Inside<"ring_lock", "mmap_lock">)
expectType<"fine">("" as unknown as Inside<"ring_lock", "page_table_lock">)
expectType<"BUG: possible circular locking: ring_lock taken inside mmap_lock">(
  "" as unknown as Inside<"mmap_lock", "ring_lock">
)
expectType<"BUG: possible recursive locking: ring_lock is already held">(
  "" as unknown as Inside<"ring_lock", "ring_lock">
)

declare const task: Effect.Effect<number, never, Lockdep.Takes<"ring_lock"> | Lockdep.Sleeps<"io">>
expectType<Promise<number>>(Lockdep.runTask(task))
