/** Special mappings: [vdso], [vvar]. They cannot be split. Floor 5.
 * @source mm/mmap.c special_mapping_split, arch/x86/entry/vdso/vma.c (v6.18)
 */
import { EINVAL } from "../../flags/Errno.ts"
import { PRESENT, WRITE, ZERO } from "../../flags/PteFlags.ts"
import { T_MAPPED, T_OOM, T_SIGBUS } from "../area/object.ts"
import type { PgOff } from "../base/units.ts"
import type { Kernel, Ops } from "../kernel.ts"
import { pageProt } from "../page/prot.ts"
import { F_DRIVER, F_UPTODATE, ZERO_PFN } from "../store/frames.ts"
import { KIND_VDSO, KIND_VVAR, type Vma } from "../store/vmas.ts"
import { NO_SLOT } from "../store/ptes.ts"

/** vm_operations of special mappings. The vdso's pages are made when first touched, one set a world. */
export const specialOps: Ops = {
  name: "special",
  hooks: 0,
  maySplit: () => EINVAL,
  translate: (k, v, pgoff) => (k.vmas.kind(v) === KIND_VDSO ? vdsoPage(k, pgoff) : mapVvarPage(k, v, pgoff))
}

/** Maps page `pgoff` of [vvar] or [vvar_vclock]. The first of either is a clock, the third of [vvar] belongs to getrandom;
 * nothing is behind the others where there are no time namespaces and no Hyper-V.
 * UNLIKE LINUX: no clock runs in them, they are the page of zeroes.
 * @source lib/vdso/datastore.c vvar_fault, arch/x86/entry/vdso/vma.c vvar_vclock_fault (v6.18)
 */
function mapVvarPage(k: Kernel, v: Vma, pgoff: PgOff): number {
  if (pgoff !== 0 && (pgoff !== RANDOM_PAGE || k.vmas.kind(v) !== KIND_VVAR)) return T_SIGBUS
  const slot = k.ptes.slotAlloc(k.mms.pgd(k.vmas.mmOf(v)), k.vmas.startOf(v) + pgoff - k.vmas.pgoff(v))
  if (slot === NO_SLOT) return T_OOM
  k.ptes.set(slot, ZERO_PFN, PRESENT | ZERO | (pageProt(k, v) & ~WRITE))
  return T_MAPPED
}

const RANDOM_PAGE = 2

function vdsoPage(k: Kernel, i: number): number {
  const have = k.vdso[i]
  if (have !== undefined) return have
  const p = k.frames.allocZeroed()
  if (p === 0) return T_OOM
  k.frames.setFlag(p, F_DRIVER | F_UPTODATE)
  k.vdso[i] = p
  return p
}
