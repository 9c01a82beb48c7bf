/** Files in memory without a path; size, holes and seals of files. Floor 8, internal; `Task` has them. */
import { fallocate as sysFallocate, ftruncate as sysFtruncate } from "../mm/sys/file.ts"
import {
  addSeals as sysAddSeals,
  getSeals as sysGetSeals,
  memfdNamed,
  memfdSecret as sysMemfdSecret
} from "../mm/sys/memfd.ts"
import { type PlainCall, plainCall } from "./call.ts"
import type { Fail } from "./Fail.ts"
import type { Fd } from "./file-calls.ts"
import { type Register, wordOf } from "./register.ts"
import { settler } from "./settle.ts"

const created = settler("EACCES", "EINVAL", "EMFILE", "ENFILE", "ENODEV")
/** memfd_create(2): an empty file of shared memory, open for reading and writing; `ftruncate` gives it a size.
 * @param name - what /proc shows behind "/memfd:"
 * @param flags - bits of `MemfdFlags`; none if absent, so that seals cannot be added
 * @returns descriptor | EINVAL flags, or a name of more than 249 bytes | EACCES vm.memfd_noexec forbids EXEC | ENODEV no huge
 *   pages of that size | ENFILE, EMFILE too many files
 * @source mm/memfd.c memfd_create (v6.18)
 */
export const memfdCreate = (
  name: string,
  flags: Register = 0
): PlainCall<Fd<never>, Fail<"EACCES" | "EINVAL" | "EMFILE" | "ENFILE" | "ENODEV">> =>
  plainCall(
    (k, pid) => memfdNamed(k, pid, name, wordOf(flags)),
    (number) => created(number, { number })
  )

const secret = settler("EMFILE", "ENFILE")
/** memfd_secret(2): an empty file of memory that only shared mappings reach, and that is locked in memory. `ftruncate` sets its
 * size once.
 * @returns descriptor | ENFILE, EMFILE too many files
 * @source mm/secretmem.c memfd_secret (v6.18)
 */
export const memfdSecret: PlainCall<Fd<never>, Fail<"EMFILE" | "ENFILE">> = plainCall(
  (k, pid) => sysMemfdSecret(k, pid, 0),
  (number) => secret(number, { number })
)

const truncated = settler("EBADF", "EFBIG", "EINVAL", "EOPNOTSUPP", "EPERM")
/** ftruncate(2): sets the size of a file. What lies behind it is unmapped from everybody.
 * @param length - bytes
 * @returns EBADF not an open descriptor | EINVAL negative, not open for writing, or nothing with a size | EFBIG | EPERM sealed |
 *   EOPNOTSUPP a process
 * @source fs/open.c ftruncate, mm/shmem.c shmem_setattr (v6.18)
 */
export const ftruncate = (
  file: Fd<unknown>,
  length: Register
): PlainCall<void, Fail<"EBADF" | "EFBIG" | "EINVAL" | "EOPNOTSUPP" | "EPERM">> =>
  plainCall(
    (k, pid) => sysFtruncate(k, pid, file.number, wordOf(length)),
    (r) => truncated(r, undefined)
  )

const allocated = settler("EBADF", "EFBIG", "EINVAL", "EISDIR", "ENODEV", "ENOSPC", "EOPNOTSUPP", "EPERM", "ESPIPE")
/** fallocate(2): gives bytes `[offset, offset + length)` of a file their pages, or takes these away.
 * @param mode - bits of `FallocFlags`; 0 allocates, and makes the file that long
 * @param offset - bytes
 * @param length - bytes
 * @returns EBADF not open for writing | EINVAL negative, or no bytes at all | EOPNOTSUPP a mode that the file does not have |
 *   ENODEV no file with pages | ESPIPE | EISDIR | EPERM sealed | EFBIG | ENOSPC out of memory, or of huge pages
 * @source fs/open.c vfs_fallocate, mm/shmem.c shmem_fallocate (v6.18)
 */
export const fallocate = (
  file: Fd<unknown>,
  mode: Register,
  offset: Register,
  length: Register
): PlainCall<
  void,
  Fail<"EBADF" | "EFBIG" | "EINVAL" | "EISDIR" | "ENODEV" | "ENOSPC" | "EOPNOTSUPP" | "EPERM" | "ESPIPE">
> =>
  plainCall(
    (k, pid) => sysFallocate(k, pid, file.number, wordOf(mode), wordOf(offset), wordOf(length)),
    (r) => allocated(r, undefined)
  )

const sealed = settler("EBADF", "EBUSY", "EINVAL", "EPERM")
/** fcntl(2) F_ADD_SEALS: what can no longer be done to the file, by nobody.
 * @param seals - bits of `SealFlags`
 * @returns EBADF not an open descriptor | EINVAL unknown bits, or a file that has no seals | EPERM not open for writing, or
 *   sealed against seals | EBUSY WRITE, while there are writable mappings
 * @source mm/memfd.c memfd_add_seals (v6.18)
 */
export const addSeals = (
  file: Fd<unknown>,
  seals: Register
): PlainCall<void, Fail<"EBADF" | "EBUSY" | "EINVAL" | "EPERM">> =>
  plainCall(
    (k, pid) => sysAddSeals(k, pid, file.number, wordOf(seals)),
    (r) => sealed(r, undefined)
  )

const known = settler("EBADF", "EINVAL")
/** fcntl(2) F_GET_SEALS.
 * @returns bits of `SealFlags` | EBADF not an open descriptor | EINVAL a file that has no seals
 * @source mm/memfd.c memfd_get_seals (v6.18)
 */
export const getSeals = (file: Fd<unknown>): PlainCall<number, Fail<"EBADF" | "EINVAL">> =>
  plainCall(
    (k, pid) => sysGetSeals(k, pid, file.number),
    (r) => known(r, r)
  )
