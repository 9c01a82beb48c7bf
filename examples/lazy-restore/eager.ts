/** Eager restore, for comparison: every page is read and put where it was, and then the task may go on. */
import { Effect } from "effect"
import { MapFlags, ProtFlags, Task } from "pagewright"
import { type Area, isGood, type Image, ImageError, PAGE } from "./image.ts"

/** Pages that are read at once. */
const BATCH = 64

/** Maps an area where it was, with nothing in it. */
export const map = ({ length, prot, start }: Area) =>
  Task.mmap({ address: start, length, prot, flags: MapFlags.PRIVATE | MapFlags.ANONYMOUS | MapFlags.FIXED })

/** Restores the memory of an image in the current process.
 * @returns ImageError for a damaged page: there is nobody to ask whether the task needs it
 */
export const restoreFirst = (image: Image) =>
  Effect.gen(function* () {
    for (const area of image.areas) yield* map({ ...area, prot: ProtFlags.WRITE })
    for (let row = 0; row < image.pages.length; row += BATCH) {
      const rows = image.pages.slice(row, row + BATCH)
      const bytes = yield* image.read(row, rows.length)
      for (const [i, { address }] of rows.entries()) {
        const page = bytes.subarray(i * PAGE, (i + 1) * PAGE)
        if (!isGood(image, row + i, page))
          return yield* new ImageError({ message: "no task can be restored: a page is damaged" })
        yield* Task.storeBytes(address, page)
      }
    }
    for (const { length, prot, start } of image.areas) yield* Task.mprotect(start, length, prot)
  })
