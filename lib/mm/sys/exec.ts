/** A new program's first areas: segments, stack, vdso. Floor 6. Not a loader: whoever builds a process says what lies where. */
import { VM_ACCOUNT } from "../../flags/bits.ts"
import { ENOMEM, OK } from "../../flags/Errno.ts"
import { enoughMemory, vmStatAccount } from "../area/account.ts"
import { mmapUnlock, needMmap, tryMmap, WRITE } from "../area/mmap-lock.ts"
import { fget } from "../area/object.ts"
import { OPS_SPECIAL } from "../area/ops.ts"
import { insertVma } from "../area/vma.ts"
import type { Verb } from "../base/stop.ts"
import type { PgOff, Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { vmOpsOf } from "../object/file.ts"
import { FILE_ZERO, type File } from "../store/files.ts"
import type { Mm } from "../store/mms.ts"
import { KIND_PLAIN } from "../store/vmas.ts"

/** One area as it is to be. */
export interface Placement {
  readonly start: Vpn
  readonly end: Vpn
  /** VM_* words. */
  readonly lo: number
  readonly hi?: number
  /** Open file; the area takes a reference of its own. */
  readonly file?: File
  readonly pgoff?: PgOff
  /** KIND_* of store/vmas.ts: a special mapping. */
  readonly kind?: number
}

/** Puts an area where nothing is mapped, as it is said, without merging.
 * @returns OK | ENOMEM
 * @locks takes mmap write
 */
export function* placeArea(k: Kernel, mm: Mm, p: Placement): Verb<"NEED_LOCK"> {
  if (!tryMmap(k, mm, WRITE)) yield needMmap(k, mm, WRITE)
  try {
    const pages = p.end - p.start
    if ((p.lo & VM_ACCOUNT) !== 0 && enoughMemory(k, mm, pages) !== OK) return ENOMEM
    const v = k.maple.reserve(1) ? k.vmas.alloc(mm, p.start, p.end) : 0
    if (v === 0) {
      if ((p.lo & VM_ACCOUNT) !== 0) k.committed -= pages
      return ENOMEM
    }
    const file = p.file ?? 0
    const anonymous: number = p.start
    k.vmas.setFlags(v, p.lo, p.hi ?? 0)
    k.vmas.setPgoff(v, p.pgoff ?? (file === 0 && p.kind === undefined ? anonymous : 0))
    if (file !== 0) {
      fget(k, file)
      k.vmas.setFile(v, file)
      k.vmas.setOps(v, vmOpsOf(k, file))
      if (k.files.kind(file) !== FILE_ZERO) k.vmas.setObj(v, k.files.obj(file))
    }
    if (p.kind !== undefined && p.kind !== KIND_PLAIN) {
      k.vmas.setKind(v, p.kind)
      k.vmas.setOps(v, OPS_SPECIAL)
    }
    insertVma(k, v)
    vmStatAccount(k, mm, p.lo, pages)
    return OK
  } finally {
    mmapUnlock(k, mm, WRITE)
  }
}
