/**
 * Lazy restore: the task goes on at once, in areas where nothing is; what it touches is read then, with its neighbours, and
 * what it does not touch is read when nothing else is asked for.
 *
 *     fault  ->  readEvents  ->  a page of zeroes, or: read the file, check, copyPage (poison, if it is damaged)  ->  it goes on
 *
 * One fiber answers, another fills; whoever of the two has the turn reads the file and puts the pages. So a page either is
 * still to come or is there, and nobody needs to know of a third state.
 */
import { Effect, Latch, Semaphore } from "effect"
import { type Lockdep, type Task, Units, Userfaultfd } from "pagewright"
import { map } from "./eager.ts"
import { goodPages, type Image, PAGE } from "./image.ts"

/** Pages around a fault that are read along: those of the same block of eight. */
const BLOCK = 8
/** Pages that are read at once when nobody asks, */
const BATCH = 64
/** which is when no fault has come for so long. */
const QUIET = "1 millis"

/** How far it is. Numbers of pages; they change while it goes on. */
export interface Progress {
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
  /** Waits until every page is there. */
  readonly complete: Effect.Effect<void>
}

/** Restores the memory of an image in the current process, and runs `task` meanwhile. Both are over when this is. Before
 * `complete` the task may touch what it likes, and neither unmap, move nor advise anything, nor fork.
 * @returns what the task fails with | why a page could not be put there
 */
export const restore = (
  image: Image,
  task: (progress: Progress) => Effect.Effect<void, Task.Signal, Task.Task | Lockdep.Takes<"mmap_lock">>
) =>
  Userfaultfd.open((fresh) =>
    Effect.gen(function* () {
      const uffd = yield* fresh.api(["POISON"])
      const areas = yield* Effect.forEach(image.areas, (area) =>
        Effect.gen(function* () {
          yield* map(area)
          const range = yield* uffd.register(area.start, area.length, ["MISSING"])
          return { range, start: area.start, end: area.start + area.length }
        })
      )
      const turn = yield* Semaphore.make(1)
      const complete = yield* Latch.make(false)
      const progress: Progress = {
        faults: 0,
        onDemand: 0,
        inBackground: 0,
        zero: 0,
        damaged: [],
        complete: complete.await
      }
      /** Rows of the pages that are still to come, by address. */
      const left = new Map(image.pages.map(({ address }, row) => [address, row]))
      const stored: ReadonlySet<number> = new Set(left.keys())
      const areaOf = (address: number) => areas.find(({ end, start }) => start <= address && address < end)

      /** Puts the pages from `from` to `to`, all still to come and of one area. */
      const put = (from: number, to: number) =>
        Effect.gen(function* () {
          const row = left.get(from)
          const area = areaOf(from)
          if (row === undefined || area === undefined) return 0
          const count = (to - from) / PAGE
          const bytes = yield* image.read(row, count)
          for (let done = 0; done < count;) {
            const good = goodPages(image, row + done, bytes.subarray(done * PAGE, count * PAGE))
            const at = from + done * PAGE
            if (good > 0) yield* area.range.copyPage(at, bytes.subarray(done * PAGE, (done + good) * PAGE))
            else {
              yield* area.range.poison(at, PAGE)
              progress.damaged.push(
                `the page of address ${Units.hex(Units.userAddr(at))} is damaged in the file: its checksum is wrong`
              )
            }
            done += Math.max(1, good)
          }
          for (let address = from; address < to; address += PAGE) left.delete(address)
          return count
        })

      /** Answers a fault. */
      const answer = (address: number) =>
        Effect.gen(function* () {
          const area = areaOf(address)
          if (area === undefined) return
          if (!stored.has(address)) {
            const filled = Effect.map(area.range.zeroPage(address, PAGE), () => void progress.zero++)
            // another fault in the page was answered, or nothing is registered any more: it goes on
            yield* Effect.catchTag(filled, ["EEXIST", "ENOENT"], () => Effect.void)
            return
          }
          if (!left.has(address)) return
          progress.faults++
          const low = Math.max(area.start, Math.floor(address / (BLOCK * PAGE)) * BLOCK * PAGE)
          const high = Math.min(area.end, low + BLOCK * PAGE)
          let [from, to] = [address, address + PAGE]
          while (from > low && left.has(from - PAGE)) from -= PAGE
          while (to < high && left.has(to)) to += PAGE
          progress.onDemand += yield* put(from, to)
        })

      const answering = Effect.forever(
        Effect.flatMap(uffd.readEvents(), (events) =>
          Effect.forEach(events, (event) =>
            event._tag === "Pagefault" ? turn.withPermits(1)(answer(event.address)) : Effect.void
          )
        )
      )
      const quiet = Effect.gen(function* () {
        for (let before = -1; before !== progress.faults;) {
          before = progress.faults
          yield* Effect.sleep(QUIET)
        }
      })
      const filling = Effect.gen(function* () {
        for (const [from] of left) {
          const area = areaOf(from)
          if (area === undefined) continue
          yield* quiet
          if (!left.has(from)) continue
          yield* turn.withPermits(1)(
            Effect.gen(function* () {
              let to = from
              while (to < area.end && to < from + BATCH * PAGE && left.has(to)) to += PAGE
              progress.inBackground += yield* put(from, to)
            })
          )
        }
        // every page is there: what is missing is zeroes, and those the kernel gives itself
        for (const { end, start } of areas) yield* turn.withPermits(1)(uffd.unregister(start, end - start))
        yield* complete.open
      })
      yield* Effect.raceFirst(answering, Effect.all([filling, task(progress)], { concurrency: "unbounded" }))
      return progress
    })
  )
