/** msync: checks, and synchronises shared files. Floor 6.
 * @source mm/msync.c (v6.18)
 */
import * as MS from "../../flags/MsyncFlags.ts"
import { VM_LOCKED, VM_SHARED } from "../../flags/bits.ts"
import { EBUSY, EINVAL, ENOMEM, OK } from "../../flags/Errno.ts"
import { enter } from "../area/mm.ts"
import { mmapUnlock, needMmap, READ, tryMmap } from "../area/mmap-lock.ts"
import { fget, fput } from "../area/object.ts"
import { hasHook, needSync } from "../area/ops.ts"
import { H_MSYNC, type Verb } from "../base/stop.ts"
import { highBits, lowBits, offsetInPage, pageOf, pagesUp, type Vpn, type Word, WORD_PAGES } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { Mm } from "../store/mms.ts"
import type { Vma } from "../store/vmas.ts"

/** How far it is. */
interface Walk {
  at: Vpn
  readonly end: Vpn
  readonly flags: number
  /** ENOMEM once a hole was met. */
  hole: number
}

/** Asks that `[addr, addr + len)` reach its files. Memory is the storage of files here, so there is nothing to write; objects
 * of users are asked, area by area, with no lock held.
 * @returns OK | EINVAL flags, unaligned | ENOMEM wrapping, or a hole (reported at the end, unless exactly MS_ASYNC) |
 *   EBUSY MS_INVALIDATE over locked memory | what an object fails with; the rest is not asked
 * @locks takes mmap read
 */
export function* msync(
  k: Kernel,
  task: number,
  addr: Word,
  len: Word,
  flags: Word
): Verb<"NEED_LOCK" | "NEED_HOOK" | "PREEMPT"> {
  const f = lowBits(flags)
  if ((f & ~(MS.ASYNC | MS.INVALIDATE | MS.SYNC)) !== 0 || highBits(flags) !== 0 || offsetInPage(addr) !== 0)
    return EINVAL
  if ((f & (MS.ASYNC | MS.SYNC)) === (MS.ASYNC | MS.SYNC)) return EINVAL
  const pages = pagesUp(len)
  const end = pageOf(addr) + pages
  if (end >= WORD_PAGES) return ENOMEM
  if (pages === 0) return OK
  const mm = enter(k, task)
  const walk: Walk = { at: pageOf(addr), end, flags: f, hole: OK }
  for (;;) {
    if (k.runs.preempt) yield k.runs.point()
    if (!tryMmap(k, mm, READ)) yield needMmap(k, mm, READ)
    const v = look(k, mm, walk)
    if (v <= 0) {
      mmapUnlock(k, mm, READ)
      return v
    }
    const file = k.vmas.file(v)
    const start = walk.at
    walk.at = k.vmas.endOf(v)
    const first = k.vmas.pgoff(v) + (start - k.vmas.startOf(v))
    const last = first + (Math.min(walk.at, end) - start)
    fget(k, file)
    mmapUnlock(k, mm, READ)
    try {
      const r = yield needSync(k, file, first, last)
      if (r < 0) return r
    } finally {
      fput(k, file)
    }
    if (walk.at >= end) return walk.hole
  }
}

/** Goes on to the next area whose object wants to be asked. @returns the area | what msync answers; 0 may be OK */
function look(k: Kernel, mm: Mm, walk: Walk): Vma {
  while (walk.at < walk.end) {
    const v = k.maple.find(mm, walk.at)
    if (v === 0) return ENOMEM
    if (k.vmas.startOf(v) > walk.at) {
      walk.hole = ENOMEM
      if (walk.flags === MS.ASYNC || k.vmas.startOf(v) >= walk.end) return ENOMEM
      walk.at = k.vmas.startOf(v)
    }
    const lo = k.vmas.flags(v)
    if ((walk.flags & MS.INVALIDATE) !== 0 && (lo & VM_LOCKED) !== 0) return EBUSY
    if ((walk.flags & MS.SYNC) !== 0 && (lo & VM_SHARED) !== 0 && hasHook(k, v, H_MSYNC)) return v
    walk.at = k.vmas.endOf(v)
  }
  return walk.hole
}
