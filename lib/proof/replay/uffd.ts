/** userfaultfd in logs: descriptors are the log's, contexts are ours; what registers and unregisters areas is performed.
 * Floor 9.
 *
 * Pages that were filled, moved or protected through a userfaultfd change no map, and what they answer depends on which
 * pages there were: such calls are not judged. Which features were asked for, the log does not tell.
 */
import { API } from "../../flags/UffdFlags.ts"
import { lowBits, type Word } from "../../mm/base/units.ts"
import { uffdRegister, uffdUnregister } from "../../mm/sys/uffd-register.ts"
import { uffdApi, userfaultfd } from "../../mm/sys/userfaultfd.ts"
import type { Call } from "./event.ts"
import type { Process, World } from "./world.ts"

/** `type` of its ioctls, and their numbers. */
const TYPE = 0xaa
const NEW = 0xaa00
const UFFDIO_API = 0x3f
const UFFDIO_REGISTER = 0x00
const UFFDIO_UNREGISTER = 0x01

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

function ioctl(world: World, process: Process, { args, result, uffd }: Call, number: number): number | undefined {
  const fd = process.uffds.get(Number(args[0] ?? -1))
  if (fd === undefined || uffd === undefined) return undefined
  const { k } = world
  const { task } = process
  const [start = 0, len = 0, mode = 0] = uffd
  if (number === UFFDIO_REGISTER) return world.run(() => uffdRegister(k, task, fd, start, len, mode))
  if (number === UFFDIO_UNREGISTER) return world.run(() => uffdUnregister(k, task, fd, start, len))
  if (number === UFFDIO_API && result.kind === "value") uffdApi(k, task, fd, API, 0)
  return undefined
}
