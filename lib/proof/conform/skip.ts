/** What may be skipped. Floor 9.
 *
 * A call that we do not have is skipped where it failed, which as a rule changes nothing: not judged, not agreed with. Where
 * it succeeded, or where its record shows an effect, later operations depend on it: it ends the judgement of its sequence.
 */
import type { Op } from "./record.ts"

/** Hide something even where they fail: an area may have got its anon_vma first, and merges depend on that.
 * @source mm/userfaultfd.c find_vma_and_prepare_anon (v6.18)
 */
const always: ReadonlySet<string> = new Set([
  "uffdio_copy",
  "uffdio_zeropage",
  "uffdio_continue",
  "uffdio_poison",
  "uffdio_move"
])

/** Hide nothing of an address space, even where they succeed. */
const harmless: ReadonlySet<string> = new Set(["userfaultfd", "uffdio_api"])

/** May `op`, which we do not have, be skipped? */
export const maySkip = (op: Op): boolean =>
  !op.hasEffect && (op.result.kind === "errno" ? !always.has(op.name) : harmless.has(op.name))
