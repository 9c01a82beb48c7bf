/** System calls about ranges of memory that is mapped: advice, locks, what is in memory, what is stored, seals. Floor 8,
 * internal; `Task` has them.
 */
import { Effect } from "effect"
import { madvise as sysMadvise } from "../mm/sys/madvise.ts"
import { mincoreTo } from "../mm/sys/mincore.ts"
import {
  mlock as sysMlock,
  mlockall as sysMlockall,
  munlock as sysMunlock,
  munlockall as sysMunlockall
} from "../mm/sys/mlock.ts"
import { msync as sysMsync } from "../mm/sys/msync.ts"
import { mseal as sysMseal } from "../mm/sys/seal.ts"
import { type Call, call } from "./call.ts"
import type { ErrnoName, Fail } from "./Fail.ts"
import { type Register, wordOf } from "./register.ts"
import { settleAny, settler } from "./settle.ts"

/** Errnos of advice. */
export type AdviceErrno =
  | "EACCES"
  | "EAGAIN"
  | "EBADF"
  | "EBUSY"
  | "EFAULT"
  | "EHWPOISON"
  | "EINVAL"
  | "ENOMEM"
  | "EPERM"

const advised = settler<AdviceErrno>(
  "EACCES",
  "EAGAIN",
  "EBADF",
  "EBUSY",
  "EFAULT",
  "EHWPOISON",
  "EINVAL",
  "ENOMEM",
  "EPERM"
)
/** madvise(2): says how a range will be used, or has something done to it.
 * @param advice - one of `AdviceFlags`
 * @returns EINVAL unaligned, or advice that is unknown or not for such memory | ENOMEM a hole | EAGAIN no memory for it |
 *   EPERM sealed | EACCES, EBADF what REMOVE may not do | EFAULT, EHWPOISON a page that POPULATE cannot have | a driver's veto
 *   of the split
 * @partial areas before the one that failed have the advice; holes are passed over and reported at the end
 * @locks takes mmap_lock, read or write, or an area's own, by the advice
 * @source mm/madvise.c do_madvise (v6.18)
 */
export const madvise = (address: Register, length: Register, advice: Register): Call<void, Fail<AdviceErrno>> =>
  call(
    (k, pid) => sysMadvise(k, pid, wordOf(address), wordOf(length), wordOf(advice)),
    (r) => advised(r, undefined)
  )

const locked = settler("EACCES", "EAGAIN", "EBUSY", "EINVAL", "ENOMEM", "EPERM")
/** mlock(2), and mlock2(2) with flags: keeps a range in memory, and brings its pages in.
 * @param flags - bits of `MlockFlags`; none if absent
 * @returns EINVAL flags, or the range wraps | EPERM no right to lock | ENOMEM above RLIMIT_MEMLOCK, a hole, or a page that
 *   cannot be had | EAGAIN out of memory | a driver's veto of the split
 * @partial areas before a hole are locked; so is one whose pages could not be had
 * @locks takes mmap_lock, write; read, while pages come in
 * @source mm/mlock.c do_mlock (v6.18)
 */
export const mlock = (
  address: Register,
  length: Register,
  flags: Register = 0
): Call<void, Fail<"EACCES" | "EAGAIN" | "EBUSY" | "EINVAL" | "ENOMEM" | "EPERM">> =>
  call(
    (k, pid) => sysMlock(k, pid, wordOf(address), wordOf(length), wordOf(flags)),
    (r) => locked(r, undefined)
  )

const unlocked = settler("EACCES", "EBUSY", "EINVAL", "ENOMEM")
/** munlock(2): a range need not stay in memory.
 * @returns EINVAL the range wraps | ENOMEM a hole, or too many areas | a driver's veto of the split
 * @partial areas before the hole are unlocked
 * @locks takes mmap_lock, write
 * @source mm/mlock.c munlock (v6.18)
 */
export const munlock = (
  address: Register,
  length: Register
): Call<void, Fail<"EACCES" | "EBUSY" | "EINVAL" | "ENOMEM">> =>
  call(
    (k, pid) => sysMunlock(k, pid, wordOf(address), wordOf(length)),
    (r) => unlocked(r, undefined)
  )

const allLocked = settler("EINVAL", "ENOMEM", "EPERM")
/** mlockall(2): keeps all there is in memory, or all that will be mapped, or both. Pages that cannot be had are passed over.
 * @param flags - bits of `MlockallFlags`
 * @returns EINVAL flags | EPERM no right to lock | ENOMEM above RLIMIT_MEMLOCK
 * @locks takes mmap_lock, write; read, while pages come in
 * @source mm/mlock.c mlockall (v6.18)
 */
export const mlockall = (flags: Register): Call<void, Fail<"EINVAL" | "ENOMEM" | "EPERM">> =>
  call(
    (k, pid) => sysMlockall(k, pid, wordOf(flags)),
    (r) => allLocked(r, undefined)
  )

/** munlockall(2): nothing need stay in memory, nor what will be mapped.
 * @locks takes mmap_lock, write
 * @source mm/mlock.c munlockall (v6.18)
 */
export const munlockall: Call<void, never> = call(sysMunlockall, () => Effect.void)

const looked = settler("EINVAL", "ENOMEM")
/** mincore(2): which pages of a range would not have to be read or made.
 * @returns for each page whether it is in memory; also true of a file's pages that the caller may not know of | EINVAL
 *   unaligned | ENOMEM a hole, or outside user space
 * @locks takes mmap_lock, read, 4096 pages at a time
 * @source mm/mincore.c mincore (v6.18)
 */
export const mincore = (address: Register, length: Register): Call<readonly boolean[], Fail<"EINVAL" | "ENOMEM">> =>
  Effect.suspend(() => {
    const bytes: number[] = []
    return call(
      (k, pid) => mincoreTo(k, pid, wordOf(address), wordOf(length), 0, bytes),
      (r) =>
        looked(
          r,
          bytes.map((byte) => (byte & 1) === 1)
        )
    )
  })

/** msync(2): what was written through shared mappings is to reach its storage. Objects of one's own are asked, range by range.
 * @param flags - bits of `MsyncFlags`
 * @returns EINVAL unaligned, or flags | ENOMEM a hole | EBUSY INVALIDATE over locked memory | what an object fails with
 * @locks takes mmap_lock, read; none while an object is asked
 * @source mm/msync.c (v6.18)
 */
export const msync = (address: Register, length: Register, flags: Register): Call<void, Fail<ErrnoName>> =>
  call(
    (k, pid) => sysMsync(k, pid, wordOf(address), wordOf(length), wordOf(flags)),
    (r) => settleAny(r, undefined)
  )

const sealed = settler("EACCES", "EBUSY", "EINVAL", "ENOMEM")
/** mseal(2): a range cannot be unmapped, moved, shrunk or protected otherwise from now on; nor can its data be dropped where
 * it may not be written. There is no way back.
 * @returns EINVAL unaligned, or the range wraps | ENOMEM a hole, then nothing is sealed, or too many areas | a driver's veto of
 *   the split
 * @partial areas before the one that could not be split are sealed
 * @locks takes mmap_lock, write
 * @source mm/mseal.c do_mseal (v6.18)
 */
export const mseal = (
  address: Register,
  length: Register
): Call<void, Fail<"EACCES" | "EBUSY" | "EINVAL" | "ENOMEM">> =>
  call(
    (k, pid) => sysMseal(k, pid, wordOf(address), wordOf(length), 0),
    (r) => sealed(r, undefined)
  )
