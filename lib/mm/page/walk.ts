/** Reading page tables: one entry, and every level in words. Floor 4. */
import {
  DIRTY,
  EXEC,
  GUARD,
  POISON,
  PRESENT,
  PROTNONE,
  SPECIAL,
  UFFD_WP,
  WRITE,
  YOUNG,
  ZERO
} from "../../flags/PteFlags.ts"
import { leafOf, type Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { Mm } from "../store/mms.ts"
import { NO_SLOT } from "../store/ptes.ts"

/** Frame that page `vpn` of `mm` is mapped to: -1 if no entry translates (the zero page is frame 0). */
export function follow(k: Kernel, mm: Mm, vpn: Vpn): number {
  const s = k.ptes.slot(k.mms.pgd(mm), vpn)
  return s !== NO_SLOT && k.ptes.isPresent(s) && (k.ptes.bits(s) & SPECIAL) === 0 ? k.ptes.pfn(s) : -1
}

/** Entry bits of page `vpn` of `mm`; 0 for a none entry or a missing level. */
export function bitsAt(k: Kernel, mm: Mm, vpn: Vpn): number {
  const s = k.ptes.slot(k.mms.pgd(mm), vpn)
  return s === NO_SLOT ? 0 : k.ptes.bits(s)
}

/** The walk to page `vpn`, a line a level: index, child table or entry. Stops where a level is missing.
 *
 *     pgd[ 64] -> table 2
 *     pud[  0] -> table 3
 *     pmd[  0] -> table 4
 *     pte[ 16] -> frame 7, present write dirty young
 */
export function dumpWalk(k: Kernel, mm: Mm, vpn: Vpn): string[] {
  const leaf = leafOf(vpn)
  const out: string[] = []
  let t = k.mms.pgd(mm)
  const levels = [
    ["pgd", leaf >>> 18],
    ["pud", (leaf >>> 9) & 511],
    ["pmd", leaf & 511]
  ] as const
  for (const [name, i] of levels) {
    const child = k.ptes.ent[(t << 10) | (i << 1)]!
    out.push(`${name}[${String(i).padStart(3)}] -> ${child === 0 ? "none" : `table ${child}`}`)
    if (child === 0) return out
    t = child
  }
  const i = vpn & 511
  const s = (t << 10) | (i << 1)
  const bits = k.ptes.bits(s)
  out.push(`pte[${String(i).padStart(3)}] -> ${entryText(k.ptes.pfn(s), bits)}`)
  return out
}

function entryText(pfn: number, bits: number): string {
  if (bits === 0) return "none"
  if ((bits & GUARD) !== 0) return "guard"
  if ((bits & POISON) !== 0) return "poison"
  if ((bits & PRESENT) === 0) return "no page, writes are tracked"
  const words = [
    (bits & PRESENT) !== 0 ? "present" : "",
    (bits & WRITE) !== 0 ? "write" : "",
    (bits & EXEC) !== 0 ? "exec" : "",
    (bits & DIRTY) !== 0 ? "dirty" : "",
    (bits & YOUNG) !== 0 ? "young" : "",
    (bits & PROTNONE) !== 0 ? "protnone" : "",
    (bits & UFFD_WP) !== 0 ? "uffd-wp" : "",
    (bits & SPECIAL) !== 0 ? "special" : ""
  ].filter((w) => w !== "")
  return `${(bits & ZERO) !== 0 ? "zero page" : (bits & SPECIAL) !== 0 ? `pfn ${pfn}` : `frame ${pfn}`}, ${words.join(" ")}`
}
