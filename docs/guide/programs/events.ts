import { Console, Effect } from "effect"
import { AdviceFlags, Kernel, MapFlags, MremapFlags, ProtFlags, Task, Units, Userfaultfd } from "pagewright"

const PAGE = 4096
const program = Effect.gen(function* () {
  const flags = MapFlags.PRIVATE | MapFlags.ANONYMOUS
  const at = Units.raw(yield* Task.mmap({ length: 8 * PAGE, prot: ProtFlags.READ | ProtFlags.WRITE, flags }))
  const page = (address: number) => (address - at) / PAGE
  yield* Userfaultfd.open((fresh) =>
    Effect.gen(function* () {
      const uffd = yield* fresh.api(["EVENT_REMOVE", "EVENT_UNMAP", "EVENT_REMAP", "EVENT_FORK"])
      yield* uffd.register(at, 4 * PAGE, ["MISSING"])
      const handler = Effect.gen(function* () {
        for (const event of yield* uffd.readEvents()) {
          if (event._tag === "Remove" || event._tag === "Unmap")
            yield* Console.log(`${event._tag}: pages ${page(event.start)} to ${page(event.end)}`)
          if (event._tag === "Remap")
            yield* Console.log(`Remap: ${event.length} bytes, page ${page(event.from)} is page ${page(event.to)} now`)
          if (event._tag === "Fork") {
            yield* Console.log("Fork: the child's faults come through a descriptor of their own")
            const [fault] = yield* event.child.readEvents()
            yield* Console.log(`the child's first message: ${fault?._tag}`)
            yield* event.child.unregister(at + 3 * PAGE, PAGE)
          }
        }
      })
      const work = Effect.gen(function* () {
        yield* Task.madvise(at, PAGE, AdviceFlags.DONTNEED)
        yield* Task.munmap(at + PAGE, PAGE)
        const to = at + 6 * PAGE
        yield* Task.mremap({
          address: at + 2 * PAGE,
          oldLength: PAGE,
          newLength: PAGE,
          flags: MremapFlags.MAYMOVE | MremapFlags.FIXED,
          newAddress: to
        })
        const child = yield* Task.fork(Task.load8(at + 3 * PAGE), "child")
        yield* Console.log(`the child read ${yield* Task.wait(child)}`)
      })
      yield* Effect.raceFirst(Effect.forever(handler), work)
    })
  )
})

export default Kernel.scenario(
  { name: "events", frames: 64 },
  Effect.mapError(Task.run("program", program), (failure) => Kernel.checkFailed(`the story stopped: ${failure._tag}`))
)
