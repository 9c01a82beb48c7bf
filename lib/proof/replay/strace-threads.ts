/** The threads and processes of a strace log: who is whose child, and who shares what with whom. Floor 9. */
import type { Word } from "../../mm/base/units.ts"
import { wordOf } from "./strace-args.ts"
import { isRead } from "./strace-calls.ts"
import { Descriptors, type OpenFiles } from "./strace-files.ts"

/** A process: what its threads share. */
export interface Process {
  readonly pid: number
  threads: number
  /** Calls of memory that its threads are in, oldest first. */
  readonly open: Set<Begun>
}

/** A call that has begun. */
export interface Begun {
  readonly name: string
  /** The arguments that are known so far. */
  readonly args: string
  readonly began: number
  /** The child of a fork that showed itself before the fork returned. */
  child?: number
}

/** A thread, under the number that the log gives it. */
export interface Thread {
  tid: number
  process: Process
  files: Descriptors
  open: Begun | undefined
}

export const CLONE_VM = 0x100
export const CLONE_FILES = 0x400
const CLONE_VFORK = 0x4000
export const CLONE_THREAD = 0x10000

/** Calls that make a thread or a process. */
export const isFork = (name: string): boolean =>
  name === "clone" || name === "clone3" || name === "fork" || name === "vfork"

/** The flags of such a call, as far as words for them are known; signals are not among them. */
export function flagsOfFork(name: string, args: string): Word {
  if (name === "fork") return 0
  if (name === "vfork") return CLONE_VM | CLONE_VFORK
  const text = /\bflags=([^,})]*)/.exec(args)?.[1]?.replace(/\/\*.*?\*\//g, "") ?? ""
  let flags: Word = 0
  for (const word of text.split("|")) {
    const name = word.trim()
    if (name === "" || name.startsWith("SIG")) continue
    const one = wordOf(name)
    if (one !== undefined) flags = BigInt(flags) | BigInt(one)
  }
  return Number(flags)
}

export const has = (flags: Word, flag: number): boolean => (BigInt(flags) & BigInt(flag)) !== 0n

/** Of whom strace says nothing for so long, it will say nothing. */
const MOST_DEPARTED = 4096

const newProcess = (pid: number): Process => ({ pid, threads: 0, open: new Set() })

/** Everybody who lives. */
export class Threads {
  readonly live = new Map<number, Thread>()
  /** Numbers of threads that have called exit, and of whom strace may say more. */
  readonly departed = new Set<number>()
  /** Threads that are about to have a child. */
  readonly forking = new Set<Thread>()

  constructor(private readonly files: OpenFiles) {}

  /** A process that nobody saw begin. */
  appear(tid: number): Thread {
    return this.add(tid, newProcess(tid), new Descriptors(this.files))
  }

  /** A thread of a process that is known. */
  join(tid: number, other: Thread): Thread {
    return this.add(tid, other.process, other.files)
  }

  /** A child of `parent`. */
  born(tid: number, parent: Thread, flags: Word): Thread {
    const process = has(flags, CLONE_THREAD) ? parent.process : newProcess(tid)
    return this.add(tid, process, has(flags, CLONE_FILES) ? parent.files : parent.files.copy())
  }

  /** The threads of a process. */
  of(process: Process): readonly Thread[] {
    return [...this.live.values()].filter((thread) => thread.process === process)
  }

  /** It is about to leave. */
  depart({ tid }: Thread): void {
    const [first] = this.departed
    if (this.departed.size >= MOST_DEPARTED && first !== undefined) this.departed.delete(first)
    this.departed.add(tid)
  }

  private add(tid: number, process: Process, files: Descriptors): Thread {
    const thread: Thread = { tid, process, files, open: undefined }
    this.live.set(tid, thread)
    this.departed.delete(tid)
    process.threads++
    return thread
  }

  begin(thread: Thread, begun: Begun): void {
    thread.open = begun
    if (isRead(begun.name)) thread.process.open.add(begun)
    if (isFork(begun.name)) this.forking.add(thread)
  }

  end(thread: Thread): void {
    if (thread.open !== undefined) thread.process.open.delete(thread.open)
    thread.open = undefined
    this.forking.delete(thread)
  }

  /** True if it was the last of its process. */
  leave(thread: Thread): boolean {
    this.end(thread)
    this.live.delete(thread.tid)
    return --thread.process.threads === 0
  }

  /** `thread` goes on under the number of its process's first thread, which is no more. */
  takeOver(thread: Thread, tid: number): void {
    const old = this.live.get(tid)
    if (old !== undefined && old !== thread) this.leave(old)
    this.live.delete(thread.tid)
    thread.tid = tid
    this.live.set(tid, thread)
  }

  /** How many processes there are. */
  processes(): number {
    return new Set([...this.live.values()].map(({ process }) => process)).size
  }

  /** Who must be having a child now: the only one, or one of several whose children are all threads of one process.
   * Undefined: the log does not tell.
   */
  parentOfUnknown(): Thread | undefined {
    const expecting = [...this.forking].filter((thread) => thread.open?.child === undefined)
    const [first, ...more] = expecting
    if (first?.open === undefined || more.length === 0) return first
    const isThread = (thread: Thread): boolean =>
      has(flagsOfFork(thread.open?.name ?? "", thread.open?.args ?? ""), CLONE_THREAD)
    return expecting.every((thread) => isThread(thread) && thread.process === first.process) ? first : undefined
  }
}
