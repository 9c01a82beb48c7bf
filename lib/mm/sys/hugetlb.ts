/** MAP_HUGETLB without a file, on a machine whose pool of huge pages is empty: what fails when. Floor 6.
 * @source mm/mmap.c ksys_mmap_pgoff; fs/hugetlbfs/inode.c hugetlb_get_unmapped_area, hugetlbfs_file_mmap (v6.18)
 */
import { EINVAL, ENOMEM, EOPNOTSUPP, EOVERFLOW, OK } from "../../flags/Errno.ts"
import * as MAP from "../../flags/MapFlags.ts"
import { PMD_PAGES, TASK_PAGES, type Vpn, WORD_PAGES } from "../base/units.ts"

/** Pages that a regular file can have: offset and length together. @source mm/mmap.c file_mmap_size_max (v6.18) */
export const MAX_FILE_PAGES = 2 ** 51 - 1

/** Length in pages, rounded up to the huge page.
 * @returns pages | EINVAL no such size, or a length that wraps
 */
export function hugeLength(flags: number, pages: number): number {
  const log = (flags >>> MAP.HUGE_SHIFT) & 0x3f
  if (log !== 0 && log !== 21 && log !== 30) return EINVAL
  const unit = log === 30 ? PMD_PAGES * PMD_PAGES : PMD_PAGES
  const rounded = Math.ceil(pages / unit) * unit
  return rounded === 0 || rounded >= WORD_PAGES ? EINVAL : rounded
}

/** Where MAP_FIXED puts it must be a multiple of the huge page.
 * @returns OK | EINVAL | ENOMEM longer than user space
 */
export function hugeAddress(flags: number, hint: Vpn, aligned: boolean, pages: number): number {
  if (pages > TASK_PAGES) return ENOMEM
  return (flags & MAP.FIXED) !== 0 && (!aligned || hint % PMD_PAGES !== 0) ? EINVAL : OK
}

/** do_mmap's checks of a file, for the nameless hugetlb file.
 * @returns OK | EOVERFLOW | EINVAL | EOPNOTSUPP
 */
export function hugeFile(flags: number, pgoff: number, pages: number): number {
  const type = flags & MAP.TYPE
  if (pgoff + pages > MAX_FILE_PAGES) return EOVERFLOW
  if (type === MAP.SHARED_VALIDATE && (flags & ~MAP.LEGACY_MASK) !== 0) return EOPNOTSUPP
  if (type !== MAP.SHARED && type !== MAP.SHARED_VALIDATE && type !== MAP.PRIVATE) return EINVAL
  return (flags & MAP.GROWSDOWN) !== 0 ? EINVAL : OK
}

/** The file's mmap hook; what a MAP_FIXED replaces is gone by then.
 * UNLIKE LINUX: MAP_NORESERVE does not get an area whose every access is a SIGBUS.
 * @returns EINVAL the offset is no multiple of the huge page | ENOMEM the pool is empty
 */
export const hugeHook = (pgoff: number): number => (pgoff % PMD_PAGES !== 0 ? EINVAL : ENOMEM)
