/** System V shared memory: segments that live until they are removed, whoever is attached. Floor 8, internal; `Task` has
 * the names.
 */
import { Effect } from "effect"
import { lowBits } from "../mm/base/units.ts"
import type { Segment } from "../mm/store/shm.ts"
import { shmat as sysShmat, shmdt as sysShmdt, shmget as sysShmget } from "../mm/sys/shm.ts"
import {
  SHM_LOCK,
  SHM_UNLOCK,
  shmLock as sysShmLock,
  shmRemove as sysShmRemove,
  shmSet as sysShmSet,
  shmStat as sysShmStat
} from "../mm/sys/shmctl.ts"
import { type Call, call, type PlainCall, plainCall } from "./call.ts"
import type { Fail } from "./Fail.ts"
import { neverRead, unitOf } from "./raw.ts"
import { type Register, wordOf } from "./register.ts"
import { settler } from "./settle.ts"
import type { PageAligned, UserAddr } from "./unit.ts"

const got = settler("EACCES", "EEXIST", "EINVAL", "ENOENT", "ENOMEM", "ENOSPC", "EPERM")
/** shmget(2): finds the segment with a key, or makes one.
 * @param key - `ShmFlags.PRIVATE`: always a new one
 * @param size - bytes; of one that is there, at most what it has
 * @param flags - bits of `ShmFlags`, and nine permission bits; none if absent
 * @returns identifier | ENOENT no such key, and no CREAT | EEXIST there is one, and EXCL | EINVAL no such size | EACCES | ENOSPC
 *   as many, or as much, as there may be | ENOMEM | EPERM no right to huge pages
 * @source ipc/shm.c ksys_shmget, newseg (v6.18)
 */
export const shmget = (
  key: Register,
  size: Register,
  flags: Register = 0
): PlainCall<number, Fail<"EACCES" | "EEXIST" | "EINVAL" | "ENOENT" | "ENOMEM" | "ENOSPC" | "EPERM">> =>
  plainCall(
    (k, pid) => sysShmget(k, pid, wordOf(key), wordOf(size), wordOf(flags)),
    (id) => got(id, id)
  )

const attached = settler("EACCES", "EAGAIN", "EBUSY", "EINVAL", "ENOMEM", "EPERM")
/** shmat(2): maps a segment, whole.
 * @param address - 0 if absent: anywhere
 * @param flags - bits of `ShmFlags`; none if absent
 * @returns address | EINVAL no such segment, unaligned without RND, something is there without REMAP | EACCES | ENOMEM no room,
 *   or a limit | EAGAIN the limit of locked memory | EPERM REMAP over what is sealed, or an address below all | a driver's veto
 *   of a split
 * @locks takes mmap_lock, write
 * @source ipc/shm.c do_shmat (v6.18)
 */
export const shmat = (
  id: Register,
  address: Register = 0,
  flags: Register = 0
): Call<PageAligned<UserAddr>, Fail<"EACCES" | "EAGAIN" | "EBUSY" | "EINVAL" | "ENOMEM" | "EPERM">> =>
  call(
    (k, pid) => sysShmat(k, pid, wordOf(id), wordOf(address), wordOf(flags)),
    (r) => attached(r, unitOf<PageAligned<UserAddr>>(r))
  )

const detached = settler("EINVAL")
/** shmdt(2): unmaps what was attached at an address, all that is left of it.
 * @returns EINVAL unaligned, or nothing was attached there
 * @partial what is sealed stays, and nobody hears of it
 * @locks takes mmap_lock, write
 * @source ipc/shm.c ksys_shmdt (v6.18)
 */
export const shmdt = (address: Register): Call<void, Fail<"EINVAL">> =>
  call(
    (k, pid) => sysShmdt(k, pid, wordOf(address)),
    (r) => detached(r, undefined)
  )

/** What is known of a segment. */
export interface SegmentInfo {
  /** Identifier. */
  readonly id: number
  /** `ShmFlags.PRIVATE` for one without, and for one that is to be removed. */
  readonly key: number
  /** Bytes. */
  readonly size: number
  /** User who owns it. */
  readonly uid: number
  /** Group that owns it. */
  readonly gid: number
  /** User who made it. */
  readonly creatorUid: number
  /** Group of who made it. */
  readonly creatorGid: number
  /** Nine permission bits, 0o1000 to be removed, 0o2000 locked. */
  readonly mode: number
  /** Process that made it. */
  readonly creator: number
  /** Process that attached or detached it last; 0 none. */
  readonly last: number
  /** Attachments; a fork makes one more of each. */
  readonly attachments: number
}

const known = settler("EACCES", "EINVAL")
/** shmctl(2) IPC_STAT.
 * @returns the segment, as it is now | EINVAL no such segment | EACCES
 * @source ipc/shm.c shmctl_stat (v6.18)
 */
export const shmStat = (id: Register): PlainCall<SegmentInfo, Fail<"EACCES" | "EINVAL">> =>
  plainCall(
    (k, pid) => sysShmStat(k, pid, intOf(id)),
    (s) => (typeof s === "number" ? known(s, neverRead()) : Effect.succeed(infoOf(s)))
  )

const infoOf = (s: Segment): SegmentInfo => ({
  id: s.id,
  key: s.key,
  size: s.sizeBytes,
  uid: s.uid,
  gid: s.gid,
  creatorUid: s.creatorUid,
  creatorGid: s.creatorGid,
  mode: s.mode,
  creator: s.creatorPid,
  last: s.lastPid,
  attachments: s.attached
})

const changed = settler("EINVAL", "EPERM")
/** shmctl(2) IPC_SET: gives a segment another owner and other permission bits.
 * @returns EINVAL no such segment, no such user or group | EPERM not its owner, nor its creator
 * @source ipc/shm.c shmctl_down (v6.18)
 */
export const shmSet = (
  id: Register,
  { gid, mode, uid }: { readonly uid: Register; readonly gid: Register; readonly mode: Register }
): PlainCall<void, Fail<"EINVAL" | "EPERM">> =>
  plainCall(
    (k, pid) => sysShmSet(k, pid, intOf(id), { gid: intOf(gid) >>> 0, mode: intOf(mode), uid: intOf(uid) >>> 0 }),
    (r) => changed(r, undefined)
  )

/** shmctl(2) IPC_RMID: nobody finds it by its key any more, and it goes with its last attachment, or at once.
 * @returns EINVAL no such segment | EPERM not its owner, nor its creator
 * @source ipc/shm.c do_shm_rmid (v6.18)
 */
export const shmRemove = (id: Register): PlainCall<void, Fail<"EINVAL" | "EPERM">> =>
  plainCall(
    (k, pid) => sysShmRemove(k, pid, intOf(id)),
    (r) => changed(r, undefined)
  )

const locked = settler("EINVAL", "ENOMEM", "EPERM")
/** shmctl(2) SHM_LOCK: keeps a segment in memory. Areas do not show it.
 * @returns EINVAL no such segment | EPERM not its owner, or no right to lock | ENOMEM above RLIMIT_MEMLOCK
 * @source ipc/shm.c shmctl_do_lock (v6.18)
 */
export const shmLock = (id: Register): PlainCall<void, Fail<"EINVAL" | "ENOMEM" | "EPERM">> =>
  plainCall(
    (k, pid) => sysShmLock(k, pid, intOf(id), SHM_LOCK),
    (r) => locked(r, undefined)
  )

/** shmctl(2) SHM_UNLOCK: it need not stay in memory.
 * @returns EINVAL no such segment | EPERM not its owner
 * @source ipc/shm.c shmctl_do_lock (v6.18)
 */
export const shmUnlock = (id: Register): PlainCall<void, Fail<"EINVAL" | "EPERM">> =>
  plainCall(
    (k, pid) => sysShmLock(k, pid, intOf(id), SHM_UNLOCK),
    (r) => changed(r, undefined)
  )

/** What the kernel reads of a register that is 32 bits wide. */
const intOf = (register: Register): number => lowBits(wordOf(register))
