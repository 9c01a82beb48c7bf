/** memfd_secret: memory that the kernel itself cannot reach. Always locked, never copied, not read or written as a file. Floor 5.
 * @source mm/secretmem.c (v6.18)
 */
import { VM_DONTDUMP, VM_LOCKED, VM_MAYSHARE, VM_SHARED } from "../../flags/bits.ts"
import { EAGAIN, EINVAL, OK } from "../../flags/Errno.ts"
import { mlockFutureOk } from "../area/account.ts"
import { T_SIGBUS } from "../area/object.ts"
import { OPS_SECRET } from "../area/ops.ts"
import type { Kernel, Ops } from "../kernel.ts"
import type { Vma } from "../store/vmas.ts"
import { shmemAddPage } from "./shmem.ts"

/** vm_operations of secret memory. */
export const secretOps: Ops = {
  name: "secretmem",
  hooks: 0,
  prepare: (k, q) => {
    if ((q.lo & (VM_SHARED | VM_MAYSHARE)) === 0) return EINVAL
    if (!mlockFutureOk(k, q.mm, q.lo | VM_LOCKED, q.pages)) return EAGAIN
    q.lo |= VM_LOCKED | VM_DONTDUMP
    return OK
  },
  translate: (k, v, pgoff) => {
    const o = k.vmas.obj(v)
    if (pgoff * 4096 >= k.files.size[o]!) return T_SIGBUS
    const p = k.xarray.load(o, pgoff)
    return p === 0 ? shmemAddPage(k, o, pgoff, k.vmas.mmOf(v)) : p
  }
}

/** Is `v` secret memory? Whoever acts for the kernel keeps away from it. */
export const isSecret = (k: Kernel, v: Vma): boolean => k.vmas.ops(v) === OPS_SECRET
