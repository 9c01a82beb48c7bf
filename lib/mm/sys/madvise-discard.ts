/** Advice that loses pages: DONTNEED, FREE, REMOVE; a userfaultfd is told before they go. Floor 6.
 *
 *     checks  ->  [told: the lock goes, an event waits for its reader, the lock is back, look again]  ->  pages go
 *
 * @source mm/madvise.c madvise_dontneed_free, madvise_remove (v6.18)
 */
import * as SEAL from "../../flags/SealFlags.ts"
import * as MADV from "../../flags/AdviceFlags.ts"
import { VM_LOCKED, VM_MAYWRITE, VM_PFNMAP, VM_SHARED } from "../../flags/bits.ts"
import { EACCES, EBADF, EFBIG, EINVAL, ENOMEM, EPERM, OK } from "../../flags/Errno.ts"
import { mmapUnlock, needMmap, READ, tryMmap } from "../area/mmap-lock.ts"
import { fget, fput } from "../area/object.ts"
import { userfaultfdRemove, userfaultfdRemoveComplete } from "../area/uffd-events.ts"
import type { Verb } from "../base/stop.ts"
import type { Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { punchHole } from "../object/truncate.ts"
import { freeLazily } from "../page/advise.ts"
import { reclaimTables, ZAP_COWS, zapNow } from "../page/zap.ts"
import { FMODE_WRITE } from "../store/files.ts"
import type { Mm } from "../store/mms.ts"
import type { Vma } from "../store/vmas.ts"

/** The mmap read lock of a walk over areas, which may go on the way and be taken again. */
export interface WalkLock {
  readonly mm: Mm
  held: boolean
}

/** Lets go of the lock of a walk. */
export function letWalkGo(k: Kernel, lock: WalkLock): void {
  mmapUnlock(k, lock.mm, READ)
  lock.held = false
}

/** Takes it again: what was known of areas is to be looked up anew. */
export function* goOnWalking(k: Kernel, lock: WalkLock): Verb<"NEED_LOCK", void> {
  if (!tryMmap(k, lock.mm, READ)) yield needMmap(k, lock.mm, READ)
  lock.held = true
}

/** May pages of `v` be dropped by this advice? That FREE is for anonymous memory is found out when a userfaultfd was told.
 * @source mm/madvise.c madvise_dontneed_free_valid_vma (v6.18)
 */
function mayDiscard(k: Kernel, v: Vma, advice: number): boolean {
  const never = advice === MADV.DONTNEED_LOCKED ? VM_PFNMAP : VM_PFNMAP | VM_LOCKED
  return (k.vmas.flags(v) & never) === 0
}

/** DONTNEED, DONTNEED_LOCKED, FREE for pages `[start, end)` of `v`.
 * @param lock - of the walk; undefined where only the area's own is held, and nobody is to be told
 * @returns OK | EINVAL not for such memory | ENOMEM unmapped while somebody was told | the page before which it stopped,
 *   because the area became shorter meanwhile
 */
export function* discard(
  k: Kernel,
  lock: WalkLock | undefined,
  v: Vma,
  start: Vpn,
  end: Vpn,
  advice: number
): Verb<"NEED_LOCK" | "WAIT_UFFD"> {
  if (!mayDiscard(k, v, advice)) return EINVAL
  const c = lock === undefined ? 0 : userfaultfdRemove(k, v)
  if (c === 0 || lock === undefined) return drop(k, v, start, end, advice)
  letWalkGo(k, lock)
  // UNLIKE LINUX: the pages stay if the caller is killed here; Linux drops them, of a process that ends in any case
  yield* userfaultfdRemoveComplete(k, c, start, end)
  yield* goOnWalking(k, lock)
  const now = k.maple.lookup(lock.mm, start)
  if (now === 0) return ENOMEM
  if (!mayDiscard(k, now, advice)) return EINVAL
  const to = Math.min(end, k.vmas.endOf(now))
  const r = drop(k, now, start, to, advice)
  return r === OK && to < end ? to : r
}

/** @returns OK | EINVAL FREE is for anonymous memory */
function drop(k: Kernel, v: Vma, start: Vpn, end: Vpn, advice: number): number {
  if (advice === MADV.FREE) {
    if (k.vmas.ops(v) !== 0) return EINVAL
    freeLazily(k, v, start, end)
    return OK
  }
  zapNow(k, v, start, end, ZAP_COWS)
  reclaimTables(k, k.vmas.mmOf(v), start, end)
  return OK
}

/** REMOVE: punches a hole into the object behind pages `[start, end)` of `v`; the lock is not held meanwhile. Whoever is
 * killed while somebody is told of it leaves the hole all the same.
 * @returns OK | EINVAL no object, or locked | EACCES not shared and writable | EBADF the file is not | EPERM sealed
 */
export function* remove(k: Kernel, lock: WalkLock, v: Vma, start: Vpn, end: Vpn): Verb<"NEED_LOCK" | "WAIT_UFFD"> {
  const lo = k.vmas.flags(v)
  const f = k.vmas.file(v)
  if ((lo & VM_LOCKED) !== 0 || f === 0) return EINVAL
  if ((lo & (VM_SHARED | VM_MAYWRITE)) !== (VM_SHARED | VM_MAYWRITE)) return EACCES
  const o = k.vmas.obj(v)
  if (o === 0) return EINVAL
  const first = k.vmas.pgoff(v) + (start - k.vmas.startOf(v))
  const c = userfaultfdRemove(k, v)
  fget(k, f) // the area may go meanwhile
  let r: number = OK
  try {
    letWalkGo(k, lock)
    try {
      if (c !== 0) yield* userfaultfdRemoveComplete(k, c, start, end)
    } finally {
      r = punch(k, f, o, first, end - start)
    }
    yield* goOnWalking(k, lock)
    return r
  } finally {
    fput(k, f)
  }
}

/** Pages in 2^63 bytes: offsets have a sign. */
const MOST_OFFSET = 2 ** 51

/** WILLNEED: nothing is read ahead here, but where a file is asked to, the lock is not held.
 * @source mm/madvise.c madvise_willneed (v6.18)
 */
export function* willNeed(k: Kernel, lock: WalkLock, v: Vma): Verb<"NEED_LOCK"> {
  const o = k.vmas.obj(v)
  if (k.vmas.file(v) === 0 || (o !== 0 && k.files.isShmem(o))) return OK
  letWalkGo(k, lock)
  yield* goOnWalking(k, lock)
  return OK
}

function punch(k: Kernel, f: number, o: number, first: number, pages: number): number {
  if (first >= MOST_OFFSET) return EINVAL // a negative offset
  if (first + pages >= MOST_OFFSET) return EFBIG
  if ((k.files.mode(f) & FMODE_WRITE) === 0) return EBADF
  if ((k.files.seals(o) & (SEAL.WRITE | SEAL.FUTURE_WRITE)) !== 0) return EPERM
  punchHole(k, o, first * 4096, (first + pages) * 4096)
  return OK
}
