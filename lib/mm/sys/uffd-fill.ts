/** UFFDIO_COPY, ZEROPAGE, CONTINUE, POISON: pages come, and who waits for them goes on. Floor 6.
 *
 *     changes under way: EAGAIN  ->  arguments  ->  one area, page after page  ->  wake what was done
 *
 * What is stored: bytes done, or the errno of the first page.
 * @source fs/userfaultfd.c userfaultfd_copy, _zeropage, _continue, _poison; mm/userfaultfd.c mfill_atomic (v6.18)
 */
import { VM_SHARED, VM_UFFD_WP } from "../../flags/bits.ts"
import { EAGAIN, EFAULT, EINVAL, ENOENT, ENOMEM, ESRCH, OK } from "../../flags/Errno.ts"
import * as UFFD from "../../flags/UffdFlags.ts"
import { mmgetNotZero } from "../area/mm.ts"
import { fget, fput } from "../area/object.ts"
import { mmapUnlock, needMmap, READ, tryMmap } from "../area/mmap-lock.ts"
import { OPS_SHMEM } from "../area/ops.ts"
import { anonVmaPrepare } from "../area/rmap.ts"
import { isArmed, wakeUserfault } from "../area/uffd.ts"
import type { Verb } from "../base/stop.ts"
import {
  addrOf,
  highBits,
  lowBits,
  offsetInPage,
  pageOf,
  PAGE_SIZE,
  registerOf,
  TASK_SIZE,
  type Vpn,
  type Word
} from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { FaultStops } from "../page/fault.ts"
import { fillContinue, fillCopy, fillPoison, fillZero } from "../object/userfill.ts"
import type { File } from "../store/files.ts"
import type { Task } from "../store/tasks.ts"
import type { Uffd } from "../store/uffds.ts"
import type { Vma } from "../store/vmas.ts"
import { mmput, mmputAsync, mmputUnlessLast } from "./process.ts"
import { type Into, isRange, steadyFile, store } from "./uffd-args.ts"
import { copyFromUser, copyFromUserNow } from "./usercopy.ts"

/** One page of a fill. @returns OK | errno */
type Fill = (k: Kernel, v: Vma, vpn: Vpn, i: number) => number
/** A page whose source must be faulted in first. */
const NEED_SOURCE = -4096

/** Faults in the source of page `i`. @returns OK | errno */
type Source = (i: number) => Verb<FaultStops>

/** What is asked for. */
interface Request {
  readonly f: File
  readonly c: Uffd
  readonly start: Vpn
  readonly pages: number
  readonly wp: boolean
  readonly dontWake: boolean
  readonly into: Into | undefined
}

/** Copies `len` bytes from `src` of the caller to `dst` of the descriptor's address space, page by page, over nothing.
 * @param mode - UffdFlags COPY_MODE_*
 * @returns OK all of it | EAGAIN a part: `k.out[0]` bytes; or the address space is changing | EBADF | ENOTTY | EINVAL arguments,
 *   or WP where writes are not tracked | ENOENT not within one registered area | EEXIST | EFAULT no such source, or beyond the
 *   file | ENOMEM | ESRCH no address space any more
 * @partial pages before a failure are there, and wake who waits for them
 * @locks takes mmap read; none while the source is faulted in
 */
export function* uffdCopy(
  k: Kernel,
  task: Task,
  fd: Word,
  dst: Word,
  src: Word,
  len: Word,
  mode: Word
): Verb<FaultStops> {
  const f = steadyFile(k, task, fd)
  return f < 0 ? f : yield* doCopy(k, task, f, dst, src, len, mode)
}

/** `uffdCopy` of an open file. */
export function* doCopy(
  k: Kernel,
  task: Task,
  f: File,
  dst: Word,
  src: Word,
  len: Word,
  mode: Word,
  into?: Into
): Verb<FaultStops> {
  const from = Number(registerOf(src))
  const bytes = Number(registerOf(len))
  const isSource = offsetInPage(len) === 0 && bytes > 0 && from < TASK_SIZE && bytes <= TASK_SIZE - from
  if (!isSource || !isRange(dst, len) || !isMode(mode, UFFD.COPY_MODE_DONTWAKE | UFFD.COPY_MODE_WP)) return EINVAL
  const q = requestOf(k, f, dst, len, mode, into)
  const page = new Uint8Array(PAGE_SIZE)
  let faulted = -1
  const mm = k.tasks.mm(task)
  const fill: Fill = (_, v, vpn, i) => {
    if (faulted !== i && copyFromUserNow(k, mm, from + i * PAGE_SIZE, page) < PAGE_SIZE) return NEED_SOURCE
    return fillCopy(k, v, vpn, page, q.wp)
  }
  return yield* filled(k, q, fill, function* (i) {
    const missed = yield* copyFromUser(k, mm, from + i * PAGE_SIZE, page)
    faulted = i
    return missed === 0 ? OK : EFAULT
  })
}

/** As `uffdCopy`, from bytes that lie in no address space: of a monitor that is not simulated itself.
 * @param from - whole pages
 * @returns as `uffdCopy`
 * @locks takes mmap read
 */
export function* uffdCopyBytes(
  k: Kernel,
  task: Task,
  fd: Word,
  dst: Word,
  from: Uint8Array,
  mode: Word
): Verb<FaultStops> {
  const f = steadyFile(k, task, fd)
  if (f < 0) return f
  if (!isRange(dst, from.length) || !isMode(mode, UFFD.COPY_MODE_DONTWAKE | UFFD.COPY_MODE_WP)) return EINVAL
  const q = requestOf(k, f, dst, from.length, mode)
  return yield* filled(k, q, (_, v, vpn, i) =>
    fillCopy(k, v, vpn, from.subarray(i * PAGE_SIZE, (i + 1) * PAGE_SIZE), q.wp)
  )
}

/** Fills `[start, start + len)` with zeroes: the page of zeroes where memory is private, pages of zeroes where it is shared.
 * @param mode - ZEROPAGE_MODE_DONTWAKE
 * @returns as `uffdCopy`, the source aside
 * @locks takes mmap read
 */
export function* uffdZeropage(k: Kernel, task: Task, fd: Word, start: Word, len: Word, mode: Word): Verb<FaultStops> {
  const f = steadyFile(k, task, fd)
  return f < 0 ? f : yield* doZeropage(k, f, start, len, mode)
}

/** `uffdZeropage` of an open file. */
export function* doZeropage(k: Kernel, f: File, start: Word, len: Word, mode: Word, into?: Into): Verb<FaultStops> {
  if (!isRange(start, len) || !isMode(mode, UFFD.ZEROPAGE_MODE_DONTWAKE)) return EINVAL
  return yield* filled(k, requestOf(k, f, start, len, mode, into), fillZero)
}

/** Maps pages that the object has already.
 * @param mode - CONTINUE_MODE_*
 * @returns as `uffdCopy`, the source aside; EFAULT the object has no such page, EINVAL no shared memory
 * @locks takes mmap read
 */
export function* uffdContinue(k: Kernel, task: Task, fd: Word, start: Word, len: Word, mode: Word): Verb<FaultStops> {
  const f = steadyFile(k, task, fd)
  return f < 0 ? f : yield* doContinue(k, f, start, len, mode)
}

/** `uffdContinue` of an open file. */
export function* doContinue(k: Kernel, f: File, start: Word, len: Word, mode: Word, into?: Into): Verb<FaultStops> {
  if (!isRange(start, len) || !isMode(mode, UFFD.CONTINUE_MODE_DONTWAKE | UFFD.CONTINUE_MODE_WP)) return EINVAL
  const q = requestOf(k, f, start, len, mode, into)
  return yield* filled(k, q, (_, v, vpn) => fillContinue(k, v, vpn, q.wp))
}

/** Poisons pages: who touches one gets SIGBUS.
 * @param mode - POISON_MODE_DONTWAKE
 * @returns as `uffdCopy`, the source aside
 * @locks takes mmap read
 */
export function* uffdPoison(k: Kernel, task: Task, fd: Word, start: Word, len: Word, mode: Word): Verb<FaultStops> {
  const f = steadyFile(k, task, fd)
  return f < 0 ? f : yield* doPoison(k, f, start, len, mode)
}

/** `uffdPoison` of an open file. */
export function* doPoison(k: Kernel, f: File, start: Word, len: Word, mode: Word, into?: Into): Verb<FaultStops> {
  if (!isRange(start, len) || !isMode(mode, UFFD.POISON_MODE_DONTWAKE)) return EINVAL
  return yield* filled(k, requestOf(k, f, start, len, mode, into), fillPoison)
}

/** Has `mode` no bits but these? */
export const isMode = (mode: Word, known: number): boolean => (lowBits(mode) & ~known) === 0 && highBits(mode) === 0

/** WP is bit 1 and DONTWAKE bit 0 of all of them that know these. */
const requestOf = (k: Kernel, f: File, start: Word, len: Word, mode: Word, into?: Into): Request => ({
  f,
  c: k.files.private(f),
  start: pageOf(start),
  pages: pageOf(len),
  wp: (lowBits(mode) & UFFD.COPY_MODE_WP) !== 0,
  dontWake: (lowBits(mode) & UFFD.COPY_MODE_DONTWAKE) !== 0,
  into
})

/** Fills page after page, stores how far it got, and wakes who waits for that much: nobody, if it cannot be stored. One
 * generator, as faults wait for it.
 */
function* filled(k: Kernel, q: Request, fill: Fill, source?: Source): Verb<FaultStops> {
  const mm = k.uffds.mm(q.c)
  if (!mmgetNotZero(k, mm)) return ESRCH
  fget(k, q.f)
  let uses = true // `whileUsed` in place: a generator less in the way of every fault that is answered
  try {
    let done = 0
    let r: number = OK
    while (done < q.pages && r === OK) {
      if (k.runs.preempt) yield k.runs.point()
      if (!tryMmap(k, mm, READ)) yield needMmap(k, mm, READ)
      try {
        const v = areaOf(k, q)
        r = v < 0 ? v : OK
        while (done < q.pages && r === OK) {
          r = fill(k, v, q.start + done, done)
          if (r === OK) done++
        }
      } finally {
        mmapUnlock(k, mm, READ)
      }
      if (r === NEED_SOURCE && source !== undefined) r = yield* source(done)
    }
    uses = false
    if (!mmputUnlessLast(k, mm)) yield* mmput(k, mm)
    const result = done > 0 ? done * PAGE_SIZE : r
    k.out[0] = result
    if (q.into !== undefined && (yield* store(k, result, q.into)) !== OK) return EFAULT
    if (done === 0) return r
    if (!q.dontWake) wakeUserfault(k, q.c, addrOf(q.start), addrOf(q.start + done))
    return done === q.pages ? OK : EAGAIN
  } finally {
    if (uses) mmputAsync(k, mm) // interrupted: a teardown is for whoever drains it
    fput(k, q.f)
  }
}

/** The one area that has the whole range.
 * @returns area | ENOENT | EAGAIN | EINVAL | ENOMEM
 * @source mm/userfaultfd.c uffd_mfill_lock, mfill_atomic (v6.18)
 */
function areaOf(k: Kernel, q: Request): number {
  const v = k.maple.lookup(k.uffds.mm(q.c), q.start)
  if (v === 0) return ENOENT
  const lo = k.vmas.flags(v)
  if ((lo & VM_SHARED) === 0 && !anonVmaPrepare(k, v)) return ENOMEM
  if (q.start + q.pages > k.vmas.endOf(v) || !isArmed(k, v)) return ENOENT
  if (k.uffds.changing(q.c) !== 0) return EAGAIN
  if (q.wp && (lo & VM_UFFD_WP) === 0) return EINVAL
  return k.vmas.ops(v) === 0 || k.vmas.ops(v) === OPS_SHMEM ? v : EINVAL
}
