/** memfd_create, memfd_secret, and the seals of shared memory. Floor 6.
 * @source mm/memfd.c memfd_create, memfd_add_seals, memfd_get_seals; mm/secretmem.c memfd_secret (v6.18)
 */
import * as MFD from "../../flags/MemfdFlags.ts"
import * as SEAL from "../../flags/SealFlags.ts"
import { EACCES, EBADF, EBUSY, EFAULT, EINVAL, EMFILE, ENFILE, ENODEV, EPERM, OK } from "../../flags/Errno.ts"
import { HUGE_SHIFT } from "../../flags/MapFlags.ts"
import type { Verb } from "../base/stop.ts"
import { lowBits, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { installFd, openAnonymous, RDWR } from "../object/file.ts"
import { hugetlbSetup, hugeUnit } from "../object/hugetlb.ts"
import type { FaultStops } from "../page/fault.ts"
import { type File, FILE_HUGETLB, FILE_NOEXEC, FILE_SECRET, FILE_SHMEM, FMODE_WRITE } from "../store/files.ts"
import type { Task } from "../store/tasks.ts"
import { hugeLog } from "./hugetlb.ts"
import { strncpyFromUser } from "./usercopy.ts"

const MFD_ALL = MFD.CLOEXEC | MFD.ALLOW_SEALING | MFD.HUGETLB | MFD.NOEXEC_SEAL | MFD.EXEC
const MFD_HUGE_SIZE = 0x3f << HUGE_SHIFT
/** Bytes of a name; "memfd:" and it are a name of a file. */
const MOST_NAME = 249
const O_CLOEXEC = 0o2000000
const ALL_SEALS = 0x3f

/** Makes an empty file of shared memory, with a name for /proc from the caller's memory.
 * @param name - byte address of a string that ends with 0
 * @param flags - MFD_*
 * @returns descriptor | EINVAL flags, a name of more than 249 bytes | EACCES vm.memfd_noexec forbids it | EFAULT the name |
 *   EMFILE | ENFILE | ENODEV no huge pages of that size
 */
export function* memfdCreate(k: Kernel, task: Task, name: Word, flags: Word): Verb<FaultStops> {
  const bad = checkFlags(k, lowBits(flags))
  if (bad < 0) return bad
  const bytes = yield* strncpyFromUser(k, k.tasks.mm(task), name, MOST_NAME + 1)
  if (bytes === undefined) return EFAULT
  if (bytes.length > MOST_NAME) return EINVAL
  return memfdNamed(k, task, new TextDecoder().decode(bytes), flags)
}

/** The same with the name at hand.
 * @returns as `memfdCreate`
 */
export function memfdNamed(k: Kernel, task: Task, name: string, flags: Word): number {
  let fl = lowBits(flags)
  const bad = checkFlags(k, fl)
  if (bad < 0) return bad
  if (new TextEncoder().encode(name).length > MOST_NAME) return EINVAL
  if ((fl & (MFD.EXEC | MFD.NOEXEC_SEAL)) === 0 && k.config.memfdNoexec > 0) fl |= MFD.NOEXEC_SEAL
  if (k.tasks.freeFd(task) < 0) return EMFILE
  const shown = `/memfd:${name} (deleted)`
  const unit = (fl & MFD.HUGETLB) !== 0 ? hugeUnit(hugeLog(fl)) : 0
  if ((fl & MFD.HUGETLB) !== 0 && unit === 0) return ENODEV
  const f = unit === 0 ? openAnonymous(k, FILE_SHMEM, RDWR, shown) : hugetlbSetup(k, shown, 0, unit)
  if (f === 0) return ENFILE
  const o = k.files.obj(f)
  k.files.setUid(o, k.tasks.uid(task))
  const isNoexec = (fl & MFD.NOEXEC_SEAL) !== 0
  k.files.setObjMode(o, isNoexec ? 0o666 : 0o777)
  k.files.setSeals(o, isNoexec ? SEAL.EXEC : (fl & MFD.ALLOW_SEALING) !== 0 ? 0 : SEAL.SEAL)
  const fd = installFd(k, task, f)
  if (fd >= 0 && (fl & MFD.CLOEXEC) !== 0) k.tasks.setCloexec(task, fd)
  return fd
}

/** @returns OK | EINVAL | EACCES */
function checkFlags(k: Kernel, fl: number): number {
  if ((fl & ~((fl & MFD.HUGETLB) !== 0 ? MFD_ALL | MFD_HUGE_SIZE : MFD_ALL)) !== 0) return EINVAL
  if ((fl & MFD.EXEC) !== 0 && (fl & MFD.NOEXEC_SEAL) !== 0) return EINVAL
  return (fl & MFD.EXEC) !== 0 && k.config.memfdNoexec === 2 ? EACCES : OK
}

/** Makes an empty file of secret memory: its size can be set once, and only shared mappings reach it.
 * @param flags - 0 | O_CLOEXEC
 * @returns descriptor | EINVAL flags | EMFILE | ENFILE
 */
export function memfdSecret(k: Kernel, task: Task, flags: Word): number {
  const fl = lowBits(flags)
  if ((fl & ~O_CLOEXEC) !== 0) return EINVAL
  const f = openAnonymous(k, FILE_SECRET, RDWR, "/secretmem (deleted)")
  if (f === 0) return ENFILE
  k.files.setFlags(f, FILE_NOEXEC)
  k.files.setUid(k.files.obj(f), k.tasks.uid(task))
  k.files.setObjMode(k.files.obj(f), 0o600)
  const fd = installFd(k, task, f)
  if (fd >= 0 && fl !== 0) k.tasks.setCloexec(task, fd)
  return fd
}

/** F_GET_SEALS. Only shared memory has seals.
 * @returns seal bits | EBADF | EINVAL
 */
export function getSeals(k: Kernel, task: Task, fd: Word): number {
  const f = k.tasks.file(task, lowBits(fd))
  if (f === 0) return EBADF
  return hasSeals(k, f) ? k.files.seals(k.files.obj(f)) : EINVAL
}

const hasSeals = (k: Kernel, f: File): boolean => k.files.kind(f) === FILE_SHMEM || k.files.kind(f) === FILE_HUGETLB

/** F_ADD_SEALS.
 * @returns OK | EBADF | EPERM not writable, or sealed against seals | EINVAL unknown bits, not shared memory | EBUSY a writable mapping
 */
export function addSeals(k: Kernel, task: Task, fd: Word, bits: Word): number {
  const f = k.tasks.file(task, lowBits(fd))
  if (f === 0) return EBADF
  if ((k.files.mode(f) & FMODE_WRITE) === 0) return EPERM
  let add = lowBits(bits)
  if ((add & ~ALL_SEALS) !== 0 || !hasSeals(k, f)) return EINVAL
  const o = k.files.obj(f)
  const have = k.files.seals(o)
  if ((have & SEAL.SEAL) !== 0) return EPERM
  if ((add & SEAL.EXEC) !== 0 && (k.files.objMode(o) & 0o111) !== 0)
    add |= SEAL.SHRINK | SEAL.GROW | SEAL.WRITE | SEAL.FUTURE_WRITE
  if ((add & SEAL.WRITE) !== 0 && (have & SEAL.WRITE) === 0 && k.files.writable(o) > 0) return EBUSY
  k.files.setSeals(o, have | add)
  return OK
}
