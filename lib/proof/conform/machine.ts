/** Our kernel in the recorder's place: performs operations and shows itself. Floor 9. */
import { nameOf as nameOfErrno } from "../../flags/Errno.ts"
import { FAULT_ACCERR, FAULT_GP, FAULT_HWPOISON, FAULT_MAPERR, FAULT_SIGBUS } from "../../flags/FaultFlags.ts"
import { vmBugOn } from "../../mm/base/debug.ts"
import type { StopName, Verb } from "../../mm/base/stop.ts"
import type { Word } from "../../mm/base/units.ts"
import type { Kernel } from "../../mm/kernel.ts"
import type { Task } from "../../mm/store/tasks.ts"
import { destroy } from "../../mm/object/shm.ts"
import { pread, pwrite } from "../../mm/sys/file.ts"
import { memfdCreate, memfdNamed } from "../../mm/sys/memfd.ts"
import { mincoreTo } from "../../mm/sys/mincore.ts"
import { processMadvise } from "../../mm/sys/process-madvise.ts"
import { drainMmput, exit, fork, reap } from "../../mm/sys/process.ts"
import { runNow } from "../../mm/sys/run-now.ts"
import { userLoad8, userStore8 } from "../../mm/sys/trap.ts"
import { drainReleased } from "../../mm/sys/userfaultfd.ts"
import { type Args, type Call, calls } from "../calls.ts"
import type { Header, Op, Result } from "./record.ts"
import { beginRecorded, bootRecorded } from "./recorded-world.ts"
import { type FlagTexts, View } from "./view.ts"
import type { Seen, World } from "./world.ts"

/** Makes the worlds that headers describe, one after another. A kernel whose processes left nothing behind is used again:
 * that is quicker than a boot, and shows what a kernel is like that has lived for a while.
 */
export function newMachines(): (header: Header) => World {
  let spare: Kernel | undefined
  let host: string | undefined
  const texts = new Map<number, FlagTexts>()
  return (header) => {
    const its = header.host === undefined ? undefined : JSON.stringify(header.host)
    const k = (its === host ? spare : undefined) ?? bootRecorded(header.host)
    spare = undefined
    host = its
    return new Machine(k, header, texts, () => {
      spare = k
    })
  }
}

/** Calls by registers alone. Not the record itself, which has names that are no calls: `constructor`. */
const table: ReadonlyMap<string, Call> = new Map(Object.entries(calls))
/** More bytes than any recorded file has. */
const MOST_READ = 1 << 24

/** Of failed loads, as the recorder's last sweep has them. */
const letters: Readonly<Record<number, string>> = {
  [FAULT_MAPERR]: "M",
  [FAULT_ACCERR]: "A",
  [FAULT_SIGBUS]: "B",
  [FAULT_HWPOISON]: "B"
}

class Machine implements World {
  private readonly view: View
  /** Task rows by the recorder's process numbers. */
  private readonly tasks: Array<Task | undefined> = []
  private live: readonly number[] = [0]
  private readonly freeAtFirst: number

  constructor(
    private readonly k: Kernel,
    header: Header,
    texts: Map<number, FlagTexts>,
    private readonly giveBack: () => void
  ) {
    this.freeAtFirst = k.frames.free() + k.vdso.length
    const { labels, task } = beginRecorded(k, header)
    this.view = new View(k, labels, texts)
    this.tasks[0] = task
  }

  /** What is no call by registers alone. */
  private static readonly own: ReadonlyMap<string, (m: Machine, op: Op, arg: Args) => Result> = new Map([
    ["rd", (m, { process }, arg) => m.access(arg(0), userLoad8(m.k, m.mmOf(process), arg(0)))],
    ["wr", (m, { process }, arg) => m.access(arg(0), userStore8(m.k, m.mmOf(process), arg(0), Number(arg(1)) & 255))],
    ["fork", (m, { process }, arg) => m.fork(process, Number(arg(0)))],
    ["exit", (m, { process }) => m.exit(process)],
    ["pread64", (m, { process }, arg) => m.read(process, arg)],
    ["pwrite64", (m, op, arg) => valueOf(pwrite(m.k, m.taskOf(op.process), arg(0), bytesOfHex(op.data), arg(1)))],
    ["mincore", (m, { process }, arg) => m.mincore(process, arg)],
    ["process_madvise", (m, { args, process }) => m.processMadvise(process, args)],
    ["memfd_create", (m, op, arg) => m.memfdCreate(op, arg)]
  ])

  has(name: string): boolean {
    return Machine.own.has(name) || table.has(name)
  }

  perform(op: Op): Result | undefined {
    const { args, name, process } = op
    const arg = (at: number): Word => args[at] ?? 0
    const own = Machine.own.get(name)
    if (own !== undefined) return own(this, op, arg)
    const answer = table.get(name)?.(this.k, this.taskOf(process), arg)
    if (answer === undefined) return undefined
    const value = typeof answer === "number" ? answer : this.run(() => answer)
    this.settle()
    return stored.has(name) ? valueOf(value, this.stored(name)) : valueOf(value)
  }

  /** What an ioctl of a userfaultfd stored in its struct. */
  private stored(name: string): string {
    const n = this.k.out[0]!
    return name === "uffdio_register" ? `0x${n.toString(16)}` : String(n)
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

  stats(process: number, sizes: Float64Array): void {
    this.view.stats(this.mmOf(process), sizes)
  }

  peek(process: number, addr: number): number {
    const found = userLoad8(this.k, this.mmOf(process), addr)
    if (found >= 0) return found
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
    const isUntouched = k.shm.isUntouched()
    for (const segment of k.shm.all()) destroy(k, segment) // as the end of their namespace does
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
    if (wrong.length === 0 && isUntouched) this.giveBack()
    return wrong
  }

  private taskOf(process: number): Task {
    return this.tasks[process] ?? vmBugOn(`process ${process} is asked for, which does not live`)
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

  /** What a call leaves for when it is over: files that are closed, address spaces that nobody uses. */
  private settle(): void {
    const { k } = this
    if (k.released.length > 0) this.run(() => drainReleased(k))
    if (k.deferredMmput.length > 0) this.run(() => drainMmput(k))
  }

  private read(process: number, arg: Args): Result {
    const into = new Uint8Array(Math.min(Number(arg(1)), MOST_READ))
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

  /** Recordings hold the name where there is one; else it is an address of the process. */
  private memfdCreate({ data, process }: Op, arg: Args): Result {
    const task = this.taskOf(process)
    if (data === "") return valueOf(this.run(() => memfdCreate(this.k, task, arg(0), arg(1))))
    return valueOf(memfdNamed(this.k, task, new TextDecoder().decode(bytesOfHex(data)), arg(1)))
  }

  private fork(process: number, slot: number): Result {
    const child = this.run(() => fork(this.k, this.taskOf(process), `process ${slot}`))
    if (child < 0) return valueOf(child)
    this.tasks[slot] = child
    this.live = [...this.live, slot].sort((a, b) => a - b)
    return valueOf(0)
  }

  private exit(process: number): Result {
    const task = this.taskOf(process)
    this.run(() => exit(this.k, task))
    this.settle()
    reap(this.k, task)
    this.tasks[process] = undefined
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
      case FAULT_HWPOISON: // without CONFIG_MEMORY_FAILURE there is no other code for it
      case FAULT_SIGBUS:
        return { kind: "signal", signal: "SIGBUS", code: "BUS_ADRERR", addr }
      case FAULT_GP:
        return { kind: "signal", signal: "SIGSEGV", code: "SI_KERNEL", addr: 0 }
      default:
        return { kind: "signal", signal: `fault ${-found}`, code: "?", addr }
    }
  }
}

/** Ioctls that store something. */
const stored: ReadonlySet<string> = new Set(
  ["register", "copy", "zeropage", "continue", "poison", "move"].map((name) => `uffdio_${name}`)
)

function valueOf(value: number, also?: string): Result {
  const rest = also === undefined ? {} : { also }
  return value < 0
    ? { kind: "errno", errno: nameOfErrno(value) ?? String(value), ...rest }
    : { kind: "value", value, ...rest }
}

const bytesOfHex = (hex: string): Uint8Array =>
  Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16))

const hexOfBytes = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")
