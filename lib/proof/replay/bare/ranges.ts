/** Calls on ranges of addresses, of which parts may be hidden. Floor 9. */
import { VM_ACCESS, VM_HUGETLB, VM_LOCKED, VM_SPECIAL } from "../../../flags/bits.ts"
import * as ADVICE from "../../../flags/AdviceFlags.ts"
import { EACCES, EBADF, EBUSY, EINVAL, EIO, EAGAIN, EFAULT, ENOMEM, EPERM, OK } from "../../../flags/Errno.ts"
import { isZero, offsetInPage, pagesUp, TASK_PAGES } from "../../../mm/base/units.ts"
import { MCL_ONFAULT, MLOCK_ONFAULT } from "../../../mm/sys/mlock.ts"
import { arg, type Asked, bits, type Judge, lockRefusal, nothingDone, pagesOf, refusal, type Taken } from "./judge.ts"
import type { Got } from "./state.ts"

/** What was mapped before the log began, and what it was. */
const BEFORE = "memory that was mapped before"
const PAGES = "which pages were there"
const KERNEL = "what the kernel was built with"

const plain = ({ call, process, state }: Asked): Got | undefined => state.attempt(process, call)

/** A judge of calls on a range. `possible` are their errors where it is not known what the range maps. */
const onRange = (possible: readonly number[], more: Partial<Judge> = {}): Judge => ({
  perform: plain,
  before: (asked) => dependsOnHidden(asked, possible),
  explain: function* (asked) {
    const { call, process, state, want } = asked
    const [start, end] = pagesOf(arg(call, 0), arg(call, 1))
    if (possible.includes(want) && state.territory.touchesSolid(process.space.mm, start, Math.min(end, TASK_PAGES)))
      yield nothingDone(asked, BEFORE)
  },
  ...more
})

/** What a call does to hidden memory is only what the log says of it. */
function dependsOnHidden(asked: Asked, possible: readonly number[]): Taken | undefined {
  const { call, process, state, want } = asked
  const { mm } = process.space
  const [start, end] = pagesOf(arg(call, 0), arg(call, 1))
  if (!state.territory.touches(mm, start, Math.min(end, TASK_PAGES))) return undefined
  if (want < 0) return possible.includes(want) ? nothingDone(asked, BEFORE) : undefined
  if (call.name !== "mprotect" && call.name !== "pkey_mprotect") return nothingDone(asked, BEFORE)
  const step = (): Got => {
    state.territory.solidify(mm, start, end, bits(call, 2))
    return plain(asked) ?? NaN
  }
  return { why: BEFORE, step }
}

const protect: Judge = onRange([ENOMEM, EACCES, EPERM], {
  explain: function* (asked) {
    const { call, process, state, want } = asked
    const { mm } = process.space
    const [start, end] = pagesOf(arg(call, 0), arg(call, 1))
    if (want === EACCES && (state.territory.touchesSolid(mm, start, end) || state.mapsUnseen(mm, start, end)))
      yield nothingDone(asked, BEFORE)
    yield* refusal(asked, pagesUp(arg(call, 1)))
  }
})

const lock = (flags: number): Judge =>
  onRange([ENOMEM, EAGAIN, EPERM], {
    perform: (asked) => {
      const { call, process, state } = asked
      const got = state.attempt(process, {
        ...call,
        name: "mlock2",
        args: [...call.args.slice(0, 2), bits(call, 2) | flags]
      })
      return got === OK && flags !== 0 ? forbidden(asked) : got
    },
    explain: lockRefusal
  })

/** Pages that nobody may touch cannot be brought in to be locked. */
function forbidden({ call, process, state }: Asked): Got {
  const { maple, vmas } = state.world.k
  const { mm } = process.space
  const [start, end] = pagesOf(arg(call, 0), Number(arg(call, 1)) + offsetInPage(arg(call, 0)))
  for (let v = maple.find(mm, start); v !== 0 && vmas.startOf(v) < end; v = maple.next(mm, v))
    if ((vmas.flags(v) & VM_ACCESS) === 0) return ENOMEM
  return OK
}

/** Advice that asks for pages, or about them: what the simulation knows is only whether there are areas. */
const aboutPages: ReadonlySet<number> = new Set([
  ADVICE.POPULATE_READ,
  ADVICE.POPULATE_WRITE,
  ADVICE.COLLAPSE,
  ADVICE.GUARD_INSTALL,
  ADVICE.GUARD_REMOVE,
  100,
  101
])

/** Advice that not every kernel knows, or not in every configuration. */
const optional: ReadonlySet<number> = new Set([
  ...aboutPages,
  ADVICE.MERGEABLE,
  ADVICE.UNMERGEABLE,
  ADVICE.HUGEPAGE,
  ADVICE.NOHUGEPAGE,
  ADVICE.COLD,
  ADVICE.PAGEOUT,
  ADVICE.DONTNEED_LOCKED
])

const advise: Judge = onRange([ENOMEM, EINVAL, EPERM, EACCES, EBADF, EIO, EFAULT, EAGAIN, EBUSY], {
  perform: (asked) => (aboutPages.has(bits(asked.call, 2)) ? covered(asked) : plain(asked)),
  explain: function* (asked, got) {
    const { call, process, state, want } = asked
    const advice = bits(call, 2)
    const [start, end] = pagesOf(arg(call, 0), arg(call, 1))
    if (state.territory.touchesSolid(process.space.mm, start, Math.min(end, TASK_PAGES)))
      yield nothingDone(asked, BEFORE)
    if (want === EINVAL && optional.has(advice)) yield nothingDone(asked, KERNEL)
    if (want < 0 && got === OK && aboutPages.has(advice)) yield nothingDone(asked, PAGES)
    if (advice === ADVICE.WILLNEED && want === EBADF) yield nothingDone(asked, KERNEL)
  }
})

/** Is there an area everywhere, of a kind that the call accepts? */
function covered({ call, process, state }: Asked): Got {
  const { maple, vmas } = state.world.k
  const { mm } = process.space
  if (offsetInPage(arg(call, 0)) !== 0) return EINVAL
  const guards =
    call.name === "madvise" && (bits(call, 2) === ADVICE.GUARD_INSTALL || bits(call, 2) === ADVICE.GUARD_REMOVE)
  const refused = guards ? VM_SPECIAL | VM_HUGETLB | (bits(call, 2) === ADVICE.GUARD_INSTALL ? VM_LOCKED : 0) : 0
  const [start, end] = pagesOf(arg(call, 0), arg(call, 1))
  let at = start
  for (let v = maple.find(mm, start); v !== 0 && vmas.startOf(v) < end; v = maple.next(mm, v)) {
    if ((vmas.flags(v) & refused) !== 0) return EINVAL
    if (vmas.startOf(v) > at) return ENOMEM
    at = vmas.endOf(v)
  }
  return at < end ? ENOMEM : OK
}

const inCore: Judge = onRange([ENOMEM, EFAULT], {
  perform: (asked) => (isZero(arg(asked.call, 1)) ? plain(asked) : covered(asked)),
  explain: function* (asked) {
    if (asked.want === EFAULT) yield nothingDone(asked, "whether its vector can be written")
  }
})

const everything: Judge = {
  perform: ({ call, process, state }) =>
    state.attempt(process, { ...call, args: [bits(call, 0) === 0 ? 0 : bits(call, 0) | MCL_ONFAULT] }),
  explain: lockRefusal
}

const unmap: Judge = {
  perform: plain,
  explain: (asked) => refusal(asked, 0),
  force: ({ call, process, state, want }) => {
    const [start, end] = pagesOf(arg(call, 0), arg(call, 1))
    if (want === OK && start < end && end <= TASK_PAGES) state.territory.unmap(process.space.mm, start, end)
  }
}

/** Judges by the names of calls. */
export const rangeJudges: Readonly<Record<string, Judge>> = {
  munmap: unmap,
  mprotect: protect,
  pkey_mprotect: protect,
  madvise: advise,
  mincore: inCore,
  msync: onRange([ENOMEM, EBUSY, EIO]),
  mseal: onRange([ENOMEM, EPERM]),
  mlock: lock(MLOCK_ONFAULT),
  mlock2: lock(MLOCK_ONFAULT),
  munlock: onRange([ENOMEM]),
  mlockall: everything,
  munlockall: { perform: plain },
  remap_file_pages: onRange([EINVAL, ENOMEM, EPERM])
}
