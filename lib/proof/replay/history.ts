/** The address space of one process over its calls, looked at now and then. Floor 9. */
import { type Area, areasOf } from "./areas.ts"
import type { Call } from "./event.ts"
import type { Process, World } from "./world.ts"

/** Looks that a history has at most. */
const MOST_LOOKS = 480

/** The address space after one call. */
export interface Look {
  /** Number of the call in its log. */
  readonly n: number
  readonly areas: readonly Area[]
}

/** Looks at process `pid`, which makes `calls` calls, at even distances and after the last one. */
export class History {
  /** In the order of the calls. */
  readonly looks: Look[] = []
  private readonly seen = new Map<number, number>()
  private readonly step: number

  constructor(
    readonly pid: number,
    readonly calls: number
  ) {
    this.step = Math.max(1, Math.ceil(calls / MOST_LOOKS))
  }

  /** A call was performed; or performed anew, when overlapping calls were put in another order. */
  watch(call: Call, process: Process, world: World): void {
    if (process.pid !== this.pid) return
    const index = this.seen.get(call.n) ?? this.seen.size
    this.seen.set(call.n, index)
    if (index % this.step !== 0 && index !== this.calls - 1) return
    const look: Look = { n: call.n, areas: areasOf(world.k, process.space.mm) }
    const at = this.looks.findLastIndex((other) => other.n === call.n)
    if (at >= 0) this.looks[at] = look
    else this.looks.push(look)
  }
}
