/** Boot: a machine with every floor's vtables and invariants in place. Floor 6. */
import { checkUffds } from "../area/check-uffd.ts"
import { checkAreas } from "../area/check.ts"
import { OPS_FILE, OPS_HUGETLB, OPS_SECRET, OPS_SHM, OPS_SHMEM, OPS_SPECIAL, registerOps } from "../area/ops.ts"
import type { KernelConfig } from "../base/config.ts"
import { vmBugOn } from "../base/debug.ts"
import { Kernel } from "../kernel.ts"
import { fileOps } from "../object/filemap.ts"
import { hugetlbOps } from "../object/hugetlb.ts"
import { secretOps } from "../object/secret.ts"
import { segmentsAreCounted, shmOps } from "../object/shm.ts"
import { shmemOps } from "../object/shmem.ts"
import { specialOps } from "../object/special.ts"
import { checkObjects } from "../object/check.ts"
import { checkPages } from "../page/check.ts"
import { installTrap } from "./trap.ts"

/** Boots a machine. 64 frames in well under a millisecond: one a test, one an explored schedule.
 * @param config - sizes and knobs; see `base/config.ts`
 */
export function boot(config: Partial<KernelConfig> = {}): Kernel {
  const k = new Kernel(config)
  for (const [row, ops] of [
    [OPS_SHMEM, shmemOps],
    [OPS_FILE, fileOps],
    [OPS_SPECIAL, specialOps],
    [OPS_SHM, shmOps],
    [OPS_SECRET, secretOps],
    [OPS_HUGETLB, hugetlbOps]
  ] as const)
    if (registerOps(k, ops) !== row) vmBugOn(`row ${row} of operations is taken`)
  k.checks.push(...checkAreas, ...checkUffds, ...checkPages, ...checkObjects, segmentsAreCounted)
  installTrap(k)
  return k
}
