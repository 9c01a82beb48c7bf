/** UFFDIO_REGISTER, UFFDIO_UNREGISTER, UFFDIO_WAKE: which memory a userfaultfd answers for. Floor 6.
 *
 *     every area of the range is checked; then, one after another: merged or split, and given to the context
 *
 * @source fs/userfaultfd.c userfaultfd_register, userfaultfd_unregister, userfaultfd_wake;
 *   mm/userfaultfd.c userfaultfd_register_range, userfaultfd_clear_vma, userfaultfd_release_all (v6.18)
 */
import { VM_MAYWRITE, VM_UFFD, VM_UFFD_MISSING, VM_UFFD_WP, VMH_UFFD_MINOR } from "../../flags/bits.ts"
import { EBUSY, EINVAL, ENOMEM, EPERM, OK } from "../../flags/Errno.ts"
import * as UFFD from "../../flags/UffdFlags.ts"
import { mmapUnlock, needMmap, tryMmap, WRITE } from "../area/mmap-lock.ts"
import { fget, fput } from "../area/object.ts"
import { canUserfault, isMissing, isWp, resetUffd, setUffd, wakeUserfault } from "../area/uffd.ts"
import { tryStartWrite, vmaStartWrite } from "../area/vma-lock.ts"
import { type AreaStops, vmaModify } from "../area/vma.ts"
import type { Verb } from "../base/stop.ts"
import { addrOf, highBits, lowBits, pageOf, type Vpn, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { resolveWrites } from "../page/protect.ts"
import type { Mm } from "../store/mms.ts"
import type { File } from "../store/files.ts"
import type { Task } from "../store/tasks.ts"
import type { Uffd } from "../store/uffds.ts"
import type { Vma } from "../store/vmas.ts"
import { whileUsed } from "./process.ts"
import { isRange, uffdFile } from "./uffd-args.ts"

const MODES = UFFD.REGISTER_MODE_MISSING | UFFD.REGISTER_MODE_WP | UFFD.REGISTER_MODE_MINOR

/** Lets the descriptor answer for faults in `[start, start + len)`, holes aside. `k.out[0]` is what can be done there:
 * a mask of ioctl numbers. Where all the modes are on already, nothing changes, not even if others are too.
 * @param mode - UffdFlags REGISTER_MODE_*
 * @returns OK | EBADF | ENOTTY | EINVAL no or unknown modes, no range, nothing mapped, or not such memory | EPERM memory that
 *   may never be written | EBUSY another descriptor answers | ENOMEM no address space any more, or no room for a split
 * @partial areas before a failed split are registered
 * @locks takes mmap write
 */
export function* uffdRegister(k: Kernel, task: Task, fd: Word, start: Word, len: Word, mode: Word): Verb<AreaStops> {
  k.out[0] = 0
  const f = uffdFile(k, task, fd)
  return f < 0 ? f : yield* doRegister(k, f, start, len, mode)
}

/** `uffdRegister` of an open file. */
export function* doRegister(k: Kernel, f: File, start: Word, len: Word, mode: Word): Verb<AreaStops> {
  const m = lowBits(mode)
  if (m === 0 || (m & ~MODES) !== 0 || highBits(mode) !== 0 || !isRange(start, len)) return EINVAL
  const lo =
    ((m & UFFD.REGISTER_MODE_MISSING) !== 0 ? VM_UFFD_MISSING : 0) |
    ((m & UFFD.REGISTER_MODE_WP) !== 0 ? VM_UFFD_WP : 0)
  const hi = (m & UFFD.REGISTER_MODE_MINOR) !== 0 ? VMH_UFFD_MINOR : 0
  const from = pageOf(start)
  const r = yield* locked(k, f, (c, mm) => registerRange(k, c, mm, from, from + pageOf(len), lo, hi))
  let ioctls = UFFD.RANGE_IOCTLS
  if ((m & UFFD.REGISTER_MODE_WP) === 0) ioctls &= ~(1 << UFFD.WRITEPROTECT)
  if ((m & UFFD.REGISTER_MODE_MINOR) === 0) ioctls &= ~(1 << UFFD.CONTINUE)
  k.out[0] = r === OK ? ioctls : 0
  return r
}

/** Lets the descriptor answer no more for `[start, start + len)`: who waits for missing pages there goes on, write protection
 * goes. Areas without a userfaultfd are passed over.
 * @returns OK | EBADF | ENOTTY | EINVAL no range, nothing mapped, not such memory, or another descriptor's | ENOMEM no address
 *   space any more, or no room for a split
 * @partial areas before a failed split are unregistered
 * @locks takes mmap write
 */
export function* uffdUnregister(k: Kernel, task: Task, fd: Word, start: Word, len: Word): Verb<AreaStops> {
  const f = uffdFile(k, task, fd)
  return f < 0 ? f : yield* doUnregister(k, f, start, len)
}

/** `uffdUnregister` of an open file. */
export function* doUnregister(k: Kernel, f: File, start: Word, len: Word): Verb<AreaStops> {
  if (!isRange(start, len)) return EINVAL
  const from = pageOf(start)
  return yield* locked(k, f, (c, mm) => unregisterRange(k, c, mm, from, from + pageOf(len)))
}

/** Wakes who waits for a fault in `[start, start + len)`, registered or not; nothing is resolved.
 * @returns OK | EBADF | ENOTTY | EINVAL no range
 */
export function uffdWake(k: Kernel, task: Task, fd: Word, start: Word, len: Word): number {
  const f = uffdFile(k, task, fd)
  return f < 0 ? f : doWake(k, f, start, len)
}

/** `uffdWake` of an open file. */
export function doWake(k: Kernel, f: File, start: Word, len: Word): number {
  if (!isRange(start, len)) return EINVAL
  const from = pageOf(start)
  wakeUserfault(k, k.files.private(f), addrOf(from), addrOf(from + pageOf(len)))
  return OK
}

/** Runs `change` under the write lock of the address space that `f` answers for; ENOMEM where that has no users. */
function* locked(k: Kernel, f: File, change: (c: Uffd, mm: Mm) => Verb<AreaStops>): Verb<AreaStops> {
  const c = k.files.private(f)
  const mm = k.uffds.mm(c)
  fget(k, f)
  try {
    return yield* whileUsed(k, mm, ENOMEM, function* (): Verb<AreaStops> {
      if (k.runs.preempt) yield k.runs.point()
      if (!tryMmap(k, mm, WRITE)) yield needMmap(k, mm, WRITE)
      try {
        return yield* change(c, mm)
      } finally {
        mmapUnlock(k, mm, WRITE)
      }
    })
  } finally {
    fput(k, f)
  }
}

const isWpAsyncContext = (k: Kernel, c: Uffd): boolean => k.uffds.has(c, UFFD.FEATURE_WP_ASYNC)

function* registerRange(k: Kernel, c: Uffd, mm: Mm, start: Vpn, end: Vpn, lo: number, hi: number): Verb<AreaStops> {
  const first = k.maple.find(mm, start)
  if (first === 0 || k.vmas.startOf(first) >= end) return EINVAL
  for (let v = first; v !== 0 && k.vmas.startOf(v) < end; v = k.maple.next(mm, v)) {
    if (!canUserfault(k, v, lo, hi, isWpAsyncContext(k, c))) return EINVAL
    if ((k.vmas.flags(v) & VM_MAYWRITE) === 0) return EPERM
    if (k.vmas.uffd(v) !== 0 && k.vmas.uffd(v) !== c) return EBUSY
  }
  let prev = k.vmas.startOf(first) < start ? first : k.maple.prev(mm, first)
  for (let v = first; v !== 0 && k.vmas.startOf(v) < end; v = k.maple.next(mm, v)) {
    const hasAll = (k.vmas.flags(v) & lo) === lo && (k.vmas.flagsHi(v) & hi) === hi
    if (k.vmas.uffd(v) !== c || !hasAll) {
      const newLo = (k.vmas.flags(v) & ~VM_UFFD) | lo
      const newHi = (k.vmas.flagsHi(v) & ~VMH_UFFD_MINOR) | hi
      const from = Math.max(start, k.vmas.startOf(v))
      const w = yield* vmaModify(k, prev, v, from, Math.min(end, k.vmas.endOf(v)), newLo, newHi, k.vmas.policy(v), c)
      if (w < 0) return w
      setUffd(k, w, c, (k.vmas.flags(w) & ~VM_UFFD) | lo, (k.vmas.flagsHi(w) & ~VMH_UFFD_MINOR) | hi)
      v = w
    }
    prev = v
  }
  return OK
}

function* unregisterRange(k: Kernel, c: Uffd, mm: Mm, start: Vpn, end: Vpn): Verb<AreaStops> {
  const first = k.maple.find(mm, start)
  if (first === 0 || k.vmas.startOf(first) >= end) return EINVAL
  for (let v = first; v !== 0 && k.vmas.startOf(v) < end; v = k.maple.next(mm, v)) {
    if (k.vmas.uffd(v) !== 0 && k.vmas.uffd(v) !== c) return EINVAL
    if (!canUserfault(k, v, k.vmas.flags(v), k.vmas.flagsHi(v), isWpAsyncContext(k, c))) return EINVAL
  }
  let prev = k.vmas.startOf(first) < start ? first : k.maple.prev(mm, first)
  for (let v = first; v !== 0 && k.vmas.startOf(v) < end; v = k.maple.next(mm, v)) {
    if (k.vmas.uffd(v) !== 0) {
      const from = Math.max(start, k.vmas.startOf(v))
      const to = Math.min(end, k.vmas.endOf(v))
      if (isMissing(k, v)) wakeUserfault(k, c, addrOf(from), addrOf(to))
      const w = yield* clearVma(k, prev, v, from, to)
      if (w < 0) return w
      v = w
    }
    prev = v
  }
  return OK
}

/** Every area of context `c` is unregistered.
 * @locks mmap write of its mm
 */
export function* unregisterAll(k: Kernel, c: Uffd): Verb<AreaStops, void> {
  const mm = k.uffds.mm(c)
  let prev = 0
  for (let v = k.maple.find(mm, 0); v !== 0; v = k.maple.next(mm, v)) {
    if (k.vmas.uffd(v) === c) {
      const w = yield* clearVma(k, prev, v, k.vmas.startOf(v), k.vmas.endOf(v))
      if (w > 0) v = w
    }
    prev = v
  }
}

/** Takes `[start, end)` of `v` from its userfaultfd. A whole area is unregistered in any case, merged or not.
 * @returns the area that has the range now | ENOMEM
 */
function* clearVma(k: Kernel, prev: Vma, v: Vma, start: Vpn, end: Vpn): Verb<AreaStops> {
  if (isWp(k, v)) resolveWrites(k, v, start, end)
  const whole = start === k.vmas.startOf(v) && end === k.vmas.endOf(v)
  const lo = k.vmas.flags(v) & ~VM_UFFD
  const hi = k.vmas.flagsHi(v) & ~VMH_UFFD_MINOR
  let w = yield* vmaModify(k, prev, v, start, end, lo, hi, k.vmas.policy(v), 0)
  if (w < 0 && !whole) return w
  if (w < 0) {
    if (!tryStartWrite(k, v)) yield* vmaStartWrite(k, v)
    w = v
  }
  resetUffd(k, w)
  return w
}
