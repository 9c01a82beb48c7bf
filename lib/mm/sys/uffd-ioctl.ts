/** ioctl(2) of a userfaultfd: its structs, in the caller's memory. Floor 6.
 *
 *     handshake?  ->  is the address space changing?  ->  read the struct, but not its last field  ->  doX  ->  write the last field
 *
 * What only reads its struct: UNREGISTER, WAKE, WRITEPROTECT. Who cannot have the result written gets EFAULT, with everything
 * done; waiters stay asleep then.
 * @source fs/userfaultfd.c userfaultfd_ioctl, userfaultfd_api (v6.18)
 */
import { EAGAIN, EFAULT, EINVAL, OK } from "../../flags/Errno.ts"
import * as UFFD from "../../flags/UffdFlags.ts"
import type { Verb } from "../base/stop.ts"
import { lowBits, registerOf, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { FaultStops } from "../page/fault.ts"
import type { File } from "../store/files.ts"
import type { Mm } from "../store/mms.ts"
import type { Task } from "../store/tasks.ts"
import { type Into, isChanging, store } from "./uffd-args.ts"
import { doContinue, doCopy, doPoison, doZeropage } from "./uffd-fill.ts"
import { doMove } from "./uffd-move.ts"
import { doRegister, doUnregister, doWake } from "./uffd-register.ts"
import { doWriteprotect } from "./uffd-wp.ts"
import { copyFromUser, copyToUser } from "./usercopy.ts"
import { agree, wantedFeatures } from "./userfaultfd.ts"

/** Words that are read of each struct; what follows is written. */
const RANGE = 2
const RANGE_AND_MODE = 3
const TWO_PLACES_AND_MODE = 4

/** Performs a command on the open userfaultfd `f`.
 * @param arg - address of its struct
 * @returns OK | EINVAL no such command, or no handshake yet | EFAULT the struct cannot be read, or its result not written |
 *   what the command answers
 * @locks none held; as the command
 */
export function* uffdIoctl(k: Kernel, task: Task, f: File, command: Word, arg: Word): Verb<FaultStops> {
  const mm = k.tasks.mm(task)
  const at = registerOf(arg)
  const wanted = lowBits(command) >>> 0
  if (wanted === UFFD.IOCTL_API) return yield* api(k, task, f, mm, at)
  if (!k.uffds.isInitialized(k.files.private(f))) return EINVAL
  switch (wanted) {
    case UFFD.IOCTL_REGISTER:
      return yield* register(k, f, mm, at)
    case UFFD.IOCTL_UNREGISTER: {
      const range = yield* words(k, mm, at, RANGE)
      return range === undefined ? EFAULT : yield* doUnregister(k, f, range[0]!, range[1]!)
    }
    case UFFD.IOCTL_WAKE: {
      const range = yield* words(k, mm, at, RANGE)
      return range === undefined ? EFAULT : doWake(k, f, range[0]!, range[1]!)
    }
    case UFFD.IOCTL_WRITEPROTECT: {
      if (isChanging(k, f)) return EAGAIN
      const asked = yield* words(k, mm, at, RANGE_AND_MODE)
      return asked === undefined ? EFAULT : yield* doWriteprotect(k, f, asked[0]!, asked[1]!, asked[2]!)
    }
    case UFFD.IOCTL_COPY:
    case UFFD.IOCTL_MOVE:
      return yield* resolve(k, f, mm, at, TWO_PLACES_AND_MODE, (w, into) =>
        wanted === UFFD.IOCTL_COPY
          ? doCopy(k, task, f, w[0]!, w[1]!, w[2]!, w[3]!, into)
          : doMove(k, task, f, w[0]!, w[1]!, w[2]!, w[3]!, into)
      )
    case UFFD.IOCTL_ZEROPAGE:
      return yield* resolve(k, f, mm, at, RANGE_AND_MODE, (w, into) => doZeropage(k, f, w[0]!, w[1]!, w[2]!, into))
    case UFFD.IOCTL_CONTINUE:
      return yield* resolve(k, f, mm, at, RANGE_AND_MODE, (w, into) => doContinue(k, f, w[0]!, w[1]!, w[2]!, into))
    case UFFD.IOCTL_POISON:
      return yield* resolve(k, f, mm, at, RANGE_AND_MODE, (w, into) => doPoison(k, f, w[0]!, w[1]!, w[2]!, into))
    default:
      return EINVAL
  }
}

/** struct uffdio_api: version, features, ioctls. All three are written; zeroes where it is refused. What cannot be written was
 * not agreed upon.
 */
function* api(k: Kernel, task: Task, f: File, mm: Mm, at: bigint): Verb<FaultStops> {
  const asked = yield* words(k, mm, at, 3)
  if (asked === undefined) return EFAULT
  const wanted = wantedFeatures(k, task, asked[0]!, asked[1]!)
  if (wanted < 0) return yield* refused(k, mm, at, wanted)
  const all = BigUint64Array.of(BigInt(UFFD.API), BigInt(UFFD.FEATURES), UFFD.API_IOCTLS)
  if ((yield* copyToUser(k, mm, at, new Uint8Array(all.buffer))) !== 0) return EFAULT
  const r = agree(k, k.files.private(f), wanted)
  return r < 0 ? yield* refused(k, mm, at, r) : OK
}

function* refused(k: Kernel, mm: Mm, at: bigint, errno: number): Verb<FaultStops> {
  return (yield* copyToUser(k, mm, at, new Uint8Array(24))) === 0 ? errno : EFAULT
}

/** struct uffdio_register: range, mode; the mask of ioctls is written where it succeeds. */
function* register(k: Kernel, f: File, mm: Mm, at: bigint): Verb<FaultStops> {
  const asked = yield* words(k, mm, at, RANGE_AND_MODE)
  if (asked === undefined) return EFAULT
  const r = yield* doRegister(k, f, asked[0]!, asked[1]!, asked[2]!)
  return r < 0 ? r : yield* store(k, k.out[0]!, behind(mm, at, RANGE_AND_MODE))
}

/** An ioctl that resolves faults: `count` words are read, then one is written. */
function* resolve(
  k: Kernel,
  f: File,
  mm: Mm,
  at: bigint,
  count: number,
  act: (asked: BigUint64Array, into: Into) => Verb<FaultStops>
): Verb<FaultStops> {
  const into = behind(mm, at, count)
  if (isChanging(k, f)) return (yield* store(k, EAGAIN, into)) === OK ? EAGAIN : EFAULT
  const asked = yield* words(k, mm, at, count)
  return asked === undefined ? EFAULT : yield* act(asked, into)
}

/** The word behind the first `count` ones of a struct. */
const behind = (mm: Mm, at: bigint, count: number): Into => ({ mm, at: BigInt.asUintN(64, at + BigInt(count * 8)) })

/** The first `count` words of a struct; undefined: it cannot be read. */
function* words(k: Kernel, mm: Mm, at: bigint, count: number): Verb<FaultStops, BigUint64Array | undefined> {
  const read = new BigUint64Array(count)
  return (yield* copyFromUser(k, mm, at, new Uint8Array(read.buffer))) === 0 ? read : undefined
}
