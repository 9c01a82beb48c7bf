/** userfaultfd for programs that have no client: descriptors, structs in their own memory, and somebody who waits. */
import { Effect, Fiber } from "effect"
import { Kernel, type Lockdep, MapFlags, PollFlags, Task, UffdFlags } from "pagewright"
import { describe, expect, it } from "vitest"
import { anonymous, onKernel, rw, small } from "./support.ts"

const PAGE = 4096
const at = 0x7f00_0000_0000
/** Structs and messages lie here, and what is copied from. */
const struct = at + 16 * PAGE
const source = at + 17 * PAGE
const start = Task.mmap({ address: at, length: 18 * PAGE, prot: rw, flags: anonymous | MapFlags.FIXED })
/** ioctl(2) with these words as its struct. */
const ask = (fd: Task.Fd<unknown>, command: number, ...words: number[]) =>
  Effect.andThen(
    Effect.all(words.map((word, i) => Task.store64(struct + i * 8, BigInt(word)))),
    Task.ioctl(fd, command, struct)
  )
/** A descriptor that answers for the first pages of the memory. */
const opened = (pages: number, flags = 0, features = 0) =>
  Effect.gen(function* () {
    const fd = yield* Task.userfaultfd(flags)
    yield* ask(fd, UffdFlags.IOCTL_API, UffdFlags.API, features, 0)
    yield* ask(fd, UffdFlags.IOCTL_REGISTER, at, pages * PAGE, UffdFlags.REGISTER_MODE_MISSING, 0)
    return fd
  })
/** Address of the next fault; waits for one. */
const nextFault = (fd: Task.Fd<unknown>) =>
  Effect.gen(function* () {
    expect(yield* Task.read(fd, struct, 32)).toBe(32)
    expect(yield* Task.load8(struct)).toBe(UffdFlags.EVENT_PAGEFAULT)
    return Number(yield* Task.load64(struct + 16))
  })
const copy = (fd: Task.Fd<unknown>, to: number) => ask(fd, UffdFlags.IOCTL_COPY, to, source, PAGE, 0, 0)
/** Runs the program as a process; nothing is left of it. */
const run = <A, E>(
  program: Effect.Effect<A, E, Task.Task | Kernel.Kernel | Lockdep.Markers>,
  options: Kernel.Options = small
) => onKernel(Task.run("subject", Effect.andThen(start, program)), options)
const tag = <A, E extends { readonly _tag: string }, R>(failing: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(failing), (error) => error._tag)

describe("a program with descriptors and structs", () => {
  it("answers faults: read, copy, and who waited goes on", () =>
    run(
      Effect.gen(function* () {
        yield* Task.store8(source, 7)
        const fd = yield* opened(2)
        const faulter = yield* Effect.forkChild(Task.load8(at + PAGE + 5))
        const other = yield* Effect.forkChild(Task.load8(at + PAGE))
        expect(yield* nextFault(fd)).toBe(at + PAGE)
        expect(yield* copy(fd, at + PAGE)).toBe(0)
        expect(yield* Task.load64(struct + 32)).toBe(BigInt(PAGE))
        expect([yield* Fiber.join(faulter), yield* Fiber.join(other)]).toEqual([0, 7])
        expect(yield* tag(copy(fd, at + PAGE))).toBe("EEXIST")
        expect(yield* tag(copy(fd, at + 5 * PAGE))).toBe("ENOENT")
        expect(yield* tag(Task.ioctl(fd, 0x1234))).toBe("EINVAL")
        expect(yield* tag(Task.ioctl(fd, UffdFlags.IOCTL_COPY, 8))).toBe("EFAULT")
        yield* Task.close(fd)
        expect(yield* tag(Task.ioctl(fd, UffdFlags.IOCTL_WAKE, struct))).toBe("EBADF")
      })
    ))

  it("does not wait where it said so, and asks first whether there is something to read", () =>
    run(
      Effect.gen(function* () {
        const fd = yield* opened(1, UffdFlags.NONBLOCK)
        expect(yield* tag(Task.read(fd, struct, 32))).toBe("EAGAIN")
        expect(yield* Task.poll(fd, PollFlags.IN)).toBe(0)
        const faulter = yield* Effect.forkChild(Task.store8(at, 1))
        yield* Effect.yieldNow
        expect(yield* Task.poll(fd, PollFlags.IN)).toBe(PollFlags.IN)
        expect(yield* Task.fdinfo(fd)).toContain("pending:\t1\ntotal:\t1\n")
        const { pid } = yield* Task.self
        expect(yield* Kernel.fdinfo(pid, fd.number)).toBe(yield* Task.fdinfo(fd))
        expect([yield* Kernel.fdinfo(pid, 99), yield* Kernel.fdinfo(99, 0)]).toEqual(["", ""])
        expect(yield* tag(Task.fdinfo(Task.fd(99)))).toBe("ENOENT")
        yield* ask(fd, UffdFlags.IOCTL_ZEROPAGE, at, PAGE, 0, 0)
        yield* Fiber.join(faulter)
        expect(yield* Task.load8(at)).toBe(1)
      })
    ))

  it("needs the right for it, a setting, or the device that is root's [UK-NEW-01]", async () => {
    const withoutRight = Effect.gen(function* () {
      const dev = yield* Task.open("/dev/userfaultfd", "rw")
      yield* Task.capset([])
      const refused = yield* Effect.flip(Task.userfaultfd(0))
      expect(refused._tag).toBe("EPERM")
      const fd = Task.fd(yield* Task.ioctl(dev, UffdFlags.IOCTL_NEW, UffdFlags.NONBLOCK))
      yield* ask(fd, UffdFlags.IOCTL_API, UffdFlags.API, 0, 0)
      expect(yield* Task.poll(fd, PollFlags.IN)).toBe(0)
      yield* Task.userfaultfd(UffdFlags.USER_MODE_ONLY)
    })
    await run(withoutRight)
    await run(Effect.andThen(Task.capset([]), Task.userfaultfd(0)), {
      ...small,
      sysctl: { unprivilegedUserfaultfd: 1 }
    })
  })
})

describe("a reader that waits", () => {
  it("is not woken by close, which it holds up; when it is killed, everybody goes on", () =>
    run(
      Effect.gen(function* () {
        const fd = yield* opened(1)
        const reader = yield* Effect.forkChild(Task.read(fd, struct, 32))
        yield* Effect.yieldNow
        yield* Task.close(fd)
        expect(yield* Task.maps, "still registered").not.toBe("")
        expect(yield* Task.smaps).toMatch(/VmFlags: .*um/)
        yield* Fiber.interrupt(reader)
        expect(yield* Task.smaps).not.toMatch(/VmFlags: .*um/)
        expect(yield* Task.load8(at)).toBe(0)
      })
    ))

  it("gets the message all the same; then it is closed, and who waits goes on", () =>
    run(
      Effect.gen(function* () {
        const fd = yield* opened(1)
        const reader = yield* Effect.forkChild(nextFault(fd))
        yield* Effect.yieldNow
        yield* Task.close(fd)
        const faulter = yield* Effect.forkChild(Task.load8(at))
        expect(yield* Fiber.join(reader)).toBe(at)
        expect(yield* Fiber.join(faulter)).toBe(0)
      })
    ))
})

describe("a handler", () => {
  it("that never answers holds up who waits, and nobody else; who waits can be killed", () =>
    run(
      Effect.gen(function* () {
        const fd = yield* opened(2)
        const stuck = yield* Effect.forkChild(Task.load8(at))
        expect(yield* nextFault(fd)).toBe(at)
        yield* Task.store8(at + 3 * PAGE, 3)
        yield* Task.mmap({ length: PAGE, prot: rw, flags: anonymous })
        yield* Task.munmap(at + 4 * PAGE, PAGE)
        yield* Fiber.interrupt(stuck)
        expect(yield* Task.load8(at + 3 * PAGE)).toBe(3)
      })
    ))

  it("that never answers does not keep a process from ending", () =>
    onKernel(
      Effect.gen(function* () {
        yield* Task.run(
          "subject",
          Effect.gen(function* () {
            yield* start
            const fd = yield* opened(2)
            yield* Effect.forkChild(Task.load8(at))
            yield* Effect.forkChild(Task.load8(at + PAGE))
            yield* nextFault(fd)
            yield* Effect.forkChild(Effect.andThen(nextFault(fd), Task.read(fd, struct, 32)))
            yield* Effect.yieldNow
          })
        )
        expect(yield* Kernel.leaks).toEqual([])
      })
    ))

  it("in a child has the descriptor that it inherited: it answers for its parent's memory", () =>
    run(
      Effect.gen(function* () {
        yield* Task.store8(source, 9)
        const fd = yield* opened(1)
        const handler = yield* Task.fork(Effect.flatMap(nextFault(fd), (address) => copy(fd, address)))
        expect(yield* Task.load8(at)).toBe(9)
        yield* Task.wait(handler)
        yield* Task.store8(at, 1)
      })
    ))

  it("in a child that dies leaves everybody waiting while its parent has the descriptor; the last close lets them go on", () =>
    run(
      Effect.gen(function* () {
        const fd = yield* opened(1)
        const handler = yield* Task.fork(Effect.andThen(nextFault(fd), Task.exit(1)))
        const faulter = yield* Effect.forkChild(Task.load8(at))
        yield* Effect.exit(Task.wait(handler))
        expect(faulter.pollUnsafe(), "the parent may still answer").toBeUndefined()
        yield* Task.close(fd)
        expect(yield* Fiber.join(faulter)).toBe(0)
      })
    ))

  it("in a child that has the only descriptor dies, and everybody goes on", () =>
    run(
      Effect.gen(function* () {
        const fd = yield* opened(1)
        const handler = yield* Task.fork(Effect.andThen(nextFault(fd), Task.exit(1)))
        yield* Task.close(fd)
        expect(yield* Task.load8(at), "the handler read of the fault, and died").toBe(0)
        yield* Effect.exit(Task.wait(handler))
      })
    ))

  it("whose process has ended gets ESRCH for an answer, ENOMEM for registering [UK-CP-02, UK-RG-03, UK-NEW-03]", () =>
    run(
      Effect.gen(function* () {
        const fd = yield* opened(1, 0, UffdFlags.FEATURE_EVENT_FORK)
        const handler = yield* Effect.forkChild(Task.read(fd, struct, 32))
        const child = yield* Task.fork(Effect.void)
        yield* Fiber.join(handler)
        const theirs = Task.fd(yield* Task.load32(struct + 8))
        yield* Task.wait(child)
        expect(yield* tag(copy(theirs, at))).toBe("ESRCH")
        expect(yield* tag(ask(theirs, UffdFlags.IOCTL_WRITEPROTECT, at, PAGE, 0))).toBe("ESRCH")
        expect(yield* tag(ask(theirs, UffdFlags.IOCTL_REGISTER, at, PAGE, 1, 0))).toBe("ENOMEM")
        yield* ask(theirs, UffdFlags.IOCTL_WAKE, at, PAGE)
      })
    ))
})

describe("a fork that is to be heard of", () => {
  it("waits; killed, it has no child, and its event is gone [UK-EV-01]", () =>
    run(
      Effect.gen(function* () {
        const fd = yield* opened(1, UffdFlags.NONBLOCK, UffdFlags.FEATURE_EVENT_FORK)
        const forking = yield* Effect.forkChild(Task.fork(Effect.void))
        yield* Effect.yieldNow
        expect(yield* Task.poll(fd, PollFlags.IN)).toBe(PollFlags.IN)
        expect(yield* tag(copy(fd, at)), "an event is outstanding").toBe("EAGAIN")
        yield* Fiber.interrupt(forking)
        expect(yield* Task.poll(fd, PollFlags.IN)).toBe(0)
        expect(yield* copy(fd, at)).toBe(0)
        yield* Effect.yieldNow
        expect((yield* Kernel.processes).length).toBe(1)
      })
    ))

  it("waits on when the descriptor is closed: its child has one already", () =>
    run(
      Effect.gen(function* () {
        const fd = yield* opened(1, 0, UffdFlags.FEATURE_EVENT_FORK)
        const forking = yield* Effect.forkChild(Task.fork(Effect.void))
        yield* Effect.yieldNow
        yield* Task.close(fd)
        yield* Effect.yieldNow
        expect(forking.pollUnsafe()).toBeUndefined()
        yield* Fiber.interrupt(forking)
        expect(yield* Task.load8(at), "that was the last one").toBe(0)
      })
    ))

  it("stays unheard where there is no room for the child's descriptor, and is heard when there is [UK-RD-06]", () =>
    run(
      Effect.gen(function* () {
        const fd = yield* opened(1, 0, UffdFlags.FEATURE_EVENT_FORK)
        for (let i = fd.number + 1; i < 256; i++) yield* Task.memfdCreate("filler", 0)
        const handler = yield* Effect.forkChild(
          Effect.gen(function* () {
            expect(yield* tag(Task.read(fd, struct, 32))).toBe("EMFILE")
            yield* Task.close(Task.fd(255))
            expect(yield* Task.read(fd, struct, 32)).toBe(32)
            return yield* Task.load32(struct + 8)
          })
        )
        const child = yield* Task.fork(Effect.void)
        expect(yield* Fiber.join(handler)).toBe(255)
        yield* Task.wait(child)
      }),
      { ...small, tables: { ...small.tables, maxFiles: 600 } }
    ))
})
