/** Every system call of the core with arguments that are good, for tests that make one of them bad. */
import { ANONYMOUS, FIXED, PRIVATE, SHARED } from "../../lib/flags/MapFlags.ts"
import { READ, WRITE } from "../../lib/flags/ProtFlags.ts"
import type { Word } from "../../lib/mm/base/units.ts"
import type { Kernel } from "../../lib/mm/kernel.ts"
import { createFile, installFd, openAnonymous, openPath, writeObject } from "../../lib/mm/object/file.ts"
import { FILE_REGULAR, FILE_SHMEM, FMODE_READ, FMODE_WRITE } from "../../lib/mm/store/files.ts"
import { brk } from "../../lib/mm/sys/brk.ts"
import { close, dup } from "../../lib/mm/sys/fd.ts"
import { fallocate, fchmod, ftruncate, pread, preadUser, pwrite, pwriteUser } from "../../lib/mm/sys/file.ts"
import { addSeals, memfdCreate, memfdSecret } from "../../lib/mm/sys/memfd.ts"
import { madvise } from "../../lib/mm/sys/madvise.ts"
import { mincore } from "../../lib/mm/sys/mincore.ts"
import { mlock, mlockall, munlock } from "../../lib/mm/sys/mlock.ts"
import { mmap } from "../../lib/mm/sys/mmap.ts"
import { mprotect, pkeyMprotect } from "../../lib/mm/sys/mprotect.ts"
import { mremap } from "../../lib/mm/sys/mremap.ts"
import { msync } from "../../lib/mm/sys/msync.ts"
import { munmap } from "../../lib/mm/sys/munmap.ts"
import { prctl, setMdwe } from "../../lib/mm/sys/prctl.ts"
import { setrlimit } from "../../lib/mm/sys/rlimit.ts"
import { mseal } from "../../lib/mm/sys/seal.ts"
import { shmat, shmdt, shmget } from "../../lib/mm/sys/shm.ts"
import { shmctl } from "../../lib/mm/sys/shmctl.ts"
import { userLoad8, userStore8 } from "../../lib/mm/sys/trap.ts"
import { copyFromUser, copyToUser } from "../../lib/mm/sys/usercopy.ts"
import { bootTiny, call, HEAP, HERE, spawnTask } from "../../lib/proof/testing/calls.ts"
import { mapPicture } from "../../lib/proof/testing/picture.ts"

/** A world in which every door has something to work on: areas "aab.f", a file on descriptor 0, a memfd on 1, a segment
 * attached at page 20.
 */
export interface Room {
  readonly k: Kernel
  readonly task: number
}

export function room(): Room {
  const k = bootTiny({ frames: 128 })
  const task = spawnTask(k)
  createFile(k, "/f", FILE_REGULAR, 0)
  writeObject(k, k.paths.get("/f")!.obj, 0, new Uint8Array(3 * 4096).fill(9))
  installFd(k, task, openPath(k, "/f", FMODE_READ | FMODE_WRITE))
  installFd(k, task, openAnonymous(k, FILE_SHMEM, FMODE_READ | FMODE_WRITE, "/memfd:m (deleted)", 8192))
  mapPicture(k, task, "aab.f", { f: { prot: READ | WRITE, flags: SHARED, fd: 0 } })
  call(k, () => brk(k, task, HEAP * 4096 + 5000))
  const segment = shmget(k, task, 0, 8192, 0o600)
  call(k, () => shmat(k, task, segment, (HERE + 20) * 4096, 0))
  for (const page of [0, 4]) userStore8(k, k.tasks.mm(task), (HERE + page) * 4096, 7)
  return { k, task }
}

/** A system call: all of its registers, and what it does with them. */
export interface Door {
  readonly name: string
  readonly good: readonly Word[]
  readonly run: (r: Room, ...words: Word[]) => number
  /** What it may have done in part before it failed, as Linux does: its errno then. */
  readonly partial?: readonly number[]
}

const at = HERE * 4096
const ENOMEM = -12

export const doors: readonly Door[] = [
  {
    name: "mmap",
    good: [at + 8192, 8192, READ, PRIVATE | ANONYMOUS | FIXED, -1, 0],
    run: ({ k, task }, a, b, c, d, e, f) => call(k, () => mmap(k, task, a, b, c, d, e, f))
  },
  {
    name: "mmap of a file",
    good: [at + 3 * 4096, 4096, READ, SHARED, 0, 4096],
    run: ({ k, task }, a, b, c, d, e, f) => call(k, () => mmap(k, task, a, b, c, d, e, f))
  },
  {
    name: "munmap",
    good: [at + 4096, 4096],
    run: ({ k, task }, a, b) => call(k, () => munmap(k, task, a, b))
  },
  {
    name: "mprotect",
    good: [at + 4096, 8192, READ],
    run: ({ k, task }, a, b, c) => call(k, () => mprotect(k, task, a, b, c)),
    partial: [ENOMEM]
  },
  {
    name: "pkey_mprotect",
    good: [at + 4096, 8192, READ, -1],
    run: ({ k, task }, a, b, c, d) => call(k, () => pkeyMprotect(k, task, a, b, c, d)),
    partial: [ENOMEM]
  },
  { name: "brk", good: [HEAP * 4096 + 9000], run: ({ k, task }, a) => call(k, () => brk(k, task, a)) },
  {
    name: "madvise",
    good: [at, 4096, 4],
    run: ({ k, task }, a, b, c) => call(k, () => madvise(k, task, a, b, c)),
    partial: [ENOMEM]
  },
  {
    name: "mremap",
    good: [at, 4096, 8192, 1, 0],
    run: ({ k, task }, a, b, c, d, e) => call(k, () => mremap(k, task, a, b, c, d, e)),
    partial: [ENOMEM]
  },
  {
    name: "mlock",
    good: [at, 4096],
    run: ({ k, task }, a, b) => call(k, () => mlock(k, task, a, b)),
    partial: [ENOMEM]
  },
  {
    name: "munlock",
    good: [at, 4096],
    run: ({ k, task }, a, b) => call(k, () => munlock(k, task, a, b)),
    partial: [ENOMEM]
  },
  { name: "mlockall", good: [1], run: ({ k, task }, a) => call(k, () => mlockall(k, task, a)) },
  { name: "msync", good: [at, 4096, 4], run: ({ k, task }, a, b, c) => call(k, () => msync(k, task, a, b, c)) },
  {
    name: "mincore",
    good: [at, 8192, at + 64],
    run: ({ k, task }, a, b, c) => call(k, () => mincore(k, task, a, b, c)),
    partial: [ENOMEM]
  },
  {
    name: "mseal",
    good: [at + 8192, 4096, 0],
    run: ({ k, task }, a, b, c) => call(k, () => mseal(k, task, a, b, c))
  },
  {
    name: "ftruncate",
    good: [0, 5000],
    run: ({ k, task }, a, b) => ftruncate(k, task, a, b)
  },
  {
    name: "fallocate",
    good: [1, 3, 100, 5000],
    run: ({ k, task }, a, b, c, d) => fallocate(k, task, a, b, c, d)
  },
  { name: "fcntl(F_ADD_SEALS)", good: [1, 2], run: ({ k, task }, a, b) => addSeals(k, task, a, b) },
  { name: "pread", good: [0, 4000], run: ({ k, task }, a, b) => pread(k, task, a, new Uint8Array(300), b) },
  { name: "pwrite", good: [0, 4000], run: ({ k, task }, a, b) => pwrite(k, task, a, new Uint8Array(300).fill(5), b) },
  {
    name: "pread into a mapping",
    good: [0, at + 4000, 300, 4000],
    run: ({ k, task }, a, b, c, d) => call(k, () => preadUser(k, task, a, b, c, d))
  },
  {
    name: "pwrite from a mapping",
    good: [0, at + 4000, 300, 4000],
    run: ({ k, task }, a, b, c, d) => call(k, () => pwriteUser(k, task, a, b, c, d))
  },
  { name: "fchmod", good: [1, 0o644], run: ({ k, task }, a, b) => fchmod(k, task, a, b) },
  { name: "dup", good: [1], run: ({ k, task }, a) => dup(k, task, a) },
  { name: "close", good: [0], run: ({ k, task }, a) => close(k, task, a) },
  {
    name: "memfd_create",
    good: [at, 2],
    run: ({ k, task }, a, b) => call(k, () => memfdCreate(k, task, a, b))
  },
  { name: "memfd_secret", good: [0], run: ({ k, task }, a) => memfdSecret(k, task, a) },
  { name: "shmget", good: [7, 8192, 0o1600], run: ({ k, task }, a, b, c) => shmget(k, task, a, b, c) },
  {
    name: "shmat",
    good: [0, at + 16 * 4096, 0],
    run: ({ k, task }, a, b, c) => call(k, () => shmat(k, task, a, b, c))
  },
  { name: "shmdt", good: [at + 20 * 4096], run: ({ k, task }, a) => call(k, () => shmdt(k, task, a)) },
  {
    name: "shmctl",
    good: [0, 2, at],
    run: ({ k, task }, a, b, c) => call(k, () => shmctl(k, task, a, b, c))
  },
  { name: "setrlimit", good: [9, 1e9, 2e9], run: ({ k, task }, a, b, c) => setrlimit(k, task, a, b, c) },
  {
    name: "prctl(PR_SET_MDWE)",
    good: [1, 0, 0, 0],
    run: ({ k, task }, a, b, c, d) => setMdwe(k, task, a, b, c, d)
  },
  {
    name: "prctl(PR_SET_MEMORY_MERGE)",
    good: [67, 1, 0, 0, 0],
    run: ({ k, task }, a, b, c, d, e) => call(k, () => prctl(k, task, a, b, c, d, e))
  },
  {
    name: "prctl(PR_SET_MM)",
    good: [35, 15, at, 0, 0],
    run: ({ k, task }, a, b, c, d, e) => call(k, () => prctl(k, task, a, b, c, d, e))
  },
  { name: "a load", good: [at + 5], run: ({ k, task }, a) => userLoad8(k, k.tasks.mm(task), a) },
  { name: "a store", good: [at + 5], run: ({ k, task }, a) => userStore8(k, k.tasks.mm(task), a, 3) },
  {
    name: "copy_to_user",
    good: [at + 4090],
    run: ({ k, task }, a) => call(k, () => copyToUser(k, k.tasks.mm(task), a, new Uint8Array(10).fill(4)))
  },
  {
    name: "copy_from_user",
    good: [at + 4090],
    run: ({ k, task }, a) => call(k, () => copyFromUser(k, k.tasks.mm(task), a, new Uint8Array(10)))
  }
]
