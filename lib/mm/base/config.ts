/** What a simulated machine is made of. Floor 1. */
import { TASK_PAGES } from "./units.ts"

/** Sizes and knobs of one world; every field has a default. */
export interface KernelConfig {
  /** Frames of 4 KiB of RAM. Default 16384 (64 MiB). */
  readonly frames: number
  /** Are the bytes of RAM in a SharedArrayBuffer, so that other threads of the host can have views on them? */
  readonly sharedMemory: boolean
  /** Pages of RAM that overcommit mode 0 compares with; default `frames`. A machine may claim more than it has. */
  readonly ramPages: number
  /** Page tables that may exist at once. */
  readonly maxTables: number
  /** Areas that may exist at once in the world. */
  readonly maxVmas: number
  /** Address spaces that may exist at once. */
  readonly maxMms: number
  /** Open files, objects and anon_vmas that may exist at once. */
  readonly maxFiles: number
  readonly maxAnon: number
  /** userfaultfds that may exist at once. */
  readonly maxUffds: number
  /** Verbs in flight at once. */
  readonly maxRuns: number
  /** sysctl vm.max_map_count. */
  readonly maxMapCount: number
  /** sysctl vm.unprivileged_userfaultfd: may everybody have kernel faults answered? */
  readonly unprivilegedUserfaultfd: 0 | 1
  /** sysctl vm.mmap_min_addr in bytes: what MAP_FIXED is measured against. */
  readonly mmapMinAddr: number
  /** The security module's minimum in bytes: what searches and hints are measured against. */
  readonly lsmMinAddr: number
  /** sysctl vm.overcommit_memory: 0 heuristic, 1 always, 2 never. */
  readonly overcommit: 0 | 1 | 2
  /** sysctl vm.overcommit_ratio in percent, mode 2. */
  readonly overcommitRatio: number
  /** sysctl vm.overcommit_kbytes, mode 2: takes the place of the ratio where it is not 0. */
  readonly overcommitKbytes: number
  /** sysctl vm.admin_reserve_kbytes and vm.user_reserve_kbytes, mode 2. Default a 32nd of RAM, at most 8 and 128 MiB. */
  readonly adminReserveKbytes: number
  readonly userReserveKbytes: number
  /** sysctl vm.memfd_noexec: 1 files of memfd_create are not executable unless MFD_EXEC says so, 2 nor then. */
  readonly memfdNoexec: 0 | 1 | 2
  /** sysctl kernel.shmmax: bytes of one System V segment; kernel.shmall: pages of all; kernel.shmmni: how many. */
  readonly shmmax: number
  readonly shmall: number
  readonly shmmni: number
  /** First page above the top-down mmap area; the place where it starts. */
  readonly mmapBase: number
  /** sysctl vm.legacy_va_layout: programs that start search for room from a third of user space upwards. */
  readonly legacyVaLayout: boolean
  /** Boot parameter vsyscall: is there an area of the old system-call page above user space? Only /proc shows it. */
  readonly vsyscall: "none" | "xonly"
  /** Revision of the sandbox's memory-object contract that `mmapObject` keeps where two of them differ. */
  readonly memmap: "2020" | "today"
}

/** The recorded machine's knobs, with little RAM. */
export const defaults: KernelConfig = {
  frames: 16384,
  sharedMemory: false,
  ramPages: 0,
  maxTables: 1 << 14,
  maxVmas: 1 << 17,
  maxMms: 1024,
  maxFiles: 1 << 13,
  maxAnon: 1 << 16,
  maxUffds: 256,
  maxRuns: 256,
  maxMapCount: 65530,
  unprivilegedUserfaultfd: 0,
  mmapMinAddr: 4096,
  lsmMinAddr: 65536,
  overcommit: 0,
  overcommitRatio: 50,
  overcommitKbytes: 0,
  adminReserveKbytes: -1,
  userReserveKbytes: -1,
  memfdNoexec: 0,
  shmmax: 2 ** 64 - 2 ** 24,
  shmall: 2 ** 64 - 2 ** 24,
  shmmni: 4096,
  legacyVaLayout: false,
  mmapBase: 0x7ffff7fff,
  vsyscall: "none",
  memmap: "today"
}

/** A world for one test or one explored schedule: boots in microseconds. */
export const tiny: Partial<KernelConfig> = {
  frames: 64,
  maxTables: 64,
  maxVmas: 128,
  maxMms: 8,
  maxFiles: 32,
  maxAnon: 128,
  maxUffds: 8,
  maxRuns: 32
}

/** Fills in what `some` leaves open.
 * Throws RangeError where a number makes no machine: at least 16 frames and 16 tables, and a base inside user space.
 */
export function configOf(some: Partial<KernelConfig>): KernelConfig {
  const c = { ...defaults, ...some }
  for (const [name, least] of [
    ["frames", 16],
    ["maxTables", 16],
    ["maxVmas", 16],
    ["maxMms", 2],
    ["maxFiles", 4],
    ["maxAnon", 16],
    ["maxUffds", 2],
    ["maxRuns", 4],
    ["overcommitKbytes", 0],
    ["adminReserveKbytes", -1],
    ["userReserveKbytes", -1],
    ["shmmax", 0],
    ["shmall", 0],
    ["shmmni", 0]
  ] as const) {
    const n = c[name]
    if (!Number.isInteger(n) || n < least)
      throw new RangeError(`kernel config: ${name} is ${n}, expected an integer of ${least} or more`)
  }
  if (c.frames > 2 ** 22)
    throw new RangeError(`kernel config: frames is ${c.frames}, expected at most ${2 ** 22} (16 GiB)`)
  if (!(c.mmapBase > 0 && c.mmapBase <= TASK_PAGES))
    throw new RangeError(`kernel config: mmapBase is page ${c.mmapBase}, expected 1..${TASK_PAGES}`)
  const ramPages = c.ramPages > 0 ? c.ramPages : c.frames
  const part = Math.floor((ramPages * 4) / 32)
  const reserve = (kbytes: number, most: number): number => (kbytes >= 0 ? kbytes : Math.min(part, most))
  return {
    ...c,
    ramPages,
    adminReserveKbytes: reserve(c.adminReserveKbytes, 1 << 13),
    userReserveKbytes: reserve(c.userReserveKbytes, 1 << 17)
  }
}
