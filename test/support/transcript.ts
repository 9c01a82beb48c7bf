/** A transcript of tools/recorder/proc performed on a simulated machine: what it answers, line for line. */
import * as MADV from "../../lib/flags/AdviceFlags.ts"
import { nameOf as errnoName } from "../../lib/flags/Errno.ts"
import { FAULT_ACCERR, FAULT_MAPERR, FAULT_SIGBUS } from "../../lib/flags/FaultFlags.ts"
import * as MAP from "../../lib/flags/MapFlags.ts"
import * as PROT from "../../lib/flags/ProtFlags.ts"
import * as UFFD from "../../lib/flags/UffdFlags.ts"
import { checkMm } from "../../lib/mm/area/check.ts"
import { fput } from "../../lib/mm/area/object.ts"
import type { StopName, Verb } from "../../lib/mm/base/stop.ts"
import type { Word } from "../../lib/mm/base/units.ts"
import type { Kernel } from "../../lib/mm/kernel.ts"
import { readNow } from "../../lib/mm/object/filemap.ts"
import { createFile, openAnonymous, openPath, unlinkPath, writeObject } from "../../lib/mm/object/file.ts"
import { maps } from "../../lib/mm/proc/maps.ts"
import { ioctlProc, openProc } from "../../lib/mm/proc/file.ts"
import { pagemapRead } from "../../lib/mm/proc/pagemap.ts"
import { PAGEMAP_SCAN } from "../../lib/mm/proc/pagemap-scan.ts"
import { PROCMAP_QUERY } from "../../lib/mm/proc/procmap-query.ts"
import { flagLetters, smaps, smapsRollup } from "../../lib/mm/proc/smaps.ts"
import { statm, status } from "../../lib/mm/proc/status.ts"
import { FILE_REGULAR, FILE_SHMEM, FILE_ZERO, FMODE_READ, FMODE_WRITE } from "../../lib/mm/store/files.ts"
import {
  BRK,
  END_CODE,
  END_DATA,
  MMAP_BASE,
  START_BRK,
  START_CODE,
  START_DATA,
  START_STACK
} from "../../lib/mm/store/mms.ts"
import { KIND_VDSO, KIND_VVAR, KIND_VVAR_VCLOCK } from "../../lib/mm/store/vmas.ts"
import { CAP_SYS_ADMIN } from "../../lib/mm/store/tasks.ts"
import { boot } from "../../lib/mm/sys/boot.ts"
import { brk } from "../../lib/mm/sys/brk.ts"
import { placeArea } from "../../lib/mm/sys/exec.ts"
import { fallocate, ftruncate, preadUser, pwriteUser } from "../../lib/mm/sys/file.ts"
import { madvise } from "../../lib/mm/sys/madvise.ts"
import { mlock, mlockall, munlock, munlockall } from "../../lib/mm/sys/mlock.ts"
import { mmap } from "../../lib/mm/sys/mmap.ts"
import { mprotect } from "../../lib/mm/sys/mprotect.ts"
import { mremap } from "../../lib/mm/sys/mremap.ts"
import { msync } from "../../lib/mm/sys/msync.ts"
import { munmap } from "../../lib/mm/sys/munmap.ts"
import { exit, fork, reap, spawn } from "../../lib/mm/sys/process.ts"
import { remapFilePages } from "../../lib/mm/sys/remap-file-pages.ts"
import { runNow } from "../../lib/mm/sys/run-now.ts"
import { uffdRegister, uffdUnregister } from "../../lib/mm/sys/uffd-register.ts"
import { uffdApi, userfaultfd } from "../../lib/mm/sys/userfaultfd.ts"
import { mseal } from "../../lib/mm/sys/seal.ts"
import { userLoad8, userStore8 } from "../../lib/mm/sys/trap.ts"
import { call } from "../../lib/proof/testing/calls.ts"

const PAGE = 4096
const ARENA = 0x200000000000

const prefixed = (prefix: string, flags: object): readonly [string, number][] =>
  Object.entries(flags).flatMap(([name, value]) => (typeof value === "number" ? [[`${prefix}_${name}`, value]] : []))

const names: ReadonlyMap<string, number> = new Map([
  ...prefixed("PROT", PROT),
  ...prefixed("MAP", MAP),
  ...prefixed("MADV", MADV),
  ["MREMAP_MAYMOVE", 1],
  ["MREMAP_FIXED", 2],
  ["MREMAP_DONTUNMAP", 4],
  ["MCL_CURRENT", 1],
  ["MCL_FUTURE", 2],
  ["MCL_ONFAULT", 4],
  ["MLOCK_ONFAULT", 1],
  ["FALLOC_FL_KEEP_SIZE", 1],
  ["FALLOC_FL_PUNCH_HOLE", 2],
  ...prefixed("UFFD", UFFD),
  ...prefixed("UFFDIO", UFFD),
  ["PROCMAP_QUERY", PROCMAP_QUERY],
  ["PAGEMAP_SCAN", PAGEMAP_SCAN]
])

/** A word of 64 bits as transcripts write it: numbers beyond 2^53 too. */
const wideWord = (token: string): bigint =>
  /^-?(0x)?[0-9a-f]+$/i.test(token) && !/^a\d/.test(token) ? BigInt.asUintN(64, BigInt(token)) : BigInt(word(token))

/** The same as a number, where that is exact. */
function anyWord(token: string): Word {
  const wide = BigInt.asIntN(64, wideWord(token))
  return wide <= BigInt(Number.MAX_SAFE_INTEGER) && wide >= -1n ? Number(wide) : BigInt.asUintN(64, wide)
}

/** A number as transcripts write it: 0x10, -1, a3 (page 3 of the arena), a3+8, 4p (pages), NAME|NAME. */
function word(token: string): number {
  let total = 0
  for (const part of token.split("|")) {
    const [, page, offset] = /^a(\d+)(?:\+(\w+))?$/.exec(part) ?? []
    const pages = /^(\d+)p$/.exec(part)?.[1]
    if (page !== undefined) total += ARENA + Number(page) * PAGE + Number(offset ?? 0)
    else if (pages !== undefined) total += Number(pages) * PAGE
    else total += names.get(part) ?? Number(part)
  }
  if (Number.isNaN(total)) throw new Error(`${token} is no number`)
  return total
}

function addressText(value: number): string {
  const page = (value - ARENA) / PAGE
  return Number.isInteger(page) && page >= 0 && page < 1 << 20 ? `a${page}` : `0x${value.toString(16)}`
}

const pathOf = (token: string): string =>
  token.replaceAll("\\012", "\n").replaceAll("\\011", "\t").replaceAll("\\040", " ")

const signals: ReadonlyMap<number, string> = new Map([
  [FAULT_MAPERR, "SIGSEGV MAPERR"],
  [FAULT_ACCERR, "SIGSEGV ACCERR"],
  [FAULT_SIGBUS, "SIGBUS ADRERR"]
])

/** A call by its number words. */
type Call = (k: Kernel, task: number, a: readonly Word[]) => Verb<StopName> | number

const calls: Readonly<Record<string, Call>> = {
  mmap: (k, t, a) => mmap(k, t, a[0]!, a[1]!, a[2]!, a[3]!, a[4]!, a[5]!),
  munmap: (k, t, a) => munmap(k, t, a[0]!, a[1]!),
  mprotect: (k, t, a) => mprotect(k, t, a[0]!, a[1]!, a[2]!),
  mremap: (k, t, a) => mremap(k, t, a[0]!, a[1]!, a[2]!, a[3]!, a[4] ?? 0),
  madvise: (k, t, a) => madvise(k, t, a[0]!, a[1]!, a[2]!),
  mseal: (k, t, a) => mseal(k, t, a[0]!, a[1]!, 0),
  msync: (k, t, a) => msync(k, t, a[0]!, a[1]!, a[2]!),
  brk: (k, t, a) => brk(k, t, a[0]!),
  mlock: (k, t, a) => mlock(k, t, a[0]!, a[1]!),
  mlock2: (k, t, a) => mlock(k, t, a[0]!, a[1]!, a[2]),
  munlock: (k, t, a) => munlock(k, t, a[0]!, a[1]!),
  mlockall: (k, t, a) => mlockall(k, t, a[0]!),
  munlockall: (k, t) => munlockall(k, t),
  remap_file_pages: (k, t, a) => remapFilePages(k, t, a[0]!, a[1]!, a[2]!, a[3]!, a[4]!),
  ftruncate: (k, t, a) => ftruncate(k, t, a[0]!, a[1]!),
  fallocate: (k, t, a) => fallocate(k, t, a[0]!, a[1]!, a[2]!, a[3]!),
  ioctl: (k, t, a) => ioctlProc(k, t, k.tasks.file(t, Number(a[0])), a[1]!, a[2]!),
  close: (k, t, a) => {
    const f = k.tasks.file(t, Number(a[0]))
    k.tasks.setFile(t, Number(a[0]), 0)
    fput(k, f)
    return 0
  },
  register: (k, t, a) => uffdRegister(k, t, a[0]!, a[1]!, a[2]!, a[3]!),
  unregister: (k, t, a) => uffdUnregister(k, t, a[0]!, a[1]!, a[2]!),
  pread: (k, t, a) => preadUser(k, t, a[0]!, a[1]!, a[2]!, a[3]!),
  pwrite: (k, t, a) => pwriteUser(k, t, a[0]!, a[1]!, a[2]!, a[3]!)
}

const answersAddress = new Set(["mmap", "mremap", "brk"])
const special: ReadonlyMap<string, number> = new Map([
  ["[vdso]", KIND_VDSO],
  ["[vvar]", KIND_VVAR],
  ["[vvar_vclock]", KIND_VVAR_VCLOCK]
])

const bitOf = new Map<string, readonly [lo: number, hi: number]>()
for (let bit = 0; bit < 32; bit++) {
  bitOf.set(flagLetters(1 << bit, 0), [1 << bit, 0])
  bitOf.set(flagLetters(0, 1 << bit), [0, 1 << bit])
}

/** A recorded world on a simulated machine. */
export class Transcript {
  readonly k: Kernel
  private readonly tasks = new Map<string, number>()
  /** The recorded program's own pages: those of its file, those it writes. */
  private readonly fetched: number[] = []
  private readonly written: number[] = []

  constructor() {
    this.k = boot({
      frames: 4096,
      maxTables: 512,
      maxVmas: 1024,
      maxMms: 16,
      maxFiles: 256,
      maxAnon: 1024,
      maxRuns: 16,
      vsyscall: "xonly"
    })
    this.tasks.set("0", spawn(this.k, "subject"))
  }

  /** What a line answers. `recorded` is what the kernel answered: read for what only it can know (numbers of inodes, where
   * the program lies), which is then set here.
   */
  do(line: string, recorded: readonly string[]): readonly string[] {
    const [first = "", ...rest] = line.split(" ")
    if (first === "file") return this.file(rest, recorded)
    if (first === "start") return this.start(recorded)
    if (first === "unlink") return this.result(unlinkPath(this.k, pathOf(rest[0]!))).map(okOf)
    if (first === "pagemap") return this.pagemap(rest)
    const [verb = "", ...args] = rest
    const answer = this.process(first, verb, args, recorded)
    checkMm(this.k)
    return answer
  }

  private process(p: string, verb: string, args: readonly string[], recorded: readonly string[]): readonly string[] {
    const { k } = this
    const task = this.taskOf(p)
    const mm = k.tasks.mm(task)
    switch (verb) {
      case "maps":
        return linesOf(this.run(() => maps(k, mm)))
      case "smaps":
        return within(linesOf(this.run(() => smaps(k, mm))), args.map(word))
      case "smaps_rollup":
        return linesOf(this.run(() => smapsRollup(k, mm)))
      case "status":
        return linesOf(status(k, mm))
      case "statm":
        return linesOf(statm(k, mm))
      case "r":
      case "w":
        return this.access(mm, verb === "w", args)
      case "poke":
        return this.poke(mm, word(args[0]!), Buffer.from(args[1]!, "hex"))
      case "put":
        return this.poke(mm, word(args[0]!), new Uint8Array(BigUint64Array.from(args.slice(1), wideWord).buffer))
      case "peek":
      case "get":
        return this.peek(mm, word(args[0]!), word(args[1]!), verb === "get")
      case "open": {
        const f = openProc(k, task, `/proc/self/${args[1]!}`, FMODE_READ)
        if (f < 0) return this.result(f)
        k.tasks.setFile(task, word(args[0]!), f)
        return [`= ${args[0]!}`]
      }
      case "uffd": {
        const fd = userfaultfd(k, task, 0)
        if (fd < 0) return this.result(fd)
        k.tasks.setFile(task, word(args[0]!), k.tasks.file(task, fd))
        k.tasks.setFile(task, fd, 0)
        return this.result(uffdApi(k, task, word(args[0]!), UFFD.API, word(args[1]!)))
      }
      case "drop":
        if (args[0] !== "21") throw new Error(`capability ${args[0]!} is none of memory's`)
        k.tasks.setCaps(task, k.tasks.caps(task) & ~CAP_SYS_ADMIN)
        return ["= 0"]
      case "fork":
        return this.fork(task, args[0]!)
      case "exit":
        call(k, () => exit(k, task))
        reap(k, task)
        this.tasks.delete(p)
        return ["= ok"]
      default: {
        const run = calls[verb]
        if (run === undefined) throw new Error(`a transcript has no ${verb}`)
        const words = args.map(anyWord)
        const answer = run(k, task, words)
        const value = typeof answer === "number" ? answer : call(k, () => answer)
        const id = /^= \S+ (.*)$/.exec(recorded[0] ?? "")?.[1]
        if (verb === "mmap" && value >= 0 && id !== undefined) {
          k.files.ids[k.vmas.obj(k.maple.lookup(mm, value / PAGE))] = id
          return [`${this.result(value, true)[0]} ${id}`]
        }
        return this.result(value, answersAddress.has(verb))
      }
    }
  }

  private taskOf(p: string): number {
    const task = this.tasks.get(p)
    if (task === undefined) throw new Error(`there is no process ${p}`)
    return task
  }

  private run<W extends StopName>(verb: () => Verb<W, string>): string {
    const r: unknown = runNow(this.k, verb)
    if (typeof r !== "string") throw new Error("a file of /proc had to wait, and nobody else runs")
    return r
  }

  private result(value: number, isAddress = false): readonly string[] {
    if (value < 0) return [`= ${errnoName(value)}`]
    return [`= ${isAddress ? addressText(value) : value}`]
  }

  private access(mm: number, write: boolean, args: readonly string[]): readonly string[] {
    const at = word(args[0]!)
    const [pages, byte, step] = [Number(args[1] ?? 1), Number(args[2] ?? 7), Number(args[3] ?? 1)]
    for (let addr = at; addr < at + pages * PAGE; addr += step * PAGE) {
      const r = write ? userStore8(this.k, mm, addr, byte) : userLoad8(this.k, mm, addr)
      if (r < 0) return this.signal(-r, addr)
    }
    return ["= ok"]
  }

  private signal(code: number, addr: number): readonly string[] {
    return [`= ${signals.get(code) ?? `fault ${code}`} ${addressText(addr)}`]
  }

  private poke(mm: number, at: number, bytes: Uint8Array): readonly string[] {
    for (const [i, byte] of bytes.entries()) {
      const r = userStore8(this.k, mm, at + i, byte)
      if (r < 0) return this.signal(-r, at + i)
    }
    return ["= ok"]
  }

  private peek(mm: number, at: number, count: number, isWords: boolean): readonly string[] {
    const bytes = new Uint8Array(isWords ? count * 8 : count)
    for (let i = 0; i < bytes.length; i++) {
      const r = userLoad8(this.k, mm, at + i)
      if (r < 0) return this.signal(-r, at + i)
      bytes[i] = r
    }
    if (!isWords) return [`= ${Buffer.from(bytes).toString("hex")}`]
    return [`= ${[...new BigUint64Array(bytes.buffer)].map((x) => x.toString(16)).join(" ")}`]
  }

  /** Pages of a number of their own each; those of a regular file are clean, as read from a disk. */
  private file([number, kind, token, pages, mode = "rw"]: readonly string[], recorded: readonly string[]) {
    const { k } = this
    const path = pathOf(token!)
    const n = Number(pages)
    const size = n * PAGE
    const isShmem = kind === "memfd" || kind === "tmpfs"
    const bits = (mode.includes("r") ? FMODE_READ : 0) | (mode.includes("w") ? FMODE_WRITE : 0)
    if (kind === "regular") {
      createFile(k, path, FILE_REGULAR, size, { read: (page, into) => (into.fill(page + 1), 0) })
      for (let i = 0; i < n; i++) readNow(k, k.paths.get(path)!.obj, i)
    } else if (kind === "tmpfs") createFile(k, path, FILE_SHMEM, size)
    const f =
      kind === "memfd"
        ? openAnonymous(k, FILE_SHMEM, bits, `/memfd:${path} (deleted)`, size)
        : kind === "zero"
          ? openAnonymous(k, FILE_ZERO, bits, "/dev/zero")
          : openPath(k, path, bits)
    for (let i = 0; isShmem && i < n; i++) writeObject(k, k.files.obj(f), i * PAGE, new Uint8Array(PAGE).fill(i + 1))
    k.files.ids[k.files.obj(f)] = recorded[0]!.slice(2)
    k.tasks.setFile(this.taskOf("0"), Number(number), f)
    return recorded
  }

  /** Lays out the recorded program's own areas, and touches the pages that it had touched. */
  private start(recorded: readonly string[]): readonly string[] {
    const { k } = this
    const mm = k.tasks.mm(this.taskOf("0"))
    const words = new Map([...recorded[0]!.matchAll(/(\w+)=(\S+)/g)].map(([, name, value]) => [name!, Number(value)]))
    const stats = {
      start_code: START_CODE,
      end_code: END_CODE,
      start_data: START_DATA,
      end_data: END_DATA,
      start_stack: START_STACK,
      start_brk: START_BRK
    } as const
    for (const [name, f] of Object.entries(stats)) k.mms.setStat(mm, f, words.get(name)!)
    k.mms.setStat(mm, BRK, words.get("start_brk")!)
    k.mms.setStat(mm, MMAP_BASE, words.get("mmap_base")! / PAGE)
    for (const line of recorded.slice(1)) this.place(mm, line)
    this.touch(mm)
    return recorded
  }

  private place(mm: number, line: string): void {
    const { k } = this
    const shape = /^area (\w+)-(\w+) \S+ (\w+) (\S+ \d+) +(.*)\|(.*)\|(.*)$/.exec(line)
    if (shape === null) throw new Error(`${line} is no area`)
    const [from, to, offset] = [shape[1]!, shape[2]!, shape[3]!].map((hex) => Number(`0x${hex}`) / PAGE) as [
      number,
      number,
      number
    ]
    const [id, name, letters, pages] = [shape[4]!, shape[5]!, shape[6]!, shape[7]!]
    if (name === "[vsyscall]") return
    let [lo, hi] = [0, 0]
    for (const pair of letters.split(" ")) {
      lo |= bitOf.get(pair)![0]
      hi |= bitOf.get(pair)![1]
    }
    const isFile = name.startsWith("/")
    const file = isFile ? this.program(name, id) : 0
    const kind = special.get(name)
    call(k, () => placeArea(k, mm, { start: from, end: to, lo, hi, file, kind, pgoff: isFile ? offset : undefined }))
    if (isFile) k.files.addFileRefs(file, -1)
    for (const [i, letter] of pages.split("").entries()) {
      if (letter === "F") this.fetched.push((from + i) * PAGE)
      if (letter === "A") this.written.push((from + i) * PAGE)
    }
  }

  /** The program's file, opened once: three pages, clean. */
  private program(path: string, id: string): number {
    const { k } = this
    if (!k.paths.has(path)) {
      createFile(k, path, FILE_REGULAR, 3 * PAGE, { read: () => 0 })
      const o = k.paths.get(path)!.obj
      k.files.ids[o] = id
      for (let i = 0; i < 3; i++) readNow(k, o, i)
      this.opened = openPath(k, path, FMODE_READ)
    }
    k.files.addFileRefs(this.opened, 1)
    return this.opened
  }
  private opened = 0

  /** The program runs for a moment: it uses its code, its data and its stack. */
  private touch(mm: number): void {
    for (const at of this.fetched) userLoad8(this.k, mm, at)
    for (const at of this.written) userStore8(this.k, mm, at, userLoad8(this.k, mm, at))
  }

  private fork(task: number, child: string): readonly string[] {
    const { k } = this
    const born = call(k, () => fork(k, task, child))
    if (born < 0) return this.result(born)
    this.tasks.set(child, born)
    this.touch(k.tasks.mm(born))
    this.touch(k.tasks.mm(task))
    return ["= ok"]
  }

  /** As the recorder shows it: a frame by a number of its own, in the order in which frames appear. */
  private pagemap(ranges: readonly string[]): readonly string[] {
    const { k } = this
    const out: string[] = []
    const seen = new Map<number, string>([[0, "zero"]])
    for (let i = 0; i < ranges.length; i += 3) {
      const mm = k.tasks.mm(this.taskOf(ranges[i]!))
      const bytes = new Uint8Array(Number(ranges[i + 2]) * 8)
      call(k, () => pagemapRead(k, mm, true, (word(ranges[i + 1]!) / PAGE) * 8, bytes.length, bytes))
      for (const x of new BigUint64Array(bytes.buffer)) {
        if (x >> 63n === 0n) out.push(hex16(x))
        else {
          const frame = Number(x & ((1n << 55n) - 1n))
          if (!seen.has(frame)) seen.set(frame, `frame ${seen.size}`)
          out.push(`${hex16((x >> 55n) << 55n)} ${seen.get(frame)}`)
        }
      }
    }
    return out
  }
}

const hex16 = (x: bigint): string => x.toString(16).padStart(16, "0")
const okOf = (line: string): string => (line === "= 0" ? "= ok" : line)
const linesOf = (text: string): readonly string[] => text.split("\n").slice(0, -1)

/** The entries of smaps that lie within bounds. */
function within(lines: readonly string[], [low = 0, high = Infinity]: readonly number[]): readonly string[] {
  let isShown = true
  return lines.filter((line) => {
    const [, start, end] = /^([0-9a-f]+)-([0-9a-f]+) /.exec(line) ?? []
    if (start !== undefined) isShown = low <= Number(`0x${start}`) && Number(`0x${end}`) <= high
    return isShown
  })
}

/** The `> ` lines of a transcript, each with what was answered. */
export function stepsOf(text: string): readonly { readonly line: string; readonly answer: readonly string[] }[] {
  const steps: { line: string; answer: string[] }[] = []
  for (const line of text.split("\n").slice(0, -1)) {
    if (line.startsWith("> ")) steps.push({ line: line.slice(2), answer: [] })
    else if (!line.startsWith("# ")) steps.at(-1)?.answer.push(line)
  }
  return steps
}
