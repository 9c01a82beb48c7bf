/** Calls on ranges of addresses, of which parts may be hidden. Floor 9. */
import * as MCL from "../../../flags/MlockallFlags.ts"
import * as MLOCK from "../../../flags/MlockFlags.ts"
import { VM_ACCESS, VM_HUGETLB, VM_IO, VM_LOCKED, VM_PFNMAP, VM_SPECIAL } from "../../../flags/bits.ts"
import * as ADVICE from "../../../flags/AdviceFlags.ts"
import { EACCES, EBADF, EBUSY, EINVAL, EIO, EAGAIN, EFAULT, ENOMEM, EPERM, OK } from "../../../flags/Errno.ts"
import { EXEC, READ, WRITE } from "../../../flags/ProtFlags.ts"
import { isZero, offsetInPage, pagesUp, TASK_PAGES } from "../../../mm/base/units.ts"
import type { Call } from "../event.ts"
import type { Pages } from "../ranges.ts"
import {
  arg,
  type Asked,
  bits,
  type Judge,
  KERNEL,
  lockRefusal,
  nothingDone,
  pagesOf,
  refusal,
  type Taken
} from "./judge.ts"
import type { Got } from "./state.ts"

/** What was mapped before the log began, and what it was. */
const BEFORE = "memory that was mapped before"
const PAGES = "which pages were there"
const HWPOISON = 100
const SOFT_OFFLINE = 101

/** The range of the call, outwards to whole pages. */
const range = ({ call }: Asked): readonly Pages[] => {
  const [start, end] = pagesOf(arg(call, 0), arg(call, 1))
  return [[start, end + 1]]
}

const plain = ({ call, process, state }: Asked): Got | undefined => state.attempt(process, call)

/** A judge of calls on a range. `possible` are their errors where it is not known what the range maps. */
const onRange = (possible: readonly number[], more: Partial<Judge> = {}): Judge => ({
  perform: plain,
  touches: range,
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

/** Whatever is mapped may be read. */
const mayBeForbidden = (call: Call): boolean => (bits(call, 2) & (WRITE | EXEC)) !== 0

const protect: Judge = onRange([ENOMEM, EACCES, EPERM], {
  before: (asked) => dependsOnHidden(asked, mayBeForbidden(asked.call) ? [ENOMEM, EACCES, EPERM] : [ENOMEM, EPERM]),
  explain: function* (asked) {
    const { call, process, state, want } = asked
    const { mm } = process.space
    const [start, end] = pagesOf(arg(call, 0), arg(call, 1))
    if (
      want === EACCES &&
      mayBeForbidden(call) &&
      (state.territory.touchesSolid(mm, start, end) || state.mapsUnseen(mm, start, end))
    )
      yield nothingDone(asked, BEFORE)
    yield* refusal(asked, pagesUp(arg(call, 1)))
  }
})

const NO_KEY = -1

/** As mprotect, with a key that is known to exist. What keys forbid no log shows. */
const protectWithKey: Judge = {
  ...protect,
  perform: ({ call, process, state }) => {
    const key = bits(call, 3)
    if (key !== NO_KEY && !state.keys.has(key)) return EINVAL
    return state.attempt(process, { ...call, args: [...call.args.slice(0, 3), NO_KEY] })
  },
  explain: function* (asked, got) {
    const { call, process, state, want } = asked
    if (got === EINVAL && want === OK) {
      const plainly = { ...call, args: [...call.args.slice(0, 3), NO_KEY] }
      yield { why: "which protection keys there are", step: () => state.attempt(process, plainly) ?? NaN }
    }
    yield* protect.explain?.(asked, got) ?? []
  }
}

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

/** Advice that asks for pages, or about them. No page is brought in here: only areas are asked whether they would do. */
const aboutPages: ReadonlySet<number> = new Set([
  ADVICE.POPULATE_READ,
  ADVICE.POPULATE_WRITE,
  ADVICE.COLLAPSE,
  ADVICE.GUARD_INSTALL,
  ADVICE.GUARD_REMOVE,
  HWPOISON,
  SOFT_OFFLINE
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

/** Errors of one advice only. */
const special: Readonly<Record<number, readonly number[]>> = {
  [ADVICE.REMOVE]: [EACCES],
  [ADVICE.WILLNEED]: [EBADF, EIO],
  [ADVICE.POPULATE_READ]: [EFAULT],
  [ADVICE.POPULATE_WRITE]: [EFAULT],
  [ADVICE.COLLAPSE]: [EAGAIN, EBUSY],
  [HWPOISON]: [EBUSY],
  [SOFT_OFFLINE]: [EBUSY]
}

const errorsOf = ({ call }: Asked): readonly number[] => [ENOMEM, EINVAL, EPERM, ...(special[bits(call, 2)] ?? [])]

const advise: Judge = {
  touches: range,
  before: (asked) => dependsOnHidden(asked, errorsOf(asked)),
  perform: (asked) => (aboutPages.has(bits(asked.call, 2)) ? wouldDo(asked) : plain(asked)),
  learn: ({ call, state, want }) => {
    // over holes advice goes on, and tells in the end
    if (want === OK || want === ENOMEM) state.advice.add(bits(call, 2))
  },
  explain: function* (asked, got) {
    const { call, process, state, want } = asked
    const { mm } = process.space
    const advice = bits(call, 2)
    const [start, end] = pagesOf(arg(call, 0), arg(call, 1))
    if (errorsOf(asked).includes(want) && state.territory.touchesSolid(mm, start, Math.min(end, TASK_PAGES)))
      yield nothingDone(asked, BEFORE)
    if (want === EINVAL && optional.has(advice) && !state.advice.has(advice)) yield nothingDone(asked, KERNEL)
    if (want === EBADF && advice === ADVICE.WILLNEED) yield nothingDone(asked, KERNEL)
    if (want < 0 && got === OK && dependsOnPages(asked)) yield nothingDone(asked, PAGES)
  }
}

/** Which pages there are, and whether they can be had, matters for files, and for what is done to pages of memory. */
function dependsOnPages({ call, process, state, want }: Asked): boolean {
  const advice = bits(call, 2)
  if (advice === ADVICE.COLLAPSE || advice === HWPOISON || advice === SOFT_OFFLINE) return true
  if (advice !== ADVICE.POPULATE_READ && advice !== ADVICE.POPULATE_WRITE) return false
  const { maple, vmas } = state.world.k
  const { mm } = process.space
  const [start, end] = pagesOf(arg(call, 0), arg(call, 1))
  let mapsFile = false
  for (let v = maple.find(mm, start); v !== 0 && vmas.startOf(v) < end; v = maple.next(mm, v))
    mapsFile ||= vmas.file(v) !== 0
  return mapsFile && want !== EACCES && want !== EINVAL
}

/** Is there an area everywhere, of a kind that the advice accepts? */
function wouldDo(asked: Asked): Got {
  const { call, process, state } = asked
  const { maple, vmas } = state.world.k
  const { mm } = process.space
  const advice = bits(call, 2)
  const [start, end] = pagesOf(arg(call, 0), arg(call, 1))
  const isGuard = advice === ADVICE.GUARD_INSTALL || advice === ADVICE.GUARD_REMOVE
  const refused = isGuard
    ? VM_SPECIAL | VM_HUGETLB | (advice === ADVICE.GUARD_INSTALL ? VM_LOCKED : 0)
    : VM_IO | VM_PFNMAP
  const wanted = advice === ADVICE.POPULATE_READ ? READ : advice === ADVICE.POPULATE_WRITE ? WRITE : 0
  if (offsetInPage(arg(call, 0)) !== 0) return EINVAL
  let at = start
  for (let v = maple.find(mm, start); v !== 0 && vmas.startOf(v) < end; v = maple.next(mm, v)) {
    // guards go on behind a hole, and tell in the end
    if (vmas.startOf(v) > at && !isGuard) return ENOMEM
    if ((vmas.flags(v) & refused) !== 0 || (vmas.flags(v) & wanted) !== wanted) return EINVAL
    if (vmas.startOf(v) <= at) at = vmas.endOf(v)
  }
  return at < end ? ENOMEM : OK
}

/** Is there an area everywhere? */
function covered({ call, process, state }: Asked): Got {
  const { maple, vmas } = state.world.k
  const [start, end] = pagesOf(arg(call, 0), arg(call, 1))
  if (offsetInPage(arg(call, 0)) !== 0) return EINVAL
  let at = start
  for (let v = maple.lookup(process.space.mm, at); v !== 0 && at < end; v = maple.lookup(process.space.mm, at))
    at = vmas.endOf(v)
  return at < end ? ENOMEM : OK
}

const inCore: Judge = onRange([ENOMEM, EFAULT], {
  perform: (asked) => (isZero(arg(asked.call, 1)) ? plain(asked) : covered(asked)),
  explain: function* (asked) {
    if (asked.want === EFAULT) yield nothingDone(asked, "whether its vector can be written")
  }
})

const everywhere = (): readonly Pages[] => [[0, TASK_PAGES]]

const everything: Judge = {
  touches: everywhere,
  perform: ({ call, process, state }) =>
    state.attempt(process, { ...call, args: [bits(call, 0) === 0 ? 0 : bits(call, 0) | MCL.ONFAULT] }),
  explain: lockRefusal
}

const unmap: Judge = {
  perform: plain,
  touches: range,
  explain: function* (asked) {
    if (asked.state.hasManyAreas(asked.process.space)) yield* refusal(asked, 0)
  },
  force: ({ call, process, state, want }) => {
    const [start, end] = pagesOf(arg(call, 0), arg(call, 1))
    if (want === OK && start < end && end <= TASK_PAGES) state.territory.unmap(process.space.mm, start, end)
  }
}

/** Judges by the names of calls. */
export const rangeJudges: Readonly<Record<string, Judge>> = {
  munmap: unmap,
  mprotect: protect,
  pkey_mprotect: protectWithKey,
  madvise: advise,
  mincore: inCore,
  msync: onRange([ENOMEM, EBUSY, EIO]),
  mseal: onRange([ENOMEM, EPERM]),
  mlock: lock(MLOCK.ONFAULT),
  mlock2: lock(MLOCK.ONFAULT),
  munlock: onRange([ENOMEM]),
  mlockall: everything,
  munlockall: { perform: plain, touches: everywhere },
  remap_file_pages: onRange([EINVAL, ENOMEM, EPERM])
}
