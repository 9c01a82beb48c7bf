/** What /proc/PID/smaps says of an area: its flag letters, its pages by kind. Floor 6.
 * @source fs/proc/task_mmu.c show_smap_vma_flags, smaps_account (v6.18)
 */
import { VM_LOCKED } from "../../flags/bits.ts"
import { DIRTY, GUARD, PRESENT, SPECIAL, ZERO } from "../../flags/PteFlags.ts"
import { leafOf } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { F_ANON, F_DIRTY } from "../store/frames.ts"
import type { Vma } from "../store/vmas.ts"

/** Letters by bit, in the order in which they are printed. */
const LOW: readonly (readonly [number, string])[] = [
  [0, "rd"],
  [1, "wr"],
  [2, "ex"],
  [3, "sh"],
  [4, "mr"],
  [5, "mw"],
  [6, "me"],
  [7, "ms"],
  [8, "gd"],
  [9, "um"],
  [10, "pf"],
  [11, "gu"],
  [12, "uw"],
  [13, "lo"],
  [14, "io"],
  [15, "sr"],
  [16, "rr"],
  [17, "dc"],
  [18, "de"],
  [19, "lf"],
  [20, "ac"],
  [21, "nr"],
  [22, "ht"],
  [23, "sf"],
  [25, "wf"],
  [26, "dd"],
  [27, "sd"],
  [28, "mm"],
  [29, "hg"],
  [30, "nh"],
  [31, "mg"]
]
const HIGH: readonly (readonly [number, string])[] = [
  [40 - 32, "dp"],
  [41 - 32, "ui"],
  [42 - 32, "sl"]
]

/** The VmFlags line's letters, separated by single spaces, no space at the end. */
export function flagLetters(lo: number, hi: number): string {
  let out = ""
  for (const [bit, letters] of LOW) if (((lo >>> bit) & 1) === 1) out += ` ${letters}`
  for (const [bit, letters] of HIGH) if (((hi >>> bit) & 1) === 1) out += ` ${letters}`
  return out.slice(1)
}

/** Sizes in KiB. */
export interface Smap {
  rss: number
  pss: number
  sharedClean: number
  sharedDirty: number
  privateClean: number
  privateDirty: number
  anonymous: number
  locked: number
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

/** Adds up the resident pages of `v`. The zero page and raw frame numbers are not resident. */
export function smapOf(k: Kernel, v: Vma): Smap {
  const s: Smap = {
    rss: 0,
    pss: 0,
    sharedClean: 0,
    sharedDirty: 0,
    privateClean: 0,
    privateDirty: 0,
    anonymous: 0,
    locked: 0
  }
  let pss = 0 // 2^-12 bytes
  forEachPage(k, v, (_vpn, pfn, bits) => {
    if ((bits & PRESENT) === 0 || (bits & (ZERO | SPECIAL)) !== 0) return
    const maps = k.frames.mapcount(pfn)
    const dirty = (bits & DIRTY) !== 0 || k.frames.has(pfn, F_DIRTY)
    s.rss += 4
    if (k.frames.has(pfn, F_ANON)) s.anonymous += 4
    pss += maps > 1 ? Math.floor(2 ** 24 / maps) : 2 ** 24
    if (maps > 1) {
      if (dirty) s.sharedDirty += 4
      else s.sharedClean += 4
    } else if (dirty) s.privateDirty += 4
    else s.privateClean += 4
  })
  s.pss = Math.floor(pss / 2 ** 22)
  if ((k.vmas.flags(v) & VM_LOCKED) !== 0) s.locked = s.pss
  return s
}

/** One letter a page, as the recordings write them: `.` none, `A` anonymous mapped once, `a` more often, `F`/`f` a file's
 * or shared memory's, `z` the zero page,
 * `g` a guard.
 */
export function pageLetters(k: Kernel, v: Vma): string {
  const start = k.vmas.startOf(v)
  let out = ""
  forEachPage(k, v, (vpn, pfn, bits) => {
    const at = vpn - start
    if (out.length < at) out += ".".repeat(at - out.length)
    if ((bits & ZERO) !== 0) out += "z"
    else if ((bits & GUARD) !== 0) out += "g"
    else if ((bits & SPECIAL) !== 0) out += "p"
    else if (k.frames.has(pfn, F_ANON)) out += k.frames.mapcount(pfn) === 1 ? "A" : "a"
    else out += k.frames.mapcount(pfn) === 1 ? "F" : "f"
  })
  return out + ".".repeat(k.vmas.pages(v) - out.length)
}
