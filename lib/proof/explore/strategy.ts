/** Who goes on next: every schedule up to a bound, random ones, or one that is known. Floor 9, internal. */

/** Something that may be chosen. */
export interface Option {
  /** Whose turn that is: a task's number, or ENVIRONMENT. */
  readonly who: number
  /** What would happen, in words; asked only for a schedule that is told. */
  readonly what: () => string
}

/** Nobody's turn: a read ends, time passes, somebody is killed. */
export const ENVIRONMENT = -1
/** Before the first step. */
export const NOBODY = -2

/** Picks schedules, one after another. */
export interface Strategy {
  /** Index into `from` of what happens next. Whoever ran last, if he can go on, is listed first.
   * @param last - whose turn the step before was
   */
  readonly pick: (from: readonly Option[], last: number) => number
  /** Turns to the next schedule; false when there is none. */
  readonly again: () => boolean
  /** How many of the next schedule's first choices are those of the one before: what they lead to was checked. */
  readonly known: () => number
}

/** 1 if taking `from[i]` stops somebody who could go on. */
const preempts = (from: readonly Option[], last: number, i: number): number =>
  from[i]!.who !== last && from.some((c) => c.who === last) ? 1 : 0

/** Every schedule with at most `bound` pre-emptions, by re-execution: bugs need few, and there are few such schedules.
 * What a task does when it must wait, or has ended, is no pre-emption and costs nothing.
 * @param bound - 0, 1, 2: each one more multiplies the schedules by their length
 */
export function dfs(bound: number): Strategy {
  /** For each choice so far: which of the affordable ones is taken, and how many there are. */
  const path: { taken: number; of: number }[] = []
  let at = 0
  let spent = 0
  let known = 0
  return {
    pick(from, last) {
      const affordable: number[] = []
      for (let i = 0; i < from.length; i++) if (spent + preempts(from, last, i) <= bound) affordable.push(i)
      if (at === path.length) path.push({ taken: 0, of: affordable.length })
      const i = affordable[path[at++]!.taken]!
      spent += preempts(from, last, i)
      return i
    },
    again() {
      while (path.length > 0 && path.at(-1)!.taken + 1 === path.at(-1)!.of) path.pop()
      at = 0
      spent = 0
      if (path.length === 0) return false
      path.at(-1)!.taken++
      known = path.length - 1
      return true
    },
    known: () => known
  }
}

/** Numbers below `n`, the same for the same seed (xorshift). */
export function numbers(seed: number): (n: number) => number {
  let x = Math.imul(seed, 2654435761) >>> 0 || 1
  return (n) => {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    return (x >>> 0) % n
  }
}

/** `times` schedules in which every choice is a throw of dice. */
export function random(seed: number, times: number): Strategy {
  const below = numbers(seed)
  let left = times
  return { pick: (from) => below(from.length), again: () => --left > 0, known: () => 0 }
}

/** Probabilistic concurrency testing: tasks have random priorities, and `depth - 1` times in a schedule the first of them
 * becomes the last. Finds a bug that needs `depth` things in order with probability 1/(tasks * steps^(depth-1)) or better.
 * @param steps - about how many choices a schedule has
 * @source Burckhardt et al., A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs (2010)
 */
export function pct(seed: number, times: number, steps: number, depth: number): Strategy {
  const below = numbers(seed)
  const priority = new Map<number, number>()
  let changes: number[] = []
  let left = times
  let n = 0
  const begin = (): void => {
    priority.clear()
    n = 0
    changes = Array.from({ length: depth - 1 }, () => below(steps))
  }
  const highest = (from: readonly Option[]): number => {
    let best = 0
    for (let i = 1; i < from.length; i++) if (priority.get(from[i]!.who)! > priority.get(from[best]!.who)!) best = i
    return best
  }
  begin()
  return {
    pick(from) {
      for (const c of from) if (!priority.has(c.who)) priority.set(c.who, depth + below(1 << 20))
      const change = changes.indexOf(n++)
      if (change >= 0) priority.set(from[highest(from)]!.who, change)
      const best = from[highest(from)]!.who
      // several things of one task: none is before the others
      const his = from.flatMap((c, i) => (c.who === best ? [i] : []))
      return his[below(his.length)]!
    },
    again() {
      begin()
      return --left > 0
    },
    known: () => 0
  }
}

/** What was chosen in a schedule: the n-th choice, and which of its options; those that are the first are left out. */
export type Choices = Readonly<Record<number, number>>

/** The one schedule in which these choices are made, and the first option is taken everywhere else. */
export function replay(choices: Choices): Strategy {
  let i = 0
  return {
    pick: (from) => Math.min(choices[i++] ?? 0, from.length - 1),
    again: () => false,
    known: () => 0
  }
}
