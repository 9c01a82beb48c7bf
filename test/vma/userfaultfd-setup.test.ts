/** userfaultfd, the client's first half: asking for features, opening, closing, registering; and who hears of it that one failed. */
import { Effect, Exit, Fiber, References } from "effect"
import { Task, Userfaultfd } from "pagewright"
import { describe, expect, it } from "vitest"
import * as UFFD from "../../lib/flags/UffdFlags.ts"
import { onProcess } from "../../lib/vma/process.ts"
import { available, openDescriptor } from "../../lib/vma/userfault.ts"
import { descriptors, expectQuiet, failureOf, logged, loggedAll, memory, PAGE, run } from "./userfaultfd-support.ts"

/** The process has no right to have the kernel's own faults answered, and no room for descriptors. */
const unprivileged = Task.setuid(1000)
const noRoom = Effect.ignore(Effect.forever(Task.memfdCreate("one more")))

describe("which features there are", () => {
  it("all that the kernel has, whatever anybody agreed on [U-QRY-01] [U-QRY-05]", () =>
    run(
      Effect.gen(function* () {
        const all = yield* Userfaultfd.queryFeatures()
        expect([...all].toSorted()).toEqual(
          [
            "EVENT_FORK",
            "EVENT_REMAP",
            "EVENT_REMOVE",
            "EVENT_UNMAP",
            "EXACT_ADDRESS",
            "MINOR_SHMEM",
            "MISSING_SHMEM",
            "MOVE",
            "PAGEFAULT_FLAG_WP",
            "POISON",
            "SIGBUS",
            "THREAD_ID",
            "WP_ASYNC",
            "WP_HUGETLBFS_SHMEM",
            "WP_UNPOPULATED"
          ].toSorted()
        )
        yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            yield* fresh.api(["SIGBUS"])
            expect(yield* Userfaultfd.queryFeatures()).toEqual(all)
          })
        )
      })
    ))

  it("the descriptor that is opened to ask is CLOEXEC and nothing more, so it needs the right to answer the kernel's faults [U-QRY-01]", () =>
    run(
      Effect.gen(function* () {
        yield* unprivileged
        expect(yield* failureOf(Userfaultfd.queryFeatures())).toBe("EPERM")
        expect((yield* Userfaultfd.queryFeatures({ userModeOnly: true })).has("WP_ASYNC")).toBe(true)
      })
    ))

  it("that there is no descriptor to be had is told, and is the failure [U-QRY-02] [U-TRC-01]", () =>
    run(
      Effect.gen(function* () {
        yield* unprivileged
        const [tag, lines] = yield* logged(failureOf(Userfaultfd.queryFeatures()))
        expect(tag).toBe("EPERM")
        expect(lines).toEqual([{ level: "Trace", message: "uffd_query_features_nosys", about: { errno: "1" } }])
      })
    ))

  it("that the kernel refuses the handshake is told, and is the failure [U-QRY-03] [U-TRC-02]", () =>
    run(
      Effect.gen(function* () {
        const asked = onProcess((p) =>
          openDescriptor(p, { flags: 0, hook: "" }, (d) => {
            expect(d.agree(0)).toBeGreaterThan(0)
            return available(d) // a second handshake is what a kernel refuses
          })
        )
        const [tag, lines] = yield* logged(failureOf(asked))
        expect(tag).toBe("EINVAL")
        expect(lines).toEqual([{ level: "Trace", message: "uffd_query_features_api_failed", about: { errno: "22" } }])
        expect(yield* descriptors).toBe(0)
      })
    ))

  it("who may open /dev/userfaultfd needs no other right; that is found out once, and told [U-QRY-06]", () =>
    run(
      Effect.gen(function* () {
        yield* Task.capset(["DAC_OVERRIDE"])
        const [, lines] = yield* loggedAll(
          Effect.all([Userfaultfd.queryFeatures(), Userfaultfd.open(() => Effect.void)])
        )
        expect(lines).toEqual([{ level: "Trace", message: "uffd_detect_open_mode", about: { mode: "device" } }])
        yield* unprivileged // it has the device already
        expect((yield* Userfaultfd.queryFeatures()).has("MOVE")).toBe(true)
        const child = yield* Task.spawn(
          "child",
          Effect.gen(function* () {
            yield* unprivileged
            const [tag, told] = yield* loggedAll(failureOf(Userfaultfd.queryFeatures()))
            expect(tag).toBe("EPERM")
            expect(told[0]).toEqual({ level: "Trace", message: "uffd_detect_open_mode", about: { mode: "syscall" } })
          })
        )
        yield* Task.wait(child)
      })
    ))

  it("asking leaves no descriptor open, however it ends [U-QRY-04]", () =>
    run(
      Effect.gen(function* () {
        yield* Userfaultfd.queryFeatures()
        expect(yield* descriptors).toBe(0)
        yield* noRoom
        const before = yield* descriptors
        expect(["EMFILE", "ENFILE"]).toContain(yield* failureOf(Userfaultfd.queryFeatures()))
        expect(yield* descriptors).toBe(before)
      })
    ))
})

describe("opening", () => {
  /** The flags of the newest userfaultfd, as F_GETFL and the context have them. */
  const opened = onProcess((p) =>
    Effect.sync(() => {
      const { files, tasks, uffds } = p.world.k
      return uffds.flags(files.private(tasks.file(p.pid, 0)))
    })
  )

  it("closes on exec; waits, unless it is asked not to [U-CRT-01]", () =>
    run(
      Effect.gen(function* () {
        const flags = () => Effect.orDie(opened)
        expect(yield* Userfaultfd.open(flags)).toBe(UFFD.CLOEXEC)
        expect(yield* Userfaultfd.open(flags, { nonBlocking: true })).toBe(UFFD.CLOEXEC | UFFD.NONBLOCK)
        expect(yield* Userfaultfd.open(flags, { userModeOnly: true })).toBe(UFFD.CLOEXEC | UFFD.USER_MODE_ONLY)
      })
    ))

  it("first the descriptor, then the handshake, then what it can register [U-CRT-02] [U-CRT-06]", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(1)
        yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            expect(yield* descriptors).toBe(1) // and it is descriptor 0, as good as any other
            const uffd = yield* fresh.api(["PAGEFAULT_FLAG_WP"])
            const [range, lines] = yield* logged(uffd.register(at, PAGE, ["MISSING", "WP"]))
            expect(range.ioctls.has("WRITEPROTECT")).toBe(true)
            expectQuiet(lines)
          })
        )
      })
    ))

  it("that there is no descriptor to be had is told, and is the failure [U-CRT-03] [U-TRC-03]", () =>
    run(
      Effect.gen(function* () {
        yield* noRoom
        const [tag, lines] = yield* logged(failureOf(Userfaultfd.open(() => Effect.void)))
        expect(["EMFILE", "ENFILE"]).toContain(tag)
        const errno = tag === "EMFILE" ? "24" : "23"
        expect(lines).toEqual([{ level: "Trace", message: "uffd_create_fd_nosys", about: { errno } }])
      })
    ))

  it("a handshake that is refused is told, is the failure, and closes the descriptor [U-CRT-04] [U-TRC-04]", () =>
    run(
      Effect.gen(function* () {
        yield* unprivileged
        const forks = Userfaultfd.open((fresh) => Effect.asVoid(fresh.api(["EVENT_FORK"])), { userModeOnly: true })
        const [tag, lines] = yield* logged(failureOf(forks))
        expect(tag).toBe("EPERM")
        expect(lines).toEqual([{ level: "Trace", message: "uffd_create_fd_api_failed", about: { errno: "1" } }])
        expect(yield* descriptors).toBe(0)
      })
    ))

  it("every descriptor has a handshake of its own, once [U-CRT-07]", () =>
    run(
      Effect.gen(function* () {
        yield* Userfaultfd.queryFeatures()
        yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            yield* fresh.api([])
            yield* Userfaultfd.open((other) => Effect.asVoid(other.api([])))
            expect(yield* failureOf(fresh.api([]))).toBe("EINVAL")
          })
        )
      })
    ))
})

describe("closing", () => {
  it("happens when the body is over; using it then is a bug, and says so [U-CLS-01]", () =>
    run(
      Effect.gen(function* () {
        const kept: { read?: Effect.Effect<unknown, unknown> } = {}
        yield* Userfaultfd.open((fresh) =>
          Effect.map(fresh.api([]), (uffd) => {
            // INVARIANT: a program that got around the types: the section is over, and its requirement with it.
            kept.read = uffd.readEvents() as unknown as Effect.Effect<unknown>
          })
        )
        expect(yield* descriptors).toBe(0)
        const exit = yield* Effect.exit(kept.read!)
        expect(Exit.isFailure(exit) && String(exit.cause)).toContain("used after its section closed it")
      })
    ))

  it("closes the descriptors of children that forked, too", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(1)
        yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api(["EVENT_FORK"])
            yield* uffd.register(at, PAGE, ["MISSING"])
            const forking = yield* Effect.forkChild(Task.fork(Effect.void))
            expect(yield* uffd.readEvents()).toMatchObject([{ _tag: "Fork" }])
            expect(yield* descriptors).toBe(2)
            yield* Fiber.join(forking)
          })
        )
        expect(yield* descriptors).toBe(0)
      })
    ))
})

describe("registering", () => {
  it("addresses and lengths go to the kernel as they are: it refuses what is not whole pages [U-REG-01] [U-REG-02] [U-TRC-06]", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(2)
        yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api(["PAGEFAULT_FLAG_WP"])
            const [tag, lines] = yield* logged(failureOf(uffd.register(at + 1, PAGE, ["MISSING", "WP"])))
            expect(tag).toBe("EINVAL")
            expect(lines).toEqual([
              {
                level: "Trace",
                message: "uffd_register_memory_failed",
                about: { addr: `0x${(at + 1).toString(16)}`, length: "0x1000", mode: "0x3", errno: "22" }
              }
            ])
            expect(yield* failureOf(uffd.register(at, PAGE + 1, ["MISSING"]))).toBe("EINVAL")
          })
        )
      })
    ))

  it("answers what can be asked for the range [U-REG-03]", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(2)
        yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api(["PAGEFAULT_FLAG_WP"])
            const missing = yield* uffd.register(at, PAGE, ["MISSING"])
            expect([...missing.ioctls]).toEqual(["WAKE", "COPY", "ZEROPAGE", "MOVE", "POISON"])
            const both = yield* uffd.register(at + PAGE, PAGE, ["MISSING", "WP"])
            expect([...both.ioctls]).toEqual(["WAKE", "COPY", "ZEROPAGE", "MOVE", "WRITEPROTECT", "POISON"])
          })
        )
      })
    ))

  it("unregistering answers nothing; that it failed is told [U-UNR-01] [U-TRC-07]", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(1)
        yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api([])
            yield* uffd.register(at, PAGE, ["MISSING"])
            const [done, quiet] = yield* logged(uffd.unregister(at, PAGE))
            expect(done).toBeUndefined()
            expectQuiet(quiet)
            expect(yield* Task.load8(at)).toBe(0)
            const [tag, lines] = yield* logged(failureOf(uffd.unregister(at, 5)))
            expect(tag).toBe("EINVAL")
            expect(lines).toEqual([
              {
                level: "Trace",
                message: "uffd_unregister_memory_failed",
                about: { addr: `0x${at.toString(16)}`, length: "0x5", errno: "22" }
              }
            ])
          })
        )
      })
    ))

  it("setting up is told at level Trace, answering at level Debug, and neither by default [U-TRC-08]", () =>
    run(
      Effect.gen(function* () {
        const at = yield* memory(1)
        yield* Userfaultfd.open((fresh) =>
          Effect.gen(function* () {
            const uffd = yield* fresh.api([])
            const range = yield* uffd.register(at, PAGE, ["MISSING"])
            const tags = Effect.all([failureOf(uffd.register(at, 1, ["MISSING"])), failureOf(range.zeroPage(at, 1))])
            const [, lines] = yield* logged(tags)
            expect(lines.map(({ level }) => level)).toEqual(["Trace", "Debug"])
            const [, byDefault] = yield* logged(Effect.provideService(tags, References.MinimumLogLevel, "Info"))
            expectQuiet(byDefault)
          })
        )
      })
    ))
})
