import { Console, Effect } from "effect"
import { Fail, Kernel, Mappable, MemoryFile, Range, Task, Units } from "pagewright"

const PAGE = 4096

/** Twelve pages, one a month, each printed when somebody first looks at it. */
const makeAlmanac = Effect.gen(function* () {
  const file = yield* MemoryFile.make("almanac, printed")
  const printed = new Map<number, Range.PageRange<"file">>()
  let edition = 1

  const print = (month: number): Range.PageRange<"file"> | undefined => {
    const page = file.allocate(1)
    if (page === undefined) return undefined
    const text = new TextEncoder().encode(`month ${month + 1}, edition ${edition}`)
    for (const view of file.mapInternal(page)) view.set(text)
    printed.set(month, page)
    return page
  }

  const object = yield* Mappable.make({
    name: "almanac",
    maxPerms: "r--",
    translate: (ask) => {
      const month = ask.required.start / PAGE
      if (month >= 12) return { translations: [], error: Mappable.busError(Fail.make("EFAULT")) }
      const page = printed.get(month) ?? print(month)
      if (page === undefined) return { translations: [], error: Fail.make("ENOMEM") }
      return ask.translation({ source: ask.required, file, offset: page.start })
    }
  })

  /** A new edition: who has read the old one reads again. */
  const reprint = Effect.gen(function* () {
    edition++
    yield* Mappable.invalidate(object, Range.ofPages(0, 12), { invalidatePrivate: false })
    for (const page of printed.values()) file.decRef(page)
    printed.clear()
  })
  return { object, pages: () => printed.size, reprint }
})

const story = Effect.gen(function* () {
  const { object, pages, reprint } = yield* makeAlmanac
  const identity = yield* Mappable.identity(object, { name: "/almanac" })
  const reader = Effect.gen(function* () {
    const at = Units.raw(yield* Mappable.map({ identity, length: 13 * PAGE, perms: "r--" }))
    const look = (month: number) =>
      Effect.map(Task.loadBytes(at + month * PAGE, 18), (bytes) => new TextDecoder().decode(bytes))
    yield* Console.log(`mapped; ${pages()} pages are printed`)
    yield* Console.log(`"${yield* look(4)}"; ${pages()} page is printed`)
    yield* reprint
    yield* Console.log(`"${yield* look(4)}"; ${pages()} page is printed`)
    const signal = yield* Effect.orDie(Effect.flip(look(12)))
    yield* Console.log(`the thirteenth month: ${signal._tag}`)
    yield* Console.log((yield* Task.maps).split("\n")[0]!)
  })
  yield* Task.run("reader", reader)
})

export default Kernel.scenario({ name: "almanac", frames: 64 }, Effect.orDie(story))
