/** System V segments as memory: who is attached, and what becomes of a segment that nobody is attached to. Floor 5.
 *
 * Each attachment is an open file of its own, so two of them never merge; each area of it counts.
 * @source ipc/shm.c shm_open, shm_close, shm_mmap, shm_destroy (v6.18)
 */
import { VM_HUGETLB } from "../../flags/bits.ts"
import { EINVAL, OK } from "../../flags/Errno.ts"
import { currentTask } from "../area/mm.ts"
import { putObject, T_SIGBUS } from "../area/object.ts"
import { vmBugOn } from "../base/debug.ts"
import type { Check, Kernel, Ops } from "../kernel.ts"
import { SHM_LOCKED, type Segment } from "../store/shm.ts"
import { FILE_SHM } from "../store/files.ts"
import { RLIMIT_MEMLOCK, type Task } from "../store/tasks.ts"
import { VMA_FREE, type Vma } from "../store/vmas.ts"
import { maySplitHuge, prepareHuge } from "./hugetlb.ts"
import { shmemGetPage } from "./shmem.ts"

/** Goes with its last attachment. */
export const SHM_DEST = 0o1000

/** The segment behind an area; there is one as long as there is the area. */
const segmentOf = (k: Kernel, v: Vma): Segment => {
  const id = k.files.private(k.vmas.file(v))
  return k.shm.find(id) ?? vmBugOn(`area ${v} maps segment ${id}, which is gone`)
}

/** vm_operations of attached segments. Unlike other shared memory they map no neighbours along: there is no map_pages. */
export const shmOps: Ops = {
  name: "shm",
  hooks: 0,
  prepare: (k, q) => (k.files.unit(k.files.obj(q.file)) === 0 ? OK : prepareHuge(k, q)),
  mapped: (k, v) => {
    const s = k.shm.find(k.files.private(k.vmas.file(v)))
    if (s === undefined) return EINVAL // removed, while only the file was held
    attach(k, s)
    return OK
  },
  opened: (k, v) => attach(k, segmentOf(k, v)),
  closed: (k, v) => detach(k, segmentOf(k, v)),
  maySplit: (k, v, vpn) => (isHuge(k, v) ? maySplitHuge(k, v, vpn) : OK),
  translate: (k, v, pgoff) => (isHuge(k, v) ? T_SIGBUS : shmemGetPage(k, k.vmas.obj(v), pgoff, k.vmas.mmOf(v)))
}

const isHuge = (k: Kernel, v: Vma): boolean => (k.vmas.flags(v) & VM_HUGETLB) !== 0

function attach(k: Kernel, s: Segment): void {
  s.attached++
  s.lastPid = currentTask(k)
}

function detach(k: Kernel, s: Segment): void {
  s.lastPid = currentTask(k)
  dropAttachment(k, s)
}

/** One attachment fewer; the last one of a removed segment ends it. */
export function dropAttachment(k: Kernel, s: Segment): void {
  s.attached--
  if (s.attached === 0 && (s.mode & SHM_DEST) !== 0) destroy(k, s)
}

/** The segment is gone: its identifier means nothing from now on. Its memory goes with the last file on it. */
export function destroy(k: Kernel, s: Segment): void {
  unlockSegment(k, s)
  k.shm.remove(s)
  putObject(k, s.obj)
}

/** Pages that a lock on the segment counts. */
const pagesOf = (s: Segment): number => Math.ceil(s.sizeBytes / 4096)

/** Would `pages` more of locked shared memory stay within RLIMIT_MEMLOCK of the user?
 * @source mm/mlock.c user_shm_lock (v6.18)
 */
export function mayLockShared(k: Kernel, task: Task, pages: number): boolean {
  const locked = (k.shm.lockedPages.get(k.tasks.uid(task)) ?? 0) + pages
  return locked <= Math.floor(k.tasks.rlimit(task, RLIMIT_MEMLOCK) / 4096)
}

/** Keeps the segment in memory, and counts it as its locker's.
 * @source mm/shmem.c shmem_lock, mm/mlock.c user_shm_lock (v6.18)
 */
export function lockSegment(k: Kernel, s: Segment, uid: number): void {
  s.mode |= SHM_LOCKED
  s.lockedBy = uid
  k.shm.lockedPages.set(uid, (k.shm.lockedPages.get(uid) ?? 0) + pagesOf(s))
}

/** Undoes `lockSegment`; nothing for a segment that is not locked. */
export function unlockSegment(k: Kernel, s: Segment): void {
  if ((s.mode & SHM_LOCKED) === 0) return
  s.mode &= ~SHM_LOCKED
  k.shm.lockedPages.set(s.lockedBy, (k.shm.lockedPages.get(s.lockedBy) ?? 0) - pagesOf(s))
}

/** Every segment counts the areas that map it, and the calls that are about to. */
export const segmentsAreCounted: Check = (k, wrong) => {
  const areas = new Map<number, number>()
  for (let v = 1; v < k.vmas.limit(); v++) {
    const f = k.vmas.file(v)
    if (k.vmas.state(v) === VMA_FREE || f === 0 || k.files.kind(f) !== FILE_SHM) continue
    areas.set(k.files.private(f), (areas.get(k.files.private(f)) ?? 0) + 1)
  }
  for (const s of k.shm.all()) {
    const n = (areas.get(s.id) ?? 0) + s.attaching
    if (n !== s.attached) wrong.push(`segment ${s.id} counts ${s.attached} attachments, and has ${n}`)
    areas.delete(s.id)
  }
  for (const [id, n] of areas) wrong.push(`${n} areas map segment ${id}, which is gone`)
}
