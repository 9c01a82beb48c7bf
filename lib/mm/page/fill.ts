/** Filling an empty entry from an object: the page itself, a private copy, and its neighbours along. Floor 4.
 * @source mm/memory.c do_read_fault, do_cow_fault, do_shared_fault, do_fault_around (v6.18)
 */
import { VM_SHARED, VM_UFFD_WP, VMH_UFFD_MINOR } from "../../flags/bits.ts"
import {
  type Access,
  FAULT_MAPERR,
  FAULT_OK,
  FAULT_OOM,
  FAULT_SIGBUS,
  READ as READING,
  WRITE as WRITING
} from "../../flags/FaultFlags.ts"
import { DIRTY, PRESENT, WRITE, YOUNG } from "../../flags/PteFlags.ts"
import { T_HOOK, T_MAPPED, T_OOM, T_READ, T_SEGV, T_SIGBUS } from "../area/object.ts"
import { hasHook } from "../area/ops.ts"
import { anonVmaPrepare } from "../area/rmap.ts"
import { H_FAULT, H_PAGE_MKWRITE } from "../base/stop.ts"
import { PMD_PAGES, type Pfn, type PgOff, type Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { F_DIRTY, F_SWAPBACKED, F_UPTODATE } from "../store/frames.ts"
import { RSS_FILE, RSS_SHMEM } from "../store/mms.ts"
import { NO_SLOT } from "../store/ptes.ts"
import type { Vma } from "../store/vmas.ts"
import { mapOwnPage } from "./anon.ts"
import { FAULT_MKWRITE, FAULT_NEED_HOOK, FAULT_NEED_PAGE } from "./need.ts"
import { pageProt } from "./prot.ts"
import { objectUserfault } from "./userfault.ts"

/** Cached pages that one read fault may map (fault_around_bytes). */
const AROUND = 16

/** Fills the entry `slot` of page `vpn`, empty or a marker of write protection, from the object of `v`.
 * @returns FAULT_OK | FAULT_SIGBUS | FAULT_OOM | FAULT_NEED_PAGE | FAULT_NEED_HOOK | FAULT_MKWRITE | FAULT_USERFAULT
 */
export function fillFromObject(k: Kernel, v: Vma, vpn: Vpn, slot: number, access: Access): number {
  const write = access === WRITING
  const ops = k.ops[k.vmas.ops(v)]
  const pgoff = k.vmas.pgoff(v) + (vpn - k.vmas.startOf(v))
  const shared = (k.vmas.flags(v) & VM_SHARED) !== 0
  if (write && !shared && !anonVmaPrepare(k, v)) return FAULT_OOM
  if (!write && ops?.mapsAround === true && mayMapAround(k, v)) {
    mapAround(k, v, vpn, pgoff)
    if (k.ptes.isPresent(slot)) {
      k.ptes.setBits(slot, k.ptes.bits(slot) | YOUNG)
      return FAULT_OK
    }
  }
  if (k.vmas.uffd(v) !== 0) {
    const asked = objectUserfault(k, v, pgoff, write)
    if (asked !== FAULT_OK) return asked
  }
  const p =
    ops?.translate === undefined
      ? hasHook(k, v, H_FAULT)
        ? T_HOOK
        : -1
      : ops.translate(k, v, pgoff, write && !shared ? READING : access)
  if (p < 0) {
    if (p === T_MAPPED) {
      if (k.ptes.isPresent(slot)) k.ptes.setBits(slot, k.ptes.bits(slot) | YOUNG)
      return FAULT_OK
    }
    k.need[0] = k.vmas.obj(v)
    k.need[1] = pgoff
    if (p === T_SEGV) return FAULT_MAPERR
    return p === T_READ ? FAULT_NEED_PAGE : p === T_HOOK ? FAULT_NEED_HOOK : p === T_OOM ? FAULT_OOM : FAULT_SIGBUS
  }
  return finishFill(k, v, vpn, slot, p, write)
}

/** Maps frame `p`, the object's answer for page `vpn`, or a private copy of it, at the empty entry `slot`. */
export function finishFill(k: Kernel, v: Vma, vpn: Vpn, slot: number, p: Pfn, write: boolean): number {
  if (write && (k.vmas.flags(v) & VM_SHARED) === 0) return mapPrivateCopy(k, v, vpn, slot, p)
  if (write && hasHook(k, v, H_PAGE_MKWRITE)) {
    setObjectPage(k, v, slot, p, YOUNG)
    return FAULT_MKWRITE
  }
  setObjectPage(k, v, slot, p, write ? YOUNG | WRITE | DIRTY : YOUNG)
  if (write) k.frames.setFlag(p, F_DIRTY)
  return FAULT_OK
}

function mapPrivateCopy(k: Kernel, v: Vma, vpn: Vpn, slot: number, p: Pfn): number {
  const q = k.frames.alloc()
  if (q === 0) return FAULT_OOM
  k.frames.copy(q, p)
  mapOwnPage(k, v, vpn, slot, q)
  return FAULT_OK
}

/** Maps frame `p` at page `vpn` of `v` ahead of any access, unless something is there; `writable` where nobody wants to be
 * asked again before a write. Allocates no table.
 * @locks mmap or VMA, read or stronger
 */
export function mapAhead(k: Kernel, v: Vma, vpn: Vpn, p: Pfn, writable: boolean): void {
  const slot = k.ptes.slot(k.mms.pgd(k.vmas.mmOf(v)), vpn)
  if (slot !== NO_SLOT && k.ptes.isNone(slot)) setObjectPage(k, v, slot, p, writable ? WRITE : 0)
}

/** Maps pages `[vpn, vpn + pages)` of `v`, all of one leaf table, to pages of `o` from `index` on. What is mapped already
 * stays; so does page `but`. The table may be missing: an owner that answers late finds it gone.
 * @returns the frame of page `but`, if it is one of them | T_MAPPED | T_SIGBUS `o` lacks a page | T_OOM no table is left
 * @partial the pages before the one that is missing are mapped
 * @locks mmap or VMA, read or stronger
 */
export function mapRun(
  k: Kernel,
  v: Vma,
  vpn: Vpn,
  pages: number,
  o: number,
  index: PgOff,
  writable: boolean,
  but: Vpn
): number {
  const mm = k.vmas.mmOf(v)
  const pgd = k.mms.pgd(mm)
  let slot = k.ptes.slot(pgd, vpn)
  if (slot === NO_SLOT) slot = k.ptes.slotAlloc(pgd, vpn)
  if (slot === NO_SLOT) return T_OOM
  const bits = PRESENT | (writable ? WRITE : 0) | pageProt(k, v)
  let r: number = T_MAPPED
  for (let i = 0; i < pages; i++, slot += 2) {
    const p = k.xarray.load(o, index + i)
    if (p === 0) return T_SIGBUS
    if (vpn + i === but) r = p
    if (vpn + i === but || !k.ptes.isNone(slot)) continue
    k.frames.addMap(p)
    k.mms.addRss(mm, rssKind(k, p), 1)
    k.ptes.set(slot, p, bits)
  }
  return r
}

const rssKind = (k: Kernel, p: Pfn): number => (k.frames.has(p, F_SWAPBACKED) ? RSS_SHMEM : RSS_FILE)

function setObjectPage(k: Kernel, v: Vma, slot: number, p: Pfn, bits: number): void {
  k.frames.addMap(p)
  k.mms.addRss(k.vmas.mmOf(v), rssKind(k, p), 1)
  k.ptes.set(slot, p, PRESENT | bits | pageProt(k, v))
}

/** Pages whose first touch or first write somebody wants to hear of are not mapped along.
 * @source include/linux/userfaultfd_k.h uffd_disable_fault_around (v6.18)
 */
const mayMapAround = (k: Kernel, v: Vma): boolean =>
  (k.vmas.flags(v) & VM_UFFD_WP) === 0 && (k.vmas.flagsHi(v) & VMH_UFFD_MINOR) === 0

/** Maps the cached, uptodate pages of the window around `vpn` whose entries are empty; allocates none.
 *
 * The window has 16 pages of virtual address, aligned; where the area's start clips it, it slides up. It ends with the
 * area, the leaf table, or the object.
 */
function mapAround(k: Kernel, v: Vma, vpn: Vpn, pgoff: number): void {
  const o = k.vmas.obj(v)
  const first = Math.max(vpn - (vpn % AROUND), k.vmas.startOf(v), vpn - (vpn % PMD_PAGES))
  const beyondFile = Math.ceil(k.files.size[o]! / 4096)
  const end = Math.min(first + AROUND, k.vmas.endOf(v), vpn - (vpn % PMD_PAGES) + PMD_PAGES, vpn + (beyondFile - pgoff))
  for (let at = first; at < end; at++) {
    const p = k.xarray.load(o, pgoff + (at - vpn))
    if (p === 0 || !k.frames.has(p, F_UPTODATE)) continue
    const s = k.ptes.slot(k.mms.pgd(k.vmas.mmOf(v)), at)
    if (k.ptes.isNone(s)) setObjectPage(k, v, s, p, YOUNG) // x86 does not map them old (arch_wants_old_prefaulted_pte)
  }
}
