/** Driver pages into page tables: `vm_insert_page` and its family, and raw frame numbers. Floor 4. */
import { isCowMapping, VM_IO, VM_MAYWRITE, VM_MIXEDMAP, VM_PFNMAP, VM_WRITE } from "../../flags/bits.ts"
import { EBUSY, EFAULT, EINVAL, ENOMEM, ENXIO, type Errno, OK } from "../../flags/Errno.ts"
import { PRESENT, SPECIAL, WRITE, ZERO } from "../../flags/PteFlags.ts"
import { assertVmaStable } from "../area/vma-lock.ts"
import { vmBugOn } from "../base/debug.ts"
import { CHILD_W, MMAP_W } from "../base/stop.ts"
import { T_INSERT } from "../base/trace.ts"
import type { Pfn, Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { F_ANON, F_BUDDY, F_SWAPBACKED, F_TYPED, ZERO_PFN } from "../store/frames.ts"
import { RSS_FILE, RSS_SHMEM } from "../store/mms.ts"
import { NO_SLOT } from "../store/ptes.ts"
import type { Vma } from "../store/vmas.ts"
import { pageProt } from "./prot.ts"

/** Maps frame `pfn` at page `vpn` of `v`. The mapping takes a reference of its own; the caller keeps his.
 * A VMA that is no mixed map yet becomes one, and stays one if a later step fails.
 * @returns OK | EFAULT outside | EINVAL bad frame | ENOMEM no table | EBUSY entry in use
 * @locks mmap or VMA, read or stronger; mmap write if `v` is no mixed map yet
 * @source mm/memory.c vm_insert_page, insert_page_into_pte_locked (v6.18)
 */
export function vmInsertPage(k: Kernel, v: Vma, vpn: Vpn, pfn: Pfn): Errno {
  assertVmaStable(k, v)
  if (!k.vmas.covers(v, vpn)) return EFAULT
  becomeMixedmap(k, v)
  return insertPage(k, v, vpn, pfn)
}

/** Maps `pfns` one after another from `vpn`. `k.out[0]` says how many were not mapped; the earlier ones stay.
 * @returns OK | the errno of the first that failed | EFAULT the range leaves `v`, nothing mapped
 * @partial the pages before the failing one are mapped
 * @locks as `vmInsertPage`
 * @source mm/memory.c vm_insert_pages (v6.18)
 */
export function vmInsertPages(k: Kernel, v: Vma, vpn: Vpn, pfns: ArrayLike<Pfn>): Errno {
  assertVmaStable(k, v)
  k.out[0] = pfns.length
  if (vpn < k.vmas.startOf(v) || vpn + pfns.length > k.vmas.endOf(v)) return EFAULT
  becomeMixedmap(k, v)
  for (let i = 0; i < pfns.length; i++) {
    const r = insertPage(k, v, vpn + i, pfns[i]!)
    if (r !== OK) return r
    k.out[0] = pfns.length - i - 1
  }
  return OK
}

/** Maps the whole of `v` from page `offset` of `pfns` on.
 * @returns OK | ENXIO the offset or the area's size is beyond the array | as `vmInsertPage`
 * @source mm/memory.c __vm_map_pages (v6.18)
 */
export function vmMapPages(k: Kernel, v: Vma, pfns: ArrayLike<Pfn>, offset: number): Errno {
  if (offset >= pfns.length || k.vmas.pages(v) > pfns.length - offset) return ENXIO
  for (let i = 0; i < k.vmas.pages(v); i++) {
    const r = vmInsertPage(k, v, k.vmas.startOf(v) + i, pfns[offset + i]!)
    if (r !== OK) return r
  }
  return OK
}

/** Maps the raw frame number `pfn` at page `vpn`: no reference, no rmap, no RSS. Only in a PFN or mixed map.
 * @returns OK | EFAULT outside | ENOMEM no table | EBUSY entry in use
 * @locks mmap or VMA, read or stronger
 * @source mm/memory.c vmf_insert_pfn, insert_pfn (v6.18)
 */
export function vmfInsertPfn(k: Kernel, v: Vma, vpn: Vpn, pfn: number): Errno {
  assertVmaStable(k, v)
  const lo = k.vmas.flags(v)
  const kind = lo & (VM_PFNMAP | VM_MIXEDMAP)
  if (kind === 0) vmBugOn(`vmf_insert_pfn into area ${v}, which is neither a PFN nor a mixed map`)
  if (kind === (VM_PFNMAP | VM_MIXEDMAP)) vmBugOn(`area ${v} is a PFN and a mixed map at once`)
  if ((lo & VM_PFNMAP) !== 0 && isCowMapping(lo))
    vmBugOn(`vmf_insert_pfn into area ${v}, a PFN map that is copied on write`)
  if (!k.vmas.covers(v, vpn)) return EFAULT
  const slot = k.ptes.slotAlloc(k.mms.pgd(k.vmas.mmOf(v)), vpn)
  if (slot === NO_SLOT) return ENOMEM
  if (!k.ptes.isNone(slot)) return EBUSY
  k.ptes.set(slot, pfn, PRESENT | SPECIAL | pageProt(k, v))
  return OK
}

function becomeMixedmap(k: Kernel, v: Vma): void {
  const lo = k.vmas.flags(v)
  if ((lo & VM_MIXEDMAP) !== 0) return
  if ((k.runs.held[k.runs.current]! & (MMAP_W | CHILD_W)) === 0)
    vmBugOn(`vm_insert_page makes area ${v} a mixed map without the mmap write lock`)
  if ((lo & VM_PFNMAP) !== 0) vmBugOn(`vm_insert_page into area ${v}, which is a PFN map`)
  k.vmas.setFlags(v, lo | VM_MIXEDMAP, k.vmas.flagsHi(v))
}

function insertPage(k: Kernel, v: Vma, vpn: Vpn, pfn: Pfn): Errno {
  const bad = validate(k, v, pfn)
  if (bad !== OK) return bad
  const mm = k.vmas.mmOf(v)
  const slot = k.ptes.slotAlloc(k.mms.pgd(mm), vpn)
  if (slot === NO_SLOT) return ENOMEM
  if (!k.ptes.isNone(slot)) return EBUSY
  if (pfn === ZERO_PFN) {
    k.ptes.set(slot, ZERO_PFN, PRESENT | ZERO | (pageProt(k, v) & ~WRITE))
    return OK
  }
  // reference, mapcount and RSS, before the entry is visible
  k.frames.addMap(pfn)
  k.mms.addRss(mm, k.frames.has(pfn, F_SWAPBACKED) ? RSS_SHMEM : RSS_FILE, 1)
  k.ptes.set(slot, pfn, PRESENT | pageProt(k, v))
  k.trace.point(T_INSERT, mm, vpn, pfn)
  return OK
}

/** validate_page_before_insert: a live page of no special type, not anonymous; the zero page only where it can stay so. */
function validate(k: Kernel, v: Vma, pfn: Pfn): Errno {
  if (!Number.isInteger(pfn) || pfn < 0 || pfn >= k.frames.limit) return EINVAL
  const folio = k.frames.folio(pfn)
  if (k.frames.refcount(folio) === 0 || k.frames.has(folio, F_BUDDY)) return EINVAL
  if (pfn === ZERO_PFN) return zeropageAllowed(k, v) ? OK : EINVAL
  return k.frames.has(folio, F_ANON) || k.frames.has(pfn, F_TYPED) ? EINVAL : OK
}

function zeropageAllowed(k: Kernel, v: Vma): boolean {
  const lo = k.vmas.flags(v)
  if (isCowMapping(lo) || (lo & (VM_WRITE | VM_MAYWRITE)) === 0) return true
  const ops = k.ops[k.vmas.ops(v)]
  return ops?.pfnMkwrite === true && (lo & VM_IO) !== 0
}
