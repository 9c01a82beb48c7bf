/** System calls about open files. Floor 8, internal; `Task` has them. */
import { Effect, Exit } from "effect"
import type { Device } from "./Device.ts"
import { BoundDriver, DeviceObject } from "./driver.ts"
import { closeFile, fget, fput } from "../mm/area/object.ts"
import { registerOf } from "../mm/base/units.ts"
import { installFd, openPath } from "../mm/object/file.ts"
import { ioctlProc, openProc } from "../mm/proc/file.ts"
import { FILE_PROC, FMODE_READ, FMODE_WRITE } from "../mm/store/files.ts"
import { close as sysClose } from "../mm/sys/fd.ts"
import { type PlainCall, plainCall } from "./call.ts"
import { type ErrnoName, type Fail, fail, isFail } from "./Fail.ts"
import type { Takes } from "./Lockdep.ts"
import { onProcess, type Process, type Task } from "./process.ts"
import { hookAnswer, inner } from "./raw.ts"
import { type Register, wordOf } from "./register.ts"
import { door, releaseFiles, type Restore } from "./rim.ts"
import { settleAny, settler } from "./settle.ts"
import { tearDownLater } from "./user.ts"
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
  file instanceof NumberedFd ? Effect.catchIf(mapped, isOwn, ownError) : mapped

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

const opened = settler("ENOENT", "ENFILE", "EMFILE")
const openAs = (p: Process, path: string, mode: OpenMode): Effect.Effect<Fd<never>, unknown> =>
  Effect.uninterruptibleMask((restore) => {
    const { k } = p.world
    const bits = (mode.includes("r") ? FMODE_READ : 0) | (mode.includes("w") ? FMODE_WRITE : 0)
    const isProc = path.startsWith("/proc/")
    const f = isProc ? openProc(k, p.pid, path, bits) : openPath(k, path, bits)
    if (f < 0) return isProc ? settleAny(f, { number: -1 }) : opened(f, { number: -1 })
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
 * @source fs/open.c close (v6.18)
 */
export const close = (file: Fd<unknown>): PlainCall<void, Fail<"EBADF">> =>
  plainCall(
    (k, pid) => sysClose(k, pid, file.number),
    (r) => closed(r, undefined)
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
    (r) => settleAny(r, r)
  )
  return Effect.onExit(restore(call), () => {
    fput(k, f)
    return tearDownLater(p.world)
  })
}
