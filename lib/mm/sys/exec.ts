/** exec, and a new program's first areas: segments, stack, vdso. Floor 6. Not a loader: whoever builds a process says what lies
 * where.
 * @source fs/exec.c begin_new_exec, exec_mmap; fs/binfmt_elf.c load_elf_binary (v6.18)
 */
import { VM_ACCOUNT } from "../../flags/bits.ts"
import { ENOMEM, OK } from "../../flags/Errno.ts"
import { enoughMemory, mayExpandVm, vmStatAccount } from "../area/account.ts"
import { enter, mmAlloc } from "../area/mm.ts"
import { mmapUnlock, needMmap, tryMmap, WRITE } from "../area/mmap-lock.ts"
import { fget, fput } from "../area/object.ts"
import { OPS_SPECIAL } from "../area/ops.ts"
import { ksmVmaFlags } from "../area/vm-flags.ts"
import { insertVma } from "../area/vma.ts"
import type { Verb } from "../base/stop.ts"
import type { PgOff, Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { vmOpsOf } from "../object/file.ts"
import { FILE_ZERO, type File } from "../store/files.ts"
import {
  ARG_END,
  ARG_START,
  BRK,
  END_CODE,
  END_DATA,
  ENV_END,
  ENV_START,
  type Mm,
  START_BRK,
  START_CODE,
  START_DATA,
  START_STACK
} from "../store/mms.ts"
import { MAX_FDS, type Task } from "../store/tasks.ts"
import { KIND_PLAIN } from "../store/vmas.ts"
import { pickMmapLayout, READ_IMPLIES_EXEC } from "./personality.ts"
import { inheritFlags, leaveMm } from "./process.ts"

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

/** A program that is to be run. Byte addresses. */
export interface Image {
  readonly name: string
  /** Segments, stack, vdso. They may not overlap. */
  readonly areas: readonly Placement[]
  readonly startCode: number
  readonly endCode: number
  readonly startData: number
  readonly endData: number
  /** Where the heap begins, as yet without a byte. */
  readonly brk: number
  readonly startStack: number
  readonly argStart?: number
  readonly argEnd?: number
  readonly envStart?: number
  readonly envEnd?: number
  /** An old program, that expects to execute what it may read (no PT_GNU_STACK). */
  readonly readImpliesExec?: boolean
}

/** Runs another program as `task`: an address space of its own, in which nothing of the old one is. Limits, rights, user and
 * what prctl said of huge pages, KSM and MDWE stay; of descriptors those that were not to be closed, of the personality all
 * but READ_IMPLIES_EXEC.
 * @returns OK | ENOMEM no address space, and the old program runs on; or no room for an area: the old program is gone, and the
 *   caller has to kill the process
 * @locks none on entry; takes what tearing down the old address space takes, if nobody else runs in it
 */
export function* exec(k: Kernel, task: Task, image: Image): Verb<"NEED_LOCK" | "NEED_HOOK"> {
  const old = enter(k, task)
  const mm = mmAlloc(k, task)
  if (mm === 0) return ENOMEM
  inheritFlags(k, old, mm)
  yield* leaveMm(k, task, mm)
  closeOnExec(k, task)
  const personality = k.tasks.personality(task) & ~READ_IMPLIES_EXEC
  k.tasks.setPersonality(task, image.readImpliesExec === true ? personality | READ_IMPLIES_EXEC : personality)
  k.tasks.names[task] = image.name
  pickMmapLayout(k, task)
  for (const area of image.areas) {
    const isSpecial = area.kind !== undefined && area.kind !== KIND_PLAIN
    if (!isSpecial && !mayExpandVm(k, mm, area.lo, area.end - area.start)) return ENOMEM
    const lo = ksmVmaFlags(k, mm, area.lo, area.hi ?? 0)
    const r = yield* placeArea(k, mm, { ...area, lo })
    if (r !== OK) return r
  }
  layOut(k, mm, image)
  return OK
}

function closeOnExec(k: Kernel, task: Task): void {
  for (let fd = 0; fd < MAX_FDS; fd++) {
    if (!k.tasks.closesOnExec(task, fd)) continue
    fput(k, k.tasks.file(task, fd))
    k.tasks.setFile(task, fd, 0)
  }
}

function layOut(k: Kernel, mm: Mm, image: Image): void {
  const { argStart = 0, argEnd = 0, envStart = 0, envEnd = 0 } = image
  for (const [field, addr] of [
    [START_CODE, image.startCode],
    [END_CODE, image.endCode],
    [START_DATA, image.startData],
    [END_DATA, image.endData],
    [START_BRK, image.brk],
    [BRK, image.brk],
    [START_STACK, image.startStack],
    [ARG_START, argStart],
    [ARG_END, argEnd],
    [ENV_START, envStart],
    [ENV_END, envEnd]
  ] as const)
    k.mms.setStat(mm, field, addr)
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
