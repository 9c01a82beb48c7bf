/** System calls about open files. Floor 8, internal; `Task` has them. */
import { Effect, Exit } from "effect"
import { ENOENT } from "../flags/Errno.ts"
import type { Device } from "./Device.ts"
import { BoundDriver, DeviceObject } from "./driver.ts"
import { closeFile, fget, fput } from "../mm/area/object.ts"
import { registerOf } from "../mm/base/units.ts"
import { installFd, openPath } from "../mm/object/file.ts"
import { openProc } from "../mm/proc/file.ts"
import { FMODE_READ, FMODE_WRITE } from "../mm/store/files.ts"
import { close as sysClose, dup as sysDup } from "../mm/sys/fd.ts"
import { preadUser, pwriteUser } from "../mm/sys/file.ts"
import { ioctl as sysIoctl } from "../mm/sys/ioctl.ts"
import { poll as sysPoll } from "../mm/sys/poll.ts"
import { read as sysRead } from "../mm/sys/read.ts"
import { openUffdDevice, UFFD_DEVICE } from "../mm/sys/uffd-device.ts"
import { userfaultfd as sysUserfaultfd } from "../mm/sys/userfaultfd.ts"
import { type Call, call, type PlainCall, plainCall } from "./call.ts"
import { type ErrnoName, type Fail, fail, isFail } from "./Fail.ts"
import type { Takes } from "./Lockdep.ts"
import { onProcess, type Process, type Task } from "./process.ts"
import { hookAnswer, inner } from "./raw.ts"
import { type Register, wordOf } from "./register.ts"
import { door, releaseFiles } from "./rim.ts"
import { settleAny, settler } from "./settle.ts"
import { announced, fileHook } from "./world.ts"

declare const mmapError: unique symbol

/** An open file. `E` is what mapping it may fail with, besides the errnos of mmap(2). */
export interface Fd<out E> {
  readonly [mmapError]?: E
  /** The descriptor. */
  readonly number: number
}

/** What an open file may be used for. */
export type OpenMode = "r" | "w" | "rw"

/** open(2), of a device that is registered, or of a path.
 * @returns descriptor | ENOENT no such path, or the device is not registered | ENFILE, EMFILE too many files | what the
 *   driver's `open` fails with
 */
export function open<S, OpenError, MmapError, R>(
  device: Device<S, OpenError, MmapError, R>,
  mode: OpenMode
): Effect.Effect<Fd<MmapError>, OpenError | Fail<"ENOENT" | "ENFILE" | "EMFILE">, Task>
/** open(2) of a path: of a file, or of a device whose errors are not known then.
 * @returns descriptor | ENOENT | ENFILE, EMFILE too many files | what the driver's `open` fails with
 */
export function open(path: string, mode: OpenMode): Effect.Effect<Fd<Fail<ErrnoName>>, Fail<ErrnoName>, Task>
export function open(what: object | string, mode: OpenMode): Effect.Effect<Fd<unknown>, unknown, Task> {
  return onProcess((p) => {
    if (typeof what === "string") {
      const opening = Effect.map(openAs(p, what, mode), (file) => new NumberedFd(file.number))
      return Effect.catchIf(opening, isOwn, ownError)
    }
    const driver = inner(what, DeviceObject).bound.get(p.world)
    return driver === undefined ? fail("ENOENT") : openAs(p, driver.name, mode)
  })
}

/** What mapping the file behind `file` does: an error of a driver's own has a type only where the driver is named. */
export const mapping = <A, E, R>(file: Fd<unknown>, mapped: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  file instanceof NumberedFd ? mappingAny(mapped) : mapped

/** The same of a file that the call does not name. */
export const mappingAny = <A, E, R>(mapped: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.catchIf(mapped, isOwn, ownError)

const isOwn = (error: unknown): boolean => !isFail(error)

/** An error of a driver's own has no type where the driver is not named. */
const ownError = (cause: unknown): Effect.Effect<never> =>
  Effect.die(
    new Error("a driver failed with an error of its own; open the device by its value to have it in the type", {
      cause
    })
  )

/** A descriptor by its number: whatever is open there may be behind it. */
class NumberedFd implements Fd<Fail<ErrnoName>> {
  readonly number: number
  constructor(number: number) {
    this.number = number
  }
}

/** The descriptor of that number, open or not. */
export const fd = (number: number): Fd<Fail<ErrnoName>> => new NumberedFd(number)
/** No file: what mmap(2) takes for anonymous memory. */
export const none: Fd<never> = { number: -1 }

const opened = settler("EMFILE")
const openAs = (p: Process, path: string, mode: OpenMode): Effect.Effect<Fd<never>, unknown> =>
  Effect.uninterruptibleMask((restore) => {
    const { k } = p.world
    const bits = (mode.includes("r") ? FMODE_READ : 0) | (mode.includes("w") ? FMODE_WRITE : 0)
    const f = rowOf(p, path, bits)
    if (f < 0) return settleAny(f, { number: -1 })
    const driver = p.world.drivers[k.files.ops(f)]
    const install = (): Effect.Effect<Fd<never>, Fail<"EMFILE">> => {
      const number = installFd(k, p.pid, f)
      return number >= 0
        ? Effect.succeed({ number })
        : Effect.andThen(releaseFiles(p.world), opened(number, { number }))
    }
    if (!(driver instanceof BoundDriver)) return install()
    return Effect.flatMap(
      Effect.exit(restore(announced(p.world, () => fileHook(path, "open", p.pid, p.name), driver.open()))),
      (exit): Effect.Effect<Fd<never>, unknown> => {
        if (Exit.isSuccess(exit)) {
          p.world.files.set(f, exit.value)
          return install()
        }
        closeFile(k, f) // nobody has it: it was never open
        return Effect.failCause(exit.cause)
      }
    )
  })

/** An open file of whatever a path names: a file or device that was made, else the kernel's own. */
const rowOf = ({ pid, world: { k } }: Process, path: string, mode: number): number => {
  if (k.paths.has(path)) return openPath(k, path, mode)
  if (path === UFFD_DEVICE) return openUffdDevice(k, pid, mode)
  return path.startsWith("/proc/") ? openProc(k, pid, path, mode) : ENOENT
}

const closed = settler("EBADF")
/** close(2). A mapping keeps the file open. The last descriptor of a userfaultfd lets everybody go on who waits for it.
 * @returns EBADF not an open descriptor
 * @locks of a userfaultfd, takes mmap_lock, write
 * @source fs/open.c close (v6.18)
 */
export const close = (file: Fd<unknown>): Call<void, Fail<"EBADF">> =>
  plainCall(
    (k, pid) => sysClose(k, pid, file.number),
    (r) => closed(r, undefined)
  )

const copied = settler("EBADF", "EMFILE")
/** dup(2): a second descriptor, the lowest free one, of the same open file. Both have one position; the file is open until
 * both are closed.
 * @returns descriptor | EBADF not an open descriptor | EMFILE too many descriptors
 * @source fs/file.c dup (v6.18)
 */
export const dup = <E>(file: Fd<E>): PlainCall<Fd<E>, Fail<"EBADF" | "EMFILE">> =>
  plainCall(
    (k, pid) => sysDup(k, pid, file.number),
    (number) => copied(number, file instanceof NumberedFd ? new NumberedFd(number) : { number })
  )

/** ioctl(2), of a driver's file, of maps and pagemap in /proc, of a userfaultfd and of /dev/userfaultfd. The kernel's own
 * take the address of a struct in the caller's memory: `UffdFlags.IOCTL_*` say which.
 * @returns what the file answers | EBADF not an open descriptor | ENOTTY the file has no ioctl | what a driver fails with
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Task, UffdFlags, type Units } from "pagewright"
 * // struct uffdio_api lies at `at`
 * const handshake = (uffd: Task.Fd<unknown>, at: Units.UserAddr) =>
 *   Effect.andThen(Task.store64(at, BigInt(UffdFlags.API)), Task.ioctl(uffd, UffdFlags.IOCTL_API, at))
 * ```
 */
export const ioctl = (
  file: Fd<unknown>,
  command: number,
  argument: Register = 0
): Effect.Effect<number, Fail<ErrnoName>, Task | Takes<"mmap_lock">> =>
  onProcess((p) =>
    Effect.uninterruptibleMask((restore) => {
      const { k } = p.world
      const f = k.tasks.file(p.pid, file.number)
      const open = p.world.files.get(f)
      if (open === undefined) {
        const own = door(
          p.world,
          p.pid,
          () => sysIoctl(k, p.pid, file.number, command, wordOf(argument)),
          (r) => settleAny(r, r)
        )
        return restore(own)
      }
      const answer = open.driver.ioctl(open, command, registerOf(wordOf(argument)))
      if (answer === undefined) return fail("ENOTTY")
      fget(k, f) // its descriptor may be closed while the driver answers
      const call = hookAnswer<number, Fail<ErrnoName>>(
        announced(p.world, () => fileHook(open.driver.name, "ioctl", p.pid, p.name), answer)
      )
      return Effect.onExit(restore(call), () => {
        fput(k, f)
        return releaseFiles(p.world)
      })
    })
  )

const wasRead = settler("EAGAIN", "EBADF", "EFAULT", "EINVAL", "EISDIR", "EMFILE", "ENFILE")
/** read(2) from where the open file is, into the caller's memory. A userfaultfd gives whole messages of 32 bytes, and waits
 * for the first one unless it was opened with NONBLOCK.
 * @param length - bytes
 * @returns bytes read, 0 at the end | EBADF not open for reading | EINVAL a file that cannot be read; a userfaultfd before its
 *   handshake, or less than a message | EFAULT | EISDIR | EAGAIN no message | EMFILE, ENFILE no room for a child's descriptor
 * @locks what faults on the memory take
 * @source fs/read_write.c ksys_read; fs/userfaultfd.c userfaultfd_read_iter (v6.18)
 */
export const read = (
  file: Fd<unknown>,
  address: Register,
  length: Register
): Call<number, Fail<"EAGAIN" | "EBADF" | "EFAULT" | "EINVAL" | "EISDIR" | "EMFILE" | "ENFILE">> =>
  call(
    (k, pid) => sysRead(k, pid, file.number, wordOf(address), wordOf(length)),
    (r) => wasRead(r, r)
  )

const readAt = settler("EBADF", "EFAULT", "EINVAL", "EISDIR", "ESPIPE")
/** pread(2), pread64 to the kernel: reads a file from byte `offset` on into the caller's memory. The file's position stays.
 * @param length - bytes
 * @param offset - bytes from the start of the file
 * @returns bytes read, 0 at the end | EBADF not open for reading | EINVAL a negative offset, or a file that cannot be read |
 *   ESPIPE a file without positions | EFAULT the memory cannot be written | EISDIR
 * @partial fewer bytes where the memory ends
 * @locks what faults on the memory take; of a file of /proc, the file's own
 * @source fs/read_write.c ksys_pread64 (v6.18)
 */
export const pread = (
  file: Fd<unknown>,
  address: Register,
  length: Register,
  offset: Register
): Call<number, Fail<"EBADF" | "EFAULT" | "EINVAL" | "EISDIR" | "ESPIPE">> =>
  call(
    (k, pid) => preadUser(k, pid, file.number, wordOf(address), wordOf(length), wordOf(offset)),
    (r) => readAt(r, r)
  )

const writtenAt = settler("EBADF", "EFAULT", "EFBIG", "EINVAL", "EISDIR", "ENOSPC", "EPERM", "ESPIPE")
/** pwrite(2), pwrite64 to the kernel: writes the caller's memory to a file from byte `offset` on, which grows as it must. Who
 * maps the file sees it. The file's position stays.
 * @param length - bytes
 * @param offset - bytes from the start of the file
 * @returns bytes written | EBADF not open for writing | EINVAL a negative offset, or a file that cannot be written | ESPIPE a
 *   file without positions | EFAULT the memory cannot be read | EPERM sealed | EFBIG | ENOSPC out of memory | EISDIR
 * @partial fewer bytes where the memory ends, or the file may not grow; with EFAULT the file may have grown up to `offset`
 * @locks what faults on the memory take
 * @source fs/read_write.c ksys_pwrite64, mm/filemap.c generic_perform_write (v6.18)
 */
export const pwrite = (
  file: Fd<unknown>,
  address: Register,
  length: Register,
  offset: Register
): Call<number, Fail<"EBADF" | "EFAULT" | "EFBIG" | "EINVAL" | "EISDIR" | "ENOSPC" | "EPERM" | "ESPIPE">> =>
  call(
    (k, pid) => pwriteUser(k, pid, file.number, wordOf(address), wordOf(length), wordOf(offset)),
    (r) => writtenAt(r, r)
  )

/** poll(2) of one descriptor with a timeout of 0: what it is ready for now.
 * @param events - bits of `PollFlags`; ERR, HUP and NVAL are told unasked
 * @returns bits of `PollFlags`; a userfaultfd says IN where there is a message, and ERR where reads could wait
 * @source fs/select.c do_pollfd; fs/userfaultfd.c userfaultfd_poll (v6.18)
 */
export const poll = (file: Fd<unknown>, events: number): PlainCall<number, never> =>
  plainCall((k, pid) => sysPoll(k, pid, file.number, events), Effect.succeed)

const made = settler("EINVAL", "EMFILE", "ENFILE", "ENOMEM", "EPERM")
/** userfaultfd(2): a descriptor for faults of the caller's address space, to be asked by `ioctl` and `read`. A client with types
 * is `Userfaultfd`.
 * @param flags - UffdFlags: CLOEXEC, NONBLOCK, USER_MODE_ONLY
 * @returns descriptor | EPERM faults of the kernel's own too, without CAP_SYS_PTRACE | EINVAL flags | ENOMEM | ENFILE | EMFILE
 * @source fs/userfaultfd.c userfaultfd (v6.18)
 */
export const userfaultfd = (
  flags: Register
): PlainCall<Fd<never>, Fail<"EINVAL" | "EMFILE" | "ENFILE" | "ENOMEM" | "EPERM">> =>
  plainCall(
    (k, pid) => sysUserfaultfd(k, pid, wordOf(flags)),
    (number) => made(number, { number })
  )
