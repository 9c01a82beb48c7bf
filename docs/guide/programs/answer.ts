import { Console, Effect } from "effect"
import { Kernel, MapFlags, ProtFlags, Task, Units, Userfaultfd } from "pagewright"

const PAGE = 4096

const program = (at: number) =>
  Userfaultfd.open((fresh) =>
    Effect.gen(function* () {
      const uffd = yield* fresh.api(["POISON"])
      const memory = yield* uffd.register(at, 3 * PAGE, ["MISSING"])
      const handler = Effect.gen(function* () {
        for (const event of yield* uffd.readEvents()) {
          if (event._tag !== "Pagefault") continue
          const page = (event.address - at) / PAGE
          yield* Console.log(`page ${page} is ${event.write ? "written" : "read"}, and somebody waits`)
          if (page === 0) yield* memory.copyPage(event.address, new Uint8Array(PAGE).fill(7))
          if (page === 1) yield* memory.zeroPage(event.address, PAGE)
          if (page === 2) yield* memory.poison(event.address, PAGE)
        }
      })
      const work = Effect.gen(function* () {
        yield* Console.log(`byte 5 is ${yield* Task.load8(at + 5)}`)
        yield* Task.store8(at + PAGE, 1)
        yield* Console.log(`byte 4096 is ${yield* Task.load8(at + PAGE)}`)
        yield* Task.load8(at + 2 * PAGE)
      })
      yield* Effect.raceFirst(Effect.forever(handler), work)
    })
  )

const story = Effect.gen(function* () {
  const flags = MapFlags.PRIVATE | MapFlags.ANONYMOUS
  const at = yield* Task.mmap({ length: 3 * PAGE, prot: ProtFlags.READ | ProtFlags.WRITE, flags })
  const failure = yield* Effect.flip(program(Units.raw(at)))
  yield* Console.log(`byte 8192: ${failure._tag}`)
})

export default Kernel.scenario(
  { name: "answer", frames: 64 },
  Effect.mapError(Task.run("program", story), () => Kernel.checkFailed("the story stopped"))
)
