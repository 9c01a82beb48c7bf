/** System calls by Linux's names, performed on a simulated process: what recordings of both formats are checked with.
 * Floor 9.
 */
import type { StopName, Verb } from "../mm/base/stop.ts"
import { lowBits, type Word } from "../mm/base/units.ts"
import type { Kernel } from "../mm/kernel.ts"
import type { Task } from "../mm/store/tasks.ts"
import { brk } from "../mm/sys/brk.ts"
import { close, dup } from "../mm/sys/fd.ts"
import { fallocate, fchmod, ftruncate, preadUser, pwriteUser } from "../mm/sys/file.ts"
import { addSeals, getSeals, memfdCreate, memfdSecret } from "../mm/sys/memfd.ts"
import { mlock, mlockall, munlock, munlockall } from "../mm/sys/mlock.ts"
import { isMemoryOption, prctl } from "../mm/sys/prctl.ts"
import { setrlimit } from "../mm/sys/rlimit.ts"
import { madvise } from "../mm/sys/madvise.ts"
import { mmap } from "../mm/sys/mmap.ts"
import { mprotect, pkeyMprotect } from "../mm/sys/mprotect.ts"
import { mremap } from "../mm/sys/mremap.ts"
import { mseal } from "../mm/sys/seal.ts"
import { msync } from "../mm/sys/msync.ts"
import { munmap } from "../mm/sys/munmap.ts"
import { remapFilePages } from "../mm/sys/remap-file-pages.ts"
import { shmat, shmdt, shmget } from "../mm/sys/shm.ts"
import { shmctl } from "../mm/sys/shmctl.ts"
import { uffdContinue, uffdCopy, uffdPoison, uffdZeropage } from "../mm/sys/uffd-fill.ts"
import { uffdMove } from "../mm/sys/uffd-move.ts"
import { uffdRegister, uffdUnregister, uffdWake } from "../mm/sys/uffd-register.ts"
import { uffdWriteprotect } from "../mm/sys/uffd-wp.ts"
import { uffdApi, userfaultfd } from "../mm/sys/userfaultfd.ts"

/** Registers of a call, by their place. */
export type Args = (at: number) => Word
/** Performs a call. Undefined: this form of it is not built. */
export type Call = (k: Kernel, task: Task, args: Args) => Verb<StopName> | number | undefined

const F_ADD_SEALS = 1033
const F_GET_SEALS = 1034

/** Calls that answer a number or an errno. */
export const calls: Readonly<Record<string, Call>> = {
  mmap: (k, task, a) => mmap(k, task, a(0), a(1), a(2), a(3), a(4), a(5)),
  munmap: (k, task, a) => munmap(k, task, a(0), a(1)),
  mprotect: (k, task, a) => mprotect(k, task, a(0), a(1), a(2)),
  pkey_mprotect: (k, task, a) => pkeyMprotect(k, task, a(0), a(1), a(2), a(3)),
  mremap: (k, task, a) => mremap(k, task, a(0), a(1), a(2), a(3), a(4)),
  madvise: (k, task, a) => madvise(k, task, a(0), a(1), a(2)),
  mseal: (k, task, a) => mseal(k, task, a(0), a(1), a(2)),
  msync: (k, task, a) => msync(k, task, a(0), a(1), a(2)),
  remap_file_pages: (k, task, a) => remapFilePages(k, task, a(0), a(1), a(2), a(3), a(4)),
  brk: (k, task, a) => brk(k, task, a(0)),
  mlock: (k, task, a) => mlock(k, task, a(0), a(1)),
  mlock2: (k, task, a) => mlock(k, task, a(0), a(1), a(2)),
  munlock: (k, task, a) => munlock(k, task, a(0), a(1)),
  mlockall: (k, task, a) => mlockall(k, task, a(0)),
  munlockall: (k, task) => munlockall(k, task),
  ftruncate: (k, task, a) => ftruncate(k, task, a(0), a(1)),
  fallocate: (k, task, a) => fallocate(k, task, a(0), a(1), a(2), a(3)),
  pread_mem: (k, task, a) => preadUser(k, task, a(0), a(1), a(2), a(3)),
  pwrite_mem: (k, task, a) => pwriteUser(k, task, a(0), a(1), a(2), a(3)),
  close: (k, task, a) => close(k, task, a(0)),
  dup: (k, task, a) => dup(k, task, a(0)),
  fchmod: (k, task, a) => fchmod(k, task, a(0), a(1)),
  memfd_create: (k, task, a) => memfdCreate(k, task, a(0), a(1)),
  memfd_secret: (k, task, a) => memfdSecret(k, task, a(0)),
  shmget: (k, task, a) => shmget(k, task, a(0), a(1), a(2)),
  shmat: (k, task, a) => shmat(k, task, a(0), a(1), a(2)),
  shmdt: (k, task, a) => shmdt(k, task, a(0)),
  shmctl: (k, task, a) => shmctl(k, task, a(0), a(1), a(2)),
  setrlimit: (k, task, a) => setrlimit(k, task, a(0), a(1), a(2)),
  fcntl: (k, task, a) => {
    const command = lowBits(a(1))
    if (command === F_ADD_SEALS) return addSeals(k, task, a(0), a(2))
    return command === F_GET_SEALS ? getSeals(k, task, a(0)) : undefined
  },
  userfaultfd: (k, task, a) => userfaultfd(k, task, a(0)),
  uffdio_api: (k, task, a) => uffdApi(k, task, a(0), a(1), a(2)),
  uffdio_register: (k, task, a) => uffdRegister(k, task, a(0), a(1), a(2), a(3)),
  uffdio_unregister: (k, task, a) => uffdUnregister(k, task, a(0), a(1), a(2)),
  uffdio_wake: (k, task, a) => uffdWake(k, task, a(0), a(1), a(2)),
  uffdio_copy: (k, task, a) => uffdCopy(k, task, a(0), a(1), a(2), a(3), a(4)),
  uffdio_zeropage: (k, task, a) => uffdZeropage(k, task, a(0), a(1), a(2), a(3)),
  uffdio_writeprotect: (k, task, a) => uffdWriteprotect(k, task, a(0), a(1), a(2), a(3)),
  uffdio_continue: (k, task, a) => uffdContinue(k, task, a(0), a(1), a(2), a(3)),
  uffdio_poison: (k, task, a) => uffdPoison(k, task, a(0), a(1), a(2), a(3)),
  uffdio_move: (k, task, a) => uffdMove(k, task, a(0), a(1), a(2), a(3), a(4)),
  prctl: (k, task, a) => (isMemoryOption(lowBits(a(0))) ? prctl(k, task, a(0), a(1), a(2), a(3), a(4)) : undefined)
}
