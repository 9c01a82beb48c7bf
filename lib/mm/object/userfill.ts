/** Pages that a userfaultfd's user puts into an address space: copied, zeroed, found in the cache, poisoned. Floor 5.
 * @source mm/userfaultfd.c mfill_atomic_pte_copy, _zeropage, _continue, _poison, mfill_atomic_install_pte (v6.18)
 */
import { VM_SHARED, VM_WRITE } from "../../flags/bits.ts"
import { EEXIST, EFAULT, EINVAL, ENOMEM, OK } from "../../flags/Errno.ts"
import { DIRTY, POISON, PRESENT, UFFD_WP, WRITE, ZERO } from "../../flags/PteFlags.ts"
import { dropCached } from "../area/object.ts"
import { OPS_SHMEM } from "../area/ops.ts"
import type { Pfn, PgOff, Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { ZERO_PFN } from "../store/frames.ts"
import { RSS_ANON, RSS_SHMEM } from "../store/mms.ts"
import { NO_SLOT } from "../store/ptes.ts"
import type { Vma } from "../store/vmas.ts"
import { anonIndex } from "../page/anon.ts"
import { pageProt } from "../page/prot.ts"
import { shmemAddPage } from "./shmem.ts"

const pgoffOf = (k: Kernel, v: Vma, vpn: Vpn): PgOff => k.vmas.pgoff(v) + (vpn - k.vmas.startOf(v))

/** Does page `vpn` of `v` lie beyond the end of its file?
 * @source mm/userfaultfd.c mfill_file_over_size (v6.18)
 */
function isBeyond(k: Kernel, v: Vma, vpn: Vpn): boolean {
  const f = k.vmas.file(v)
  if (f === 0) return false
  const o = k.files.obj(f) // of /dev/zero: its inode, of no bytes, though the area is anonymous
  return pgoffOf(k, v, vpn) >= Math.ceil(k.files.size[o]! / 4096)
}

/** The entry that may be filled: nothing there, or a marker of any kind.
 * @returns slot | EFAULT beyond the file | EEXIST | ENOMEM
 */
function freeSlot(k: Kernel, v: Vma, vpn: Vpn, overMarkers: boolean): number {
  const slot = k.ptes.slotAlloc(k.mms.pgd(k.vmas.mmOf(v)), vpn)
  if (slot === NO_SLOT) return ENOMEM
  if (isBeyond(k, v, vpn)) return EFAULT
  const bits = k.ptes.bits(slot)
  return bits === 0 || (overMarkers && (bits & PRESENT) === 0) ? slot : EEXIST
}

/** Bits of the entry for frame `p`: dirty, writable if the area is, and the page is not a shared one of a private area. */
function entryOf(k: Kernel, v: Vma, cached: boolean, wp: boolean): number {
  const lo = k.vmas.flags(v)
  const writable = (lo & VM_WRITE) !== 0 && (!cached || (lo & VM_SHARED) !== 0) && !wp
  return PRESENT | DIRTY | (pageProt(k, v) & ~WRITE) | (writable ? WRITE : 0) | (wp ? UFFD_WP : 0)
}

/** Copies the page `from` to page `vpn` of `v`: a page of its own, or of the object if it is shared.
 * @returns OK | EEXIST | EFAULT | ENOMEM
 * @locks mmap or VMA, read or stronger; `v` has an anon_vma if it is private
 */
export function fillCopy(k: Kernel, v: Vma, vpn: Vpn, from: Uint8Array, wp: boolean): number {
  return (k.vmas.flags(v) & VM_SHARED) !== 0 ? fillShmem(k, v, vpn, from, wp) : fillAnon(k, v, vpn, from, wp)
}

function fillAnon(k: Kernel, v: Vma, vpn: Vpn, from: Uint8Array, wp: boolean): number {
  const p = k.frames.alloc()
  if (p === 0) return ENOMEM
  k.frames.write(p, from)
  const slot = freeSlot(k, v, vpn, true)
  if (slot < 0) {
    k.frames.put(p)
    return slot
  }
  k.frames.setAnon(p, k.vmas.anon(v), anonIndex(k, v, vpn))
  k.mms.addRss(k.vmas.mmOf(v), RSS_ANON, 1)
  k.ptes.set(slot, p, entryOf(k, v, false, wp))
  return OK
}

function fillShmem(k: Kernel, v: Vma, vpn: Vpn, from: Uint8Array | undefined, wp: boolean): number {
  const o = k.vmas.obj(v)
  const pgoff = pgoffOf(k, v, vpn)
  if (isBeyond(k, v, vpn)) return EFAULT
  if (k.xarray.load(o, pgoff) !== 0) return EEXIST
  const p = shmemAddPage(k, o, pgoff, k.vmas.mmOf(v))
  if (p < 0) return ENOMEM
  if (from !== undefined) k.frames.bytes.set(from, p * 4096)
  const r = mapCached(k, v, vpn, p, wp)
  if (r < 0) dropCached(k, o, pgoff)
  return r
}

function mapCached(k: Kernel, v: Vma, vpn: Vpn, p: Pfn, wp: boolean): number {
  const slot = freeSlot(k, v, vpn, true)
  if (slot < 0) return slot
  k.frames.addMap(p)
  k.mms.addRss(k.vmas.mmOf(v), RSS_SHMEM, 1)
  k.ptes.set(slot, p, entryOf(k, v, true, wp))
  return OK
}

/** Maps the page of zeroes at page `vpn` of the private area `v`; over nothing, not even a marker.
 * @returns OK | EEXIST | EFAULT | ENOMEM
 */
export function fillZero(k: Kernel, v: Vma, vpn: Vpn): number {
  if ((k.vmas.flags(v) & VM_SHARED) !== 0) return fillShmem(k, v, vpn, undefined, false)
  const slot = freeSlot(k, v, vpn, false)
  if (slot < 0) return slot
  k.ptes.set(slot, ZERO_PFN, PRESENT | ZERO | (pageProt(k, v) & ~WRITE))
  return OK
}

/** Maps the page that the object behind `v` has for page `vpn`.
 * @returns OK | EINVAL no shared memory, or beyond its end | EFAULT the object has none | EEXIST | ENOMEM
 */
export function fillContinue(k: Kernel, v: Vma, vpn: Vpn, wp: boolean): number {
  if (k.vmas.ops(v) !== OPS_SHMEM) return EINVAL
  const o = k.vmas.obj(v)
  const pgoff = pgoffOf(k, v, vpn)
  if (pgoff * 4096 >= k.files.size[o]!) return EINVAL
  const p = k.xarray.load(o, pgoff)
  return p === 0 ? EFAULT : mapCached(k, v, vpn, p, wp)
}

/** Marks page `vpn` of `v` as poisoned: whoever touches it gets SIGBUS.
 * @returns OK | EEXIST anything there | EFAULT | ENOMEM
 */
export function fillPoison(k: Kernel, v: Vma, vpn: Vpn): number {
  const slot = freeSlot(k, v, vpn, false)
  if (slot < 0) return slot
  k.ptes.set(slot, 0, POISON)
  return OK
}
