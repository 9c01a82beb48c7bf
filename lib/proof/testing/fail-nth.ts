/** Failing each allocation of a scenario in turn. Floor 9, internal. */
import { findings } from "../../mm/area/check.ts"
import { KernelBug } from "../../mm/base/debug.ts"
import type { Kernel } from "../../mm/kernel.ts"
import { bootTiny } from "./calls.ts"
import { countsOf, leaksSince, visibleOf } from "./tables.ts"
import { checkIdle } from "../../mm/area/check.ts"

/** A scenario to be replayed. */
export interface Replay<S> {
  /** Boots the machine; one of 64 frames if absent. */
  readonly boot?: () => Kernel
  /** Everything up to what is tested; no allocation of it fails. */
  readonly prepare: (k: Kernel) => S
  /** What is tested: zero or positive, or a negative errno where it says that it failed. */
  readonly act: (k: Kernel, s: S) => number
  /** Ends everything that `prepare` and `act` began; what is left then has leaked. */
  readonly end: (k: Kernel, s: S, result: number) => void
  /** Does a failure leave something of its work (Linux's own partial effects)? Then only leaks and invariants count. */
  readonly isPartial?: boolean
  /** May `act` be called again after it failed? Then it must work, memory being back. */
  readonly isRepeatable?: boolean
}

/** Replays a scenario, failing its first allocation, then its second, and so on, until it runs through. After each: no
 * lock held, the invariants hold, a reported failure left everything as if never called, and nothing has leaked.
 * Throws at the first that does not hold, saying which allocation failed.
 * @returns how many allocations were failed
 */
export function failEach<S>(replay: Replay<S>): number {
  for (let nth = 1; ; nth++) {
    const k = (replay.boot ?? bootTiny)()
    const empty = countsOf(k)
    const s = replay.prepare(k)
    const before = visibleOf(k)
    k.fail.arm(nth)
    let result: number
    try {
      result = replay.act(k, s)
    } catch (bug) {
      throw broken(nth, `it threw ${String(bug)}`)
    }
    const { fired } = k.fail
    k.fail.arm(0)
    const wrong = findings(k)
    if (wrong.length > 0) throw broken(nth, wrong.join("\n  "))
    try {
      checkIdle(k)
    } catch (bug) {
      throw broken(nth, String(bug))
    }
    if (fired && result < 0 && replay.isPartial !== true) {
      const after = visibleOf(k)
      if (after !== before) throw broken(nth, `it answered ${result}, and left traces:\n${difference(before, after)}`)
    }
    if (fired && result < 0 && replay.isRepeatable === true) {
      result = replay.act(k, s)
      if (result < 0) throw broken(nth, `it answers ${result} again, though memory is back`)
      checkIdle(k)
    }
    replay.end(k, s, result)
    const left = leaksSince(k, empty)
    if (left.length > 0) throw broken(nth, left.join(", "))
    checkIdle(k)
    if (!fired) return nth - 1
  }
}

const broken = (nth: number, what: string): KernelBug => new KernelBug(`with allocation ${nth} failed: ${what}`)

/** Lines of either text that the other has not. */
function difference(before: string, after: string): string {
  const a = before.split("\n")
  const b = after.split("\n")
  return [
    ...a.filter((line) => !b.includes(line)).map((line) => `- ${line}`),
    ...b.filter((line) => !a.includes(line)).map((line) => `+ ${line}`)
  ].join("\n")
}
