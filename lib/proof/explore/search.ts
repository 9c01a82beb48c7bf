/** Plays schedule after schedule; one that fails is played again from its choices alone, and then told. Floor 9, internal. */
import { type Choices, NOBODY, type Option, replay, type Strategy } from "./strategy.ts"

/** A schedule that failed. */
export interface Failure {
  /** What broke. */
  readonly message: string
  /** What happened, a line a step. */
  readonly story: readonly string[]
  /** Gives the same schedule to `replay`. */
  readonly choices: Choices
}

/** What a search came to. */
export interface Outcome {
  /** Schedules played. */
  readonly schedules: number
  /** Steps of all of them together. */
  readonly steps: number
  /** Did the strategy come to its end? False when a failure or `most` ended it. */
  readonly isComplete: boolean
  readonly failure: Failure | undefined
  /** Milliseconds. */
  readonly ms: number
}

/** A step that may come next. */
export interface Choice extends Option {
  readonly go: () => void
  /** Where it led, in words. */
  readonly led?: () => string
}

/** One schedule as it is played: everything that happens is a choice among what could. */
export interface Table {
  /** Lets one of `from` happen; whoever ran last is put first. */
  readonly choose: (from: Choice[]) => void
  /** A choice inside a step: an index into `options`, of which the first is the ordinary one and is not told. */
  readonly decide: (options: readonly Option[]) => number
  /** Is this step one that no earlier schedule had? Then what it led to must be looked at. */
  readonly isNew: () => boolean
}

/** Longer schedules are taken for endless ones. */
const MOST_STEPS = 20_000

/** Searches for a schedule that `play` throws at.
 * @param most - schedules, at most
 */
export function playAll(play: (table: Table) => void, strategy: Strategy, most = Infinity): Outcome {
  const began = performance.now()
  let schedules = 0
  let steps = 0

  const once = (by: Strategy, choices: number[], story?: string[]): string | undefined => {
    const known = by.known()
    let last = NOBODY
    let n = 0
    const pick = (from: readonly Option[]): number => {
      if (from.length === 1) return 0
      const i = by.pick(from, last)
      choices.push(i)
      return i
    }
    try {
      play({
        choose(from) {
          if (++n > MOST_STEPS) throw new Error(`livelock: ${MOST_STEPS} steps and no end`)
          steps++
          if (from.length > 1) from.sort((a, b) => Number(b.who === last) - Number(a.who === last))
          const c = from[pick(from)]!
          last = c.who
          if (story === undefined) return c.go()
          const line = story.push(c.what()) - 1
          c.go()
          if (c.led !== undefined) story[line] += c.led()
        },
        decide(options) {
          const i = pick(options)
          last = options[i]!.who
          if (i !== 0) story?.push(`    ${options[i]!.what()}`)
          return i
        },
        isNew: () => choices.length > known
      })
      return undefined
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    }
  }

  let failure: Failure | undefined
  let isComplete = false
  while (failure === undefined) {
    const choices: number[] = []
    const message = once(strategy, choices)
    schedules++
    if (message !== undefined) failure = told(message, choices, once)
    else if (!strategy.again()) {
      isComplete = true
      break
    } else if (schedules >= most) break
  }
  return { schedules, steps, isComplete, failure, ms: performance.now() - began }
}

/** Plays the failed schedule again, from its choices alone. */
function told(
  message: string,
  choices: readonly number[],
  once: (by: Strategy, choices: number[], story?: string[]) => string | undefined
): Failure {
  const story: string[] = []
  const kept = Object.fromEntries(choices.flatMap((choice, i) => (choice === 0 ? [] : [[i, choice]])))
  const again = once(replay(kept), [], story)
  return {
    message: again === message ? message : `${message}\nbut played again it ends so: ${again ?? "nothing is wrong"}`,
    story,
    choices: kept
  }
}

/** An outcome in words: what was searched, and the failing schedule as a story. */
export function tell(o: Outcome): string {
  const counted = `${o.schedules} schedules, ${(o.steps / o.schedules).toFixed(0)} steps each, ${o.ms.toFixed(0)} ms`
  if (o.failure === undefined)
    return `${counted}: ${o.isComplete ? "all of them pass" : "they pass, others were not tried"}`
  const width = String(o.failure.story.length).length
  const lines = o.failure.story.map((line, i) => `${String(i + 1).padStart(width + 2)}. ${line}`)
  return `${o.failure.message}\n${lines.join("\n")}\n(${counted}; replay(${JSON.stringify(o.failure.choices)}))`
}
