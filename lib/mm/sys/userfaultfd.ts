/** userfaultfd(2): a descriptor, what it and its user agree upon, and its end. Floor 6.
 *
 *     userfaultfd  ->  uffdApi  ->  register (uffd-register.ts)  ->  read (uffd-read.ts)  ->  answer (uffd-fill.ts,
 *     uffd-move.ts, uffd-wp.ts), wake  ->  close: every area is unregistered, every waiter goes on
 *
 * @source fs/userfaultfd.c new_userfaultfd, userfaultfd_api, userfaultfd_release, userfaultfd_poll (v6.18)
 */
import { EINVAL, EMFILE, ENFILE, ENOMEM, EPERM, OK } from "../../flags/Errno.ts"
import * as POLL from "../../flags/PollFlags.ts"
import * as UFFD from "../../flags/UffdFlags.ts"
import { mmapUnlock, tryMmap, WRITE } from "../area/mmap-lock.ts"
import { closeFile, fget, fput } from "../area/object.ts"
import { isReadable, uffdCreate, uffdPut, wakeEverybody } from "../area/uffd.ts"
import type { AreaStops } from "../area/vma.ts"
import type { Verb } from "../base/stop.ts"
import { highBits, lowBits, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { installFd } from "../object/file.ts"
import { FILE_NONBLOCK, FILE_UFFD, type File, FMODE_READ } from "../store/files.ts"
import { CAP_SYS_PTRACE, type Task } from "../store/tasks.ts"
import type { Uffd } from "../store/uffds.ts"
import { whileUsed } from "./process.ts"
import { anyUffdFile } from "./uffd-args.ts"
import { unregisterAll } from "./uffd-register.ts"

/** Opens a userfaultfd for the caller's address space.
 * @param flags - UffdFlags: CLOEXEC, NONBLOCK, USER_MODE_ONLY
 * @returns descriptor | EPERM kernel faults too, without CAP_SYS_PTRACE and sysctl | EINVAL flags | ENOMEM | ENFILE | EMFILE
 */
export function userfaultfd(k: Kernel, task: Task, flags: Word): number {
  const everybody = (lowBits(flags) & UFFD.USER_MODE_ONLY) !== 0 || k.config.unprivilegedUserfaultfd === 1
  return everybody || k.tasks.capable(task, CAP_SYS_PTRACE) ? newUserfaultfd(k, task, flags) : EPERM
}

/** The same for whoever has the right.
 * @returns as `userfaultfd`
 */
export function newUserfaultfd(k: Kernel, task: Task, flags: Word): number {
  const f = lowBits(flags)
  if ((f & ~(UFFD.CLOEXEC | UFFD.NONBLOCK | UFFD.USER_MODE_ONLY)) !== 0) return EINVAL
  const c = uffdCreate(k, k.tasks.mm(task), f)
  if (c === 0) return ENOMEM
  const fd = installUffd(k, task, c)
  if (fd < 0) uffdPut(k, c)
  return fd
}

/** An open file of context `c`, whose reference it takes over, in the lowest free descriptor of `task`; it waits, and is
 * closed by exec, as the flags of the context say.
 * @returns descriptor | EMFILE, ENFILE, and the reference is still the caller's
 */
export function installUffd(k: Kernel, task: Task, c: Uffd): number {
  if (k.tasks.freeFd(task) < 0) return EMFILE
  const f = k.files.allocFile(FILE_UFFD, 0, FMODE_READ, "anon_inode:[userfaultfd]")
  if (f === 0) return ENFILE
  if ((k.uffds.flags(c) & UFFD.NONBLOCK) !== 0) k.files.setFlags(f, FILE_NONBLOCK)
  k.files.setPrivate(f, c)
  const fd = installFd(k, task, f)
  if ((k.uffds.flags(c) & UFFD.CLOEXEC) !== 0) k.tasks.setCloexec(task, fd)
  return fd
}

/** UFFDIO_API: the version, and the features that are wanted. Once a descriptor. `k.out[0]` is every feature there is,
 * `k.out[1]` the lower word of the mask of ioctls.
 * @param features - UffdFlags FEATURE_*
 * @returns OK | EBADF | ENOTTY | EINVAL another version, an unknown feature, or agreed already | EPERM EVENT_FORK without
 *   CAP_SYS_PTRACE
 */
export function uffdApi(k: Kernel, task: Task, fd: Word, api: Word, features: Word): number {
  k.out[0] = k.out[1] = 0
  const f = anyUffdFile(k, task, fd)
  if (f < 0) return f
  const wanted = wantedFeatures(k, task, api, features)
  if (wanted < 0) return wanted
  const r = agree(k, k.files.private(f), wanted)
  if (r < 0) return r
  k.out[0] = UFFD.FEATURES
  k.out[1] = Number(BigInt.asUintN(32, UFFD.API_IOCTLS))
  return OK
}

/** The features that a handshake turns on.
 * @returns FEATURE_* | EINVAL another version, or an unknown feature | EPERM EVENT_FORK without CAP_SYS_PTRACE
 */
export function wantedFeatures(k: Kernel, task: Task, api: Word, features: Word): number {
  if (lowBits(api) !== UFFD.API || highBits(api) !== 0) return EINVAL
  const wanted = lowBits(features)
  if ((wanted & UFFD.FEATURE_EVENT_FORK) !== 0 && !k.tasks.capable(task, CAP_SYS_PTRACE)) return EPERM
  if ((wanted & ~UFFD.FEATURES) !== 0 || highBits(features) !== 0) return EINVAL
  return (wanted & UFFD.FEATURE_WP_ASYNC) !== 0 ? wanted | UFFD.FEATURE_WP_UNPOPULATED : wanted
}

/** The handshake itself, once. @returns OK | EINVAL agreed already */
export function agree(k: Kernel, c: Uffd, features: number): number {
  if (k.uffds.isInitialized(c)) return EINVAL
  k.uffds.initialize(c, features)
  return OK
}

/** What poll(2) says of a userfaultfd: ERR where reads could wait, or before the handshake; IN where there is a message. */
export function pollOf(k: Kernel, f: File): number {
  const c = k.files.private(f)
  if (!k.uffds.isInitialized(c) || (k.files.flags(f) & FILE_NONBLOCK) === 0) return POLL.ERR
  return isReadable(k, c) ? POLL.IN : 0
}

/** What /proc/PID/fdinfo/FD says of it: faults that wait to be read, all that wait, the interface. */
export function uffdFdinfo(k: Kernel, f: File): string {
  const c = k.files.private(f)
  const [pending, read] = [0, 1].map((q) => k.runs.waiters(k.runs.uffdQueue(c, q)))
  const initialized = k.uffds.isInitialized(c) ? 0x80000000 : 0
  const features = (k.uffds.features(c) + initialized).toString(16)
  const ioctls = (UFFD.API_IOCTLS | BigInt(UFFD.RANGE_IOCTLS)).toString(16)
  return `pending:\t${pending}\ntotal:\t${pending! + read!}\nAPI:\t${UFFD.API.toString(16)}:${features}:${ioctls}\n`
}

/** The last holder of file `f`, any kind, has let go: ends what is behind it, and frees it. What `fput` leaves in
 * `k.released`, a device's own release aside.
 * @locks takes mmap write for a userfaultfd; not killable
 */
export function* releaseFile(k: Kernel, f: File): Verb<AreaStops> {
  if (k.files.kind(f) === FILE_UFFD) yield* release(k, k.files.private(f))
  closeFile(k, f)
  return OK
}

/** Ends what `k.released` has; devices' own releases are for whoever has them.
 * @locks as `releaseFile`
 */
export function* drainReleased(k: Kernel): Verb<AreaStops> {
  for (let f = k.released.shift(); f !== undefined; f = k.released.shift()) yield* releaseFile(k, f)
  return OK
}

/** What a program does that unregisters all it has and reads what is left, before it closes file `f`: a process that was
 * forked has the file too, and would keep everybody waiting.
 * @locks takes mmap write; not killable
 */
export function* uffdShut(k: Kernel, f: File): Verb<AreaStops> {
  fget(k, f)
  try {
    yield* letGoOfAll(k, k.files.private(f))
  } finally {
    fput(k, f)
  }
  return OK
}

function* release(k: Kernel, c: Uffd): Verb<AreaStops, void> {
  yield* letGoOfAll(k, c)
  uffdPut(k, c)
}

/** Every area is unregistered, every waiter goes on. */
function* letGoOfAll(k: Kernel, c: Uffd): Verb<AreaStops, void> {
  k.uffds.setReleased(c)
  const mm = k.uffds.mm(c)
  yield* whileUsed(k, mm, OK, function* (): Verb<AreaStops> {
    if (!tryMmap(k, mm, WRITE)) yield k.runs.needLock(k.runs.mmapLock(mm), WRITE, 0)
    try {
      yield* unregisterAll(k, c)
    } finally {
      mmapUnlock(k, mm, WRITE)
    }
    return OK
  })
  wakeEverybody(k, c)
}
