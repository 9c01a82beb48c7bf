/** shmctl: what is known of a segment, and what may be done to it by its identifier. Floor 6.
 *
 * The core passes records; `shmctl` itself reads and writes them in the caller's memory, laid out as x86-64 has them.
 * UNLIKE LINUX: the three times of a segment are 0, since this machine has no clock.
 * @source ipc/shm.c ksys_shmctl, shmctl_stat, shmctl_down, shmctl_do_lock (v6.18)
 */
import { EACCES, EFAULT, EINVAL, ENOMEM, EPERM, OK } from "../../flags/Errno.ts"
import type { Verb } from "../base/stop.ts"
import { lowBits, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { destroy, lockSegment, mayLockShared, SHM_DEST, unlockSegment } from "../object/shm.ts"
import type { FaultStops } from "../page/fault.ts"
import { SHM_LOCKED, type Segment } from "../store/shm.ts"
import { CAP_IPC_LOCK, CAP_SYS_ADMIN, RLIMIT_MEMLOCK, type Task } from "../store/tasks.ts"
import { mayAccess } from "./shm.ts"
import { copyFromUser, copyToUser } from "./usercopy.ts"

export const IPC_RMID = 0
export const IPC_SET = 1
export const IPC_STAT = 2
export const IPC_INFO = 3
export const SHM_LOCK = 11
export const SHM_UNLOCK = 12
export const SHM_STAT = 13
export const SHM_INFO = 14
export const SHM_STAT_ANY = 15

/** What IPC_SET changes. */
export interface Permissions {
  readonly uid: number
  readonly gid: number
  /** The low nine bits count. */
  readonly mode: number
}

/** Marks a segment for removal: its key is nobody's from now on, and it goes with its last attachment, or at once.
 * @returns OK | EINVAL no such segment | EPERM not its owner, nor its creator
 */
export function shmRemove(k: Kernel, task: Task, id: number): number {
  const s = k.shm.find(id)
  if (s === undefined) return EINVAL
  if (!isOwner(k, task, s)) return EPERM
  if (s.attached === 0) destroy(k, s)
  else {
    s.mode |= SHM_DEST
    s.key = 0
  }
  return OK
}

/** Gives a segment another owner and other permission bits.
 * @returns as `shmRemove` | EINVAL no such user
 */
export function shmSet(k: Kernel, task: Task, id: number, want: Permissions): number {
  const s = k.shm.find(id)
  if (s === undefined) return EINVAL
  if (!isOwner(k, task, s)) return EPERM
  if ((want.uid | 0) === -1 || (want.gid | 0) === -1) return EINVAL
  s.uid = want.uid
  s.gid = want.gid
  s.mode = (s.mode & ~0o777) | (want.mode & 0o777)
  return OK
}

/** The segment, for who may read it.
 * @returns the segment | EINVAL none | EACCES
 */
export function shmStat(k: Kernel, task: Task, id: number): Segment | number {
  const s = k.shm.find(id)
  if (s === undefined) return EINVAL
  return mayAccess(k, task, s, 0o444) ? s : EACCES
}

/** Keeps a segment in memory, or lets it go. Its areas do not show it, nor does what its users have locked.
 * @returns OK | EINVAL no such segment | EPERM not its owner, or no right to lock | ENOMEM above RLIMIT_MEMLOCK
 */
export function shmLock(k: Kernel, task: Task, id: number, command: typeof SHM_LOCK | typeof SHM_UNLOCK): number {
  const s = k.shm.find(id)
  if (s === undefined) return EINVAL
  const free = k.tasks.capable(task, CAP_IPC_LOCK)
  const uid = k.tasks.uid(task)
  const limit = k.tasks.rlimit(task, RLIMIT_MEMLOCK)
  if (!free && uid !== s.uid && uid !== s.creatorUid) return EPERM
  if (command === SHM_UNLOCK) {
    unlockSegment(k, s)
    return OK
  }
  if (!free && limit === 0) return EPERM
  const isHuge = k.files.unit(s.obj) !== 0 // never paged out, locked or not
  if (isHuge || (s.mode & SHM_LOCKED) !== 0) return OK
  if (!free && !mayLockShared(k, task, Math.ceil(s.sizeBytes / 4096))) return ENOMEM
  lockSegment(k, s, uid)
  return OK
}

const isOwner = (k: Kernel, task: Task, s: Segment): boolean => {
  const uid = k.tasks.uid(task)
  return uid === s.uid || uid === s.creatorUid || k.tasks.capable(task, CAP_SYS_ADMIN)
}

/** Performs one of the commands above on segment `id`; `buffer` is an address in the caller's memory.
 * @param id - SHM_STAT and SHM_STAT_ANY: an index; the INFOs: anything
 * @returns OK | SHM_STAT, SHM_STAT_ANY: the identifier | the INFOs: the highest index in use | EINVAL no such command or
 *   segment | EFAULT | EACCES, EPERM, ENOMEM as above
 */
export function* shmctl(k: Kernel, task: Task, id: Word, command: Word, buffer: Word): Verb<FaultStops> {
  const row = lowBits(id)
  if (row < 0) return EINVAL
  switch (lowBits(command)) {
    case IPC_RMID:
      return shmRemove(k, task, row)
    case IPC_SET: {
      const bytes = new Uint8Array(DS_BYTES)
      if ((yield* copyFromUser(k, k.tasks.mm(task), buffer, bytes)) !== 0) return EFAULT
      const from = new DataView(bytes.buffer)
      return shmSet(k, task, row, {
        uid: from.getUint32(4, true),
        gid: from.getUint32(8, true),
        mode: from.getUint32(20, true)
      })
    }
    case SHM_LOCK:
      return shmLock(k, task, row, SHM_LOCK)
    case SHM_UNLOCK:
      return shmLock(k, task, row, SHM_UNLOCK)
    case IPC_STAT: {
      const s = shmStat(k, task, row)
      return typeof s === "number" ? s : yield* answer(k, task, buffer, dsOf(s), OK)
    }
    case SHM_STAT:
    case SHM_STAT_ANY: {
      const s = k.shm.byIndex(row)
      if (s === undefined) return EINVAL
      if (lowBits(command) === SHM_STAT && !mayAccess(k, task, s, 0o444)) return EACCES
      return yield* answer(k, task, buffer, dsOf(s), s.id)
    }
    case IPC_INFO:
      return yield* answer(k, task, buffer, limitsOf(k), k.shm.highest())
    case SHM_INFO:
      return yield* answer(k, task, buffer, usageOf(k), k.shm.highest())
    default:
      return EINVAL
  }
}

function* answer(k: Kernel, task: Task, buffer: Word, bytes: Uint8Array, value: number): Verb<FaultStops> {
  return (yield* copyToUser(k, k.tasks.mm(task), buffer, bytes)) === 0 ? value : EFAULT
}

const DS_BYTES = 112

/** struct shmid_ds: 0 key, uid, gid, creator's uid and gid, mode, sequence; 48 size, three times; 80 pids; 88 attachments. */
function dsOf(s: Segment): Uint8Array {
  const to = new DataView(new ArrayBuffer(DS_BYTES))
  const words = [s.key, s.uid, s.gid, s.creatorUid, s.creatorGid, s.mode, s.id >> 15]
  words.forEach((word, i) => to.setInt32(4 * i, word, true))
  to.setBigUint64(48, BigInt(s.sizeBytes), true)
  to.setInt32(80, s.creatorPid, true)
  to.setInt32(84, s.lastPid, true)
  to.setBigUint64(88, BigInt(s.attached), true)
  return new Uint8Array(to.buffer)
}

/** struct shminfo: most bytes and least bytes of a segment, most segments, most of one process, most pages. */
function limitsOf(k: Kernel): Uint8Array {
  const { shmall, shmmax, shmmni } = k.config
  const to = new DataView(new ArrayBuffer(72))
  const words = [shmmax, 1, shmmni, shmmni, shmall]
  words.forEach((word, i) => to.setBigUint64(8 * i, BigInt(word), true))
  return new Uint8Array(to.buffer)
}

/** struct shm_info: segments, their pages, how many of these are in memory; of swap there is none. */
function usageOf(k: Kernel): Uint8Array {
  const to = new DataView(new ArrayBuffer(48))
  let resident = 0
  for (const s of k.shm.all()) resident += k.files.cached(s.obj)
  to.setInt32(0, k.shm.live, true)
  to.setBigUint64(8, BigInt(k.shm.pages), true)
  to.setBigUint64(16, BigInt(resident), true)
  return new Uint8Array(to.buffer)
}
