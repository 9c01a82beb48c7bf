/** Background snapshots by write protection, as QEMU takes them: the first write to a page waits until the page is saved. */
import { Data, Effect } from "effect"
import { type Locked, Task, Userfaultfd } from "pagewright"

const PAGE = 4096
/** Pages that are saved at once where nobody waits for another. */
const RUN = 16

/** Memory to save: `used` bytes from byte address `start` on, of `max` bytes that are mapped. */
export interface Block {
  readonly start: number
  readonly used: number
  readonly max: number
}

/** The image cannot be written. */
export class SinkError extends Data.TaggedError("SinkError")<{ readonly cause: unknown }> {}

/** Where the image goes. What was flushed is safe. */
export interface Sink {
  readonly write: (block: Block, offset: number, bytes: Uint8Array) => Effect.Effect<void, SinkError>
  readonly flush: Effect.Effect<void, SinkError>
}

/** Can this kernel tell of writes at all? */
export const isAvailable = Userfaultfd.queryFeatures().pipe(
  Effect.map((features) => features.has("PAGEFAULT_FLAG_WP")),
  Effect.orElseSucceed(() => false)
)

/** Can it tell of writes to each of these blocks? Asked on a descriptor of its own. */
export const isCompatible = (blocks: readonly Block[]) =>
  Userfaultfd.open((fresh) =>
    Effect.gen(function* () {
      const uffd = yield* fresh.api(["PAGEFAULT_FLAG_WP"])
      for (const { max, start } of blocks) {
        const range = yield* uffd.register(start, max, ["WP"])
        if (!range.ioctls.has("WRITEPROTECT")) return false
      }
      return true
    })
  ).pipe(Effect.orElseSucceed(() => false))

/** Reads a byte of every page, for what was never touched has no entry that could be protected. */
export const prepare = (blocks: readonly Block[]) =>
  Effect.gen(function* () {
    for (const { start, used } of blocks) for (let at = 0; at < used; at += PAGE) yield* Task.load8(start + at)
  })

/** A block under protection. */
interface Work<fd extends Locked.AfterUnlock> {
  readonly block: Block
  readonly range: Userfaultfd.Registered<"WP", fd>
  /** Its pages that are not saved yet, by address, the lowest first. */
  readonly left: Set<number>
}

/** Saves the blocks as they are at one moment, while other fibers write to them.
 * @param moment - runs right after the moment; what else belongs to the image, registers and devices, is saved here
 * @returns how many writes had to wait
 */
export const snapshot = <E, R>(blocks: readonly Block[], sink: Sink, moment: Effect.Effect<void, E, R>) =>
  Userfaultfd.open(
    (fresh) =>
      Effect.gen(function* () {
        const uffd = yield* fresh.api(["PAGEFAULT_FLAG_WP"])
        const works = yield* Effect.forEach(blocks, (block) => protect(uffd, block))
        yield* moment
        let waited = 0
        for (const work of works)
          for (let [lowest] = work.left; lowest !== undefined; [lowest] = work.left) {
            const [event] = yield* uffd.readEvents(1)
            const urgent = event?._tag === "Pagefault" ? works.find(({ left }) => left.has(event.address)) : undefined
            if (event?._tag === "Pagefault" && urgent !== undefined) {
              waited++
              yield* save(urgent, event.address, sink)
            } else yield* save(work, lowest, sink)
          }
        return waited
      }),
    { nonBlocking: true }
  )

/** From now on writes to the block wait; when the descriptor is closed, also since another block cannot be had, no longer. */
const protect = <fd extends Locked.AfterUnlock>(uffd: Userfaultfd.Uffd<"PAGEFAULT_FLAG_WP", fd>, block: Block) =>
  Effect.gen(function* () {
    const { max, start, used } = block
    const range = yield* uffd.register(start, max, ["WP"])
    yield* range.changeProtection(start, used, true)
    const work: Work<fd> = { block, range, left: new Set() }
    for (let at = 0; at < used; at += PAGE) work.left.add(start + at)
    return work
  })

/** Saves a run of pages from address `first` on, then lets writes to them through. */
const save = <fd extends Locked.AfterUnlock>({ block, left, range }: Work<fd>, first: number, sink: Sink) =>
  Effect.gen(function* () {
    let end = first
    while (end < first + RUN * PAGE && left.delete(end)) end += PAGE
    yield* sink.write(block, first - block.start, yield* Task.loadBytes(first, end - first))
    yield* sink.flush
    yield* range.changeProtection(first, end - first, false)
  })
