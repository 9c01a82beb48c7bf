/** What skipped operations change unseen. Floor 9.
 *
 * An operation that is not built, and whose record shows no effect, is skipped: not judged, not agreed with. Yet it may
 * have changed what later ones depend on. The list here says which ones may be skipped, and what of their effect is taken
 * over, on Linux's word that they succeeded; whatever is not on it ends the judgement of its sequence.
 */
import { lowBits, pageOf, pagesUp, type Word } from "../../mm/base/units.ts"
import type { Kernel } from "../../mm/kernel.ts"
import { punchHole } from "../../mm/object/truncate.ts"
import type { Task } from "../../mm/store/tasks.ts"
import type { Op } from "./record.ts"

const MADV_REMOVE = 9
const MADV_COLLAPSE = 25
const MADV_HWPOISON = 100
const MADV_SOFT_OFFLINE = 101

/** May be skipped where they succeeded without effect: whatever these do, they show it. */
const open: ReadonlySet<string> = new Set([
  "mremap",
  "mseal",
  "msync",
  "mincore",
  "remap_file_pages",
  "fsync",
  "userfaultfd",
  "uffdio_api",
  "uffdio_wake",
  "uffdio_register",
  "uffdio_unregister"
])

/** May not even be skipped where they failed: they may give an area its anon_vma first, and merges depend on that.
 * @source mm/userfaultfd.c find_vma_and_prepare_anon (v6.18)
 */
const secret: ReadonlySet<string> = new Set([
  "uffdio_copy",
  "uffdio_zeropage",
  "uffdio_continue",
  "uffdio_poison",
  "uffdio_move"
])

/** Takes over what a skipped operation changed unseen. False where it cannot. */
export function carry(k: Kernel, task: Task, op: Op): boolean {
  const { args, name, result } = op
  const hasFailed = result.kind === "errno"
  if (name === "madvise") return advise(k, task, hasFailed, args[2], args.slice(0, 2))
  if (name === "process_madvise") return advise(k, task, hasFailed || isCutShort(op), args[0], args.slice(1))
  return hasFailed ? !secret.has(name) : open.has(name)
}

/** Of all advice only the removal of pages that nobody has mapped goes unseen; removal that failed may have removed some. */
function advise(k: Kernel, task: Task, hasFailed: boolean, what: Word = 0, ranges: readonly Word[]): boolean {
  const advice = lowBits(what)
  if (advice === MADV_COLLAPSE || advice === MADV_HWPOISON || advice === MADV_SOFT_OFFLINE) return hasFailed
  if (advice !== MADV_REMOVE) return true
  for (let at = 0; !hasFailed && at + 1 < ranges.length; at += 2) remove(k, task, ranges[at]!, ranges[at + 1]!)
  return !hasFailed
}

/** process_madvise answers the bytes that it got through. */
function isCutShort({ args, result }: Op): boolean {
  const asked = args.slice(1).reduce<bigint>((sum, arg, at) => (at % 2 === 1 ? sum + BigInt(arg) : sum), 0n)
  return result.kind !== "value" || BigInt(result.value) !== asked
}

/** MADV_REMOVE. */
function remove(k: Kernel, task: Task, addr: Word, len: Word): void {
  const mm = k.tasks.mm(task)
  const end = pageOf(addr) + pagesUp(len)
  for (let v = k.maple.find(mm, pageOf(addr)); v !== 0 && k.vmas.startOf(v) < end; v = k.maple.next(mm, v)) {
    const shift = k.vmas.pgoff(v) - k.vmas.startOf(v)
    const from = Math.max(pageOf(addr), k.vmas.startOf(v)) + shift
    const to = Math.min(end, k.vmas.endOf(v)) + shift
    if (k.vmas.obj(v) !== 0) punchHole(k, k.vmas.obj(v), from * 4096, to * 4096)
  }
}
