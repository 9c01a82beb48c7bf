/** The search for an order of overlapping calls that explains all their answers. Floor 9.
 *
 * Depth first, each step the next call in the order in which they ended, then those that overlapped it. An order may not
 * put a call before one that had ended when it began. What is found is the order closest to the one in which they ended.
 *
 * Two orders of the same calls lead to the same state if they do not swap calls that touch the same pages: answers are as
 * recorded in both, and so is what the calls did. Such a state is entered once.
 */
import type { Event } from "./event.ts"
import type { Mark, Searcher, Verdict } from "./player.ts"
import type { Pages } from "./ranges.ts"

/** An event, and what orders need to know of it. */
export interface Item {
  readonly event: Event
  readonly began: number
  readonly ended: number
  /** Number of its address space. */
  readonly space: number
  /** Was somebody else in a call in this address space at the same time? */
  readonly overlaps: boolean
  /** Pages that it touched; undefined: all of them. */
  readonly pages: readonly Pages[] | undefined
  /** The player, before it was performed. */
  mark: Mark
  verdict: Verdict | undefined
}

/** What a search came to. */
export interface Found {
  /** All that was performed, in this order; undefined: no order explains it, and everything in the window is as it was. */
  readonly order: readonly Item[] | undefined
  /** What is still to be performed. */
  readonly rest: readonly Item[]
  readonly tries: number
  /** Were there more orders than attempts? */
  readonly isCutShort: boolean
}

/** Finds an order in which everything up to the first of `waiting` answers as recorded.
 * @param window - performed already, in this order
 * @param waiting - not performed; in the order in which they ended
 * @param most - attempts
 */
export function search(player: Searcher, window: readonly Item[], waiting: readonly Item[], most: number): Found {
  const one = new Search(player, window, waiting)
  return one.run(most)
}

class Search {
  private readonly path: Item[]
  private readonly left: Item[]
  private readonly target: Item
  /** Swaps of calls that touch the same pages, by the place in the path where they happened. */
  private readonly swaps: string[]
  private readonly entered = new Set<string>()
  private readonly numbers = new Map<Item, number>()
  private tries = 0

  constructor(
    private readonly player: Searcher,
    private readonly window: readonly Item[],
    waiting: readonly Item[]
  ) {
    this.path = [...window]
    this.left = [...waiting]
    this.target = waiting[0]!
    this.swaps = window.map(() => "")
    for (const item of [...window, ...waiting]) this.numbers.set(item, this.numbers.size)
  }

  run(most: number): Found {
    let from = 0
    for (;;) {
      const next = this.left[0]
      if (next === undefined || next.ended > this.target.ended)
        return { order: this.path, rest: this.left, tries: this.tries, isCutShort: false }
      const choices = this.choices(next)
      const chosen = this.advance(choices, from, most)
      if (chosen) from = 0
      else {
        const last = this.tries >= most ? undefined : this.path.pop()
        if (last === undefined) break
        this.swaps.pop()
        this.player.back(last.mark)
        this.putBack(last)
        from = this.choices(this.left[0]!).indexOf(last) + 1
      }
    }
    this.undoAll()
    return { order: undefined, rest: this.left, tries: this.tries, isCutShort: this.tries >= most }
  }

  /** Who may be next: `first`, or a call that had begun when it ended. Other address spaces go on as they did. */
  private choices(first: Item): readonly Item[] {
    if (first.space !== this.target.space) return [first]
    return this.left.filter((item) => item.space === first.space && item.began < first.ended)
  }

  /** Performs the first choice from `from` on that answers as recorded and leads somewhere new. */
  private advance(choices: readonly Item[], from: number, most: number): boolean {
    for (let i = from; i < choices.length && this.tries < most; i++) {
      const item = choices[i]!
      item.mark = this.player.mark()
      const verdict = this.player.tryOut(item.event)
      this.tries++
      if (verdict.kind === "differs") continue
      item.verdict = verdict
      this.take(item)
      const key = this.key()
      if (!this.entered.has(key)) {
        this.entered.add(key)
        return true
      }
      this.path.pop()
      this.swaps.pop()
      this.putBack(item)
      this.player.back(item.mark)
    }
    return false
  }

  private take(item: Item): void {
    this.left.splice(this.left.indexOf(item), 1)
    let swaps = ""
    for (const other of this.left) {
      if (other.ended < item.ended && other.space === item.space && touchTheSame(other, item))
        swaps += `${this.numbers.get(item)}<${this.numbers.get(other)} `
    }
    this.path.push(item)
    this.swaps.push(swaps)
  }

  private putBack(item: Item): void {
    const at = this.left.findIndex((other) => other.ended > item.ended)
    this.left.splice(at < 0 ? this.left.length : at, 0, item)
  }

  /** Which state we are in: what is left, and what was swapped. */
  private key(): string {
    const left = this.left.map((item) => this.numbers.get(item)).join()
    return `${left} ${this.swaps
      .filter((text) => text !== "")
      .sort()
      .join("")}`
  }

  /** Back to where the search began. */
  private undoAll(): void {
    const first = this.path[0] ?? this.window[0]
    if (first !== undefined && this.path.length > 0) this.player.back(first.mark)
    for (const item of this.window) {
      item.mark = this.player.mark()
      item.verdict = this.player.perform(item.event)
    }
  }
}

function touchTheSame(a: Item, b: Item): boolean {
  if (a.pages === undefined || b.pages === undefined) return true
  for (const [start, end] of a.pages) for (const [from, to] of b.pages) if (start < to && from < end) return true
  return false
}
