/** Performs one call of a log on the simulation; answers what it answers. Floor 9. */
import { COLD, COLLAPSE, PAGEOUT, WILLNEED } from "../../flags/AdviceFlags.ts"
import { nameOf as nameOfErrno } from "../../flags/Errno.ts"
import { ANONYMOUS } from "../../flags/MapFlags.ts"
import { isZero, lowBits, type Word } from "../../mm/base/units.ts"
import { mincore } from "../../mm/sys/mincore.ts"
import { personality } from "../../mm/sys/personality.ts"
import { processMadvise } from "../../mm/sys/process-madvise.ts"
import { setrlimit } from "../../mm/sys/rlimit.ts"
import { MAX_FDS } from "../../mm/store/tasks.ts"
import { calls } from "../calls.ts"
import type { Call, FileRef, Result } from "./event.ts"
import { isOpen, kindOf, UNKNOWN_KIND } from "./files.ts"
import { uffdAnswer } from "./uffd.ts"
import { type Process, Waits, type World } from "./world.ts"

/** What becomes of a call: its answer; `other`, it is none of memory's; `unmodelled`, it is, but it is not built. */
export type Answer = Result | { readonly kind: "other" } | { readonly kind: "unmodelled"; readonly what: string }

/** The descriptor under which the simulation is shown the file of a call: the last one, which nobody else gets. */
const SLOT = MAX_FDS - 1
const CLOSED = -1

const other: Answer = { kind: "other" }
const unknown: Answer = { kind: "unknown" }

type Special = (world: World, process: Process, call: Call) => Answer

/** Calls that need more than their registers. */
const specials: Readonly<Record<string, Special>> = {
  mmap: (world, process, call) =>
    (lowBits(arg(call, 3)) & ANONYMOUS) !== 0
      ? plain(world, process, call.name, call.args)
      : withFile(world, process, call, 4),
  personality: (world, process, call) => {
    personality(world.k, process.task, arg(call, 0))
    return other // what it was before, the log may not tell
  },
  userfaultfd: (world, process, call) => uffd(world, process, call),
  ioctl: (world, process, call) => uffd(world, process, call),
  mincore: (world, process, call) =>
    valueOf(world.run(() => mincore(world.k, process.task, arg(call, 0), arg(call, 1), arg(call, 2)))),
  process_madvise: (world, process, call) => {
    const { iov, result } = call
    if (isZero(arg(call, 4)) && call.fd === undefined && isErrno(result, "EBADF")) return result
    if (iov === undefined || iov.length < Number(arg(call, 2))) return other
    const { task } = process
    const ours = valueOf(world.run(() => processMadvise(world.k, task, task, iov, arg(call, 3), arg(call, 4))))
    // whose descriptor it is the log does not tell; to others one can only say what changes no map
    return aboutPages.has(lowBits(arg(call, 3))) && !sameResult(ours, result) ? other : ours
  },
  setrlimit: (world, process, call) => limit(world, process, call, arg(call, 0)),
  prlimit64: (world, process, call) => {
    const pid = lowBits(arg(call, 0))
    const target = pid === 0 || pid === call.tid ? process : world.find(pid)
    return target === undefined ? other : limit(world, target, call, arg(call, 1))
  },
  fcntl: (world, process, call) => (call.fd === undefined ? other : withFile(world, process, call, 0))
}

/** Advice that may be given to other processes. */
const aboutPages: ReadonlySet<number> = new Set([COLD, PAGEOUT, WILLNEED, COLLAPSE])

/** Calls that have to do with an address space. What the table of calls does not have of them is not built. */
const ofMemory: ReadonlySet<string> = new Set([
  ...Object.keys(specials),
  "mprotect",
  "pkey_mprotect",
  "munmap",
  "mremap",
  "madvise",
  "mseal",
  "msync",
  "remap_file_pages",
  "brk",
  "mlock",
  "mlock2",
  "munlock",
  "mlockall",
  "munlockall",
  "shmget",
  "shmat",
  "shmdt",
  "shmctl",
  "prctl",
  "map_shadow_stack",
  "io_setup",
  "io_destroy",
  "uselib"
])

/** Does a call of this name have to do with an address space? */
export const isOfMemory = (name: string): boolean => ofMemory.has(name)

/** Performs `call`, which `process` makes. */
export function answer(world: World, process: Process, call: Call): Answer {
  try {
    return perform(world, process, call)
  } catch (error) {
    // a fault that another thread answered through a userfaultfd, and who knows with what
    if (error instanceof Waits) return unknown
    throw error
  }
}

function perform(world: World, process: Process, call: Call): Answer {
  const special = specials[call.name]
  if (special !== undefined) return special(world, process, call)
  if (!isOfMemory(call.name)) return other
  return plain(world, process, call.name, call.args)
}

const isErrno = (result: Result, name: string): boolean => result.kind === "errno" && result.errno === name

/** Is an answer the recorded one? */
export function sameResult(ours: Answer, linux: Result): boolean {
  if (ours.kind === "errno" && linux.kind === "errno") return ours.errno === linux.errno
  return ours.kind === "value" && linux.kind === "value" && BigInt(ours.value) === BigInt(linux.value)
}

function uffd(world: World, process: Process, call: Call): Answer {
  const made = uffdAnswer(world, process, call)
  return made === undefined ? other : valueOf(made)
}

const arg = (call: Call, at: number): Word => call.args[at] ?? 0

function plain(world: World, { task }: Process, name: string, args: readonly (Word | undefined)[]): Answer {
  const made = calls[name]?.(world.k, task, (at) => args[at] ?? 0)
  if (made === undefined) return { kind: "unmodelled", what: name }
  return valueOf(typeof made === "number" ? made : world.run(() => made))
}

/** The call, with its file where the simulation finds it. */
function withFile(world: World, process: Process, call: Call, at: number): Answer {
  const { k } = world
  const { fd, name } = call
  const args = [...call.args]
  args[at] = CLOSED
  if (fd !== undefined && isOpen(fd)) {
    if (kindOf(fd) === UNKNOWN_KIND) return { kind: "unmodelled", what: `${name} of ${deviceOf(fd)}` }
    args[at] = SLOT
    k.tasks.setFile(process.task, SLOT, world.files.open(fd))
  }
  try {
    return plain(world, process, name, args)
  } finally {
    k.tasks.setFile(process.task, SLOT, 0)
  }
}

const deviceOf = ({ path }: FileRef): string => path.replaceAll(/\d+/g, "N")

function limit(world: World, target: Process, call: Call, resource: Word): Answer {
  const { rlim } = call
  const isRead = call.name === "prlimit64" && isZero(arg(call, 2))
  if (isRead || rlim === undefined) return other
  return valueOf(setrlimit(world.k, target.task, resource, rlim[0], rlim[1]))
}

const valueOf = (value: number): Answer =>
  value < 0 ? { kind: "errno", errno: nameOfErrno(value) ?? String(-value) } : { kind: "value", value }
