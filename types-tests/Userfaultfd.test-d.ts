/** A descriptor knows what it agreed on, a range its modes. What is refused: diagnostics/userfaultfd.ts. */
import { Effect } from "effect"
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
>(Userfaultfd.queryFeatures())

// a descriptor that never waits can be polled; opening it says so, and only the literal does
Userfaultfd.open(
  (fresh) =>
    Effect.gen(function* () {
      const uffd = yield* fresh.api(["SIGBUS"])
      expectType<boolean>(yield* uffd.pollEvents("1 second"))
    }),
  { nonBlocking: true }
)

// answers are whole or fail; a part is EAGAIN, which says how much
declare const range: Userfaultfd.Registered<"MISSING" | "WP", Here>
expectType<
  Effect.Effect<
    void,
    Fail.Fail<Userfaultfd.AnswerErrno> | Userfaultfd.Again,
    Locked.Held<Here> | Lockdep.Takes<"mmap_lock">
  >
>(range.copyPage(0, new Uint8Array(4096), { wp: true }))
declare const again: Userfaultfd.Again
expectType<number>(again.done)

// a descriptor knows what surely was agreed on: of a list that was put together at run time nothing is
declare const list: Userfaultfd.Feature[]
declare const either: readonly ["SIGBUS"] | readonly ["POISON"]
expectType<"SIGBUS" | "POISON">({} as Userfaultfd.Known<readonly ["SIGBUS", "POISON"]>)
expectType<"POISON">({} as Userfaultfd.Known<readonly ["SIGBUS" | "MOVE", "POISON"]>)
expectType<never>({} as Userfaultfd.Known<typeof list>)
expectType<never>({} as Userfaultfd.Known<typeof either>)
expectType<never>({} as Userfaultfd.Known<readonly []>)
