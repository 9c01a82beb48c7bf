/** Programs over the capabilities that once broke: a process that ends while its other fibers are in system calls, files
 * closed under a driver's feet, waits that time out. In every order up to the bound nothing breaks and nothing is left.
 */
import { Cause, Effect, Exit } from "effect"
import { expect, it } from "vitest"
import { Device, type Kernel, type Lockdep, MapFlags, Page, ProtFlags, Task, Units } from "pagewright"
import * as Explore from "../../lib/proof/explore/Explore.ts"

const RW = ProtFlags.READ | ProtFlags.WRITE
const anonymous = (pages: number) =>
  Task.mmap({ length: Units.pages(pages), prot: RW, flags: MapFlags.PRIVATE | MapFlags.ANONYMOUS })

/** How it ends is its own affair, unless that is a defect; what a process asks after its end is refused with one. */
const however = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<void, never, R> =>
  Effect.flatMap(Effect.exit(effect), (exit) => {
    const reasons = Exit.isSuccess(exit) ? [] : exit.cause.reasons
    const defect = reasons.filter(Cause.isDieReason).find((r) => !String(r.defect).includes("has ended"))
    return defect === undefined ? Effect.void : Effect.die(defect.defect)
  })
const atOnce = <R>(...effects: readonly Effect.Effect<unknown, unknown, R>[]): Effect.Effect<void, never, R> =>
  Effect.asVoid(Effect.all(effects.map(however), { concurrency: "unbounded" }))

const passes = <S>(rule: string, scenario: Explore.Scenario<S>, bound: number, most: number): void => {
  it(`in every order: ${rule}`, { timeout: 30_000 }, () => {
    const outcome = Explore.search(scenario, Explore.dfs(bound), most)
    expect(outcome.failure === undefined ? "" : Explore.tell(outcome)).toBe("")
    expect(outcome.schedules).toBeGreaterThan(1)
  })
}
const process = (program: Effect.Effect<void, unknown, Task.Task | Kernel.Kernel | Lockdep.Markers>) =>
  however(Task.run("a", program))

/** A driver whose hooks take their time, and that knows whether its file is still open. */
const slow = Effect.gen(function* () {
  const state = Effect.map(Page.allocPage("GFP_KERNEL|__GFP_ZERO"), (page) => ({ isOpen: true, page }))
  const device = Device.make({
    open: state,
    kind: "mixedmap",
    mmap: () => Effect.yieldNow,
    ioctl: (self) =>
      Effect.andThen(
        Effect.yieldNow,
        Effect.sync(() => {
          if (!self.isOpen) throw new Error("ioctl of a file that was released")
          return 0
        })
      ),
    release: (self) =>
      Effect.sync(() => {
        self.isOpen = false
      }),
    vmOps: {
      close: () => Effect.yieldNow,
      fault: (self) => Effect.as(Effect.sleep("1 millis"), self.page)
    }
  })
  yield* Device.register("/dev/slow", device)
  return device
})
type Slow = Effect.Success<typeof slow>
const mapped = (device: Slow) =>
  Effect.gen(function* () {
    const fd = yield* Task.open(device, "rw")
    const at = yield* Task.mmap({ length: 8192, prot: ProtFlags.READ, flags: MapFlags.SHARED, fd })
    return { at, fd }
  })

passes(
  "a process ends while it stores and unmaps",
  {
    setup: Effect.void,
    tasks: () => ({
      A: process(Effect.flatMap(anonymous(2), (at) => atOnce(Task.exit(0), Task.store8(at, 1), Task.munmap(at, 4096))))
    })
  },
  1,
  300
)
passes(
  "a process ends twice",
  { setup: Effect.void, tasks: () => ({ A: process(atOnce(Task.exit(0), Task.exit(1))) }) },
  2,
  300
)
passes(
  "a process ends while a driver's mmap hook runs for it",
  { setup: slow, tasks: (device) => ({ A: process(atOnce(mapped(device), Task.exit(0))) }) },
  1,
  300
)
passes(
  "a descriptor is closed while the driver answers an ioctl through it: release comes after",
  {
    setup: slow,
    tasks: (device) => ({
      A: process(Effect.flatMap(Task.open(device, "rw"), (fd) => atOnce(Task.ioctl(fd, 1), Task.close(fd))))
    })
  },
  2,
  300
)
passes(
  "a load that times out in a driver's fault hook, against close and munmap",
  {
    setup: slow,
    tasks: (device) => ({
      A: process(
        Effect.flatMap(mapped(device), ({ at, fd }) =>
          atOnce(Effect.timeout(Task.load8(at), "1 millis"), Task.close(fd), Task.munmap(at, 4096))
        )
      )
    })
  },
  1,
  300
)
passes(
  "a device is unregistered while somebody opens and maps it",
  {
    setup: Effect.void,
    tasks: () => ({
      A: Effect.suspend(() => {
        const device = Device.make({ open: Effect.void, mmap: () => Effect.yieldNow })
        const user = Effect.gen(function* () {
          const fd = yield* Task.open(device, "rw")
          const at = yield* Task.mmap({ length: 4096, prot: ProtFlags.READ, flags: MapFlags.SHARED, fd })
          yield* Task.munmap(at, 4096)
        })
        const registered = Effect.scoped(Effect.andThen(Device.register("/dev/brief", device), Effect.yieldNow))
        return atOnce(registered, process(user))
      })
    })
  },
  1,
  300
)

it("the example of the documentation", () => {
  const program = Effect.gen(function* () {
    const at = yield* Task.mmap({ length: 4096, prot: ProtFlags.READ, flags: MapFlags.PRIVATE | MapFlags.ANONYMOUS })
    yield* Effect.all([Task.munmap(at, 4096), Task.munmap(at, 4096)], { concurrency: 2 })
  })
  const outcome = Explore.search(
    { setup: Effect.void, tasks: () => ({ A: Task.run("a", program), B: Task.run("b", program) }) },
    Explore.dfs(0),
    100
  )
  if (outcome.failure !== undefined) throw new Error(Explore.tell(outcome))
  expect(outcome.schedules).toBeGreaterThan(1)
})
