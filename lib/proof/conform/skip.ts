/** What may not be skipped. Floor 9.
 *
 * An operation that is not built, and whose record shows no effect, is skipped: not judged, not agreed with. A few may have
 * changed something unseen all the same, and later ones depend on it. These end the judgement of their sequence.
 */
import type { Op } from "./record.ts"

/** Hide something even where they fail: an area may have got its anon_vma first, and merges depend on that; a file may have
 * grown. (Reads and writes come here only if they move the recorder's own bytes, which nobody knows.)
 * @source mm/userfaultfd.c find_vma_and_prepare_anon, mm/filemap.c generic_perform_write (v6.18)
 */
const always: ReadonlySet<string> = new Set([
  "uffdio_copy",
  "uffdio_zeropage",
  "uffdio_continue",
  "uffdio_poison",
  "uffdio_move",
  "pread_mem",
  "pwrite_mem"
])

/** Hide something where they succeed: a descriptor less, other bounds of the heap, flags of areas to come. */
const onSuccess: ReadonlySet<string> = new Set(["close", "prctl"])

/** May `op`, which is not built and showed no effect, be skipped? */
export const maySkip = ({ name, result }: Op): boolean =>
  !always.has(name) && (result.kind === "errno" || !onSuccess.has(name))
