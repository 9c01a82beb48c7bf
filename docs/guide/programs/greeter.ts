import { Console, Effect } from "effect"
import { Device, Fail, Kernel, MapFlags, Page, ProtFlags, Task } from "pagewright"

const greeter = Device.make({
  open: Effect.gen(function* () {
    const page = yield* Page.allocPage("GFP_KERNEL|__GFP_ZERO")
    yield* Page.write(page, 0, new TextEncoder().encode("hello from the driver"))
    return { page }
  }),
  mmap: (self, vma) =>
    Effect.gen(function* () {
      if (vma.writable()) return yield* Fail.fail("EPERM")
      const mixed = yield* vma.setMixedmap().tryClearMaywrite()
      yield* mixed.vmInsertPage(mixed.start, self.page)
    })
})

/** The failure of something that must fail. */
const refusal = <A, E, R>(attempt: Effect.Effect<A, E, R>) => Effect.orDie(Effect.flip(attempt))

const reader = Effect.gen(function* () {
  const fd = yield* Task.open("/dev/greeter", "rw")
  const range = { length: 4096, prot: ProtFlags.READ, flags: MapFlags.SHARED, fd }

  const denied = yield* refusal(Task.mmap({ ...range, prot: ProtFlags.READ | ProtFlags.WRITE }))
  yield* Console.log(`mmap for writing: ${denied._tag}`)

  const at = yield* Task.mmap(range)
  yield* Console.log(`page says: ${new TextDecoder().decode(yield* Task.loadBytes(at, 21))}`)

  const signal = yield* refusal(Task.store8(at, 0))
  yield* Console.log(`a write: ${signal._tag}, ${signal.code}`)

  yield* Console.log(`\n${yield* Task.maps}`)
  yield* Console.log((yield* Task.walk(at)).join("\n"))
})

const story = Effect.gen(function* () {
  yield* Device.register("/dev/greeter", greeter)
  yield* Task.run("reader", reader)
})

export default Kernel.scenario(
  { name: "greeter", frames: 64 },
  Effect.mapError(story, (failure) => Kernel.checkFailed(`the story stopped: ${failure._tag}`))
)
