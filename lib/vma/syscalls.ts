/** System calls of a process. Floor 8, internal; `Task` has them. */
import { Effect, Exit } from "effect"
import { byName, nameOf } from "../flags/Errno.ts"
import type { Device } from "./Device.ts"
import { BoundDriver, DeviceObject } from "./driver.ts"
import { closeFile, fget, fput } from "../mm/area/object.ts"
import { pageOf as vpnOf, registerOf } from "../mm/base/units.ts"
import { installFd, openPath } from "../mm/object/file.ts"
import { dumpWalk } from "../mm/page/walk.ts"
import { ioctlProc, openProc } from "../mm/proc/file.ts"
import { FILE_PROC, FMODE_READ, FMODE_WRITE } from "../mm/store/files.ts"
import { RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK, RLIMIT_STACK } from "../mm/store/tasks.ts"
import { brk as sysBrk } from "../mm/sys/brk.ts"
import { mmap as sysMmap } from "../mm/sys/mmap.ts"
import { mprotect as sysMprotect } from "../mm/sys/mprotect.ts"
import { msync as sysMsync } from "../mm/sys/msync.ts"
import { munmap as sysMunmap } from "../mm/sys/munmap.ts"
import { type ErrnoName, type Fail, fail, isFail, make } from "./Fail.ts"
import type { Takes } from "./Lockdep.ts"
import { onProcess, type Process, type Task } from "./process.ts"
import { failureOf, hookAnswer, hookFailure, inner, unitOf } from "./raw.ts"
import { type Register, wordOf } from "./register.ts"
import { door, releaseFiles, type Restore } from "./rim.ts"
import { settler } from "./settle.ts"
import type { PageAligned, UserAddr } from "./unit.ts"
import { tearDownLater } from "./user.ts"
import { announced, fileHook } from "./world.ts"

export type { Register } from "./register.ts"

/** A system call that takes mmap_lock. */
export type Call<A, E> = Effect.Effect<A, E, Task | Takes<"mmap_lock">>

// ---- memory

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
export const mmap = <E = never>(request: MmapRequest<E>): Call<PageAligned<UserAddr>, E | Fail<MmapErrno>> =>
  onProcess((p) => {
    const { address = 0, fd: file = none, flags, length, offset = 0, prot } = request
    const called = door(
      p.world,
      p.pid,
      () =>
        sysMmap(
          p.world.k,
          p.pid,
          wordOf(address),
          wordOf(length),
          wordOf(prot),
          wordOf(flags),
          file.number,
          wordOf(offset)
        ),
      (r): Effect.Effect<PageAligned<UserAddr>, E | Fail<MmapErrno>> =>
        r >= 0 ? Effect.succeed(unitOf(r)) : Effect.fail(hookFailure(make(nameOf(r) ?? "EINVAL")))
    )
    return file instanceof NumberedFd ? Effect.catchIf(called, isOwn, ownError) : called
  })

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
  onProcess((p) =>
    door(
      p.world,
      p.pid,
      () => sysMunmap(p.world.k, p.pid, wordOf(address), wordOf(length)),
      (r) => unmapped(r, undefined)
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
  onProcess((p) =>
    door(
      p.world,
      p.pid,
      () => sysMprotect(p.world.k, p.pid, wordOf(address), wordOf(length), wordOf(prot)),
      (r) => protected_(r, undefined)
    )
  )

/** brk(2): moves the end of the heap. Never an errno.
 * @param address - 0 asks where it is
 * @returns the break that holds now: the old one, where the new one was refused
 * @locks takes mmap_lock, write
 * @source mm/mmap.c brk (v6.18)
 */
export const brk = (address: Register): Call<UserAddr, never> =>
  onProcess((p) =>
    door(
      p.world,
      p.pid,
      () => sysBrk(p.world.k, p.pid, wordOf(address)),
      (r) => Effect.succeed(unitOf<UserAddr>(r))
    )
  )

/** msync(2): what was written through shared mappings is to reach its storage. Objects of one's own are asked, range by range.
 * @param flags - 1 MS_ASYNC, 2 MS_INVALIDATE, 4 MS_SYNC
 * @returns EINVAL unaligned, or flags | ENOMEM a hole | EBUSY MS_INVALIDATE over locked memory | what an object fails with
 * @locks takes mmap_lock, read; none while an object is asked
 * @source mm/msync.c (v6.18)
 */
export const msync = (address: Register, length: Register, flags: Register): Call<void, Fail<ErrnoName>> =>
  onProcess((p) =>
    door(
      p.world,
      p.pid,
      () => sysMsync(p.world.k, p.pid, wordOf(address), wordOf(length), wordOf(flags)),
      (r): Effect.Effect<void, Fail<ErrnoName>> =>
        r >= 0 ? Effect.void : Effect.fail(failureOf(make(nameOf(r) ?? "EINVAL")))
    )
  )

// ---- files

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
const none: Fd<never> = { number: -1 }

const opened = settler("ENOENT", "ENFILE", "EMFILE")
/** The errno of a call that may fail with any. */
const failed = (r: number): Effect.Effect<never, Fail<ErrnoName>> =>
  Effect.fail(hookFailure(make(nameOf(r) ?? "EINVAL")))

const openAs = (p: Process, path: string, mode: OpenMode): Effect.Effect<Fd<never>, unknown> =>
  Effect.uninterruptibleMask((restore) => {
    const { k } = p.world
    const bits = (mode.includes("r") ? FMODE_READ : 0) | (mode.includes("w") ? FMODE_WRITE : 0)
    const isProc = path.startsWith("/proc/")
    const f = isProc ? openProc(k, p.pid, path, bits) : openPath(k, path, bits)
    if (f < 0) return isProc ? failed(f) : opened(f, { number: -1 })
    const driver = p.world.drivers[k.files.ops(f)]
    const install = (): Effect.Effect<Fd<never>, Fail<"ENOENT" | "ENFILE" | "EMFILE">> => {
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

const closed = settler("EBADF")
/** close(2). A mapping keeps the file open.
 * @returns EBADF not an open descriptor
 */
export const close = (file: Fd<unknown>): Effect.Effect<void, Fail<"EBADF">, Task> =>
  onProcess((p) =>
    Effect.uninterruptible(
      Effect.suspend(() => {
        const f = p.world.k.tasks.file(p.pid, file.number)
        if (f === 0) return closed(byName.EBADF, undefined)
        p.world.k.tasks.setFile(p.pid, file.number, 0)
        fput(p.world.k, f)
        return releaseFiles(p.world)
      })
    )
  )

/** ioctl(2).
 * @returns what the driver answers | EBADF not an open descriptor | ENOTTY the file has no ioctl | what the driver fails with
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
      if (f === 0) return fail("EBADF")
      if (k.files.kind(f) === FILE_PROC) return ofProc(p, f, command, argument, restore)
      const open = p.world.files.get(f)
      const answer = open?.driver.ioctl(open, command, registerOf(wordOf(argument)))
      if (answer === undefined || open === undefined) return fail("ENOTTY")
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

/** A command of a file of /proc; its argument is a struct in the caller's memory. */
const ofProc = (
  p: Process,
  f: number,
  command: number,
  argument: Register,
  restore: Restore
): Effect.Effect<number, Fail<ErrnoName>> => {
  const { k } = p.world
  fget(k, f)
  const call = door(
    p.world,
    p.pid,
    () => ioctlProc(k, p.pid, f, command, wordOf(argument)),
    (r): Effect.Effect<number, Fail<ErrnoName>> => (r >= 0 ? Effect.succeed(r) : failed(r))
  )
  return Effect.onExit(restore(call), () => {
    fput(k, f)
    return tearDownLater(p.world)
  })
}

// ---- limits, and page tables

const resources = { AS: RLIMIT_AS, DATA: RLIMIT_DATA, MEMLOCK: RLIMIT_MEMLOCK, STACK: RLIMIT_STACK } as const

/** setrlimit(2), soft and hard limit alike.
 * @param limit - bytes; Infinity for none
 */
export const setrlimit = (resource: keyof typeof resources, limit: number): Effect.Effect<void, never, Task> =>
  onProcess((p) => Effect.sync(() => p.world.k.tasks.setRlimit(p.pid, resources[resource], limit, limit)))

/** The page-table walk to an address, a line a level: index, and the table or the frame. */
export const walk = (address: Register): Effect.Effect<readonly string[], never, Task> =>
  onProcess((p) => Effect.sync(() => dumpWalk(p.world.k, p.world.k.tasks.mm(p.pid), vpnOf(wordOf(address)))))
