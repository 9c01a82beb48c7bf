/** What a process may do, and how its memory is treated: limits, capabilities, prctl. Floor 8, internal; `Task` has them. */
import { Effect } from "effect"
import { pageOf as vpnOf } from "../mm/base/units.ts"
import { dumpWalk } from "../mm/page/walk.ts"
import {
  CAP_DAC_OVERRIDE,
  CAP_FOWNER,
  CAP_IPC_LOCK,
  CAP_IPC_OWNER,
  CAP_SYS_ADMIN,
  CAP_SYS_NICE,
  CAP_SYS_PTRACE,
  CAP_SYS_RAWIO,
  CAP_SYS_RESOURCE,
  RLIMIT_AS,
  RLIMIT_DATA,
  RLIMIT_MEMLOCK,
  RLIMIT_STACK
} from "../mm/store/tasks.ts"
import { prctl as sysPrctl } from "../mm/sys/prctl.ts"
import { type Call, call, type PlainCall } from "./call.ts"
import { type Fail, fail } from "./Fail.ts"
import { onProcess } from "./process.ts"
import { type Register, wordOf } from "./register.ts"
import { settler } from "./settle.ts"

const resources = { AS: RLIMIT_AS, DATA: RLIMIT_DATA, MEMLOCK: RLIMIT_MEMLOCK, STACK: RLIMIT_STACK } as const

/** setrlimit(2), soft and hard limit alike.
 * @param limit - bytes; Infinity for none
 */
export const setrlimit = (resource: keyof typeof resources, limit: number): PlainCall<void, never> =>
  onProcess((p) => Effect.sync(() => p.world.k.tasks.setRlimit(p.pid, resources[resource], limit, limit)))

/** A capability that memory management asks for. */
export type Capability =
  | "DAC_OVERRIDE"
  | "FOWNER"
  | "IPC_LOCK"
  | "IPC_OWNER"
  | "SYS_ADMIN"
  | "SYS_NICE"
  | "SYS_PTRACE"
  | "SYS_RAWIO"
  | "SYS_RESOURCE"

const capabilities: Readonly<Record<Capability, number>> = {
  DAC_OVERRIDE: CAP_DAC_OVERRIDE,
  FOWNER: CAP_FOWNER,
  IPC_LOCK: CAP_IPC_LOCK,
  IPC_OWNER: CAP_IPC_OWNER,
  SYS_ADMIN: CAP_SYS_ADMIN,
  SYS_NICE: CAP_SYS_NICE,
  SYS_PTRACE: CAP_SYS_PTRACE,
  SYS_RAWIO: CAP_SYS_RAWIO,
  SYS_RESOURCE: CAP_SYS_RESOURCE
}

/** capset(2): the capabilities that the process has from now on, permitted and effective alike. A process begins with all of
 * them, a child with its parent's.
 * @returns EPERM one that it does not have
 * @source kernel/capability.c capset (v6.18)
 */
export const capset = (kept: readonly Capability[]): PlainCall<void, Fail<"EPERM">> =>
  onProcess((p) =>
    Effect.suspend(() => {
      const { tasks } = p.world.k
      const bits = kept.reduce((sum, name) => sum | capabilities[name], 0)
      if ((bits & ~tasks.caps(p.pid)) !== 0) return fail("EPERM")
      tasks.setCaps(p.pid, bits)
      return Effect.void
    })
  )

/** setuid(2): the user that the process is from now on. Who is root no more has no capabilities either.
 * @param uid - user id, 0..2^32-2
 * @returns EPERM who is not root stays who it is | EINVAL no user id
 * @source kernel/sys.c __sys_setuid, security/commoncap.c cap_emulate_setxuid (v6.18)
 */
export const setuid = (uid: number): PlainCall<void, Fail<"EINVAL" | "EPERM">> =>
  onProcess((p) =>
    Effect.suspend((): Effect.Effect<void, Fail<"EINVAL" | "EPERM">> => {
      const { tasks } = p.world.k
      if (!Number.isInteger(uid) || uid < 0 || uid >= 0xffffffff) return fail("EINVAL")
      const was = tasks.uid(p.pid) >>> 0
      if (was !== 0 && uid !== was) return fail("EPERM")
      tasks.setIds(p.pid, uid, tasks.gid(p.pid))
      if (was === 0 && uid !== 0) tasks.setCaps(p.pid, 0)
      return Effect.void
    })
  )

const answered = settler("EFAULT", "EINVAL", "EPERM")
/** prctl(2), the options that are about memory.
 * @param option - one of `PrctlFlags`
 * @param words - its arguments; 0 where absent
 * @returns what the option answers | EINVAL unknown option, or arguments that it does not take | EPERM no right to, or a choice
 *   that was made for good | EFAULT an address in the arguments
 * @locks SET_THP_DISABLE and SET_MEMORY_MERGE take mmap_lock, write; SET_MM takes it, read
 * @source kernel/sys.c prctl (v6.18)
 */
export const prctl = (
  option: Register,
  ...words: readonly [a?: Register, b?: Register, c?: Register, d?: Register]
): Call<number, Fail<"EFAULT" | "EINVAL" | "EPERM">> => {
  const [a = 0, b = 0, c = 0, d = 0] = words
  return call(
    (k, pid) => sysPrctl(k, pid, wordOf(option), wordOf(a), wordOf(b), wordOf(c), wordOf(d)),
    (r) => answered(r, r)
  )
}

/** The page-table walk to an address, a line a level: index, and the table or the frame. */
export const walk = (address: Register): PlainCall<readonly string[], never> =>
  onProcess((p) => Effect.sync(() => dumpWalk(p.world.k, p.world.k.tasks.mm(p.pid), vpnOf(wordOf(address)))))
