/** What /proc says of a process: `Task` has /proc/self, `Kernel` has /proc/PID. Floor 8, internal. */
import { Effect } from "effect"
import { byName } from "../flags/Errno.ts"
import { PAGE_SIZE, registerOf } from "../mm/base/units.ts"
import type { Kernel as CoreKernel } from "../mm/kernel.ts"
import { fdinfo as fdinfoOf } from "../mm/proc/fdinfo.ts"
import { maps as mapsOf } from "../mm/proc/maps.ts"
import { pagemapRead } from "../mm/proc/pagemap.ts"
import { PATH_MAX, procmapQuery as query } from "../mm/proc/procmap-query.ts"
import { smaps as smapsOf, smapsRollup as smapsRollupOf } from "../mm/proc/smaps.ts"
import { statm as statmOf, status as statusOf } from "../mm/proc/status.ts"
import { CAP_SYS_ADMIN } from "../mm/store/tasks.ts"
import type { Call } from "./call.ts"
import type { Fail } from "./Fail.ts"
import type { Fd } from "./file-calls.ts"
import { MmObject } from "./handles.ts"
import { type Kernel, onWorld } from "./machine.ts"
import { onProcess, type Task } from "./process.ts"
import { unitOf } from "./raw.ts"
import { type Register, wordOf } from "./register.ts"
import { door } from "./rim.ts"
import { settler } from "./settle.ts"
import type { PageAligned, UserAddr } from "./unit.ts"
import { withUsers } from "./user.ts"

const locked = { maps: mapsOf, smaps: smapsOf, smapsRollup: smapsRollupOf } as const
const plain = { status: statusOf, statm: statmOf } as const

/** Address space of process `pid`; 0 if there is none. */
const mmOf = (k: CoreKernel, pid: number): number =>
  Number.isInteger(pid) && pid > 0 && pid < k.tasks.limit() ? k.tasks.mm(pid) : 0

/** What a file says of process `pid`, whose address space stays meanwhile; empty if there is none. */
export const lockedText = (pid: number, file: keyof typeof locked): Effect.Effect<string, never, Kernel> =>
  onWorld((w) =>
    Effect.suspend(() => {
      const mm = mmOf(w.k, pid)
      if (mm === 0) return Effect.succeed("")
      return withUsers(
        new MmObject(w, mm),
        false,
        () => door(w, 0, () => locked[file](w.k, mm), Effect.succeed),
        () => Effect.succeed("")
      )
    })
  )

/** The same of a file that needs no lock. */
export const plainText = (pid: number, file: keyof typeof plain): Effect.Effect<string, never, Kernel> =>
  onWorld(({ k }) =>
    Effect.sync(() => {
      const mm = mmOf(k, pid)
      return mm === 0 ? "" : plain[file](k, mm)
    })
  )

const ownLocked = (file: keyof typeof locked): Effect.Effect<string, never, Task> =>
  onProcess((p) => door(p.world, p.pid, () => locked[file](p.world.k, p.world.k.tasks.mm(p.pid)), Effect.succeed))

const ownPlain = (file: keyof typeof plain): Effect.Effect<string, never, Task> =>
  onProcess((p) => Effect.sync(() => plain[file](p.world.k, p.world.k.tasks.mm(p.pid))))

/** /proc/self/maps: a line a VMA.
 * @locks takes each VMA's own lock in turn; mmap_lock, read, for one that is being written
 * @source fs/proc/task_mmu.c show_map_vma (v6.18)
 */
export const maps: Call<string, never> = ownLocked("maps")

/** /proc/self/smaps: each VMA with its pages by kind and its flags.
 * @locks takes mmap_lock, read
 * @source fs/proc/task_mmu.c show_smap (v6.18)
 */
export const smaps: Call<string, never> = ownLocked("smaps")

/** /proc/self/smaps_rollup: the pages of all VMAs together.
 * @locks takes mmap_lock, read; lets writers in between two VMAs
 * @source fs/proc/task_mmu.c show_smaps_rollup (v6.18)
 */
export const smapsRollup: Call<string, never> = ownLocked("smapsRollup")

/** The memory lines of /proc/self/status, from VmPeak to HugetlbPages. What is not memory is not there.
 * @source fs/proc/task_mmu.c task_mem (v6.18)
 */
export const status: Effect.Effect<string, never, Task> = ownPlain("status")

/** /proc/self/statm: size, resident, shared, text, 0, data and stack, 0, in pages.
 * @source fs/proc/array.c proc_pid_statm (v6.18)
 */
export const statm: Effect.Effect<string, never, Task> = ownPlain("statm")

const described = settler("ENOENT")
/** /proc/self/fdinfo/FD: position and flags of a descriptor; of a userfaultfd, how many faults wait to be read, how many
 * wait at all, and what was agreed upon. What is not memory is not there.
 * @returns ENOENT not an open descriptor
 * @source fs/proc/fd.c seq_show; fs/userfaultfd.c userfaultfd_show_fdinfo (v6.18)
 */
export const fdinfo = (file: Fd<unknown>): Effect.Effect<string, Fail<"ENOENT">, Task> =>
  onProcess((p) =>
    Effect.suspend(() => {
      const text = fdinfoOf(p.world.k, p.pid, file.number)
      return described(text === undefined ? byName.ENOENT : 0, text ?? "")
    })
  )

/** The same of descriptor `fd` of process `pid`; empty if there is none. */
export const fdinfoText = (pid: number, fd: number): Effect.Effect<string, never, Kernel> =>
  onWorld(({ k }) => Effect.sync(() => (mmOf(k, pid) === 0 ? "" : (fdinfoOf(k, pid, fd) ?? ""))))

/** MAX_RW_COUNT: a read of more is one of so much. */
const MOST = 0x7fff_f000n
/** Offsets and lengths are signed. */
const LIMIT = 2n ** 63n

const settled = settler("EINVAL")
/** Reads /proc/self/pagemap as pread(2) does: a word a page, eight bytes each, page n at byte 8n.
 * @param position - bytes from the start of the file
 * @param length - bytes
 * @returns the words, fewer at the end of user space, none behind it; `PagemapFlags` has their bits | EINVAL position or
 *   length is no multiple of 8, or negative as a signed number
 * @locks takes mmap_lock, read, a page table at a time
 * @source fs/proc/task_mmu.c pagemap_read (v6.18)
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { PagemapFlags, Task, Units } from "pagewright"
 * const isPresent = (at: Units.UserAddr) =>
 *   Effect.map(Task.pagemap(Math.floor(Units.raw(at) / 4096) * 8, 8), ([word = 0n]) => (word & PagemapFlags.PRESENT) !== 0n)
 * ```
 */
export const pagemap = (position: Register, length: Register): Call<BigUint64Array, Fail<"EINVAL">> =>
  onProcess((p) => {
    const { k } = p.world
    const from = registerOf(wordOf(position))
    const wanted = registerOf(wordOf(length))
    if (wanted >= LIMIT || from + wanted >= LIMIT) return settled(byName.EINVAL, new BigUint64Array())
    const bytes = wanted > MOST ? MOST : wanted
    const words = new BigUint64Array(Number(bytes / 8n))
    const showPfn = k.tasks.capable(p.pid, CAP_SYS_ADMIN)
    const into = new Uint8Array(words.buffer)
    return door(
      p.world,
      p.pid,
      () => pagemapRead(k, k.tasks.mm(p.pid), showPfn, from, bytes, into),
      (r) => settled(r, words.subarray(0, Math.max(0, r) / 8))
    )
  })

/** What `procmapQuery` is asked. */
export interface ProcmapRequest {
  /** Where; any byte. */
  readonly address: Register
  /** Bits of `ProcmapFlags`: what the VMA must be, and whether the next one will do. None if absent. */
  readonly flags?: Register
  /** Room for the name in bytes, with its terminating zero: 4096 if absent, 0 if it is not wanted. */
  readonly nameSize?: number
}

/** What `procmapQuery` answers. */
export interface ProcmapArea {
  /** First address. */
  readonly start: PageAligned<UserAddr>
  /** First address behind it. */
  readonly end: PageAligned<UserAddr>
  /** `ProcmapFlags.VMA_*`. */
  readonly flags: number
  /** Bytes of a page. */
  readonly pageSize: number
  /** Byte offset within its file; 0 without one. */
  readonly offset: bigint
  /** Device that its file lies on; 0:0 without one. */
  readonly device: { readonly major: number; readonly minor: number }
  /** Inode of its file; 0 without one. */
  readonly inode: number
  /** As in maps, but with nothing escaped; undefined if it has none, or it was not asked for. */
  readonly name: string | undefined
}

const queried = settler("EINVAL", "ENOENT", "ENAMETOOLONG")
/** The ioctl PROCMAP_QUERY of /proc/self/maps: one VMA, by address. With a struct in the process's own memory, of any size:
 * `Task.ioctl` on `Task.open("/proc/self/maps", "r")`.
 * @returns EINVAL unknown flags | ENOENT no such VMA | ENAMETOOLONG its name is longer than there is room for
 * @locks takes the VMA's own lock; mmap_lock, read, while it is being written
 * @source fs/proc/task_mmu.c do_procmap_query (v6.18)
 */
export const procmapQuery = (request: ProcmapRequest): Call<ProcmapArea, Fail<"EINVAL" | "ENOENT" | "ENAMETOOLONG">> =>
  onProcess((p) => {
    const { k } = p.world
    const { address, flags = 0, nameSize = PATH_MAX } = request
    return door(
      p.world,
      p.pid,
      () => query(k, k.tasks.mm(p.pid), wordOf(flags), wordOf(address), nameSize),
      (found) => {
        if (typeof found === "number") return Effect.andThen(queried(found, undefined), Effect.never)
        const { end, inode, major, minor, name, offset, start } = found
        return Effect.succeed({
          start: unitOf<PageAligned<UserAddr>>(start),
          end: unitOf<PageAligned<UserAddr>>(end),
          flags: found.flags,
          pageSize: PAGE_SIZE,
          offset,
          device: { major, minor },
          inode,
          name
        })
      }
    )
  })
