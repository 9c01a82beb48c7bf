/** Processes as files, and advice about their memory. Floor 8, internal; `Task` has them. */
import { pidfdOpen as sysPidfdOpen } from "../mm/sys/pidfd.ts"
import { processMadviseFd } from "../mm/sys/process-madvise.ts"
import { type Call, call, type PlainCall, plainCall } from "./call.ts"
import type { Fail } from "./Fail.ts"
import type { Fd } from "./file-calls.ts"
import type { AdviceErrno } from "./range-calls.ts"
import { type Register, wordOf } from "./register.ts"
import { settler } from "./settle.ts"

const opened = settler("EINVAL", "EMFILE", "ENFILE", "ESRCH")
/** pidfd_open(2): a descriptor that goes on naming a process, also when it has ended. `poll` says when it has.
 * @param flags - bits of `PidfdFlags`; none if absent
 * @returns descriptor, closed by exec | EINVAL flags, or no possible pid | ESRCH no such process | ENFILE, EMFILE too many files
 * @source kernel/pid.c pidfd_open (v6.18)
 */
export const pidfdOpen = (
  pid: Register,
  flags: Register = 0
): PlainCall<Fd<never>, Fail<"EINVAL" | "EMFILE" | "ENFILE" | "ESRCH">> =>
  plainCall(
    (k, task) => sysPidfdOpen(k, task, wordOf(pid), wordOf(flags)),
    (number) => opened(number, { number })
  )

const advised = settler<AdviceErrno | "ESRCH">(
  "EACCES",
  "EAGAIN",
  "EBADF",
  "EBUSY",
  "EFAULT",
  "EHWPOISON",
  "EINVAL",
  "ENOMEM",
  "EPERM",
  "ESRCH"
)
/** process_madvise(2): advice about ranges of a process's memory, its own or another's.
 * @param pidfd - of `pidfdOpen`; `Task.fd(PidfdFlags.SELF_PROCESS)` is the caller
 * @param vector - address of `count` structs iovec in the caller's memory: address and bytes of a range, 8 bytes each
 * @param count - ranges, 1024 at most
 * @param advice - one of `AdviceFlags`; of another's memory COLD, PAGEOUT, WILLNEED or COLLAPSE
 * @param flags - must be 0
 * @returns bytes of the ranges that have the advice | EBADF no descriptor of a process | ESRCH it has no memory any more |
 *   EACCES its memory may not be looked at | EPERM another's, without CAP_SYS_NICE; sealed | EFAULT the vector, or a range
 *   outside user space | EINVAL flags, too many ranges, a length above 2^63, or as `madvise` | the rest as `madvise`
 * @partial fewer bytes, where a range after the first failed; what of that range was done stays
 * @locks takes mmap_lock of that process, read or write, or an area's own, by the advice
 * @source mm/madvise.c process_madvise, vector_madvise (v6.18)
 */
export const processMadvise = (
  pidfd: Fd<unknown>,
  vector: Register,
  count: Register,
  advice: Register,
  flags: Register = 0
): Call<number, Fail<AdviceErrno | "ESRCH">> =>
  call(
    (k, pid) => processMadviseFd(k, pid, pidfd.number, wordOf(vector), wordOf(count), wordOf(advice), wordOf(flags)),
    (r) => advised(r, r)
  )
