/** Objects that shrink, and holes in them: every mapping forgets, then the pages go. Floor 5.
 * @source mm/truncate.c truncate_pagecache, mm/shmem.c shmem_fallocate (v6.18)
 */
import { dropCached } from "../area/object.ts"
import type { PgOff } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { Obj } from "../store/files.ts"
import { F_DIRTY, F_UPTODATE } from "../store/frames.ts"
import { invalidate } from "./invalidate.ts"

/** Drops the cached pages `[first, end)`. One that is being read is its reader's: `readDone` looks at the size again.
 * UNLIKE LINUX: truncation waits for the lock of such a page; here it is one turn.
 */
function dropRange(k: Kernel, o: Obj, first: PgOff, end: PgOff): void {
  for (let i = k.xarray.next(o, first); i >= 0 && i < end; i = k.xarray.next(o, i + 1))
    if (k.files.isShmem(o) || k.frames.has(k.xarray.load(o, i), F_UPTODATE)) dropCached(k, o, i)
}

/** Sets the size of `o`. Unless it grows, every page beyond the new end goes from caches and page tables, private copies too,
 * and the rest of the last page is zeroed: of the same size as well, which may have been written beyond its end.
 */
export function truncateObject(k: Kernel, o: Obj, sizeBytes: number): void {
  const old = k.files.size[o]!
  k.files.size[o] = sizeBytes
  if (sizeBytes > old) return
  if (sizeBytes < old) forget(k, o, sizeBytes, Infinity)
  const keep = Math.ceil(sizeBytes / 4096)
  invalidate(k, o, keep, Infinity, true)
  dropRange(k, o, keep, Infinity)
  if (sizeBytes % 4096 !== 0) zeroPart(k, o, keep - 1, sizeBytes % 4096, 4096)
}

/** Makes bytes `[from, to)` a hole: whole pages go, edges are zeroed, private copies stay. */
export function punchHole(k: Kernel, o: Obj, from: number, to: number): void {
  const first = Math.ceil(from / 4096)
  const end = Math.floor(to / 4096)
  forget(k, o, from, to)
  if (first < end) {
    invalidate(k, o, first, end, false)
    dropRange(k, o, first, end)
  }
  // A hole that ends within page 0 unmaps everything from `first` on: round_down(to) - 1 is taken for a large offset.
  if (end === 0 && k.files.isShmem(o)) invalidate(k, o, first, Infinity, false)
  if (first > end) zeroPart(k, o, end, from % 4096, to % 4096)
  else {
    if (from % 4096 !== 0) zeroPart(k, o, first - 1, from % 4096, 4096)
    if (to % 4096 !== 0) zeroPart(k, o, end, 0, to % 4096)
  }
}

/** What the backing says about bytes `[from, to)` is out of date from now on: a page read later has zeroes there. */
function forget(k: Kernel, o: Obj, from: number, to: number): void {
  if (k.files.isShmem(o)) return
  const holes = k.files.holes.get(o)
  if (holes === undefined) k.files.holes.set(o, [[from, to]])
  else holes.push([from, to])
}

function zeroPart(k: Kernel, o: Obj, i: PgOff, a: number, b: number): void {
  const p = k.xarray.load(o, i)
  if (p === 0 || !k.frames.has(p, F_UPTODATE)) return
  k.frames.zero(p, a, b)
  k.frames.setFlag(p, F_DIRTY)
}
