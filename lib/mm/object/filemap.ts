/** In-memory files with a page cache in front: pages are read once, by one reader, for all who wait. Floor 5.
 *
 *     absent -> wanted (somebody waits) -> reading (claimed) -> uptodate | failed: absent again, every waiter told
 *
 * @source mm/filemap.c filemap_fault, filemap_read_folio (v6.18)
 */
import { ENOMEM, OK } from "../../flags/Errno.ts"
import { dropCached, putObject, T_READ, T_SIGBUS } from "../area/object.ts"
import type { PgOff } from "../base/units.ts"
import type { Kernel, Ops } from "../kernel.ts"
import type { Obj } from "../store/files.ts"
import { F_UPTODATE } from "../store/frames.ts"
import { MAX_INDEX } from "../store/xarray.ts"

/** vm_operations of files. */
export const fileOps: Ops = {
  name: "file",
  hooks: 0,
  mapsAround: true,
  translate: (k, v, pgoff) => {
    const o = k.vmas.obj(v)
    // UNLIKE LINUX: beyond the 4 TiB that a page cache holds here, no page can be had
    if (pgoff * 4096 >= k.files.size[o]! || pgoff >= MAX_INDEX) return T_SIGBUS
    const p = k.xarray.load(o, pgoff)
    return p !== 0 && k.frames.has(p, F_UPTODATE) ? p : T_READ
  }
}

/** Puts an empty page into the cache for a read that is about to start. False: somebody reads it already, or has.
 * Whoever drives a verb asks on NEED_PAGE; only the first is to read. Page and object stay until `readDone`, also when the
 * object is truncated or its last file closed meanwhile.
 * @returns true: read it, then call `readDone`
 */
export function readClaim(k: Kernel, o: Obj, i: PgOff): boolean {
  if (k.xarray.load(o, i) !== 0) return false
  const p = k.frames.allocZeroed()
  if (p === 0 || !k.xarray.store(o, i, p)) {
    if (p !== 0) k.frames.put(p)
    k.runs.wakePage(o, i, ENOMEM)
    return false
  }
  k.frames.setCache(p, o, i, 0)
  k.files.addCached(o, 1)
  k.files.addObjRefs(o, 1)
  return true
}

/** The bytes that a claimed read fills. */
export function readTarget(k: Kernel, o: Obj, i: PgOff): Uint8Array {
  const p = k.xarray.load(o, i)
  return k.frames.bytes.subarray(p * 4096, (p + 1) * 4096)
}

/** A claimed read ended, well or with an errno; everyone who waits for the page looks again or fails. A page that a
 * truncation cut off goes now: who waited for it finds the object's end.
 */
export function readDone(k: Kernel, o: Obj, i: PgOff, errno: number): void {
  const p = k.xarray.load(o, i)
  const beyond = k.files.size[o]! - i * 4096
  if (errno === OK && beyond > 0) {
    if (beyond < 4096) k.frames.zero(p, beyond, 4096)
    for (const [from, to] of k.files.holes.get(o) ?? []) {
      const a = Math.max(0, from - i * 4096)
      const b = Math.min(4096, to - i * 4096)
      if (a < b) k.frames.zero(p, a, b)
    }
    k.frames.setFlag(p, F_UPTODATE)
  } else dropCached(k, o, i)
  k.runs.wakePage(o, i, errno)
  putObject(k, o)
}

/** Reads a page in place, for drivers that do not wait: claims it, asks its backing, ends the read.
 * @returns OK | the backing's errno
 */
export function readNow(k: Kernel, o: Obj, i: PgOff): number {
  if (!readClaim(k, o, i)) return OK
  const backing = k.backings[k.files.backing(o)]
  const r = backing === undefined ? OK : backing.read(i, readTarget(k, o, i))
  readDone(k, o, i, r < 0 ? r : OK)
  return r < 0 ? r : OK
}
