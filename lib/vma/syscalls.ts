/** System calls that map memory, and change what is mapped. Floor 8, internal; `Task` has them. */
import { Effect } from "effect"
import { nameOf } from "../flags/Errno.ts"
import { brk as sysBrk } from "../mm/sys/brk.ts"
import { mmap as sysMmap } from "../mm/sys/mmap.ts"
import { mprotect as sysMprotect } from "../mm/sys/mprotect.ts"
import { mremap as sysMremap } from "../mm/sys/mremap.ts"
import { munmap as sysMunmap } from "../mm/sys/munmap.ts"
import { remapFilePages as sysRemapFilePages } from "../mm/sys/remap-file-pages.ts"
import { type Call, call } from "./call.ts"
import { type ErrnoName, type Fail, make } from "./Fail.ts"
import { type Fd, mapping, mappingAny, none } from "./file-calls.ts"
import { hookFailure, unitOf } from "./raw.ts"
import { type Register, wordOf } from "./register.ts"
import { settleAny, settler } from "./settle.ts"
import type { PageAligned, UserAddr } from "./unit.ts"

/** What mmap(2) is asked. */
export interface MmapRequest<out E = never> {
  /** Where; a hint, unless `flags` say FIXED. 0 if absent: anywhere. */
  readonly address?: Register
  /** Bytes; rounded up to pages. */
  readonly length: Register
  /** Bits of `ProtFlags`. */
  readonly prot: Register
  /** Bits of `MapFlags`. */
  readonly flags: Register
  /** Open file; none if absent. */
  readonly fd?: Fd<E>
  /** Byte offset within the file; 0 if absent. */
  readonly offset?: Register
}

/** Errnos of mmap(2) itself. */
type MmapErrno =
  | "EACCES"
  | "EAGAIN"
  | "EBADF"
  | "EEXIST"
  | "EINVAL"
  | "ENODEV"
  | "ENOMEM"
  | "EOPNOTSUPP"
  | "EOVERFLOW"
  | "EPERM"

/** mmap(2).
 * @returns address | the errnos of docs/spec/linux-mm.md, in its order | what the driver's mmap hook fails with
 * @partial where the hook of a FIXED mapping fails, what was there is gone
 * @locks takes mmap_lock, write
 * @source mm/mmap.c ksys_mmap_pgoff (v6.18)
 */
export const mmap = <E = never>(request: MmapRequest<E>): Call<PageAligned<UserAddr>, E | Fail<MmapErrno>> => {
  const { address = 0, fd: file = none, flags, length, offset = 0, prot } = request
  return mapping(
    file,
    call(
      (k, pid) =>
        sysMmap(k, pid, wordOf(address), wordOf(length), wordOf(prot), wordOf(flags), file.number, wordOf(offset)),
      (r): Effect.Effect<PageAligned<UserAddr>, E | Fail<MmapErrno>> =>
        r >= 0 ? Effect.succeed(unitOf(r)) : Effect.fail(hookFailure(make(nameOf(r) ?? "EINVAL")))
    )
  )
}

const unmapped = settler("EINVAL", "ENOMEM", "EPERM", "EACCES", "EBUSY")
/** munmap(2): removes every mapping of a range; holes are fine.
 * @returns EINVAL unaligned, empty or outside user space | ENOMEM too many areas | EPERM sealed | a driver's veto of the split
 * @partial on EPERM and ENOMEM the first area may stay split
 * @locks takes mmap_lock, write; lets readers in while pages go
 * @source mm/mmap.c __vm_munmap (v6.18)
 */
export const munmap = (
  address: Register,
  length: Register
): Call<void, Fail<"EINVAL" | "ENOMEM" | "EPERM" | "EACCES" | "EBUSY">> =>
  call(
    (k, pid) => sysMunmap(k, pid, wordOf(address), wordOf(length)),
    (r) => unmapped(r, undefined)
  )

/** What mremap(2) is asked. */
export interface MremapRequest {
  /** Where the mapping is. */
  readonly address: Register
  /** Bytes of it, rounded up to pages; 0 makes another mapping of shared memory. */
  readonly oldLength: Register
  /** Bytes it is to have; rounded up to pages. */
  readonly newLength: Register
  /** Bits of `MremapFlags`; 0 if absent: where it is, or not at all. */
  readonly flags?: Register
  /** Where it is to be, with FIXED or DONTUNMAP. */
  readonly newAddress?: Register
}

/** mremap(2): changes the length or the place of a mapping.
 * @returns address | EINVAL flags, unaligned, overlapping, no such length | EFAULT nothing that can be remapped | ENOMEM no
 *   room, or a limit | EAGAIN the limit of locked memory | EPERM sealed | a driver's veto of the split | what an object that
 *   is mapped answers
 * @partial with FIXED the target may be gone, the source shrunk, and the first of several areas moved
 * @locks takes mmap_lock, write; lets readers in while a tail goes
 * @source mm/mremap.c do_mremap (v6.18)
 */
export const mremap = (request: MremapRequest): Call<PageAligned<UserAddr>, Fail<ErrnoName>> => {
  const { address, flags = 0, newAddress = 0, newLength, oldLength } = request
  return call(
    (k, pid) =>
      sysMremap(k, pid, wordOf(address), wordOf(oldLength), wordOf(newLength), wordOf(flags), wordOf(newAddress)),
    (r) => settleAny(r, unitOf<PageAligned<UserAddr>>(r))
  )
}

/** remap_file_pages(2): maps another part of the file that is mapped at `address`, in place of what is there.
 * @param address - in a shared mapping; rounded down to pages
 * @param length - bytes, rounded down to pages
 * @param prot - must be 0: access stays as it is
 * @param page - of the file, where the part begins: pages, not bytes
 * @param flags - MapFlags.NONBLOCK: its pages need not come in now; other bits are ignored. 0 if absent
 * @returns EINVAL `prot`, no whole page, no shared mapping there, or areas of different files or flags | as `mmap` | what the
 *   driver's mmap hook fails with
 * @partial as `mmap` with FIXED: where the hook fails, what was there is gone
 * @locks takes mmap_lock, read, to look, then write; read, while pages come in
 * @source mm/mmap.c remap_file_pages (v6.18)
 */
export const remapFilePages = (
  address: Register,
  length: Register,
  prot: Register,
  page: Register,
  flags: Register = 0
): Call<void, Fail<ErrnoName>> =>
  mappingAny(
    call(
      (k, pid) => sysRemapFilePages(k, pid, wordOf(address), wordOf(length), wordOf(prot), wordOf(page), wordOf(flags)),
      (r) => settleAny(r, undefined)
    )
  )

const protected_ = settler("EACCES", "EBUSY", "EINVAL", "ENOMEM", "EPERM")
/** mprotect(2): changes what a range may be used for.
 * @returns EINVAL unaligned, or unknown bits | ENOMEM a hole, or a limit | EACCES a right that may not be had | EPERM sealed |
 *   a driver's veto of the split
 * @partial areas before the one that failed keep their change
 * @locks takes mmap_lock, write
 * @source mm/mprotect.c do_mprotect_pkey (v6.18)
 */
export const mprotect = (
  address: Register,
  length: Register,
  prot: Register
): Call<void, Fail<"EACCES" | "EBUSY" | "EINVAL" | "ENOMEM" | "EPERM">> =>
  call(
    (k, pid) => sysMprotect(k, pid, wordOf(address), wordOf(length), wordOf(prot)),
    (r) => protected_(r, undefined)
  )

/** brk(2): moves the end of the heap. Never an errno.
 * @param address - 0 asks where it is
 * @returns the break that holds now: the old one, where the new one was refused
 * @locks takes mmap_lock, write
 * @source mm/mmap.c brk (v6.18)
 */
export const brk = (address: Register): Call<UserAddr, never> =>
  call(
    (k, pid) => sysBrk(k, pid, wordOf(address)),
    (r) => Effect.succeed(unitOf<UserAddr>(r))
  )
