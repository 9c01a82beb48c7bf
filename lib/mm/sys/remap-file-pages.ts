/** remap_file_pages, as Linux emulates it: a mapping of another part of the file in place of this one. Floor 6.
 * @source mm/mmap.c SYSCALL_DEFINE5(remap_file_pages) (v6.18)
 */
import { VM_EXEC, VM_LOCKED, VM_READ, VM_SHARED, VM_WRITE } from "../../flags/bits.ts"
import { EINVAL, OK } from "../../flags/Errno.ts"
import * as MAP from "../../flags/MapFlags.ts"
import { EXEC, READ, WRITE } from "../../flags/ProtFlags.ts"
import { enter } from "../area/mm.ts"
import { mmapUnlock, needMmap, READ as READ_MODE, tryMmap, WRITE as WRITE_MODE } from "../area/mmap-lock.ts"
import { fget, fput } from "../area/object.ts"
import type { Verb } from "../base/stop.ts"
import { addrOf, isZero, lowBits, pageOf, registerOf, type Vpn, type Word, WORD_PAGES } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { FaultStops } from "../page/fault.ts"
import type { Mm } from "../store/mms.ts"
import type { Vma } from "../store/vmas.ts"
import { doMmap } from "./mmap.ts"
import type { Request } from "./mmap-region.ts"
import { mmPopulate } from "./populate.ts"

/** Maps the file of the shared area at `addr` from page `pgoff` on, over `[addr, addr + size)`.
 * @param addr - byte address, rounded down
 * @param size - bytes, rounded down
 * @param prot - must be 0
 * @param flags - MAP_NONBLOCK suppresses population; the rest is ignored
 * @returns OK | EINVAL prot, empty, wrapping, no shared area there, or areas that differ | as `mmap`
 * @locks takes mmap read to look, then mmap write; then what population takes
 */
export function* remapFilePages(
  k: Kernel,
  task: number,
  addr: Word,
  size: Word,
  prot: Word,
  pgoff: Word,
  flags: Word
): Verb<FaultStops> {
  const start = pageOf(addr)
  const pages = pageOf(size)
  if (!isZero(prot) || pages === 0 || start + pages >= WORD_PAGES) return EINVAL
  if (registerOf(pgoff) + BigInt(pages) > 0xffff_ffff_ffff_ffffn) return EINVAL
  const mm = enter(k, task)
  if (k.runs.preempt) yield k.runs.point()
  if (!tryMmap(k, mm, READ_MODE)) yield needMmap(k, mm, READ_MODE)
  const seen = k.maple.lookup(mm, start)
  const lo = seen === 0 ? 0 : k.vmas.flags(seen)
  if ((lo & VM_SHARED) === 0) {
    mmapUnlock(k, mm, READ_MODE)
    return EINVAL
  }
  const file = k.vmas.file(seen)
  fget(k, file)
  mmapUnlock(k, mm, READ_MODE)
  let mode = 0
  let fill = false
  try {
    if (!tryMmap(k, mm, WRITE_MODE)) yield needMmap(k, mm, WRITE_MODE)
    mode = WRITE_MODE
    const v = k.maple.lookup(mm, start)
    if (v === 0 || k.vmas.flags(v) !== lo || k.vmas.file(v) !== file || !spansAlike(k, mm, v, start + pages))
      return EINVAL
    const fl =
      (lowBits(flags) & MAP.NONBLOCK) |
      MAP.SHARED |
      MAP.FIXED |
      MAP.POPULATE |
      ((lo & VM_LOCKED) !== 0 ? MAP.LOCKED : 0)
    const access =
      ((lo & VM_READ) !== 0 ? READ : 0) | ((lo & VM_WRITE) !== 0 ? WRITE : 0) | ((lo & VM_EXEC) !== 0 ? EXEC : 0)
    const q: Request = { mm, task, start, pages, pgoff: Number(registerOf(pgoff)), lo: 0, hi: 0, file, flags: fl }
    const r = yield* doMmap(k, q, addrOf(start), false, access)
    if (r < 0) return r
    fill = (q.lo & VM_LOCKED) !== 0 || (fl & (MAP.POPULATE | MAP.NONBLOCK)) === MAP.POPULATE
  } finally {
    if (mode !== 0) mmapUnlock(k, mm, mode)
    fput(k, file)
  }
  if (fill) yield* mmPopulate(k, mm, start, start + pages, false)
  return OK
}

/** Do the areas from `v` up to `end` touch, with one file and one set of flags? */
function spansAlike(k: Kernel, mm: Mm, v: Vma, end: Vpn): boolean {
  for (let at = v; k.vmas.endOf(at) < end;) {
    const next = k.maple.next(mm, at)
    if (next === 0 || k.vmas.startOf(next) !== k.vmas.endOf(at)) return false
    if (k.vmas.file(next) !== k.vmas.file(v) || k.vmas.flags(next) !== k.vmas.flags(v)) return false
    if (k.vmas.flagsHi(next) !== k.vmas.flagsHi(v)) return false
    at = next
  }
  return true
}
