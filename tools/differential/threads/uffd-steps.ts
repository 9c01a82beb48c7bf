/** The steps on userfaultfds, on our machine. */
import { nameOf } from "../../../lib/flags/Errno.ts"
import * as UFFD from "../../../lib/flags/UffdFlags.ts"
import type { StopName, Verb } from "../../../lib/mm/base/stop.ts"
import { PAGE_SIZE } from "../../../lib/mm/base/units.ts"
import type { Kernel } from "../../../lib/mm/kernel.ts"
import { close } from "../../../lib/mm/sys/fd.ts"
import { uffdContinue, uffdCopy, uffdPoison, uffdZeropage } from "../../../lib/mm/sys/uffd-fill.ts"
import { uffdMove } from "../../../lib/mm/sys/uffd-move.ts"
import { MESSAGE, uffdRead } from "../../../lib/mm/sys/uffd-read.ts"
import { uffdRegister, uffdUnregister, uffdWake } from "../../../lib/mm/sys/uffd-register.ts"
import { uffdWriteprotect } from "../../../lib/mm/sys/uffd-wp.ts"
import { uffdApi, userfaultfd } from "../../../lib/mm/sys/userfaultfd.ts"
import { call, settle } from "../../../lib/proof/testing/calls.ts"
import { ARENA, placeText } from "./look.ts"
import type { Step } from "./script.ts"

/** Messages that are read at once, at most. */
const MOST_MESSAGES = 16

/** An errno's name, `ok` for 0, or the number. */
export const outcome = (r: number): string => (r < 0 ? (nameOf(r) ?? String(r)) : r === 0 ? "ok" : String(r))

/** Performs a step on the userfaultfds of `task`, whose descriptors are `uffds`: new ones are added, closed ones are -1.
 * @param source - address of the pages that are copied
 */
export function onUffd(k: Kernel, task: number, uffds: number[], { name, numbers }: Step, source: number): string {
  const [which = 0, first = 0, pages = 0, mode = 0, from = 0] = numbers
  const now = (verb: Verb<StopName> | number): string => outcome(typeof verb === "number" ? verb : call(k, () => verb))
  const done = (verb: Verb<StopName>): string => `${now(verb)} done ${outcome(k.out[0]!)}`
  if (name === "userfaultfd") {
    const fd = userfaultfd(k, task, UFFD.NONBLOCK | UFFD.CLOEXEC | first)
    if (fd < 0) return outcome(fd)
    uffds.push(fd)
    return now(uffdApi(k, task, fd, UFFD.API, which))
  }
  const fd = uffds[which] ?? -1
  if (fd < 0) return "none"
  const start = (ARENA + first) * PAGE_SIZE
  const length = pages * PAGE_SIZE
  switch (name) {
    case "register": {
      const said = now(uffdRegister(k, task, fd, start, length, mode))
      return said === "ok" ? `ok ioctls ${k.out[0]!.toString(16)}` : said
    }
    case "unregister":
      return now(uffdUnregister(k, task, fd, start, length))
    case "wake":
      return now(uffdWake(k, task, fd, start, length))
    case "protect":
      return now(uffdWriteprotect(k, task, fd, start, length, mode))
    case "copy":
      return done(uffdCopy(k, task, fd, start, source, length, mode))
    case "zero":
      return done(uffdZeropage(k, task, fd, start, length, mode))
    case "continue":
      return done(uffdContinue(k, task, fd, start, length, mode))
    case "poison":
      return done(uffdPoison(k, task, fd, start, length, mode))
    case "move":
      return done(uffdMove(k, task, fd, start, (ARENA + from) * PAGE_SIZE, length, mode))
    case "read":
      return read(k, task, uffds, fd)
    case "close":
      uffds[which] = -1
      close(k, task, fd)
      settle(k)
      return "ok"
    default:
      throw new Error(`there is no step ${name}`)
  }
}

function read(k: Kernel, task: number, uffds: number[], fd: number): string {
  const into = new Uint8Array(MOST_MESSAGES * MESSAGE)
  const r = call(k, () => uffdRead(k, task, fd, into))
  if (r < 0) return outcome(r)
  const messages = Array.from({ length: r / MESSAGE }, (_, i) => new DataView(into.buffer, i * MESSAGE, MESSAGE))
  return messages.map((message) => textOfMessage(message, uffds)).join(", ")
}

function textOfMessage(message: DataView, uffds: number[]): string {
  const word = (offset: number): number => Number(message.getBigUint64(offset, true))
  const place = (offset: number): string => placeText(word(offset))
  switch (message.getUint8(0)) {
    case UFFD.EVENT_PAGEFAULT: {
      const flags = word(8)
      const wp = (flags & UFFD.PAGEFAULT_FLAG_WP) !== 0 ? " wp" : ""
      const minor = (flags & UFFD.PAGEFAULT_FLAG_MINOR) !== 0 ? " minor" : ""
      return `fault ${place(16)}${wp}${minor} ${(flags & UFFD.PAGEFAULT_FLAG_WRITE) !== 0 ? "write" : "read"}`
    }
    case UFFD.EVENT_FORK:
      return `fork u${uffds.push(message.getUint32(8, true)) - 1}`
    case UFFD.EVENT_REMAP:
      return `remap ${place(8)} ${place(16)} ${word(24) / PAGE_SIZE}`
    case UFFD.EVENT_REMOVE:
      return `remove ${place(8)} ${place(16)}`
    case UFFD.EVENT_UNMAP:
      return `unmap ${place(8)} ${place(16)}`
    default:
      return "unknown"
  }
}
