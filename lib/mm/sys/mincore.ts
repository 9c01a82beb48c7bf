/** mincore: which pages are in memory. Floor 6.
 * @source mm/mincore.c do_mincore, mincore_pte_range, can_do_mincore (v6.18)
 */
import { EFAULT, EINVAL, ENOMEM, OK } from "../../flags/Errno.ts"
import { PRESENT } from "../../flags/PteFlags.ts"
import { enter } from "../area/mm.ts"
import { mmapUnlock, needMmap, READ, tryMmap } from "../area/mmap-lock.ts"
import type { Verb } from "../base/stop.ts"
import { isZero, offsetInPage, pageOf, registerOf, TASK_SIZE, type Vpn, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { ownsOrMayWrite } from "../object/file.ts"
import type { FaultStops } from "../page/fault.ts"
import { bitsAt } from "../page/walk.ts"
import { F_UPTODATE } from "../store/frames.ts"
import type { Mm } from "../store/mms.ts"
import type { Vma } from "../store/vmas.ts"
import { copyToUser } from "./usercopy.ts"

/** One page of answers is made at a time. */
const CHUNK = 4096

/** Writes a byte a page of `[addr, addr + len)` to `vector` in the caller's memory; bit 0: in memory.
 * @returns OK | EINVAL unaligned | ENOMEM not user space, or a hole | EFAULT the vector cannot be written
 * @partial bytes before the failing chunk are written
 * @locks takes mmap read, chunk by chunk, and nothing while it stores
 */
export function* mincore(k: Kernel, task: number, addr: Word, len: Word, vector: Word): Verb<FaultStops> {
  return yield* mincoreTo(k, task, addr, len, vector, undefined)
}

/** The same; `into` gets the bytes instead of the caller's memory, if it is given. */
export function* mincoreTo(
  k: Kernel,
  task: number,
  addr: Word,
  len: Word,
  vector: Word,
  into: number[] | undefined
): Verb<FaultStops> {
  if (offsetInPage(addr) !== 0) return EINVAL
  const length = registerOf(len)
  if (length > BigInt(TASK_SIZE) || registerOf(addr) > BigInt(TASK_SIZE) - length) return ENOMEM
  const pages = Number((length + 4095n) >> 12n)
  if (into === undefined && registerOf(vector) > BigInt(TASK_SIZE) - BigInt(pages)) return EFAULT
  if (isZero(len)) return OK
  const mm = enter(k, task)
  const start = pageOf(addr)
  for (let at = start, end = start + pages; at < end;) {
    if (k.runs.preempt) yield k.runs.point()
    if (!tryMmap(k, mm, READ)) yield needMmap(k, mm, READ)
    let bytes: Uint8Array
    try {
      const v = k.maple.lookup(mm, at)
      if (v === 0) return ENOMEM
      bytes = inCore(k, task, v, at, Math.min(k.vmas.endOf(v), end, at + CHUNK))
    } finally {
      mmapUnlock(k, mm, READ)
    }
    if (into !== undefined) into.push(...bytes)
    else if ((yield* copyToUser(k, mm, registerOf(vector) + BigInt(at - start), bytes)) !== 0) return EFAULT
    at += bytes.length
  }
  return OK
}

function inCore(k: Kernel, task: number, v: Vma, from: Vpn, to: Vpn): Uint8Array {
  const out = new Uint8Array(to - from)
  if (!mayAsk(k, task, v)) return out.fill(1)
  const mm: Mm = k.vmas.mmOf(v)
  const o = k.vmas.obj(v)
  for (let at: number = from; at < to; at++) {
    if ((bitsAt(k, mm, at) & PRESENT) !== 0) out[at - from] = 1
    else if (o !== 0) {
      const p = k.xarray.load(o, k.vmas.pgoff(v) + (at - k.vmas.startOf(v)))
      out[at - from] = p !== 0 && k.frames.has(p, F_UPTODATE) ? 1 : 0
    }
  }
  return out
}

/** May the caller learn what others have cached? Else everything is "in memory". */
function mayAsk(k: Kernel, task: number, v: Vma): boolean {
  if (k.vmas.ops(v) === 0) return true
  const o = k.vmas.obj(v)
  if (o === 0) return false
  return ownsOrMayWrite(k, task, o)
}
