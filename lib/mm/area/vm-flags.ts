/** Flag words of areas: changed as drivers may, under construction or write-locked; what KSM adds. Floor 3.
 * @source include/linux/mm.h vm_flags_mod, vm_flags_set; rust/kernel/mm/virt.rs VmaNew::update_flags (v6.18)
 */
import {
  type VM_EXEC,
  VM_HUGETLB,
  VM_MAYSHARE,
  VM_MERGEABLE,
  VM_MIXEDMAP,
  VM_PFNMAP,
  type VM_READ,
  VM_SHARED,
  VM_SPECIAL,
  type VM_WRITE,
  VMH_DROPPABLE
} from "../../flags/bits.ts"
import { EINVAL, type Errno, OK } from "../../flags/Errno.ts"
import { vmBugOn } from "../base/debug.ts"
import type { Kernel } from "../kernel.ts"
import { type Mm, MMF_VM_MERGE_ANY } from "../store/mms.ts"
import { VMA_ATTACHED, type Vma } from "../store/vmas.ts"
import { assertMmapWrite } from "./mmap-lock.ts"
import { isWriteLocked } from "./vma-lock.ts"

/** The flags of `v` may change now: nobody sees it yet, or a writer has marked it.
 * @locks mmap write, and `v` is detached or write-locked
 */
function assertFlagsWritable(k: Kernel, v: Vma): void {
  assertMmapWrite(k, k.vmas.mmOf(v))
  if (k.vmas.state(v) === VMA_ATTACHED && !isWriteLocked(k, v))
    vmBugOn(`flags of area ${v} change without its write lock`)
}

/** Sets `set`, clears `clear`, both in the low half of the word; a bit in both is cleared.
 * @locks mmap write, and `v` is detached or write-locked
 */
export function vmFlagsMod(k: Kernel, v: Vma, set: number, clear: number): void {
  assertFlagsWritable(k, v)
  const lo = (k.vmas.flags(v) | set) & ~clear
  if ((lo & (VM_PFNMAP | VM_MIXEDMAP)) === (VM_PFNMAP | VM_MIXEDMAP)) {
    vmBugOn(`area ${v} would become VM_PFNMAP and VM_MIXEDMAP at once`)
  }
  k.vmas.setFlags(v, lo, k.vmas.flagsHi(v))
}

/** Clears the may-flag of one access for good.
 * @param access - VM_READ, VM_WRITE or VM_EXEC
 * @returns OK | EINVAL the access is allowed now
 * @locks as `vmFlagsMod`
 * @source rust/kernel/mm/virt.rs VmaNew::try_clear_mayread and its two siblings (v6.18)
 */
export function tryClearMay(k: Kernel, v: Vma, access: typeof VM_READ | typeof VM_WRITE | typeof VM_EXEC): Errno {
  assertFlagsWritable(k, v)
  if ((k.vmas.flags(v) & access) !== 0) return EINVAL
  vmFlagsMod(k, v, 0, access << 4)
  return OK
}

/** What KSM may not merge: shared, special, huge and droppable memory. */
const NOT_FOR_KSM = VM_SHARED | VM_MAYSHARE | VM_SPECIAL | VM_HUGETLB

/** Flags `lo`, and VM_MERGEABLE where all private memory of `mm` has it (PR_SET_MEMORY_MERGE).
 * @source mm/ksm.c ksm_vma_flags (v6.18)
 */
export const ksmVmaFlags = (k: Kernel, mm: Mm, lo: number, hi: number): number =>
  (k.mms.flags(mm) & MMF_VM_MERGE_ANY) === 0 || (lo & NOT_FOR_KSM) !== 0 || (hi & VMH_DROPPABLE) !== 0
    ? lo
    : lo | VM_MERGEABLE
