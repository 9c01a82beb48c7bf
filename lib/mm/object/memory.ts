/** Memory files: where objects of users keep their bytes. Floor 5.
 *
 * A file of pages by index, each with a count of its holders. Whoever allocates a page holds it first; there is no other
 * way to a first reference. An entry of a page table holds the frame, not the page: a page that its last holder let go of
 * leaves the file, and its frame goes when nobody maps it.
 * @source gvisor pkg/sentry/memmap/memmap.go File, pkg/sentry/pgalloc
 */
import { ENOMEM } from "../../flags/Errno.ts"
import { dropCached } from "../area/object.ts"
import { vmBugOn } from "../base/debug.ts"
import type { Pfn, PgOff } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { FILE_MEMORY, type Obj } from "../store/files.ts"
import { F_UPTODATE } from "../store/frames.ts"
import { MAX_INDEX } from "../store/xarray.ts"

/** A memory file with no page yet, held by the caller; 0 when rows ran out. */
export const createMemory = (k: Kernel): Obj => k.files.allocObj(FILE_MEMORY, 0)

/** `pages` fresh pages of zeroes, one after another, each held once.
 * @returns index of the first | ENOMEM, and nothing is allocated
 */
export function allocPages(k: Kernel, o: Obj, pages: number): number {
  const first = k.files.size[o]! / 4096
  if (first + pages > MAX_INDEX) return ENOMEM
  for (let i = first; i < first + pages; i++) {
    const p = k.frames.allocZeroed()
    if (p === 0 || !k.xarray.store(o, i, p)) {
      if (p !== 0) k.frames.put(p)
      for (let j = first; j < i; j++) dropCached(k, o, j)
      return ENOMEM
    }
    k.frames.setCache(p, o, i, F_UPTODATE)
    k.files.addCached(o, 1)
  }
  k.files.size[o] = (first + pages) * 4096
  const holders = holdersOf(k, o)
  for (let i = first; i < first + pages; i++) holders.set(i, 1)
  return first
}

/** One more holder of pages `[first, end)`, each of which has one. */
export function incRef(k: Kernel, o: Obj, first: PgOff, end: PgOff): void {
  const holders = holdersOf(k, o)
  for (let i = first; i < end; i++) {
    const n = holders.get(i) ?? vmBugOn(`page ${i} of memory file ${o} gets a holder, and nobody holds it`)
    holders.set(i, n + 1)
  }
}

/** One holder fewer of pages `[first, end)`; a page that nobody holds leaves the file. */
export function decRef(k: Kernel, o: Obj, first: PgOff, end: PgOff): void {
  const holders = holdersOf(k, o)
  for (let i = first; i < end; i++) {
    const n = holders.get(i) ?? vmBugOn(`page ${i} of memory file ${o} loses a holder, and nobody holds it`)
    if (n > 1) holders.set(i, n - 1)
    else {
      holders.delete(i)
      dropCached(k, o, i)
    }
  }
}

/** Every page leaves the file, whoever holds it. */
export function dropAll(k: Kernel, o: Obj): void {
  for (let i = k.xarray.next(o, 0); i >= 0; i = k.xarray.next(o, i)) dropCached(k, o, i)
  k.holders.delete(o)
}

/** Holders of page `i`; 0 where there is no such page. */
export const holders = (k: Kernel, o: Obj, i: PgOff): number => k.holders.get(o)?.get(i) ?? 0

/** The frame of page `i`; 0 where there is none. */
export const pageOf = (k: Kernel, o: Obj, i: PgOff): Pfn => k.xarray.load(o, i)

/** Bytes `[from, to)`, as they are: one view for each run of neighbouring frames. Valid while their pages are held.
 * @returns undefined where a page is missing
 */
export function mapInternal(k: Kernel, o: Obj, from: number, to: number): Uint8Array[] | undefined {
  const views: Uint8Array[] = []
  for (let at = from; at < to;) {
    const p = pageOf(k, o, Math.floor(at / 4096))
    if (p === 0) return undefined
    const start = p * 4096 + (at % 4096)
    let end = start
    for (let q = p; at < to && pageOf(k, o, Math.floor(at / 4096)) === q; q++) {
      const n = Math.min(4096 - (at % 4096), to - at)
      end += n
      at += n
    }
    views.push(k.frames.bytes.subarray(start, end))
  }
  return views
}

const holdersOf = (k: Kernel, o: Obj): Map<PgOff, number> => {
  let of = k.holders.get(o)
  if (of === undefined) k.holders.set(o, (of = new Map<PgOff, number>()))
  return of
}
