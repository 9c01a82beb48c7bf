/** What a recording of format 1 is made of, once it is read. Floor 9. */
import type { Word } from "../../mm/base/units.ts"

/** A line of the file is no record of format 1, or not one that may stand there. */
export class FormatError extends Error {
  override readonly name = "FormatError"
}

/** VmSize, VmLck, VmData, VmStk, VmExe in kB. */
export type Stats = readonly [number, number, number, number, number]

/** The eight numbers of a recorded area in kB, by their names in smaps. */
export const numberNames = [
  "Rss",
  "Pss",
  "Shared_Clean",
  "Shared_Dirty",
  "Private_Clean",
  "Private_Dirty",
  "Anonymous",
  "Locked"
] as const

/** One area as recorded. Starts, ends and offsets count pages. */
export interface Area {
  /** The line itself. */
  readonly text: string
  readonly start: number
  readonly end: number
  readonly perms: string
  readonly offset: number
  /** Which file: `-`, `f0`, `f1`, `zero`, `s0`.., `exe`. */
  readonly file: string
  /** Two-letter flags as smaps prints them. */
  readonly flags: string
  readonly name: string
  /** Does it belong to the stub that performed the calls? Then the fields below are not recorded. */
  readonly isStub: boolean
  /** One code a page (see pages.ts); undefined where not recorded. */
  readonly pages: Uint8Array | undefined
  /** The eight smaps numbers; empty where not recorded. */
  readonly numbers: readonly number[]
}

/** Limits that a header may set, by their names after `RLIMIT_`. */
export const limitNames = ["DATA", "STACK", "MEMLOCK", "AS"] as const

export type LimitName = (typeof limitNames)[number]

/** The machine and the rights that a sequence was recorded with, where they are not those of the first recordings. */
export interface Host {
  /** As `uname -r` has it. */
  readonly kernel: string
  readonly ramPages: number
  readonly maxMapCount: number
  /** sysctl vm.mmap_min_addr, and the larger of it and the security module's own, in bytes. */
  readonly mmapMinAddr: number
  readonly lsmMinAddr: number
  readonly overcommit: 0 | 1
  readonly memfdNoexec: 0 | 1 | 2
  /** What a process of root may do, by the names after `CAP_`. */
  readonly capabilities: readonly string[]
  /** Do the files belong to the user of the process, if that is not root? */
  readonly isOwner: boolean
}

/** Begins a sequence. */
export interface Header {
  readonly kind: "header"
  readonly seq: string
  readonly theme: string
  readonly root: boolean
  /** Limits in bytes, by the name after `RLIMIT_`. */
  readonly rlimits: ReadonlyMap<LimitName, number>
  /** Where the heap begins, in bytes. */
  readonly brk: number
  readonly stats: Stats
  readonly areas: readonly Area[]
  /** Where the stack began, in bytes; undefined where that was not recorded. */
  readonly stack?: number
  readonly host?: Host
}

/** What a call answered, or how an access ended. */
export type Result =
  /** `also`: what came back besides the value: bytes read, pages in core, the field of an ioctl. */
  | { readonly kind: "value"; readonly value: Word; readonly also?: string }
  | { readonly kind: "errno"; readonly errno: string; readonly also?: string }
  | { readonly kind: "signal"; readonly signal: string; readonly code: string; readonly addr: Word }
  /** The recorder ran nothing: there was no such process. */
  | { readonly kind: "nothing" }

/** Areas that went and came in one process. */
export interface Delta {
  /** Page numbers where an area started. */
  readonly gone: readonly number[]
  readonly here: readonly Area[]
}

/** What is recorded by process; empty lists are shared. */
export type ByProcess<A> = ReadonlyArray<readonly [process: number, its: A]>

/** One operation, what came of it, and what it changed. */
export interface Op {
  readonly kind: "op"
  readonly i: number
  readonly process: number
  readonly name: string
  readonly args: readonly Word[]
  /** What is wrong with its arguments or its result, which only a call that we do not have may have so. */
  readonly oddity?: string
  /** Bytes to be written, in hex. */
  readonly data: string
  readonly result: Result
  /** Does the recording show that it changed anything? */
  readonly hasEffect: boolean
  readonly deltas: ByProcess<Delta>
  /** All areas of a process that was forked. */
  readonly forked: ByProcess<readonly Area[]>
  readonly stats: ByProcess<Stats>
}

/** Ends a sequence: contents of the first pages of every area, by process and start page. */
export interface End {
  readonly kind: "end"
  readonly sweep: ReadonlyMap<number, ReadonlyMap<number, string>>
}

/** Ends a sequence whose process was lost: it is dropped. */
export interface Dead {
  readonly kind: "dead"
}

/** A record that format 1 does not have. */
interface Stray {
  readonly kind: "stray"
  /** Its first field. */
  readonly name: string
}

/** A line of the file. */
export type Recorded = Header | Op | End | Dead | Stray
