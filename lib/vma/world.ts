/** One simulated machine as Effect sees it: the core, who drives it, and what drivers hang on it. Floor 8, internal. */
import { type Cause, Context, Effect, type Fiber, type Scheduler, type Scope } from "effect"
import { vmBugOn } from "../mm/base/debug.ts"
import type { Kernel } from "../mm/kernel.ts"
import type { MappingSpace } from "./mapping-space.ts"

/** What a section or a hook may touch. Revoked when it ends, however it ends; what types cannot see stops here. */
export class Guard {
  /** Does the section still run? */
  live = true
  readonly world: World
  /** Run row whose locks its operations see; 0 where the section holds none. */
  readonly run: number
  /** The section or hook around it. */
  readonly outer: Guard | undefined
  constructor(world: World, run: number, outer: Guard | undefined) {
    this.world = world
    this.run = run
    this.outer = outer
  }
}

/** The innermost section or hook that the current fiber is inside of. A guard and not a row number: fibers that are left
 * behind inherit it, and rows are used again.
 */
export const Inside = Context.Reference<Guard | undefined>("pagewright/Inside", { defaultValue: () => undefined })

/** Further operands of a hook: of a mapping hook, its range's end and page offset, and for a copy the second place; of a fault
 * hook, the access.
 */
export type Span = readonly [number, number, number, number]

/** A saved object that nobody answers for yet. */
export interface WaitingObject {
  /** Its row, and that of its operations. */
  readonly row: number
  readonly ops: number
}

/** An object of a user's, when its machine is saved. */
export interface Savable extends WaitingObject {
  readonly name: string
  /** Forgets what would not survive. */
  readonly unsavable: Effect.Effect<unknown, unknown>
}

/** A driver as the rim calls it. */
export interface Driver {
  readonly name: string
  /** Bits H_* of the hooks it has. */
  readonly hooks: number
  /** Runs hook `hook` for an open file; a fault hook answers with a frame number. */
  readonly call: (
    hook: number,
    open: OpenFile,
    guard: Guard,
    vma: number,
    vpn: number,
    span: Span
  ) => Effect.Effect<unknown, unknown>
  /** Undefined if it has no ioctl. */
  readonly ioctl: (open: OpenFile, command: number, argument: bigint) => Effect.Effect<unknown, unknown> | undefined
  readonly release: (open: OpenFile) => Effect.Effect<void>
  /** Stores pages `[first, end)` of the file; undefined if there is nothing to do. */
  readonly sync?: (open: OpenFile, first: number, end: number) => Effect.Effect<unknown, unknown> | undefined
}

/** An open file of a driver: its state, and the scope of what is acquired for it. */
export interface OpenFile {
  readonly driver: Driver
  readonly state: unknown
  readonly scope: Scope.Closeable
}

/** A question to an object that is not over: its answer is not mapped yet. */
export interface Pending {
  /** Bytes `[start, end)` of an object are forgotten. */
  readonly objectForgets: (object: number, start: number, end: number) => void
  /** User addresses `[start, end)` are. */
  readonly spaceForgets: (mm: number, start: number, end: number) => void
  /** Has something that was answered been forgotten since? */
  readonly isLate: () => boolean
}

/** A driver hook about to run, for transcripts. */
export interface HookCall {
  /** Path of the device. */
  readonly device: string
  /** `open`, `mmap`, `ioctl`, `release` of the file; `vma open`, `vma close`, `may_split`, `fault` of its areas. */
  readonly hook: string
  /** Locks that the caller holds: `mmap:w` for instance, or `nothing`. */
  readonly locks: string
  /** Process that it runs for; 0 none. */
  readonly pid: number
  /** Name of that process, or "kernel". */
  readonly process: string
  /** The VMA's first address and the first behind it; undefined for a hook of the file. */
  readonly vma: { readonly start: number; readonly end: number } | undefined
}

/** Tells whoever listens of a hook, then runs it. */
export const announced = <A, E, R>(
  w: World,
  call: () => HookCall,
  hook: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> => (w.onHook === undefined ? hook : Effect.andThen(w.onHook(call()), hook))

/** A hook of a file: it is called with no lock held. */
export const fileHook = (device: string, hook: string, pid: number, process: string): HookCall => ({
  device,
  hook,
  locks: "nothing",
  pid,
  process,
  vma: undefined
})

/** One machine. */
export class World {
  readonly k: Kernel
  /** Drivers by row of operations. */
  readonly drivers: (Driver | undefined)[] = [undefined]
  /** Open files of drivers by row of files. */
  readonly files = new Map<number, OpenFile>()
  /** Memory files that have a name, by row. */
  readonly memories = new Map<number, string>()
  /** Of a restored machine: memory files and objects by name that nobody has taken over yet. */
  readonly restored = { memories: new Map<string, number>(), objects: new Map<string, WaitingObject>() }
  /** Objects of users. */
  readonly objects = new Set<Savable>()
  /** Address spaces that map objects of users, by row. */
  readonly spaces = new Map<number, MappingSpace>()
  /** Files whose pages are read by an effect, by row of objects. */
  readonly readers = new Map<number, (pgoff: number) => Effect.Effect<Uint8Array, unknown>>()
  /** By run row: who waits, how to resume it, and the failure of its hook that is no errno. */
  readonly waiting: (Fiber.Fiber<unknown, unknown> | undefined)[] = []
  /** By run row: the fiber of a system call that could not end in one turn, and who is told when it has. */
  readonly calls: (Fiber.Fiber<unknown, unknown> | undefined)[] = []
  readonly over: ((() => void) | undefined)[] = []
  readonly resume: (() => void)[] = []
  readonly stash: (Cause.Cause<unknown> | undefined)[] = []
  /** By run row: the frame that its fault hook answered with, referenced until the verb has mapped it. */
  readonly pinned: (number | undefined)[] = []
  /** By run row: the question that its hook asks, until the verb has mapped the answer. */
  readonly pending: (Pending | undefined)[] = []
  /** Invalidations of objects of users so far. */
  forgettings = 0
  /** Told of every hook before it runs. */
  onHook: ((call: HookCall) => Effect.Effect<void>) | undefined = undefined
  /** Only with an explorer: performed at every stop, before the stop itself. */
  at: ((run: number, stop: number) => Effect.Effect<void>) | undefined = undefined
  /** Only with an explorer: page reads and workers run under its scheduler. */
  scheduler: Scheduler.Scheduler | undefined = undefined

  constructor(k: Kernel) {
    this.k = k
    k.runs.flush = () => flush(this)
  }
}

/** Resumes woken rows through their fiber's dispatcher, never on the unlocker's stack: a resumed fiber runs on the spot. */
export function flush(w: World): void {
  const runs = w.k.runs
  for (let i = 0; i < runs.wokenN; i++) {
    const r = runs.woken[i]!
    const fiber = w.waiting[r]
    if (fiber === undefined) continue
    const resume = w.resume[r]!
    w.waiting[r] = undefined
    fiber.currentDispatcher.scheduleTask(resume, 0)
  }
  runs.wokenN = 0
}

/** Makes `g`'s locks the current ones for an operation of the core.
 * Throws when its section has ended.
 */
export function enter(g: Guard): Kernel {
  if (!g.live) vmBugOn("use after unlock: the section that lent this has ended")
  const k = g.world.k
  if (g.run !== 0) k.runs.current = g.run
  return k
}

/** An operation of the core as an effect, with the locks of `g`. */
export const guarded = <A, E>(g: Guard, operation: (k: Kernel) => Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    const k = enter(g)
    const out = operation(k)
    if (k.runs.wokenN !== 0) flush(g.world)
    return out
  })
