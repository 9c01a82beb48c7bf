/** Where a new area goes: get_unmapped_area. Floor 3. Everything in pages.
 *
 *     user space  [lsmMinAddr ......... mmapBase | ......... TASK_PAGES)
 *                  searches end up here ^ top-down from the base; bottom-up above TASK/3 when that is full
 *
 * In the legacy layout (MMAP_BOTTOM_UP) all searches go up from the base, which is TASK/3.
 *
 * @source mm/mmap.c vm_unmapped_area_topdown, arch/x86/kernel/sys_x86_64.c, mm/huge_memory.c thp_get_unmapped_area (v6.18)
 */
import { VM_GROWSDOWN } from "../../flags/bits.ts"
import { EINVAL, ENOMEM, EPERM } from "../../flags/Errno.ts"
import { ABOVE4G, FIXED, MAP_32BIT, SHARED } from "../../flags/MapFlags.ts"
import {
  PAGE_SIZE,
  PAGES_4G,
  type PgOff,
  PMD_PAGES,
  STACK_GUARD_PAGES,
  TASK_PAGES,
  type Vpn,
  WORD_PAGES
} from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { FILE_REGULAR, FILE_ZERO, type File } from "../store/files.ts"
import { MMAP_BASE, MMAP_BOTTOM_UP, type Mm } from "../store/mms.ts"
import { CAP_SYS_RAWIO } from "../store/tasks.ts"
import type { Vma } from "../store/vmas.ts"
import { taskFor } from "./mm.ts"

const LOW_32BIT = 0x40000
const HIGH_32BIT = 0x80000
/** Bottom-up searches start here: a third of user space. */
export const LEGACY_BASE = Math.ceil(TASK_PAGES / 3)

/** First page that must stay free below `v`: its start, less the guard gap if it grows down. */
export function startGap(k: Kernel, v: Vma): Vpn {
  const s = k.vmas.startOf(v)
  return (k.vmas.flags(v) & VM_GROWSDOWN) === 0 ? s : Math.max(0, s - STACK_GUARD_PAGES)
}

/** First page of a place for `len` pages: the hint if it is free, else by search.
 * @param hint - page number
 * @param offset - bytes by which the register it came from lay above that page
 * @param file - what will be mapped; 0 anonymous memory
 * @param pgoff - page offset within the file
 * @returns page number | ENOMEM no room | EINVAL FIXED and unaligned | EPERM below the minimum address | the address itself
 *   where a fixed one is among the last 4095 bytes of 64 bits, and so looks like an errno
 * @locks mmap write
 */
export function getUnmappedArea(
  k: Kernel,
  mm: Mm,
  hint: Vpn,
  offset: number,
  len: number,
  flags: number,
  file: File,
  pgoff: PgOff
): number {
  if (len > TASK_PAGES) return ENOMEM
  const over = (flags & FIXED) !== 0 ? offset : 0
  if (over !== 0 && hint === WORD_PAGES - 1) return over - PAGE_SIZE // IS_ERR_VALUE(addr)
  const at = place(k, mm, hint, len, flags, file, pgoff)
  if (at < 0) return at
  if (at + (over !== 0 ? 1 : 0) > TASK_PAGES - len) return ENOMEM
  if (over !== 0) return EINVAL
  if (at * 4096 < k.config.mmapMinAddr && !k.tasks.capable(taskFor(k, mm), CAP_SYS_RAWIO)) return EPERM
  return at
}

function place(k: Kernel, mm: Mm, hint: Vpn, len: number, flags: number, file: File, pgoff: PgOff): number {
  if ((flags & FIXED) !== 0) return hint
  const unit = file === 0 ? 0 : k.files.unit(k.files.obj(file))
  if (unit !== 0) return placeHuge(k, mm, Math.ceil(hint / unit) * unit, len, flags, unit)
  if ((len >= PMD_PAGES || pgoff >= LAST_BLOCK) && isForHuge(k, hint, len, flags, file, pgoff)) {
    const at = placeAligned(k, mm, hint, len, flags, file === 0 ? 0 : pgoff)
    if (at >= 0) return at
  }
  return unaligned(k, mm, hint, len, flags)
}

/** Huge pages: the hint if it is free, else a multiple of `unit` in a place that has room for one whatever its start. */
function placeHuge(k: Kernel, mm: Mm, hint: Vpn, len: number, flags: number, unit: number): number {
  const near = hint === 0 ? ENOMEM : unaligned(k, mm, hint, len, flags)
  if (near === hint) return near
  const at = unaligned(k, mm, 0, len + unit - 1, flags)
  return at < 0 ? at : Math.ceil(at / unit) * unit
}

/** Is a place wanted at which huge pages would fit? For private anonymous memory that is a multiple of 2 MiB and has no
 * hint; for regular files and the private zero device where a whole block of 2 MiB of the file is mapped.
 * @source mm/mmap.c __get_unmapped_area; fs/ext4/file.c; drivers/char/mem.c get_unmapped_area_zero (v6.18)
 */
function isForHuge(k: Kernel, hint: Vpn, len: number, flags: number, file: File, pgoff: PgOff): boolean {
  if (file === 0) return (flags & SHARED) === 0 && hint === 0 && len % PMD_PAGES === 0
  const kind = k.files.kind(file)
  if (kind !== FILE_REGULAR && (kind !== FILE_ZERO || (flags & SHARED) !== 0)) return false
  if (pgoff < LAST_BLOCK) return Math.ceil(pgoff / PMD_PAGES) * PMD_PAGES + PMD_PAGES <= pgoff + len
  const end = asOffset(pgoff + len)
  const block = asOffset(Math.ceil(pgoff / PMD_PAGES) * PMD_PAGES)
  return end > block && end - block >= PMD_PAGES && pgoff + len + PMD_PAGES < 2 * MOST_OFFSET
}

/** Pages in 2^63 bytes: where offsets, which have a sign, become negative. */
const MOST_OFFSET = 2 ** 51
/** From here on the next block's offset is negative: it counts as far below, and what is mapped as reaching beyond it. */
const LAST_BLOCK = MOST_OFFSET - PMD_PAGES + 1

/** Pages of a 64-bit offset in bytes, as a signed number. */
const asOffset = (pages: number): number => (pages >= MOST_OFFSET ? pages - 2 * MOST_OFFSET : pages)

/** Room for 2 MiB more is looked for, and in it the place where address and file offset agree modulo 2 MiB. */
function placeAligned(k: Kernel, mm: Mm, hint: Vpn, len: number, flags: number, pgoff: PgOff): number {
  const at = unaligned(k, mm, hint, len + PMD_PAGES, flags)
  if (at < 0 || at === hint) return at
  const off = (((pgoff - at) % PMD_PAGES) + PMD_PAGES) % PMD_PAGES
  return off === 0 && k.mms.stat(mm, MMAP_BOTTOM_UP) === 0 ? at + PMD_PAGES : at + off
}

function unaligned(k: Kernel, mm: Mm, hint: Vpn, len: number, flags: number): number {
  if (len > TASK_PAGES) return ENOMEM
  if ((flags & MAP_32BIT) !== 0) return bottomUp(k, mm, hint, len, LOW_32BIT, HIGH_32BIT)
  if (k.mms.stat(mm, MMAP_BOTTOM_UP) !== 0) return bottomUp(k, mm, hint, len, k.mms.stat(mm, MMAP_BASE), TASK_PAGES)
  if (hint !== 0 && hint + len <= TASK_PAGES) {
    const v = k.maple.find(mm, hint)
    if (v === 0 || hint + len <= startGap(k, v)) return hint
  }
  const low = Math.max(lowest(k), (flags & ABOVE4G) !== 0 ? PAGES_4G : 1)
  const at = searchDown(k, mm, len, low, k.mms.stat(mm, MMAP_BASE))
  return at >= 0 ? at : bottomUp(k, mm, hint, len, LEGACY_BASE, TASK_PAGES)
}

function bottomUp(k: Kernel, mm: Mm, hint: Vpn, len: number, begin: Vpn, end: Vpn): number {
  if (len > end) return ENOMEM
  if (hint !== 0 && end - len >= hint) {
    const v = k.maple.find(mm, hint)
    if (v === 0 || hint + len <= startGap(k, v)) return hint
  }
  return searchUp(k, mm, len, Math.max(lowest(k), begin), end)
}

const lowest = (k: Kernel): Vpn => Math.ceil(Math.max(k.config.lsmMinAddr, k.config.mmapMinAddr) / 4096)

/** Highest place below `high`; a stack that ends a gap keeps its guard pages free. */
function searchDown(k: Kernel, mm: Mm, len: number, low: Vpn, high: Vpn): number {
  for (let top = high; ;) {
    const at = k.maple.gapDown(mm, len, low, top)
    if (at < 0) return ENOMEM
    const next = k.maple.find(mm, at + len)
    if (next === 0 || (k.vmas.flags(next) & VM_GROWSDOWN) === 0) return at
    const limit = startGap(k, next)
    if (limit >= at + len) return at
    top = limit
  }
}

function searchUp(k: Kernel, mm: Mm, len: number, low: Vpn, high: Vpn): number {
  for (let from = low; ;) {
    const at = k.maple.gapUp(mm, len, from, high)
    if (at < 0) return ENOMEM
    const next = k.maple.find(mm, at + len)
    if (next === 0 || (k.vmas.flags(next) & VM_GROWSDOWN) === 0 || startGap(k, next) >= at + len) return at
    from = k.vmas.endOf(next)
  }
}
