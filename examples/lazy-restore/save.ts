/** Saves the memory of the process that calls: its private anonymous areas, and what is in them. */
import { Effect } from "effect"
import { PagemapFlags, ProcmapFlags, ProtFlags, Task, Units } from "pagewright"
import { type Area, ImageError, PAGE, writeImage } from "./image.ts"

const ZEROES = Buffer.alloc(PAGE)
const { COVERING_OR_NEXT_VMA, VMA_EXECUTABLE, VMA_READABLE, VMA_SHARED, VMA_WRITABLE } = ProcmapFlags

const protOf = (flags: number): number =>
  ((flags & VMA_READABLE) !== 0 ? ProtFlags.READ : 0) |
  ((flags & VMA_WRITABLE) !== 0 ? ProtFlags.WRITE : 0) |
  ((flags & VMA_EXECUTABLE) !== 0 ? ProtFlags.EXEC : 0)

/** Addresses of an area's pages that are there. */
const present = ({ length, start }: Area) =>
  Effect.map(Task.pagemap((start / PAGE) * 8, (length / PAGE) * 8), (words) =>
    [...words].flatMap((word, i) => ((word & PagemapFlags.PRESENT) === 0n ? [] : [start + i * PAGE]))
  )

/** The areas of the process; its stack only where somebody has used it.
 * @returns ImageError where one is of a file or shared: what is in it is not the task's alone
 */
export const areas = Effect.gen(function* () {
  const found: Area[] = []
  for (let address = 0; ;) {
    const vma = yield* Effect.option(Task.procmapQuery({ address, flags: COVERING_OR_NEXT_VMA }))
    if (vma._tag === "None") return found
    const { end, flags, inode, name, start } = vma.value
    address = Units.raw(end)
    const area = { start: Units.raw(start), length: address - Units.raw(start), prot: protOf(flags) }
    if (name === "[stack]" && (yield* present(area)).length === 0) continue
    if (inode !== 0 || (flags & VMA_SHARED) !== 0) {
      const what = `the area at ${Units.hex(start)} is of ${name ?? "memory that is shared"}`
      return yield* new ImageError({ message: `this task cannot be saved: ${what}` })
    }
    found.push(area)
  }
})

/** Saves the current process to a file of the host. It must not run meanwhile: its caller is all of it.
 * @returns how many pages are in the file: pages of zeroes are not
 */
export const save = (path: string) =>
  Effect.gen(function* () {
    const all = yield* areas
    return yield* writeImage(path, all, (put) =>
      Effect.gen(function* () {
        for (const area of all)
          for (const address of yield* present(area)) {
            const bytes = yield* Task.loadBytes(address, PAGE)
            if (!ZEROES.equals(bytes)) yield* put(address, bytes)
          }
      })
    )
  })
