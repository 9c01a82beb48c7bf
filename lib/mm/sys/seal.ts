/** mseal: no unmapping, moving, shrinking or protecting from now on. Floor 6.
 * @source mm/mseal.c do_mseal (v6.18)
 */
import { VMH_SEALED } from "../../flags/bits.ts"
import { EINVAL, ENOMEM, OK } from "../../flags/Errno.ts"
import { enter } from "../area/mm.ts"
import { mmapUnlock, needMmap, tryMmap, WRITE } from "../area/mmap-lock.ts"
import { type AreaStops, vmaModifyFlags } from "../area/vma.ts"
import type { Verb } from "../base/stop.ts"
import { isZero, offsetInPage, pageOf, pagesUp, type Word, WORD_PAGES } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"

/** Seals `[addr, addr + len)`. There is no way back.
 * @returns OK | EINVAL flags, unaligned, wrapping | ENOMEM a hole, nothing sealed; or too many areas
 * @partial areas before the one that could not be split are sealed
 * @locks takes mmap write
 */
export function* mseal(k: Kernel, task: number, addr: Word, len: Word, flags: Word): Verb<AreaStops> {
  if (!isZero(flags) || offsetInPage(addr) !== 0) return EINVAL
  const pages = pagesUp(len)
  if (pages === 0) return isZero(len) ? OK : EINVAL
  const start = pageOf(addr)
  const end = start + pages
  if (end >= WORD_PAGES) return EINVAL
  const mm = enter(k, task)
  if (k.runs.preempt) yield k.runs.point()
  if (!tryMmap(k, mm, WRITE)) yield needMmap(k, mm, WRITE)
  try {
    for (let at = start; at < end;) {
      const v = k.maple.lookup(mm, at)
      if (v === 0) return ENOMEM
      at = k.vmas.endOf(v)
    }
    for (let at = start; at < end;) {
      const v = k.maple.lookup(mm, at)
      const to = Math.min(end, k.vmas.endOf(v))
      const hi = k.vmas.flagsHi(v) | VMH_SEALED
      if (hi !== k.vmas.flagsHi(v)) {
        const w = yield* vmaModifyFlags(k, v, at, to, k.vmas.flags(v), hi)
        if (w < 0) return w
      }
      at = to
    }
    return OK
  } finally {
    mmapUnlock(k, mm, WRITE)
  }
}
