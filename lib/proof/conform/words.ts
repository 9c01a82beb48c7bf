/** What flags, protections and advice among the arguments of calls are called. Floor 9. */
import * as AdviceFlags from "../../flags/AdviceFlags.ts"
import * as MapFlags from "../../flags/MapFlags.ts"
import * as MlockFlags from "../../flags/MlockFlags.ts"
import * as MlockallFlags from "../../flags/MlockallFlags.ts"
import * as MremapFlags from "../../flags/MremapFlags.ts"
import * as MsyncFlags from "../../flags/MsyncFlags.ts"
import * as ProtFlags from "../../flags/ProtFlags.ts"
import * as UFFD from "../../flags/UffdFlags.ts"
import * as SealFlags from "../../flags/SealFlags.ts"
import type { Word } from "../../mm/base/units.ts"

/** Names in a number: what has none is left in hex. */
type Reading = (value: number) => readonly string[]
type Values = Readonly<Record<string, number>>

/** One bit, one name, the lowest first; `none` where no bit is set. */
function bits(prefix: string, values: Values, none = "0"): Reading {
  const names = Object.entries(values)
    .map(([name, bit]) => [bit, prefix + name] as const)
    .sort((a, b) => a[0] - b[0])
  return (value) => {
    const found: string[] = []
    let left = value
    for (const [bit, name] of names) {
      if (bit > 0 && Math.floor(left / bit) % 2 === 1) {
        found.push(name)
        left -= bit
      }
    }
    if (left !== 0) found.push(`0x${left.toString(16)}`)
    return found.length === 0 ? [none] : found
  }
}

/** One value, one name. */
function one(prefix: string, values: Values): Reading {
  const names = new Map(Object.entries(values).map(([name, value]) => [value, prefix + name]))
  return (value) => [names.get(value) ?? String(value)]
}

const prot = bits("PROT_", ProtFlags, "PROT_NONE")

const { DROPPABLE, MAP_32BIT, PRIVATE, SHARED, SHARED_VALIDATE } = MapFlags
const mapType = one("MAP_", { SHARED, PRIVATE, SHARED_VALIDATE, DROPPABLE })
const mapBits = bits("MAP_", {
  FIXED: MapFlags.FIXED,
  ANONYMOUS: MapFlags.ANONYMOUS,
  "32BIT": MAP_32BIT,
  ABOVE4G: MapFlags.ABOVE4G,
  GROWSDOWN: MapFlags.GROWSDOWN,
  DENYWRITE: MapFlags.DENYWRITE,
  EXECUTABLE: MapFlags.EXECUTABLE,
  LOCKED: MapFlags.LOCKED,
  NORESERVE: MapFlags.NORESERVE,
  POPULATE: MapFlags.POPULATE,
  NONBLOCK: MapFlags.NONBLOCK,
  STACK: MapFlags.STACK,
  HUGETLB: MapFlags.HUGETLB,
  SYNC: MapFlags.SYNC,
  FIXED_NOREPLACE: MapFlags.FIXED_NOREPLACE,
  UNINITIALIZED: MapFlags.UNINITIALIZED
})

/** The low four bits are a number, the others are bits. */
const map: Reading = (value) => {
  const type = mapType(value % 16)
  const rest = value - (value % 16)
  return rest === 0 ? type : [...type, ...mapBits(rest)]
}

const advice = one("MADV_", AdviceFlags)

/** Words of userfaultfd whose names begin with `prefix`, without it. */
const uffd = (prefix: string): Values =>
  Object.fromEntries(
    Object.entries(UFFD).flatMap(([name, value]) =>
      name.startsWith(prefix) && typeof value === "number" ? [[name.slice(prefix.length), value]] : []
    )
  )

/** By call and place of the argument, as recordings order them. */
const readings: Readonly<Record<string, Readonly<Record<number, Reading>>>> = {
  mmap: { 2: prot, 3: map },
  mprotect: { 2: prot },
  pkey_mprotect: { 2: prot },
  mremap: { 3: bits("MREMAP_", MremapFlags) },
  madvise: { 2: advice },
  process_madvise: { 0: advice },
  mlock2: { 2: bits("MLOCK_", MlockFlags) },
  mlockall: { 0: bits("MCL_", MlockallFlags) },
  msync: { 2: bits("MS_", MsyncFlags) },
  remap_file_pages: { 2: prot, 4: bits("MAP_", { NONBLOCK: MapFlags.NONBLOCK }) },
  fallocate: {
    1: bits("FALLOC_FL_", {
      KEEP_SIZE: 1,
      PUNCH_HOLE: 2,
      NO_HIDE_STALE: 4,
      COLLAPSE_RANGE: 8,
      ZERO_RANGE: 16,
      INSERT_RANGE: 32,
      UNSHARE_RANGE: 64
    })
  },
  fcntl: {
    1: one("F_", { ADD_SEALS: 1033, GET_SEALS: 1034 }),
    2: bits("F_SEAL_", SealFlags)
  },
  prctl: {
    0: one("PR_", { SET_MDWE: 65, GET_MDWE: 66 }),
    1: bits("PR_MDWE_", { REFUSE_EXEC_GAIN: 1, NO_INHERIT: 2 })
  },
  setrlimit: { 0: one("RLIMIT_", { DATA: 2, STACK: 3, MEMLOCK: 8, AS: 9 }) },
  memfd_create: { 1: bits("MFD_", { CLOEXEC: 1, ALLOW_SEALING: 2, HUGETLB: 4, NOEXEC_SEAL: 8, EXEC: 16 }) },
  shmget: { 2: bits("", { IPC_CREAT: 0o1000, IPC_EXCL: 0o2000, SHM_HUGETLB: 0o4000, SHM_NORESERVE: 0o10000 }) },
  shmat: { 2: bits("SHM_", { RDONLY: 0o10000, RND: 0o20000, REMAP: 0o40000, EXEC: 0o100000 }) },
  shmctl: { 1: one("", { IPC_RMID: 0, IPC_SET: 1, IPC_STAT: 2, IPC_INFO: 3, SHM_LOCK: 11, SHM_UNLOCK: 12 }) },
  userfaultfd: { 0: bits("", { UFFD_USER_MODE_ONLY: UFFD.USER_MODE_ONLY, O_NONBLOCK: 0x800, O_CLOEXEC: 0x80000 }) },
  uffdio_api: { 2: bits("UFFD_FEATURE_", uffd("FEATURE_")) },
  uffdio_register: { 3: bits("UFFDIO_REGISTER_MODE_", uffd("REGISTER_MODE_")) },
  uffdio_writeprotect: { 3: bits("UFFDIO_WRITEPROTECT_MODE_", uffd("WRITEPROTECT_MODE_")) },
  uffdio_copy: { 4: bits("UFFDIO_COPY_MODE_", uffd("COPY_MODE_")) },
  uffdio_continue: { 3: bits("UFFDIO_CONTINUE_MODE_", uffd("CONTINUE_MODE_")) },
  uffdio_zeropage: { 3: bits("UFFDIO_ZEROPAGE_MODE_", uffd("ZEROPAGE_MODE_")) },
  uffdio_poison: { 3: bits("UFFDIO_POISON_MODE_", uffd("POISON_MODE_")) },
  uffdio_move: { 4: bits("UFFDIO_MOVE_MODE_", uffd("MOVE_MODE_")) }
}

const ALL_ONES = 0xffff_ffff_ffff_ffffn

/** The names in argument `at` of call `name`; undefined where that argument has none. */
export function wordsOf(name: string, at: number, arg: Word): readonly string[] | undefined {
  const reading = readings[name]?.[at]
  if (reading === undefined) return undefined
  return typeof arg === "number" ? reading(arg) : [arg === ALL_ONES ? "-1" : `0x${arg.toString(16)}`]
}
