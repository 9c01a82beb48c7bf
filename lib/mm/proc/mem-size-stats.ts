/** The pages of areas by kind, as smaps and smaps_rollup add them up: numbers only. Floor 6.
 *
 * The page of zeroes and raw frame numbers are not resident. This machine has no swap, no huge pages and no KSM: what
 * Linux counts of those is not here, and stands as 0 in the texts.
 * @source fs/proc/task_mmu.c struct mem_size_stats, smap_gather_stats, smaps_account (v6.18)
 */
import { VM_LOCKED } from "../../flags/bits.ts"
import { DIRTY, GUARD, POISON, PRESENT, SPECIAL, UFFD_WP, YOUNG, ZERO } from "../../flags/PteFlags.ts"
import { leafOf, PAGE_SIZE, type Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { F_ANON, F_DIRTY, F_REFERENCED, F_SWAPBACKED } from "../store/frames.ts"
import type { Vma } from "../store/vmas.ts"

/** A page that one entry maps, in 2^-12 bytes (PSS_SHIFT). */
const WHOLE = PAGE_SIZE * 4096

/** Bytes; the proportional sizes, which begin with `pss`, in 2^-12 bytes. */
export class MemSizeStats {
  resident = 0
  sharedClean = 0
  sharedDirty = 0
  privateClean = 0
  privateDirty = 0
  /** Touched through the entry, or marked as used by others. */
  referenced = 0
  anonymous = 0
  /** Given to MADV_FREE and not written since. */
  lazyfree = 0
  pss = 0
  pssAnon = 0
  pssFile = 0
  pssShmem = 0
  pssDirty = 0
  pssLocked = 0
}

/** Whole KiB of bytes. */
export const kibOf = (bytes: number): number => Math.floor(bytes / 1024)
/** Whole KiB of a proportional size. */
export const kibOfPss = (pss: number): number => Math.floor(pss / 2 ** 22)

/** Adds the pages of `v` from page `from` on to `mss`.
 * @locks mmap read
 */
export function gatherStats(k: Kernel, v: Vma, mss: MemSizeStats, from: Vpn = k.vmas.startOf(v)): void {
  const pgd = k.mms.pgd(k.vmas.mmOf(v))
  const end = k.vmas.endOf(v)
  const first = leafOf(from)
  const last = leafOf(end - 1)
  const isLocked = (k.vmas.flags(v) & VM_LOCKED) !== 0
  const ent = k.ptes.ent
  for (let l = k.ptes.nextLeaf(pgd, first, last + 1); l >= 0; l = k.ptes.nextLeaf(pgd, l + 1, last + 1)) {
    const t = k.ptes.leafTable(pgd, l)
    if (k.ptes.pop[t] === 0) continue
    const a = l === first ? from & 511 : 0
    const b = l === last ? ((end - 1) & 511) + 1 : 512
    for (let s = (t << 10) | (a << 1), e = (t << 10) + (b << 1); s < e; s += 2) {
      const bits = ent[s + 1]!
      if ((bits & PRESENT) !== 0 && (bits & (ZERO | SPECIAL)) === 0) account(k, mss, ent[s]!, bits, isLocked)
    }
  }
}

/** One present entry. */
function account(k: Kernel, mss: MemSizeStats, pfn: number, bits: number, isLocked: boolean): void {
  const flags = k.frames.flags(pfn)
  const maps = k.frames.mapcount(pfn)
  const isDirty = (bits & DIRTY) !== 0 || (flags & F_DIRTY) !== 0
  const pss = maps > 1 ? Math.floor(WHOLE / maps) : WHOLE
  mss.resident += PAGE_SIZE
  if ((bits & YOUNG) !== 0 || (flags & F_REFERENCED) !== 0) mss.referenced += PAGE_SIZE
  mss.pss += pss
  if ((flags & F_ANON) !== 0) {
    mss.anonymous += PAGE_SIZE
    mss.pssAnon += pss
    if ((flags & F_SWAPBACKED) === 0 && !isDirty) mss.lazyfree += PAGE_SIZE
  } else if ((flags & F_SWAPBACKED) !== 0) mss.pssShmem += pss
  else mss.pssFile += pss
  if (isLocked) mss.pssLocked += pss
  if (isDirty) {
    mss.pssDirty += pss
    if (maps > 1) mss.sharedDirty += PAGE_SIZE
    else mss.privateDirty += PAGE_SIZE
  } else if (maps > 1) mss.sharedClean += PAGE_SIZE
  else mss.privateClean += PAGE_SIZE
}

/** Calls `f` for each used entry of `v`: page number, frame, entry bits. */
export function forEachPage(k: Kernel, v: Vma, f: (vpn: number, pfn: number, bits: number) => void): void {
  const pgd = k.mms.pgd(k.vmas.mmOf(v))
  const start = k.vmas.startOf(v)
  const end = k.vmas.endOf(v)
  const last = leafOf(end - 1)
  for (let l = k.ptes.nextLeaf(pgd, leafOf(start), last + 1); l >= 0; l = k.ptes.nextLeaf(pgd, l + 1, last + 1)) {
    const t = k.ptes.leafTable(pgd, l)
    if (k.ptes.pop[t] === 0) continue
    for (let vpn = Math.max(start, l * 512), e = Math.min(end, l * 512 + 512); vpn < e; vpn++) {
      const s = (t << 10) | ((vpn & 511) << 1)
      if (!k.ptes.isNone(s)) f(vpn, k.ptes.pfn(s), k.ptes.bits(s))
    }
  }
}

/** What recordings call the state of an entry: `A` an anonymous page mapped once, `a` more often, `F`/`f` a file's or shared
 * memory's, `z` the page of zeroes, `p` a raw frame number, `g` a guard, `m` another marker.
 */
export function pageLetter(k: Kernel, pfn: number, bits: number): string {
  if ((bits & ZERO) !== 0) return "z"
  if ((bits & GUARD) !== 0) return "g"
  if ((bits & PRESENT) === 0 && (bits & (UFFD_WP | POISON)) !== 0) return "m"
  if ((bits & SPECIAL) !== 0) return "p"
  if (k.frames.has(pfn, F_ANON)) return k.frames.mapcount(pfn) === 1 ? "A" : "a"
  return k.frames.mapcount(pfn) === 1 ? "F" : "f"
}

/** One letter a page; `.` none. */
export function pageLetters(k: Kernel, v: Vma): string {
  const start = k.vmas.startOf(v)
  let out = ""
  forEachPage(k, v, (vpn, pfn, bits) => {
    const at = vpn - start
    if (out.length < at) out += ".".repeat(at - out.length)
    out += pageLetter(k, pfn, bits)
  })
  return out + ".".repeat(k.vmas.pages(v) - out.length)
}
