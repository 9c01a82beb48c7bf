/** Performs a log that shows no maps, and compares every answer. Floor 9.
 *
 * What the log does not determine is kept apart: memory of which nobody knows whether it is mapped is hidden (territory.ts).
 * A call whose answer depends on it is unanchored, and only as far as something hidden really can explain the answer.
 */
import { GUARD_INSTALL } from "../../../flags/AdviceFlags.ts"
import { ENOSYS, nameOf } from "../../../flags/Errno.ts"
import { pageOf } from "../../../mm/base/units.ts"
import { RLIMIT_AS, RLIMIT_DATA } from "../../../mm/store/tasks.ts"
import { signalContradicts } from "../drift.ts"
import type { Call, Event, Signal } from "../event.ts"
import type { Difference, Mark, Searcher, Verdict } from "../player.ts"
import { textOfResult } from "../words.ts"
import { ioDestroyJudge, ioSetupJudge } from "./aio.ts"
import { brkJudge } from "./break.ts"
import { type Asked, type Judge, KERNEL, type Taken } from "./judge.ts"
import { mmapJudge } from "./mmap.ts"
import { mremapJudge } from "./mremap.ts"
import { rangeJudges } from "./ranges.ts"
import { controlSegment, getSegment, shmatJudge, shmdtJudge } from "./shm.ts"
import { type Got, gotOf, State } from "./state.ts"
import { Steps } from "./steps.ts"
import { undoOf } from "./undo.ts"

const judges: Readonly<Record<string, Judge>> = {
  ...rangeJudges,
  mmap: mmapJudge,
  mremap: mremapJudge,
  brk: brkJudge,
  shmat: shmatJudge,
  shmdt: shmdtJudge,
  io_setup: ioSetupJudge,
  io_destroy: ioDestroyJudge
}

/** Calls that map or unmap something and are not built. */
const changesMaps: ReadonlySet<string> = new Set(["map_shadow_stack", "uselib"])

/** Calls that older kernels, or other configurations, do not have. */
const optional: ReadonlySet<string> = new Set(
  "mseal pkey_mprotect mlock2 remap_file_pages shmat shmdt io_setup io_destroy".split(" ")
)

const NO_LIMIT = 2n ** 64n - 1n

const agreed: Verdict = { kind: "agreed" }
const other: Verdict = { kind: "other" }

/** The simulation, as a log without maps drives it. */
export class BarePlayer implements Searcher {
  readonly state = new State()
  private readonly steps = new Steps(this.state.world.k, () => this.state.save())

  perform(event: Event): Verdict {
    const verdict = this.tryOut(event)
    if (verdict.kind === "differs" && event.kind === "call") this.force(event)
    return verdict
  }

  tryOut(event: Event): Verdict {
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
    return this.steps.mark()
  }

  back(mark: Mark): void {
    this.steps.back(mark)
  }

  settle(): void {
    this.steps.settle()
  }

  private askedOf(call: Call): Asked {
    const { state } = this
    return {
      state,
      call,
      want: gotOf(call.result),
      // whoever goes back behind a fork and does it again has another object for its child
      get process() {
        return state.processOf(call.pid)
      }
    }
  }

  private call(call: Call): Verdict {
    const judge = judges[call.name]
    if (judge === undefined) return this.without(call)
    if (call.result.kind === "unknown") return { kind: "unanchored", why: "calls that never returned" }
    if (call.args.includes(undefined) && call.vec === undefined && call.iov === undefined) {
      this.force(call)
      return { kind: "unanchored", why: "arguments that nobody can read" }
    }
    const asked = this.askedOf(call)
    if (asked.want === ENOSYS && optional.has(call.name)) return { kind: "unanchored", why: KERNEL }
    if (judge.before?.(asked) === undefined) return this.predict(judge, asked)
    const tried = this.take(() => judge.before?.(asked), asked.want)
    return typeof tried === "number" ? differs(asked, tried) : tried
  }

  private predict(judge: Judge, asked: Asked): Verdict {
    // worth it where going back is likely: calls overlap, or little is known yet
    const isLikely = this.steps.isOpen || this.state.factsOf(asked.process.space).anchor === undefined
    const prepared = isLikely ? undoOf(judge, asked) : undefined
    const got = judge.perform(asked)
    if (got === undefined) {
      this.force(asked.call)
      return asked.call.fd === undefined
        ? { kind: "unmodelled" }
        : { kind: "unanchored", why: "what a device maps, and where" }
    }
    if (got !== asked.want) {
      if (prepared === undefined) this.steps.clear()
      else prepared(got).undo()
      return this.explain(judge, asked, got)
    }
    const doubt = judge.doubt?.(asked, got)
    judge.learn?.(asked)
    this.steps.add(prepared?.(got), () => {
      const again = undoOf(judge, asked)
      judge.perform(asked)
      judge.learn?.(asked)
      return again?.(got)
    })
    return doubt === undefined ? agreed : { kind: "unanchored", why: doubt }
  }

  /** Tries what may explain the answer; if nothing does, Linux did something else. */
  private explain(judge: Judge, asked: Asked, got: Got): Verdict {
    for (let nth = 0; ; nth++) {
      // found anew each time: after going back there may be other objects
      const find = (): Taken | undefined => nthOf(judge.explain?.(asked, got) ?? [], nth)
      if (find() === undefined) return differs(asked, got)
      const tried = this.take(find, asked.want)
      if (typeof tried !== "number") return tried
    }
  }

  /** Takes over what `find` finds, if that makes the call answer as recorded; else nothing has happened, and this is what
   * it would answer.
   */
  private take(find: () => Taken | undefined, want: Got): Verdict | Got {
    const taken = find()
    const got = taken?.step() ?? NaN
    if (taken === undefined || got !== want) {
      this.steps.clear()
      return got
    }
    this.steps.add(undefined, () => void find()?.step())
    return { kind: "unanchored", why: taken.why }
  }

  /** Does as Linux did, as far as that is possible. */
  private force(call: Call): void {
    this.act(() => judges[call.name]?.force?.(this.askedOf(call)))
  }

  /** A call that nothing is predicted of. */
  private without(call: Call): Verdict {
    const { args, name, pid, result, rlim } = call
    const value = result.kind === "value" ? Number(result.value) : -1
    if (value < 0) return other
    const { state } = this
    if (name === "shmget") return this.act(() => getSegment(state, state.processOf(pid), call, value))
    if (name === "shmctl") return this.act(() => controlSegment(state, state.processOf(pid), call))
    if (name === "fcntl" || name === "prctl") return this.act(() => state.attempt(state.processOf(pid), call))
    if (name === "pkey_alloc") return this.act(() => state.keys.add(value))
    if (changesMaps.has(name)) return { kind: "unmodelled" }
    const resource = Number(args[name === "setrlimit" ? 0 : 1])
    const isLimit = rlim?.some((limit) => BigInt(limit) !== NO_LIMIT) === true
    return isLimit && (resource === RLIMIT_AS || resource === RLIMIT_DATA) ? this.act(() => state.limit(pid)) : other
  }

  /** Does it, now and whenever it is to be done again. */
  private act(step: () => unknown): Verdict {
    this.steps.do(() => void step())
    return other
  }

  /** A fault says what is mapped; where several threads run it may have been otherwise when the fault happened. */
  private signal(event: Signal): Verdict {
    const process = this.state.processOf(event.pid)
    const { maple } = this.state.world.k
    const v = maple.lookup(process.space.mm, pageOf(event.addr))
    if (process.threads > 1 || this.state.territory.isHidden(v) || this.state.territory.isSolid(v)) return other
    // guards are not put into the simulation: where there may be one is not told apart from where there is none
    if (v !== 0 && event.code === "SEGV_MAPERR" && this.state.advice.has(GUARD_INSTALL)) return other
    const ours = signalContradicts(this.state.world, process.space, event.code, event.addr)
    if (ours === undefined) return agreed
    return unlike("signal", `${event.signal} ${event.code} at 0x${event.addr.toString(16)}`, ours)
  }
}

const unlike = (what: string, linux: string, ours: string): Verdict => {
  const difference: Difference = { what, linux, ours }
  return { kind: "differs", difference }
}

const differs = ({ want }: Asked, got: Got): Verdict => unlike("result", textOf(want), textOf(got))

function textOf(got: Got): string {
  if (Number.isNaN(got)) return "an answer that the log does not determine, but not this one"
  return textOfResult(got < 0 ? { kind: "errno", errno: nameOf(got) ?? String(-got) } : { kind: "value", value: got })
}

function nthOf<A>(items: Iterable<A>, nth: number): A | undefined {
  let at = 0
  for (const item of items) if (at++ === nth) return item
  return undefined
}
