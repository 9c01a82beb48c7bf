/** Error numbers as the core returns them: negative, zero is success.
 * @source include/uapi/asm-generic/errno-base.h, errno.h (v6.18)
 */
export const OK = 0
export const EPERM = -1
export const ENOENT = -2
export const ESRCH = -3
export const EINTR = -4
export const EIO = -5
export const ENXIO = -6
export const EBADF = -9
export const EAGAIN = -11
export const ENOMEM = -12
export const EACCES = -13
export const EFAULT = -14
export const EBUSY = -16
export const EEXIST = -17
export const ENODEV = -19
export const ENOTDIR = -20
export const EISDIR = -21
export const EINVAL = -22
export const ENFILE = -23
export const EMFILE = -24
export const ENOTTY = -25
export const ETXTBSY = -26
export const EFBIG = -27
export const ENOSPC = -28
export const ESPIPE = -29
export const EOVERFLOW = -75
export const EOPNOTSUPP = -95
export const ENOSYS = -38

const names = {
  EPERM,
  ENOENT,
  ESRCH,
  EINTR,
  EIO,
  ENXIO,
  EBADF,
  EAGAIN,
  ENOMEM,
  EACCES,
  EFAULT,
  EBUSY,
  EEXIST,
  ENODEV,
  ENOTDIR,
  EISDIR,
  EINVAL,
  ENFILE,
  EMFILE,
  ENOTTY,
  ETXTBSY,
  EFBIG,
  ENOSPC,
  ESPIPE,
  EOVERFLOW,
  EOPNOTSUPP,
  ENOSYS
} as const

/** Name of an error, `"EINVAL"` for instance. */
export type ErrnoName = keyof typeof names
/** A negative error number, or a result that is zero or positive. */
export type Errno = number

/** Every error number that this library knows, by name; the values are negative. */
export const byName: Readonly<Record<ErrnoName, number>> = names
const byNumber = new Map<number, ErrnoName>(Object.entries(names).map(([name, value]) => [value, name as ErrnoName]))

/** Name of the negative error number `errno`; undefined where this library knows none.
 * @param errno - negative, as the core returns it
 */
export const nameOf = (errno: number): ErrnoName | undefined => byNumber.get(errno)
