/** The example drivers: the scenarios of their references, R-BIND of docs/spec/rust-virt.md. */
import { Cause, Console, Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { Device, Kernel, Locked, MapFlags, Mm, ProtFlags, Task, Units } from "pagewright"
import { describe, expect, it } from "vitest"
import { ashmem, SET_MASK, SET_SIZE } from "../../examples/ashmem/ashmem.ts"
import { DONE, makeBinder, RECEIVE, SEND } from "../../examples/binder/binder.ts"
import story from "../../examples/binder/main.ts"
import { checkTables, onKernel, one, pageAt, small } from "../vma/support.ts"

const READ = ProtFlags.READ
const shared = { length: Units.pages(4), prot: READ, flags: MapFlags.SHARED }
const tag = <A, E extends { readonly _tag: string }, R>(attempt: Effect.Effect<A, E, R>) =>
  attempt.pipe(
    Effect.as("done"),
    Effect.catch((e) => Effect.succeed(e._tag))
  )
/** The answer of an ioctl, or its errno. */
const said = <E extends { readonly _tag: string }, R>(attempt: Effect.Effect<number, E, R>) =>
  Effect.catch(attempt, (e) => Effect.succeed(e._tag))
const settle = Effect.repeat(Effect.yieldNow, { times: 20 })

interface Given {
  readonly shrink: ReturnType<typeof makeBinder>["shrink"]
  readonly fd: Task.Fd<unknown>
  readonly base: Units.PageAligned<Units.UserAddr>
  /** Grabbed by the test, so that it can be looked at when the process is gone. */
  readonly mm: Mm.Mm
}
/** Runs a receiver with four pages. */
const receiving = <A, E, R>(body: (given: Given) => Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const { device, shrink } = makeBinder()
    yield* Device.register("/dev/binder", device)
    const scope = yield* Effect.scope
    return yield* Task.run(
      "receiver",
      Effect.gen(function* () {
        const fd = yield* Task.open(device, "rw")
        const base = yield* Task.mmap({ ...shared, fd })
        yield* Task.ioctl(fd, RECEIVE)
        return yield* body({ shrink, fd, base, mm: yield* Mm.current.pipe(Scope.provide(scope)) })
      })
    )
  })
const send = (fd: Task.Fd<unknown>, message: number) => said(Task.ioctl(fd, SEND, message))

/** A section in a fiber of its own, entered, and left on demand. */
const held = <E, R>(section: (inside: Effect.Effect<void>) => Effect.Effect<unknown, E, R>) =>
  Effect.gen(function* () {
    const [entered, leave] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
    const fiber = yield* Effect.forkChild(
      section(Effect.andThen(Deferred.succeed(entered, undefined), Deferred.await(leave)))
    )
    yield* Deferred.await(entered)
    return Effect.andThen(Deferred.succeed(leave, undefined), Fiber.join(fiber))
  })

describe("binder", () => {
  it("registration caps the range at 4 MiB, and refuses a second mapping and another process [R-BIND-01]", () =>
    onKernel(
      Effect.gen(function* () {
        const { device } = makeBinder()
        yield* Device.register("/dev/binder", device)
        yield* Task.run(
          "owner",
          Effect.gen(function* () {
            const fd = yield* Task.open(device, "rw")
            const stranger = yield* Task.fork(tag(Task.mmap({ ...shared, fd })), "child") // has the descriptor, not the mm
            expect(yield* Task.wait(stranger)).toBe("EINVAL")
            const base = yield* Task.mmap({ ...shared, length: Units.pages(1030), fd })
            expect(yield* tag(Task.mmap({ ...shared, fd }))).toBe("EBUSY")
            expect(yield* tag(Task.mmap({ ...shared, length: 0, fd }))).toBe("EINVAL")
            yield* Task.ioctl(fd, RECEIVE)
            for (let i = 0; i < 1024; i++) expect(yield* send(fd, i)).toBe(i)
            expect(yield* send(fd, 1024)).toBe("ENOMEM")
            expect(yield* Task.load64(pageAt(base, 1023))).toBe(1023n)
          })
        )
      }),
      { ...small, frames: 2048 }
    ))

  it("a foreign VMA where the range was is no VMA of the range [R-BIND-02]", () =>
    onKernel(
      receiving(({ base, fd, shrink }) =>
        Effect.gen(function* () {
          expect(yield* send(fd, 1)).toBe(0)
          const foreign = { length: one, prot: READ, flags: MapFlags.PRIVATE | MapFlags.ANONYMOUS | MapFlags.FIXED }
          yield* Task.mmap({ ...foreign, address: base })
          yield* Task.mmap({ ...foreign, address: pageAt(base, 1) })
          expect(yield* send(fd, 2)).toBe("ESRCH")
          yield* Task.ioctl(fd, DONE, 0)
          expect(yield* Task.load64(base)).toBe(0n)
          expect(yield* shrink(8)).toBe(1) // the page goes; the foreign mapping is not zapped
          expect(yield* Task.load64(base)).toBe(0n)
          // another open file of the same driver is foreign, too
          const other = yield* Task.open("/dev/binder", "rw")
          yield* Task.mmap({
            ...shared,
            length: one,
            address: pageAt(base, 1),
            flags: MapFlags.SHARED | MapFlags.FIXED,
            fd: other
          })
          expect(yield* send(fd, 3)).toBe("ESRCH")
        })
      )
    ))

  it("a page is used through the VMA's lock, else through mmap_lock; ESRCH without a VMA, and when the process is gone [R-BIND-03]", () =>
    onKernel(
      Effect.gen(function* () {
        const { device } = makeBinder()
        yield* Device.register("/dev/binder", device)
        const ended = yield* Deferred.make<void>()
        const mapped = yield* Deferred.make<Task.Fd<unknown>>()
        const receiver = yield* Task.spawn(
          "receiver",
          Effect.gen(function* () {
            const fd = yield* Task.open(device, "rw")
            const base = yield* Task.mmap({ ...shared, fd })
            yield* Task.ioctl(fd, RECEIVE)
            expect(yield* send(fd, 1)).toBe(0)
            // while a writer has marked the VMA, the sender waits for mmap_lock
            const mm = yield* Mm.current
            const leave = yield* held((inside) =>
              Locked.withUser(mm, (mm) =>
                Locked.mmapWrite(mm, (mmap) =>
                  Effect.gen(function* () {
                    yield* Effect.flatMap(mmap.vmaLookup(base), (vma) => vma.startWrite())
                    yield* inside
                  })
                )
              )
            )
            const waiting = yield* Effect.forkChild(send(fd, 2))
            yield* settle
            expect(waiting.pollUnsafe()).toBeUndefined()
            yield* leave
            expect(yield* Fiber.join(waiting)).toBe(1)
            expect([yield* Task.load64(base), yield* Task.load64(pageAt(base, 1))]).toEqual([1n, 2n])
            yield* Task.munmap(pageAt(base, 2), one)
            expect(yield* send(fd, 3)).toBe("ESRCH")
            yield* Deferred.succeed(mapped, fd)
            yield* Deferred.await(ended)
          }).pipe(Effect.scoped)
        )
        yield* Task.run(
          "sender",
          Effect.gen(function* () {
            const fd = yield* Task.open(device, "rw")
            yield* Deferred.await(mapped)
            // the descriptor is kept by this process, as a fork would: only the address space goes
            yield* Task.kill(receiver)
            expect(yield* send(fd, 4)).toBe("ESRCH")
            yield* Deferred.succeed(ended, undefined)
          })
        )
      })
    ))

  it("an insertion that fails gives its page back, and says why [R-BIND-04]", () =>
    onKernel(
      receiving(({ base, fd }) =>
        Effect.gen(function* () {
          const before = yield* Kernel.framesUsed
          yield* Task.munmap(base, shared.length)
          expect(yield* send(fd, 1)).toBe("ESRCH")
          expect(yield* Kernel.framesUsed).toBe(before)
          yield* checkTables
        })
      )
    ))

  it("the shrinker skips what it would have to wait for, and otherwise unmaps, then frees [R-BIND-05]", () =>
    onKernel(
      receiving(({ base, fd, mm, shrink }) =>
        Effect.gen(function* () {
          expect(yield* send(fd, 7)).toBe(0)
          yield* Task.ioctl(fd, DONE, 0)
          const used = yield* Kernel.framesUsed
          const leave = yield* held((inside) => Locked.withUser(mm, (mm) => Locked.mmapWrite(mm, () => inside)))
          expect(yield* shrink(8)).toBe(0)
          yield* leave
          expect(yield* Task.load64(base)).toBe(7n)
          expect(yield* shrink(8)).toBe(1)
          expect(yield* Kernel.framesUsed).toBe(used - 1)
          expect(yield* tag(Task.load64(base))).toBe("SIGBUS")
          expect(yield* shrink(8)).toBe(0)
        })
      )
    ))

  it("the shrinker skips a range that somebody is at work on, and one whose process is gone [R-BIND-05]", () =>
    onKernel(
      Effect.gen(function* () {
        const { device, shrink } = makeBinder()
        yield* Device.register("/dev/binder", device)
        yield* Task.run(
          "owner",
          Effect.gen(function* () {
            const fd = yield* Task.open(device, "rw")
            const base = yield* Task.mmap({ ...shared, fd })
            yield* Task.ioctl(fd, RECEIVE)
            expect([yield* send(fd, 1), yield* send(fd, 2)]).toEqual([0, 1])
            yield* Task.ioctl(fd, DONE, 0)
            expect(yield* shrink(1)).toBe(1)
            yield* Task.ioctl(fd, DONE, 1)
            const mm = yield* Mm.current
            const leave = yield* held((inside) =>
              Locked.withUser(mm, (mm) =>
                Locked.mmapWrite(mm, (mmap) =>
                  Effect.gen(function* () {
                    yield* Effect.flatMap(mmap.vmaLookup(base), (vma) => vma.startWrite())
                    yield* inside
                  })
                )
              )
            )
            const sending = yield* Effect.forkChild(send(fd, 3)) // holds the range's mutex and waits for its VMA
            yield* settle
            expect([yield* shrink(8), sending.pollUnsafe()]).toEqual([0, undefined])
            yield* leave
            expect(yield* Fiber.join(sending)).toBe(0)
            expect(yield* shrink(8)).toBe(1)
            yield* Task.ioctl(fd, DONE, 0)
          }).pipe(Effect.scoped)
        )
        expect(yield* shrink(8)).toBe(0)
      })
    ))

  it("a page is off the books before it is zapped, under the lock: whoever uses it again waits, and finds the place free [R-BIND-06]", () =>
    onKernel(
      receiving(({ base, fd, shrink }) =>
        Effect.gen(function* () {
          for (let round = 0; round < 20; round++) {
            expect(yield* send(fd, round)).toBe(0)
            yield* Task.ioctl(fd, DONE, 0)
            const [, again] = yield* Effect.all([shrink(8), send(fd, 1000 + round)], { concurrency: "unbounded" })
            expect(again).toBe(0)
            expect(yield* Task.load64(base)).toBe(BigInt(1000 + round))
            yield* Task.ioctl(fd, DONE, 0)
            yield* shrink(8)
            yield* checkTables
          }
        })
      )
    ))

  it("mmap refuses another process, address 0 and a writable range, in this order; then the range is not copied [R-BIND-07]", () =>
    onKernel(
      Effect.gen(function* () {
        const { device } = makeBinder()
        yield* Device.register("/dev/binder", device)
        const writable = { ...shared, prot: READ | ProtFlags.WRITE }
        const atZero = { ...shared, address: 0, flags: MapFlags.SHARED | MapFlags.FIXED }
        yield* Task.run(
          "owner",
          Effect.scoped(
            Effect.gen(function* () {
              const fd = yield* Task.open(device, "rw")
              const stranger = yield* Task.fork(tag(Task.mmap({ ...writable, fd })), "child")
              expect(yield* Task.wait(stranger)).toBe("EINVAL")
              expect(yield* tag(Task.mmap({ ...atZero, prot: writable.prot, fd }))).toBe("EINVAL")
              expect(yield* tag(Task.mmap({ ...writable, fd }))).toBe("EPERM")
              const base = yield* Task.mmap({ ...shared, fd })
              const has = yield* Locked.withUser(yield* Mm.current, (mm) =>
                Locked.withVma(mm, base, (vma) =>
                  Effect.succeed((["VM_DONTCOPY", "VM_MIXEDMAP", "VM_MAYWRITE"] as const).map((flag) => vma.has(flag)))
                )
              )
              expect(has).toEqual([true, true, false])
            })
          )
        )
      }),
      { ...small, sysctl: { mmapMinAddr: 0 } }
    ))

  it("whichever allocation fails, nothing half-made is left and the rest goes on", async () => {
    const { inner } = await import("../../lib/vma/raw.ts")
    const { World } = await import("../../lib/vma/world.ts")
    /** The scenario with its n-th allocation failing; says whether it got that far. */
    const failing = (n: number) =>
      onKernel(
        Effect.gen(function* () {
          const { k } = inner(yield* Kernel.Kernel, World)
          k.fail.arm(n)
          const { device, shrink } = makeBinder()
          yield* Effect.ignore(Device.register("/dev/binder", device))
          const life = Effect.gen(function* () {
            const fd = yield* Task.open(device, "rw")
            const base = yield* Task.mmap({ ...shared, fd })
            yield* Task.ioctl(fd, RECEIVE)
            for (const message of [1, 2, 3]) {
              yield* send(fd, message)
              yield* checkTables
            }
            yield* Effect.ignore(Task.load64(base))
            yield* Effect.ignore(Task.ioctl(fd, DONE, 0))
            yield* shrink(8)
            const child = yield* Effect.option(Task.fork(Effect.ignore(Task.store8(base, 1))))
            if (child._tag === "Some") yield* Task.wait(child.value)
            yield* Effect.ignore(Task.munmap(pageAt(base, 1), one))
            yield* Effect.ignore(Task.brk(0x555555560000))
          })
          yield* Effect.ignore(Task.run("receiver", life))
          yield* checkTables
          return k.fail.fired
        })
      )
    let n = 1
    while (await failing(n)) n++
    expect(n).toBeGreaterThan(20)
  })

  it("tells its story, and leaves nothing behind", async () => {
    const lines: Array<string> = []
    const write = (...args: ReadonlyArray<unknown>) => void lines.push(args.join(" "))
    const recording: Console.Console = { ...globalThis.console, log: write }
    const exit = await Effect.runPromiseExit(Effect.provideService(story.run, Console.Console, recording))
    expect(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "done").toBe("done")
    await expect(lines.join("\n")).toMatchFileSnapshot("../golden/binder-story.txt")
    expect(lines.at(-1)).toMatch("no page, VMA, lock or mm reference left")
  })
})

describe("ashmem", () => {
  it("a mapping needs a size, fits it, and never has a right that the mask lacks: write, exec, read [R-BIND-08]", () =>
    onKernel(
      Effect.gen(function* () {
        yield* Device.register("/dev/ashmem", ashmem)
        const all = READ | ProtFlags.WRITE | ProtFlags.EXEC
        const attempt = (size: number, mask: number, prot: number, pages = 1) =>
          Task.run(
            "test",
            Effect.gen(function* () {
              const fd = yield* Task.open(ashmem, "rw")
              if (size > 0) yield* Task.ioctl(fd, SET_SIZE, size)
              yield* Task.ioctl(fd, SET_MASK, mask)
              const mapping = yield* Effect.exit(
                Task.mmap({ length: Units.pages(pages), prot, flags: MapFlags.SHARED, fd })
              )
              if (Exit.isFailure(mapping)) return yield* tag(mapping)
              const may = yield* Effect.forEach([ProtFlags.WRITE, ProtFlags.EXEC, READ], (right) =>
                Effect.map(tag(Task.mprotect(mapping.value, one, right)), (t) => (t === "done" ? "y" : "n"))
              )
              return may.join("")
            })
          )
        expect(yield* attempt(0, all, READ)).toBe("EINVAL")
        expect(yield* attempt(5000, all, READ, 3)).toBe("EINVAL")
        expect(yield* attempt(5000, all, READ, 2)).toBe("yyy")
        expect(yield* attempt(4096, READ, READ)).toBe("nny")
        expect(yield* attempt(4096, 0, ProtFlags.NONE)).toBe("nnn")
        for (const prot of [READ, ProtFlags.WRITE, ProtFlags.EXEC]) {
          expect(yield* attempt(4096, all & ~prot, prot)).toBe("EPERM")
        }
      })
    ))

  it("its pages are made when they are touched, and go with the file", () =>
    onKernel(
      Effect.gen(function* () {
        yield* Device.register("/dev/ashmem", ashmem)
        yield* Task.run(
          "test",
          Effect.gen(function* () {
            const fd = yield* Task.open(ashmem, "rw")
            yield* Task.ioctl(fd, SET_SIZE, 8192)
            const at = yield* Task.mmap({ ...shared, length: 8192, prot: READ | ProtFlags.WRITE, fd })
            yield* Task.store64(Units.raw(at) + 4092, -1n)
            expect(yield* Task.load64(Units.raw(at) + 4092)).toBe(2n ** 64n - 1n)
          })
        )
      })
    ))
})
