/** Which bits an area gives to its entries (vm_page_prot). Floor 4.
 * @source mm/mmap.c vma_set_page_prot, vma_wants_writenotify (v6.18)
 */
import { VM_ACCESS, VM_EXEC, VM_SHARED, VM_UFFD_WP, VM_WRITE } from "../../flags/bits.ts"
import { EXEC, PROTNONE, WRITE } from "../../flags/PteFlags.ts"
import { hasWriteHook } from "../area/ops.ts"
import type { Kernel } from "../kernel.ts"
import type { Vma } from "../store/vmas.ts"

/** WRITE only where every write may go through unseen: shared, and neither the owner nor a userfaultfd asked to be told of the
 *  first one. */
export function pageProt(k: Kernel, v: Vma): number {
  const lo = k.vmas.flags(v)
  if ((lo & VM_ACCESS) === 0) return PROTNONE
  const unseen = (lo & (VM_SHARED | VM_WRITE | VM_UFFD_WP)) === (VM_SHARED | VM_WRITE)
  const write = unseen && !hasWriteHook(k, v) ? WRITE : 0
  return write | ((lo & VM_EXEC) !== 0 ? EXEC : 0)
}
