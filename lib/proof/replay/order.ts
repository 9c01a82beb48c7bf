/** Calls that overlap have no recorded order: this finds one under which the simulation answers as Linux did. Floor 9.
 *
 *     thread 1   |--- munmap ---------------|
 *     thread 2        |--- mmap ---|             ended first, and yet Linux may have done it last
 *
 * Events are performed in the order in which they ended, which is right nearly always. A call that does not answer as
 * recorded while others were under way, or shortly after, is trouble: once all that overlapped it have ended, other orders
 * are tried (`search.ts`). If none explains the log, the difference stands.
 *
 * Going back is limited to about the last hundred events, and to so many attempts: what lies further back counts as settled.
 */
import { isOfMemory } from "./answer.ts"
import type { Event } from "./event.ts"
import type { Searcher, Verdict } from "./player.ts"
import { joined, type Pages, rangesOf } from "./ranges.ts"
import { type Item, search } from "./search.ts"

/** Who is told what became of events. */
export interface Listener {
  /** `event` was performed. */
  readonly verdict: (event: Event, verdict: Verdict) => void
  /** Another order was found, and in it `event` has another verdict than was told before. */
  readonly revised: (event: Event, before: Verdict, now: Verdict) => void
}

/** Events that can be undone: so many are kept when there are too many. */
const KEPT = 64
const FULL = 192
/** Attempts to perform an event, in one trouble; and in all of a log, at first and for each event more. */
const MOST_TRIES = 3000
const TRIES = 20_000
const TRIES_AN_EVENT = 2
/** Events that may wait for calls that overlap one in trouble. */
const MOST_WAITING = 2000

/** Stands between a reader and a player. */
export class Order {
  /** Performed, and may be undone: in the order in which they were performed. */
  private window: Item[] = []
  /** Not performed yet: the first one is in trouble. */
  private waiting: Item[] = []
  /** Address spaces by process: what shares memory has one number. */
  private readonly spaces = new Map<number, number>()
  /** When the last call in an address space ended, by its number. */
  private readonly ends = new Map<number, number>()
  private nextSpace = 1
  /** Events of the window since the last one that overlapped another. */
  private quiet = 0
  private events = 0
  private tries = 0
  /** How often another order was found. */
  reordered = 0
  /** How often there was none. */
  unexplained = 0
  /** How often there were more orders than could be tried: of those, there may be one. */
  cutShort = 0

  constructor(
    private readonly player: Searcher,
    private readonly listener: Listener
  ) {}

  push(event: Event): void {
    const item = this.itemOf(event)
    if (this.waiting.length === 0) return this.play(item)
    this.waiting.push(item)
    if (this.isComplete(item) || this.waiting.length > MOST_WAITING) this.solve()
  }

  /** There is no more. */
  finish(): void {
    while (this.waiting.length > 0) this.solve()
  }

  private mostTries(): number {
    return TRIES + TRIES_AN_EVENT * this.events
  }

  private itemOf(event: Event): Item {
    this.events++
    const { kind, line, pid } = event
    const isTimed = kind === "call" || kind === "clone"
    const began = (isTimed ? event.began : undefined) ?? line * 2
    const ended = (isTimed ? event.ended : undefined) ?? line * 2 + 1
    const space = this.spaceOf(pid)
    const overlaps = oldestOf(event) !== undefined || began < (this.ends.get(space) ?? 0)
    this.ends.set(space, Math.max(ended, this.ends.get(space) ?? 0))
    if (kind === "clone" && event.childPid !== pid)
      this.spaces.set(event.childPid, event.sharesMemory ? space : this.nextSpace++)
    else if (kind === "exec") this.spaces.set(pid, this.nextSpace++)
    else if (kind === "end") this.leave(pid, space)
    return { event, began, ended, space, overlaps, pages: pagesOf(event), mark: 0, verdict: undefined }
  }

  private spaceOf(pid: number): number {
    const known = this.spaces.get(pid)
    if (known !== undefined) return known
    this.spaces.set(pid, this.nextSpace)
    return this.nextSpace++
  }

  private leave(pid: number, space: number): void {
    this.spaces.delete(pid)
    for (const other of this.spaces.values()) if (other === space) return
    this.ends.delete(space)
  }

  private play(item: Item): void {
    item.mark = this.player.mark()
    const hasChoice = item.overlaps || this.window.length > 0
    const mayWait = hasChoice && this.tries < this.mostTries()
    const verdict = mayWait ? this.player.tryOut(item.event) : this.player.perform(item.event)
    if (mayWait && verdict.kind === "differs") {
      this.waiting.push(item)
      if (this.isComplete(item)) this.solve()
      return
    }
    if (hasChoice && verdict.kind === "differs") this.cutShort++
    this.listener.verdict(item.event, verdict)
    this.keep(item, verdict)
  }

  /** Have all calls ended that overlap the one in trouble, now that `last` has? */
  private isComplete({ event, space }: Item): boolean {
    const first = this.waiting[0]
    if (first === undefined || space !== first.space) return false
    if (event.kind !== "call") return event.kind === "end" || event.kind === "exec"
    return (event.oldest ?? Infinity) > first.ended
  }

  private keep(item: Item, verdict: Verdict): void {
    item.verdict = verdict
    this.quiet = item.overlaps ? 0 : this.quiet + 1
    if (this.window.length > 0 || item.overlaps) this.window.push(item)
    if (this.window.length === 0 || this.quiet > KEPT) this.settle()
    else if (this.window.length >= FULL) this.slide()
  }

  private settle(): void {
    this.window = []
    this.player.settle()
  }

  /** What is too old to be undone is settled; the rest is performed again from there. */
  private slide(): void {
    const kept = this.window.slice(-KEPT)
    this.player.back(kept[0]?.mark ?? 0)
    this.settle()
    for (const item of kept) {
      item.mark = this.player.mark()
      this.player.perform(item.event)
    }
    this.window = kept
  }

  /** Tries other orders for the first that waits, with all that is known by now. */
  private solve(): void {
    const { waiting, window } = this
    const target = waiting[0]
    if (target === undefined) return
    const told = new Map(window.map((item) => [item, item.verdict]))
    this.waiting = []
    const found = search(this.player, window, waiting, Math.min(MOST_TRIES, this.mostTries() - this.tries))
    this.tries += found.tries
    if (found.order === undefined) {
      if (found.isCutShort) this.cutShort++
      else this.unexplained++
      this.giveUp(target)
      return this.resume(waiting.slice(1))
    }
    this.reordered++
    this.window = [...found.order]
    for (const item of found.order) this.tell(item, told.get(item))
    this.resume(found.rest)
  }

  /** No order explains it. */
  private giveUp(target: Item): void {
    const verdict = this.player.perform(target.event)
    this.listener.verdict(target.event, verdict)
    this.settle()
  }

  private tell({ event, verdict }: Item, before: Verdict | undefined): void {
    if (verdict === undefined) return
    if (before === undefined) this.listener.verdict(event, verdict)
    else if (before.kind !== verdict.kind) this.listener.revised(event, before, verdict)
  }

  private resume(items: readonly Item[]): void {
    for (const item of items) {
      if (this.waiting.length > 0) this.waiting.push(item)
      else this.play(item)
    }
    const last = this.waiting.at(-1)
    if (last !== undefined && this.waiting.length > 1 && this.isComplete(last)) this.solve()
  }
}

const oldestOf = (event: Event): number | undefined => (event.kind === "call" ? event.oldest : undefined)

/** No page has this number: what moves the break touches it. */
const BREAK: Pages = [-2, -1]

/** Pages whose mapping `event` changed or asked about; undefined: all of them. */
function pagesOf(event: Event): readonly Pages[] | undefined {
  if (event.kind === "signal" || event.kind === "exit") return []
  if (event.kind === "clone") return event.childPid === event.pid || event.sharesMemory ? [] : undefined
  if (event.kind !== "call") return undefined
  if (!isOfMemory(event.name)) return []
  return event.name === "brk" ? [BREAK, ...rangesOf(event)] : joined(rangesOf(event))
}
