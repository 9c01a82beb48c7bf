/** Performs a log on the simulation, event by event, and compares. Floor 9. */
import { adopt } from "./adopt.ts"
import { around } from "./around.ts"
import { type Answer, sameResult } from "./answer.ts"
import { Comparer } from "./compare.ts"
import { growths, renames, signalContradicts } from "./drift.ts"
import type { Call, Clone, Delta, Drift, End, Event, Exec, Exit, Result, Signal } from "./event.ts"
import { type Guess, guesses, habit, movesOf, remember } from "./hidden.ts"
import { Journal } from "./journal.ts"
import { VSYSCALL } from "./map-line.ts"
import type { Difference, Mark, Player, Verdict } from "./player.ts"
import { answerWithNumbers, setsKey } from "./numbers.ts"
import { joined, type Pages, rangesOf, rangesOfDelta, span } from "./ranges.ts"
import { deltaBetween } from "./recollection.ts"
import { textOfResult } from "./words.ts"
import { type Process, type Space, World } from "./world.ts"

const agreed: Verdict = { kind: "agreed" }
const other: Verdict = { kind: "other" }
/** A process that nobody saw begin: there is no first map. */
const unseen: Verdict = { kind: "unanchored", why: "the maps of processes that began before the log" }

/** Guesses that are tried for one call; for one call once there were very many; and how many are very many. */
const MOST_TRIES = 1200
const FEW_TRIES = 16
const MOST_TRIES_EVER = 20_000

/** What happened that the log does not say, as far as it had to be assumed; counts by kind. */
export type Assumed = Map<string, number>

/** The simulation, as a log drives it. */
export class Machine implements Player {
  readonly world = new World()
  readonly comparer = new Comparer(this.world.k)
  readonly assumed: Assumed = new Map()
  private readonly journal = new Journal(this.world.k, () => this.save())
  private told = 0
  private tries = 0

  /** @param shown - differences that are told with the areas around them */
  constructor(private readonly shown = 0) {}

  perform(event: Event): Verdict {
    switch (event.kind) {
      case "call":
        return this.call(event)
      case "exec":
        return this.exec(event)
      case "clone":
        return this.clone(event)
      case "drift":
        return this.drift(event)
      case "signal":
        return this.signal(event)
      case "exit":
        return this.exit(event)
      case "end":
        return this.end(event)
    }
  }

  mark(): Mark {
    return this.journal.mark()
  }

  back(mark: Mark): void {
    this.journal.back(mark)
  }

  settle(): void {
    this.journal.settle()
  }

  private save(): () => void {
    const world = this.world.save()
    const comparer = this.comparer.save()
    const assumed = [...this.assumed]
    return () => {
      world()
      comparer()
      this.assumed.clear()
      for (const [what, count] of assumed) this.assumed.set(what, count)
    }
  }

  private processOf(pid: number): Process {
    return this.world.find(pid) ?? this.world.appear(pid)
  }

  private call(call: Call): Verdict {
    const process = this.processOf(call.pid)
    const { recorded } = process.space
    if (recorded === undefined) return unseen
    const wrong = call.maps === undefined ? undefined : recorded.apply(call.maps)
    if (wrong !== undefined)
      return this.give(process, { what: "log", linux: wrong, ours: "the log contradicts itself" })
    if (call.maps !== undefined) this.rename(process.space, call.maps)
    if (ofPolicies.has(call.name)) return this.policy(process, call)
    const mark = this.mark()
    const moves = movesOf(this.world, process.space, call)
    const first = this.attempt(process, call, habit(this.world, process.space, call))
    if (first.kind !== "differs") {
      if (first.kind === "unmodelled") this.takeOver(process)
      remember(process.space, moves)
      return first
    }
    const places = this.placesOf(call)
    const inBoundsOnly = this.inBoundsOnly(process.space, places)
    this.back(mark)
    let left = this.tries < MOST_TRIES_EVER ? MOST_TRIES : FEW_TRIES
    for (const guess of guesses(this.world, process, call, first.difference, places, inBoundsOnly)) {
      if (left-- === 0) break
      this.tries++
      if (this.attempt(process, call, guess).kind !== "differs") {
        this.assume(guess.what)
        remember(process.space, moves)
        return agreed
      }
      this.back(mark)
    }
    this.attempt(process, call, undefined)
    if (!inBoundsOnly || !setsKey(call)) return this.give(process, first.difference, places)
    this.takeOver(process)
    this.assume("bounds between areas of different protection keys")
    return agreed
  }

  /** A memory policy parts areas and joins them, and no more. */
  private policy(process: Process, call: Call): Verdict {
    const { space } = process
    const places = this.placesOf(call)
    const found = this.compareAt(space, places)
    if (found !== undefined) {
      if (!this.inBoundsOnly(space, places)) return this.give(process, found, places)
      this.takeOver(process)
    }
    return { kind: "unanchored", why: "memory policies, as the log does not show sets of nodes" }
  }

  /** Performs the call, and compares answer and map. */
  private attempt(process: Process, call: Call, guess: Guess | undefined): Verdict {
    const made = guess?.call ?? call
    guess?.apply()
    this.journal.add(() => {
      guess?.apply()
      answerWithNumbers(this.world, this.processOf(made.pid), made)
    })
    const ours = answerWithNumbers(this.world, process, made)
    if (ours.kind === "other") return other
    if (ours.kind === "unmodelled") return ours
    const isShort = this.isShortOfMemory(call, ours)
    if (isShort) this.assume("pages brought in, more than the simulation has")
    const found = isShort ? undefined : compareAnswers(call.result, ours)
    return verdictOf(found ?? this.compareAfter(process.space, call))
  }

  /** Compares the map after a call, if the log shows it then; else when it does. */
  private compareAfter(space: Space, call: Call): Difference | undefined {
    if (call.name === "ioctl") {
      const [start = 0, len = 0] = call.uffd ?? []
      space.ahead = [...space.ahead, span(start, len)]
    }
    if (space.ahead.length > 0 && !showsMap.has(call.name)) return undefined
    return this.compareAt(space, this.placesOf(call))
  }

  /** Did only we run out of memory, when pages were to be brought in? The areas are as they should be by then. */
  private isShortOfMemory({ name, result }: Call, ours: Answer): boolean {
    return (
      ours.kind === "errno" &&
      (ours.errno === "ENOMEM" || ours.errno === "EAGAIN") &&
      result.kind === "value" &&
      bringsIn.has(name) &&
      this.world.k.frames.free() < FEW_FRAMES
    )
  }

  private placesOf(call: Call): readonly Pages[] {
    return joined([...rangesOf(call), ...(call.maps === undefined ? [] : rangesOfDelta(call.maps))])
  }

  private compareAt(space: Space, places: readonly Pages[]): Difference | undefined {
    const all = space.ahead.length === 0 ? places : joined([...places, ...space.ahead])
    space.ahead = []
    for (const [start, end] of all) {
      const found = this.comparer.range(space, start, end)
      if (found !== undefined) return found
    }
    return this.comparer.count(space)
  }

  private exec(event: Exec): Verdict {
    this.world.startProgram(event, event.maps ?? [])
    this.journal.take()
    return other
  }

  private clone(event: Clone): Verdict {
    const parent = this.processOf(event.pid)
    if (event.maps !== undefined) this.grow(parent.space, event.maps)
    const child = this.world.startChild(event)
    let verdict: Verdict = other
    if (child !== undefined && !event.sharesMemory) {
      if (event.maps !== undefined) {
        child.space.recorded?.apply(event.maps)
        this.rename(child.space, event.maps)
      }
      const found = this.comparer.whole(child.space)
      verdict = found === undefined ? agreed : this.give(child, found)
    }
    this.journal.take()
    return verdict
  }

  private drift(event: Drift): Verdict {
    const process = this.processOf(event.pid)
    if (process.space.recorded === undefined) return other
    const found = this.changed(process, event.maps)
    return found === undefined ? agreed : this.give(process, found)
  }

  private signal(event: Signal): Verdict {
    const process = this.processOf(event.pid)
    if (process.space.recorded === undefined) return other
    const found = event.maps === undefined ? undefined : this.changed(process, event.maps)
    if (found !== undefined) return this.give(process, found)
    const ours = signalContradicts(this.world, process.space, event.code, event.addr)
    if (ours === undefined) return agreed
    const linux = `${event.signal} ${event.code} at 0x${event.addr.toString(16)}`
    return { kind: "differs", difference: { what: "signal", linux, ours } }
  }

  private exit(event: Exit): Verdict {
    const process = this.processOf(event.pid)
    const { recorded } = process.space
    if (event.maps === undefined || recorded === undefined) return other
    const maps = event.maps.filter((line) => line.name !== VSYSCALL)
    const found = this.changed(process, deltaBetween(recorded.lines, maps)) ?? this.comparer.whole(process.space)
    return found === undefined ? agreed : this.give(process, found)
  }

  private end(event: End): Verdict {
    const process = this.world.find(event.pid)
    if (process !== undefined) this.world.end(process)
    this.journal.take()
    return other
  }

  /** The log shows a change that no call made. */
  private changed(process: Process, delta: Delta): Difference | undefined {
    const { space } = process
    const wrong = space.recorded?.apply(delta)
    if (wrong !== undefined) return { what: "log", linux: wrong, ours: "the log contradicts itself" }
    this.grow(space, delta)
    this.rename(space, delta)
    const places = joined([...rangesOfDelta(delta), ...space.ahead])
    const found = this.compareAt(space, places)
    return found === undefined || this.isOfUffd(process, places) ? undefined : found
  }

  /** Is the difference one that closing a userfaultfd makes, which is no call of memory, or one of bounds between areas that
   * userfaultfds had parted? Histories decide those, and they are not tried here.
   */
  private isOfUffd(process: Process, places: readonly Pages[]): boolean {
    const { space, uffds } = process
    if (uffds.size === 0) return false
    for (const fd of uffds.values()) {
      const mark = this.mark()
      const step = (): void => this.world.close(this.processOf(process.pid), fd)
      step()
      this.journal.add(step)
      if (this.compareAt(space, places) === undefined) {
        process.uffds = new Map([...uffds].filter(([, ours]) => ours !== fd))
        this.assume("userfaultfds closed")
        return true
      }
      this.back(mark)
    }
    if (!this.inBoundsOnly(space, places)) return false
    this.takeOver(process)
    this.assume("bounds of areas that a userfaultfd had parted")
    return true
  }

  private inBoundsOnly(space: Space, places: readonly Pages[]): boolean {
    return places.every(([start, end]) => this.comparer.differsInBoundsOnly(space, start - 1, end + 1))
  }

  /** What faults did between two calls. */
  private grow(space: Space, delta: Delta): void {
    this.journal.add(() => void growths(this.world, space, delta))
    this.assume("stacks grown by a fault", growths(this.world, space, delta))
  }

  /** What the file system did; it is not undone. */
  private rename(space: Space, delta: Delta): void {
    const count = renames(this.comparer, space, delta)
    if (count === 0) return
    this.assume("files renamed or deleted", count)
    this.journal.take()
  }

  /** Counts what had to be assumed; an empty name is nothing unusual. */
  private assume(what: string, times = 1): void {
    if (what === "" || times === 0) return
    const count = (): void => void this.assumed.set(what, (this.assumed.get(what) ?? 0) + times)
    count()
    this.journal.add(count)
  }

  /** Linux did something else: we go on from what it did. */
  private give(process: Process, difference: Difference, places: readonly Pages[] = []): Verdict {
    const { space } = process
    const areas = this.told++ < this.shown ? around(this.comparer, this.world.k, space, places) : []
    this.takeOver(process)
    return { kind: "differs", difference: { ...difference, areas } }
  }

  private takeOver(process: Process): void {
    adopt(this.world, this.comparer, process)
    this.journal.take()
  }
}

/** Calls that bring pages in after everything else. */
const bringsIn: ReadonlySet<string> = new Set(["mlock", "mlock2", "mlockall", "madvise"])
const FEW_FRAMES = 64

/** Calls that set memory policies. */
const ofPolicies: ReadonlySet<string> = new Set(["mbind", "set_mempolicy_home_node"])

/** Calls after which a log shows the map, if it shows maps. */
const showsMap: ReadonlySet<string> = new Set([
  "mmap",
  "mprotect",
  "munmap",
  "brk",
  "mremap",
  "madvise",
  "mlock",
  "munlock",
  "mlockall",
  "munlockall",
  "remap_file_pages",
  "mlock2",
  "pkey_mprotect",
  "process_madvise",
  "mseal",
  "shmat",
  "shmdt",
  "mbind",
  "map_shadow_stack",
  "set_mempolicy_home_node"
])

const verdictOf = (found: Difference | undefined): Verdict =>
  found === undefined ? agreed : { kind: "differs", difference: found }

function compareAnswers(linux: Result, ours: Answer): Difference | undefined {
  if (linux.kind === "unknown" || ours.kind === "other" || ours.kind === "unmodelled" || ours.kind === "unknown")
    return undefined
  if (sameResult(ours, linux)) return undefined
  return { what: "result", linux: textOfResult(linux), ours: textOfResult(ours) }
}
