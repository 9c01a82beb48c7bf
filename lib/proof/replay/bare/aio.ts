/** io_setup and io_destroy: the kernel maps a ring of its own, whose size depends on the number of processors. Floor 9. */
import { VM_DONTCOPY, VM_DONTEXPAND } from "../../../flags/bits.ts"
import { OK } from "../../../flags/Errno.ts"
import { READ, WRITE } from "../../../flags/ProtFlags.ts"
import { pageOf } from "../../../mm/base/units.ts"
import { TASK_PAGES } from "../../../mm/base/units.ts"
import { arg, type Asked, type Judge, nothingDone, type Taken } from "./judge.ts"
import type { Got } from "./state.ts"

const SIZE = "how large rings of io_setup are"

export const ioSetupJudge: Judge = {
  perform: () => undefined,
  before: (asked) => (asked.want === OK ? { why: SIZE, step: () => make(asked) } : nothingDone(asked, SIZE))
}

export const ioDestroyJudge: Judge = {
  perform: () => undefined,
  before: (asked) => (asked.want === OK ? destroy(asked) : nothingDone(asked, SIZE))
}

/** The ring reaches up to whatever is above it, for it was put into the highest hole that had room. */
function make({ call, process, state, want }: Asked): Got {
  const { maple, vmas } = state.world.k
  const { mm } = process.space
  const at = call.iov?.[0]?.[0]
  if (at === undefined) return want
  const start = pageOf(at)
  const above = maple.find(mm, start)
  const end = above === 0 ? TASK_PAGES : vmas.startOf(above)
  const isThere = end > start && maple.gapDown(mm, end - start, 1, TASK_PAGES) === start
  if (!isThere && !state.territory.touches(mm, start, start + 1)) return NaN
  state.territory.put(mm, start, isThere ? end : start + 1, READ | WRITE, VM_DONTCOPY | VM_DONTEXPAND)
  return want
}

function destroy({ call, process, state, want }: Asked): Taken {
  const { maple, vmas } = state.world.k
  const { mm } = process.space
  const step = (): Got => {
    const v = maple.lookup(mm, pageOf(arg(call, 0)))
    if (v === 0 || state.territory.isHidden(v)) return want
    if (!state.territory.isSolid(v)) return NaN
    state.territory.unmap(mm, vmas.startOf(v), vmas.endOf(v))
    return want
  }
  return { why: SIZE, step }
}
