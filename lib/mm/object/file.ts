/** Making files: what a path names, and open files of every kind. Floor 5. */
import * as SEAL from "../../flags/SealFlags.ts"
import { EEXIST, EINVAL, EMFILE, ENFILE, ENOENT, ENOMEM, OK } from "../../flags/Errno.ts"
import { currentTask } from "../area/mm.ts"
import { fput, putObject } from "../area/object.ts"
import { OPS_FILE, OPS_HUGETLB, OPS_SECRET, OPS_SHM, OPS_SHMEM } from "../area/ops.ts"
import type { Pfn } from "../base/units.ts"
import type { Backing, Kernel } from "../kernel.ts"
import { markAccessed } from "../page/accessed.ts"
import {
  type File,
  FILE_ANON_SHARED,
  FILE_DEVICE,
  FILE_HUGETLB,
  FILE_NOEXEC,
  FILE_OBJECT,
  FILE_PIPE,
  FILE_REGULAR,
  FILE_SECRET,
  FILE_SHM,
  FILE_SHMEM,
  FMODE_READ,
  FMODE_WRITE,
  type Obj
} from "../store/files.ts"
import { F_DIRTY, F_UPTODATE } from "../store/frames.ts"
import { CAP_DAC_OVERRIDE, CAP_FOWNER, type Task } from "../store/tasks.ts"
import { MAX_INDEX } from "../store/xarray.ts"
import { readNow } from "./filemap.ts"
import { shmemAddPage } from "./shmem.ts"

/** Row of vm_operations that areas of a file get; 0 where it has none (/dev/zero: private memory, anonymous). */
export function vmOpsOf(k: Kernel, f: File): number {
  const kind = k.files.kind(f)
  if (kind === FILE_SHMEM || kind === FILE_ANON_SHARED) return OPS_SHMEM
  if (kind === FILE_REGULAR) return OPS_FILE
  if (kind === FILE_SHM) return OPS_SHM
  if (kind === FILE_SECRET) return OPS_SECRET
  if (kind === FILE_HUGETLB) return OPS_HUGETLB
  return kind === FILE_DEVICE || kind === FILE_OBJECT ? k.files.ops(f) : 0
}

/** May `task` do to object `o` what only its owner may?
 * @source fs/inode.c inode_owner_or_capable (v6.18)
 */
export const isOwnerOrCapable = (k: Kernel, task: Task, o: Obj): boolean =>
  k.files.uid(o) === k.tasks.uid(task) || k.tasks.capable(task, CAP_FOWNER)

/** May `task` write object `o`, or do what only its owner may? Then it may also learn what is cached of it.
 * @source mm/mincore.c can_do_mincore, mm/madvise.c can_do_file_pageout (v6.18)
 */
export const ownsOrMayWrite = (k: Kernel, task: Task, o: Obj): boolean =>
  isOwnerOrCapable(k, task, o) || k.tasks.capable(task, CAP_DAC_OVERRIDE) || (k.files.objMode(o) & 0o002) !== 0

/** Makes the file `path` of `sizeBytes`; its pages come from `backing`, or are zeroes.
 * @returns OK | EEXIST | ENFILE
 */
export function createFile(
  k: Kernel,
  path: string,
  kind: typeof FILE_REGULAR | typeof FILE_SHMEM,
  sizeBytes: number,
  backing?: Backing
): number {
  if (k.paths.has(path)) return EEXIST
  const o = k.files.allocObj(kind, sizeBytes)
  if (o === 0) return ENFILE
  if (kind === FILE_SHMEM) k.files.setSeals(o, SEAL.SEAL) // only memfd_create makes files that can be sealed
  if (backing !== undefined) k.files.setBacking(o, k.backings.push(backing) - 1)
  k.paths.set(path, { kind, obj: o, ops: 0, flags: 0 })
  return OK
}

/** Names a device; `ops` is its row of operations. Its object has no pages; it is what knows who maps the device.
 * @returns OK | EEXIST | ENOMEM
 */
export function createDevice(k: Kernel, path: string, ops: number): number {
  if (k.paths.has(path)) return EEXIST
  const o = k.files.allocObj(FILE_DEVICE, 0)
  if (o === 0) return ENOMEM
  k.paths.set(path, { kind: FILE_DEVICE, obj: o, ops, flags: 0 })
  return OK
}

/** Removes a path; open files and mappings live on, and their name says what has become of it.
 * @returns OK | ENOENT
 * @source fs/d_path.c d_path (v6.18)
 */
export function unlinkPath(k: Kernel, path: string): number {
  const e = k.paths.get(path)
  if (e === undefined) return ENOENT
  k.paths.delete(path)
  for (let f = 1; f < k.files.fileLimit(); f++)
    if (k.files.fileRefs(f) > 0 && k.files.names[f] === path && k.files.obj(f) === e.obj)
      k.files.names[f] = `${path} (deleted)`
  putObject(k, e.obj)
  return OK
}

/** An open file of `path`, held by the caller.
 * @param mode - FMODE_READ and FMODE_WRITE
 * @returns file row | ENOENT | ENFILE
 */
export function openPath(k: Kernel, path: string, mode: number): number {
  const e = k.paths.get(path)
  if (e === undefined) return ENOENT
  k.files.addObjRefs(e.obj, 1)
  const f = k.files.allocFile(e.kind, e.obj, mode, path)
  if (f === 0) {
    putObject(k, e.obj)
    return ENFILE
  }
  k.files.setOps(f, e.ops)
  k.files.setFlags(f, e.flags)
  return f
}

/** An open file of no path: memfd, pipe end, directory, /dev/zero. Held by the caller; 0 when rows ran out. */
export function openAnonymous(k: Kernel, kind: number, mode: number, name: string, sizeBytes = 0): File {
  const o = k.files.allocObj(kind, sizeBytes)
  if (o === 0) return 0
  const f = k.files.allocFile(kind, o, mode, name)
  if (f === 0) k.files.freeObj(o)
  else if (kind === FILE_PIPE) k.files.setFlags(f, FILE_NOEXEC) // all of pipefs is
  return f
}

/** A second open file of the same object, with a mode of its own (open of /proc/self/fd/N). 0 when rows ran out. */
export function reopen(k: Kernel, f: File, mode: number): File {
  const o = k.files.obj(f)
  k.files.addObjRefs(o, 1)
  const g = k.files.allocFile(k.files.kind(f), o, mode, k.files.names[f]!)
  if (g === 0) putObject(k, o)
  return g
}

/** Gives the caller's reference on `f` to the lowest free descriptor of `task`.
 * @returns descriptor | EMFILE, and the reference is put
 */
export function installFd(k: Kernel, task: number, f: File): number {
  const fd = k.tasks.freeFd(task)
  if (fd < 0) {
    fput(k, f)
    return EMFILE
  }
  k.tasks.setFile(task, fd, f)
  return fd
}

/** Writes `data` at byte `offset` of object `o` through its cache, growing it as needed.
 * @returns bytes written; fewer where memory ran out | EINVAL beyond what a cache can hold
 */
export function writeObject(k: Kernel, o: Obj, offset: number, data: Uint8Array): number {
  let done = 0
  while (done < data.length) {
    const at = offset + done
    if (Math.floor(at / 4096) >= MAX_INDEX) return done > 0 ? done : EINVAL
    const p = writeBegin(k, o, at)
    if (p < 0) break
    const n = Math.min(4096 - (at % 4096), data.length - done)
    k.frames.bytes.set(data.subarray(done, done + n), p * 4096 + (at % 4096))
    writeEnd(k, o, p, at + n)
    done += n
  }
  return done
}

/** The page of `o` that a write to byte `at` goes to, below MAX_INDEX.
 * @returns frame | errno
 * @source mm/shmem.c shmem_write_begin (v6.18)
 */
export const writeBegin = (k: Kernel, o: Obj, at: number): number => pageForIo(k, o, Math.floor(at / 4096))

/** Bytes up to `end` of `o` were written, or none if `end` is where the write began: the page is dirty and the object is
 * that long in either case.
 * @source mm/shmem.c shmem_write_end (v6.18)
 */
export function writeEnd(k: Kernel, o: Obj, p: Pfn, end: number): void {
  k.frames.setFlag(p, F_DIRTY | F_UPTODATE)
  if (end > k.files.size[o]!) k.files.size[o] = end
}

/** Reads up to `into.length` bytes at `offset` of `o`; holes are zeroes and stay holes. Returns how many; 0 at the end. */
export function readObject(k: Kernel, o: Obj, offset: number, into: Uint8Array): number {
  const end = Math.min(offset + into.length, k.files.size[o]!)
  let done = 0
  while (offset + done < end) {
    const at = offset + done
    const i = Math.floor(at / 4096)
    const n = Math.min(4096 - (at % 4096), end - at)
    if (!k.files.isShmem(o) && k.xarray.load(o, i) === 0 && readNow(k, o, i) < 0) break
    const p = k.xarray.load(o, i)
    if (p === 0 && !k.files.isShmem(o)) break // no memory to read it into
    if (p === 0) into.fill(0, done, done + n)
    else into.set(k.frames.bytes.subarray(p * 4096 + (at % 4096), p * 4096 + (at % 4096) + n), done)
    done += n
  }
  return done
}

function pageForIo(k: Kernel, o: Obj, i: number): number {
  const p = k.xarray.load(o, i)
  if (k.files.isShmem(o)) {
    const q = p !== 0 ? p : shmemAddPage(k, o, i, k.tasks.mm(currentTask(k)))
    if (q > 0) markAccessed(k, q)
    return q
  }
  if (p !== 0 && k.frames.has(p, F_UPTODATE)) return p
  if (i * 4096 >= k.files.size[o]!) return shmemAddPage(k, o, i, k.tasks.mm(currentTask(k))) // there is nothing to read
  const r = readNow(k, o, i)
  const q = r < 0 ? 0 : k.xarray.load(o, i)
  return q !== 0 ? q : r < 0 ? r : ENOMEM
}

/** Read and write. */
export const RDWR = FMODE_READ | FMODE_WRITE
