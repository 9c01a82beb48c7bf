/** Failures with an errno: frozen plain values, one per errno, whose `_tag` is its name. Floor 8.
 *
 * Plain and prebuilt, because failing with a fresh tagged error costs ten times as much (performance.md).
 */
import { Effect } from "effect"
import { byName, type ErrnoName, nameOf } from "../flags/Errno.ts"

export type { ErrnoName } from "../flags/Errno.ts"

/** One errno as a failure. */
export interface Errno<out T extends ErrnoName> {
  /** Its name, for `Effect.catchTag("EBUSY", ...)`. */
  readonly _tag: T
  /** Its number, positive as user space sees it: 16 for `EBUSY`. */
  readonly errno: number
  /** What `strerror` says, lower case. */
  readonly message: string
}

/** One failure for each name in the union `T`, so that `catchTag` can take them out one by one. */
export type Fail<T extends ErrnoName> = T extends ErrnoName ? Errno<T> : never

const of = <T extends ErrnoName>(name: T, message: string): Errno<T> =>
  Object.freeze({ _tag: name, errno: -byName[name], message })

const all: { readonly [T in ErrnoName]: Errno<T> } = {
  EPERM: of("EPERM", "operation not permitted"),
  ENOENT: of("ENOENT", "no such file or directory"),
  ESRCH: of("ESRCH", "no such process"),
  EINTR: of("EINTR", "interrupted system call"),
  EIO: of("EIO", "input/output error"),
  ENXIO: of("ENXIO", "no such device or address"),
  E2BIG: of("E2BIG", "argument list too long"),
  EBADF: of("EBADF", "bad file descriptor"),
  EAGAIN: of("EAGAIN", "resource temporarily unavailable"),
  ENOMEM: of("ENOMEM", "cannot allocate memory"),
  EACCES: of("EACCES", "permission denied"),
  EFAULT: of("EFAULT", "bad address"),
  EBUSY: of("EBUSY", "device or resource busy"),
  EEXIST: of("EEXIST", "file exists"),
  ENODEV: of("ENODEV", "no such device"),
  ENOTDIR: of("ENOTDIR", "not a directory"),
  EISDIR: of("EISDIR", "is a directory"),
  EINVAL: of("EINVAL", "invalid argument"),
  ENFILE: of("ENFILE", "too many open files in system"),
  EMFILE: of("EMFILE", "too many open files"),
  ENOTTY: of("ENOTTY", "inappropriate ioctl for device"),
  ETXTBSY: of("ETXTBSY", "text file busy"),
  EFBIG: of("EFBIG", "file too large"),
  ENOSPC: of("ENOSPC", "no space left on device"),
  ESPIPE: of("ESPIPE", "illegal seek"),
  EOVERFLOW: of("EOVERFLOW", "value too large for defined data type"),
  EOPNOTSUPP: of("EOPNOTSUPP", "operation not supported"),
  ENAMETOOLONG: of("ENAMETOOLONG", "file name too long"),
  ENOSYS: of("ENOSYS", "function not implemented"),
  EHWPOISON: of("EHWPOISON", "memory page has hardware error")
}

/** The failure of that name; the same frozen value every time. */
export const make = <T extends ErrnoName>(name: T): Errno<T> => all[name]

/** An effect that fails with that errno.
 * @example
 * ```ts
 * import { Fail } from "pagewright"
 * const closed = Fail.fail("ESRCH")
 * ```
 */
export const fail = <T extends ErrnoName>(name: T): Effect.Effect<never, Errno<T>> => Effect.fail(all[name])

/** Says whether a value is a failure made here, or one that says more than its errno. */
export const isFail = (u: unknown): u is Fail<ErrnoName> =>
  typeof u === "object" &&
  u !== null &&
  "_tag" in u &&
  "errno" in u &&
  Object.values<Errno<ErrnoName>>(all).some(({ _tag, errno }) => _tag === u._tag && errno === u.errno)

/** The failure that a C function's negative result stands for.
 * @param errno - negative, as the core returns it
 * @returns `EINVAL`, and a warning is logged, for what is no errno: zero or more, or below -4095, or without a name here
 * @source rust/kernel/error.rs Error::from_errno (v6.18)
 */
export const fromErrno = (errno: number): Effect.Effect<Fail<ErrnoName>> => {
  const name = nameOf(errno)
  if (name !== undefined) return Effect.succeed(all[name])
  return Effect.as(Effect.logWarning(`attempted to create an error from ${errno}, expected -1 to -4095`), all.EINVAL)
}

/** Turns a C function's result into success without a value, or into its failure.
 * @param result - negative errno; anything else is success
 * @source rust/kernel/error.rs to_result (v6.18)
 */
export const toResult = (result: number): Effect.Effect<void, Fail<ErrnoName>> =>
  result >= 0 ? Effect.void : Effect.flatMap(fromErrno(result), Effect.fail)
