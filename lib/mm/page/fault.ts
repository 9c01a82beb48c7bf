/** Page faults: from an address to a good entry, or to a signal. Floor 4.
 *
 *     lock: the area's own, else mmap read, else (stack growth) mmap write
 *     classify: none | a marker | present and not writable | present
 *     finish, and look again after every wait; a userfaultfd is waited for without any lock
 *
 * `faultNow` is the same in one plain turn for the many faults that need not wait; both string the same pieces together.
 * @source mm/memory.c handle_pte_fault, do_fault; arch/x86/mm/fault.c do_user_addr_fault (v6.18)
 */
import { VM_ACCESS, VM_EXEC, VM_GROWSDOWN, VM_SHARED, VM_UFFD_WP, VM_WRITE } from "../../flags/bits.ts"
import { EFAULT, ENOMEM, OK } from "../../flags/Errno.ts"
import {
  type Access,
  FAULT_ACCERR,
  FAULT_HWPOISON,
  FAULT_MAPERR,
  FAULT_OK,
  FAULT_OOM,
  FAULT_SIGBUS,
  FETCH,
  READ as READING,
  WRITE as WRITING
} from "../../flags/FaultFlags.ts"
import { DIRTY, GUARD, POISON, PRESENT, UFFD_WP, WRITE, YOUNG } from "../../flags/PteFlags.ts"
import { mmapDowngrade, mmapUnlock, needMmap, READ, tryMmap, WRITE as WRITE_MODE } from "../area/mmap-lock.ts"
import { hasHook, needHook } from "../area/ops.ts"
import { expandStack } from "../area/stack.ts"
import { lockVmaUnderRcu, vmaEndRead, vmaStartWrite } from "../area/vma-lock.ts"
import {
  ELATE,
  ESEGV,
  H_FAULT,
  H_PAGE_MKWRITE,
  H_TRANSLATE_WRITE,
  KILLABLE,
  NEED_PAGE,
  type Verb
} from "../base/stop.ts"
import { leafOf, TASK_PAGES, type Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { Mm } from "../store/mms.ts"
import { NO_SLOT } from "../store/ptes.ts"
import type { Vma } from "../store/vmas.ts"
import { mapFreshPage, mapZeroPage } from "./anon.ts"
import { makeWritable, writeProtected } from "./cow.ts"
import { fillFromObject, finishFill } from "./fill.ts"
import { FAULT_MKWRITE, FAULT_NEED_HOOK, FAULT_NEED_PAGE, FAULT_USERFAULT, GIVE_UP, isFinal } from "./need.ts"
import { anonymousUserfault, type Mode, USER_MODE, userfaultWait } from "./userfault.ts"
import { bitsAt } from "./walk.ts"

/** What a fault may wait for. */
export type FaultStops = "NEED_LOCK" | "NEED_HOOK" | "NEED_PAGE" | "WAIT_UFFD" | "PREEMPT"

/** Does `v` forbid the access? Reads need any permission at all, as x86 has it. */
function forbids(k: Kernel, v: Vma, access: Access): boolean {
  const lo = k.vmas.flags(v)
  return access === WRITING ? (lo & VM_WRITE) === 0 : access === FETCH ? (lo & VM_EXEC) === 0 : (lo & VM_ACCESS) === 0
}

/** Makes the entry of page `vpn` good for `access`, as far as that goes without waiting.
 * @returns FAULT_OK | FAULT_ACCERR | FAULT_MAPERR a guard | FAULT_HWPOISON | FAULT_SIGBUS | FAULT_OOM | a need of need.ts
 * @locks mmap or VMA, read or stronger; `v` covers `vpn`
 */
export function handleMmFault(k: Kernel, v: Vma, vpn: Vpn, access: Access): number {
  if (forbids(k, v, access)) return FAULT_ACCERR
  const pgd = k.mms.pgd(k.vmas.mmOf(v))
  const write = access === WRITING
  let slot = k.ptes.slot(pgd, vpn)
  if (slot === NO_SLOT) {
    if (k.vmas.ops(v) !== 0) return fillNewTable(k, v, vpn, access)
    slot = k.ptes.slotAlloc(pgd, vpn)
    if (slot === NO_SLOT) return FAULT_OOM
  }
  const bits = k.ptes.bits(slot)
  if (bits === 0) return fillMissing(k, v, vpn, slot, access)
  if ((bits & PRESENT) === 0) return handleMarker(k, v, vpn, slot, access)
  if (write && (bits & WRITE) === 0) return writeProtected(k, v, vpn, slot)
  k.ptes.setBits(slot, bits | (write ? YOUNG | DIRTY : YOUNG))
  return FAULT_OK
}

/** The first fault of a page table's pages, of an object: the table is made, and goes again where nothing came into it.
 * The levels above it stay.
 * @returns as `handleMmFault`
 * @source mm/memory.c __do_fault, finish_fault (v6.18): the table is allocated beforehand, and installed with the page
 */
function fillNewTable(k: Kernel, v: Vma, vpn: Vpn, access: Access): number {
  const pgd = k.mms.pgd(k.vmas.mmOf(v))
  const slot = k.ptes.slotAlloc(pgd, vpn)
  if (slot === NO_SLOT) return FAULT_OOM
  const code = fillFromObject(k, v, vpn, slot, access)
  if (code !== FAULT_OK && k.ptes.pop[slot >>> 10] === 0) k.ptes.freeLeaf(pgd, leafOf(vpn))
  return code
}

/** Fills the entry `slot`, which is empty or a marker of write protection. */
function fillMissing(k: Kernel, v: Vma, vpn: Vpn, slot: number, access: Access): number {
  if (k.vmas.ops(v) !== 0) return fillFromObject(k, v, vpn, slot, access)
  const write = access === WRITING
  if (k.vmas.uffd(v) !== 0) {
    const asked = anonymousUserfault(k, v, write)
    if (asked !== FAULT_OK) return asked
  }
  return write ? mapFreshPage(k, v, vpn, slot) : mapZeroPage(k, v, slot)
}

/** A fault on a marker: guards and poison are fatal; a page that is missing and write-protected comes in protected.
 * @source mm/memory.c handle_pte_marker, pte_marker_handle_uffd_wp (v6.18)
 */
function handleMarker(k: Kernel, v: Vma, vpn: Vpn, slot: number, access: Access): number {
  const bits = k.ptes.bits(slot)
  if ((bits & POISON) !== 0) return FAULT_HWPOISON
  if ((bits & GUARD) !== 0) return FAULT_MAPERR
  if ((k.vmas.flags(v) & VM_UFFD_WP) === 0) k.ptes.clear(slot) // left over from a registration that is gone
  const code = fillMissing(k, v, vpn, slot, access)
  return code === FAULT_OK ? inheritProtection(k, v, vpn, slot, bits, access) : code
}

/** A page has come to `slot`, where the entry was `bits` before: it takes over a marker's protection, and a write to it faults.
 * @returns FAULT_OK | as `writeProtected`
 */
function inheritProtection(k: Kernel, v: Vma, vpn: Vpn, slot: number, bits: number, access: Access): number {
  if ((bits & UFFD_WP) === 0 || (k.vmas.flags(v) & VM_UFFD_WP) === 0 || !k.ptes.isPresent(slot)) return FAULT_OK
  k.ptes.setBits(slot, (k.ptes.bits(slot) & ~WRITE) | UFFD_WP)
  return access === WRITING ? writeProtected(k, v, vpn, slot) : FAULT_OK
}

/** A fault in one plain turn; gives up, having changed nothing that the generator would not change too, where that would wait.
 * @returns FAULT_* | GIVE_UP | FAULT_USERFAULT
 */
export function faultNow(k: Kernel, mm: Mm, vpn: Vpn, access: Access): number {
  if (vpn >= TASK_PAGES) return FAULT_MAPERR
  const q = k.runs.mmapLock(mm)
  if (!k.runs.canRead(q)) return GIVE_UP
  const v = k.maple.find(mm, vpn)
  if (v === 0) return FAULT_MAPERR
  if (vpn < k.vmas.start[v]!) return (k.vmas.flags(v) & VM_GROWSDOWN) === 0 ? FAULT_MAPERR : GIVE_UP
  const code = handleMmFault(k, v, vpn, access)
  return isFinal(code) || code === FAULT_USERFAULT ? code : GIVE_UP
}

/** A fault that waits for what it needs.
 * @param offset - of the access within its page; only a userfaultfd gets to know
 * @returns FAULT_*
 * @locks none on entry or exit
 */
export function* fault(
  k: Kernel,
  mm: Mm,
  vpn: Vpn,
  access: Access,
  offset = 0,
  mode: Mode = USER_MODE
): Verb<FaultStops> {
  if (vpn >= TASK_PAGES) return FAULT_MAPERR
  for (let tryOwn = mode === USER_MODE; ; tryOwn = false) {
    let v = tryOwn ? yield* lockVmaUnderRcu(k, mm, vpn) : 0
    const own = v !== 0
    if (!own) {
      v = yield* lockMmAndFindVma(k, mm, vpn)
      if (v === 0) return FAULT_MAPERR
    }
    let c = 0
    let flags = 0
    try {
      const code = yield* resolve(k, v, vpn, access, own)
      if (code === FAULT_USERFAULT) {
        c = k.need[0]!
        flags = k.need[1]!
      } else if (code !== GIVE_UP) return code
    } finally {
      if (own) vmaEndRead(k, v)
      else mmapUnlock(k, mm, READ)
    }
    if (c === 0) continue
    const code = yield* userfaultWait(k, c, flags, vpn, offset, mode)
    if (code !== FAULT_OK) return code
  }
}

/** Performs what `handleMmFault` needs until it is done. Under the area's own lock it may give up (GIVE_UP), for
 * mmap_lock to be taken instead (VM_FAULT_RETRY). It leaves FAULT_USERFAULT to whoever
 * holds the lock; a caller that may not let go of it takes that for a SIGBUS.
 */
export function* resolve(
  k: Kernel,
  v: Vma,
  vpn: Vpn,
  access: Access,
  own = false
): Verb<"NEED_HOOK" | "NEED_PAGE" | "PREEMPT"> {
  for (;;) {
    if (k.runs.preempt) yield k.runs.point()
    if (own && wantsMmapLock(k, v, vpn, access)) return GIVE_UP
    const code = handleMmFault(k, v, vpn, access)
    if (isFinal(code) || code === FAULT_USERFAULT) return code
    if (code === FAULT_NEED_PAGE) {
      const o = k.need[0]!
      const pgoff = k.need[1]!
      const r = yield needPage(k, o, pgoff)
      if (r < 0) return codeOf(r)
    } else if (code === FAULT_NEED_HOOK) {
      const isCopied = access === WRITING && (k.vmas.flags(v) & VM_SHARED) === 0
      k.range[0] = isCopied ? READING : access
      const r = yield needHook(k, v, H_FAULT, vpn, KILLABLE)
      if (r === ELATE) continue
      const done = afterFaultHook(k, v, vpn, access, r)
      if (done !== GIVE_UP) return done
    } else if (code === FAULT_MKWRITE) {
      const done = yield* askOwner(k, v, vpn)
      if (done !== GIVE_UP) return done
    }
  }
}

/** Is the area's own lock too little for this fault? A first anonymous page looks at the neighbours, and owners that cannot map
 * pages along are asked under mmap_lock only.
 * @source mm/memory.c __vmf_anon_prepare, vmf_can_call_fault (v6.18)
 */
function wantsMmapLock(k: Kernel, v: Vma, vpn: Vpn, access: Access): boolean {
  if (forbids(k, v, access)) return false
  const mm = k.vmas.mmOf(v)
  const row = k.vmas.ops(v)
  const isShared = (k.vmas.flags(v) & VM_SHARED) !== 0
  const asksOwner = (isShared && access === WRITING) || (bitsAt(k, mm, vpn) & PRESENT) === 0
  if (row !== 0 && asksOwner && k.ops[row]!.mapsAround !== true) return true
  return access === WRITING && !isShared && k.vmas.anon(v) === 0 && !k.runs.canRead(k.runs.mmapLock(mm))
}

/** What an access ends in when a page could not be read, or a hook failed. */
const codeOf = (errno: number): number => (errno === ENOMEM ? FAULT_OOM : errno === ESEGV ? FAULT_MAPERR : FAULT_SIGBUS)

/** Asks the owner of `v` whether the page behind the read-only entry of `vpn` may be written, and makes it so.
 * @returns FAULT_OK | FAULT_SIGBUS | FAULT_OOM | GIVE_UP it is another page by now: look again
 */
function* askOwner(k: Kernel, v: Vma, vpn: Vpn): Verb<"NEED_HOOK"> {
  const pgd = k.mms.pgd(k.vmas.mmOf(v))
  const p = k.ptes.pfn(k.ptes.slot(pgd, vpn))
  k.frames.get(k.frames.folio(p)) // or its number could be another page's when the hook has answered
  try {
    const hook = hasHook(k, v, H_PAGE_MKWRITE) ? H_PAGE_MKWRITE : H_TRANSLATE_WRITE
    const r = yield needHook(k, v, hook, vpn, KILLABLE)
    if (r === ELATE) return GIVE_UP
    if (r < 0) return codeOf(r)
    const slot = k.ptes.slot(pgd, vpn)
    if (slot === NO_SLOT || !k.ptes.isPresent(slot) || k.ptes.pfn(slot) !== p) return GIVE_UP
    makeWritable(k, slot)
    return FAULT_OK
  } finally {
    k.frames.put(p)
  }
}

/** Maps the frame a driver's fault hook answered with (0: the hook mapped it itself). The entry is looked at again. */
function afterFaultHook(k: Kernel, v: Vma, vpn: Vpn, access: Access, reply: number): number {
  if (reply < 0) return codeOf(reply)
  const slot = k.ptes.slotAlloc(k.mms.pgd(k.vmas.mmOf(v)), vpn)
  if (slot === NO_SLOT) return FAULT_OOM
  const bits = k.ptes.bits(slot)
  if (bits !== 0 && bits !== UFFD_WP) {
    const code = handleMmFault(k, v, vpn, access)
    return isFinal(code) ? code : GIVE_UP
  }
  if (reply === 0) return FAULT_OK // VM_FAULT_NOPAGE and nothing there: the access faults again
  let code = finishFill(k, v, vpn, slot, reply, access === WRITING)
  if (code === FAULT_OK) code = inheritProtection(k, v, vpn, slot, bits, access)
  return isFinal(code) ? code : GIVE_UP
}

/** Queues the current run for page `pgoff` of object `o`, which somebody must read. Operands: a = object, b = page offset. */
export function needPage(k: Kernel, o: number, pgoff: number): ReturnType<typeof k.runs.stop<"NEED_PAGE">> {
  k.runs.enqueuePage(o, pgoff)
  return k.runs.stop<"NEED_PAGE">(NEED_PAGE | KILLABLE)
}

/** mmap read lock and the area that covers `vpn`, after growing a stack down to it if that is what lies above.
 * @returns the area, with the lock held for reading | 0 nothing there, nothing held
 */
function* lockMmAndFindVma(k: Kernel, mm: Mm, vpn: Vpn): Verb<"NEED_LOCK" | "PREEMPT"> {
  if (!tryMmap(k, mm, READ)) yield needMmap(k, mm, READ)
  let v = k.maple.find(mm, vpn)
  if (v !== 0 && k.vmas.covers(v, vpn)) return v
  mmapUnlock(k, mm, READ)
  if (v === 0 || (k.vmas.flags(v) & VM_GROWSDOWN) === 0) return 0
  if (!tryMmap(k, mm, WRITE_MODE)) yield needMmap(k, mm, WRITE_MODE)
  let mode = WRITE_MODE
  let keep = false
  try {
    v = k.maple.find(mm, vpn) // the lock was let go: look again
    if (v === 0) return 0
    if (!k.vmas.covers(v, vpn)) {
      if ((k.vmas.flags(v) & VM_GROWSDOWN) === 0) return 0
      yield* vmaStartWrite(k, v)
      if (expandStack(k, v, vpn) !== OK) return 0
    }
    mmapDowngrade(k, mm)
    mode = READ
    keep = true
    return v
  } finally {
    if (!keep) mmapUnlock(k, mm, mode)
  }
}

/** The outcome of a fault on the kernel's own behalf: OK or EFAULT (no signal is sent). */
export const kernelOutcome = (code: number): number => (code === FAULT_OK ? OK : EFAULT)
