/** shmget, shmat, shmdt: System V shared memory. Floor 6. What is asked of a segment by its identifier: `shmctl.ts`.
 * @source ipc/shm.c newseg, do_shmat, ksys_shmdt; ipc/util.c ipcget, ipcperms (v6.18)
 */
import * as SHM from "../../flags/ShmFlags.ts"
import { EACCES, EEXIST, EINVAL, ENOENT, ENOMEM, ENOSPC, EPERM, OK } from "../../flags/Errno.ts"
import { VM_LOCKED } from "../../flags/bits.ts"
import { FIXED, SHARED } from "../../flags/MapFlags.ts"
import { EXEC, READ, WRITE } from "../../flags/ProtFlags.ts"
import { mmapUnlock, needMmap, tryMmap, WRITE as WRITE_MODE } from "../area/mmap-lock.ts"
import { fput, putObject } from "../area/object.ts"
import { OPS_SHM } from "../area/ops.ts"
import type { Verb } from "../base/stop.ts"
import { enter } from "../area/mm.ts"
import { addrOf, lowBits, offsetInPage, pageOf, pagesUp, registerOf, type Vpn, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { hugetlbObject, hugeUnit } from "../object/hugetlb.ts"
import { dropAttachment, mayLockShared } from "../object/shm.ts"
import { shmemSetup } from "../object/shmem.ts"
import type { FaultStops } from "../page/fault.ts"
import { FILE_SHM, FILE_SHMEM, FMODE_READ, FMODE_WRITE } from "../store/files.ts"
import type { Mm } from "../store/mms.ts"
import type { Segment } from "../store/shm.ts"
import { CAP_IPC_LOCK, CAP_IPC_OWNER, type Task } from "../store/tasks.ts"
import type { Vma } from "../store/vmas.ts"
import { hugeLength, hugeLog } from "./hugetlb.ts"
import { doMmap } from "./mmap.ts"
import type { Request } from "./mmap-region.ts"
import { unmapRange } from "./munmap.ts"
import { mmPopulate } from "./populate.ts"

const PERMISSIONS = 0o777
/** MAX_LFS_FILESIZE. */
const MOST_BYTES = 2n ** 63n - 1n

/** Finds the segment with `key`, or makes one of `size` bytes.
 * @param flags - IPC_CREAT, IPC_EXCL, SHM_HUGETLB, SHM_NORESERVE and permission bits
 * @returns identifier | EINVAL a size below 1 or above kernel.shmmax for a new one, above its own for one that is there |
 *   ENOENT no such key | EEXIST | EACCES | ENOSPC as many, or as much, as there may be | ENOMEM | EPERM no right to huge pages
 */
export function shmget(k: Kernel, task: Task, key: Word, size: Word, flags: Word): number {
  const name = lowBits(key)
  const fl = lowBits(flags)
  const found = name === SHM.PRIVATE ? undefined : k.shm.byKey(name)
  if (found === undefined) {
    return name !== SHM.PRIVATE && (fl & SHM.CREAT) === 0 ? ENOENT : newSegment(k, task, name, size, fl)
  }
  if ((fl & (SHM.CREAT | SHM.EXCL)) === (SHM.CREAT | SHM.EXCL)) return EEXIST
  if (registerOf(size) > BigInt(found.sizeBytes)) return EINVAL
  return mayAccess(k, task, found, fl) ? found.id : EACCES
}

function newSegment(k: Kernel, task: Task, key: number, size: Word, fl: number): number {
  const { shmall, shmmax, shmmni, overcommit } = k.config
  const bytes = registerOf(size)
  if (bytes < 1n || bytes > BigInt(shmmax)) return EINVAL
  const pages = pagesUp(size)
  if (k.shm.pages + pages > shmall) return ENOSPC
  const reserve = (fl & SHM.NORESERVE) === 0 || overcommit === 2
  let obj: number
  if ((fl & SHM.HUGETLB) !== 0) {
    obj = hugeSegment(k, task, fl, pages)
    if (obj < 0) return obj
  } else {
    if (bytes > MOST_BYTES) return EINVAL
    obj = shmemSetup(k, k.tasks.mm(task), FILE_SHMEM, Number(bytes), reserve)
  }
  if (obj === 0) return ENOMEM
  const segment = k.shm.add(shmmni, {
    key,
    mode: fl & PERMISSIONS,
    uid: k.tasks.uid(task),
    gid: k.tasks.gid(task),
    creatorUid: k.tasks.uid(task),
    creatorGid: k.tasks.gid(task),
    creatorPid: task,
    lastPid: 0,
    sizeBytes: Number(bytes),
    obj,
    name: `/SYSV${(key >>> 0).toString(16).padStart(8, "0")} (deleted)`,
    attached: 0,
    attaching: 0,
    lockedBy: 0
  })
  if (segment === undefined) {
    putObject(k, obj)
    return ENOSPC
  }
  k.files.setObjMode(obj, PERMISSIONS)
  k.files.ids[obj] = `${k.files.unit(obj) === 0 ? "00:01" : "00:11"} ${segment.id}` // its inode number is the identifier
  return segment.id
}

/** Memory of huge pages, of which there are none: it can only be had without a promise.
 * @returns object | EINVAL no such size | EPERM no right to lock that much | ENOMEM
 * @source fs/hugetlbfs/inode.c hugetlb_file_setup, can_do_hugetlb_shm (v6.18)
 */
function hugeSegment(k: Kernel, task: Task, fl: number, pages: number): number {
  const unit = hugeUnit(hugeLog(fl))
  const length = unit === 0 ? 0 : hugeLength(pages, unit)
  if (length === 0) return EINVAL
  const mayLock = k.tasks.capable(task, CAP_IPC_LOCK) || mayLockShared(k, task, length)
  if (!mayLock) return EPERM
  return (fl & SHM.NORESERVE) === 0 ? ENOMEM : hugetlbObject(k, length * 4096, unit)
}

/** ipcperms: may `task` do with the segment what the bits of `wanted`, of any of the three classes, say? */
export function mayAccess(k: Kernel, task: Task, s: Segment, wanted: number): boolean {
  const uid = k.tasks.uid(task)
  const gid = k.tasks.gid(task)
  const shift = uid === s.creatorUid || uid === s.uid ? 6 : gid === s.creatorGid || gid === s.gid ? 3 : 0
  const missing = ((wanted >> 6) | (wanted >> 3) | wanted) & ~(s.mode >> shift) & 7
  return missing === 0 || k.tasks.capable(task, CAP_IPC_OWNER)
}

/** Attaches segment `id` at `addr`, or where there is room.
 * @param addr - byte address; 0 anywhere
 * @param flags - SHM_RDONLY, SHM_RND, SHM_REMAP, SHM_EXEC
 * @returns byte address | EINVAL unaligned without RND, REMAP of nothing, no such segment, something is there without REMAP |
 *   EACCES | ENOMEM | as `mmap`
 * @locks takes mmap write
 */
export function* shmat(k: Kernel, task: Task, id: Word, addr: Word, flags: Word): Verb<FaultStops> {
  const fl = lowBits(flags)
  const named = registerOf(addr) !== 0n
  if (named && offsetInPage(addr) !== 0 && (fl & SHM.RND) === 0) return EINVAL
  const at = pageOf(addr)
  if ((fl & SHM.REMAP) !== 0 && at === 0 && (!named || offsetInPage(addr) !== 0)) return EINVAL
  const s = k.shm.find(lowBits(id))
  if (s === undefined) return EINVAL
  const write = (fl & SHM.RDONLY) === 0
  const wanted = (write ? 0o666 : 0o444) | ((fl & SHM.EXEC) !== 0 ? 0o111 : 0)
  if (!mayAccess(k, task, s, wanted)) return EACCES
  const prot = READ | (write ? WRITE : 0) | ((fl & SHM.EXEC) !== 0 ? EXEC : 0)
  const file = k.files.allocFile(FILE_SHM, s.obj, write ? FMODE_READ | FMODE_WRITE : FMODE_READ, s.name)
  if (file === 0) return ENOMEM
  k.files.addObjRefs(s.obj, 1)
  k.files.setPrivate(file, s.id)
  s.attached++
  s.attaching++
  const mm = enter(k, task)
  const size = k.files.size[s.obj]!
  const pages = Math.ceil(size / 4096)
  const q: Request = {
    mm,
    task,
    start: 0,
    pages,
    pgoff: 0,
    lo: 0,
    hi: 0,
    file,
    flags: named ? SHARED | FIXED : SHARED
  }
  try {
    if (k.runs.preempt) yield k.runs.point()
    if (!tryMmap(k, mm, WRITE_MODE)) yield needMmap(k, mm, WRITE_MODE)
    try {
      if (named && (fl & SHM.REMAP) === 0 && isTaken(k, mm, at, size)) return EINVAL
      const r = yield* doMmap(k, q, addrOf(at), false, prot)
      if (r < 0) return r
    } finally {
      mmapUnlock(k, mm, WRITE_MODE)
    }
    if ((q.lo & VM_LOCKED) !== 0) yield* mmPopulate(k, mm, q.start, q.start + pages, false)
    return addrOf(q.start)
  } finally {
    fput(k, file)
    s.attaching--
    dropAttachment(k, s)
  }
}

/** Is something mapped there, or would the range leave the 64 bits? */
function isTaken(k: Kernel, mm: Mm, at: Vpn, sizeBytes: number): boolean {
  if (BigInt(at) * 4096n + BigInt(sizeBytes) > 0xffff_ffff_ffff_ffffn) return true
  const v = k.maple.find(mm, at)
  return v !== 0 && k.vmas.startOf(v) * 4096 < at * 4096 + sizeBytes
}

/** Detaches what was attached at `addr`: every area that is left of it, wherever it was cut.
 * @returns OK | EINVAL unaligned, or no attachment begins there
 * @partial what cannot be unmapped (sealed) stays, and nobody hears of it
 * @locks takes mmap write
 */
export function* shmdt(k: Kernel, task: Task, addr: Word): Verb<FaultStops> {
  if (offsetInPage(addr) !== 0) return EINVAL
  const mm = enter(k, task)
  const base = pageOf(addr)
  if (k.runs.preempt) yield k.runs.point()
  if (!tryMmap(k, mm, WRITE_MODE)) yield needMmap(k, mm, WRITE_MODE)
  try {
    let v = k.maple.find(mm, base)
    while (v !== 0 && !isOf(k, v, base)) v = k.maple.next(mm, v)
    if (v === 0) return EINVAL
    const file = k.vmas.file(v)
    const end = base + Math.ceil(k.files.size[k.vmas.obj(v)]! / 4096)
    for (let first = true; v !== 0 && (first || k.vmas.endOf(v) <= end); first = false) {
      const to = k.vmas.endOf(v)
      if (k.vmas.file(v) === file && isOf(k, v, base)) yield* unmapRange(k, mm, k.vmas.startOf(v), to, undefined)
      v = k.maple.find(mm, to)
    }
    return OK
  } finally {
    mmapUnlock(k, mm, WRITE_MODE)
  }
}

/** Is `v` part of an attachment that begins at `base`? */
const isOf = (k: Kernel, v: Vma, base: Vpn): boolean =>
  k.vmas.ops(v) === OPS_SHM && k.vmas.startOf(v) - base === k.vmas.pgoff(v)
