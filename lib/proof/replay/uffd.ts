/** userfaultfd in logs: descriptors are the log's, contexts are ours. Floor 9.
 *
 * What registers and unregisters areas is judged. Pages that are filled, moved or protected change no map, and what that
 * answers depends on which pages there were and on the features asked for, neither of which the log tells: it is performed
 * where it succeeded, and not judged.
 */
import { API } from "../../flags/UffdFlags.ts"
import { lowBits, type Word } from "../../mm/base/units.ts"
import { userfaultfd } from "../../mm/sys/userfaultfd.ts"
import { calls } from "../calls.ts"
import type { Call } from "./event.ts"
import type { Process, World } from "./world.ts"

/** `type` of its ioctls, and the one of /dev/userfaultfd. */
const TYPE = 0xaa
const NEW = 0xaa00

/** What such a call answers; undefined: it is not judged. */
export function uffdAnswer(world: World, process: Process, call: Call): number | undefined {
  const { args, name, result } = call
  if (name === "userfaultfd") return open(world, process, result.kind === "value" ? result.value : -1, args[0] ?? 0)
  const command = lowBits(args[1] ?? 0)
  if (((command >> 8) & 0xff) !== TYPE) return undefined
  if (command === NEW) return open(world, process, result.kind === "value" ? result.value : -1, args[2] ?? 0)
  return ioctl(world, process, call, command & 0xff)
}

/** A descriptor like the one that the log shows. */
function open({ k }: World, process: Process, theirs: Word, flags: Word): number | undefined {
  if (theirs < 0) return undefined
  const ours = userfaultfd(k, process.task, flags)
  if (ours >= 0) process.uffds = new Map(process.uffds).set(Number(theirs), ours)
  return undefined
}

function ioctl(world: World, process: Process, { args, result, uffd = [] }: Call, number: number): number | undefined {
  const fd = process.uffds.get(Number(args[0] ?? -1))
  const name = names[number]
  if (fd === undefined || name === undefined || uffd.length === 0) return undefined
  // agreed without features, whatever was asked for: what is stored here are those that Linux has
  const words = name === "uffdio_api" ? [API, 0] : uffd
  const isJudged = judged.has(name)
  if (!isJudged && result.kind !== "value") return undefined
  const made = calls[name]?.(world.k, process.task, (at) => (at === 0 ? fd : (words[at - 1] ?? 0)))
  if (made === undefined) return undefined
  const ours = typeof made === "number" ? made : world.run(() => made)
  return isJudged ? ours : undefined
}

/** Its ioctls by their numbers, as the table of calls names them. */
const names: Readonly<Record<number, string>> = {
  0x00: "uffdio_register",
  0x01: "uffdio_unregister",
  0x03: "uffdio_copy",
  0x04: "uffdio_zeropage",
  0x05: "uffdio_move",
  0x06: "uffdio_writeprotect",
  0x07: "uffdio_continue",
  0x08: "uffdio_poison",
  0x3f: "uffdio_api"
}

const judged: ReadonlySet<string> = new Set(["uffdio_register", "uffdio_unregister"])
