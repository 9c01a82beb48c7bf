/**
 * A task's memory in a file: what its areas are, and those of its pages that have something in them.
 *
 *     0          magic 8 | version u32 | checksum u32 | areas u32 | pages u32
 *     4096       page 0, page 1, ...
 *     behind     an area:  start u64 | length u64 | protection u32 | 0 u32
 *                a page:   address u64 | checksum u32 | 0 u32, by address
 *
 * The checksum of the first page is of the counts and the table. That page is written last: a save that a crash cut short
 * leaves a file that nobody takes for a whole one.
 */
import { type FileHandle, open } from "node:fs/promises"
import { crc32 } from "node:zlib"
import { Data, Effect } from "effect"

/** Bytes of a page. */
export const PAGE = 4096
const MAGIC = "LAZYTASK"
const VERSION = 1
const COUNTS = 16
const HEADER = 24
const AREA = 24
const ENTRY = 16

/** Why there is no image, in a sentence. */
export class ImageError extends Data.TaggedError("ImageError")<{ readonly message: string }> {}

/** Private anonymous memory. Bytes; bits of `ProtFlags`. */
export interface Area {
  readonly start: number
  readonly length: number
  readonly prot: number
}

/** A page that is in the file. */
interface Stored {
  readonly address: number
  readonly checksum: number
}

/** What the table says. The pages are in the order of their addresses, and lie in the file in that order. */
export interface Table {
  readonly areas: readonly Area[]
  readonly pages: readonly Stored[]
}

/** An image that is open for reading. */
export interface Image extends Table {
  /** Reads `count` pages, from row `first` of the table on. Fewer bytes where the file has no more. */
  readonly read: (first: number, count: number) => Effect.Effect<Uint8Array>
  /** How many pages have been read so far. */
  readonly pagesRead: () => number
}

/** Is a page as it was saved? `row` is its row of the table. */
export const isGood = ({ pages }: Table, row: number, bytes: Uint8Array): boolean =>
  bytes.length === PAGE && crc32(bytes) === pages[row]?.checksum

const refused = (message: string) => new ImageError({ message: `no task can be restored: ${message}` })

/** A file of the host, closed when the Scope ends. */
const opened = (path: string, mode: "r" | "w") =>
  Effect.acquireRelease(
    Effect.tryPromise({ try: () => open(path, mode), catch: (error) => new ImageError({ message: String(error) }) }),
    (file) => Effect.promise(() => file.close())
  )

/** Reads up to `length` bytes. */
const readAt = (file: FileHandle, position: number, length: number) =>
  Effect.promise(async () => {
    const bytes = new Uint8Array(length)
    const { bytesRead } = await file.read(bytes, 0, length, position)
    return bytes.subarray(0, bytesRead)
  })

/** Opens an image, and believes nothing of it: not even its length.
 * @returns ImageError for what is no image, of another version, damaged or cut short. The bytes of its pages are checked by
 *   whoever reads them.
 */
export const openImage = (path: string) =>
  Effect.gen(function* () {
    const file = yield* opened(path, "r")
    const { size } = yield* Effect.promise(() => file.stat())
    const head = yield* readAt(file, 0, HEADER)
    if (head.length < HEADER || new TextDecoder().decode(head.subarray(0, 8)) !== MAGIC)
      return yield* refused("it is no image of a task, or one whose saving was cut short")
    const view = new DataView(head.buffer)
    const version = view.getUint32(8, true)
    if (version !== VERSION) return yield* refused(`it is of version ${version}, this is version ${VERSION}`)
    const [areas, pages] = [view.getUint32(16, true), view.getUint32(20, true)]
    const expected = PAGE * (1 + pages) + AREA * areas + ENTRY * pages
    if (size !== expected) return yield* refused(`it has ${size} bytes where it should have ${expected}`)
    const table = yield* readAt(file, PAGE * (1 + pages), expected - PAGE * (1 + pages))
    if (crc32(table, crc32(head.subarray(COUNTS))) !== view.getUint32(12, true))
      return yield* refused("its table is damaged: the checksum is wrong")
    if (areas === 0) return yield* refused("it has no memory")
    const rows = decode(table, areas, pages)
    if (!isInOrder(rows)) return yield* refused("its table names pages that no area has")
    let read = 0
    const image: Image = {
      ...rows,
      read: (first, count) =>
        Effect.tap(readAt(file, PAGE * (1 + first), PAGE * count), () =>
          Effect.sync(() => {
            read += count
          })
        ),
      pagesRead: () => read
    }
    return image
  })

/** Writes an image: pages as they come, the table, and last the page that makes it one. */
export const writeImage = <E, R>(
  path: string,
  areas: readonly Area[],
  pages: (put: (address: number, bytes: Uint8Array) => Effect.Effect<void>) => Effect.Effect<void, E, R>
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const file = yield* opened(path, "w")
      const write = (bytes: Uint8Array, position: number) =>
        Effect.promise(() => file.write(bytes, 0, bytes.length, position))
      const stored: Stored[] = []
      yield* pages((address, bytes) =>
        Effect.suspend(() => {
          stored.push({ address, checksum: crc32(bytes) })
          return write(bytes, PAGE * stored.length)
        })
      )
      const table = encode({ areas, pages: stored })
      yield* write(table, PAGE * (1 + stored.length))
      yield* Effect.promise(() => file.sync())
      const head = new Uint8Array(PAGE)
      head.set(new TextEncoder().encode(MAGIC))
      const view = new DataView(head.buffer)
      view.setUint32(8, VERSION, true)
      view.setUint32(16, areas.length, true)
      view.setUint32(20, stored.length, true)
      view.setUint32(12, crc32(table, crc32(head.subarray(COUNTS, HEADER))), true)
      yield* write(head, 0)
      yield* Effect.promise(() => file.sync())
      return stored.length
    })
  )

/** Is each page within an area, behind the one before it? */
const isInOrder = ({ areas, pages }: Table): boolean =>
  pages.every(
    ({ address }, row) =>
      address > (pages[row - 1]?.address ?? -1) &&
      areas.some(({ length, start }) => start <= address && address < start + length && (address - start) % PAGE === 0)
  )

const encode = ({ areas, pages }: Table): Uint8Array => {
  const view = new DataView(new ArrayBuffer(AREA * areas.length + ENTRY * pages.length))
  let at = 0
  for (const { length, prot, start } of areas) {
    view.setBigUint64(at, BigInt(start), true)
    view.setBigUint64(at + 8, BigInt(length), true)
    view.setUint32(at + 16, prot, true)
    at += AREA
  }
  for (const { address, checksum } of pages) {
    view.setBigUint64(at, BigInt(address), true)
    view.setUint32(at + 8, checksum, true)
    at += ENTRY
  }
  return new Uint8Array(view.buffer)
}

const decode = (table: Uint8Array, areas: number, pages: number): Table => {
  const view = new DataView(table.buffer, table.byteOffset, table.length)
  const word = (at: number): number => Number(view.getBigUint64(at, true))
  const entries = AREA * areas
  return {
    areas: Array.from({ length: areas }, (_, i) => ({
      start: word(i * AREA),
      length: word(i * AREA + 8),
      prot: view.getUint32(i * AREA + 16, true)
    })),
    pages: Array.from({ length: pages }, (_, i) => ({
      address: word(entries + i * ENTRY),
      checksum: view.getUint32(entries + i * ENTRY + 8, true)
    }))
  }
}
