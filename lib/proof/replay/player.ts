/** What performs the events of a log and compares: the machine, as whoever chooses an order of calls sees it. Floor 9. */
import type { Event } from "./event.ts"

/** What became of one event. */
export type Verdict =
  /** Predicted as recorded. */
  | { readonly kind: "agreed" }
  /** Nothing to predict: a call that does not touch memory, the end of a process. */
  | { readonly kind: "other" }
  /** The log does not determine what it must answer: `why`, what it does not tell. What it did answer was taken over. */
  | { readonly kind: "unanchored"; readonly why: string }
  /** A call of memory that is not built, named more closely by `what` if need be. What it did was taken over as far as the
   * log shows it.
   */
  | { readonly kind: "unmodelled"; readonly what?: string }
  /** Linux did something else. What it did was taken over as far as that is possible. */
  | { readonly kind: "differs"; readonly difference: Difference }

/** Where we are not as Linux was. */
export interface Difference {
  /** What differs, in words: `result`, `map`. */
  readonly what: string
  readonly linux: string
  readonly ours: string
  /** Lines of the map around the place: `- ` only Linux has them, `+ ` only we. */
  readonly areas?: readonly string[]
}

/** A place to go back to. Later marks are worthless once one went back behind them. */
export type Mark = number & { readonly __mark?: never }

/** Performs events one after another. */
export interface Player {
  /** Performs `event` and compares. Whatever the verdict, the next event finds the state that the log says. */
  readonly perform: (event: Event) => Verdict
  /** Where we are now; costs next to nothing. */
  readonly mark: () => Mark
  /** Everything since `mark` did not happen. Costs as much as a few hundred calls. */
  readonly back: (mark: Mark) => void
  /** Nobody will go back behind this point any more: what was kept for that may go. */
  readonly settle: () => void
}

/** A player for a log that does not tell the order of all events: one can look for it. */
export interface Searcher extends Player {
  /** As `perform`, but where Linux did something else nothing has happened. */
  readonly tryOut: (event: Event) => Verdict
}
