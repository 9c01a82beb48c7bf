/** PROCMAP_QUERY: one area of /proc/PID/maps, found by address and attributes. Floor 6.
 * @source fs/proc/task_mmu.c do_procmap_query, query_matching_vma (v6.18)
 */
import { VM_EXEC, VM_MAYSHARE, VM_READ, VM_WRITE } from "../../flags/bits.ts"
import { E2BIG, EFAULT, EINVAL, ENAMETOOLONG, ENOENT, ESRCH, OK } from "../../flags/Errno.ts"
import * as PROCMAP from "../../flags/ProcmapFlags.ts"
import { lockNextVma } from "../area/lookup.ts"
import { vmaEndRead } from "../area/vma-lock.ts"
import type { Verb } from "../base/stop.ts"
import { addrOf, PAGE_SIZE, pageOf, registerOf, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { FaultStops } from "../page/fault.ts"
import type { Mm } from "../store/mms.ts"
import type { Vma } from "../store/vmas.ts"
import { whileUsed } from "../sys/process.ts"
import { copyFromUser, copyToUser } from "../sys/usercopy.ts"
import { rawNameOf } from "./maps.ts"

/** The command, _IOWR('f', 17, struct procmap_query). */
export const PROCMAP_QUERY = 0xc068_6611
/** Longest name that is given out, its terminating zero included (PATH_MAX). */
export const PATH_MAX = 4096

const VMA_FLAGS = PROCMAP.VMA_READABLE | PROCMAP.VMA_WRITABLE | PROCMAP.VMA_EXECUTABLE | PROCMAP.VMA_SHARED
const VALID_FLAGS = VMA_FLAGS | PROCMAP.COVERING_OR_NEXT_VMA | PROCMAP.FILE_BACKED_VMA

/** What is known of an area. */
export interface ProcmapArea {
  /** Byte addresses. */
  readonly start: number
  readonly end: number
  /** ProcmapFlags.VMA_*. */
  readonly flags: number
  /** Byte offset within the file; 0 without one. */
  readonly offset: bigint
  readonly major: number
  readonly minor: number
  readonly inode: number
  /** Nothing escaped. Undefined if nobody asked, or there is none. */
  readonly name: string | undefined
}

/** Finds the area that covers `address` and is as `flags` ask, or the next one that is.
 * @param nameSize - room for the name in bytes, its terminating zero included; 0: it is not wanted
 * @returns the area | EINVAL unknown flags | ENOENT no such area | ENAMETOOLONG
 * @locks takes each area's own lock in turn; mmap read for one that is being written
 */
export function* procmapQuery(
  k: Kernel,
  mm: Mm,
  flags: Word,
  address: Word,
  nameSize: number
): Verb<"NEED_LOCK" | "PREEMPT", ProcmapArea | number> {
  const wanted = registerOf(flags)
  if ((wanted & ~BigInt(VALID_FLAGS)) !== 0n) return EINVAL
  const ask = Number(wanted)
  let at = registerOf(address)
  for (;;) {
    const v = yield* lockNextVma(k, mm, pageOf(at))
    if (v === 0) return ENOENT
    const end = addrOf(k.vmas.endOf(v))
    const covers = BigInt(addrOf(k.vmas.startOf(v))) <= at
    const next = (ask & PROCMAP.COVERING_OR_NEXT_VMA) !== 0
    const found = matches(k, v, ask) && (covers || next) ? areaOf(k, v, nameSize) : ENOENT
    vmaEndRead(k, v)
    if (found !== ENOENT || !next) return found
    at = BigInt(end)
  }
}

/** Is `v` as the flags ask? */
function matches(k: Kernel, v: Vma, ask: number): boolean {
  if ((ask & PROCMAP.FILE_BACKED_VMA) !== 0 && k.vmas.file(v) === 0) return false
  return (flagsOf(k, v) & ask & VMA_FLAGS) === (ask & VMA_FLAGS)
}

function flagsOf(k: Kernel, v: Vma): number {
  const lo = k.vmas.flags(v)
  return (
    ((lo & VM_READ) !== 0 ? PROCMAP.VMA_READABLE : 0) |
    ((lo & VM_WRITE) !== 0 ? PROCMAP.VMA_WRITABLE : 0) |
    ((lo & VM_EXEC) !== 0 ? PROCMAP.VMA_EXECUTABLE : 0) |
    ((lo & VM_MAYSHARE) !== 0 ? PROCMAP.VMA_SHARED : 0)
  )
}

function areaOf(k: Kernel, v: Vma, nameSize: number): ProcmapArea | number {
  const f = k.vmas.file(v)
  const [, major = "0", minor = "0", inode = "0"] = (f === 0 ? null : /^(\w+):(\w+) (\d+)$/.exec(k.files.id(f))) ?? []
  const name = nameSize === 0 ? "" : rawNameOf(k, v)
  if (name !== "" && new TextEncoder().encode(name).length + 1 > Math.min(nameSize, PATH_MAX)) return ENAMETOOLONG
  return {
    start: addrOf(k.vmas.startOf(v)),
    end: addrOf(k.vmas.endOf(v)),
    flags: flagsOf(k, v),
    offset: f === 0 ? 0n : BigInt(k.vmas.pgoff(v)) * BigInt(PAGE_SIZE),
    major: parseInt(major, 16),
    minor: parseInt(minor, 16),
    inode: Number(inode),
    name: name === "" ? undefined : name
  }
}

/** struct procmap_query: where its fields lie. */
const SIZE = 104
const QUERY_FLAGS = 8
const QUERY_ADDR = 16
const VMA_START = 24
const VMA_END = 32
const VMA_FLAGS_OUT = 40
const VMA_PAGE_SIZE = 48
const VMA_OFFSET = 56
const INODE = 64
const DEV_MAJOR = 72
const DEV_MINOR = 76
const VMA_NAME_SIZE = 80
const BUILD_ID_SIZE = 84
const VMA_NAME_ADDR = 88
const BUILD_ID_ADDR = 96
/** Least size of a caller's struct: up to the address asked about. */
const LEAST_SIZE = QUERY_ADDR + 8

/** The ioctl: a struct procmap_query of any age in the caller's memory, filled in.
 * @param caller - whose memory the struct lies in
 * @returns OK | E2BIG larger than a page, or it asks for more than this kernel has | EINVAL too small, unknown flags, or a
 *   buffer without its size | EFAULT | ESRCH | ENOENT | ENAMETOOLONG
 * @locks as `procmapQuery`, and nothing while it copies
 */
export function* procmapIoctl(k: Kernel, caller: Mm, mm: Mm, uarg: Word): Verb<FaultStops> {
  const arg = registerOf(uarg)
  const word = new Uint8Array(8)
  if ((yield* copyFromUser(k, caller, arg, word)) !== 0) return EFAULT
  const usize = new DataView(word.buffer).getBigUint64(0, true)
  if (usize > BigInt(PAGE_SIZE)) return E2BIG
  const size = Number(usize)
  if (size < LEAST_SIZE) return EINVAL
  if (size > SIZE) {
    const more = new Uint8Array(size - SIZE)
    const missed = yield* copyFromUser(k, caller, arg + BigInt(SIZE), more)
    if (more.some((byte) => byte !== 0)) return E2BIG
    if (missed !== 0) return EFAULT
  }
  const bytes = new Uint8Array(SIZE) // zero where the caller's struct is an older, shorter one
  const known = bytes.subarray(0, size)
  if ((yield* copyFromUser(k, caller, arg, known)) !== 0) return EFAULT
  const q = new DataView(bytes.buffer)
  const flags = q.getBigUint64(QUERY_FLAGS, true)
  if ((flags & ~BigInt(VALID_FLAGS)) !== 0n) return EINVAL
  const nameSize = q.getUint32(VMA_NAME_SIZE, true)
  const nameAddr = q.getBigUint64(VMA_NAME_ADDR, true)
  if ((nameSize !== 0) !== (nameAddr !== 0n)) return EINVAL
  if ((q.getUint32(BUILD_ID_SIZE, true) !== 0) !== (q.getBigUint64(BUILD_ID_ADDR, true) !== 0n)) return EINVAL
  const address = q.getBigUint64(QUERY_ADDR, true)
  const area = yield* whileUsed(k, mm, ESRCH, () => procmapQuery(k, mm, flags, address, nameSize))
  if (typeof area === "number") return area
  const name = area.name === undefined ? new Uint8Array(0) : new TextEncoder().encode(`${area.name}\0`)
  q.setBigUint64(VMA_START, BigInt(area.start), true)
  q.setBigUint64(VMA_END, BigInt(area.end), true)
  q.setBigUint64(VMA_FLAGS_OUT, BigInt(area.flags), true)
  q.setBigUint64(VMA_PAGE_SIZE, BigInt(PAGE_SIZE), true)
  q.setBigUint64(VMA_OFFSET, area.offset, true)
  q.setBigUint64(INODE, BigInt(area.inode), true)
  q.setUint32(DEV_MAJOR, area.major, true)
  q.setUint32(DEV_MINOR, area.minor, true)
  q.setUint32(VMA_NAME_SIZE, name.length, true)
  // UNLIKE LINUX: no ELF header is looked at, so every file is one without a build id.
  q.setUint32(BUILD_ID_SIZE, 0, true)
  if (name.length !== 0 && (yield* copyToUser(k, caller, nameAddr, name)) !== 0) return EFAULT
  return (yield* copyToUser(k, caller, arg, known)) === 0 ? OK : EFAULT
}
