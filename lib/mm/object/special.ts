/** Special mappings: [vdso], [vvar]. They cannot be split. Floor 5.
 * @source mm/mmap.c special_mapping_split, arch/x86/entry/vdso/vma.c (v6.18)
 */
import { EINVAL } from "../../flags/Errno.ts"
import { T_OOM, T_SIGBUS } from "../area/object.ts"
import type { Kernel, Ops } from "../kernel.ts"
import { F_DRIVER, F_UPTODATE } from "../store/frames.ts"
import { KIND_VDSO } from "../store/vmas.ts"

/** vm_operations of special mappings. The vdso's pages are made when first touched, one set a world. */
export const specialOps: Ops = {
  name: "special",
  hooks: 0,
  maySplit: () => EINVAL,
  translate: (k, v, pgoff) => (k.vmas.kind(v) === KIND_VDSO ? vdsoPage(k, pgoff) : T_SIGBUS)
}

function vdsoPage(k: Kernel, i: number): number {
  const have = k.vdso[i]
  if (have !== undefined) return have
  const p = k.frames.allocZeroed()
  if (p === 0) return T_OOM
  k.frames.setFlag(p, F_DRIVER | F_UPTODATE)
  k.vdso[i] = p
  return p
}
