/** brk: the heap's end, up or down. Never an errno: the break that holds now. Floor 6.
 * @source mm/mmap.c SYSCALL_DEFINE1(brk), mm/vma.c do_brk_flags (v6.18)
 */
import {
  VM_ACCOUNT,
  VM_EXEC,
  VM_LOCKED,
  VM_MAYEXEC,
  VM_MAYREAD,
  VM_MAYWRITE,
  VM_READ,
  VM_WRITE
} from "../../flags/bits.ts"
import { ENOMEM, OK } from "../../flags/Errno.ts"
import { enoughMemory, mayExpandVm, mlockFutureOk, vmStatAccount } from "../area/account.ts"
import { startGap } from "../area/gap.ts"
import { mergeNewRange } from "../area/merge.ts"
import { enter } from "../area/mm.ts"
import { mmapDowngrade, mmapUnlock, needMmap, READ, tryMmap, WRITE } from "../area/mmap-lock.ts"
import { tellingOfUnmaps, type Unmapped } from "../area/uffd-events.ts"
import { ksmVmaFlags } from "../area/vm-flags.ts"
import { gatherVmas, insertVma, removeVma, unaccountGathered } from "../area/vma.ts"
import type { Verb } from "../base/stop.ts"
import { T_BRK } from "../base/trace.ts"
import { addrOf, pagesUp, registerOf, TASK_PAGES, TASK_SIZE, type Vpn, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { FaultStops } from "../page/fault.ts"
import { BRK, END_DATA, LOCKED_VM, type Mm, START_BRK, START_DATA } from "../store/mms.ts"
import { RLIMIT_DATA } from "../store/tasks.ts"
import { clearGathered } from "./munmap.ts"
import { READ_IMPLIES_EXEC } from "./personality.ts"
import { mmPopulate } from "./populate.ts"

/** Moves the break to byte address `addr`.
 * @returns the new break, or the old one where that was refused
 * @locks takes mmap write; read while pages go
 */
export function* brk(k: Kernel, task: number, addr: Word): Verb<FaultStops> {
  return yield* tellingOfUnmaps(k, (told) => moveBrk(k, task, addr, told))
}

function* moveBrk(k: Kernel, task: number, addr: Word, told: Unmapped[]): Verb<FaultStops> {
  const mm = enter(k, task)
  if (k.runs.preempt) yield k.runs.point()
  if (!tryMmap(k, mm, WRITE)) yield needMmap(k, mm, WRITE)
  let mode = WRITE
  let fill = false
  const old = k.mms.stat(mm, BRK)
  const want = registerOf(addr)
  const to = Number(want)
  const oldPage = pagesUp(old)
  const newPage = pagesUp(addr)
  try {
    if (want < BigInt(k.mms.stat(mm, START_BRK))) return old
    const data = to - k.mms.stat(mm, START_BRK) + (k.mms.stat(mm, END_DATA) - k.mms.stat(mm, START_DATA))
    if (data > k.tasks.rlimit(task, RLIMIT_DATA)) return old
    if (oldPage === newPage && want < BigInt(TASK_SIZE)) {
      k.mms.setStat(mm, BRK, to)
      return to
    }
    if (newPage < oldPage && want <= BigInt(old)) {
      const g = yield* gatherVmas(k, mm, newPage, oldPage, told)
      if (typeof g === "number" || g.vmas.length === 0) return old
      k.mms.setStat(mm, BRK, to)
      unaccountGathered(k, mm, g)
      mmapDowngrade(k, mm)
      mode = READ
      yield* clearGathered(k, mm, g)
      for (const v of g.vmas) yield* removeVma(k, v)
      return to
    }
    if (newPage > TASK_PAGES || newPage < oldPage) return old
    if (!mlockFutureOk(k, mm, k.mms.defFlags(mm), newPage - oldPage)) return old
    // room above: one page, and the guard pages of a stack
    const above = k.maple.find(mm, oldPage)
    if (above !== 0 && newPage + 1 > startGap(k, above)) return old
    const exec = (k.tasks.personality(task) & READ_IMPLIES_EXEC) !== 0 ? VM_EXEC : 0
    const r = yield* grow(k, mm, oldPage, newPage - oldPage, exec)
    if (r < 0) return old
    k.mms.setStat(mm, BRK, to)
    k.trace.point(T_BRK, mm, oldPage, newPage - oldPage)
    fill = (k.mms.defFlags(mm) & VM_LOCKED) !== 0
  } finally {
    mmapUnlock(k, mm, mode)
  }
  if (fill) yield* mmPopulate(k, mm, oldPage, newPage, false)
  return to
}

const DATA_FLAGS = VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC

/** do_brk_flags: private anonymous read-write memory at the old end, by growth of the area there if it fits. */
function* grow(k: Kernel, mm: Mm, at: Vpn, pages: number, exec: number): Verb<"NEED_LOCK" | "PREEMPT"> {
  const lo = ksmVmaFlags(k, mm, exec | DATA_FLAGS | VM_ACCOUNT | k.mms.defFlags(mm), 0)
  if (!mayExpandVm(k, mm, lo, pages)) return ENOMEM
  if (k.maple.size(mm) > k.config.maxMapCount) return ENOMEM
  if (enoughMemory(k, mm, pages) !== OK) return ENOMEM
  const r = yield* growArea(k, mm, at, pages, lo)
  if (r < 0) {
    k.committed -= pages
    return r
  }
  vmStatAccount(k, mm, lo, pages)
  if ((lo & VM_LOCKED) !== 0) k.mms.addStat(mm, LOCKED_VM, pages)
  return OK
}

function* growArea(k: Kernel, mm: Mm, at: Vpn, pages: number, lo: number): Verb<"NEED_LOCK" | "PREEMPT"> {
  const pgoff: number = at // anonymous memory counts its pages from address 0
  const prev = k.maple.below(mm, at)
  // what ends where the heap begins, as a program's last segment may, is not the heap (vma_prev_limit in brk)
  if (prev !== 0 && k.vmas.endOf(prev) === at && addrOf(at) > k.mms.stat(mm, START_BRK)) {
    const range = {
      mm,
      prev,
      middle: 0,
      next: 0,
      start: at,
      end: at + pages,
      pgoff,
      lo,
      hi: 0,
      policy: 0,
      file: 0,
      anon: 0,
      uffd: 0,
      copiedFrom: 0,
      justExpand: true
    }
    const merged = yield* mergeNewRange(k, range)
    if (merged !== 0) return merged
  }
  const v = k.vmas.alloc(mm, at, at + pages)
  if (v === 0) return ENOMEM
  if (!k.maple.reserve(1)) {
    k.vmas.free(v)
    return ENOMEM
  }
  k.vmas.setFlags(v, lo, 0)
  k.vmas.setPgoff(v, pgoff)
  insertVma(k, v)
  return v
}
