/** UFFDIO_MOVE: pages of one private area become another's, without a copy. Floor 6.
 * @source fs/userfaultfd.c userfaultfd_move; mm/userfaultfd.c move_pages, validate_move_areas (v6.18)
 */
import {
  VM_ACCESS,
  VM_HUGETLB,
  VM_IO,
  VM_LOCKED,
  VM_MIXEDMAP,
  VM_PFNMAP,
  VM_SHARED,
  VM_WRITE
} from "../../flags/bits.ts"
import { EAGAIN, EBUSY, EEXIST, EFAULT, EINVAL, ENOENT, ENOMEM, ESRCH, OK } from "../../flags/Errno.ts"
import { DIRTY, PRESENT, WRITE, ZERO } from "../../flags/PteFlags.ts"
import * as UFFD from "../../flags/UffdFlags.ts"
import { fget, fput } from "../area/object.ts"
import { mmapUnlock, needMmap, READ, tryMmap } from "../area/mmap-lock.ts"
import { anonVmaPrepare } from "../area/rmap.ts"
import { wakeUserfault } from "../area/uffd.ts"
import type { Verb } from "../base/stop.ts"
import { addrOf, lowBits, pageOf, PAGE_SIZE, type Vpn, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { anonIndex } from "../page/anon.ts"
import { invalidateEnd, invalidateStart } from "../page/notifier.ts"
import { pageProt } from "../page/prot.ts"
import { flushRange } from "../page/tlb.ts"
import type { FaultStops } from "../page/fault.ts"
import type { File } from "../store/files.ts"
import { F_ANON, F_EXCLUSIVE } from "../store/frames.ts"
import { NO_SLOT } from "../store/ptes.ts"
import type { Task } from "../store/tasks.ts"
import type { Uffd } from "../store/uffds.ts"
import type { Vma } from "../store/vmas.ts"
import { whileUsed } from "./process.ts"
import { type Into, isRange, steadyFile, store } from "./uffd-args.ts"
import { isMode } from "./uffd-fill.ts"

const IMMOVABLE = VM_PFNMAP | VM_IO | VM_HUGETLB | VM_MIXEDMAP
/** The address space has no user left: no answer of `movePages`, and nothing is stored. */
const GONE = -4096

/** Moves the pages of `[src, src + len)` to `dst`; both in the caller's address space, which is the descriptor's.
 * `k.out[0]` is what Linux stores: bytes moved, or the errno of the first page.
 * @param mode - UffdFlags MOVE_MODE_*
 * @returns OK | EAGAIN a part, or the address space is changing | EBADF | ENOTTY | EINVAL arguments, another address space, or
 *   areas between which nothing is moved | ENOENT no area, or no page | EEXIST a page is at the target | EBUSY a page is shared |
 *   EFAULT a marker | ENOMEM | ESRCH
 * @partial pages before a failure have moved
 * @locks takes mmap read
 */
export function* uffdMove(
  k: Kernel,
  task: Task,
  fd: Word,
  dst: Word,
  src: Word,
  len: Word,
  mode: Word
): Verb<FaultStops> {
  const f = steadyFile(k, task, fd)
  return f < 0 ? f : yield* doMove(k, task, f, dst, src, len, mode)
}

/** `uffdMove` of an open file. */
export function* doMove(
  k: Kernel,
  task: Task,
  f: File,
  dst: Word,
  src: Word,
  len: Word,
  mode: Word,
  into?: Into
): Verb<FaultStops> {
  const c = k.files.private(f)
  const mm = k.uffds.mm(c)
  if (mm !== k.tasks.mm(task) || !isRange(dst, len) || !isRange(src, len)) return EINVAL
  if (!isMode(mode, UFFD.MOVE_MODE_DONTWAKE | UFFD.MOVE_MODE_ALLOW_SRC_HOLES)) return EINVAL
  const to = pageOf(dst)
  const pages = pageOf(len)
  const holes = (lowBits(mode) & UFFD.MOVE_MODE_ALLOW_SRC_HOLES) !== 0
  fget(k, f)
  try {
    const done = yield* whileUsed(k, mm, GONE, function* (): Verb<FaultStops> {
      if (k.runs.preempt) yield k.runs.point()
      if (!tryMmap(k, mm, READ)) yield needMmap(k, mm, READ)
      try {
        return movePages(k, c, to, pageOf(src), pages, holes)
      } finally {
        mmapUnlock(k, mm, READ)
      }
    })
    if (done === GONE) return ESRCH
    const result = done > 0 ? done * PAGE_SIZE : done
    k.out[0] = result
    if (into !== undefined && (yield* store(k, result, into)) !== OK) return EFAULT
    if (done < 0) return done
    if ((lowBits(mode) & UFFD.MOVE_MODE_DONTWAKE) === 0) wakeUserfault(k, c, addrOf(to), addrOf(to + done))
    return done === pages ? OK : EAGAIN
  } finally {
    fput(k, f)
  }
}

/** @returns pages that moved, one at least | errno of the first */
function movePages(k: Kernel, c: Uffd, to: Vpn, from: Vpn, pages: number, holes: boolean): number {
  const mm = k.uffds.mm(c)
  const d = k.maple.lookup(mm, to)
  if (d === 0) return ENOENT
  if ((k.vmas.flags(d) & VM_SHARED) === 0 && !anonVmaPrepare(k, d)) return ENOMEM
  const s = k.maple.lookup(mm, from)
  if (s === 0) return ENOENT
  if (k.uffds.changing(c) !== 0) return EAGAIN
  if (((k.vmas.flags(s) | k.vmas.flags(d)) & VM_SHARED) !== 0) return EINVAL
  if (from + pages > k.vmas.endOf(s) || to + pages > k.vmas.endOf(d) || !mayMove(k, c, s, d)) return EINVAL
  invalidateStart(k, mm, from, from + pages)
  let done = 0
  let r: number = OK
  for (; done < pages; done++) {
    r = movePage(k, d, to + done, from + done, holes)
    if (r < 0) break
  }
  flushRange(k, mm, from, from + pages)
  invalidateEnd(k, mm, from, from + pages)
  return done > 0 ? done : r
}

function mayMove(k: Kernel, c: Uffd, s: Vma, d: Vma): boolean {
  const a = k.vmas.flags(s)
  const b = k.vmas.flags(d)
  if (((a ^ b) & (VM_ACCESS | VM_LOCKED)) !== 0 || (a & VM_WRITE) === 0) return false
  if (pageProt(k, s) !== pageProt(k, d)) return false
  return ((a | b) & IMMOVABLE) === 0 && k.vmas.uffd(d) === c && k.vmas.ops(s) === 0 && k.vmas.ops(d) === 0
}

function movePage(k: Kernel, d: Vma, to: Vpn, from: Vpn, holes: boolean): number {
  const pgd = k.mms.pgd(k.vmas.mmOf(d))
  const a = k.ptes.slot(pgd, from)
  if (a === NO_SLOT && !holes) return ENOENT
  const b = k.ptes.slotAlloc(pgd, to)
  if (b === NO_SLOT) return ENOMEM
  if (!k.ptes.isNone(b)) return EEXIST
  const bits = a === NO_SLOT ? 0 : k.ptes.bits(a)
  if (bits === 0) return holes ? OK : ENOENT
  if ((bits & PRESENT) === 0) return EFAULT
  const prot = pageProt(k, d) & ~WRITE
  const p = k.ptes.pfn(a)
  if ((bits & ZERO) !== 0) {
    k.ptes.clear(a)
    k.ptes.set(b, p, PRESENT | ZERO | prot)
    return OK
  }
  if (!k.frames.has(p, F_ANON) || !k.frames.has(p, F_EXCLUSIVE)) return EBUSY
  k.ptes.clear(a)
  k.frames.moveAnonTo(p, k.vmas.anon(d), anonIndex(k, d, to))
  k.ptes.set(b, p, PRESENT | (bits & DIRTY) | WRITE | prot)
  return OK
}
