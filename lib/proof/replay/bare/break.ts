/** brk, where it is not known where the heap is. Floor 9. */
import { isZero, pagesUp, type Vpn } from "../../../mm/base/units.ts"
import { nothingKnown } from "./facts.ts"
import { arg, type Asked, type Judge, nothingDone, type Taken } from "./judge.ts"
import type { Got } from "./state.ts"

const WHERE = "where the heap is"
/** Where the heap begins, if nobody knows: anywhere but at 0, which asks for the break. */
const LOWEST = 1
const ABOVE = "what is mapped above the heap"

export const brkJudge: Judge = {
  perform: ({ call, process, state }) => state.attempt(process, call),
  before: (asked) =>
    asked.state.factsOf(asked.process.space).hasBreak ? undefined : { why: WHERE, step: () => find(asked) },
  touches: ({ call, process, state }) => {
    const now = pagesUp(state.brk(process.space))
    const then = pagesUp(arg(call, 0))
    return [[Math.min(now, then), Math.max(now, then) + 1]]
  },
  doubt: (asked) => (asked.want === Number(arg(asked.call, 0)) || !isInTheWay(asked) ? undefined : ABOVE),
  explain,
  force: ({ process, state, want }) => state.setBrk(process.space, LOWEST, want)
}

/** The first answer: the break as it is now. */
function find({ call, process, state, want }: Asked): Got {
  const { space } = process
  const before = state.factsOf(space)
  // what asks for its break before it maps anything has just begun, though the log may leave out execve
  const isNew = !state.showsPrograms && isZero(arg(call, 0)) && before.full.length === 0
  const facts = isNew ? { ...before, isWhole: true } : before
  const asksOnly = BigInt(arg(call, 0)) !== BigInt(want)
  // a new program's heap is empty; whoever moved it before the log began is not seen
  const isStart = facts.isWhole && asksOnly
  state.setBrk(space, isStart ? want : LOWEST, want)
  state.learn(space, { ...facts, hasBreak: true })
  const { anchor } = facts
  const page = pagesUp(want)
  if (facts.isWhole && anchor !== undefined) {
    if (page < anchor.end) state.territory.free(space.mm, page, anchor.end)
    state.boundSearches(space, anchor.end)
  }
  return want
}

function* explain(asked: Asked, got: Got): Iterable<Taken> {
  const { call, process, state, want } = asked
  const { space } = process
  const old = state.brk(space)
  const wish = Number(arg(call, 0))
  if (wish === 0 && !state.showsPrograms && want !== old) {
    // the log leaves out execve: a program that asks where its heap is, and it is elsewhere, is a new one
    const step = (): Got => (state.begin(process.space, { ...nothingKnown, isWhole: true }), find(asked))
    yield { why: "where a program begins", step }
  } else if (want === wish && got === old && isInTheWay(asked)) {
    const step = (): Got => {
      state.territory.free(space.mm, ...growthOf(asked))
      return state.attempt(process, call) ?? NaN
    }
    yield { why: ABOVE, step }
  } else if (want === old && got === wish && state.factsOf(space).isLimited)
    yield nothingDone(asked, "how near the process is to its limits")
}

/** Pages that must be free for the break to move: the last one stays free. */
const growthOf = ({ call, process, state }: Asked): readonly [Vpn, Vpn] => [
  pagesUp(state.brk(process.space)),
  pagesUp(arg(call, 0)) + 1
]

/** Is nothing there but what may be? */
function isInTheWay(asked: Asked): boolean {
  const { process, state } = asked
  const [from, to] = growthOf(asked)
  const { mm } = process.space
  return to > from + 1 && state.territory.touches(mm, from, to) && !state.territory.isTaken(mm, from, to)
}
