/** mmap and mremap of huge pages: lengths and places are multiples of them. Floor 6.
 * @source mm/mmap.c ksys_mmap_pgoff; fs/hugetlbfs/inode.c hugetlb_get_unmapped_area (v6.18)
 */
import { EINVAL, ENOMEM, OK } from "../../flags/Errno.ts"
import * as MAP from "../../flags/MapFlags.ts"
import { TASK_PAGES, type Vpn, WORD_PAGES } from "../base/units.ts"

/** Pages that a regular file can have: offset and length together. @source mm/mmap.c file_mmap_size_max (v6.18) */
export const MAX_FILE_PAGES = 2 ** 51 - 1

/** The size of a huge page that flags ask for: its logarithm, 0 the usual one. */
export const hugeLog = (flags: number): number => (flags >>> MAP.HUGE_SHIFT) & 0x3f

/** Length in pages, rounded up to huge pages of `unit`; 0 where that leaves the 64 bits. */
export function hugeLength(pages: number, unit: number): number {
  const rounded = Math.ceil(pages / unit) * unit
  return rounded >= WORD_PAGES ? 0 : rounded
}

/** Length and fixed place must be multiples of the huge page.
 * @returns OK | EINVAL | ENOMEM longer than user space
 */
export function hugeAddress(flags: number, hint: Vpn, aligned: boolean, pages: number, unit: number): number {
  if (pages > TASK_PAGES) return ENOMEM
  if (pages % unit !== 0) return EINVAL
  return (flags & MAP.FIXED) !== 0 && (!aligned || hint % unit !== 0) ? EINVAL : OK
}

/** A move of huge pages: they move and shrink whole, and do not grow. Rounds the lengths up.
 * @returns may it be done?
 * @source mm/mremap.c align_hugetlb (v6.18)
 */
export function alignRemap(
  q: { readonly at: Vpn; readonly to: Vpn; oldLen: number; newLen: number },
  unit: number
): boolean {
  q.oldLen = Math.ceil(q.oldLen / unit) * unit
  q.newLen = Math.ceil(q.newLen / unit) * unit
  return q.at % unit === 0 && q.to % unit === 0 && q.newLen <= q.oldLen
}
