/** mmap, where it is not known what is mapped already. Floor 9. */
import * as MLOCK from "../../../flags/MlockFlags.ts"
import { VM_LOCKED } from "../../../flags/bits.ts"
import { EACCES, EBADF, EEXIST, EINVAL, ENODEV, ENOMEM, EPERM } from "../../../flags/Errno.ts"
import {
  ANONYMOUS,
  FIXED,
  FIXED_NOREPLACE,
  HUGETLB,
  LOCKED,
  MAP_32BIT,
  NORESERVE,
  POPULATE,
  PRIVATE,
  TYPE
} from "../../../flags/MapFlags.ts"
import { EXEC, WRITE } from "../../../flags/ProtFlags.ts"
import { addrOf, isZero, pageOf, pagesUp, PMD_PAGES, type Vpn } from "../../../mm/base/units.ts"
import type { Call } from "../event.ts"
import { arg, type Asked, bits, type Judge, lockRefusal, nothingDone, pagesOf, refusal, type Taken } from "./judge.ts"
import { findHole, findLow, findUpward, learnSearch, sought, type Sought } from "./hole.ts"
import { type Got, isAddress } from "./state.ts"

export const PLACE = "whether the place that it asks for is free"

/** Room for fewer pages is always found: 4 TiB. */
const ALWAYS_FOUND = 2 ** 30

/** Below this a mapping needs rights that a log does not show: vm.mmap_min_addr of most machines. */
const LOW_BYTES = 65536

export const mmapJudge: Judge = {
  perform,
  touches: ({ call }) =>
    (bits(call, 3) & (FIXED | FIXED_NOREPLACE)) === 0 ? [] : [pagesOf(arg(call, 0), arg(call, 1))],
  places: ({ call }, got) =>
    isAddress(got) && (bits(call, 3) & (FIXED | FIXED_NOREPLACE)) === 0 ? pagesOf(got, arg(call, 1)) : undefined,
  doubt: ({ call, process, state }, got) => {
    const [start, end] = pagesOf(arg(call, 0), arg(call, 1))
    return got === EEXIST && !state.territory.isTaken(process.space.mm, start, end) ? PLACE : undefined
  },
  explain: (asked) => (isAddress(asked.want) ? explainPlace(asked) : explainRefusal(asked)),
  learn,
  force: ({ call, process, state, want }) => {
    const [start, end] = pagesOf(want, arg(call, 1))
    if (!isAddress(want) || pageOf(want) * 4096 !== want) return
    if (state.attempt(process, fixedAt(call, start)) !== want)
      state.territory.put(process.space.mm, start, end, bits(call, 2))
  }
}

/** Pages are not brought in: a log does not show which are there. */
const withoutPages = (call: Call, flags: number): Call => ({
  ...call,
  args: call.args.map((word, at) => (at === 3 ? flags & ~(POPULATE | LOCKED) : word))
})

function perform({ call, process, state }: Asked): Got | undefined {
  const flags = bits(call, 3)
  const got = state.attempt(process, withoutPages(call, flags))
  // nothing but what is hidden is in the way
  if (got === ENOMEM && isFound(call)) return NaN
  if (got === undefined || got < 0 || (flags & LOCKED) === 0) return got
  const lock: Call = { ...call, name: "mlock2", args: [got, arg(call, 1), MLOCK.ONFAULT] }
  state.attempt(process, lock)
  return got
}

/** Would any address space have room for it, if nothing counted as taken that may be free? */
function isFound(call: Call): boolean {
  const pages = pagesUp(arg(call, 1))
  return pages > 0 && pages < ALWAYS_FOUND && (bits(call, 3) & (FIXED | FIXED_NOREPLACE | HUGETLB | MAP_32BIT)) === 0
}

/** The same mapping at `start`, whatever is there. */
function fixedAt(call: Call, start: Vpn): Call {
  const flags = (bits(call, 3) | FIXED) & ~(FIXED_NOREPLACE | POPULATE | LOCKED)
  return { ...call, args: [addrOf(start), ...call.args.slice(1, 3), flags, ...call.args.slice(4)] }
}

function* explainPlace(asked: Asked): Iterable<Taken> {
  const { call, process, state, want } = asked
  const { mm } = process.space
  const flags = bits(call, 3)
  const [start, end] = pagesOf(want, arg(call, 1))
  if (addrOf(start) !== want || end <= start) return
  if ((flags & HUGETLB) !== 0)
    yield { why: "where huge pages go", step: () => (state.territory.put(mm, start, end, bits(call, 2)), want) }
  else if (isHinted(call, start)) {
    if (state.territory.isTaken(mm, start, end) || !state.territory.touches(mm, start, end)) return
    const step = (): Got => (state.territory.free(mm, start, end), perform(asked) ?? NaN)
    yield { why: PLACE, step }
  } else if ((flags & FIXED) === 0) {
    yield* explainFile(asked)
    yield* findUpward(asked, () => perform(asked))
    const there = (): Got | undefined => state.attempt(process, fixedAt(call, start))
    if ((flags & MAP_32BIT) !== 0) yield* findLow(asked, end - start, there)
    else yield* findHole(asked, soughtBy(asked), there)
  }
}

/** Does it ask for this place, without insisting? */
const isHinted = (call: Call, start: Vpn): boolean =>
  ((bits(call, 3) & FIXED) === 0 || (bits(call, 3) & FIXED_NOREPLACE) !== 0) &&
  !isZero(arg(call, 0)) &&
  (pageOf(arg(call, 0)) === start || pagesUp(arg(call, 0)) === start)

/** Whether files are placed for huge pages depends on the file system; the first answer tells. */
function* explainFile(asked: Asked): Iterable<Taken> {
  const { call, state } = asked
  const { fd } = call
  if (fd === undefined || !isForHuge(call) || state.knowsPlacing(fd)) return
  const step = (): Got => {
    state.learnPlacing(fd, !state.placesForHuge(fd))
    return perform(asked) ?? NaN
  }
  yield { why: "whether the file system places files for huge pages", step }
}

/** What it makes the kernel look for. */
function soughtBy({ call, state }: Asked): Sought {
  const pages = pagesUp(arg(call, 1))
  const flags = bits(call, 3)
  if (!isZero(arg(call, 0)) || pages < PMD_PAGES) return sought(pages, false)
  const { fd } = call
  if ((flags & ANONYMOUS) !== 0) return sought(pages, (flags & TYPE) === PRIVATE && pages % PMD_PAGES === 0)
  return sought(pages, fd !== undefined && state.placesForHuge(fd))
}

const isForHuge = (call: Call): boolean =>
  (bits(call, 3) & (ANONYMOUS | FIXED)) === 0 && pagesUp(arg(call, 1)) >= PMD_PAGES

function* explainRefusal(asked: Asked): Iterable<Taken> {
  const { call, process, state, want } = asked
  const flags = bits(call, 3)
  const { k } = state.world
  const locks = (flags & LOCKED) !== 0 || (k.mms.defFlags(process.space.mm) & VM_LOCKED) !== 0
  if (locks && want !== ENOMEM) yield* lockRefusal(asked)
  if (want === EPERM && (flags & FIXED) !== 0 && pageOf(arg(call, 0)) * 4096 < LOW_BYTES)
    yield nothingDone(asked, "the rights of the process")
  yield* refusal(asked, isPromised(call) ? pagesUp(arg(call, 1)) : 0)
  const { fd } = call
  if (fd === undefined || (flags & ANONYMOUS) !== 0) return
  if (want === EPERM && (bits(call, 2) & EXEC) !== 0) yield nothingDone(asked, "whether files there may be executed")
  if (fd.flags === undefined && (want === EBADF || want === EACCES || want === ENODEV || want === EINVAL))
    yield nothingDone(asked, "what a descriptor is that nobody saw being opened")
  if (want === ENODEV) yield nothingDone(asked, "whether the file can be mapped")
}

/** Is it memory that the machine must promise? */
const isPromised = (call: Call): boolean => {
  const flags = bits(call, 3)
  const isPrivate = (flags & TYPE) === PRIVATE
  if ((flags & NORESERVE) !== 0) return false
  return isPrivate ? (bits(call, 2) & WRITE) !== 0 : (flags & ANONYMOUS) !== 0
}

function learn(asked: Asked): void {
  const { call, state, want } = asked
  if (!isAddress(want)) return
  const pages = pagesUp(arg(call, 1))
  if (isPromised(call)) state.promised = Math.max(state.promised, pages)
  const flags = bits(call, 3)
  const at = pageOf(want)
  if ((flags & (FIXED | FIXED_NOREPLACE | MAP_32BIT | HUGETLB)) !== 0 || isHinted(call, at)) return
  const { fd } = call
  if (fd !== undefined && isForHuge(call) && !state.knowsPlacing(fd)) state.learnPlacing(fd, state.placesForHuge(fd))
  learnSearch(asked, soughtBy(asked))
}
