/** Files of huge pages, on a machine whose pool has none: a mapping that is not to be promised any can be made, and every
 * access to it is a SIGBUS. Floor 5.
 * @source fs/hugetlbfs/inode.c hugetlbfs_file_mmap, hugetlb_file_setup; mm/hugetlb.c hugetlb_vm_ops (v6.18)
 */
import * as SEAL from "../../flags/SealFlags.ts"
import { VM_DONTEXPAND, VM_HUGETLB, VM_NORESERVE, VM_WRITE } from "../../flags/bits.ts"
import { EINVAL, ENOMEM, OK } from "../../flags/Errno.ts"
import { T_SIGBUS } from "../area/object.ts"
import { PMD_PAGES, type Vpn } from "../base/units.ts"
import type { Asked, Kernel, Ops } from "../kernel.ts"
import { FILE_HUGETLB, FMODE_READ, FMODE_WRITE, type File, type Obj } from "../store/files.ts"
import type { Vma } from "../store/vmas.ts"

/** Pages of a huge page of 2^`log` bytes, 0 for the usual size; 0 where there is no such size. */
export const hugeUnit = (log: number): number =>
  log === 0 || log === 21 ? PMD_PAGES : log === 30 ? PMD_PAGES * PMD_PAGES : 0

/** An object of huge pages of `unit` pages each; 0 when rows ran out. */
export function hugetlbObject(k: Kernel, sizeBytes: number, unit: number): Obj {
  const o = k.files.allocObj(FILE_HUGETLB, sizeBytes)
  if (o === 0) return 0
  k.files.setUnit(o, unit)
  k.files.setSeals(o, SEAL.SEAL)
  k.files.setObjMode(o, 0o777)
  return o
}

/** An open file on one; 0 when rows ran out. */
export function hugetlbSetup(k: Kernel, name: string, sizeBytes: number, unit: number): File {
  const o = hugetlbObject(k, sizeBytes, unit)
  const f = o === 0 ? 0 : k.files.allocFile(FILE_HUGETLB, o, FMODE_READ | FMODE_WRITE, name)
  if (f === 0 && o !== 0) k.files.freeObj(o)
  return f
}

/** Huge pages are mapped whole, and a mapping of them never grows.
 * @returns OK | EINVAL the offset is no multiple of a huge page
 */
export function prepareHuge(k: Kernel, q: Asked): number {
  q.lo |= VM_HUGETLB | VM_DONTEXPAND
  return q.pgoff % k.files.unit(k.files.obj(q.file)) === 0 ? OK : EINVAL
}

/** May an area of huge pages be cut at `vpn`? */
export const maySplitHuge = (k: Kernel, v: Vma, vpn: Vpn): number =>
  vpn % k.files.unit(k.vmas.obj(v)) === 0 ? OK : EINVAL

const unheard = (): void => {}

/** vm_operations of huge pages. What is to be promised is taken out of the pool at once. */
export const hugetlbOps: Ops = {
  name: "hugetlb",
  hooks: 0,
  prepare: (k, q) => {
    const r = prepareHuge(k, q)
    if (r !== OK || (q.lo & VM_NORESERVE) === 0) return r === OK ? ENOMEM : r
    const o = k.files.obj(q.file)
    if ((q.lo & VM_WRITE) !== 0) k.files.size[o] = Math.max(k.files.size[o]!, (q.pgoff + q.pages) * 4096)
    return OK
  },
  maySplit: maySplitHuge,
  opened: unheard,
  closed: unheard,
  translate: () => T_SIGBUS
}
