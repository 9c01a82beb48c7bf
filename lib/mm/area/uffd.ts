/** userfaultfd contexts: who holds them, which areas they answer for, who waits. Floor 3.
 *
 *     file ─┐             ┌ pending   faults nobody has read yet
 *     run ──┤ hold ─> ctx ┤ read      faults that were read, and wait for their answer
 *     event ┘             ├ events    changes of the address space that wait for a reader
 *                         └ readers   who waits for something to read
 *
 * Areas name their context and do not hold it: the last close takes it off all of them first.
 * @source fs/userfaultfd.c userfaultfd_ctx_get, _put, wake_userfault; include/linux/userfaultfd_k.h (v6.18)
 */
import { VM_SPECIAL, VM_UFFD, VM_UFFD_MISSING, VM_UFFD_WP, VMH_DROPPABLE, VMH_UFFD_MINOR } from "../../flags/bits.ts"
import { OK } from "../../flags/Errno.ts"
import { FEATURE_WP_ASYNC, FEATURE_WP_UNPOPULATED } from "../../flags/UffdFlags.ts"
import type { Kernel } from "../kernel.ts"
import type { Mm } from "../store/mms.ts"
import { Q_EVENTS, Q_PENDING, Q_READ, Q_READERS, type Uffd } from "../store/uffds.ts"
import type { Vma } from "../store/vmas.ts"
import { mmdrop, mmgrab } from "./mm.ts"
import { OPS_SHMEM } from "./ops.ts"

/** A context for the faults of `mm`, held by the caller; 0 when rows ran out. */
export function uffdCreate(k: Kernel, mm: Mm, flags: number): Uffd {
  const c = k.uffds.alloc(mm, flags)
  if (c !== 0) mmgrab(k, mm)
  return c
}

/** One holder more. */
export function uffdGet(k: Kernel, c: Uffd): void {
  k.uffds.addRefs(c, 1)
}

/** One holder fewer; the last one frees it. */
export function uffdPut(k: Kernel, c: Uffd): void {
  if (k.uffds.addRefs(c, -1) > 0) return
  mmdrop(k, k.uffds.mm(c))
  k.uffds.free(c)
}

/** Does a userfaultfd answer for `v`?
 * @source include/linux/userfaultfd_k.h userfaultfd_armed (v6.18)
 */
export const isArmed = (k: Kernel, v: Vma): boolean => k.vmas.uffd(v) !== 0

/** Gives `v` to context `c` with the flags `lo`/`hi`, or to none.
 * @locks mmap write, `v` is detached or write-locked
 */
export function setUffd(k: Kernel, v: Vma, c: Uffd, lo: number, hi: number): void {
  k.vmas.setFlags(v, lo, hi)
  k.vmas.setUffd(v, c)
}

/** No userfaultfd answers for `v` from now on. Protection bits of entries stay, and mean nothing.
 * @locks as `setUffd`
 */
export function resetUffd(k: Kernel, v: Vma): void {
  setUffd(k, v, 0, k.vmas.flags(v) & ~VM_UFFD, k.vmas.flagsHi(v) & ~VMH_UFFD_MINOR)
}

/** May faults of `v` be answered in these modes? Anonymous and shared memory; anything at all where only writes are
 * tracked, and asynchronously.
 * @source include/linux/userfaultfd_k.h vma_can_userfault (v6.18)
 */
export function canUserfault(k: Kernel, v: Vma, lo: number, hi: number, wpAsync: boolean): boolean {
  if ((k.vmas.flagsHi(v) & VMH_DROPPABLE) !== 0) return false
  const isShmem = k.vmas.ops(v) === OPS_SHMEM
  const isMinor = (hi & VMH_UFFD_MINOR) !== 0
  if (isMinor && !isShmem) return false
  // special mappings are refused all the same: seen on 6.18.44, [vdso] and [vvar]
  if (wpAsync && !isMinor && (lo & VM_UFFD) === VM_UFFD_WP && (k.vmas.flags(v) & VM_SPECIAL) === 0) return true
  return k.vmas.ops(v) === 0 || isShmem
}

/** Are missing pages of `v` answered for? */
export const isMissing = (k: Kernel, v: Vma): boolean => (k.vmas.flags(v) & VM_UFFD_MISSING) !== 0

/** Are writes to protected pages of `v` answered for? */
export const isWp = (k: Kernel, v: Vma): boolean => (k.vmas.flags(v) & VM_UFFD_WP) !== 0

/** Do writes to protected pages of `v` go through unasked? */
export const isWpAsync = (k: Kernel, v: Vma): boolean => {
  const c = k.vmas.uffd(v)
  return c !== 0 && k.uffds.has(c, FEATURE_WP_ASYNC)
}

/** Are pages of `v` that are not there protected by markers?
 * @source include/linux/userfaultfd_k.h userfaultfd_wp_use_markers (v6.18)
 */
export function usesMarkers(k: Kernel, v: Vma): boolean {
  if (!isWp(k, v)) return false
  return k.vmas.ops(v) !== 0 || k.uffds.has(k.vmas.uffd(v), FEATURE_WP_UNPOPULATED)
}

/** Wakes who waits for a fault at byte addresses `[start, end)`, read or not; each looks again.
 * @source fs/userfaultfd.c wake_userfault (v6.18)
 */
export function wakeUserfault(k: Kernel, c: Uffd, start: number, end: number): void {
  wakeFaults(k, k.runs.uffdQueue(c, Q_PENDING), start, end)
  wakeFaults(k, k.runs.uffdQueue(c, Q_READ), start, end)
}

/** Who came last goes on first: messages are read in the order in which they came, but waiters are woken from the other end. */
function wakeFaults(k: Kernel, q: number, start: number, end: number, r = k.runs.firstWaiter(q)): void {
  if (r === 0) return
  wakeFaults(k, q, start, end, k.runs.nextWaiter(r))
  const at = k.uffds.word(r, 0)
  if (start <= at && at < end) k.runs.wakeWaiter(r, OK)
}

function wakeAllOf(k: Kernel, c: Uffd, which: number): void {
  wakeFaults(k, k.runs.uffdQueue(c, which), -Infinity, Infinity)
}

/** There is something to read: everybody who waits for that looks again. */
export const wakeReaders = (k: Kernel, c: Uffd): void => wakeAllOf(k, c, Q_READERS)

/** The descriptor is closed: nobody waits for it any longer. */
export function wakeEverybody(k: Kernel, c: Uffd): void {
  for (const which of [Q_PENDING, Q_READ, Q_EVENTS, Q_READERS]) wakeAllOf(k, c, which)
}

/** Is there something to read? */
export const isReadable = (k: Kernel, c: Uffd): boolean =>
  k.runs.firstWaiter(k.runs.uffdQueue(c, Q_PENDING)) !== 0 || k.runs.firstWaiter(k.runs.uffdQueue(c, Q_EVENTS)) !== 0
