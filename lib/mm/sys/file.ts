/** System calls on files, as far as they change what is mapped: read, write, truncate, punch. Floor 6.
 * @source mm/shmem.c shmem_file_write_iter, shmem_fallocate, shmem_setattr (v6.18)
 */
import * as FALLOC from "../../flags/FallocFlags.ts"
import * as SEAL from "../../flags/SealFlags.ts"
import {
  EBADF,
  EFAULT,
  EFBIG,
  EINVAL,
  EISDIR,
  ENODEV,
  ENOSPC,
  EOPNOTSUPP,
  EPERM,
  ESPIPE,
  OK
} from "../../flags/Errno.ts"
import { dropCached, fget, fput } from "../area/object.ts"
import type { Verb } from "../base/stop.ts"
import { lowBits, type PgOff, registerOf, TASK_SIZE, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { isOwnerOrCapable, readObject, writeBegin, writeEnd } from "../object/file.ts"
import { shmemAddPage } from "../object/shmem.ts"
import { punchHole, truncateObject } from "../object/truncate.ts"
import type { FaultStops } from "../page/fault.ts"
import {
  type File,
  FILE_DEVICE,
  FILE_DIR,
  FILE_HUGETLB,
  FILE_PIDFD,
  FILE_PIPE,
  FILE_PROC,
  FILE_PROC_PAGEMAP,
  FILE_REGULAR,
  FILE_SECRET,
  FILE_SHMEM,
  FILE_UFFD,
  FILE_UFFD_DEVICE,
  FILE_ZERO,
  FMODE_READ,
  FMODE_WRITE,
  type Obj
} from "../store/files.ts"
import type { Mm } from "../store/mms.ts"
import { F_DIRTY, F_UPTODATE } from "../store/frames.ts"
import { MAX_INDEX } from "../store/xarray.ts"
import { preadProc } from "../proc/file.ts"
import { copyFromUserNow, copyToUser, faultInReadable } from "./usercopy.ts"

/** MAX_RW_COUNT: more is not moved by one call. */
export const MAX_RW = 0x7fff_f000
const signed = (x: Word): bigint => BigInt.asIntN(64, registerOf(x))

/** Open file of a descriptor that is to be read or written at an offset; or the errno. */
function seekable(k: Kernel, task: number, fd: Word, mode: number, off: Word): number {
  const f = k.tasks.file(task, lowBits(fd))
  if (signed(off) < 0n) return EINVAL
  if (f === 0) return EBADF
  const kind = k.files.kind(f)
  if (kind === FILE_PIPE || kind === FILE_SECRET || kind === FILE_UFFD) return ESPIPE
  if (mode === FMODE_WRITE && kind === FILE_PROC && (k.files.flags(f) & FILE_PROC_PAGEMAP) === 0) return ESPIPE
  if ((k.files.mode(f) & mode) === 0) return EBADF
  if (kind === FILE_DIR) return EISDIR
  return (mode === FMODE_READ ? UNREADABLE : UNWRITABLE).has(kind) ? EINVAL : f
}

/** Files that cannot be read, and files that cannot be written. */
const UNREADABLE: ReadonlySet<number> = new Set([FILE_DEVICE, FILE_PIDFD, FILE_UFFD_DEVICE])
const UNWRITABLE: ReadonlySet<number> = new Set([FILE_DEVICE, FILE_HUGETLB, FILE_PIDFD, FILE_PROC, FILE_UFFD_DEVICE])

/** Reads into `into` from byte `off` of an open file; one of /proc may have to wait: `preadUser`.
 * @returns bytes read, 0 at the end | EINVAL negative offset, or of /proc | EBADF | ESPIPE | EISDIR
 */
export function pread(k: Kernel, task: number, fd: Word, into: Uint8Array, off: Word): number {
  const f = seekable(k, task, fd, FMODE_READ, off)
  if (f < 0) return f
  return k.files.kind(f) === FILE_PROC ? EINVAL : readBytes(k, f, into, Number(signed(off)))
}

/** Reads into `into` from byte `from` of a file that has bytes. */
function readBytes(k: Kernel, f: File, into: Uint8Array, from: number): number {
  const kind = k.files.kind(f)
  if (kind === FILE_ZERO) {
    into.fill(0)
    return into.length
  }
  if (kind === FILE_HUGETLB) return readHoles(k, k.files.obj(f), from, into)
  return readObject(k, k.files.obj(f), from, into)
}

/** Reads zeroes up to the end. */
function readHoles(k: Kernel, o: number, from: number, into: Uint8Array): number {
  const n = Math.max(0, Math.min(into.length, k.files.size[o]! - from))
  into.fill(0, 0, n)
  return n
}

/** Writes `data` at byte `off` of an open file.
 * @returns bytes written, fewer at a seal against growth | EINVAL | EBADF | ESPIPE | EPERM sealed | EFBIG | ENOSPC
 */
export function pwrite(k: Kernel, task: number, fd: Word, data: Uint8Array, off: Word): number {
  const f = seekable(k, task, fd, FMODE_WRITE, off)
  if (f < 0) return f
  if (k.files.kind(f) === FILE_ZERO) return data.length
  const o = k.files.obj(f)
  const to = Number(signed(off))
  for (let done = 0; done < data.length;) {
    const at = to + done
    const n = Math.min(4096 - (at % 4096), data.length - done)
    const p = pageToWrite(k, o, at, n)
    if (p < 0) return done > 0 ? done : p
    k.frames.bytes.set(data.subarray(done, done + n), p * 4096 + (at % 4096))
    writeEnd(k, o, p, at + n)
    done += n
  }
  return data.length
}

/** The page of `o` that `n` bytes at `at` go to; they lie within one page.
 * @returns frame | EPERM sealed | EFBIG | ENOSPC
 */
function pageToWrite(k: Kernel, o: number, at: number, n: number): number {
  const seals = k.files.seals(o)
  if ((seals & (SEAL.WRITE | SEAL.FUTURE_WRITE)) !== 0) return EPERM
  if ((seals & SEAL.GROW) !== 0 && at + n > k.files.size[o]!) return EPERM
  if (at >= MAX_INDEX * 4096) return EFBIG
  const p = writeBegin(k, o, at)
  return p < 0 ? ENOSPC : p
}

/** Is `[addr, addr + len)` user space (access_ok)? */
export const isUser = (addr: Word, len: Word): boolean => registerOf(addr) + registerOf(len) <= BigInt(TASK_SIZE)

/** Does a file reach that far (rw_verify_area)? Offsets are signed. */
const isOffset = (off: Word, len: Word): boolean => signed(off) + registerOf(len) < 2n ** 63n

/** pread into the caller's own memory, page by page of the file: short where that memory ends. The file stays open meanwhile.
 * @returns bytes read | EFAULT none could be stored | as `pread`
 */
export function* preadUser(k: Kernel, task: number, fd: Word, addr: Word, len: Word, off: Word): Verb<FaultStops> {
  const f = seekable(k, task, fd, FMODE_READ, off)
  if (f < 0) return f
  if (!isUser(addr, len)) return EFAULT
  if (!isOffset(off, len)) return EINVAL
  const want = Math.min(Number(registerOf(len)), MAX_RW)
  fget(k, f)
  try {
    if (k.files.kind(f) === FILE_PROC) return yield* preadProc(k, task, f, addr, want, off)
    const from = Number(signed(off))
    for (let done = 0; done < want;) {
      const bytes = new Uint8Array(Math.min(4096 - ((from + done) % 4096), want - done))
      const n = readBytes(k, f, bytes, from + done)
      if (n <= 0) return done > 0 ? done : n
      const missed = yield* copyToUser(k, k.tasks.mm(task), Number(registerOf(addr)) + done, bytes.subarray(0, n))
      done += n - missed
      if (missed > 0) return done > 0 ? done : EFAULT
    }
    return want
  } finally {
    fput(k, f)
  }
}

/** pwrite from the caller's own memory, page by page of the file: short where that memory ends. A page is got first, and
 * only if nothing could be copied into it is the memory faulted in; so a write that fails has made the file as long as
 * the place where it began. The file stays open meanwhile.
 * @returns bytes written | EFAULT none could be read | as `pwrite`
 * @source mm/filemap.c generic_perform_write (v6.18)
 */
export function* pwriteUser(k: Kernel, task: number, fd: Word, addr: Word, len: Word, off: Word): Verb<FaultStops> {
  const f = seekable(k, task, fd, FMODE_WRITE, off)
  if (f < 0) return f
  if (!isUser(addr, len)) return EFAULT
  if (!isOffset(off, len)) return EINVAL
  const want = Math.min(Number(registerOf(len)), MAX_RW)
  if (k.files.kind(f) === FILE_ZERO) return want
  const mm = k.tasks.mm(task)
  const o = k.files.obj(f)
  fget(k, f)
  try {
    for (let done = 0; done < want;) {
      const at = Number(signed(off)) + done
      const from = Number(registerOf(addr)) + done
      const n = Math.min(4096 - (at % 4096), want - done)
      const p = pageToWrite(k, o, at, n)
      if (p < 0) return done > 0 ? done : p
      const here = p * 4096 + (at % 4096)
      const copied = copyFromUserNow(k, mm, from, k.frames.bytes.subarray(here, here + n))
      writeEnd(k, o, p, at + copied)
      done += copied
      if (copied > 0) continue
      const missed = yield* faultInReadable(k, mm, from, n)
      if (missed === n) return done > 0 ? done : EFAULT
    }
    return want
  } finally {
    fput(k, f)
  }
}

/** Files that have a size. */
const SIZED: ReadonlySet<number> = new Set([FILE_REGULAR, FILE_SHMEM, FILE_SECRET, FILE_HUGETLB])

/** Sets the size of an open file; that of secret memory once.
 * @returns OK | EINVAL negative, not writable, nothing with a size, no multiple of its huge pages | EBADF | EPERM sealed | EFBIG |
 *   EOPNOTSUPP a process
 */
export function ftruncate(k: Kernel, task: number, fd: Word, size: Word): number {
  if (signed(size) < 0n) return EINVAL
  const f = k.tasks.file(task, lowBits(fd))
  if (f === 0) return EBADF
  const kind = k.files.kind(f)
  if ((k.files.mode(f) & FMODE_WRITE) === 0) return EINVAL
  if (kind === FILE_PROC) return OK // it has the size that it has
  if (!SIZED.has(kind)) return kind === FILE_PIDFD ? EOPNOTSUPP : EINVAL
  const o = k.files.obj(f)
  const to = Number(signed(size))
  if (kind === FILE_SECRET && k.files.size[o] !== 0) return EINVAL
  if (kind === FILE_HUGETLB && to % (k.files.unit(o) * 4096) !== 0) return EINVAL
  const seals = k.files.seals(o)
  if (to < k.files.size[o]! && (seals & SEAL.SHRINK) !== 0) return EPERM
  if (to > k.files.size[o]! && (seals & SEAL.GROW) !== 0) return EPERM
  if (to > MAX_INDEX * 4096) return EFBIG
  truncateObject(k, o, to)
  return OK
}

/** Sets the permission bits of an open file.
 * @returns OK | EBADF | EPERM not its owner's, or execution is sealed and would change
 * @source mm/shmem.c shmem_setattr; fs/attr.c setattr_prepare (v6.18)
 */
export function fchmod(k: Kernel, task: number, fd: Word, mode: Word): number {
  const f = k.tasks.file(task, lowBits(fd))
  if (f === 0) return EBADF
  const o = k.files.obj(f)
  const want = lowBits(mode) & 0o7777
  if (!isOwnerOrCapable(k, task, o)) return EPERM
  if ((k.files.seals(o) & SEAL.EXEC) !== 0 && ((k.files.objMode(o) ^ want) & 0o111) !== 0) return EPERM
  k.files.setObjMode(o, want)
  return OK
}

/** Modes that some file has, KEEP_SIZE among them where it is allowed. */
const MODES: ReadonlySet<number> = new Set([0, 1, 3, 8, 0x10, 0x11, 0x20, 0x40, 0x41, 0x80])
/** Files that are no files but devices, to fallocate. */
const NO_FILES: ReadonlySet<number> = new Set([FILE_ZERO, FILE_DEVICE, FILE_UFFD_DEVICE])
/** Files whose pages can be allocated. */
const ALLOCATED: ReadonlySet<number> = new Set([FILE_REGULAR, FILE_SHMEM, FILE_HUGETLB])

/** Allocates or punches out bytes `[off, off + len)` of an open file. What fails has allocated nothing.
 * @returns OK | EINVAL | EBADF | ESPIPE | EISDIR | ENODEV | EOPNOTSUPP modes that shared memory does not have, or a file that
 *   has none | EPERM sealed | ENOSPC | EFBIG
 * @source fs/open.c vfs_fallocate; mm/shmem.c shmem_fallocate (v6.18)
 */
export function fallocate(k: Kernel, task: number, fd: Word, mode: Word, off: Word, len: Word): number {
  const f = k.tasks.file(task, lowBits(fd))
  if (f === 0) return EBADF
  const m = lowBits(mode)
  if (signed(off) < 0n || signed(len) <= 0n) return EINVAL
  if (!MODES.has(m)) return EOPNOTSUPP
  if ((k.files.mode(f) & FMODE_WRITE) === 0) return EBADF
  const kind = k.files.kind(f)
  if (kind === FILE_PIPE) return ESPIPE
  if (kind === FILE_DIR) return EISDIR
  if (NO_FILES.has(kind)) return ENODEV
  if (!isOffset(off, len)) return EFBIG
  if (!ALLOCATED.has(kind) || (m & ~(FALLOC.KEEP_SIZE | FALLOC.PUNCH_HOLE)) !== 0) return EOPNOTSUPP
  const o = k.files.obj(f)
  const from = Number(signed(off))
  const to = from + Number(signed(len))
  const seals = k.files.seals(o)
  if ((m & FALLOC.PUNCH_HOLE) !== 0) {
    if ((seals & (SEAL.WRITE | SEAL.FUTURE_WRITE)) !== 0) return EPERM
    punchHole(k, o, from, to)
    return OK
  }
  if ((seals & SEAL.GROW) !== 0 && to > k.files.size[o]!) return EPERM
  if (kind === FILE_HUGETLB) return ENOSPC // the pool is empty
  if (to > MAX_INDEX * 4096) return EFBIG
  if (kind === FILE_SHMEM && !allocate(k, o, Math.floor(from / 4096), to / 4096, k.tasks.mm(task))) return ENOSPC
  if ((m & FALLOC.KEEP_SIZE) === 0 && to > k.files.size[o]!) k.files.size[o] = to
  return OK
}

/** Gives pages `[first, end)` of shared memory their frames; or, where there are too few, takes back those that it gave.
 * @returns false there were too few
 */
function allocate(k: Kernel, o: Obj, first: PgOff, end: number, mm: Mm): boolean {
  for (let i = first; i < end; i++) {
    let p = k.xarray.load(o, i)
    if (p === 0) {
      p = shmemAddPage(k, o, i, mm)
      if (p < 0) {
        dropUntouched(k, o, first, i)
        return false
      }
      k.frames.clearFlag(p, F_UPTODATE) // until it is touched, or allocated again: fault-around passes it over
    } else k.frames.setFlag(p, F_UPTODATE)
    k.frames.setFlag(p, F_DIRTY)
  }
  return true
}

/** Drops pages of `[first, end)` that nobody has touched since they were allocated. */
function dropUntouched(k: Kernel, o: Obj, first: PgOff, end: PgOff): void {
  for (let i = first; i < end; i++) if (!k.frames.has(k.xarray.load(o, i), F_UPTODATE)) dropCached(k, o, i)
}
