/**
 * Serves one address space: answers its faults from the image, keeps its books right, and fills the rest when nobody asks.
 *
 *     readEvents  ->  the memory changes?     so do the books
 *                     a fault?                read the file, check, copyPage (poison, if it is damaged); or zeroPage
 *                     nothing for a moment?   read some of the rest
 *
 * One fiber does all of it, as CRIU's daemon does. So between reading a page and putting it no event is taken, and while one
 * waits to be taken the kernel refuses to put anything: a page that was given back never comes again.
 */
import { type Duration, Effect } from "effect"
import { type Fail, type Lockdep, type Locked, Units, type Userfaultfd } from "pagewright"
import { type Image, isGood, PAGE } from "./image.ts"
import type { Pending, Run } from "./pending.ts"

/** What the address space is asked to tell of its changes. */
export const EVENTS = ["EVENT_FORK", "EVENT_REMAP", "EVENT_REMOVE", "EVENT_UNMAP"] as const
type Features = "O_NONBLOCK" | (typeof EVENTS)[number]

/** How far it is. Numbers of pages; they change while it goes on. */
export interface Counts {
  /** Faults that waited for the file. */
  faults: number
  /** Read because of a fault, neighbours and all. */
  onDemand: number
  /** Read when nobody asked. */
  inBackground: number
  /** Given as zeroes. */
  zero: number
  /** What was found damaged, in a sentence each. */
  readonly damaged: string[]
}

/** An address space that is served. */
export interface Served<in out here extends Locked.AfterUnlock> {
  readonly uffd: Userfaultfd.Uffd<Features, here>
  /** Through which its pages are answered. */
  readonly memory: Userfaultfd.Registered<"MISSING", here>
  /** What is still to come. */
  readonly pending: Pending
  /** What is registered, and perhaps unmapped again. Bytes. */
  readonly areas: { readonly start: number; readonly length: number }[]
  /** Page addresses of faults that wait. */
  readonly asked: number[]
  readonly image: Image
  readonly counts: Counts
}

/** Why an address space cannot be served, and what it takes to serve it. */
type Serving<A, here extends Locked.AfterUnlock> = Effect.Effect<
  A,
  Fail.Fail<Fail.ErrnoName>,
  Locked.Held<here> | Lockdep.Takes<"mmap_lock">
>

/** Brings every page, then leaves the address space to itself: what is missing is zeroes, and those the kernel gives.
 * @param quiet - the rest is filled when nothing was asked for so long
 */
export const deliver = <here extends Locked.AfterUnlock>(
  to: Served<here>,
  quiet: Duration.Input
): Serving<void, here> =>
  Effect.gen(function* () {
    const { asked, counts, pending, uffd } = to
    for (;;) {
      yield* Effect.forEach(yield* uffd.readEvents(), (event) => hear(to, event))
      const address = asked.shift()
      const run = pending.next()
      if (address !== undefined) yield* answer(to, address)
      else if (run === undefined) break
      else if (!(yield* uffd.pollEvents(quiet))) counts.inBackground += yield* put(to, run)
    }
    yield* release(to)
  })

/** Takes what is still told of an address space that needs nothing more: who caused an event waits until it is read. */
export const drain = <here extends Locked.AfterUnlock>({ uffd }: Served<here>): Serving<never, here> =>
  Effect.forever(Effect.andThen(uffd.pollEvents("Infinity"), uffd.readEvents()))

/** Leaves it to itself: who waits goes on. */
const release = <here extends Locked.AfterUnlock>({
  areas,
  uffd
}: Pick<Served<here>, "areas" | "uffd">): Serving<void, here> =>
  Effect.gen(function* () {
    for (const { length, start } of areas)
      yield* Effect.catchTag(uffd.unregister(start, length), "EINVAL", () => Effect.void) // unmapped
  })

/** Puts a message into the books. A child is served at once, before anybody else. */
const hear = <here extends Locked.AfterUnlock>(
  to: Served<here>,
  event: Userfaultfd.Event<Features, here>
): Serving<void, here> =>
  Effect.gen(function* () {
    const { areas, asked, pending } = to
    switch (event._tag) {
      case "Pagefault":
        asked.push(event.address)
        break
      case "Remove":
      case "Unmap":
        pending.forget(event.start, event.end)
        break
      case "Remap":
        pending.moved(event.from, event.to, event.length)
        areas.push({ start: event.to, length: event.length })
        break
      case "Fork": {
        const child = { ...to, uffd: event.child, pending: pending.copy(), areas: [...areas], asked: [] }
        const memory = yield* handleOf(child)
        yield* memory === undefined ? release(child) : deliver({ ...child, memory }, 0)
        yield* Effect.forkChild(drain(child))
      }
    }
  })

/** Registers a page of a child that is registered already, to have a handle; undefined if it needs no page. */
const handleOf = <here extends Locked.AfterUnlock>({ pending, uffd }: Pick<Served<here>, "pending" | "uffd">) =>
  Effect.gen(function* () {
    for (let run = pending.next(); run !== undefined; run = pending.next()) {
      const unmapped = () => Effect.void
      const memory = yield* Effect.catchTag(uffd.register(run.address, PAGE, ["MISSING"]), "EINVAL", unmapped)
      if (memory !== undefined) return memory
      pending.arrived(run.address)
    }
    return undefined
  })

/** Answers a fault; puts it back where the address space is changing. */
const answer = <here extends Locked.AfterUnlock>(to: Served<here>, address: number): Serving<void, here> =>
  Effect.gen(function* () {
    const { asked, counts, memory, pending } = to
    const run = pending.around(address)
    if (run === undefined) {
      const zeroed = Effect.map(memory.zeroPage(address, PAGE), () => void counts.zero++)
      yield* zeroed.pipe(
        // there already, or nobody's affair any more: what made it so has woken who waited
        Effect.catchTag(["EEXIST", "ENOENT"], () => Effect.void),
        Effect.catchTag("EAGAIN", () => Effect.sync(() => void asked.push(address)))
      )
      return
    }
    const done = yield* put(to, run)
    counts.onDemand += done
    if (done > (address - run.address) / PAGE) counts.faults++
    else asked.push(address)
  })

/** Reads a run and puts it there, page by page: the task may have split an area meanwhile.
 * @returns how many pages, fewer where the address space is changing: then there is an event to read first
 */
const put = <here extends Locked.AfterUnlock>(
  { counts, image, memory, pending }: Served<here>,
  run: Run
): Serving<number, here> =>
  Effect.gen(function* () {
    const bytes = yield* image.read(run.row, run.count)
    for (let i = 0; i < run.count; i++) {
      const at = run.address + i * PAGE
      const page = bytes.subarray(i * PAGE, (i + 1) * PAGE)
      const isRight = isGood(image, run.row + i, page)
      const done = yield* Effect.as(isRight ? memory.copyPage(at, page) : memory.poison(at, PAGE), true).pipe(
        // unmapped: nobody will miss it
        Effect.catchTags({ ENOENT: () => Effect.succeed(true), EAGAIN: () => Effect.succeed(false) })
      )
      if (!done) return i
      pending.arrived(at)
      if (!isRight) counts.damaged.push(`the page of address ${hex(at)} is damaged in the file: its checksum is wrong`)
    }
    return run.count
  })

const hex = (address: number): string => Units.hex(Units.userAddr(address))
