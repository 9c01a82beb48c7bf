/**
 * A story about the binder driver: two processes, a few messages, memory pressure. `npm start` tells it.
 */
import { Console, Deferred, Effect } from "effect"
import { Device, Kernel, MapFlags, ProtFlags, Task, Units } from "pagewright"
import { DONE, makeBinder, RECEIVE, SEND } from "./binder.ts"

const PAGES = 4
const { device, shrink } = makeBinder()

/** A line of the story, with the name of the process that it is about. */
const tell = (what: string) =>
  Effect.flatMap(Task.self, ({ name, pid }) => Console.log(`${`${name} [${pid}]`.padEnd(14)}${what}`))
const aside = (lines: string | readonly string[]) =>
  Console.log([lines].flat().join("\n").replaceAll(/^/gm, " ".repeat(18)))
const chapter = (title: string) => Console.log(`\n--- ${title}`)
const pageOf = (base: Units.UserAddr, index: number) => Units.offset(base, Units.pages(index))

/** The failure of something that must fail. */
const refusal = <A, E, R>(attempt: Effect.Effect<A, E, R>) => Effect.orDie(Effect.flip(attempt))

/** What the two processes wait for. */
const makeMeetings = Effect.all({
  ready: Deferred.make<void>(),
  sent: Deferred.make<void>(),
  read: Deferred.make<void>(),
  over: Deferred.make<void>()
})
type Meetings = Effect.Success<typeof makeMeetings>

const receiver = (meet: Meetings) =>
  Effect.gen(function* () {
    yield* chapter("a range of pages, read-only for its owner")
    const fd = yield* Task.open(device, "rw")
    yield* tell("opens /dev/binder and maps four pages")
    const range = {
      length: Units.pages(PAGES),
      prot: ProtFlags.READ,
      flags: MapFlags.SHARED,
      fd
    }
    const refused = yield* refusal(Task.mmap({ ...range, prot: ProtFlags.READ | ProtFlags.WRITE }))
    yield* tell(`may not map them writable: mmap fails with ${refused._tag}`)
    const base = yield* Task.mmap(range)
    yield* tell(`got them at ${Units.hex(base)}; nothing is mapped there yet:`)
    yield* aside(yield* Task.walk(base))
    const denied = yield* refusal(Task.mprotect(base, Units.pages(PAGES), ProtFlags.READ | ProtFlags.WRITE))
    yield* tell(`cannot make them writable later either: mprotect fails with ${denied._tag}`)
    yield* Task.ioctl(fd, RECEIVE)
    yield* Deferred.succeed(meet.ready, undefined)

    yield* Deferred.await(meet.sent)
    yield* chapter("the receiver reads")
    for (const index of [0, 1, 2]) {
      const message = yield* Task.load64(pageOf(base, index))
      yield* tell(`page ${index} says ${message}`)
    }
    yield* tell("the driver inserted the pages; the walk ends in a frame now:")
    yield* aside(yield* Task.walk(base))
    const signal = yield* refusal(Task.store64(base, 0n))
    yield* tell(`writes to page 0: ${signal._tag}, ${signal.code}`)
    const child = yield* Task.fork(refusal(Task.load64(base)), "child")
    yield* tell(`forks; the range is not copied (VM_DONTCOPY), the child gets ${(yield* Task.wait(child))._tag}`)

    yield* chapter("memory pressure")
    yield* Task.ioctl(fd, DONE, 0)
    yield* Task.ioctl(fd, DONE, 1)
    yield* tell("is done with pages 0 and 1")
    yield* Console.log(`shrinker      gives back ${yield* shrink(8)} pages`)
    const gone = yield* refusal(Task.load64(base))
    yield* tell(`reads page 0 again: ${gone._tag}, nothing is mapped there any more`)
    yield* Deferred.succeed(meet.read, undefined)

    yield* Deferred.await(meet.over)
    yield* tell(`page 0 says ${yield* Task.load64(base)}`)
    yield* chapter("the shrinker runs while the receiver unmaps")
    yield* Task.ioctl(fd, DONE, 0)
    yield* Task.ioctl(fd, DONE, 2)
    const half = Units.pages(PAGES / 2)
    const [freed] = yield* Effect.all([shrink(8), Task.munmap(base, half)], { concurrency: "unbounded" })
    yield* tell(`unmapped the lower half; the shrinker gave back ${freed} pages at the same time`)
    yield* chapter("the receiver's address space at the end")
    yield* aside((yield* Task.maps).trimEnd())
    yield* chapter("the end")
    yield* tell("exits with half of its range still mapped")
  })

const sender = (meet: Meetings) =>
  Effect.gen(function* () {
    const fd = yield* Task.open(device, "rw")
    yield* Deferred.await(meet.ready)
    yield* chapter("the sender sends")
    for (const message of [100, 200, 300]) {
      const index = yield* Task.ioctl(fd, SEND, message)
      yield* tell(`sends ${message}; it lies in page ${index}`)
    }
    yield* Deferred.succeed(meet.sent, undefined)
    yield* Deferred.await(meet.read)
    const index = yield* Task.ioctl(fd, SEND, 400)
    yield* tell(`sends 400; it lies in page ${index}, a fresh one`)
    yield* Task.close(fd)
    yield* Deferred.succeed(meet.over, undefined)
  })

const story = Effect.gen(function* () {
  const meet = yield* makeMeetings
  yield* Console.log("booted a machine with 1 MiB of RAM")
  yield* Device.register("/dev/binder", device)
  yield* Console.log("loaded the driver of /dev/binder")
  yield* Effect.all([Task.run("receiver", receiver(meet)), Task.run("sender", sender(meet))], {
    concurrency: "unbounded"
  })
})

export default Kernel.scenario(
  {
    name: "binder",
    frames: 256,
    onHook: ({ device, hook, locks, process, vma }) => {
      const where = vma === undefined ? "" : `: ${vma.start.toString(16)}-${vma.end.toString(16)}`
      return Console.log(`    ${hook} hook of ${device} for ${process}, holding ${locks}${where}`)
    }
  },
  Effect.mapError(story, (failure) => Kernel.checkFailed(`the story stopped: ${failure._tag}`))
)
