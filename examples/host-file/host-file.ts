/**
 * A file of the host, mapped into a simulated process: read page by page when it is touched, written back when the process
 * asks for it with msync.
 *
 * `translate` answers with an effect here: the faulting process waits for the disk, others go on.
 */
import { open } from "node:fs/promises"
import { Effect } from "effect"
import { Fail, Mappable, MemoryFile, Range } from "pagewright"

const PAGE = 4096

/** A file of the host as an object, until the current Scope ends. */
export const makeHostFile = (path: string) =>
  Effect.gen(function* () {
    const handle = yield* Effect.acquireRelease(
      Effect.tryPromise({ try: () => open(path, "r+"), catch: () => Fail.make("ENOENT") }),
      (file) => Effect.promise(() => file.close())
    )
    const { size } = yield* Effect.promise(() => handle.stat())
    const memory = yield* MemoryFile.make(path)
    const cached = new Map<number, Range.PageRange<"file">>()

    const readPage = (page: number) =>
      Effect.gen(function* () {
        const known = cached.get(page)
        if (known !== undefined) return known
        const place = memory.allocate(1)
        if (place === undefined) return yield* Fail.fail("ENOMEM")
        const [view] = memory.mapInternal(place)
        if (view !== undefined) {
          const { buffer } = yield* Effect.tryPromise({
            try: () => handle.read(new Uint8Array(PAGE), 0, PAGE, page * PAGE),
            catch: () => Mappable.busError(Fail.make("EIO"))
          })
          view.set(buffer)
        }
        const raced = cached.get(page)
        if (raced !== undefined) {
          memory.decRef(place) // somebody else has read it meanwhile
          return raced
        }
        cached.set(page, place)
        return place
      })

    const object = yield* Mappable.make({
      name: path,
      translate: (ask) =>
        Effect.gen(function* () {
          if (ask.required.start >= size) return yield* Effect.fail(Mappable.busError(Fail.make("EFAULT")))
          const place = yield* readPage(ask.required.start / PAGE)
          return ask.translation({ source: ask.required, file: memory, offset: place.start })
        })
    })
    const identity = yield* Mappable.identity(object, {
      name: path,
      msync: (range) =>
        Effect.gen(function* () {
          for (let page = range.start / PAGE; page < range.end / PAGE; page++) {
            const place = cached.get(page)
            if (place === undefined) continue
            const length = Math.min(PAGE, size - page * PAGE)
            for (const view of memory.mapInternal(Range.make(place.start, place.start + length)))
              yield* Effect.tryPromise({
                try: () => handle.write(view, 0, view.length, page * PAGE),
                catch: () => Fail.make("EIO")
              })
          }
        })
    })
    return { identity, object, size, pagesRead: () => cached.size }
  })
