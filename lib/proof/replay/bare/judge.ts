/** What is asked about a call whose answer a log without maps may not determine. Floor 9. */
import { EAGAIN, ENOMEM, EPERM } from "../../../flags/Errno.ts"
import { lowBits, pageOf, pagesUp, type Vpn, type Word } from "../../../mm/base/units.ts"
import type { Call } from "../event.ts"
import type { Pages } from "../ranges.ts"
import type { Process } from "../world.ts"
import type { Got, State } from "./state.ts"

/** A call that the log does not determine: what it did is taken over. */
export interface Taken {
  /** In a few words, for the summary: what the log does not tell. */
  readonly why: string
  /** Makes it so, and answers what the call answers then. */
  readonly step: () => Got
}

/** One call, and the recorded answer. */
export interface Asked {
  readonly state: State
  readonly process: Process
  readonly call: Call
  readonly want: Got
}

/** How calls of one name are judged. */
export interface Judge {
  /** Performs it on the simulation; undefined: it is not built. */
  readonly perform: (asked: Asked) => Got | undefined
  /** Before it is tried: does it depend on what is hidden? */
  readonly before?: (asked: Asked) => Taken | undefined
  /** It failed as recorded: is that only because something hidden may be in the way? Then what the log does not tell. */
  readonly doubt?: (asked: Asked, got: Got) => string | undefined
  /** It was tried, and answered `got` instead. What may be the reason, in the order in which it is to be tried? Each step
   * begins with the simulation as it was before the call.
   */
  readonly explain?: (asked: Asked, got: Got) => Iterable<Taken>
  /** Pages that it may change, by its arguments. Undefined: what it does cannot be told so simply. */
  readonly touches?: (asked: Asked) => readonly Pages[]
  /** Pages that were free, and that it has mapped now that it has answered `got`. */
  readonly places?: (asked: Asked, got: Got) => Pages | undefined
  /** It answered as recorded: what does that teach? */
  readonly learn?: (asked: Asked) => void
  /** Nothing explains it: what it did is done all the same, as far as that makes sense. */
  readonly force?: (asked: Asked) => void
}

/** Why a kernel may not know a call, or an advice. */
export const KERNEL = "what the kernel was built with"

export const arg = (call: Call, at: number): Word => call.args[at] ?? 0
export const bits = (call: Call, at: number): number => lowBits(arg(call, at))

/** Pages of `[addr, addr + len)`. */
export function pagesOf(addr: Word, len: Word): readonly [Vpn, Vpn] {
  const start = pageOf(addr)
  return [start, start + pagesUp(len)]
}

/** A call that did nothing but fail. */
export const nothingDone = ({ want }: Asked, why: string): Taken => ({ why, step: () => want })

/** Why a call that needs `pages` more may be refused where the simulation refuses nothing. */
export function* refusal(asked: Asked, pages: number): Iterable<Taken> {
  const { process, state, want } = asked
  const { space } = process
  if (want !== ENOMEM) return
  if (pages > state.promised) yield nothingDone(asked, "how much memory the machine has")
  if (state.factsOf(space).isLimited) yield nothingDone(asked, "how near the process is to its limits")
  if (state.hasManyAreas(space)) yield nothingDone(asked, "how many areas there may be")
}

/** Why memory may not be locked. */
export function* lockRefusal(asked: Asked): Iterable<Taken> {
  const { want } = asked
  if (want === ENOMEM || want === EAGAIN || want === EPERM)
    yield nothingDone(asked, "how much memory the process may lock")
}
