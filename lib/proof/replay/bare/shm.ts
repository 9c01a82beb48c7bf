/** System V shared memory: identifiers are the log's, segments are ours. Floor 9. */
import * as SHM from "../../../flags/ShmFlags.ts"
import { OK } from "../../../flags/Errno.ts"
import { addrOf, isZero, pageOf, pagesUp } from "../../../mm/base/units.ts"
import type { Call } from "../event.ts"
import type { Process } from "../world.ts"
import { findHole, learnSearch, sought, type Sought } from "./hole.ts"
import { arg, type Asked, type Judge, type Taken } from "./judge.ts"
import { type Got, isAddress, type State } from "./state.ts"

const CREATE = 0o1600 // IPC_CREAT, for everybody
const SIZE = "how large a segment is"

const known = ({ call, state }: Asked, at: number): number | undefined => state.segments.get(Number(arg(call, at)))

const withId = (call: Call, id: number): Call => ({ ...call, args: [id, ...call.args.slice(1)] })

/** shmget succeeded: a segment of that size, if it is the first time that the log names it. */
export function getSegment(state: State, process: Process, call: Call, id: number): void {
  if (state.segments.has(id) || Number(arg(call, 1)) === 0) return
  const made = state.attempt(process, { ...call, args: [SHM.PRIVATE, arg(call, 1), CREATE] })
  if (made !== undefined && made >= 0) state.segments.set(id, made)
}

/** shmctl succeeded: a segment that was removed goes here too. */
export function controlSegment(state: State, process: Process, call: Call): void {
  const ours = state.segments.get(Number(arg(call, 0)))
  if (ours !== undefined) state.attempt(process, withId(call, ours))
}

export const shmatJudge: Judge = {
  perform: (asked) => asked.state.attempt(asked.process, withId(asked.call, known(asked, 0) ?? -1)),
  before: (asked) => {
    if (known(asked, 0) !== undefined || !isAddress(asked.want)) return undefined
    return { why: SIZE, step: () => attachUnknown(asked) }
  },
  explain: function* (asked): Iterable<Taken> {
    if (!isAddress(asked.want)) return
    if (isZero(arg(asked.call, 1))) yield* findHole(asked, soughtBy(asked), () => attachAt(asked))
    else yield* freePlace(asked)
  },
  learn: (asked) => {
    if (isAddress(asked.want) && isZero(arg(asked.call, 1))) learnSearch(asked, soughtBy(asked))
  },
  force: (asked) => {
    if (isAddress(asked.want)) attachAt(asked)
  }
}

/** The place that it asks for may be free, as far as is known. */
function* freePlace(asked: Asked): Iterable<Taken> {
  const { process, state, want } = asked
  const { mm } = process.space
  const start = pageOf(want)
  const end = start + pagesUp(bytesOf(asked))
  if (state.territory.isTaken(mm, start, end) || !state.territory.touches(mm, start, end)) return
  const step = (): Got => (state.territory.free(mm, start, end), shmatJudge.perform(asked) ?? NaN)
  yield { why: "whether the place that it asks for is free", step }
}

export const shmdtJudge: Judge = {
  perform: ({ call, process, state }) => state.attempt(process, call),
  before: ({ call, process, state, want }) => {
    const { maple, vmas } = state.world.k
    const v = maple.lookup(process.space.mm, pageOf(arg(call, 0)))
    if (want !== OK || (!state.territory.isSolid(v) && !state.territory.isHidden(v))) return undefined
    const step = (): Got => {
      // one page is known to be attached; what else is was never shown
      state.territory.unmap(process.space.mm, pageOf(arg(call, 0)), pageOf(arg(call, 0)) + 1)
      return vmas.state(v) >= 0 ? want : NaN
    }
    return { why: SIZE, step }
  }
}

const soughtBy = (asked: Asked): Sought => sought(pagesUp(bytesOf(asked)), false)

const bytesOf = (asked: Asked): number => asked.state.world.k.shm.find(known(asked, 0) ?? -1)?.sizeBytes ?? 1

function attachAt(asked: Asked): Got | undefined {
  const { call, process, state, want } = asked
  const flags = Number(arg(call, 2)) | SHM.REMAP
  return state.attempt(process, { ...call, args: [known(asked, 0) ?? -1, want, flags] })
}

/** A page of it is there for certain; what lies above it, up to the next area, may be. */
function attachUnknown({ process, state, want }: Asked): Got {
  const { mm } = process.space
  const { maple, vmas } = state.world.k
  const start = pageOf(want)
  state.territory.put(mm, start, start + 1, 3)
  const above = maple.find(mm, start + 1)
  if (above !== 0) state.territory.hide(mm, start + 1, vmas.startOf(above))
  return addrOf(start)
}
