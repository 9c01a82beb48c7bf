/** Error numbers as the core returns them: negative, zero is success.
 * @source include/uapi/asm-generic/errno-base.h, errno.h (v6.18)
 */
/** Success. */
export const OK = 0
/** Operation not permitted. */
export const EPERM = -1
/** No such file or directory. */
export const ENOENT = -2
/** No such process. */
export const ESRCH = -3
/** Interrupted system call. */
export const EINTR = -4
/** Input/output error. */
export const EIO = -5
/** No such device or address. */
export const ENXIO = -6
/** Argument list too long. */
export const E2BIG = -7
/** Bad file descriptor. */
export const EBADF = -9
/** Resource temporarily unavailable. */
export const EAGAIN = -11
/** Cannot allocate memory. */
export const ENOMEM = -12
/** Permission denied. */
export const EACCES = -13
/** Bad address. */
export const EFAULT = -14
/** Device or resource busy. */
export const EBUSY = -16
/** File exists. */
export const EEXIST = -17
/** No such device. */
export const ENODEV = -19
/** Not a directory. */
export const ENOTDIR = -20
/** Is a directory. */
export const EISDIR = -21
/** Invalid argument. */
export const EINVAL = -22
/** Too many open files in system. */
export const ENFILE = -23
/** Too many open files. */
export const EMFILE = -24
/** Inappropriate ioctl for device. */
export const ENOTTY = -25
/** Text file busy. */
export const ETXTBSY = -26
/** File too large. */
export const EFBIG = -27
/** No space left on device. */
export const ENOSPC = -28
/** Illegal seek. */
export const ESPIPE = -29
/** Value too large for defined data type. */
export const EOVERFLOW = -75
/** Operation not supported. */
export const EOPNOTSUPP = -95
/** File name too long. */
export const ENAMETOOLONG = -36
/** Function not implemented. */
export const ENOSYS = -38
/** Memory page has a hardware error. */
export const EHWPOISON = -133

const names = {
  EPERM,
  ENOENT,
  ESRCH,
  EINTR,
  EIO,
  ENXIO,
  E2BIG,
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
  ENAMETOOLONG,
  ENOSYS,
  EHWPOISON
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
