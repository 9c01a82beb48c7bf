/** msync: checks, and synchronises shared files. Floor 6.
 * @source mm/msync.c (v6.18)
 */
import { VM_LOCKED } from "../../flags/bits.ts"
import { EBUSY, EINVAL, ENOMEM, OK } from "../../flags/Errno.ts"
import { mmapUnlock, needMmap, READ, tryMmap } from "../area/mmap-lock.ts"
import type { Verb } from "../base/stop.ts"
import { highBits, lowBits, offsetInPage, pageOf, pagesUp, type Word, WORD_PAGES } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"

export const MS_ASYNC = 1
export const MS_INVALIDATE = 2
export const MS_SYNC = 4

/** Asks that `[addr, addr + len)` reach its files. Memory is the storage here, so there is nothing to write.
 * @returns OK | EINVAL flags, unaligned | ENOMEM wrapping, or a hole (reported at the end, unless exactly MS_ASYNC) |
 *   EBUSY MS_INVALIDATE over locked memory
 * @locks takes mmap read
 */
export function* msync(k: Kernel, task: number, addr: Word, len: Word, flags: Word): Verb<"NEED_LOCK" | "PREEMPT"> {
  const f = lowBits(flags)
  if ((f & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) !== 0 || highBits(flags) !== 0 || offsetInPage(addr) !== 0)
    return EINVAL
  if ((f & (MS_ASYNC | MS_SYNC)) === (MS_ASYNC | MS_SYNC)) return EINVAL
  const pages = pagesUp(len)
  const end = pageOf(addr) + pages
  if (end >= WORD_PAGES) return ENOMEM
  if (pages === 0) return OK
  const mm = k.tasks.mm(task)
  if (k.runs.preempt) yield k.runs.point()
  if (!tryMmap(k, mm, READ)) yield needMmap(k, mm, READ)
  try {
    let hole = OK
    for (let at = pageOf(addr); at < end;) {
      const v = k.maple.find(mm, at)
      if (v === 0) return ENOMEM
      if (k.vmas.startOf(v) > at) {
        hole = ENOMEM
        if (f === MS_ASYNC || k.vmas.startOf(v) >= end) return ENOMEM
      }
      if ((f & MS_INVALIDATE) !== 0 && (k.vmas.flags(v) & VM_LOCKED) !== 0) return EBUSY
      at = k.vmas.endOf(v)
    }
    return hole
  } finally {
    mmapUnlock(k, mm, READ)
  }
}
