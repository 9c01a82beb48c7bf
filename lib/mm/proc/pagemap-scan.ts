/** PAGEMAP_SCAN: ranges of pages of one kind, as an ioctl of /proc/PID/pagemap. Floor 6.
 *
 *     get arguments | for each 512 ranges: walk under mmap read, copy them out | where it ended
 *
 * Who tracks writes (userfaultfd with WP_ASYNC) asks for what was written, and protects it again in the same breath.
 * @source fs/proc/task_mmu.c do_pagemap_scan, pagemap_page_category, pagemap_scan_push_range,
 * pagemap_scan_test_walk, pagemap_scan_pmd_entry, pagemap_scan_pte_hole (v6.18)
 */
import { VM_PFNMAP } from "../../flags/bits.ts"
import { EFAULT, EINVAL, ENOSPC, EPERM, OK } from "../../flags/Errno.ts"
import { GUARD, PRESENT, SPECIAL, UFFD_WP, ZERO } from "../../flags/PteFlags.ts"
import { mmapUnlock, needMmap, READ, tryMmap } from "../area/mmap-lock.ts"
import { isWp, isWpAsync, usesMarkers } from "../area/uffd.ts"
import type { Verb } from "../base/stop.ts"
import { addrOf, leafOf, PMD_PAGES, registerOf, TASK_SIZE, vpnOf, type Vpn, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { FaultStops } from "../page/fault.ts"
import { invalidateEnd, invalidateStart } from "../page/notifier.ts"
import { protectEntry, protectWrites } from "../page/protect.ts"
import { flushRange } from "../page/tlb.ts"
import { F_ANON } from "../store/frames.ts"
import type { Mm } from "../store/mms.ts"
import type { Vma } from "../store/vmas.ts"
import { whileUsed } from "../sys/process.ts"
import { copyFromUser, copyToUser } from "../sys/usercopy.ts"

/** The command, _IOWR('f', 16, struct pm_scan_arg). */
export const PAGEMAP_SCAN = 0xc060_6610

/** Kinds of pages (PAGE_IS_*). */
const WRITTEN = 0x2
const FILE = 0x4
const IS_PRESENT = 0x8
const SWAPPED = 0x10
const PFNZERO = 0x20
const IS_GUARD = 0x100
const CATEGORIES = 0x1ff
/** Of a page in an area that tracks writes, unasked. */
const WPALLOWED = 0x1
/** What may be asked to be done (PM_SCAN_*). */
const WP_MATCHING = 1
const CHECK_WPASYNC = 2

/** struct pm_scan_arg: eight-byte words. */
const ARG_WORDS = 12
const WALK_END = 4
/** struct page_region: start, end, kinds. */
const REGION_WORDS = 3
const REGION_BYTES = BigInt(REGION_WORDS * 8)
/** Ranges that are gathered before they are copied out. */
const MOST_REGIONS = PMD_PAGES

/** The arguments, and what was found so far. */
interface Scan {
  readonly flags: number
  /** Byte addresses. */
  readonly start: number
  readonly end: number
  readonly maxPages: number
  readonly inverted: number
  readonly mask: number
  readonly anyOf: number
  readonly wanted: number
  /** Next range in the caller's memory, and how many more it has room for; `vec` is not looked at when that is 0. */
  vec: bigint
  room: number
  /** Is there room at all? Else nothing is gathered and nothing counted. */
  readonly gathers: boolean
  found: number
  /** Byte address at which the walk stopped early; 0 if it did not. */
  walkEnd: number
  /** Gathered ranges. */
  regions: Region[]
}

interface Region {
  readonly start: number
  end: number
  readonly kinds: number
}

/** Scans as the struct at `uarg` in the caller's memory asks, and says there where it ended.
 * @returns ranges copied out | EINVAL a struct of another size, unknown bits, an unaligned start, room without a place |
 *   EFAULT not user space, or memory that cannot be written | EPERM an area that does not track writes, if that was asked
 * @partial ranges copied before an EFAULT stay
 * @locks takes mmap read, batch by batch, and nothing while it copies
 */
export function* pagemapScan(k: Kernel, caller: Mm, mm: Mm, uarg: Word): Verb<FaultStops> {
  const arg = registerOf(uarg)
  const words = new BigUint64Array(ARG_WORDS)
  if ((yield* copyFromUser(k, caller, arg, new Uint8Array(words.buffer))) !== 0) return EFAULT
  const scan = argumentsOf(words)
  if (typeof scan === "number") return scan
  const r = yield* whileUsed(k, mm, 0, () => walkAll(k, caller, mm, scan))
  // Where a later batch ended of itself this is still the end of the one before it, as in Linux.
  const end = new BigUint64Array([BigInt(scan.walkEnd === 0 ? scan.end : scan.walkEnd)])
  if ((yield* copyToUser(k, caller, arg + BigInt(WALK_END * 8), new Uint8Array(end.buffer))) !== 0) return EFAULT
  return r
}

/** Batch by batch: walks, and copies out what was gathered.
 * @returns ranges copied out | EFAULT | EPERM
 */
function* walkAll(k: Kernel, caller: Mm, mm: Mm, scan: Scan): Verb<FaultStops> {
  let copied = 0
  let r: number = OK
  for (let at = scan.start; at < scan.end; at = scan.walkEnd) {
    if (!tryMmap(k, mm, READ)) yield needMmap(k, mm, READ)
    const protects = (scan.flags & WP_MATCHING) !== 0
    if (protects) invalidateStart(k, mm, vpnOf(at), vpnOf(scan.end))
    r = walk(k, mm, scan, vpnOf(at), vpnOf(scan.end))
    if (protects) invalidateEnd(k, mm, vpnOf(at), vpnOf(scan.end))
    mmapUnlock(k, mm, READ)
    const n = scan.regions.length
    if (n !== 0 && (yield* copyToUser(k, caller, scan.vec, bytesOf(scan.regions))) !== 0) return EFAULT
    copied += n
    scan.vec += BigInt(n) * REGION_BYTES
    scan.room -= n
    scan.regions = []
    if (r !== ENOSPC || scan.room === 0 || scan.found === scan.maxPages) break
  }
  return r === OK || r === ENOSPC ? copied : r
}

/** Is `[at, at + size)` user space (access_ok)? */
const isUser = (at: bigint, size: bigint): boolean => size >= 0n && at + size <= BigInt(TASK_SIZE)

function argumentsOf(words: BigUint64Array): Scan | number {
  const [size = 0n, flags = 0n, start = 0n, end = 0n, , vec = 0n, room = 0n, maxPages = 0n] = words
  const [inverted = 0n, mask = 0n, anyOf = 0n, wanted = 0n] = words.subarray(8)
  if (size !== BigInt(ARG_WORDS * 8)) return EINVAL
  if ((flags & ~BigInt(WP_MATCHING | CHECK_WPASYNC)) !== 0n) return EINVAL
  if (((inverted | mask | anyOf | wanted) & ~BigInt(CATEGORIES)) !== 0n) return EINVAL
  if (start % 4096n !== 0n) return EINVAL
  if (!isUser(start, end - start)) return EFAULT
  if (vec === 0n && room !== 0n) return EINVAL
  if (vec !== 0n && !isUser(vec, room * REGION_BYTES)) return EFAULT
  return {
    flags: Number(flags),
    start: Number(start),
    end: Number((end + 4095n) & ~4095n),
    maxPages: maxPages === 0n ? Infinity : Number(maxPages),
    inverted: Number(inverted),
    mask: Number(mask),
    anyOf: Number(anyOf),
    wanted: Number(wanted),
    vec,
    room: Number(room),
    gathers: room !== 0n,
    found: 0,
    walkEnd: 0,
    regions: []
  }
}

function bytesOf(regions: readonly Region[]): Uint8Array {
  const words = new BigUint64Array(regions.length * REGION_WORDS)
  regions.forEach(({ end, kinds, start }, i) => {
    words[i * REGION_WORDS] = BigInt(start)
    words[i * REGION_WORDS + 1] = BigInt(end)
    words[i * REGION_WORDS + 2] = BigInt(kinds)
  })
  return new Uint8Array(words.buffer)
}

/** Walks pages `[from, to)` area by area.
 * @returns OK | ENOSPC no room, or enough pages; `walkEnd` says where | EPERM | ENOMEM no table for markers
 */
function walk(k: Kernel, mm: Mm, scan: Scan, from: Vpn, to: Vpn): number {
  for (let v = k.maple.find(mm, from); v !== 0 && k.vmas.startOf(v) < to; v = k.maple.next(mm, v)) {
    const area = isWpAsync(k, v) && usesMarkers(k, v) ? WPALLOWED : 0
    if (area === 0 && (scan.flags & CHECK_WPASYNC) !== 0) return EPERM
    if (area === 0 && (scan.flags & WP_MATCHING) !== 0) continue
    if ((k.vmas.flags(v) & VM_PFNMAP) !== 0) continue
    if (((area ^ scan.inverted) & scan.mask & WPALLOWED) !== (scan.mask & WPALLOWED)) continue
    const r = walkArea(k, scan, v, area, Math.max(from, k.vmas.startOf(v)), Math.min(to, k.vmas.endOf(v)))
    if (r !== OK) return r
  }
  return OK
}

/** Table by table; what has no table is one hole, which counts as written where a userfaultfd looks at writes. */
function walkArea(k: Kernel, scan: Scan, v: Vma, area: number, from: Vpn, to: Vpn): number {
  const pgd = k.mms.pgd(k.vmas.mmOf(v))
  const last = leafOf(to - 1)
  const hole = area | (isWp(k, v) ? WRITTEN : 0)
  for (let at = from; at < to;) {
    const leaf = k.ptes.nextLeaf(pgd, leafOf(at), last + 1)
    const tableAt = leaf < 0 ? to : Math.max(at, leaf * PMD_PAGES)
    if (at < tableAt && isInteresting(scan, hole)) {
      const r = takeHole(k, scan, v, hole, at, tableAt)
      if (r !== OK) return r
    }
    if (leaf < 0) return OK
    const end = Math.min(to, (leaf + 1) * PMD_PAGES)
    const r = walkTable(k, scan, v, area, k.ptes.leafTable(pgd, leaf), tableAt, end)
    if (r !== OK) return r
    at = end
  }
  return OK
}

/** Takes pages `[from, to)`, which have no table, and protects what was taken. */
function takeHole(k: Kernel, scan: Scan, v: Vma, hole: number, from: Vpn, to: Vpn): number {
  const r = output(scan, hole, addrOf(from), addrOf(to))
  const end = r === OK ? to : vpnOf(scan.walkEnd)
  if (end === from || (scan.flags & WP_MATCHING) === 0) return r
  const failed = protectWrites(k, v, from, end)
  return failed < 0 ? failed : r
}

function walkTable(k: Kernel, scan: Scan, v: Vma, area: number, table: number, from: Vpn, to: Vpn): number {
  const protects = (scan.flags & WP_MATCHING) !== 0
  const unseen = protects && !scan.gathers // nobody wants to know: all of it is protected, whatever it is
  let changed = false
  let r: number = OK
  for (let at = from; at < to && r === OK; at++) {
    const slot = (table << 10) | ((at & 511) << 1)
    const kinds = area | kindsOf(k, scan, k.ptes.pfn(slot), k.ptes.bits(slot))
    if (!unseen && !isInteresting(scan, kinds)) continue
    r = output(scan, kinds, addrOf(at), addrOf(at + 1))
    if (r !== OK && scan.walkEnd === addrOf(at)) break
    if (!protects || (kinds & WRITTEN) === 0) continue
    protectEntry(k, slot)
    changed = true
  }
  if (changed) flushRange(k, k.vmas.mmOf(v), from, to)
  return r
}

/** pagemap_page_category: whose page it is is looked up only if somebody asks. */
function kindsOf(k: Kernel, scan: Scan, pfn: number, bits: number): number {
  const written = (bits & UFFD_WP) === 0 ? WRITTEN : 0
  if (bits === 0) return written
  if ((bits & PRESENT) === 0) return SWAPPED | written | ((bits & GUARD) !== 0 ? IS_GUARD : 0)
  const isNormal = (bits & (ZERO | SPECIAL)) === 0
  const asked = ((scan.mask | scan.anyOf | scan.wanted) & FILE) !== 0
  const file = asked && isNormal && !k.frames.has(pfn, F_ANON) ? FILE : 0
  return IS_PRESENT | written | file | ((bits & ZERO) !== 0 ? PFNZERO : 0)
}

function isInteresting(scan: Scan, kinds: number): boolean {
  const seen = kinds ^ scan.inverted
  return (seen & scan.mask) === scan.mask && (scan.anyOf === 0 || (seen & scan.anyOf) !== 0)
}

/** Takes `[start, end)` as far as there is room and pages are wanted.
 * @returns OK | ENOSPC, and `walkEnd` is where it was cut
 */
function output(scan: Scan, kinds: number, start: number, end: number): number {
  if (!scan.gathers) return OK
  const left = scan.maxPages - scan.found
  const pages = Math.min((end - start) / 4096, left)
  const cut = start + pages * 4096
  if (pages > 0 && !push(scan, kinds & scan.wanted, start, cut)) {
    scan.walkEnd = start
    return ENOSPC
  }
  scan.found += pages
  if (cut === end) return OK
  scan.walkEnd = cut
  return ENOSPC
}

/** Adds a range, or lets the last one grow; false if there is no room. */
function push(scan: Scan, kinds: number, start: number, end: number): boolean {
  const last = scan.regions.at(-1)
  if (last !== undefined && last.end === start && last.kinds === kinds) {
    last.end = end
    return true
  }
  if (scan.regions.length === Math.min(MOST_REGIONS, scan.room)) return false
  scan.regions.push({ start, end, kinds })
  return true
}
