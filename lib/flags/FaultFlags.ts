/** How a page was touched, and what came of it.
 * @source include/linux/mm_types.h enum fault_flag, enum vm_fault_reason (v6.18)
 */

/** A read. */
export const READ = 0
/** A write. */
export const WRITE = 1
/** An instruction fetch. */
export const FETCH = 2
/** How memory is touched. */
export type Access = 0 | 1 | 2

/** The entry is good now. */
export const FAULT_OK = 0
/** SIGSEGV, SEGV_MAPERR: nothing is mapped there. */
export const FAULT_MAPERR = 1
/** SIGSEGV, SEGV_ACCERR: mapped, but not for this access. */
export const FAULT_ACCERR = 2
/** SIGBUS, BUS_ADRERR: beyond the object's end, or the object failed. */
export const FAULT_SIGBUS = 3
/** No frame or no table left. */
export const FAULT_OOM = 4
/** SIGSEGV, SI_KERNEL: not a canonical address. */
export const FAULT_GP = 5
/** Killed while it waited. */
export const FAULT_KILLED = 6
/** SIGBUS, BUS_ADRERR: a poison marker. This machine has no memory failure handling; with it, BUS_MCEERR_AR. */
export const FAULT_HWPOISON = 7
