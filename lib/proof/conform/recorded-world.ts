/** The recorder's machine and process: memory, limits, descriptors, first areas. Floor 9. */
import { vmBugOn } from "../../mm/base/debug.ts"
import { addrOf } from "../../mm/base/units.ts"
import type { Kernel } from "../../mm/kernel.ts"
import { fget } from "../../mm/area/object.ts"
import { openAnonymous, RDWR, reopen, writeObject } from "../../mm/object/file.ts"
import {
  FILE_DIR,
  FILE_NOEXEC,
  FILE_PIPE,
  FILE_REGULAR,
  FILE_SHMEM,
  FILE_ZERO,
  type File,
  FMODE_READ,
  FMODE_WRITE
} from "../../mm/store/files.ts"
import { BRK, END_CODE, END_DATA, START_BRK, START_CODE, START_DATA, START_STACK } from "../../mm/store/mms.ts"
import * as tasks from "../../mm/store/tasks.ts"
import { KIND_VDSO, KIND_VVAR, KIND_VVAR_VCLOCK } from "../../mm/store/vmas.ts"
import { boot } from "../../mm/sys/boot.ts"
import { placeArea } from "../../mm/sys/exec.ts"
import { pickMmapLayout } from "../../mm/sys/personality.ts"
import { spawn } from "../../mm/sys/process.ts"
import { runNow } from "../../mm/sys/run-now.ts"
import { userLoad8, userStore8 } from "../../mm/sys/trap.ts"
import { wordOfLetters } from "./letters.ts"
import { type Area, FormatError, type Header, type Host, type LimitName } from "./record.ts"

/** The recorder's process in a kernel. */
export interface RecordedProcess {
  readonly task: tasks.Task
  /** Names of the files that recordings name, by `k.files.ids` of their objects. */
  readonly labels: Map<string, string>
}

const MIB = 2 ** 20
/** Who the recorder is where it is not root. */
const NOBODY = 65534
/** What the recorder's machine had, in pages. Far more than the frames that stand for it. */
const RAM_PAGES = (24 * 1024 * MIB) / 4096
/** Sizes that no recorded sequence comes near. */
const sizes = {
  frames: 1 << 14,
  maxTables: 2048,
  maxVmas: 4096,
  maxMms: 16,
  maxFiles: 1024,
  maxAnon: 4096,
  maxRuns: 16
}

const capabilities: Readonly<Record<string, number>> = {
  IPC_LOCK: tasks.CAP_IPC_LOCK,
  SYS_RAWIO: tasks.CAP_SYS_RAWIO,
  SYS_RESOURCE: tasks.CAP_SYS_RESOURCE,
  SYS_ADMIN: tasks.CAP_SYS_ADMIN,
  SYS_NICE: tasks.CAP_SYS_NICE,
  IPC_OWNER: tasks.CAP_IPC_OWNER,
  SYS_PTRACE: tasks.CAP_SYS_PTRACE,
  FOWNER: tasks.CAP_FOWNER,
  DAC_OVERRIDE: tasks.CAP_DAC_OVERRIDE
}

const limits: Readonly<Record<LimitName, number>> = {
  DATA: tasks.RLIMIT_DATA,
  STACK: tasks.RLIMIT_STACK,
  MEMLOCK: tasks.RLIMIT_MEMLOCK,
  AS: tasks.RLIMIT_AS
}

/** The first recordings' machine. Its root had every right but to raise limits. */
const firstHost: Host = {
  kernel: "6.18.44",
  ramPages: RAM_PAGES,
  maxMapCount: 65530,
  mmapMinAddr: 4096,
  lsmMinAddr: 65536,
  overcommit: 0,
  memfdNoexec: 0,
  capabilities: Object.keys(capabilities).filter((name) => name !== "SYS_RESOURCE"),
  isOwner: false
}

/** Boots a machine like the recorder's. */
export function bootRecorded({
  lsmMinAddr,
  maxMapCount,
  memfdNoexec,
  mmapMinAddr,
  overcommit,
  ramPages
}: Host = firstHost): Kernel {
  return boot({ ...sizes, ramPages, maxMapCount, mmapMinAddr, lsmMinAddr, overcommit, memfdNoexec })
}

/** Begins the process that `header` describes, up to the first operation.
 * Throws FormatError where the header asks for what there is not.
 */
export function beginRecorded(k: Kernel, header: Header): RecordedProcess {
  const task = spawn(k, "subject")
  if (task < 0) vmBugOn(`no process in an empty world: ${task}`)
  const host = header.host ?? firstHost
  const rights = host.capabilities.reduce((all, name) => all | (capabilities[name] ?? 0), 0)
  k.tasks.setCaps(task, header.root ? rights : 0)
  if (!header.root && !host.isOwner) k.tasks.setIds(task, NOBODY, NOBODY)
  k.tasks.setRlimit(task, tasks.RLIMIT_MEMLOCK, 8 * MIB, 8 * MIB)
  k.tasks.setRlimit(task, tasks.RLIMIT_STACK, 8 * MIB, Infinity)
  for (const [name, bytes] of header.rlimits) k.tasks.setRlimit(task, limits[name], bytes, bytes)
  pickMmapLayout(k, task)
  const labels = installFiles(k, task)
  placeStub(k, task, header, labels)
  return { task, labels }
}

/** Descriptors as FORMATS.md lists them; what stands for /dev/null and for the recorder's channels cannot be mapped. */
function installFiles(k: Kernel, task: tasks.Task): Map<string, string> {
  const labels = new Map<string, string>()
  const put = (fd: number, file: File, label = ""): File => {
    if (file === 0) vmBugOn(`no row for descriptor ${fd}`)
    k.tasks.setFile(task, fd, file)
    if (label !== "") labels.set(k.files.ids[k.files.obj(file)]!, label)
    return file
  }
  const f0 = put(10, openAnonymous(k, FILE_SHMEM, RDWR, "/memfd:f0 (deleted)"), "f0")
  write(k, f0, f0Bytes)
  k.files.setObjMode(k.files.obj(f0), 0o777) // as memfd_create makes it; others may write
  put(17, reopen(k, f0, FMODE_READ))
  const f1 = put(11, openAnonymous(k, FILE_SHMEM, RDWR, "/tmpfs/f1"), "f1")
  write(k, f1, f1Bytes)
  k.files.setObjMode(k.files.obj(f1), 0o644)
  put(12, reopen(k, f1, FMODE_READ))
  put(13, reopen(k, f1, FMODE_WRITE))
  put(14, openAnonymous(k, FILE_ZERO, RDWR, "/dev/zero"), "zero")
  put(15, openAnonymous(k, FILE_DIR, FMODE_READ, "/tmpfs"))
  k.files.setFlags(put(16, openAnonymous(k, FILE_PIPE, FMODE_READ, "pipe:[1]")), FILE_NOEXEC) // as all of pipefs
  const other = put(0, openAnonymous(k, FILE_PIPE, RDWR, "/dev/null"))
  for (const fd of [1, 2, 100, 101, 102, 103]) {
    fget(k, other)
    put(fd, other)
  }
  return labels
}

/** Page p is full of the byte `pattern` + p. */
function pagesOf(size: number, pattern: number): Uint8Array {
  const bytes = new Uint8Array(size)
  for (let at = 0; at < size; at += 4096) bytes.fill(pattern + at / 4096, at, at + 4096)
  return bytes
}

const f0Bytes = pagesOf(16 * 4096, 0x10)
const f1Bytes = pagesOf(10 * 4096 + 100, 0x40)

function write(k: Kernel, f: File, bytes: Uint8Array): void {
  if (writeObject(k, k.files.obj(f), 0, bytes) !== bytes.length) vmBugOn("no memory for the recorder's files")
}

const kinds: Readonly<Record<string, number>> = {
  "[vdso]": KIND_VDSO,
  "[vvar]": KIND_VVAR,
  "[vvar_vclock]": KIND_VVAR_VCLOCK
}

/** The recorder wrote its data before it began: four pages of the bytes C0, C1, C2, C3, then what nobody knows. */
const DATA = 3 * 4096
const dataBytes = pagesOf(4 * 4096, 0xc0)

/** The recorder's own areas, and where the kernel thinks its segments are. */
function placeStub(k: Kernel, task: tasks.Task, { areas, brk, stack }: Header, labels: Map<string, string>): void {
  const mm = k.tasks.mm(task)
  const exe = openAnonymous(k, FILE_REGULAR, FMODE_READ, "/subject", 8 * 4096)
  if (exe === 0) vmBugOn("no row for the recorder's program")
  writeObject(k, k.files.obj(exe), DATA, dataBytes)
  labels.set(k.files.ids[k.files.obj(exe)]!, "exe")
  k.mms.setStat(mm, START_BRK, brk)
  k.mms.setStat(mm, BRK, brk)
  for (const area of areas) {
    if (area.name === "[vsyscall]") continue
    if (!area.isStub) throw new FormatError(`init holds ${area.text}, which is not the recorder's own`)
    const [lo, hi] = wordOfLetters(area.flags)
    const file = area.file === "exe" ? exe : 0
    const kind = kinds[area.name]
    const placed = runNow(k, () =>
      placeArea(k, mm, { start: area.start, end: area.end, lo, hi, file, pgoff: pgoffOf(area), kind })
    )
    if (placed !== 0) vmBugOn(`${area.text} cannot be placed`)
    if (area.name === "[stack]") k.mms.setStat(mm, START_STACK, stack ?? addrOf(area.end) - 64)
    if (area.perms === "r-xp" && file !== 0) {
      k.mms.setStat(mm, START_CODE, addrOf(area.start))
      k.mms.setStat(mm, END_CODE, addrOf(area.end))
    }
    if (area.perms === "rw-p" && file !== 0) {
      k.mms.setStat(mm, START_DATA, addrOf(area.start))
      // Where within its last page the data ends is not recorded; limits in whole pages do not tell.
      k.mms.setStat(mm, END_DATA, addrOf(area.end) - 2048)
    }
  }
  k.files.addFileRefs(exe, -1) // its areas hold it
  for (const area of areas) {
    if (area.name === "[stack]") touch(k, mm, addrOf(area.end) - 4096)
    if (area.perms === "rw-p" && area.file === "exe") {
      for (let at = addrOf(area.start); at < addrOf(area.end); at += 4096) touch(k, mm, at)
    }
  }
}

/** Writes to a page what it holds already. */
function touch(k: Kernel, mm: number, addr: number): void {
  const byte = userLoad8(k, mm, addr)
  if (byte < 0 || userStore8(k, mm, addr, byte) < 0) vmBugOn(`the recorder cannot write its own ${addr.toString(16)}`)
}

const pgoffOf = (area: Area): number | undefined => (area.file === "exe" ? area.offset : undefined)
