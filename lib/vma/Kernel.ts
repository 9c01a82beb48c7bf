/** Simulated machines: a service, a Layer that boots one, and what can be asked of it. Floor 8. */
import { Console, Effect, Layer, type Scope } from "effect"
import { findings as findingsOf } from "../mm/area/check.ts"
import { byName } from "../flags/Errno.ts"
import { defaults, type KernelConfig } from "../mm/base/config.ts"
import { createFile as create, unlinkPath, writeObject } from "../mm/object/file.ts"
import { FILE_REGULAR } from "../mm/store/files.ts"
import { F_DRIVER } from "../mm/store/frames.ts"
import { TASK_LIVE } from "../mm/store/tasks.ts"
import { boot } from "../mm/sys/boot.ts"
import type { Fail } from "./Fail.ts"
import type { Markers, Takes } from "./Lockdep.ts"
import { Kernel, onWorld } from "./machine.ts"
import { discharged, machineOf } from "./raw.ts"
import { fdinfoText, lockedText, plainText } from "./proc.ts"
import { type RestoreError, restoreWorld, type SaveError, saveWorld } from "./checkpoint.ts"
import type { Machine } from "./mm-handle.ts"
import { settler } from "./settle.ts"
import { type HookCall, World } from "./world.ts"

export { Kernel } from "./machine.ts"
export type { Machine } from "./mm-handle.ts"
export type { RestoreError, SaveError } from "./checkpoint.ts"
export type { HookCall } from "./world.ts"

/** What a machine is made of; every field has a default. */
export interface Options {
  /** Frames of 4 KiB of RAM: 16384 (64 MiB) if absent, at least 16. */
  readonly frames?: number
  /** Are its bytes in a SharedArrayBuffer? Then the views that memory files give out can be handed to worker threads. */
  readonly sharedMemory?: boolean
  /** Kernel settings, under their names in /proc/sys/vm and, those of shared memory, in /proc/sys/kernel. */
  readonly sysctl?: {
    /** Areas that one address space may have: 65530. */
    readonly maxMapCount?: number
    /** Lowest address that may be mapped, in bytes: 4096. */
    readonly mmapMinAddr?: number
    /** 0 heuristic, 1 always, 2 never: 0. */
    readonly overcommitMemory?: 0 | 1 | 2
    /** Percent of RAM that may be promised in mode 2: 50. */
    readonly overcommitRatio?: number
    /** KiB that may be promised in mode 2, where it is not 0: 0. */
    readonly overcommitKbytes?: number
    /** KiB that mode 2 keeps for root: a 32nd of RAM, at most 8 MiB. */
    readonly adminReserveKbytes?: number
    /** KiB that mode 2 leaves to others than the largest process: a 32nd of RAM, at most 128 MiB. */
    readonly userReserveKbytes?: number
    /** 1: files of memfd_create are not executable unless EXEC says so; 2: nor then. 0. */
    readonly memfdNoexec?: 0 | 1 | 2
    /** 1: everybody may have faults of the kernel's own answered by a userfaultfd. 0. */
    readonly unprivilegedUserfaultfd?: 0 | 1
    /** Bytes that one System V segment may have: 2^64 - 2^24. */
    readonly shmmax?: number
    /** Pages that all segments together may have: 2^64 - 2^24. */
    readonly shmall?: number
    /** Segments that there may be: 4096. */
    readonly shmmni?: number
  }
  /** Boot parameter vsyscall: does /proc/PID/maps end with the area of the old system-call page? "none" if absent. */
  readonly vsyscall?: "none" | "xonly"
  /** The reference of `Mappable` is a sandbox's kernel, whose contract has changed since 2020. Where the two revisions differ,
   * today's holds, unless this says `"2020"`: `Mappable.map` then fails with ENOMEM, not EOVERFLOW, where offset and length
   * together leave 64 bits. Else they differ only in names and in what has been added, which a program of 2020 does not use.
   */
  readonly memmap?: "2020" | "today"
  /** Table sizes of the simulator itself, for machines that must boot in microseconds. */
  readonly tables?: Partial<Pick<KernelConfig, "maxTables" | "maxVmas" | "maxMms" | "maxFiles" | "maxAnon" | "maxRuns">>
  /** Told of every driver hook that runs, before it runs. */
  readonly onHook?: (call: HookCall) => Effect.Effect<void>
}

/** Boots a machine. Throws RangeError for options that make none. */
const bootWorld = (options: Options): World => {
  const { frames, memmap, sysctl, tables, vsyscall, sharedMemory } = options
  const w = new World(
    boot({
      ...tables,
      frames: frames ?? defaults.frames,
      sharedMemory: sharedMemory ?? false,
      vsyscall: vsyscall ?? defaults.vsyscall,
      memmap: memmap ?? defaults.memmap,
      maxMapCount: sysctl?.maxMapCount ?? defaults.maxMapCount,
      mmapMinAddr: sysctl?.mmapMinAddr ?? defaults.mmapMinAddr,
      overcommit: sysctl?.overcommitMemory ?? defaults.overcommit,
      overcommitRatio: sysctl?.overcommitRatio ?? defaults.overcommitRatio,
      overcommitKbytes: sysctl?.overcommitKbytes ?? defaults.overcommitKbytes,
      adminReserveKbytes: sysctl?.adminReserveKbytes ?? defaults.adminReserveKbytes,
      userReserveKbytes: sysctl?.userReserveKbytes ?? defaults.userReserveKbytes,
      memfdNoexec: sysctl?.memfdNoexec ?? defaults.memfdNoexec,
      unprivilegedUserfaultfd: sysctl?.unprivilegedUserfaultfd ?? defaults.unprivilegedUserfaultfd,
      shmmax: sysctl?.shmmax ?? defaults.shmmax,
      shmall: sysctl?.shmall ?? defaults.shmall,
      shmmni: sysctl?.shmmni ?? defaults.shmmni
    })
  )
  w.onHook = options.onHook
  return w
}

/** A layer that boots a machine: each build is another one. Dies with a RangeError for options that make none.
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kernel, Lockdep } from "pagewright"
 * const found = Lockdep.runTask(Kernel.leaks.pipe(Effect.provide(Kernel.layer({ frames: 64 }))))
 * ```
 */
export const layer = (options: Options = {}): Layer.Layer<Kernel> =>
  Layer.effect(Kernel)(Effect.sync(() => machineOf(bootWorld(options))))

/** The machine's memory and processes as bytes, for `restore`. Objects of one's own are asked first to forget what would not
 * survive. What programs run is not in the bytes: a program whose whole state is in its memory goes on where it was. Sections are
 * not either: a userfaultfd is a descriptor of its process, open until that closes it or ends, and answers to `Task.ioctl`.
 * @returns SaveError while system calls are in flight, and for what has state outside of the machine: open devices, files that
 *   are read from outside, memory files without a name
 */
export const save: Effect.Effect<Uint8Array, SaveError, Kernel> = onWorld(saveWorld)

/** A layer that restores a saved machine; its processes wait for `Task.resume`, its objects for a `Mappable.make` of their
 * name, its memory files for a `MemoryFile.make`.
 * @returns RestoreError for bytes that are damaged, cut short, of another version, or something else; then there is no machine
 * @example
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { Kernel } from "pagewright"
 * const twin = Layer.unwrap(Effect.map(Kernel.save, Kernel.restore))
 * ```
 */
export const restore = (bytes: Uint8Array): Layer.Layer<Kernel, RestoreError> =>
  Layer.effect(Kernel)(
    Effect.suspend((): Effect.Effect<Machine, RestoreError> => {
      const w = restoreWorld(bytes)
      return w instanceof World ? Effect.succeed(machineOf(w)) : Effect.fail(w)
    })
  )

/** A process, as the machine knows it. */
export interface ProcessInfo {
  readonly pid: number
  readonly name: string
}

/** The processes that live. */
export const processes: Effect.Effect<readonly ProcessInfo[], never, Kernel> = onWorld(({ k }) =>
  Effect.sync(() => {
    const out: ProcessInfo[] = []
    for (let pid = 1; pid < k.tasks.limit(); pid++)
      if (k.tasks.state(pid) === TASK_LIVE) out.push({ pid, name: k.tasks.names[pid]! })
    return out
  })
)

/** A check of a scenario that did not hold. */
export interface CheckFailed {
  /** `pagewright run` ends with exit code 1 for it. */
  readonly _tag: "CheckFailed"
  /** What did not hold. */
  readonly message: string
}

/** A program that needs nothing more: what `pagewright run` runs when it is a module's default export. */
export interface Scenario {
  /** Tells it from other exports. */
  readonly _tag: "Scenario"
  /** For messages. */
  readonly name: string
  /** Boots, tells its story through Effect's Console, checks. */
  readonly run: Effect.Effect<void, CheckFailed>
}

/** A scenario: boots a machine, runs `body` on it, closes its Scope, and checks that nothing is left.
 * @example
 * ```ts
 * import { Console } from "effect"
 * import { Kernel } from "pagewright"
 * export default Kernel.scenario({ name: "hello", frames: 64 }, Console.log("booted"))
 * ```
 */
export const scenario = <A>(
  options: Options & { readonly name: string },
  body: Effect.Effect<A, CheckFailed, Kernel | Scope.Scope | Markers>
): Scenario => ({
  _tag: "Scenario",
  name: options.name,
  run: Effect.gen(function* () {
    yield* Effect.scoped(body)
    const left = yield* leaks
    if (left.length > 0) return yield* Effect.fail(checkFailed(`leak check:\n  ${left.join("\n  ")}`))
    yield* Console.log("\nleak check: no page, VMA, lock or mm reference left")
  }).pipe(Effect.provide(layer(options)), discharged)
})

/** A failed check, for scenarios of one's own. */
export const checkFailed = (message: string): CheckFailed => Object.freeze({ _tag: "CheckFailed", message })

/** Everything that is wrong with the machine's tables, in sentences; empty when nothing is. Holds at any moment. */
export const findings: Effect.Effect<readonly string[], never, Kernel> = onWorld((w) =>
  Effect.sync(() => findingsOf(w.k))
)

/** Everything that is left on a machine where nothing should be going on, in sentences: driver pages, VMAs, address
 * spaces, processes, open files, System V segments, locks, verbs in flight, and whatever is wrong with the tables.
 */
export const leaks: Effect.Effect<readonly string[], never, Kernel> = onWorld((w) =>
  Effect.sync(() => {
    const { k } = w
    const left = findingsOf(k)
    k.runs.check(left)
    const count = (n: number, one: string): void => {
      if (n !== 0) left.push(`${n} ${one}${n === 1 ? " is" : "s are"} left`)
    }
    let pages = 0
    k.frames.forEachUsed((pfn) => {
      if (k.frames.has(pfn, F_DRIVER)) pages++
    })
    count(pages, "page")
    count(k.vmas.live, "VMA")
    count(k.mms.live, "mm reference")
    count(k.tasks.live, "process row")
    count(k.files.liveFiles, "open file")
    count(k.uffds.live, "userfaultfd")
    count(k.shm.live, "shared memory segment")
    return left
  })
)

/** Frames in use, the page of zeroes excepted. */
export const framesUsed: Effect.Effect<number, never, Kernel> = onWorld((w) =>
  Effect.sync(() => {
    let n = 0
    w.k.frames.forEachUsed(() => n++)
    return n
  })
)

/** Warnings the machine gave so far; each is given once. */
export const warnings: Effect.Effect<readonly string[], never, Kernel> = onWorld((w) =>
  Effect.sync(() => [...w.k.warn.lines])
)

const created = settler("EEXIST", "ENFILE", "ENOSPC")

/** Makes a file in memory.
 * @param content - its bytes, or how many bytes of zeroes
 * @returns EEXIST if the path is taken | ENFILE | ENOSPC no room for its bytes
 */
export const createFile = (
  path: string,
  content: Uint8Array | number
): Effect.Effect<void, Fail<"EEXIST" | "ENFILE" | "ENOSPC">, Kernel> =>
  onWorld(({ k }) =>
    Effect.suspend(() => {
      const r = create(k, path, FILE_REGULAR, typeof content === "number" ? content : content.length)
      if (r < 0 || typeof content === "number") return created(r, undefined)
      const written = writeObject(k, k.paths.get(path)!.obj, 0, content)
      if (written === content.length) return Effect.void
      unlinkPath(k, path)
      return created(byName.ENOSPC, undefined)
    })
  )

/** /proc/PID/maps of process `pid`; empty if there is none.
 * @locks takes each VMA's own lock in turn; mmap_lock, read, for one that is being written
 */
export const maps = (pid: number): Effect.Effect<string, never, Kernel | Takes<"mmap_lock">> => lockedText(pid, "maps")

/** /proc/PID/smaps of process `pid`; empty if there is none.
 * @locks takes mmap_lock, read
 */
export const smaps = (pid: number): Effect.Effect<string, never, Kernel | Takes<"mmap_lock">> =>
  lockedText(pid, "smaps")

/** /proc/PID/smaps_rollup of process `pid`; empty if there is none.
 * @locks takes mmap_lock, read; lets writers in between two VMAs
 */
export const smapsRollup = (pid: number): Effect.Effect<string, never, Kernel | Takes<"mmap_lock">> =>
  lockedText(pid, "smapsRollup")

/** The memory lines of /proc/PID/status of process `pid`; empty if there is none. */
export const status = (pid: number): Effect.Effect<string, never, Kernel> => plainText(pid, "status")

/** /proc/PID/statm of process `pid`; empty if there is none. */
export const statm = (pid: number): Effect.Effect<string, never, Kernel> => plainText(pid, "statm")

/** /proc/PID/fdinfo/FD of descriptor `fd` of process `pid`; empty if there is none. */
export const fdinfo = (pid: number, fd: number): Effect.Effect<string, never, Kernel> => fdinfoText(pid, fd)
