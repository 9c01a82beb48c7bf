/**
 * An object whose bytes are stored compressed, in blocks of four pages, and unpacked when somebody first touches them.
 *
 * The question names one page, and what may be answered along; the answer is the whole block, so that its other three pages
 * cost nothing. Blocks that nobody has touched for a while are packed away again: their mappings are told to forget them.
 */
import { deflateSync, inflateSync } from "node:zlib"
import { Effect } from "effect"
import { Fail, Mappable, MemoryFile, Range } from "pagewright"

/** Pages of a block. */
export const BLOCK = 4
const BYTES = BLOCK * 4096

/** An object of so many bytes, read-only. */
export const makeInflate = (name: string, content: Uint8Array) =>
  Effect.gen(function* () {
    const file = yield* MemoryFile.make(`${name}, unpacked`)
    const packed: Uint8Array[] = []
    for (let at = 0; at < content.length; at += BYTES) packed.push(deflateSync(content.subarray(at, at + BYTES)))
    const unpacked = new Map<number, Range.PageRange<"file">>()
    let inflations = 0

    /** Pages of the file that have the block; undefined where memory has run out. */
    const unpack = (block: number, bytes: Uint8Array): Range.PageRange<"file"> | undefined => {
      const known = unpacked.get(block)
      if (known !== undefined) return known
      const pages = file.allocate(BLOCK)
      if (pages === undefined) return undefined
      inflations++
      const plain = inflateSync(bytes)
      let from = 0
      for (const view of file.mapInternal(Range.make(pages.start, pages.start + plain.length))) {
        view.set(plain.subarray(from, from + view.length))
        from += view.length
      }
      unpacked.set(block, pages)
      return pages
    }

    const object = yield* Mappable.make({
      name,
      maxPerms: "r--",
      translate: (ask) => {
        const block = Math.floor(ask.required.start / BYTES)
        const bytes = packed[block]
        if (bytes === undefined) return { translations: [], error: Mappable.busError(Fail.make("EFAULT")) }
        const pages = unpack(block, bytes)
        if (pages === undefined) return { translations: [], error: Fail.make("ENOMEM") }
        const whole = Range.ofPages<"mappable">(block * BLOCK, BLOCK)
        const source = Range.intersect(ask.optional, whole)
        return ask.translation({ source, file, offset: pages.start + (source.start - whole.start) })
      }
    })

    /** Packs everything away: whoever maps it asks again. Answers how many blocks went. */
    const shrink = Effect.gen(function* () {
      const blocks = [...unpacked.keys()]
      for (const block of blocks) {
        yield* Mappable.invalidate(object, Range.ofPages(block * BLOCK, BLOCK), { invalidatePrivate: false })
        const pages = unpacked.get(block)
        unpacked.delete(block)
        if (pages !== undefined) file.decRef(pages)
      }
      return blocks.length
    })

    const size = packed.reduce((n, bytes) => n + bytes.length, 0)
    return { object, shrink, packedBytes: size, inflations: () => inflations }
  })
