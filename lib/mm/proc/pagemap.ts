/** /proc/PID/pagemap: a 64-bit word a page of user space. Floor 6.
 *
 *     bit 63 present | 62 marker | 61 of a file | 58 guard | 57 uffd-wp | 56 mapped once | 55 soft-dirty | 0..54 frame number
 *
 * Nothing tracks soft-dirty here: that bit is never set.
 * @source fs/proc/task_mmu.c pagemap_read, pte_to_pagemap_entry; mm/pagewalk.c walk_page_test (v6.18)
 */
import { VM_PFNMAP } from "../../flags/bits.ts"
import { EFAULT, EINVAL } from "../../flags/Errno.ts"
import { GUARD, POISON, PRESENT, SPECIAL, UFFD_WP, ZERO } from "../../flags/PteFlags.ts"
import { mmapUnlock, needMmap, READ, tryMmap } from "../area/mmap-lock.ts"
import type { Verb } from "../base/stop.ts"
import { PMD_PAGES, registerOf, TASK_PAGES, type Vpn, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { FaultStops } from "../page/fault.ts"
import { F_ANON } from "../store/frames.ts"
import type { Mm } from "../store/mms.ts"
import { copyToUser } from "../sys/usercopy.ts"

/** Bytes of a word (PM_ENTRY_BYTES). */
export const ENTRY_BYTES = 8

/** Flags as bits of the high half. */
const H_MMAP_EXCLUSIVE = 1 << (56 - 32)
const H_UFFD_WP = 1 << (57 - 32)
const H_GUARD_REGION = 1 << (58 - 32)
const H_FILE = 1 << (61 - 32)
const H_SWAP = 1 << (62 - 32)
const H_PRESENT = 1 << (63 - 32)

/** What stands in a marker's frame number: the swap type of markers, 31, and from bit 5 on which marker it is. */
const markerFrame = (bits: number): number => 31 | (((bits & GUARD) !== 0 ? 4 : (bits & POISON) !== 0 ? 2 : 1) << 5)

/** Where bytes go: a buffer, or a user's memory. */
export type Destination = Uint8Array | { readonly mm: Mm; readonly addr: number }

/** Reads the words of `count` bytes from byte `position` of the file, in chunks of a page table.
 * @param showPfn - may the reader know frame numbers (CAP_SYS_ADMIN)?
 * @returns bytes read, fewer where user space ends, 0 behind its end | EINVAL position or count is no multiple of 8 |
 *   EFAULT the user's memory cannot be written
 * @partial chunks before the failing one are stored
 * @locks takes mmap read, chunk by chunk, and nothing while it stores
 */
export function* pagemapRead(
  k: Kernel,
  mm: Mm,
  showPfn: boolean,
  position: Word,
  count: Word,
  to: Destination
): Verb<FaultStops> {
  const pos = registerOf(position)
  const bytes = registerOf(count)
  if (pos % 8n !== 0n || bytes % 8n !== 0n) return EINVAL
  const first = pos / 8n
  if (first >= BigInt(TASK_PAGES)) return 0
  const start: Vpn = Number(first)
  const end: Vpn = Math.min(start + Number(bytes / 8n), TASK_PAGES)
  for (let at = start; at < end;) {
    const next = Math.min(at - (at % PMD_PAGES) + PMD_PAGES, end)
    const words = new Int32Array((next - at) * 2)
    if (!tryMmap(k, mm, READ)) yield needMmap(k, mm, READ)
    fillWords(k, mm, showPfn, at, next, words)
    mmapUnlock(k, mm, READ)
    const bytes = new Uint8Array(words.buffer)
    const done = (at - start) * ENTRY_BYTES
    if (to instanceof Uint8Array) to.set(bytes, done)
    else if ((yield* copyToUser(k, to.mm, to.addr + done, bytes)) !== 0) return EFAULT
    at = next
  }
  return (end - start) * ENTRY_BYTES
}

/** The words of pages `[from, to)`, which lie in one page table; `words` is zero. Raw frame numbers of PFN maps are passed over. */
function fillWords(k: Kernel, mm: Mm, showPfn: boolean, from: Vpn, to: Vpn, words: Int32Array): void {
  const pgd = k.mms.pgd(mm)
  for (let v = k.maple.find(mm, from); v !== 0 && k.vmas.startOf(v) < to; v = k.maple.next(mm, v)) {
    if ((k.vmas.flags(v) & VM_PFNMAP) !== 0) continue
    for (let at = Math.max(from, k.vmas.startOf(v)), e = Math.min(to, k.vmas.endOf(v)); at < e; at++) {
      const slot = k.ptes.slot(pgd, at)
      if (slot < 0) break // all of it is in one table
      const bits = k.ptes.bits(slot)
      if (bits === 0) continue
      const frame = (bits & PRESENT) !== 0 ? k.ptes.pfn(slot) : markerFrame(bits)
      words[(at - from) * 2] = showPfn ? frame : 0
      words[(at - from) * 2 + 1] = highHalf(k, bits, frame)
    }
  }
}

function highHalf(k: Kernel, bits: number, frame: number): number {
  const tracked = (bits & UFFD_WP) !== 0 ? H_UFFD_WP : 0
  if ((bits & PRESENT) === 0) return tracked | H_SWAP | ((bits & GUARD) !== 0 ? H_GUARD_REGION : 0)
  if ((bits & (ZERO | SPECIAL)) !== 0) return tracked | H_PRESENT
  const kind = k.frames.has(frame, F_ANON) ? 0 : H_FILE
  return tracked | H_PRESENT | kind | (k.frames.mapcount(frame) === 1 ? H_MMAP_EXCLUSIVE : 0)
}
