/** Our kernel in the recorder's place: performs operations and shows itself. Floor 9. */
import { nameOf as nameOfErrno } from "../../flags/Errno.ts"
import { FAULT_ACCERR, FAULT_GP, FAULT_MAPERR, FAULT_SIGBUS } from "../../flags/FaultFlags.ts"
import { vmBugOn } from "../../mm/base/debug.ts"
import type { StopName, Verb } from "../../mm/base/stop.ts"
import { addrOf, lowBits, type Word } from "../../mm/base/units.ts"
import type { Kernel } from "../../mm/kernel.ts"
import type { Task } from "../../mm/store/tasks.ts"
import { brk } from "../../mm/sys/brk.ts"
import { addSeals, fallocate, ftruncate, getSeals, pread, preadUser, pwrite, pwriteUser } from "../../mm/sys/file.ts"
import { mlock, mlockall, munlock, munlockall } from "../../mm/sys/mlock.ts"
import { PR_GET_MDWE, PR_SET_MDWE, setMdwe, setrlimit } from "../../mm/sys/rlimit.ts"
import { madvise } from "../../mm/sys/madvise.ts"
import { mincoreTo } from "../../mm/sys/mincore.ts"
import { mmap } from "../../mm/sys/mmap.ts"
import { mprotect, pkeyMprotect } from "../../mm/sys/mprotect.ts"
import { mremap } from "../../mm/sys/mremap.ts"
import { mseal } from "../../mm/sys/seal.ts"
import { msync } from "../../mm/sys/msync.ts"
import { munmap } from "../../mm/sys/munmap.ts"
import { processMadvise } from "../../mm/sys/process-madvise.ts"
import { remapFilePages } from "../../mm/sys/remap-file-pages.ts"
import { exit, fork, reap } from "../../mm/sys/process.ts"
import { runNow } from "../../mm/sys/run-now.ts"
import { userLoad8, userStore8 } from "../../mm/sys/trap.ts"
import type { Header, Op, Result } from "./record.ts"
import { beginRecorded, bootRecorded } from "./recorded-world.ts"
import { View } from "./view.ts"
import type { Seen, World } from "./world.ts"

type Args = (at: number) => Word
type Call = (k: Kernel, task: Task, args: Args) => Verb<StopName> | number | undefined

/** Calls on files that read or write the caller's memory. If it is the recorder's own, nobody knows what they move. */
const reachesStub: ReadonlySet<string> = new Set(["pread_mem", "pwrite_mem"])

const F_ADD_SEALS = 1033
const F_GET_SEALS = 1034

/** Calls that answer a number or an errno, by the recorder's names. Undefined: this form of it is not built. */
const calls: Readonly<Record<string, Call>> = {
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
  setrlimit: (k, task, a) => setrlimit(k, task, a(0), a(1), a(2)),
  fcntl: (k, task, a) => {
    const command = lowBits(a(1))
    if (command === F_ADD_SEALS) return addSeals(k, task, a(0), a(2))
    return command === F_GET_SEALS ? getSeals(k, task, a(0)) : undefined
  },
  prctl: (k, task, a) => {
    const option = lowBits(a(0))
    if (option === PR_SET_MDWE) return setMdwe(k, task, a(1), a(2), a(3), a(4))
    return option === PR_GET_MDWE ? k.mms.mdwe(k.tasks.mm(task)) : undefined
  }
}

/** Makes the worlds that headers describe, one after another. A kernel whose processes left nothing behind is used again:
 * that is quicker than a boot, and shows what a kernel is like that has lived for a while.
 */
export function newMachines(): (header: Header) => World {
  let spare: Kernel | undefined
  return (header) => {
    const k = spare ?? bootRecorded()
    spare = undefined
    return new Machine(k, header, () => {
      spare = k
    })
  }
}

class Machine implements World {
  private readonly view: View
  /** Task rows by the recorder's process numbers. */
  private readonly tasks = new Map<number, Task>()
  private live: readonly number[] = [0]
  private readonly freeAtFirst: number

  constructor(
    private readonly k: Kernel,
    private readonly header: Header,
    private readonly giveBack: () => void
  ) {
    this.freeAtFirst = k.frames.free() + k.vdso.length
    const { labels, task } = beginRecorded(k, header)
    this.view = new View(k, labels)
    this.tasks.set(0, task)
  }

  perform(op: Op): Result | undefined {
    const { args, name, process } = op
    const arg = (at: number): Word => args[at] ?? 0
    if (name === "rd") return this.access(arg(0), userLoad8(this.k, this.mmOf(process), arg(0)))
    if (name === "wr") {
      return this.access(arg(0), userStore8(this.k, this.mmOf(process), arg(0), Number(arg(1)) & 255))
    }
    if (name === "fork") return this.fork(process, Number(arg(0)))
    if (name === "exit") return this.exit(process)
    if (name === "pread64") return this.read(process, arg)
    if (name === "mincore") return this.mincore(process, arg)
    if (name === "process_madvise") return this.processMadvise(process, args)
    if (name === "pwrite64") return valueOf(pwrite(this.k, this.taskOf(process), arg(0), bytesOfHex(op.data), arg(1)))
    if (reachesStub.has(name) && this.isOfStub(Number(arg(1)), Number(arg(2)))) return undefined
    const answer = calls[name]?.(this.k, this.taskOf(process), arg)
    if (answer === undefined) return undefined
    return valueOf(typeof answer === "number" ? answer : this.run(() => answer))
  }

  processes(): readonly number[] {
    return this.live
  }

  firstArea(process: number): number {
    return this.k.maple.find(this.mmOf(process), 0)
  }

  nextArea(process: number, area: number): number {
    return this.k.maple.next(this.mmOf(process), area)
  }

  look(_process: number, area: number, seen: Seen, isWhole: boolean): void {
    this.view.look(area, seen, isWhole)
  }

  stats(process: number): readonly number[] {
    return this.view.stats(this.mmOf(process))
  }

  peek(process: number, addr: number): number {
    const found = userLoad8(this.k, this.mmOf(process), addr)
    if (found >= 0) return found
    const letters: Readonly<Record<number, string>> = { [FAULT_MAPERR]: "M", [FAULT_ACCERR]: "A", [FAULT_SIGBUS]: "B" }
    return -(letters[-found] ?? "?").charCodeAt(0)
  }

  check(): readonly string[] {
    const wrong: string[] = []
    for (const check of this.k.checks) check(this.k, wrong)
    return wrong
  }

  close(): readonly string[] {
    for (const process of this.live) this.exit(process)
    const { k } = this
    const left = [
      ["processes", k.tasks.live],
      ["address spaces", k.mms.live],
      ["areas", k.vmas.live],
      ["page tables", k.ptes.live],
      ["anon_vmas", k.anon.live],
      ["files", k.files.liveFiles],
      ["objects", k.files.liveObjects],
      ["promised pages", k.committed],
      ["frames", this.freeAtFirst - k.frames.free() - k.vdso.length]
    ] as const
    const wrong = left.filter(([, n]) => n !== 0).map(([what, n]) => `${n} ${what} are left when every process is gone`)
    if (wrong.length === 0) this.giveBack()
    return wrong
  }

  private taskOf(process: number): Task {
    return this.tasks.get(process) ?? vmBugOn(`process ${process} is asked for, which does not live`)
  }

  private mmOf(process: number): number {
    return this.k.tasks.mm(this.taskOf(process))
  }

  /** Runs a verb that nothing can keep waiting: nobody else is there. */
  private run<A>(make: () => Verb<StopName, A>): A {
    const end = runNow<StopName, A | { readonly _tag: "DONE" }>(this.k, make)
    if (typeof end === "object" && end !== null && "stop" in end) vmBugOn(`alone in the world, and waits: ${end.stop}`)
    return end as A // not WOULD_WAIT
  }

  private isOfStub(addr: number, len: number): boolean {
    return this.header.areas.some((area) => addr < addrOf(area.end) && addr + len > addrOf(area.start))
  }

  private read(process: number, arg: Args): Result {
    const into = new Uint8Array(Number(arg(1)))
    const n = pread(this.k, this.taskOf(process), arg(0), into, arg(2))
    return n < 0 ? valueOf(n) : { kind: "value", value: n, also: hexOfBytes(into.subarray(0, n)) }
  }

  private mincore(process: number, arg: Args): Result {
    const vector: number[] = []
    const r = this.run(() => mincoreTo(this.k, this.taskOf(process), arg(0), arg(1), 0, vector))
    return r < 0 ? valueOf(r) : { kind: "value", value: r, also: vector.join("") }
  }

  /** The recorder asks on a pidfd of the caller itself: advice, then address and length of each range. */
  private processMadvise(process: number, args: readonly Word[]): Result {
    const task = this.taskOf(process)
    const ranges: [Word, Word][] = []
    for (let at = 1; at < args.length; at += 2) ranges.push([args[at]!, args[at + 1] ?? 0])
    return valueOf(this.run(() => processMadvise(this.k, task, task, ranges, args[0] ?? 0, 0)))
  }

  private fork(process: number, slot: number): Result {
    const child = this.run(() => fork(this.k, this.taskOf(process), `process ${slot}`))
    if (child < 0) return valueOf(child)
    this.tasks.set(slot, child)
    this.live = [...this.tasks.keys()].sort((a, b) => a - b)
    return valueOf(0)
  }

  private exit(process: number): Result {
    const task = this.taskOf(process)
    this.run(() => exit(this.k, task))
    reap(this.k, task)
    this.tasks.delete(process)
    this.live = this.live.filter((one) => one !== process)
    return valueOf(0)
  }

  /** The byte (0 for a store), or the signal that a fault code stands for. */
  private access(addr: Word, found: number): Result {
    if (found >= 0) return valueOf(found)
    switch (-found) {
      case FAULT_MAPERR:
        return { kind: "signal", signal: "SIGSEGV", code: "SEGV_MAPERR", addr }
      case FAULT_ACCERR:
        return { kind: "signal", signal: "SIGSEGV", code: "SEGV_ACCERR", addr }
      case FAULT_SIGBUS:
        return { kind: "signal", signal: "SIGBUS", code: "BUS_ADRERR", addr }
      case FAULT_GP:
        return { kind: "signal", signal: "SIGSEGV", code: "SI_KERNEL", addr: 0 }
      default:
        return { kind: "signal", signal: `fault ${-found}`, code: "?", addr }
    }
  }
}

const valueOf = (value: number): Result =>
  value < 0 ? { kind: "errno", errno: nameOfErrno(value) ?? String(value) } : { kind: "value", value }

const bytesOfHex = (hex: string): Uint8Array =>
  Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16))

const hexOfBytes = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")
