/** Performs a log that shows no maps, and compares every answer. Floor 9.
 *
 * What the log does not determine is kept apart: memory of which nobody knows whether it is mapped is hidden (territory.ts).
 * A call whose answer depends on it is unanchored, and only as far as something hidden really can explain the answer.
 */
import { nameOf, OK } from "../../../flags/Errno.ts"
import { pageOf } from "../../../mm/base/units.ts"
import { RLIMIT_AS, RLIMIT_DATA } from "../../../mm/store/tasks.ts"
import type { Call, Clone, End, Event, Exec, Signal } from "../event.ts"
import { signalContradicts } from "../drift.ts"
import { Journal } from "../journal.ts"
import { textOfResult } from "../machine.ts"
import type { Mark, Player, Verdict } from "../player.ts"
import { brkJudge } from "./break.ts"
import { nothingKnown } from "./facts.ts"
import { type Asked, type Judge, type Taken } from "./judge.ts"
import { mmapJudge } from "./mmap.ts"
import { mremapJudge } from "./mremap.ts"
import { rangeJudges } from "./ranges.ts"
import { getSegment, shmatJudge, shmdtJudge } from "./shm.ts"
import { type Got, gotOf, State } from "./state.ts"

const judges: Readonly<Record<string, Judge>> = {
  ...rangeJudges,
  mmap: mmapJudge,
  mremap: mremapJudge,
  brk: brkJudge,
  shmat: shmatJudge,
  shmdt: shmdtJudge
}

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
        return this.exec(event)
      case "clone":
        return this.clone(event)
      case "signal":
        return this.signal(event)
      case "end":
        return this.end(event)
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
    const process = this.state.processOf(call.pid)
    const asked: Asked = { state: this.state, process, call, want: gotOf(call.result) }
    if (call.args.includes(undefined) && call.name !== "mincore") {
      this.force(judge, asked)
      return { kind: "unanchored", why: "arguments that nobody can read" }
    }
    const mark = this.mark()
    const before = judge.before?.(asked)
    if (before !== undefined) return this.takes(before, asked, mark) ?? this.differs(judge, asked, before.step())
    const got = judge.perform(asked)
    if (got === undefined) {
      this.force(judge, asked)
      return { kind: "unmodelled" }
    }
    if (got === asked.want) {
      judge.learn?.(asked)
      this.journal.add(() => {
        judge.perform(asked)
        judge.learn?.(asked)
      })
      return agreed
    }
    this.back(mark)
    for (const taken of judge.explain?.(asked, got) ?? []) {
      const verdict = this.takes(taken, asked, mark)
      if (verdict !== undefined) return verdict
    }
    return this.differs(judge, asked, got)
  }

  /** Takes over what the log says, if that makes the call answer as recorded; else goes back. */
  private takes({ step, why }: Taken, { want }: Asked, mark: Mark): Verdict | undefined {
    if (step() === want) {
      this.journal.add(step)
      return { kind: "unanchored", why }
    }
    this.back(mark)
    return undefined
  }

  private differs(judge: Judge, asked: Asked, got: Got): Verdict {
    this.force(judge, asked)
    return { kind: "differs", difference: { what: "result", linux: textOf(asked.want), ours: textOf(got) } }
  }

  private force(judge: Judge, asked: Asked): void {
    const step = (): void => judge.force?.(asked)
    step()
    this.journal.add(step)
  }

  /** A call that nothing is predicted of. */
  private without(call: Call): Verdict {
    const { args, name, result, rlim } = call
    const value = result.kind === "value" ? Number(result.value) : -1
    if (value >= 0 && name === "shmget") {
      const process = this.state.processOf(call.pid)
      const step = (): void => getSegment(this.state, process, call, value)
      step()
      this.journal.add(step)
    } else if (value === OK && rlim !== undefined) {
      const resource = Number(args[name === "setrlimit" ? 0 : 1])
      if (resource === RLIMIT_AS || resource === RLIMIT_DATA) this.limit(call)
    } else if (value === OK && (name === "fcntl" || name === "prctl" || name === "shmctl")) this.follow(call)
    else if (value >= 0 && changesMaps.has(name)) return { kind: "unmodelled" }
    return other
  }

  /** Done on the simulation as well, whatever it answers there: seals, a refusal of executable memory, a removed segment. */
  private follow(call: Call): void {
    const process = this.state.processOf(call.pid)
    const id = call.name === "shmctl" ? this.state.segments.get(Number(call.args[0])) : undefined
    const ours = id === undefined ? call : { ...call, args: [id, ...call.args.slice(1)] }
    if (call.name === "shmctl" && id === undefined) return
    const step = (): void => void this.state.attempt(process, ours)
    step()
    this.journal.add(step)
  }

  private limit(call: Call): void {
    const { space } = this.state.processOf(call.pid)
    const step = (): void => this.state.learn(space, { ...this.state.factsOf(space), isLimited: true })
    step()
    this.journal.add(step)
  }

  private exec(event: Exec): Verdict {
    const before = this.state.processOf(event.pid)
    const { isLimited } = this.state.factsOf(before.space)
    const { space } = this.state.world.exec(event, [])
    this.state.begin(space, { ...nothingKnown, isWhole: true, isLimited })
    this.state.forgetTheDead()
    this.journal.take()
    return other
  }

  private clone(event: Clone): Verdict {
    const parent = this.state.processOf(event.pid)
    const child = this.state.world.clone(event)
    if (child !== undefined && !event.sharesMemory) this.state.learn(child.space, this.state.factsOf(parent.space))
    this.journal.take()
    return other
  }

  private end(event: End): Verdict {
    const process = this.state.world.find(event.pid)
    if (process !== undefined) this.state.world.end(process)
    this.state.forgetTheDead()
    this.journal.take()
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
