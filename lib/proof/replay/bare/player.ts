/** Performs a log that shows no maps, and compares every answer. Floor 9.
 *
 * What the log does not determine is kept apart: memory of which nobody knows whether it is mapped is hidden (territory.ts).
 * A call whose answer depends on it is unanchored, and only as far as something hidden really can explain the answer.
 */
import { nameOf } from "../../../flags/Errno.ts"
import { pageOf } from "../../../mm/base/units.ts"
import { RLIMIT_AS, RLIMIT_DATA } from "../../../mm/store/tasks.ts"
import type { Call, Event, Signal } from "../event.ts"
import { signalContradicts } from "../drift.ts"
import { Journal } from "../journal.ts"
import type { Mark, Player, Verdict } from "../player.ts"
import { textOfResult } from "../words.ts"
import { brkJudge } from "./break.ts"
import { type Asked, type Judge, type Taken } from "./judge.ts"
import { mmapJudge } from "./mmap.ts"
import { mremapJudge } from "./mremap.ts"
import { rangeJudges } from "./ranges.ts"
import { controlSegment, getSegment, shmatJudge, shmdtJudge } from "./shm.ts"
import { type Got, gotOf, State } from "./state.ts"

const judges: Readonly<Record<string, Judge>> = {
  ...rangeJudges,
  mmap: mmapJudge,
  mremap: mremapJudge,
  brk: brkJudge,
  shmat: shmatJudge,
  shmdt: shmdtJudge
}

const NO_LIMIT = 2n ** 64n - 1n

const agreed: Verdict = { kind: "agreed" }
const other: Verdict = { kind: "other" }

/** The simulation, as a log without maps drives it. */
export class BarePlayer implements Player {
  readonly state = new State()
  private readonly journal = new Journal(this.state.world.k, () => this.state.save())

  perform(event: Event): Verdict {
    switch (event.kind) {
      case "call":
        return this.call(event)
      case "exec":
        return this.act(() => this.state.exec(event))
      case "clone":
        return this.act(() => this.state.clone(event))
      case "signal":
        return this.signal(event)
      case "end":
        return this.act(() => this.state.end(event.pid))
      case "drift":
      case "exit":
        return other
    }
  }

  mark(): Mark {
    return this.journal.mark()
  }

  back(mark: Mark): void {
    this.journal.back(mark)
  }

  settle(): void {
    this.journal.settle()
  }

  private call(call: Call): Verdict {
    const judge = judges[call.name]
    if (judge === undefined) return this.without(call)
    if (call.result.kind === "unknown") return { kind: "unanchored", why: "calls that never returned" }
    const { state } = this
    // asked for anew whenever it is done again: going back behind a fork makes its child another object
    const asked: Asked = {
      state,
      call,
      want: gotOf(call.result),
      get process() {
        return state.processOf(call.pid)
      }
    }
    if (call.args.includes(undefined) && call.name !== "mincore") {
      this.force(judge, asked)
      return { kind: "unanchored", why: "arguments that nobody can read" }
    }
    const mark = this.mark()
    const before = judge.before?.(asked)
    if (before !== undefined) {
      const again = (): Taken | undefined => judge.before?.(asked)
      return this.takes(again, asked.want, mark) ?? this.differs(judge, asked, again()?.step() ?? NaN)
    }
    const got = judge.perform(asked)
    if (got === undefined) {
      this.force(judge, asked)
      return { kind: "unmodelled" }
    }
    const doubt = judge.doubt?.(asked, got)
    if (got === asked.want) {
      judge.learn?.(asked)
      this.journal.add(() => {
        judge.perform(asked)
        judge.learn?.(asked)
      })
      return doubt === undefined ? agreed : { kind: "unanchored", why: doubt }
    }
    this.back(mark)
    for (let nth = 0; ; nth++) {
      // asked for anew each time: whoever went back has other objects in his hands than before
      const again = (): Taken | undefined => nthOf(judge.explain?.(asked, got) ?? [], nth)
      if (again() === undefined) break
      const verdict = this.takes(again, asked.want, mark)
      if (verdict !== undefined) return verdict
    }
    return this.differs(judge, asked, got)
  }

  /** Takes over what `find` finds, if that makes the call answer as recorded; else goes back. */
  private takes(find: () => Taken | undefined, want: Got, mark: Mark): Verdict | undefined {
    const taken = find()
    if (taken?.step() === want) {
      this.journal.add(() => void find()?.step())
      return { kind: "unanchored", why: taken.why }
    }
    this.back(mark)
    return undefined
  }

  private differs(judge: Judge, asked: Asked, got: Got): Verdict {
    this.force(judge, asked)
    return { kind: "differs", difference: { what: "result", linux: textOf(asked.want), ours: textOf(got) } }
  }

  private force(judge: Judge, asked: Asked): void {
    this.act(() => judge.force?.(asked))
  }

  /** A call that nothing is predicted of. */
  private without(call: Call): Verdict {
    const { args, name, result, rlim } = call
    const value = result.kind === "value" ? Number(result.value) : -1
    if (value < 0) return other
    const { state } = this
    if (name === "shmget") this.act(() => getSegment(state, state.processOf(call.pid), call, value))
    else if (rlim !== undefined) {
      const resource = Number(args[name === "setrlimit" ? 0 : 1])
      const isLimit = rlim.some((limit) => BigInt(limit) !== NO_LIMIT)
      if (isLimit && (resource === RLIMIT_AS || resource === RLIMIT_DATA)) this.act(() => state.limit(call.pid))
    } else if (name === "fcntl" || name === "prctl") this.act(() => state.attempt(state.processOf(call.pid), call))
    else if (name === "shmctl") this.act(() => controlSegment(state, state.processOf(call.pid), call))
    else if (changesMaps.has(name)) return { kind: "unmodelled" }
    return other
  }

  /** Does it, now and whenever it is to be done again. */
  private act(step: () => unknown): Verdict {
    step()
    this.journal.add(() => void step())
    return other
  }

  /** A fault says what is mapped; where several threads run it may have been otherwise when the fault happened. */
  private signal(event: Signal): Verdict {
    const process = this.state.processOf(event.pid)
    const { maple } = this.state.world.k
    const v = maple.lookup(process.space.mm, pageOf(event.addr))
    if (process.threads > 1 || this.state.territory.isHidden(v) || this.state.territory.isSolid(v)) return other
    const ours = signalContradicts(this.state.world, process.space, event.code, event.addr)
    if (ours === undefined) return agreed
    const linux = `${event.signal} ${event.code} at 0x${event.addr.toString(16)}`
    return { kind: "differs", difference: { what: "signal", linux, ours } }
  }
}

/** Calls that map or unmap something and are not built. */
const changesMaps: ReadonlySet<string> = new Set(["io_setup", "io_destroy", "map_shadow_stack", "uselib"])

const textOf = (got: Got): string =>
  got < 0
    ? textOfResult({ kind: "errno", errno: nameOf(got) ?? String(-got) })
    : textOfResult({ kind: "value", value: got })

function nthOf<A>(items: Iterable<A>, nth: number): A | undefined {
  let at = 0
  for (const item of items) if (at++ === nth) return item
  return undefined
}
