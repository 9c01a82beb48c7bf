/** Processes as files, and advice about the memory of others. */
import { Effect } from "effect"
import { AdviceFlags, PidfdFlags, PollFlags, Task, Units } from "pagewright"
import { describe, expect, it } from "vitest"
import { checkTables, onKernel, one, pageAt, withMemory } from "./support.ts"

/** Its errno, or "done". */
const tag = <A, E extends { readonly _tag: string }, R>(call: Effect.Effect<A, E, R>) =>
  Effect.matchEffect(call, {
    onFailure: (e) => Effect.as(checkTables, e._tag),
    onSuccess: () => Effect.as(checkTables, "done")
  })

/** Puts a vector of ranges at `at`. */
const vector = (at: Units.UserAddr, ...ranges: readonly (readonly [at: Units.UserAddr | number, bytes: number])[]) =>
  Task.storeBytes(
    at,
    new Uint8Array(
      BigUint64Array.from(
        ranges.flatMap(([from, bytes]) => [typeof from === "number" ? from : Units.raw(from), bytes]),
        BigInt
      ).buffer
    )
  )

describe("Task.pidfdOpen", () => {
  it("names a process, and goes on naming it when it has ended", () =>
    onKernel(
      withMemory(1, (_, base) =>
        Effect.gen(function* () {
          const child = yield* Task.spawn("child", Effect.never)
          const fd = yield* Task.pidfdOpen(child.pid)
          expect(yield* Task.poll(fd, PollFlags.IN)).toBe(0)
          yield* Task.kill(child)
          expect(yield* Task.poll(fd, PollFlags.IN)).toBe(PollFlags.IN | PollFlags.HUP)
          const next = yield* Task.spawn("next", Effect.never)
          expect(next.pid, "its number is used again").toBe(child.pid)
          yield* vector(base, [base, 4096])
          expect(yield* tag(Task.processMadvise(fd, base, 1, AdviceFlags.COLD))).toBe("ESRCH")
          yield* Task.kill(next)
        })
      )
    ))

  it("answers with Linux's errno", () =>
    onKernel(
      withMemory(1, () =>
        Effect.gen(function* () {
          const { pid } = yield* Task.self
          expect([yield* tag(Task.pidfdOpen(0)), yield* tag(Task.pidfdOpen(-1))]).toEqual(["EINVAL", "EINVAL"])
          expect([yield* tag(Task.pidfdOpen(pid, 1)), yield* tag(Task.pidfdOpen(9999))]).toEqual(["EINVAL", "ESRCH"])
          yield* Task.pidfdOpen(pid, PidfdFlags.NONBLOCK | PidfdFlags.THREAD)
          expect((yield* Effect.flip(Effect.forever(Task.pidfdOpen(pid))))._tag).toBe("ENFILE")
          yield* checkTables
        })
      )
    ))

  it("has no more descriptors than a process may have", () =>
    onKernel(
      withMemory(1, () =>
        Effect.gen(function* () {
          const { pid } = yield* Task.self
          expect((yield* Effect.flip(Effect.forever(Task.pidfdOpen(pid))))._tag).toBe("EMFILE")
          yield* checkTables
        })
      ),
      { frames: 128 }
    ))
})

describe("Task.processMadvise", () => {
  it("advises ranges of the caller's own memory, one after another", () =>
    onKernel(
      withMemory(4, (_, base) =>
        Effect.gen(function* () {
          const self = yield* Task.pidfdOpen((yield* Task.self).pid)
          yield* Task.madvise(base, 4 * 4096, AdviceFlags.POPULATE_WRITE)
          yield* vector(base, [pageAt(base, 1), 4096], [pageAt(base, 3), 4096])
          expect(yield* Task.processMadvise(self, base, 2, AdviceFlags.DONTNEED)).toBe(8192)
          expect(yield* Task.mincore(base, 4 * 4096)).toEqual([true, false, true, false])
          yield* Task.munmap(pageAt(base, 3), one)
          expect(yield* Task.processMadvise(self, base, 2, AdviceFlags.WILLNEED), "what was done").toBe(4096)
          expect(yield* Task.processMadvise(self, 0, 0, 77), "no range").toBe(0)
        })
      )
    ))

  it("sends another process's pages away, which has them back when it looks", () =>
    onKernel(
      withMemory(2, (_, base) =>
        Effect.gen(function* () {
          const child = yield* Task.fork(
            Effect.gen(function* () {
              yield* Task.store8(base, 5)
              yield* Effect.yieldNow
              yield* Effect.yieldNow
              return yield* Task.load8(base)
            })
          )
          const fd = yield* Task.pidfdOpen(child.pid)
          yield* vector(base, [base, 4096])
          expect(yield* Task.processMadvise(fd, base, 1, AdviceFlags.COLD)).toBe(4096)
          expect(yield* tag(Task.processMadvise(fd, base, 1, AdviceFlags.DONTNEED))).toBe("EINVAL")
          expect(yield* Task.wait(child)).toBe(5)
          expect(yield* tag(Task.processMadvise(fd, base, 1, AdviceFlags.COLD))).toBe("ESRCH")
        })
      )
    ))

  it("answers with Linux's errno", () =>
    onKernel(
      withMemory(3, (_, base) =>
        Effect.gen(function* () {
          const self = yield* Task.pidfdOpen((yield* Task.self).pid)
          const child = yield* Task.spawn("root's", Effect.never)
          const other = yield* Task.pidfdOpen(child.pid)
          yield* vector(base, [pageAt(base, 1), 4096])
          const of = (fd: Task.Fd<unknown>, advice: number = AdviceFlags.COLD, count = 1, flags = 0) =>
            tag(Task.processMadvise(fd, base, count, advice, flags))
          expect([yield* of(Task.fd(99)), yield* of(yield* Task.memfdCreate("no process"))]).toEqual(["EBADF", "EBADF"])
          expect([yield* of(self, 77), yield* of(self, 0, 1025), yield* of(self, 0, 1, 1)]).toEqual([
            "EINVAL",
            "EINVAL",
            "EINVAL"
          ])
          expect(yield* tag(Task.processMadvise(self, 1, 1, AdviceFlags.COLD))).toBe("EFAULT")
          yield* Task.munmap(pageAt(base, 2), one)
          yield* vector(base, [pageAt(base, 2), 4096])
          expect(yield* of(self, AdviceFlags.COLD)).toBe("ENOMEM")
          yield* vector(base, [-4096, 4096])
          expect(yield* of(self)).toBe("EFAULT")
          yield* vector(base, [pageAt(base, 1), 4096])
          yield* Task.mprotect(pageAt(base, 1), one, 1)
          yield* Task.mseal(pageAt(base, 1), one)
          expect(yield* of(self, AdviceFlags.DONTNEED)).toBe("EPERM")
          yield* Task.capset(["SYS_PTRACE"])
          expect(yield* of(other)).toBe("EPERM")
          yield* Task.capset([])
          expect(yield* of(other)).toBe("EACCES")
          yield* Task.kill(child)
        })
      )
    ))
})
