/** The simulation of a log without maps: processes, what is known of them, and what the calls have taught. Floor 9. */
import { byName } from "../../../flags/Errno.ts"
import { pagesUp, TASK_PAGES, type Vpn } from "../../../mm/base/units.ts"
import { BRK, type Mm, MMAP_BASE, MMAP_BOTTOM_UP, START_BRK } from "../../../mm/store/mms.ts"
import { answer } from "../answer.ts"
import { bootForReplay } from "../boot.ts"
import type { Call, Clone, Exec, FileRef, Result } from "../event.ts"
import { type Process, type Space, World } from "../world.ts"
import { type Facts, nothingKnown } from "./facts.ts"
import { Territory } from "./territory.ts"

/** Linux allows 65530, unless it is told otherwise. */
const MANY_AREAS = 64_000

/** Processes at once. */
const MOST_PROCESSES = 1500

/** A program lies within so many pages below its heap: 1 GiB. */
const NEAR_HEAP = 2 ** 18

/** An answer as one number: a value or an address, or a negative error number; NaN for none of them. */
export type Got = number

/** What is simulated, and what is known. */
export class State {
  /** A machine that refuses nothing for want of memory: how much there was the log does not tell. */
  readonly world = new World(bootForReplay({ ramPages: 2 ** 40, maxMapCount: 2 ** 30 }))
  readonly territory = new Territory(this.world.k)
  /** The machine has promised so many pages at once; any would promise 256 MiB. */
  promised = 65536
  /** Has the log shown a program begin? Then it leaves none out. */
  showsPrograms = false
  /** Do the file systems place files for huge pages? By folder; files of folders that are not known are as the last ones. */
  private readonly placing = new Map<string, boolean>()
  private lastPlacing = true
  /** Advice that the kernel has taken. */
  readonly advice = new Set<number>()
  /** Protection keys that calls have got, of whatever process. */
  readonly keys = new Set<number>()
  /** Our shared memory segments, by the log's identifiers. */
  readonly segments = new Map<number, number>()
  /** Paths of files that were mapped and that nobody saw being opened. */
  private readonly unseen = new Set<string>()
  private readonly facts = new Map<Space, Facts>()

  factsOf(space: Space): Facts {
    return this.facts.get(space) ?? nothingKnown
  }

  learn(space: Space, facts: Facts): void {
    if (facts !== this.facts.get(space)) this.facts.set(space, facts)
  }

  /** The process `pid`; one that nobody saw begin has nothing but hidden memory. */
  processOf(pid: number): Process {
    const known = this.world.find(pid)
    if (known !== undefined) return known
    this.makeRoom()
    const process = this.world.appear(pid)
    this.begin(process.space, nothingKnown)
    return process
  }

  /** An address space of which nothing is known but `facts`. */
  begin(space: Space, facts: Facts): void {
    const { k } = this.world
    this.territory.unmap(space.mm, 0, TASK_PAGES)
    this.territory.hide(space.mm, 0, TASK_PAGES)
    k.mms.setStat(space.mm, MMAP_BASE, TASK_PAGES)
    k.mms.setStat(space.mm, MMAP_BOTTOM_UP, 0)
    k.mms.setStat(space.mm, START_BRK, 0)
    k.mms.setStat(space.mm, BRK, 0)
    this.learn(space, facts)
  }

  /** A new program, of whose map nothing is known but that it is new. */
  exec(event: Exec): void {
    this.showsPrograms = true
    const { isLimited } = this.factsOf(this.processOf(event.pid).space)
    const { space } = this.world.startProgram(event, [])
    this.begin(space, { ...nothingKnown, isWhole: true, isLimited })
    this.forgetTheDead()
  }

  /** A child knows what its parent knew. */
  clone(event: Clone): void {
    this.makeRoom()
    const parent = this.processOf(event.pid)
    const child = this.world.startChild(event)
    if (child !== undefined && !event.sharesMemory) this.learn(child.space, this.factsOf(parent.space))
  }

  /** A log may leave out how processes end: of too many the oldest but the first are taken for ended. */
  private makeRoom(): void {
    if (this.world.processes.size < MOST_PROCESSES) return
    const [, oldest] = this.world.processes.keys()
    if (oldest !== undefined) this.end(oldest)
  }

  end(pid: number): void {
    const process = this.world.find(pid)
    if (process !== undefined) this.world.end(process)
    this.forgetTheDead()
  }

  /** A call has set a limit that memory may run into. */
  limit(pid: number): void {
    const { space } = this.processOf(pid)
    this.learn(space, { ...this.factsOf(space), isLimited: true })
  }

  private forgetTheDead(): void {
    const live = new Set([...this.world.processes.values()].map(({ space }) => space))
    for (const space of this.facts.keys()) if (!live.has(space)) this.facts.delete(space)
  }

  /** Performs `call` as it stands. Undefined: it is not built, or none of memory's. */
  attempt(process: Process, call: Call): Got | undefined {
    const { fd } = call
    if (fd !== undefined && fd.flags === undefined) this.unseen.add(fd.path)
    const done = answer(this.world, process, fd === undefined ? call : { ...call, fd: this.refOf(fd) })
    return done.kind === "other" || done.kind === "unmodelled" ? undefined : gotOf(done)
  }

  /** The file as the simulation is to see it: whether it is placed for huge pages depends on its file system. */
  refOf(ref: FileRef): FileRef {
    return this.placesForHuge(ref) ? ref : { ...ref, dev: "00:01", mode: 0o100644 }
  }

  /** Is this file placed for huge pages, as far as one knows? */
  placesForHuge(ref: FileRef): boolean {
    return this.placing.get(folderOf(ref)) ?? this.lastPlacing
  }

  /** Has an answer told? */
  knowsPlacing(ref: FileRef): boolean {
    return this.placing.has(folderOf(ref))
  }

  learnPlacing(ref: FileRef, places: boolean): void {
    this.placing.set(folderOf(ref), places)
    this.lastPlacing = places
  }

  /** Does `[start, end)` map a file that nobody saw being opened, so that it may be for reading only? */
  mapsUnseen(mm: Mm, start: Vpn, end: Vpn): boolean {
    const { files, maple, vmas } = this.world.k
    for (let v = maple.find(mm, start); v !== 0 && vmas.startOf(v) < end; v = maple.next(mm, v)) {
      const file = vmas.file(v)
      if (file !== 0 && this.unseen.has(files.names[file] ?? "")) return true
    }
    return false
  }

  brk(space: Space): number {
    return this.world.k.mms.stat(space.mm, BRK)
  }

  /** With an unlimited stack searches begin below the program: then they never come near the heap.
   * @param anchor - page behind the first mapping of a new program
   */
  boundSearches(space: Space, anchor: Vpn): void {
    const heap = pagesUp(this.brk(space))
    if (this.factsOf(space).hasBreak && heap > anchor) this.world.k.mms.setStat(space.mm, MMAP_BASE, heap)
  }

  /** Searches go up: what is below `start` is hidden, and above it there is room, up to `end` or to near the heap. */
  searchUp(space: Space, start: Vpn, end: Vpn): void {
    const { mm } = space
    const heap = pagesUp(this.brk(space))
    const limit = heap > start ? Math.max(start, heap - NEAR_HEAP) : TASK_PAGES
    this.territory.hide(mm, 0, start)
    this.territory.free(mm, start, Math.min(end, limit))
    this.world.k.mms.setStat(mm, MMAP_BOTTOM_UP, 1)
    this.world.k.mms.setStat(mm, MMAP_BASE, 1)
    this.learn(space, { ...this.factsOf(space), isDirected: true, full: [] })
  }

  setBrk(space: Space, start: number, now: number): void {
    this.world.k.mms.setStat(space.mm, START_BRK, start)
    this.world.k.mms.setStat(space.mm, BRK, now)
  }

  /** Puts everything that is not in the machine back where it is now. */
  save(): () => void {
    const world = this.world.save()
    const facts = [...this.facts]
    const placing = [...this.placing]
    const { lastPlacing } = this
    const segments = [...this.segments]
    const { promised } = this
    return () => {
      world()
      this.facts.clear()
      for (const [space, its] of facts) this.facts.set(space, its)
      this.placing.clear()
      for (const [folder, its] of placing) this.placing.set(folder, its)
      this.lastPlacing = lastPlacing
      this.segments.clear()
      for (const [id, ours] of segments) this.segments.set(id, ours)
      this.promised = promised
    }
  }

  /** Is it near the limit, vm.max_map_count? Here there may be a few areas fewer than there were. */
  hasManyAreas(space: Space): boolean {
    return this.world.k.maple.size(space.mm) > MANY_AREAS
  }
}

/** Files of one folder are of one file system. */
const folderOf = ({ path }: FileRef): string => path.slice(0, path.lastIndexOf("/") + 1)

/** The recorded answer as one number. */
export function gotOf(result: Result): Got {
  if (result.kind === "value") return Number(result.value)
  if (result.kind === "unknown") return NaN
  return errnos.get(result.errno) ?? -Number(result.errno)
}

const errnos: ReadonlyMap<string, number> = new Map(Object.entries(byName))

export const isAddress = (got: Got): boolean => got >= 4096
