/** mremap, where it is not known what is mapped already. Floor 9. */
import { VM_SHARED } from "../../../flags/bits.ts"
import { EAGAIN, EFAULT, ENOMEM } from "../../../flags/Errno.ts"
import { addrOf, pageOf, pagesUp, PMD_PAGES, type Vpn } from "../../../mm/base/units.ts"
import type { Call } from "../event.ts"
import { findHole, learnSearch, sought, type Sought } from "./hole.ts"
import { arg, type Asked, bits, type Judge, lockRefusal, nothingDone, pagesOf, refusal, type Taken } from "./judge.ts"
import { PLACE } from "./mmap.ts"
import { type Got, isAddress } from "./state.ts"

const MAYMOVE = 1
const FIXED = 2
const READ_WRITE = 3

export const mremapJudge: Judge = {
  perform: ({ call, process, state }) => state.attempt(process, call),
  touches: ({ call }) => {
    const from = pageOf(arg(call, 0))
    const most = Math.max(pagesUp(arg(call, 1)), pagesUp(arg(call, 2)))
    const to = pagesOf(arg(call, 4), arg(call, 2))
    return (bits(call, 3) & FIXED) === 0 ? [[from, from + most]] : [[from, from + most], to]
  },
  places: ({ call }, got) => {
    const isElsewhere = isAddress(got) && got !== Number(arg(call, 0)) && (bits(call, 3) & FIXED) === 0
    return isElsewhere ? pagesOf(got, arg(call, 2)) : undefined
  },
  before,
  doubt: (asked, got) => (got === ENOMEM && growsIntoHidden(asked) ? PLACE : undefined),
  explain: (asked, got) => (isAddress(asked.want) ? explainPlace(asked, got) : explainRefusal(asked)),
  learn: (asked) => {
    const { call, want } = asked
    const isSearch = isAddress(want) && want !== Number(arg(call, 0)) && (bits(call, 3) & FIXED) === 0
    if (isSearch) learnSearch(asked, soughtBy(call))
  },
  force: (asked) => {
    if (isAddress(asked.want)) move(asked)
  }
}

/** It moves what nobody knows. */
function before(asked: Asked): Taken | undefined {
  const { call, process, state, want } = asked
  const { mm } = process.space
  const [start, end] = pagesOf(arg(call, 0), arg(call, 1))
  if (!state.territory.touches(mm, start, end)) return undefined
  const why = "memory that was mapped before"
  if (!isAddress(want)) return want === EFAULT ? nothingDone(asked, why) : undefined
  const step = (): Got => {
    state.territory.solidify(mm, start, end, READ_WRITE)
    return move(asked) === want ? want : moveInPieces(asked, ...pagesOf(want, arg(call, 2)))
  }
  return { why, step }
}

/** Moves or resizes it to where it went, whatever is there. */
function move({ call, process, state, want }: Asked): Got {
  const { mm } = process.space
  const [start, end] = pagesOf(arg(call, 0), arg(call, 1))
  const [to, last] = pagesOf(want, arg(call, 2))
  if (to === start) {
    state.territory.free(mm, Math.min(end, last), last)
    return state.attempt(process, call) ?? NaN
  }
  return state.attempt(process, fixedAt(call, to)) ?? NaN
}

const fixedAt = (call: Call, to: Vpn): Call => ({
  ...call,
  args: [...call.args.slice(0, 3), bits(call, 3) | MAYMOVE | FIXED, addrOf(to)]
})

function* explainPlace(asked: Asked, got: Got): Iterable<Taken> {
  const { call, process, state, want } = asked
  const [start] = pagesOf(arg(call, 0), arg(call, 1))
  const [to, last] = pagesOf(want, arg(call, 2))
  if (addrOf(to) !== want) return
  if (to === start) {
    if (growsIntoHidden(asked)) yield { why: PLACE, step: () => move(asked) }
  } else if ((bits(call, 3) & FIXED) === 0)
    yield* findHole(asked, soughtBy(call), () => state.attempt(process, fixedAt(call, to)))
  if (got === EFAULT && isPrivate(asked)) yield { why: WRITES, step: () => moveInPieces(asked, to, last) }
}

/** Is nothing above it, where it would grow, but what may be? */
function growsIntoHidden({ call, process, state }: Asked): boolean {
  const { mm } = process.space
  const [start, end] = pagesOf(arg(call, 0), arg(call, 1))
  const last = start + pagesUp(arg(call, 2))
  return last > end && state.territory.touches(mm, end, last) && !state.territory.isTaken(mm, end, last)
}

/** What it makes the kernel look for. What is moved may be a file; it is placed for huge pages then as well. */
function soughtBy(call: Call): Sought {
  const pages = pagesUp(arg(call, 2))
  return sought(pages, pages >= PMD_PAGES && pages % PMD_PAGES === 0)
}

const WRITES = "which memory was written to, and so merged"

/** What is one area here may have been several, and the other way round. */
function* explainRefusal(asked: Asked): Iterable<Taken> {
  const { call, want } = asked
  if (want === EFAULT && isPrivate(asked)) yield nothingDone(asked, WRITES)
  yield* refusal(asked, pagesUp(arg(call, 2)))
  if (want === EAGAIN) yield* lockRefusal(asked)
}

/** Is all of the old range private memory? */
function isPrivate({ call, process, state }: Asked): boolean {
  const { maple, vmas } = state.world.k
  const [start, end] = pagesOf(arg(call, 0), arg(call, 1))
  let at = start
  for (let v = maple.find(process.space.mm, start); v !== 0 && at < end; v = maple.next(process.space.mm, v)) {
    if (vmas.startOf(v) > at || (vmas.flags(v) & VM_SHARED) !== 0) return false
    at = vmas.endOf(v)
  }
  return at >= end
}

/** Old range away, something new there. */
function moveInPieces({ call, process, state, want }: Asked, to: Vpn, last: Vpn): Got {
  const { mm } = process.space
  state.territory.unmap(mm, ...pagesOf(arg(call, 0), arg(call, 1)))
  state.territory.put(mm, to, last, READ_WRITE)
  return want
}
