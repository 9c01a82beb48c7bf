/** Advice that works on entries: guards, lazily freed pages, age, reclaim. Floor 4.
 * @source mm/madvise.c madvise_guard_install, madvise_guard_remove, madvise_free_pte_range, madvise_cold_or_pageout_pte_range (v6.18)
 */
import { VMH_DROPPABLE } from "../../flags/bits.ts"
import { ENOMEM, OK } from "../../flags/Errno.ts"
import { DIRTY, GUARD, POISON, PRESENT, SPECIAL, YOUNG, ZERO } from "../../flags/PteFlags.ts"
import { dropCached } from "../area/object.ts"
import { leafOf, type Pfn, type Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { Obj } from "../store/files.ts"
import { F_ACTIVE, F_ANON, F_DIRTY, F_DRIVER, F_LEFT_LOCKED, F_REFERENCED, F_SWAPBACKED } from "../store/frames.ts"
import { NO_SLOT } from "../store/ptes.ts"
import type { Vma } from "../store/vmas.ts"
import { isLocked } from "./accessed.ts"
import { flushRange } from "./tlb.ts"
import { ZAP_COWS, zapNow } from "./zap.ts"

/** Puts guard markers on pages `[start, end)` of `v`; what is mapped there goes.
 * @returns OK | ENOMEM no table left
 * @partial guards installed before that stay
 * @locks mmap or VMA, read or stronger
 */
export function installGuards(k: Kernel, v: Vma, start: Vpn, end: Vpn): number {
  const pgd = k.mms.pgd(k.vmas.mmOf(v))
  zapNow(k, v, start, end, ZAP_COWS)
  for (let at: number = start; at < end; at++) {
    const slot = k.ptes.slotAlloc(pgd, at)
    if (slot === NO_SLOT) return ENOMEM
    // UNLIKE LINUX: the marker of a protected page outside anonymous memory is overwritten; Linux zaps it, finds it again and
    // tries for ever.
    k.ptes.set(slot, 0, GUARD)
  }
  return OK
}

/** Takes guard markers off `[start, end)`; other entries are left alone. */
export function removeGuards(k: Kernel, v: Vma, start: Vpn, end: Vpn): void {
  forEachSlot(k, v, start, end, (slot, bits) => {
    if ((bits & GUARD) !== 0) k.ptes.clear(slot)
  })
}

/** MADV_FREE: anonymous pages become clean, and so may be dropped until they are written again; poison goes. Pages that are
 * dirty in themselves and mapped elsewhere too are passed over; what another process has locked is not dropped.
 */
export function freeLazily(k: Kernel, v: Vma, start: Vpn, end: Vpn): void {
  let changed = false
  forEachSlot(k, v, start, end, (slot, bits, pfn) => {
    if ((bits & POISON) !== 0) k.ptes.clear(slot)
    if ((bits & PRESENT) === 0 || (bits & (ZERO | SPECIAL)) !== 0 || !k.frames.has(pfn, F_ANON)) return
    if (k.frames.has(pfn, F_DIRTY)) {
      if (k.frames.mapcount(pfn) !== 1) return
      k.frames.clearFlag(pfn, F_DIRTY)
    }
    // no longer backed: it may go without being kept
    if (k.frames.has(pfn, F_SWAPBACKED) && (k.frames.mapcount(pfn) === 1 || !isLocked(k, pfn)))
      k.frames.clearFlag(pfn, F_SWAPBACKED | F_REFERENCED | F_ACTIVE)
    if ((bits & (DIRTY | YOUNG)) === 0) return
    k.ptes.setBits(slot, bits & ~(DIRTY | YOUNG))
    changed = true
  })
  if (changed) flushRange(k, k.vmas.mmOf(v), start, end)
}

/** MADV_COLD: pages that are mapped here only count as not used. */
export function ageRange(k: Kernel, v: Vma, start: Vpn, end: Vpn): void {
  let changed = false
  forEachSlot(k, v, start, end, (slot, bits, pfn) => {
    if ((bits & PRESENT) === 0 || (bits & (ZERO | SPECIAL)) !== 0 || k.frames.mapcount(pfn) !== 1) return
    k.frames.clearFlag(pfn, F_REFERENCED | F_ACTIVE)
    if ((bits & YOUNG) === 0) return
    k.ptes.setBits(slot, bits & ~YOUNG)
    changed = true
  })
  if (changed) flushRange(k, k.vmas.mmOf(v), start, end)
}

/** The pages of `v` stay locked, though `v` is not any more: nobody takes their lock back.
 * @source mm/mremap.c dontunmap_complete (v6.18), which clears VM_LOCKED and lets the pages be
 */
export function leaveLocked(k: Kernel, v: Vma): void {
  forEachSlot(k, v, k.vmas.startOf(v), k.vmas.endOf(v), (_slot, bits, pfn) => {
    if ((bits & PRESENT) !== 0 && (bits & (ZERO | SPECIAL)) === 0) k.frames.setFlag(pfn, F_LEFT_LOCKED)
  })
}

/** MADV_PAGEOUT on a machine without swap: pages of objects that are mapped here only leave the page tables, and their object
 * too if it is shared memory that nobody has written: those are zeroes anyway. Droppable memory and what was freed
 * lazily and not written since is dropped; other anonymous pages, those of drivers and of locked segments stay. What stays in
 * memory was worth staying, and counts as active.
 * @param o - the object whose pages may go; 0 if the caller may not write it, and anonymous pages only are meant
 * @source mm/vmscan.c shrink_folio_list, __remove_mapping (v6.18)
 */
export function pageOut(k: Kernel, v: Vma, start: Vpn, end: Vpn, o: Obj): void {
  const droppable = (k.vmas.flagsHi(v) & VMH_DROPPABLE) !== 0
  const keepsObject = o === 0 || k.shm.isLocked(o)
  const go: Vpn[] = []
  const pages: Pfn[] = []
  forEachSlot(k, v, start, end, (slot, bits, pfn, vpn) => {
    if ((bits & PRESENT) === 0 || (bits & (ZERO | SPECIAL)) !== 0 || k.frames.mapcount(pfn) !== 1) return
    if (k.frames.has(pfn, F_DRIVER | F_LEFT_LOCKED)) return // on no list that reclaim takes pages from
    const isAnon = k.frames.has(pfn, F_ANON)
    if (!isAnon && keepsObject) return
    const isDirty = (bits & DIRTY) !== 0 || k.frames.has(pfn, F_DIRTY)
    const isKept = isDirty || k.frames.has(pfn, F_SWAPBACKED) // clean pages of regular files would be given back
    k.frames.clearFlag(pfn, F_REFERENCED | F_ACTIVE)
    if (isKept) k.frames.setFlag(pfn, isAnon ? F_ACTIVE | F_SWAPBACKED : F_ACTIVE)
    if (isAnon && isKept && !droppable) return
    k.ptes.setBits(slot, bits & ~YOUNG) // taken away, not given back: that is no use of the page
    go.push(vpn)
    if (!isAnon && k.files.isShmem(o)) pages.push(pfn)
  })
  for (const vpn of go) zapNow(k, v, vpn, vpn + 1, ZAP_COWS)
  for (const pfn of pages) {
    // Only the cache holds it now, or somebody pins it.
    if (!k.frames.has(pfn, F_DIRTY) && k.frames.refcount(pfn) === 1) dropCached(k, o, k.frames.index(pfn))
  }
}

function forEachSlot(
  k: Kernel,
  v: Vma,
  start: Vpn,
  end: Vpn,
  f: (slot: number, bits: number, pfn: number, vpn: Vpn) => void
): void {
  const pgd = k.mms.pgd(k.vmas.mmOf(v))
  const last = leafOf(end - 1)
  for (let l = k.ptes.nextLeaf(pgd, leafOf(start), last + 1); l >= 0; l = k.ptes.nextLeaf(pgd, l + 1, last + 1)) {
    const t = k.ptes.leafTable(pgd, l)
    if (k.ptes.pop[t] === 0) continue
    for (let at = Math.max(start, l * 512), e = Math.min(end, l * 512 + 512); at < e; at++) {
      const slot = (t << 10) | ((at & 511) << 1)
      const bits = k.ptes.bits(slot)
      if (bits !== 0) f(slot, bits, k.ptes.pfn(slot), at)
    }
  }
}
