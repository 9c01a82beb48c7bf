import { Cause, Context, Deferred, Effect, Exit, Fiber, Layer } from "effect"
import { Device, Fail, Kernel, Locked, MapFlags, Mm, Page, ProtFlags, Task, Units } from "pagewright"
import { describe, expect, it } from "vitest"
import { FILE_NOEXEC } from "../../lib/mm/store/files.ts"
import { inner } from "../../lib/vma/raw.ts"
import { World } from "../../lib/vma/world.ts"
import { anonymous, checkTables, defectOf, one, onKernel, pageAt, pageDevice, rw } from "./support.ts"

const tag = <A, E, R>(attempt: Effect.Effect<A, E, R>) =>
  attempt.pipe(
    Effect.as("done"),
    Effect.catch((e: unknown) =>
      Effect.succeed(typeof e === "object" && e !== null && "_tag" in e ? String(e._tag) : e)
    )
  )
const shared = { length: Units.pages(4), prot: rw, flags: MapFlags.SHARED }
const core = Effect.map(Kernel.Kernel, (machine) => inner(machine, World).k)

/** Registers a device, and runs a program as a process that has opened it. */
const using = <S, OE, ME, R, A, E, Q>(
  device: Device.Device<S, OE, ME, R>,
  program: (fd: Task.Fd<ME>) => Effect.Effect<A, E, Q>
) =>
  Effect.gen(function* () {
    yield* Device.register("/dev/test", device)
    return yield* Task.run("test", Effect.flatMap(Task.open(device, "rw"), program))
  })

describe("Device", () => {
  it("without an mmap hook mmap(2) fails with ENODEV, without an ioctl ioctl(2) with ENOTTY [R-MISC-01]", () =>
    onKernel(
      using(Device.make({ open: Effect.void }), (fd) =>
        Effect.gen(function* () {
          expect(yield* tag(Task.mmap({ ...shared, fd }))).toBe("ENODEV")
          expect(yield* tag(Task.ioctl(fd, 1))).toBe("ENOTTY")
          expect(yield* tag(Task.ioctl(Task.fd(99), 1))).toBe("EBADF")
        })
      )
    ))

  it("open is called first, its answer is the state of that file, its errno that of open(2) [R-MISC-02]", () =>
    onKernel(
      Effect.gen(function* () {
        let opened = 0
        const device = Device.make({
          open: Effect.suspend(() => (++opened > 2 ? Fail.fail("EBUSY") : Effect.succeed({ n: opened }))),
          ioctl: (self) => Effect.succeed(self.n)
        })
        yield* Device.register("/dev/test", device)
        yield* Task.run(
          "test",
          Effect.gen(function* () {
            const a = yield* Task.open(device, "rw")
            const b = yield* Task.open("/dev/test", "r")
            expect([yield* Task.ioctl(a, 0), yield* Task.ioctl(b, 0)]).toEqual([1, 2])
            expect(yield* tag(Task.open(device, "rw"))).toBe("EBUSY")
            expect(yield* tag(Task.open("/dev/none", "rw"))).toBe("ENOENT")
          })
        )
      })
    ))

  it("what open acquired is given back when it fails, and when the file goes", () =>
    onKernel(
      Effect.gen(function* () {
        const before = yield* Kernel.framesUsed
        const failing = Device.make({ open: Effect.andThen(Page.allocPage("GFP_KERNEL"), Fail.fail("EIO")) })
        yield* Device.register("/dev/failing", failing)
        yield* Task.run(
          "test",
          Effect.map(tag(Task.open(failing, "r")), (said) => expect(said).toBe("EIO"))
        )
        yield* using(pageDevice(), () => Effect.void)
        expect(yield* Kernel.framesUsed).toBe(before)
      })
    ))

  it("a failing mmap hook fails mmap(2): nothing is mapped, what it inserted is undone [R-MISC-03]", () =>
    onKernel(
      Effect.gen(function* () {
        const page = yield* Page.allocPage("GFP_KERNEL|__GFP_ZERO")
        const device = Device.make({
          open: Effect.void,
          kind: "mixedmap",
          mmap: (_, vma) => Effect.andThen(vma.vmInsertPage(vma.start, page), Fail.fail("EPERM"))
        })
        yield* using(device, (fd) =>
          Effect.gen(function* () {
            const before = yield* Task.maps
            expect(yield* tag(Task.mmap({ ...shared, fd }))).toBe("EPERM")
            expect(yield* Task.maps).toBe(before)
            yield* checkTables
            const k = yield* core
            expect([k.frames.refcount(Units.raw(page.pfn)), k.frames.mapcount(Units.raw(page.pfn))]).toEqual([1, 0])
          })
        )
      })
    ))

  it("flags that the hook sets are those of the VMA [R-MISC-04]", () =>
    onKernel(
      using(
        Device.make({ open: Effect.void, mmap: (_, vma) => Effect.asVoid(vma.setDontcopy().setDontexpand()) }),
        (fd) =>
          Effect.scoped(
            Effect.gen(function* () {
              const at = yield* Task.mmap({ ...shared, fd })
              const has = yield* Locked.withUser(yield* Mm.current, (mm) =>
                Locked.withVma(mm, at, (vma) =>
                  Effect.succeed([vma.has("VM_DONTCOPY"), vma.has("VM_DONTEXPAND"), vma.has("VM_IO")])
                )
              )
              expect(has).toEqual([true, true, false])
            })
          )
      )
    ))

  it("release runs when the last reference goes; a mapping is one [R-MISC-05]", () =>
    onKernel(
      Effect.gen(function* () {
        const log: Array<string> = []
        const note = (what: string) => Effect.sync(() => void log.push(what))
        const device = Device.make({ open: Effect.void, mmap: () => Effect.void, release: () => note("release") })
        yield* using(device, (fd) =>
          Effect.gen(function* () {
            const at = yield* Task.mmap({ ...shared, fd })
            yield* Task.close(fd)
            yield* note("closed")
            expect(yield* tag(Task.close(fd))).toBe("EBADF")
            yield* Task.munmap(at, one) // the rest still maps it
            yield* note("part unmapped")
            yield* Task.munmap(at, shared.length)
            yield* note("unmapped")
          })
        )
        expect(log).toEqual(["closed", "part unmapped", "release", "unmapped"])
      })
    ))

  it("the descriptor's mode, the mount and the sharing decide before the hook is asked [R-MISC-07]", () =>
    onKernel(
      Effect.gen(function* () {
        let asked = 0
        const device = Device.make({
          open: Effect.void,
          mmap: (_, vma) => Effect.sync(() => void (asked += vma.has("VM_MAYSHARE") ? 1 : 0))
        })
        yield* Device.register("/dev/test", device)
        yield* Task.run(
          "test",
          Effect.scoped(
            Effect.gen(function* () {
              const [r, w] = [yield* Task.open(device, "r"), yield* Task.open(device, "w")]
              const ask = (fd: Task.Fd<never>, prot: number, flags: number) =>
                tag(Task.mmap({ length: one, prot, flags, fd }))
              expect(yield* ask(w, ProtFlags.READ, MapFlags.PRIVATE)).toBe("EACCES")
              expect(yield* ask(r, rw, MapFlags.SHARED)).toBe("EACCES")
              expect(asked).toBe(0)
              const at = yield* Task.mmap({ length: one, prot: ProtFlags.READ, flags: MapFlags.SHARED, fd: r })
              expect(asked).toBe(1)
              const has = yield* Locked.withUser(yield* Mm.current, (mm) =>
                Locked.withVma(mm, at, (vma) =>
                  Effect.succeed((["VM_SHARED", "VM_MAYWRITE", "VM_READ"] as const).map((flag) => vma.has(flag)))
                )
              )
              expect(has).toEqual([false, false, true])
              const k = yield* core
              k.paths.set("/dev/test", { ...k.paths.get("/dev/test")!, flags: FILE_NOEXEC })
              const noexec = yield* Task.open(device, "rw")
              expect(yield* ask(noexec, ProtFlags.READ | ProtFlags.EXEC, MapFlags.PRIVATE)).toBe("EPERM")
              expect(yield* ask(noexec, ProtFlags.READ, MapFlags.PRIVATE)).toBe("done")
            })
          )
        )
      })
    ))

  it("a path, and a device, is registered once; the end of the registration frees it [R-MISC-09]", () =>
    onKernel(
      Effect.gen(function* () {
        const [a, b] = [pageDevice(), pageDevice()]
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* Device.register("/dev/test", a)
            expect(yield* tag(Device.register("/dev/test", b))).toBe("EEXIST")
            expect(yield* tag(Device.register("/dev/other", a))).toBe("EEXIST")
            yield* Device.register("/dev/other", b)
          })
        )
        yield* Device.register("/dev/test", b)
        yield* Task.run(
          "test",
          Effect.map(tag(Task.open(a, "rw")), (said) => expect(said).toBe("ENOENT"))
        )
      })
    ))

  it("owns tells a mapping of this open file from one of another", () =>
    onKernel(
      Effect.gen(function* () {
        const found: Array<boolean> = []
        const device = Device.make({
          open: Effect.sync(() => ({ id: Math.random() })),
          mmap: (self, vma) => Effect.sync(() => void found.push(Device.owns(self, vma), Device.owns({ id: 0 }, vma)))
        })
        yield* using(device, (fd) => Task.mmap({ ...shared, fd }))
        expect(found).toEqual([true, false])
      })
    ))
})

describe("hooks", () => {
  class Db extends Context.Service<Db, { readonly load: Effect.Effect<void, Fail.Fail<"EIO">> }>()("test/Db") {}

  it("each runs under its lock: mmap and open under mmap write, close after the downgrade, fault as a reader", () => {
    const seen: Array<string> = []
    return onKernel(
      Effect.gen(function* () {
        const page = yield* Page.allocPage("GFP_KERNEL|__GFP_ZERO")
        const device = Device.make({
          open: Effect.void,
          mmap: () => Effect.void,
          vmOps: {
            open: () => Effect.void,
            close: () => Effect.void,
            maySplit: () => Effect.void,
            fault: () => Effect.succeed(page)
          }
        })
        yield* using(device, (fd) =>
          Effect.gen(function* () {
            const at = yield* Task.mmap({ ...shared, fd })
            yield* Task.load8(at)
            yield* Task.wait(yield* Task.fork(Effect.void, "child"))
            yield* Task.munmap(pageAt(at, 1), one)
          })
        )
      }),
      {
        frames: 128,
        onHook: ({ hook, locks, process }) => Effect.sync(() => void seen.push(`${process}: ${hook}, ${locks}`))
      }
    ).then(() =>
      expect(seen).toEqual([
        "test: open, nothing",
        "test: mmap, mmap:w",
        "test: fault, mmap:r",
        "test: vma open, mmap:w+child:w",
        "child: vma close, mmap:w",
        "test: may_split, mmap:w",
        "test: vma open, mmap:w",
        "test: may_split, mmap:w",
        "test: vma open, mmap:w",
        "test: vma close, mmap:r",
        "test: vma close, mmap:w",
        "test: vma close, mmap:w",
        "kernel: release, nothing"
      ])
    )
  })

  it("services are those of the registration; the caller needs none of them", () =>
    onKernel(
      Effect.gen(function* () {
        let loads = 0
        const device = Device.make({ open: Effect.void, mmap: () => Effect.flatMap(Db, (db) => db.load) })
        const db = Layer.succeed(Db)({ load: Effect.suspend(() => (++loads === 1 ? Effect.void : Fail.fail("EIO"))) })
        yield* Device.register("/dev/test", device).pipe(Effect.provide(db))
        yield* Task.run(
          "test",
          Effect.gen(function* () {
            const fd = yield* Task.open(device, "rw")
            expect([yield* tag(Task.mmap({ ...shared, fd })), yield* tag(Task.mmap({ ...shared, fd }))]).toEqual([
              "done",
              "EIO"
            ])
          })
        )
      })
    ))

  it("an own error and a defect come out as they were, after the same undo", () =>
    onKernel(
      Effect.gen(function* () {
        const tired = { _tag: "Tired", since: 3 } as const
        for (const failure of [Effect.fail(tired), Effect.die(new Error("oops"))]) {
          const device = Device.make({ open: Effect.void, mmap: () => failure })
          yield* Effect.scoped(
            using(device, (fd) =>
              Effect.gen(function* () {
                const exit = yield* Effect.exit(Task.mmap({ ...shared, fd }))
                const reasons = Exit.isFailure(exit) ? exit.cause.reasons : []
                expect(
                  reasons.map((r) => (Cause.isFailReason(r) ? r.error : Cause.isDieReason(r) ? String(r.defect) : r))
                ).toEqual([failure === Effect.fail(tired) || Cause.isFailReason(reasons[0]!) ? tired : "Error: oops"])
                yield* checkTables
              })
            )
          )
        }
      })
    ))

  it("a device that was opened by its path has no types for its own errors: they are defects", () =>
    onKernel(
      Effect.gen(function* () {
        const device = Device.make({ open: Effect.void, mmap: () => Effect.fail({ _tag: "Tired" } as const) })
        yield* Device.register("/dev/test", device)
        yield* Task.run(
          "test",
          Effect.gen(function* () {
            const fd = yield* Task.open("/dev/test", "rw")
            expect(yield* defectOf(Task.mmap({ ...shared, fd }))).toMatch("a driver failed with an error of its own")
          })
        )
      })
    ))

  it("H01 a hook that takes its verb's lock all the same is told, not hung", () =>
    onKernel(
      Effect.gen(function* () {
        const unmap = Task.munmap(0x10000, one) as Effect.Effect<void>
        const device = Device.make({ open: Effect.void, mmap: () => unmap })
        yield* using(device, (fd) =>
          Effect.gen(function* () {
            expect(yield* defectOf(Task.mmap({ ...shared, fd }))).toMatch(
              "possible recursive locking: mmap_lock is already held by the verb that called the hook"
            )
            yield* checkTables
          })
        )
      })
    ))

  it("interrupted in its mmap hook: the hook's finalizer first, with its VMA alive; then the core's undo", () =>
    onKernel(
      Effect.gen(function* () {
        const log: Array<string> = []
        const reached = yield* Deferred.make<void>()
        const device = Device.make({
          open: Effect.void,
          mmap: (_, vma) =>
            Effect.onExit(Effect.andThen(Deferred.succeed(reached, undefined), Effect.never), () =>
              Effect.sync(() => void log.push(`finalizer at ${Units.raw(vma.start) > 0}`))
            )
        })
        yield* using(device, (fd) =>
          Effect.gen(function* () {
            const mapping = yield* Effect.forkChild(Task.mmap({ ...shared, fd }))
            yield* Deferred.await(reached)
            const waiting = yield* Effect.forkChild(Task.mmap({ length: one, prot: rw, flags: anonymous }))
            yield* Fiber.interrupt(mapping)
            yield* Fiber.join(waiting)
            expect(log).toEqual(["finalizer at true"])
            expect(yield* Task.maps).not.toContain("/dev/test")
          })
        )
      })
    ))

  it("interrupted in a close hook: it is finished, then the interrupt counts", () =>
    onKernel(
      Effect.gen(function* () {
        let closed = 0
        const reached = yield* Deferred.make<void>()
        const slow = Effect.andThen(Deferred.succeed(reached, undefined), Effect.repeat(Effect.yieldNow, { times: 5 }))
        const device = Device.make({
          open: Effect.void,
          mmap: () => Effect.void,
          vmOps: {
            close: () =>
              Effect.andThen(
                slow,
                Effect.sync(() => void closed++)
              )
          }
        })
        yield* using(device, (fd) =>
          Effect.gen(function* () {
            const at = yield* Task.mmap({ ...shared, fd })
            const unmapping = yield* Effect.forkChild(Task.munmap(at, shared.length))
            yield* Deferred.await(reached)
            yield* Fiber.interrupt(unmapping)
            expect(closed).toBe(1)
            expect(yield* Task.maps).not.toContain("/dev/test")
          })
        )
      })
    ))

  it("a fault hook's errno is a SIGBUS, ENOMEM is the end of memory; its page is mapped", () =>
    onKernel(
      Effect.gen(function* () {
        const page = yield* Page.allocPage("GFP_KERNEL|__GFP_ZERO")
        yield* Page.write(page, 0, Uint8Array.of(42))
        const device = Device.make({
          open: Effect.void,
          mmap: () => Effect.void,
          vmOps: {
            fault: (_, vma, at) => {
              const n = (Units.raw(at) - Units.raw(vma.start)) / 4096
              return n === 0 ? Effect.succeed(page) : n === 1 ? Fail.fail("EIO") : Fail.fail("ENOMEM")
            }
          }
        })
        yield* using(device, (fd) =>
          Effect.gen(function* () {
            const base = yield* Task.mmap({ ...shared, fd })
            expect(yield* Task.load8(base)).toBe(42)
            expect([yield* tag(Task.load8(pageAt(base, 1))), yield* tag(Task.load8(pageAt(base, 2)))]).toEqual([
              "SIGBUS",
              "SIGKILL"
            ])
          })
        )
      })
    ))

  it("a fault hook may map the page itself, under a lock of its own", () =>
    onKernel(
      Effect.gen(function* () {
        const page = yield* Page.allocPage("GFP_KERNEL|__GFP_ZERO")
        yield* Page.write(page, 0, Uint8Array.of(42))
        let calls = 0
        const device = Device.make({
          open: Effect.void,
          kind: "mixedmap",
          mmap: () => Effect.void,
          vmOps: {
            fault: (_, vma, at) =>
              Effect.gen(function* () {
                calls++
                if (!vma.has("VM_MIXEDMAP")) return yield* Fail.fail("EFAULT")
                yield* Effect.catchTag(vma.vmInsertPage(at, page), "EBUSY", () => Effect.void)
                return Device.NOPAGE
              })
          }
        })
        yield* using(device, (fd) =>
          Effect.gen(function* () {
            const base = yield* Task.mmap({ ...shared, fd })
            expect(yield* Task.load8(base)).toBe(42)
            expect(yield* Task.load8(base)).toBe(42)
            expect(calls).toBe(1)
          })
        )
      })
    ))

  it("a veto of the split is munmap's and mprotect's errno", () =>
    onKernel(
      Effect.gen(function* () {
        const device = Device.make({
          open: Effect.void,
          mmap: () => Effect.void,
          vmOps: { maySplit: () => Fail.fail("EBUSY") }
        })
        yield* using(device, (fd) =>
          Effect.gen(function* () {
            const base = yield* Task.mmap({ ...shared, fd })
            expect(yield* tag(Task.munmap(base, one))).toBe("EBUSY")
            expect(yield* tag(Task.mprotect(base, one, ProtFlags.READ))).toBe("EBUSY")
            expect(yield* tag(Task.munmap(base, shared.length))).toBe("done")
          })
        )
      })
    ))
})
