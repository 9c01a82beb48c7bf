/** Writes to present entries that do not allow them: reuse, copy, or tell the owner. Floor 4.
 *
 * A private page is reused in place if its mapping is marked exclusive, or if nobody else refers to it; else it is copied.
 * @source mm/memory.c do_wp_page, wp_can_reuse_anon_folio, wp_page_copy (v6.18)
 */
import { VM_MAYSHARE, VM_SHARED, VM_UFFD_WP } from "../../flags/bits.ts"
import { FAULT_OK, FAULT_OOM } from "../../flags/FaultFlags.ts"
import { DIRTY, SPECIAL, UFFD_WP, WRITE, YOUNG, ZERO } from "../../flags/PteFlags.ts"
import { PAGEFAULT_FLAG_WP, PAGEFAULT_FLAG_WRITE } from "../../flags/UffdFlags.ts"
import { hasWriteHook } from "../area/ops.ts"
import { anonVmaPrepare } from "../area/rmap.ts"
import { isWpAsync } from "../area/uffd.ts"
import type { Pfn, Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { F_ANON, F_DIRTY, F_EXCLUSIVE, F_SWAPBACKED } from "../store/frames.ts"
import { RSS_ANON, RSS_FILE, RSS_SHMEM } from "../store/mms.ts"
import type { Vma } from "../store/vmas.ts"
import { mapFreshPage, mapOwnPage } from "./anon.ts"
import { FAULT_MKWRITE } from "./need.ts"
import { invalidateEnd, invalidateStart } from "./notifier.ts"
import { flushRange } from "./tlb.ts"
import { handleUserfault } from "./userfault.ts"

/** A write to page `vpn` of `v`, whose entry at `slot` is present and not writable; `v` allows writes.
 * @returns FAULT_OK | FAULT_OOM | FAULT_MKWRITE the owner must be asked first | FAULT_USERFAULT, FAULT_SIGBUS a userfaultfd
 */
export function writeProtected(k: Kernel, v: Vma, vpn: Vpn, slot: number): number {
  let bits = k.ptes.bits(slot)
  if ((bits & UFFD_WP) !== 0 && (k.vmas.flags(v) & VM_UFFD_WP) !== 0) {
    if (!isWpAsync(k, v)) return handleUserfault(k, v, PAGEFAULT_FLAG_WP | PAGEFAULT_FLAG_WRITE)
    bits &= ~UFFD_WP
    k.ptes.setBits(slot, bits)
  }
  if ((k.vmas.flags(v) & (VM_SHARED | VM_MAYSHARE)) !== 0) {
    if ((bits & SPECIAL) === 0 && hasWriteHook(k, v)) return FAULT_MKWRITE
    makeWritable(k, slot)
    return FAULT_OK
  }
  if ((bits & ZERO) !== 0) {
    invalidateStart(k, k.vmas.mmOf(v), vpn, vpn + 1)
    const code = mapFreshPage(k, v, vpn, slot)
    // who faulted may not be who uses the translation: population, or the kernel on a user's behalf
    if (code === FAULT_OK) flushRange(k, k.vmas.mmOf(v), vpn, vpn + 1)
    invalidateEnd(k, k.vmas.mmOf(v), vpn, vpn + 1)
    return code
  }
  const p = k.ptes.pfn(slot)
  if ((bits & SPECIAL) === 0 && k.frames.has(p, F_ANON) && canReuse(k, v, p)) {
    k.ptes.setBits(slot, bits | WRITE | DIRTY | YOUNG)
    return FAULT_OK
  }
  return copyOnWrite(k, v, vpn, slot)
}

/** The entry of a shared page becomes writable; its page is dirty from now on. */
export function makeWritable(k: Kernel, slot: number): void {
  k.ptes.setBits(slot, k.ptes.bits(slot) | WRITE | DIRTY | YOUNG)
  if ((k.ptes.bits(slot) & SPECIAL) === 0) k.frames.setFlag(k.ptes.pfn(slot), F_DIRTY)
}

function canReuse(k: Kernel, v: Vma, p: Pfn): boolean {
  if (k.frames.has(p, F_EXCLUSIVE)) return true
  if (k.frames.refcount(k.frames.folio(p)) !== 1) return false
  if (k.vmas.anon(v) !== 0) k.frames.moveAnon(p, k.vmas.anon(v))
  return true
}

function copyOnWrite(k: Kernel, v: Vma, vpn: Vpn, slot: number): number {
  if (!anonVmaPrepare(k, v)) return FAULT_OOM
  const q = k.frames.alloc()
  if (q === 0) return FAULT_OOM
  const mm = k.vmas.mmOf(v)
  const p = k.ptes.pfn(slot)
  const special = (k.ptes.bits(slot) & SPECIAL) !== 0
  if (special) k.frames.zero(q, 0, 4096) // a raw frame number: there are no bytes behind it here
  else k.frames.copy(q, p)
  // the old translation goes before the new page can be written, or two tasks would see two pages
  invalidateStart(k, mm, vpn, vpn + 1)
  k.ptes.clear(slot)
  flushRange(k, mm, vpn, vpn + 1)
  mapOwnPage(k, v, vpn, slot, q)
  invalidateEnd(k, mm, vpn, vpn + 1)
  if (special) return FAULT_OK
  if (k.frames.has(p, F_ANON)) k.mms.addRss(mm, RSS_ANON, -1)
  else k.mms.addRss(mm, k.frames.has(p, F_SWAPBACKED) ? RSS_SHMEM : RSS_FILE, -1)
  k.frames.dropMap(p)
  k.frames.put(p)
  return FAULT_OK
}
