/** Who has how much: statistics by class, limits, commitments. Floor 3.
 * @source mm/vma.c vm_stat_account, may_expand_vm; mm/util.c __vm_enough_memory; mm/mmap.c mlock_future_ok (v6.18)
 */
import { VM_EXEC, VM_GROWSDOWN, VM_HUGETLB, VM_LOCKED, VM_NORESERVE, VM_SHARED, VM_WRITE } from "../../flags/bits.ts"
import { ENOMEM, OK } from "../../flags/Errno.ts"
import type { Kernel } from "../kernel.ts"
import { DATA_VM, EXEC_VM, LOCKED_VM, type Mm, STACK_VM, TOTAL_VM } from "../store/mms.ts"
import { CAP_IPC_LOCK, CAP_SYS_ADMIN, RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK } from "../store/tasks.ts"
import { taskFor } from "./mm.ts"

const EXEC_CLASS = VM_EXEC | VM_WRITE | VM_GROWSDOWN
const DATA_CLASS = VM_WRITE | VM_SHARED | VM_GROWSDOWN

export const isExecMapping = (lo: number): boolean => (lo & EXEC_CLASS) === VM_EXEC
export const isStackMapping = (lo: number): boolean => (lo & VM_GROWSDOWN) !== 0
export const isDataMapping = (lo: number): boolean => (lo & DATA_CLASS) === VM_WRITE
/** Private, writable, not exempt: such memory is charged when it is mapped. */
export const isAccountable = (lo: number): boolean =>
  (lo & (VM_NORESERVE | VM_SHARED | VM_WRITE | VM_HUGETLB)) === VM_WRITE

/** Adds `pages` (or takes, if negative) of memory with flags `lo` to the statistics of `mm`. */
export function vmStatAccount(k: Kernel, mm: Mm, lo: number, pages: number): void {
  k.mms.addStat(mm, TOTAL_VM, pages)
  if (isExecMapping(lo)) k.mms.addStat(mm, EXEC_VM, pages)
  else if (isStackMapping(lo)) k.mms.addStat(mm, STACK_VM, pages)
  else if (isDataMapping(lo)) k.mms.addStat(mm, DATA_VM, pages)
}

const limitPages = (bytes: number): number => Math.floor(bytes / 4096)

/** May `mm` have `pages` more of such memory? RLIMIT_AS, and RLIMIT_DATA for data; a soft data limit of 0 means the hard one. */
export function mayExpandVm(k: Kernel, mm: Mm, lo: number, pages: number): boolean {
  const t = taskFor(k, mm)
  if (k.mms.stat(mm, TOTAL_VM) + pages > limitPages(k.tasks.rlimit(t, RLIMIT_AS))) return false
  if (!isDataMapping(lo)) return true
  const want = k.mms.stat(mm, DATA_VM) + pages
  if (want <= limitPages(k.tasks.rlimit(t, RLIMIT_DATA))) return true
  return k.tasks.rlimit(t, RLIMIT_DATA) === 0 && want <= limitPages(k.tasks.rlimitMax(t, RLIMIT_DATA))
}

/** Pages that overcommit mode 2 promises at most (CommitLimit). There is no swap. */
export function commitLimit(k: Kernel): number {
  const { overcommitKbytes, overcommitRatio, ramPages } = k.config
  return Math.floor(overcommitKbytes > 0 ? overcommitKbytes / 4 : (ramPages * overcommitRatio) / 100)
}

/** Charges `pages`, which `mm` (0 nobody) is to have, against what the machine promises: mode 0 looks at the request alone,
 * mode 1 at nothing, mode 2 at everything that is promised.
 * @returns OK | ENOMEM, nothing charged
 */
export function enoughMemory(k: Kernel, mm: Mm, pages: number): number {
  const { overcommit } = k.config
  if (overcommit === 0 && pages > k.config.ramPages) return ENOMEM
  if (overcommit === 2 && k.committed + pages >= allowance(k, mm)) return ENOMEM
  k.committed += pages
  return OK
}

/** The limit, less what is kept for root, and less what its own size takes from a process, so that its user can recover. */
function allowance(k: Kernel, mm: Mm): number {
  const { adminReserveKbytes, userReserveKbytes } = k.config
  const forRoot = k.tasks.capable(taskFor(k, mm), CAP_SYS_ADMIN) ? 0 : Math.floor(adminReserveKbytes / 4)
  const own = Math.min(Math.floor(k.mms.stat(mm, TOTAL_VM) / 32), Math.floor(userReserveKbytes / 4))
  return commitLimit(k) - forRoot - own
}

/** May `pages` more be locked, if flags `lo` say that they will be? */
export function mlockFutureOk(k: Kernel, mm: Mm, lo: number, pages: number): boolean {
  const t = taskFor(k, mm)
  if ((lo & VM_LOCKED) === 0 || k.tasks.capable(t, CAP_IPC_LOCK)) return true
  return k.mms.stat(mm, LOCKED_VM) + pages <= limitPages(k.tasks.rlimit(t, RLIMIT_MEMLOCK))
}

/** Has the task any right to lock memory? */
export const canDoMlock = (k: Kernel, t: number): boolean =>
  k.tasks.rlimit(t, RLIMIT_MEMLOCK) !== 0 || k.tasks.capable(t, CAP_IPC_LOCK)
