/** Reads a log of `strace -f` into events: joins what was interrupted, follows processes and descriptors. Floor 9.
 *
 * Lines of one thread come in order; `<unfinished ...>` and `resumed` show where calls of several overlap. A call began at
 * its first line and ended at its last. A child's lines may come before its parent's fork has returned: if the log does not
 * tell then whose child it is, they wait until it does.
 */
import { type Call, type Event, type LogReader, type Result, type Sink } from "./event.ts"
import { answerOf, argumentsOf, fieldOf, numberOf, stringOf, wordOf } from "./strace-args.ts"
import { descriptorOf, nameOfCall, shownOf } from "./strace-calls.ts"
import { OpenFiles, refOf, unshares } from "./strace-files.ts"
import { type Headed, interruptionOf, lineOf, type ThreadLine } from "./strace-line.ts"
import {
  CLONE_FILES,
  CLONE_THREAD,
  CLONE_VM,
  flagsOfFork,
  has,
  isFork,
  type Thread,
  Threads
} from "./strace-threads.ts"
import { numberOfSignal } from "./strace-words.ts"

/** Lines that may wait for their process to become known. */
const MOST_WAITING = 100_000
/** Number of the process whose lines bear none, until the log names it. */
const UNNUMBERED = 0

/** Flags of a thread as everybody makes them. */
const THREAD = CLONE_VM | CLONE_FILES | CLONE_THREAD

interface Waiting {
  readonly line: ThreadLine
  readonly at: number
}

/** Reads one log of strace. */
export class StraceReader implements LogReader {
  readonly format = "strace"
  readonly showsMaps = false
  private readonly files = new OpenFiles()
  private readonly threads = new Threads(this.files)
  /** Lines of threads whose beginning the log has not told yet. */
  private readonly waiting = new Map<number, Waiting[]>()
  private waits = 0
  /** The thread whose lines bear no number. */
  private unnumbered: Thread | undefined
  /** Numbers that strace said it had attached to, and a thread of the same process if it said so. */
  private readonly attached = new Map<number, Thread | undefined>()
  /** strace attached to a process of several threads: how many of them have not shown themselves. */
  private hidden = { count: 0, of: 0 }
  /** A line that strace broke off for a message of its own. */
  private begun = ""
  /** Has the log shown a call that makes threads? Then it leaves none out. */
  private showsForks = false
  private calls = 0
  private last = 0

  constructor(private readonly sink: Sink) {}

  push(text: string, at: number): void {
    this.last = at
    const whole = this.begun === "" || /^(?:strace: |\[pid )/.test(text) ? text : `${this.begun}${text}`
    if (whole !== text) this.begun = ""
    const broken = interruptionOf(whole)
    if (broken === undefined) return this.take(lineOf(whole), at)
    if (this.begun !== "") this.sink.malformed(at, "the line before was broken off")
    this.begun = broken.before
    this.take({ pid: undefined, line: broken.message }, at)
  }

  finish(): void {
    for (const tid of this.waiting.keys()) this.release(this.threads.appear(tid), tid)
    for (const thread of this.threads.live.values()) {
      const { open } = thread
      if (open === undefined) continue
      const { args } = argumentsOf(open.args)
      this.emitCall(thread, open.name, args, { kind: "unknown" }, open.began, this.last + 1)
    }
  }

  private take(headed: Headed, at: number): void {
    const { line, pid } = headed
    if (line.kind === "nothing") return
    if (line.kind === "malformed") return this.sink.malformed(at, line.why)
    if (line.kind === "attached") return this.attach(line.pid, line.threads)
    if (line.kind === "detached") return this.detach(line.pid)
    if (this.isAfterEnd(pid, line)) return
    const thread = this.threadOf(pid, line, at)
    if (thread !== undefined) this.perform(thread, line, at)
    else if (++this.waits <= MOST_WAITING && pid !== undefined) {
      const queue = this.waiting.get(pid)
      if (queue === undefined) this.waiting.set(pid, [{ line, at }])
      else queue.push({ line, at })
    } else this.sink.malformed(at, "whose it is does not become clear")
  }

  /** Is it what strace still says of a thread after its call of exit? With -qq it says nothing. */
  private isAfterEnd(pid: number | undefined, line: ThreadLine): boolean {
    const { departed, live } = this.threads
    if (pid === undefined) return line.kind === "gone" && live.size === 0
    if (!departed.has(pid)) return false
    const isNew = line.kind === "call" || line.kind === "unfinished"
    if (isNew || line.kind === "gone") departed.delete(pid)
    return !isNew
  }

  private attach(pid: number, threads: number): void {
    this.attached.set(pid, undefined)
    if (threads > 1) this.hidden = { count: threads - 1, of: pid }
  }

  private detach(pid: number): void {
    const thread = this.threads.live.get(pid)
    if (thread !== undefined) this.threads.leave(thread)
  }

  /** Whose line it is; undefined where that has to become clear first. */
  private threadOf(pid: number | undefined, line: ThreadLine, at: number): Thread | undefined {
    const { live } = this.threads
    if (pid === undefined) return this.withoutNumber(line)
    const known = live.get(pid)
    if (known !== undefined) return known
    if (this.waiting.has(pid)) return undefined
    if (this.unnumbered !== undefined && this.unnumbered.tid === UNNUMBERED && !this.attached.has(pid)) {
      // the first process gets a number on its lines as soon as there is a second one
      this.threads.takeOver(this.unnumbered, pid)
      return this.unnumbered
    }
    const parent = this.threads.parentOfUnknown()
    if (parent !== undefined) return this.bear(parent, pid, at)
    if (this.threads.forking.size > 0) return undefined
    return this.comeFromOutside(pid, line, at)
  }

  private withoutNumber(line: ThreadLine): Thread {
    const { live } = this.threads
    if (live.size === 1) for (const only of live.values()) return only
    if (line.kind === "superseded") {
      const by = live.get(line.by)
      const first = by === undefined ? undefined : live.get(by.process.pid)
      if (first !== undefined) return first
    }
    if (this.unnumbered === undefined || !live.has(this.unnumbered.tid)) {
      const [only] = this.attached.keys()
      this.unnumbered = this.threads.appear(only ?? UNNUMBERED)
    }
    return this.unnumbered
  }

  /** A thread that was there before the log, or whose making the log leaves out. */
  private comeFromOutside(tid: number, line: ThreadLine, at: number): Thread {
    const { live } = this.threads
    const attached = live.get(this.hidden.of)
    if (this.hidden.count > 0 && tid !== this.hidden.of && attached !== undefined) {
      this.hidden.count--
      return this.threads.join(tid, attached)
    }
    const [other] = live.values()
    if (other === undefined) return this.threads.appear(tid)
    if (this.showsForks || this.threads.processes() > 1 || asksForBreak(line)) {
      this.sink.assumed?.(at, "processes of which nothing is known")
      return this.threads.appear(tid)
    }
    this.sink.assumed?.(at, "threads of the only process")
    return this.bear(other, tid, at, THREAD)
  }

  private perform(thread: Thread, line: ThreadLine, at: number): void {
    switch (line.kind) {
      case "call":
        this.giveUp(thread, at)
        this.threads.begin(thread, { name: nameOfCall(line.name), args: "", began: at * 2 })
        return this.endCall(thread, line.args, at)
      case "unfinished":
        this.giveUp(thread, at)
        return this.threads.begin(thread, { name: nameOfCall(line.name), args: line.args, began: at * 2 })
      case "resumed": {
        const { open } = thread
        if (open?.name !== nameOfCall(line.name)) {
          return this.sink.malformed(at, `${line.name} goes on, and the log does not show that it began`)
        }
        return this.endCall(thread, open.args + line.args, at)
      }
      case "signal":
        return this.signal(thread, line.signal, line.detail, at)
      case "gone":
        return this.leave(thread, line.status, numberOfSignal(line.signal), at)
      case "superseded":
        return this.supersede(thread, line.by)
    }
  }

  /** A call begins while another has not ended: the end of that one is missing. */
  private giveUp(thread: Thread, at: number): void {
    if (thread.open === undefined) return
    this.sink.malformed(at, `a call begins, and ${thread.open.name} has not ended`)
    this.threads.end(thread)
  }

  private endCall(thread: Thread, text: string, at: number): void {
    const { open } = thread
    if (open === undefined) return
    this.showsForks ||= isFork(open.name)
    const { args, end } = argumentsOf(text)
    const answer = end < 0 ? undefined : answerOf(text.slice(end))
    if (answer === undefined) {
      this.sink.malformed(at, end < 0 ? `the arguments of ${open.name} do not end` : `${open.name} has no result`)
      return this.threads.end(thread)
    }
    thread.process.open.delete(open)
    const { name } = open
    const { result } = answer
    const value = result.kind === "value" ? result.value : undefined
    if (value === 0 && (name === "execve" || name === "execveat")) this.exec(thread, name, args, at)
    else if (isFork(name) && typeof value === "number" && value > 0) {
      if (open.child === undefined && !this.threads.live.has(value))
        this.bear(thread, value, at, flagsOfFork(name, args.join(",")))
      this.threads.end(thread)
      this.release(this.threads.live.get(value), value)
      return
    } else this.emitCall(thread, name, args, result, open.began, at)
    this.threads.end(thread)
    if (value === undefined && result.kind === "unknown") this.exit(thread, name, args, at)
    if (value !== undefined) this.follow(thread, name, args, value, answer.path)
  }

  private follow(
    thread: Thread,
    name: string,
    args: readonly string[],
    value: number | bigint,
    path: string | undefined
  ): void {
    if (name === "close_range") {
      if (unshares(args)) thread.files = thread.files.copy()
      thread.files.closeRange(args)
    } else thread.files.follow(name, args, value, path)
  }

  private exec(thread: Thread, name: string, args: readonly string[], at: number): void {
    thread.files = thread.files.afterExec()
    const path = stringOf(args[name === "execve" ? 0 : 1] ?? "") ?? ""
    this.emit({ kind: "exec", line: at, pid: thread.process.pid, path })
  }

  /** `tid` is a child of `parent`, who is in a fork. */
  private bear(
    parent: Thread,
    tid: number,
    at: number,
    flags = flagsOfFork(parent.open?.name ?? "", parent.open?.args ?? "")
  ): Thread {
    if (parent.open !== undefined && this.threads.forking.size === 1) parent.open.child = tid
    const child = this.threads.born(tid, parent, flags)
    this.attached.delete(tid)
    this.emit({
      kind: "clone",
      line: at,
      pid: parent.process.pid,
      tid: parent.tid,
      childTid: tid,
      childPid: child.process.pid,
      sharesMemory: has(flags, CLONE_VM) || has(flags, CLONE_THREAD),
      flags,
      began: parent.open?.began ?? at * 2,
      ended: at * 2 + 1
    })
    return child
  }

  /** What waited for `tid` to become known happens now. */
  private release(thread: Thread | undefined, tid: number): void {
    const queue = this.waiting.get(tid)
    if (queue === undefined || thread === undefined) return
    this.waiting.delete(tid)
    this.waits -= queue.length
    for (const { line, at } of queue) {
      const now = this.threads.live.get(tid)
      if (now !== undefined) this.perform(now, line, at)
    }
  }

  private supersede(thread: Thread, by: number): void {
    const other = this.threads.live.get(by)
    if (other !== undefined) this.threads.takeOver(other, thread.tid)
  }

  /** What never returns ends a thread, or all of its process: strace may be told to say no more of that. */
  private exit(thread: Thread, name: string, args: readonly string[], at: number): void {
    if (name !== "exit" && name !== "exit_group") return
    const status = Number(numberOf(args[0] ?? "") ?? 0)
    const leaving = name === "exit" ? [thread] : this.threads.of(thread.process)
    for (const one of leaving) {
      this.threads.depart(one)
      this.leave(one, status, 0, at)
    }
  }

  private leave(thread: Thread, status: number, signal: number, at: number): void {
    const { pid } = thread.process
    this.emit({ kind: "exit", line: at, pid, tid: thread.tid })
    if (this.threads.leave(thread)) this.emit({ kind: "end", line: at, pid, status, signal })
  }

  private signal(thread: Thread, signal: string, detail: string, at: number): void {
    if (signal !== "SIGSEGV" && signal !== "SIGBUS") return
    const code = fieldOf(detail, "si_code") ?? ""
    const addr = wordOf(fieldOf(detail, "si_addr") ?? "") ?? 0
    this.emit({ kind: "signal", line: at, pid: thread.process.pid, tid: thread.tid, signal, code, addr })
  }

  private emitCall(
    thread: Thread,
    name: string,
    args: readonly string[],
    result: Result,
    began: number,
    at: number
  ): void {
    const shown = shownOf(name, args, (word) => this.sink.malformed(at, `${name}: nobody knows ${word}`))
    const fd = descriptorOf(name)
    const file = fd === undefined ? undefined : thread.files.fileOf(args[fd] ?? "")
    const call: Call = {
      kind: "call",
      line: at,
      pid: thread.process.pid,
      tid: thread.tid,
      n: this.calls++,
      name,
      ...shown,
      result,
      began,
      ended: at * 2 + 1,
      ...oldestOf(thread),
      ...(file === undefined ? {} : { fd: refOf(file) })
    }
    this.emit(call)
  }

  private emit(event: Event): void {
    this.sink.event(event)
  }
}

/** `brk(NULL)`: what new programs begin with. */
const asksForBreak = (line: ThreadLine): boolean =>
  (line.kind === "call" || line.kind === "unfinished") && line.name === "brk" && /^(NULL|0)\b/.test(line.args)

function oldestOf(thread: Thread): Pick<Call, "oldest"> {
  for (const { began } of thread.process.open) return { oldest: began }
  return {}
}
