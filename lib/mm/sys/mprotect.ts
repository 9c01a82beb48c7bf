/** mprotect: area by area; what was done before an error stays. Floor 6.
 * @source mm/mprotect.c do_mprotect_pkey, mprotect_fixup (v6.18)
 */
import {
  VM_ACCESS,
  VM_ACCOUNT,
  VM_EXEC,
  VM_GROWSDOWN,
  VM_HUGETLB,
  VM_LOCKED,
  VM_MAYEXEC,
  VM_NORESERVE,
  VM_READ,
  VM_SHARED,
  VM_WRITE,
  VMH_SEALED
} from "../../flags/bits.ts"
import { EACCES, EINTR, EINVAL, ENOMEM, EPERM, OK } from "../../flags/Errno.ts"
import { EXEC, GROWSDOWN, GROWSUP, READ, SEM, WRITE } from "../../flags/ProtFlags.ts"
import { enoughMemory, mayExpandVm, vmStatAccount } from "../area/account.ts"
import { enter } from "../area/mm.ts"
import { mmapUnlock, needMmap, tryMmap, WRITE as WRITE_MODE } from "../area/mmap-lock.ts"
import { hasHook, needHook } from "../area/ops.ts"
import { setStickyFlags, vmaModify, vmaModifyNow } from "../area/vma.ts"
import { H_MPROTECT, KILLABLE, type Verb } from "../base/stop.ts"
import { T_MPROTECT } from "../base/trace.ts"
import {
  highBits,
  isZero,
  lowBits,
  offsetInPage,
  pageOf,
  pagesUp,
  type Vpn,
  type Word,
  WORD_PAGES
} from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { Mm } from "../store/mms.ts"
import type { Vma } from "../store/vmas.ts"
import type { FaultStops } from "../page/fault.ts"
import { GIVE_UP } from "../page/need.ts"
import { changeProtection } from "../page/protect.ts"
import { READ_IMPLIES_EXEC } from "./personality.ts"
import { populateVma } from "./populate.ts"

const VALID = READ | WRITE | EXEC | SEM
const MDWE_REFUSE = 1
/** Beside the bits that callers know: READ_IMPLIES_EXEC, where the memory may be executed at all. */
const EXEC_IF_MAY = 1 << 30

/** Changes the protection of `[addr, addr + len)`.
 * @param addr - byte address, page aligned
 * @param len - bytes, rounded up to pages
 * @param prot - ProtFlags; GROWSDOWN extends the range down to the start of a stack
 * @returns OK | EINVAL unaligned, bad bits, GROWSUP, GROWSDOWN where nothing grows | ENOMEM a hole, a limit, too many areas |
 *   EACCES a right that may not be had | EPERM sealed | errno of the driver's mprotect hook
 * @partial areas before the one that failed keep their change
 * @locks takes mmap write
 */
export function* mprotect(k: Kernel, task: number, addr: Word, len: Word, prot: Word): Verb<FaultStops> {
  let bits = lowBits(prot)
  const grows = bits & (GROWSDOWN | GROWSUP)
  bits &= ~(GROWSDOWN | GROWSUP)
  if (grows === (GROWSDOWN | GROWSUP)) return EINVAL
  let start = pageOf(addr)
  if (offsetInPage(addr) !== 0) return EINVAL
  if (isZero(len)) return OK
  const pages = pagesUp(len)
  const end = start + pages
  if (pages === 0 || end >= WORD_PAGES) return ENOMEM
  if ((bits & ~VALID) !== 0 || highBits(prot) !== 0) return EINVAL
  if ((bits & READ) !== 0 && (k.tasks.personality(task) & READ_IMPLIES_EXEC) !== 0) bits |= EXEC_IF_MAY
  const mm = enter(k, task)
  const now = grows === 0 ? protectNow(k, mm, start, end, bits) : GIVE_UP
  if (now !== GIVE_UP) return now
  if (k.runs.preempt) yield k.runs.point()
  if (!tryMmap(k, mm, WRITE_MODE)) yield needMmap(k, mm, WRITE_MODE)
  try {
    const first = k.maple.find(mm, start)
    if (first === 0) return ENOMEM
    if ((grows & GROWSDOWN) !== 0) {
      if (k.vmas.startOf(first) >= end) return ENOMEM
      start = k.vmas.startOf(first)
      if ((k.vmas.flags(first) & VM_GROWSDOWN) === 0) return EINVAL
    } else {
      if (k.vmas.startOf(first) > start) return ENOMEM
      if ((grows & GROWSUP) !== 0) return EINVAL
    }
    k.trace.point(T_MPROTECT, mm, start, end - start)
    return yield* protectAreas(k, mm, first, start, end, bits)
  } finally {
    mmapUnlock(k, mm, WRITE_MODE)
  }
}

/** As mprotect where protection keys are not in the processor: only key -1 is one.
 * @returns as `mprotect` | EINVAL any other key
 */
export function* pkeyMprotect(
  k: Kernel,
  task: number,
  addr: Word,
  len: Word,
  prot: Word,
  pkey: Word
): Verb<FaultStops> {
  const valid = yield* mprotect(k, task, addr, 0, prot)
  if (valid !== OK || isZero(len)) return valid
  if (lowBits(pkey) === -1) return yield* mprotect(k, task, addr, len, prot)
  const pages = pagesUp(len)
  return pages === 0 || pageOf(addr) + pages >= WORD_PAGES ? ENOMEM : EINVAL
}

/** The whole of it in one plain turn, where nothing has to wait: a range of one area whose owner is not asked.
 * @returns OK | errno | GIVE_UP, nothing has changed
 */
function protectNow(k: Kernel, mm: Mm, start: Vpn, end: Vpn, bits: number): number {
  if (k.runs.preempt || !tryMmap(k, mm, WRITE_MODE)) return GIVE_UP
  try {
    const v = k.maple.around(mm, start)
    if (v === 0 || k.vmas.startOf(v) > start || end > k.vmas.endOf(v) || hasHook(k, v, H_MPROTECT)) return GIVE_UP
    const lo = withAccess(k, v, bits)
    const refused = mayProtect(k, mm, v, lo)
    const below = k.vmas.startOf(v) < start ? v : k.maple.near[0]!
    const w = refused !== OK ? refused : fixupNow(k, mm, below, v, start, end, lo)
    if (w !== 0) k.trace.point(T_MPROTECT, mm, start, end - start)
    return w < 0 ? w : w === 0 ? GIVE_UP : OK
  } finally {
    mmapUnlock(k, mm, WRITE_MODE)
  }
}

function* protectAreas(k: Kernel, mm: Mm, first: Vma, start: Vpn, end: Vpn, bits: number): Verb<FaultStops> {
  let prev = k.vmas.startOf(first) < start ? first : k.maple.prev(mm, first)
  for (let at = start; at < end;) {
    const v = k.maple.lookup(mm, at)
    if (v === 0) return ENOMEM
    const to = Math.min(k.vmas.endOf(v), end)
    const lo = withAccess(k, v, bits)
    const refused = mayProtect(k, mm, v, lo)
    if (refused !== OK) return refused
    if (hasHook(k, v, H_MPROTECT)) {
      const r = yield needHook(k, v, H_MPROTECT, at, KILLABLE)
      if (r < 0) return r
    }
    const r = yield* mprotectFixup(k, mm, prev, v, at, to, lo)
    if (r < 0) return r
    prev = r
    at = to
  }
  return OK
}

/** The flags of `v` with the access that `prot` asks for. */
function withAccess(k: Kernel, v: Vma, prot: number): number {
  const lo = k.vmas.flags(v)
  const exec = (prot & EXEC) !== 0 || ((prot & EXEC_IF_MAY) !== 0 && (lo & VM_MAYEXEC) !== 0)
  return (
    (lo & ~VM_ACCESS) |
    ((prot & READ) !== 0 ? VM_READ : 0) |
    ((prot & WRITE) !== 0 ? VM_WRITE : 0) |
    (exec ? VM_EXEC : 0)
  )
}

/** A right is had only where its MAY bit is; and nothing becomes executable under MDWE. */
function mayProtect(k: Kernel, mm: Mm, v: Vma, lo: number): number {
  if ((lo & ~(lo >> 4) & VM_ACCESS) !== 0) return EACCES
  if ((k.mms.mdwe(mm) & MDWE_REFUSE) === 0 || (lo & VM_EXEC) === 0) return OK
  if ((lo & VM_WRITE) !== 0 || (k.vmas.flags(v) & VM_EXEC) === 0) return EACCES
  return OK
}

/** Gives `[start, end)` of `v` the flags `want`. Returns the area that has them: the next one's neighbour below; or an errno. */
function* mprotectFixup(k: Kernel, mm: Mm, prev: Vma, v: Vma, start: Vpn, end: Vpn, want: number): Verb<FaultStops> {
  const old = k.vmas.flags(v)
  const hi = k.vmas.flagsHi(v)
  if ((hi & VMH_SEALED) !== 0) return EPERM
  if (want === old) return v
  const charged = charge(k, mm, old, want, end - start)
  if (charged < 0) return charged
  const lo = accounted(k, v, want)
  let w = EINTR // what a kill at may_split leaves behind
  try {
    w = yield* vmaModify(k, prev, v, start, end, lo, hi)
  } finally {
    if (w < 0) k.committed -= charged
  }
  if (w < 0) return w
  finishChange(k, mm, w, start, end, old, lo)
  // locked private pages get their copies now; nobody hears of it if that fails
  if (wantsCopies(old, lo)) yield* populateVma(k, w, start, end)
  return w
}

/** The same in one plain turn; 0, and nothing has changed, where that would wait or pages are to be filled in. */
function fixupNow(k: Kernel, mm: Mm, prev: Vma, v: Vma, start: Vpn, end: Vpn, want: number): number {
  const old = k.vmas.flags(v)
  const hi = k.vmas.flagsHi(v)
  if ((hi & VMH_SEALED) !== 0) return EPERM
  if (want === old) return v
  if (wantsCopies(old, want)) return 0
  const charged = charge(k, mm, old, want, end - start)
  if (charged < 0) return charged
  const lo = accounted(k, v, want)
  const w = vmaModifyNow(k, prev, v, start, end, lo, hi)
  if (w > 0) finishChange(k, mm, w, start, end, old, lo)
  else k.committed -= charged
  return w
}

/** Does private memory that is locked become writable? */
const wantsCopies = (old: number, lo: number): boolean =>
  (old & (VM_WRITE | VM_SHARED | VM_LOCKED)) === VM_LOCKED && (lo & VM_WRITE) !== 0

/** Flags that say that memory is charged for already, or never is. */
const NO_CHARGE = VM_ACCOUNT | VM_WRITE | VM_HUGETLB | VM_SHARED | VM_NORESERVE

/** Charges memory that becomes private and writable for the first time.
 * @returns pages charged | ENOMEM
 */
function charge(k: Kernel, mm: Mm, old: number, lo: number, pages: number): number {
  if ((lo & VM_WRITE) === 0) return 0
  if (!mayExpandVm(k, mm, lo, pages) && mayExpandVm(k, mm, old, pages)) return ENOMEM
  if ((old & NO_CHARGE) !== 0) return 0
  return enoughMemory(k, mm, pages) === OK ? pages : ENOMEM
}

/** `want`, with VM_ACCOUNT where memory is charged from now on, and without it where nothing was ever written. */
function accounted(k: Kernel, v: Vma, want: number): number {
  if ((want & VM_WRITE) !== 0) return (k.vmas.flags(v) & NO_CHARGE) === 0 ? want | VM_ACCOUNT : want
  return k.vmas.ops(v) === 0 && k.vmas.anon(v) === 0 ? want & ~VM_ACCOUNT : want
}

/** The area has its bounds: flags, entries and statistics follow. */
function finishChange(k: Kernel, mm: Mm, w: Vma, start: Vpn, end: Vpn, old: number, lo: number): void {
  const pages = end - start
  setStickyFlags(k, w, lo, k.vmas.flagsHi(w))
  changeProtection(k, w, start, end)
  if ((old & VM_ACCOUNT) !== 0 && (lo & VM_ACCOUNT) === 0) k.committed -= pages
  vmStatAccount(k, mm, old, start - end)
  vmStatAccount(k, mm, lo, pages)
}
