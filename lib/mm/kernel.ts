/** What `k` is: one simulated machine. Its stores, its knobs, its drivers; no module of the core has state of its own.
 * Top of floor 2: it knows every store, and no store knows it.
 */
import type { Access } from "../flags/FaultFlags.ts"
import { configOf, type KernelConfig } from "./base/config.ts"
import { FailNth, WarnOnce } from "./base/debug.ts"
import { Trace } from "./base/trace.ts"
import { Anon } from "./store/anon.ts"
import { Files } from "./store/files.ts"
import { Frames } from "./store/frames.ts"
import { Maple } from "./store/maple.ts"
import { Mappings } from "./store/mappings.ts"
import { Mms } from "./store/mms.ts"
import { Ptes } from "./store/ptes.ts"
import { Runs } from "./store/runs.ts"
import { Shm } from "./store/shm.ts"
import { Tasks } from "./store/tasks.ts"
import { Tlb } from "./store/tlb.ts"
import { Uffds } from "./store/uffds.ts"
import { Vmas } from "./store/vmas.ts"
import { Xarray } from "./store/xarray.ts"

/** An invariant of the world: appends a sentence for each thing that breaks it. */
export type Check = (k: Kernel, wrong: string[]) => void

/** A mapping that is about to be made, as its owner may change it (vm_area_desc). Places and lengths in pages. */
export interface Asked {
  readonly mm: number
  readonly start: number
  readonly pages: number
  readonly pgoff: number
  readonly file: number
  /** Low half of the VM_* word. */
  lo: number
}

/** A row of `k.ops`: what answers for an area or a device's file (vm_operations, file_operations). */
export interface Ops {
  /** For messages and for identity (`vma->vm_ops == &ops`). */
  readonly name: string
  /** Hooks that a driver has: bit H_* of base/stop.ts. Performed by whoever drives the verb. */
  readonly hooks: number
  /** Vetoes a split in the core itself (special mappings): errno or OK. */
  readonly maySplit?: (k: Kernel, vma: number, vpn: number) => number
  /** The core's own owners hear in place of what drivers hear by hooks. A range is to be mapped (mmap_prepare): OK, or an
   * errno that refuses it.
   */
  readonly prepare?: (k: Kernel, asked: Asked) => number
  /** An area for it is about to be inserted (mmap): OK, or an errno that refuses it. Not asked where the range became part
   * of a neighbour.
   */
  readonly mapped?: (k: Kernel, vma: number) => number
  /** There is one more area of the owner's: by a split, a move or a fork. */
  readonly opened?: (k: Kernel, vma: number) => void
  /** An area is gone, its pages before it. Who has this is never merged away. */
  readonly closed?: (k: Kernel, vma: number) => void
  /** Finds the frame for page `pgoff` of the area's object: a frame number, or a negative code of area/object.ts. Asked for
   * writing only where the page itself is to be written: not on behalf of private mappings, which copy it.
   */
  readonly translate?: (k: Kernel, vma: number, pgoff: number, access: Access) => number
  /** May neighbouring cached pages be mapped along (map_pages)? */
  readonly mapsAround?: boolean
  /** Does it allow the page of zeroes in writable mappings (pfn_mkwrite)? */
  readonly pfnMkwrite?: boolean
}

/** Where an object's pages are read from. `read` fills `into` (one page) or fails with an errno; by value or later. */
export interface Backing {
  readonly read: (pgoff: number, into: Uint8Array) => number
}

/** A secondary MMU's watcher (mmu_notifier): told before entries of `[start, end)` go, and after. Page numbers. */
export interface Notifier {
  readonly start: (start: number, end: number) => void
  readonly end: (start: number, end: number) => void
  /** The address space goes: called once, before its first entry does. */
  readonly release?: () => void
}

/** What a path names. */
export interface PathEntry {
  /** FILE_* of store/files.ts. */
  readonly kind: number
  /** Object behind it; the entry holds a reference. */
  readonly obj: number
  /** Row of `k.ops` of a device; 0 for files. */
  readonly ops: number
  /** FILE_NOEXEC, FILE_APPEND. */
  readonly flags: number
}

/** One simulated machine. */
export class Kernel {
  readonly config: KernelConfig
  readonly fail = new FailNth()
  readonly warn = new WarnOnce()
  readonly trace = new Trace()
  readonly frames: Frames
  readonly ptes: Ptes
  readonly vmas: Vmas
  readonly maple: Maple
  readonly anon: Anon
  readonly files: Files
  readonly mappings: Mappings
  readonly xarray: Xarray
  readonly mms: Mms
  readonly tasks: Tasks
  readonly runs: Runs
  readonly tlb: Tlb
  readonly shm: Shm
  readonly uffds: Uffds
  /** Rows of operations; row 0 is none. Drivers append. */
  readonly ops: (Ops | undefined)[] = [undefined]
  readonly backings: (Backing | undefined)[] = [undefined]
  /** The file system: a flat table of absolute paths. */
  readonly paths = new Map<string, PathEntry>()
  /** Holders of each page of memory files, by object. */
  readonly holders = new Map<number, Map<number, number>>()
  /** Frames of the vdso, once touched. */
  readonly vdso: number[] = []
  /** Invariants that each floor appended. */
  readonly checks: Check[] = []
  /** Devices' files and userfaultfds whose last reference went while locks were held: their release runs when the verb is
   *  over (task_work). */
  readonly released: number[] = []
  /** mms whose last user went in atomic context: torn down by whoever drains it (mmput_async). */
  readonly deferredMmput: number[] = []
  /** Pages that are promised to somebody (vm_committed_as). */
  committed = 0
  /** The mm whose translations the processor uses; 0 none. */
  activeMm = 0
  /** Watchers of secondary MMUs, by mm. */
  readonly notifiers = new Map<number, Notifier[]>()
  /** Memory policies that areas have or had (mbind); row 0 is the default. Equal ones are one. */
  readonly policies: bigint[] = [0n]
  /** Operands of a plain fault piece's need: object and page offset. Read at once. */
  readonly need = new Float64Array(2)
  /** Range of a mapping hook: its end, page offset of its start; for a copy, start and end of the second place. */
  readonly range = new Float64Array(4)
  /** Address results of verbs whose return value is an errno. */
  readonly out = new Float64Array(2)

  constructor(config: Partial<KernelConfig>) {
    const c = configOf(config)
    this.config = c
    this.frames = new Frames(c.frames, this.fail, c.sharedMemory)
    this.ptes = new Ptes(c.maxTables, this.fail)
    this.vmas = new Vmas(c.maxVmas, this.fail)
    this.maple = new Maple(this.vmas, c.maxMms, this.fail)
    this.anon = new Anon(c.maxAnon, this.vmas, this.fail)
    this.files = new Files(c.maxFiles, this.fail)
    this.mappings = new Mappings(this.vmas, c.maxFiles)
    this.xarray = new Xarray((c.frames >> 3) + c.maxFiles + 64, c.maxFiles, this.fail)
    this.mms = new Mms(c.maxMms, this.fail)
    this.tasks = new Tasks(c.maxMms, this.fail)
    this.runs = new Runs(c.maxRuns, c.maxVmas, c.maxMms, c.maxUffds)
    this.uffds = new Uffds(c.maxUffds, c.maxRuns, this.fail)
    this.tlb = new Tlb(this.frames)
    this.shm = new Shm(this.fail)
  }
}
