/** Shared memory: memfd, tmpfs files, MAP_SHARED|MAP_ANONYMOUS. The page cache is the storage. Floor 5.
 * @source mm/shmem.c shmem_fault, shmem_get_folio_gfp, shmem_zero_setup; mm/memfd.c (v6.18)
 */
import { isChargedByPage, putObject, T_OOM, T_SIGBUS } from "../area/object.ts"
import { enoughMemory } from "../area/account.ts"
import { OK } from "../../flags/Errno.ts"
import type { Pfn, PgOff } from "../base/units.ts"
import type { Kernel, Ops } from "../kernel.ts"
import { FILE_ANON_SHARED, type FILE_SHMEM, FMODE_READ, FMODE_WRITE, type File, type Obj } from "../store/files.ts"
import { F_SWAPBACKED, F_UPTODATE } from "../store/frames.ts"
import type { Mm } from "../store/mms.ts"
import { MAX_INDEX } from "../store/xarray.ts"

/** vm_operations of shared memory. */
export const shmemOps: Ops = {
  name: "shmem",
  hooks: 0,
  mapsAround: true,
  translate: (k, v, pgoff) => shmemGetPage(k, k.vmas.obj(v), pgoff, k.vmas.mmOf(v))
}

/** Page `i` of object `o`, for `mm`: cached, or a fresh page of zeroes where there is a hole.
 * @returns frame | T_SIGBUS beyond the end, or no more is promised | T_OOM
 */
export function shmemGetPage(k: Kernel, o: Obj, i: PgOff, mm: Mm): number {
  if (i * 4096 >= k.files.size[o]!) return T_SIGBUS
  const p = k.xarray.load(o, i)
  if (p === 0) return shmemAddPage(k, o, i, mm)
  k.frames.setFlag(p, F_UPTODATE) // one that fallocate left: zeroes until now
  return p
}

/** A page of zeroes in the hole `i`, whatever the size says; of a file too, where a write goes beyond its end. Shared memory
 * of which nothing was promised when it was made is charged to `mm` (0 nobody) by the page.
 * @returns frame | T_SIGBUS no more is promised | T_OOM
 * @source mm/shmem.c shmem_inode_acct_blocks, shmem_alloc_and_add_folio (v6.18)
 */
export function shmemAddPage(k: Kernel, o: Obj, i: PgOff, mm: Mm): number {
  if (i >= MAX_INDEX) return T_OOM
  const charge = isChargedByPage(k, o) ? 1 : 0
  if (charge !== 0 && enoughMemory(k, mm, charge) !== OK) return T_SIGBUS
  const p: Pfn = k.frames.allocZeroed()
  if (p === 0 || !k.xarray.store(o, i, p)) {
    if (p !== 0) k.frames.put(p)
    k.committed -= charge
    return T_OOM
  }
  k.frames.setCache(p, o, i, k.files.isShmem(o) ? F_SWAPBACKED | F_UPTODATE : F_UPTODATE)
  k.files.addCached(o, 1)
  return p
}

/** The file behind a new MAP_SHARED|MAP_ANONYMOUS area of `pages`. Each call makes its own.
 * @returns file row, one reference | 0 no row, or not that much memory promised
 */
export function shmemZeroSetup(k: Kernel, mm: number, pages: number, reserve: boolean): File {
  const o = shmemSetup(k, mm, FILE_ANON_SHARED, pages * 4096, reserve)
  if (o === 0) return 0
  const f = k.files.allocFile(FILE_ANON_SHARED, o, FMODE_READ | FMODE_WRITE, "/dev/zero (deleted)")
  if (f === 0) putObject(k, o)
  else k.files.setObjMode(o, 0o777)
  return f
}

/** Shared memory of `sizeBytes` without a name. With `reserve` all of it is promised now.
 * @returns object, one reference | 0 no row, or not that much memory promised
 * @source mm/shmem.c __shmem_file_setup (v6.18)
 */
export function shmemSetup(
  k: Kernel,
  mm: number,
  kind: typeof FILE_ANON_SHARED | typeof FILE_SHMEM,
  sizeBytes: number,
  reserve: boolean
): Obj {
  const pages = Math.ceil(sizeBytes / 4096)
  if (reserve && enoughMemory(k, mm, pages) !== OK) return 0
  const o = k.files.allocObj(kind, sizeBytes)
  if (!reserve) return o
  if (o === 0) k.committed -= pages
  else k.files.setReserved(o, pages)
  return o
}
