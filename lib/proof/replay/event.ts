/** What a log of a program's calls is made of, once it is read: both formats become this. Floor 9.
 *
 * A log is read by a `LogReader`, which cuts nothing but lines into events: it keeps no address space. Events come in the
 * order in which calls ended. The machine that performs them is behind `Player` (player.ts); whoever stands between the
 * two may change the order of calls that overlapped.
 */
import type { Word } from "../../mm/base/units.ts"

/** One line of /proc/PID/maps. Starts and ends count pages, and so does the offset. */
export interface MapLine {
  /** The line itself, its columns one space apart, without spaces at its end. */
  readonly text: string
  readonly start: number
  /** Exclusive. */
  readonly end: number
  /** `rwxp`, with `s` for shared and `-` for what there is not. */
  readonly perms: string
  readonly offset: number
  /** `fe:00`, as printed. */
  readonly dev: string
  readonly ino: number
  /** Path, `[heap]`, `[stack]`..., or empty. */
  readonly name: string
}

/** What went from and what came to an address space. Empty lists: looked at, nothing changed. */
export interface Delta {
  readonly gone: readonly MapLine[]
  readonly here: readonly MapLine[]
}

/** What is known of an open file. Only the path is always there. */
export interface FileRef {
  /** Absolute, or `/memfd:name (deleted)`, `pipe:[123]`, `socket:[123]`, `anon_inode:[eventfd]`. */
  readonly path: string
  readonly dev?: string
  readonly ino?: number
  readonly size?: number
  /** st_mode. */
  readonly mode?: number
  /** Flags it was opened with (O_RDONLY is 0, O_WRONLY 1, O_RDWR 2). */
  readonly flags?: number
  /** Which open file it is: descriptors that were copied from one another share it. Absent: the log does not tell. */
  readonly open?: number
}

/** What a call answered. */
export type Result =
  | { readonly kind: "value"; readonly value: Word }
  /** By name: `ENOMEM`. */
  | { readonly kind: "errno"; readonly errno: string }
  /** The log does not say, as where a call never returned. */
  | { readonly kind: "unknown" }

/** Where an event stands. */
interface Base {
  /** Line of the file, from 1: the line on which it ended. */
  readonly line: number
  /** Process: thread group. */
  readonly pid: number
}

/** A new program: everything that was mapped is gone. */
export interface Exec extends Base {
  readonly kind: "exec"
  readonly path: string
  /** The whole map before the first instruction, lowest first. Absent: the log does not say. */
  readonly maps?: readonly MapLine[]
  readonly startStack?: number
  readonly startBrk?: number
}

/** A system call that returned, or that never will. */
export interface Call extends Base {
  readonly kind: "call"
  readonly tid: number
  /** Which call of the log it is, from 0; all calls are counted, in the order in which they ended. */
  readonly n: number
  /** Linux's name: `mmap`, `pkey_mprotect`; also names that nobody knows. */
  readonly name: string
  /** Registers, in Linux's order. Undefined: the log does not show this one (a pointer whose target it shows instead). */
  readonly args: readonly (Word | undefined)[]
  readonly result: Result
  /** Two calls overlap if each began before the other ended. `began < ended`; calls that follow one another have rising
   * numbers. Any numbers will do, line numbers for instance.
   */
  readonly began: number
  readonly ended: number
  /** When this call ended, some thread of the process was still in a call of memory, and had been since then (`began` of the
   * oldest one). Absent: nobody was.
   */
  readonly oldest?: number
  /** The file behind the descriptor that the call takes, if it takes one and the log tells. */
  readonly fd?: FileRef
  /** Absent: the log does not show maps here. An answer without changes may be absent as well (see `LogReader.showsMaps`). */
  readonly maps?: Delta
  /** First string among the arguments, unquoted: the name of a memfd. */
  readonly text?: string
  /** mincore's answer, `0` or `1` a page; perhaps only the first pages. */
  readonly vec?: string
  /** Fields of the struct that an ioctl on a userfaultfd was given, as they were when it returned. */
  readonly uffd?: readonly Word[]
  /** Address and length of each range that process_madvise was given; perhaps only the first. Of io_setup: where the ring is
   * that it has made, and 0.
   */
  readonly iov?: readonly (readonly [Word, Word])[]
  /** New limits that setrlimit or prlimit64 was given: soft, hard. All ones: no limit. */
  readonly rlim?: readonly [Word, Word]
}

/** A process or a thread began. Comes before the first event of the child. */
export interface Clone extends Base {
  readonly kind: "clone"
  readonly tid: number
  readonly childTid: number
  /** The same as `pid`: a thread. */
  readonly childPid: number
  /** Does the child live in the same address space (CLONE_VM)? Else in a copy. */
  readonly sharesMemory: boolean
  readonly flags: Word
  /** As those of a call: the child began somewhere in between. Absent: at once. */
  readonly began?: number
  readonly ended?: number
  /** What the child's first map has other than the parent's. */
  readonly maps?: Delta
}

/** The map changed between two calls: a stack grew, a file was renamed or deleted. */
export interface Drift extends Base {
  readonly kind: "drift"
  readonly tid: number
  readonly maps: Delta
}

/** A signal that says something about memory was delivered: SIGSEGV, SIGBUS. Others are not events. */
export interface Signal extends Base {
  readonly kind: "signal"
  readonly tid: number
  /** `SIGSEGV`, `SIGBUS`. */
  readonly signal: string
  /** `SEGV_MAPERR`, `SEGV_ACCERR`, `BUS_ADRERR`, `SI_KERNEL`, `SI_USER`...; a number in decimal if it has no name. */
  readonly code: string
  readonly addr: Word
  readonly maps?: Delta
}

/** A thread is about to end; its address space is still there. */
export interface Exit extends Base {
  readonly kind: "exit"
  readonly tid: number
  /** The whole map, given by the last user of the address space. */
  readonly maps?: readonly MapLine[]
}

/** A process is gone. */
export interface End extends Base {
  readonly kind: "end"
  /** Exit status; -1 if a signal ended it. */
  readonly status: number
  /** Number of the signal that ended it; 0 none. */
  readonly signal: number
}

export type Event = Exec | Call | Clone | Drift | Signal | Exit | End

/** Where a reader's findings go. */
export interface Sink {
  readonly event: (event: Event) => void
  /** Line `line` is none of the format: it is reported and skipped. `why` in a few words. */
  readonly malformed: (line: number, why: string) => void
  /** What the reader took somebody for at line `line`, because the log does not tell; in words that can be counted. */
  readonly assumed?: (line: number, what: string) => void
}

/** Reads one log, line by line. */
export interface LogReader {
  /** `format 2` or `strace`. */
  readonly format: string
  /** Does the log show maps? Then a call without a delta changed none. */
  readonly showsMaps: boolean
  /** Line `line` (from 1), without its newline. */
  readonly push: (text: string, line: number) => void
  /** There is no more: what is still open goes to the sink. */
  readonly finish: () => void
}
