/** Numbers of System V segments and protection keys: they are the kernel's choice, so the log's are not ours. Floor 9. */
import { lowBits } from "../../mm/base/units.ts"
import { type Answer, answer } from "./answer.ts"
import type { Call } from "./event.ts"
import type { Process, World } from "./world.ts"

const IPC_RMID = 0
/** IPC_RMID, SHM_LOCK, SHM_UNLOCK: commands of shmctl that answer no number of the kernel's choice. */
const predictable: ReadonlySet<number> = new Set([IPC_RMID, 11, 12])

const other: Answer = { kind: "other" }

/** As `answer`, where such numbers among arguments and results are the log's. */
export function answerWithNumbers(world: World, process: Process, call: Call): Answer {
  switch (call.name) {
    case "shmget":
      return get(world, process, call)
    case "shmat":
      return translated(world, process, call)
    case "shmctl":
      return predictable.has(lowBits(call.args[1] ?? 0)) ? translated(world, process, call) : other
    case "pkey_mprotect":
      return answer(world, process, setsKey(call) ? { ...call, args: call.args.with(3, NO_KEY) } : call)
    default:
      return answer(world, process, call)
  }
}

const NO_KEY = -1

/** Does the call give memory a protection key? The simulation's processor has none: it changes the protection only. */
export const setsKey = ({ args, name, result }: Call): boolean =>
  name === "pkey_mprotect" && result.kind === "value" && lowBits(args[3] ?? 0) >= 0

function get(world: World, process: Process, call: Call): Answer {
  const ours = answer(world, process, call)
  const { result } = call
  if (ours.kind === "value" && result.kind === "value") {
    world.segments.set(Number(result.value), Number(ours.value))
    return result
  }
  if (ours.kind !== "value") return ours.kind === "errno" && result.kind === "value" ? other : ours
  // somebody made the segment whom the log does not show
  answer(world, process, { ...call, name: "shmctl", args: [ours.value, IPC_RMID, 0] })
  return result.kind === "errno" && result.errno === "EEXIST" ? other : ours
}

/** The call, with our number of its segment. */
function translated(world: World, process: Process, call: Call): Answer {
  const { args, name, result } = call
  const ours = world.segments.get(Number(args[0] ?? 0))
  if (ours === undefined && result.kind === "value")
    return { kind: "unmodelled", what: `${name} of a segment that the log does not make` }
  return answer(world, process, { ...call, args: args.with(0, ours ?? -1) })
}
