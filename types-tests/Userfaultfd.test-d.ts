/** A descriptor knows what it agreed on, a range its modes. What is refused: diagnostics/userfaultfd.ts. */
import type { Effect } from "effect"
import { type Fail, type Lockdep, type Locked, type Task, Userfaultfd } from "pagewright"
import { expectAssignable, expectNotAssignable, expectType } from "tsd"

interface Here extends Locked.AfterUnlock {}
declare const all: Userfaultfd.Uffd<"PAGEFAULT_FLAG_WP" | "SIGBUS", Here>
declare const some: Userfaultfd.Uffd<"SIGBUS", Here>

// more features are as good as fewer; fewer are not
expectAssignable<Userfaultfd.Uffd<"SIGBUS", Here>>(all)
expectNotAssignable<Userfaultfd.Uffd<"PAGEFAULT_FLAG_WP", Here>>(some)
expectType<
  Effect.Effect<
    ReadonlySet<Userfaultfd.Feature>,
    Fail.Fail<Userfaultfd.OpenErrno>,
    Task.Task | Lockdep.Takes<"mmap_lock">
  >
>(Userfaultfd.queryFeatures)
