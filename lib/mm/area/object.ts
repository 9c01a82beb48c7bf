/** The memory-object contract: what answers for mapped pages, and who maps them. Floor 3.
 *
 * An object is an inode with a page cache, a device, or a user's own. Four verbs, the same for all of them:
 * `addMapping` and `removeMapping` (the object's mapping set, `store/mappings.ts`), translate (`Ops.translate`: page offset
 * to frame), `invalidate` (`object/invalidate.ts`: every mapping forgets what it was told).
 */
import { VM_MAYWRITE, VM_SHARED } from "../../flags/bits.ts"
import { H_ADD_MAPPING, H_COPY_MAPPING, H_REMOVE_MAPPING, type Verb } from "../base/stop.ts"
import type { PgOff, Vpn } from "../base/units.ts"
import { mmdrop } from "./mm.ts"
import { needHook } from "./ops.ts"
import type { Kernel } from "../kernel.ts"
import { FILE_PROC, FILE_UFFD, type File, type Obj } from "../store/files.ts"
import type { Vma } from "../store/vmas.ts"

/** Answers of `translate` that are no frame. */
export const T_SIGBUS = -1
export const T_OOM = -2
/** The page must be read first: `needPage`. */
export const T_READ = -3
/** A driver answers: its fault hook. */
export const T_HOOK = -4
/** There is nothing that the access could mean: SIGSEGV. */
export const T_SEGV = -6
/** The object has mapped the page itself. */
export const T_MAPPED = -5

const sharedMaywrite = (lo: number): boolean => (lo & (VM_SHARED | VM_MAYWRITE)) === (VM_SHARED | VM_MAYWRITE)

/** Adds area `v` to its object's mapping set. A fork's child comes after its parent there, so that walkers meet the parent
 * first.
 * @locks mmap write
 * @source mm/vma.c vma_link_file, mm/mmap.c dup_mmap (v6.18)
 */
export function addMapping(k: Kernel, v: Vma): void {
  const o = k.vmas.obj(v)
  if (o === 0) return
  k.mappings.add(o, v)
  if (sharedMaywrite(k.vmas.flags(v))) k.files.addWritable(o, 1)
}

/** Removes area `v` from its object's mapping set. */
export function removeMapping(k: Kernel, v: Vma): void {
  const o = k.vmas.obj(v)
  if (o === 0) return
  k.mappings.remove(o, v)
  if (sharedMaywrite(k.vmas.flags(v))) k.files.addWritable(o, -1)
}

/** Tells an object of a user's, which has the hook, that pages `[start, end)` of `v` map it from now on.
 * @returns OK | errno: it does not want to be mapped
 * @locks mmap write
 */
export function* announceMapping(k: Kernel, v: Vma, start: Vpn, end: Vpn): Verb<"NEED_HOOK"> {
  k.range[0] = end
  k.range[1] = pgoffOf(k, v, start)
  return yield needHook(k, v, H_ADD_MAPPING, start, 0)
}

/** Tells it that pages `[start, end)`, mapped from page `pgoff` on, are so no longer. Cannot fail. */
export function* retractMapping(k: Kernel, v: Vma, start: Vpn, end: Vpn, pgoff: PgOff): Verb<"NEED_HOOK", void> {
  k.range[0] = end
  k.range[1] = pgoff
  yield needHook(k, v, H_REMOVE_MAPPING, start, 0)
}

/** Tells it that what `[start, end)` of `v` maps is mapped from `to` on as well, `pages` long.
 * @returns OK | errno: it does not want to be
 * @locks mmap write
 */
export function* copyMapping(k: Kernel, v: Vma, start: Vpn, end: Vpn, to: Vpn, pages: number): Verb<"NEED_HOOK"> {
  k.range[0] = end
  k.range[1] = pgoffOf(k, v, start)
  k.range[2] = to
  k.range[3] = to + pages
  return yield needHook(k, v, H_COPY_MAPPING, start, 0)
}

const pgoffOf = (k: Kernel, v: Vma, vpn: Vpn): PgOff => k.vmas.pgoff(v) + (vpn - k.vmas.startOf(v))

/** Gives the attached area `v` other bounds, in its tree and in its object's mapping set.
 * @locks mmap write, `v` write-locked
 * @source mm/vma.c vma_prepare, vma_complete (v6.18)
 */
export function moveBounds(k: Kernel, v: Vma, pgoff: PgOff, start: Vpn, end: Vpn): void {
  const o = k.vmas.obj(v)
  if (o !== 0) k.mappings.remove(o, v)
  k.vmas.setPgoff(v, pgoff)
  k.maple.adjust(k.vmas.mmOf(v), v, start, end)
  if (o !== 0) k.mappings.add(o, v)
}

/** One more holder of an open file. */
export function fget(k: Kernel, f: File): void {
  if (f !== 0) k.files.addFileRefs(f, 1)
}

/** One holder fewer; the last one closes it. The release of a device or a userfaultfd runs when the verb is over (task_work),
 * lockless.
 * @source fs/file_table.c fput (v6.18)
 */
export function fput(k: Kernel, f: File): void {
  if (f === 0 || k.files.addFileRefs(f, -1) > 0) return
  if (k.files.ops(f) !== 0 || k.files.kind(f) === FILE_UFFD) k.released.push(f)
  else closeFile(k, f)
}

/** Frees a file nobody holds, and lets go of its object. */
export function closeFile(k: Kernel, f: File): void {
  const o = k.files.obj(f)
  if (k.files.kind(f) === FILE_PROC && k.files.private(f) !== 0) mmdrop(k, k.files.private(f))
  k.files.freeFile(f)
  if (o !== 0) putObject(k, o)
}

/** One holder of an object fewer; the last one drops its page cache. */
export function putObject(k: Kernel, o: Obj): void {
  if (k.files.addObjRefs(o, -1) > 0) return
  for (let i = k.xarray.next(o, 0); i >= 0; i = k.xarray.next(o, i)) dropCached(k, o, i)
  k.holders.delete(o)
  if (k.files.isShmem(o)) k.committed -= k.files.reserved(o)
  k.files.freeObj(o)
}

/** Was nothing of this shared memory promised when it was made, so that each page is charged for when it comes? */
export const isChargedByPage = (k: Kernel, o: Obj): boolean => k.files.isShmem(o) && k.files.reserved(o) === 0

/** Takes page `i` out of an object's cache and puts the cache's reference. */
export function dropCached(k: Kernel, o: Obj, i: number): void {
  const p = k.xarray.erase(o, i)
  if (p === 0) return
  k.files.addCached(o, -1)
  if (isChargedByPage(k, o)) k.committed--
  k.frames.clearCache(p)
  k.frames.put(p)
}
