/** Background snapshots by write protection, as QEMU takes them: the first write to a page waits until it is saved. */
import { Effect } from "effect"
import { type Lockdep, Task, Userfaultfd } from "pagewright"

const PAGE = 4096

/** Saves `pages` pages at byte address `at` as they are at one moment, while other fibers write to them.
 * @param moment - runs right after the moment: nothing can be written before it is over
 * @returns the image, and how many writes had to wait
 */
export const snapshot = (
  at: number,
  pages: number,
  moment: Effect.Effect<void, never, Task.Task | Lockdep.Takes<"mmap_lock">>
) =>
  Userfaultfd.open((fresh) =>
    Effect.gen(function* () {
      const uffd = yield* fresh.api(["PAGEFAULT_FLAG_WP"])
      const range = yield* uffd.register(at, pages * PAGE, ["WP"])
      yield* range.changeProtection(at, pages * PAGE, true)
      yield* moment
      const image = new Uint8Array(pages * PAGE)
      const saved = new Set<number>()
      let faults = 0
      const save = (page: number) =>
        Effect.gen(function* () {
          if (saved.has(page)) return
          saved.add(page)
          image.set(yield* Task.loadBytes(at + page * PAGE, PAGE), page * PAGE)
          yield* range.changeProtection(at + page * PAGE, PAGE, false) // wakes who waits to write to it
        })
      for (let page = 0; page < pages; page++) {
        for (const event of yield* uffd.pollEvents()) {
          if (event._tag !== "Pagefault") continue
          faults++
          yield* save((event.address - at) / PAGE)
        }
        yield* save(page)
        yield* Effect.yieldNow
      }
      return { faults, image }
    })
  )
