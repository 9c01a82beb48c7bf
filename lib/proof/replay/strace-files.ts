/** Which open file each descriptor of a process is, as far as a strace log tells. Floor 9.
 *
 * Areas merge only if they map the same open file, and a path is no open file: so opens, copies and closes are followed,
 * with or without -y. A descriptor that nobody saw being opened is an open file of its own, from its first use on.
 */
import type { Word } from "../../mm/base/units.ts"
import type { FileRef } from "./event.ts"
import { annotationOf, argumentsOf, fieldOf, numberOf, stringOf, wordOf } from "./strace-args.ts"

/** A file that was opened; descriptors that are copies of one another share it. */
export interface OpenFile {
  readonly id: number
  readonly path: string
  /** As -y shows it. */
  readonly shown: string | undefined
  /** O_* it was opened with; undefined if nobody saw that. */
  readonly flags: number | undefined
}

interface Descriptor {
  readonly file: OpenFile
  readonly closedByExec: boolean
}

const O_RDWR = 2
const CREATED = 0o1101 // creat: O_WRONLY|O_CREAT|O_TRUNC
const CLOEXEC = 0o2000000
/** MFD_HUGETLB. */
const HUGETLB = 4
const HUGE = "anon_inode:[hugetlb]"
const CLOSE_RANGE_UNSHARE = 2
const CLOSE_RANGE_CLOEXEC = 4

/** A call whose answer is a new descriptor of an object without a path. */
interface Maker {
  readonly path: string
  /** Argument that may hold the flag, and the flag; without one it is always closed by exec. */
  readonly flag?: readonly [argument: number, mask: number]
}

const anonymous = (name: string, flag?: readonly [number, number]): Maker =>
  flag === undefined ? { path: `anon_inode:[${name}]` } : { path: `anon_inode:[${name}]`, flag }
const socket = (argument: number): Maker => ({ path: "socket:[]", flag: [argument, CLOEXEC] })

const makers: Readonly<Record<string, Maker>> = {
  accept: { path: "socket:[]", flag: [0, 0] },
  accept4: socket(3),
  socket: socket(1),
  eventfd: anonymous("eventfd", [0, 0]),
  eventfd2: anonymous("eventfd", [1, CLOEXEC]),
  epoll_create: anonymous("eventpoll", [0, 0]),
  epoll_create1: anonymous("eventpoll", [0, CLOEXEC]),
  inotify_init: anonymous("inotify", [0, 0]),
  inotify_init1: anonymous("inotify", [0, CLOEXEC]),
  signalfd: anonymous("signalfd", [0, 0]),
  signalfd4: anonymous("signalfd", [3, CLOEXEC]),
  timerfd_create: anonymous("timerfd", [1, CLOEXEC]),
  userfaultfd: anonymous("userfaultfd", [0, CLOEXEC]),
  perf_event_open: anonymous("perf_event", [4, 8]),
  fanotify_init: anonymous("fanotify", [0, 1]),
  io_uring_setup: anonymous("io_uring"),
  bpf: anonymous("bpf"),
  pidfd_open: anonymous("pidfd"),
  memfd_secret: { path: "/secretmem (deleted)", flag: [0, CLOEXEC] }
}

/** Gives open files their numbers: one for all processes of a log, since descriptors are inherited. */
export class OpenFiles {
  private next = 1

  make(path: string, shown: string | undefined, flags: number | undefined): OpenFile {
    return { id: this.next++, path: shown ?? path, shown, flags }
  }
}

/** The descriptors of one process. */
export class Descriptors {
  private readonly fds = new Map<number, Descriptor>()

  constructor(private readonly files: OpenFiles) {}

  /** As a child of a fork has them. */
  copy(): Descriptors {
    const child = new Descriptors(this.files)
    for (const [fd, one] of this.fds) child.fds.set(fd, one)
    return child
  }

  /** As a new program has them. */
  afterExec(): Descriptors {
    const kept = new Descriptors(this.files)
    for (const [fd, one] of this.fds) if (!one.closedByExec) kept.fds.set(fd, one)
    return kept
  }

  /** The open file behind an argument, `3` or `3</etc/passwd>`; undefined where it is no descriptor that may be open. */
  fileOf(argument: string): OpenFile | undefined {
    const bracket = argument.indexOf("<")
    const fd = numberOf(bracket < 0 ? argument : argument.slice(0, bracket))
    if (typeof fd !== "number" || fd < 0) return undefined
    const shown = bracket < 0 ? undefined : annotationOf(argument)
    const known = this.fds.get(fd)
    if (known !== undefined && (shown === undefined || known.file.shown === undefined)) return known.file
    if (known !== undefined && sameShown(known.file.shown, shown)) return known.file
    const file = this.files.make("", shown, undefined)
    this.fds.set(fd, { file, closedByExec: false })
    return file
  }

  /** Follows a call that succeeded. `path` is what -y shows of the answer. */
  follow(name: string, args: readonly string[], answer: Word, path: string | undefined): void {
    const fd = Number(answer)
    const maker = makers[name]
    if (maker !== undefined) {
      const closedByExec = maker.flag === undefined || (flagsOf(args[maker.flag[0]]) & maker.flag[1]) !== 0
      this.open(fd, this.files.make(maker.path, path, O_RDWR), closedByExec)
      return
    }
    switch (name) {
      case "open":
        return this.opened(fd, args[0], flagsOf(args[1]), path)
      case "openat":
        return this.opened(fd, args[1], flagsOf(args[2]), path)
      case "openat2":
        return this.opened(fd, args[1], flagsOf(fieldOf(args[2] ?? "", "flags")), path)
      case "creat":
        return this.opened(fd, args[0], CREATED, path)
      case "memfd_create": {
        const flags = flagsOf(args[1])
        const name = `/memfd:${stringOf(args[0] ?? "") ?? ""} (deleted)`
        // where huge pages go is their pool's affair: to be told from other memory
        const file =
          (flags & HUGETLB) === 0 ? this.files.make(name, path, O_RDWR) : this.files.make(HUGE, undefined, O_RDWR)
        return this.open(fd, file, (flags & 1) !== 0)
      }
      case "dup":
        return this.duplicate(args[0], fd, false)
      case "dup2":
        return args[0] === args[1] ? undefined : this.duplicate(args[0], fd, false)
      case "dup3":
        return this.duplicate(args[0], fd, (flagsOf(args[2]) & CLOEXEC) !== 0)
      case "fcntl":
        return this.control(args, fd)
      case "ioctl":
        if (args[1] === "FIOCLEX" || args[1] === "FIONCLEX") this.mark(args[0], args[1] === "FIOCLEX")
        return undefined
      case "pipe":
      case "pipe2":
        return this.pair(args[0], "pipe:[]", (flagsOf(args[1]) & CLOEXEC) !== 0)
      case "socketpair":
        return this.pair(args[3], "socket:[]", (flagsOf(args[1]) & CLOEXEC) !== 0)
      case "close":
        this.fds.delete(descriptorOf(args[0]))
        return undefined
    }
  }

  /** close_range: what is closed, or marked, from `args[0]` to `args[1]`. */
  closeRange(args: readonly string[]): void {
    const last = wordOf(args[1] ?? "")
    for (const fd of this.fds.keys()) {
      if (fd < descriptorOf(args[0]) || last === undefined || fd > Number(last)) continue
      if ((flagsOf(args[2]) & CLOSE_RANGE_CLOEXEC) !== 0) this.mark(String(fd), true)
      else this.fds.delete(fd)
    }
  }

  private open(fd: number, file: OpenFile, closedByExec: boolean): void {
    this.fds.set(fd, { file, closedByExec })
  }

  private opened(fd: number, path: string | undefined, flags: number, shown: string | undefined): void {
    const file = this.files.make(stringOf(path ?? "") ?? "", shown, flags & ~CLOEXEC)
    this.open(fd, file, (flags & CLOEXEC) !== 0)
  }

  private duplicate(from: string | undefined, to: number, closedByExec: boolean): void {
    const file = this.fileOf(from ?? "")
    if (file !== undefined) this.open(to, file, closedByExec)
  }

  private control(args: readonly string[], answer: number): void {
    const command = args[1] ?? ""
    if (command.startsWith("F_DUPFD")) this.duplicate(args[0], answer, command === "F_DUPFD_CLOEXEC")
    else if (command === "F_SETFD") this.mark(args[0], (flagsOf(args[2]) & 1) !== 0)
  }

  private mark(argument: string | undefined, closedByExec: boolean): void {
    const file = this.fileOf(argument ?? "")
    if (file !== undefined) this.open(descriptorOf(argument), file, closedByExec)
  }

  private pair(argument: string | undefined, path: string, closedByExec: boolean): void {
    if (argument?.startsWith("[") !== true) return
    for (const end of argumentsOf(`${argument.slice(1, -1)})`).args) {
      const fd = descriptorOf(end)
      if (fd >= 0) this.open(fd, this.files.make(path, annotationOf(end), O_RDWR), closedByExec)
    }
  }
}

/** Does close_range give the process a table of its own first? */
export const unshares = (args: readonly string[]): boolean => (flagsOf(args[2]) & CLOSE_RANGE_UNSHARE) !== 0

/** What an event says of an open file. */
export function refOf(file: OpenFile): FileRef {
  const ref = { path: file.path, open: file.id }
  return file.flags === undefined ? ref : { ...ref, flags: file.flags }
}

function sameShown(a: string | undefined, b: string | undefined): boolean {
  return bare(a) === bare(b)
}

const bare = (path: string | undefined): string | undefined => path?.replace(/ \(deleted\)$/, "")

function descriptorOf(argument: string | undefined): number {
  const text = argument ?? ""
  const bracket = text.indexOf("<")
  const fd = numberOf(bracket < 0 ? text : text.slice(0, bracket))
  return typeof fd === "number" ? fd : -1
}

const flagsOf = (argument: string | undefined): number => {
  const word = argument === undefined ? undefined : wordOf(argument)
  return typeof word === "number" ? word : 0
}
