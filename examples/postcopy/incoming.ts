/**
 * Memory that is filled while its task runs: who touches a page that is not there yet waits until it has come.
 *
 * In the order of QEMU's postcopy: probe, make room, answer faults with requests, place what comes.
 */
import { Data, Effect } from "effect"
import { AdviceFlags, type Locked, MapFlags, ProtFlags, Task, Userfaultfd } from "pagewright"
import { Fingerprint } from "./fingerprint.ts"
import { type Layout, PAGE, PageSet } from "./layout.ts"
import { Garbled, type Message } from "./wire.ts"

/** This kernel cannot do it. */
class Unsupported extends Data.TaggedError("Unsupported")<{ readonly message: string }> {}

/** userfaultfd tells of something that is no fault in the task's memory. */
class Unexpected extends Data.TaggedError("Unexpected")<{ readonly message: string }> {}

const needed: readonly Userfaultfd.RangeIoctl[] = ["WAKE", "COPY", "ZEROPAGE"]
/** What a range cannot be asked for, of what is needed. */
export const lacking = (ioctls: ReadonlySet<Userfaultfd.RangeIoctl>) => needed.filter((one) => !ioctls.has(one))

/** Can this kernel fill memory on demand? Asks with a page of its own. */
export const probe = Effect.gen(function* () {
  const page = yield* Task.mmap({
    length: PAGE,
    prot: ProtFlags.READ | ProtFlags.WRITE,
    flags: MapFlags.PRIVATE | MapFlags.ANONYMOUS
  })
  const ask = Userfaultfd.open(
    (fresh) =>
      Effect.gen(function* () {
        const uffd = yield* fresh.api([])
        const { ioctls } = yield* uffd.register(page, PAGE, ["MISSING"])
        return lacking(ioctls)
      }),
    { userModeOnly: true }
  )
  const lacks = yield* Effect.ensuring(ask, Effect.orDie(Task.munmap(page, PAGE)))
  if (lacks.length > 0) return yield* new Unsupported({ message: `userfaultfd cannot ${lacks.join(", ")}` })
})

/** Empties the areas: a page that is there is never asked for, whatever is in it. Locked memory cannot be emptied, and locking
 * brings every page in; so nothing is locked from here on.
 */
export const makeRoom = (layout: Layout) =>
  Effect.gen(function* () {
    yield* Task.munlockall
    for (const { length, start } of layout.areas) yield* Task.madvise(start, length, AdviceFlags.DONTNEED)
  })

/** What is known of the pages: which have come, which were asked for and have not. */
export class Pages {
  readonly received: PageSet
  readonly asked = new Set<number>()
  readonly fingerprint = new Fingerprint()
  /** Pages that came because they were asked for, and the others. */
  urgent = 0
  background = 0
  readonly layout: Layout
  constructor(layout: Layout) {
    this.layout = layout
    this.received = new PageSet(layout.pages)
  }
  get isWhole(): boolean {
    return this.received.size === this.layout.pages
  }
}

export type Contents = Extract<Message, { readonly _tag: "Pages" | "Zeros" }>

/** Places pages that came, and wakes who waits for them. They count as received only when they are in place. */
export const place = <fd extends Locked.AfterUnlock>(
  pages: Pages,
  ranges: readonly Userfaultfd.Registered<"MISSING", fd>[],
  message: Contents
) =>
  Effect.gen(function* () {
    const count = message._tag === "Pages" ? message.bytes.length / PAGE : message.count
    const { address, range } = yield* roomFor(pages, ranges, message.first, count)
    if (message._tag === "Pages") yield* range.copyPage(address, message.bytes)
    else yield* range.zeroPage(address, count * PAGE)
    for (let page = message.first; page < message.first + count; page++) {
      pages.received.add(page)
      pages.asked.delete(page)
    }
    pages.fingerprint.add(message.first, message._tag === "Pages" ? message.bytes : new Uint8Array(count * PAGE))
    if (message.urgent) pages.urgent += count
    else pages.background += count
  })

/** Where pages go, if they are some of one area, and none of them has come before. */
const roomFor = <R>(pages: Pages, ranges: readonly R[], first: number, count: number) =>
  Effect.suspend(() => {
    const { layout, received } = pages
    const wrong = (why: string) =>
      Effect.fail(new Garbled({ message: `pages ${first} and on, ${count} of them: ${why}` }))
    if (first >= layout.pages || !Number.isInteger(count) || count < 1) return wrong("no pages of the task")
    const { address, area, room } = layout.at(first)
    const range = ranges[area]
    if (range === undefined || count > room) return wrong("not of one area")
    for (let page = first; page < first + count; page++) if (received.has(page)) return wrong("not for the first time")
    return Effect.succeed({ address, range })
  })

/** A descriptor that never waits in a read, as far as whoever answers its faults needs it. */
export interface Faults<E, R> {
  readonly pollEvents: (timeout: "Infinity") => Effect.Effect<boolean, E, R>
  /** Only faults have an address. */
  readonly readEvents: () => Effect.Effect<readonly { readonly _tag: string; readonly address?: number }[], E, R>
}

/** Asks for the page of every fault, once. Never ends: it is interrupted.
 * @param request - asks for a page
 */
export const answerFaults = <E1, R1, E2, R2>(
  uffd: Faults<E1, R1>,
  pages: Pages,
  request: (page: number) => Effect.Effect<void, E2, R2>
) =>
  Effect.forever(
    Effect.gen(function* () {
      yield* uffd.pollEvents("Infinity")
      // None, where the page has come meanwhile and who waited goes on.
      for (const { _tag, address } of yield* uffd.readEvents()) {
        const page = address === undefined ? undefined : pages.layout.pageOf(address)
        if (page === undefined) return yield* new Unexpected({ message: `userfaultfd tells of ${_tag}` })
        if (pages.received.has(page) || pages.asked.has(page)) continue
        pages.asked.add(page)
        yield* request(page)
      }
    })
  )
