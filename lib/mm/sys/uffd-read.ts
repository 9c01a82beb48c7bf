/** read(2) of a userfaultfd: messages of 32 bytes, faults before events. Floor 6.
 *
 *     fault   pending -> read: it waits on for its answer, and is not told of twice
 *     event   told, and whoever raised it goes on; of a fork, once the child's descriptor is there
 *
 * @source fs/userfaultfd.c userfaultfd_read_iter, userfaultfd_ctx_read, resolve_userfault_fork (v6.18)
 */
import { EAGAIN, EFAULT, EINTR, EINVAL, OK } from "../../flags/Errno.ts"
import * as UFFD from "../../flags/UffdFlags.ts"
import { fget, fput } from "../area/object.ts"
import { isReadable } from "../area/uffd.ts"
import { KILLABLE, type StopName, U_READ, type Verb, WAIT_UFFD } from "../base/stop.ts"
import { registerOf, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { FaultStops } from "../page/fault.ts"
import { FILE_NONBLOCK, type File } from "../store/files.ts"
import type { Task } from "../store/tasks.ts"
import { Q_EVENTS, Q_PENDING, Q_READ, Q_READERS, type Uffd } from "../store/uffds.ts"
import { anyUffdFile, uffdFile } from "./uffd-args.ts"
import { copyToUser } from "./usercopy.ts"
import { installUffd, pollOf } from "./userfaultfd.ts"

/** Bytes of a message. */
export const MESSAGE = 32

/** Reads as many whole messages as fit into `into`; waits for the first one only, unless the descriptor does not wait.
 * @returns bytes | EBADF | ENOTTY | EINVAL no handshake, or no room for one message | EAGAIN nothing there | EINTR | EMFILE, ENFILE
 *   no room for a child's descriptor: its event goes behind the others
 * @locks none
 */
export function* uffdRead(k: Kernel, task: Task, fd: Word, into: Uint8Array): Verb<"WAIT_UFFD" | "PREEMPT"> {
  const f = uffdFile(k, task, fd)
  if (f < 0) return f
  return yield* messages<never>(k, task, f, into.length, (message, at) => {
    into.set(message, at)
    return OK
  })
}

/** `uffdRead` of an open file into the caller's memory, message by message.
 * @returns as `uffdRead` | EFAULT the memory cannot be written: that message is lost
 * @locks none held
 */
export function* uffdReadUser(k: Kernel, task: Task, f: File, addr: Word, len: number): Verb<FaultStops> {
  if (!k.uffds.isInitialized(k.files.private(f))) return EINVAL
  const to = registerOf(addr)
  const mm = k.tasks.mm(task)
  return yield* messages(k, task, f, len, function* (message, at): Verb<FaultStops> {
    return (yield* copyToUser(k, mm, to + BigInt(at), message)) === 0 ? OK : EFAULT
  })
}

/** Hands out messages while there is room for one more. The first one is waited for.
 * @param put - stores a message at a byte; OK, or an errno, and it is lost
 * @returns bytes | EINVAL no room for one | EAGAIN | EINTR | EMFILE, ENFILE | the errno of the first `put`
 */
function* messages<W extends StopName>(
  k: Kernel,
  task: Task,
  f: File,
  room: number,
  put: (message: Uint8Array, at: number) => Verb<W> | number
): Verb<W | "WAIT_UFFD" | "PREEMPT"> {
  if (room < MESSAGE) return EINVAL
  const c = k.files.private(f)
  const waits = (k.files.flags(f) & FILE_NONBLOCK) === 0
  const message = new Uint8Array(MESSAGE)
  fget(k, f)
  try {
    let done = 0
    let signal: number = OK
    while (done + MESSAGE <= room) {
      if (k.runs.preempt) yield k.runs.point()
      while (!isReadable(k, c)) {
        if (done > 0) return done
        if (signal < 0) return signal
        if (!waits) return EAGAIN
        signal = yield* waitForMessage(k, c)
      }
      const taken = takeMessage(k, task, c, message)
      const stored = taken < 0 ? taken : put(message, done)
      const r = typeof stored === "number" ? stored : yield* stored
      if (r < 0) return done > 0 ? done : r
      done += MESSAGE
    }
    return done
  } finally {
    fput(k, f)
  }
}

/** poll(2) without end: waits until there is a message.
 * @returns PollFlags IN | ERR reads could wait, or no handshake yet | EINTR | EBADF | ENOTTY another kind of file
 * @locks none
 * @source fs/userfaultfd.c userfaultfd_poll (v6.18)
 */
export function* uffdPollWait(k: Kernel, task: Task, fd: Word): Verb<"WAIT_UFFD"> {
  const f = anyUffdFile(k, task, fd)
  if (f < 0) return f
  fget(k, f)
  try {
    for (let signal: number = OK; ;) {
      const bits = pollOf(k, f)
      if (bits !== 0) return bits
      if (signal < 0) return signal
      signal = yield* waitForMessage(k, k.files.private(f))
    }
  } finally {
    fput(k, f)
  }
}

/** Whoever waits in read or poll of file `f` finds a signal, and ends with EINTR unless there is a message. Without it a close
 * is no end: they hold the file.
 * @locks none
 * @source fs/userfaultfd.c userfaultfd_ctx_read (v6.18)
 */
export function interruptReaders(k: Kernel, f: File): void {
  const c = k.files.private(f)
  for (let r = 1; r < k.runs.limit(); r++) {
    const [waitsFor, which] = k.runs.uffdWait(r)
    if (waitsFor !== c || which !== Q_READERS) continue
    if (k.runs.isQueued(r)) k.runs.wakeWaiter(r, EINTR)
    else k.runs.reply[r] = EINTR // woken, and has not gone on yet
  }
}

/** Everybody who waits for a message is woken by the next one, and looks again. @returns OK | EINTR a signal came */
function* waitForMessage(k: Kernel, c: Uffd): Verb<"WAIT_UFFD"> {
  k.runs.a[k.runs.current] = c
  k.runs.enqueue(k.runs.uffdQueue(c, Q_READERS))
  return yield k.runs.stop<"WAIT_UFFD">(WAIT_UFFD | KILLABLE | (U_READ << 4))
}

/** Takes the next message out of its queue. @returns OK | errno, and it is the last of its queue now */
function takeMessage(k: Kernel, task: Task, c: Uffd, into: Uint8Array): number {
  const fault = k.runs.firstWaiter(k.runs.uffdQueue(c, Q_PENDING))
  if (fault !== 0) {
    write(k, fault, into)
    k.runs.moveWaiter(fault, k.runs.uffdQueue(c, Q_READ))
    return OK
  }
  const event = k.runs.firstWaiter(k.runs.uffdQueue(c, Q_EVENTS))
  write(k, event, into)
  if (k.uffds.event(event) === UFFD.EVENT_FORK) {
    const child = k.uffds.word(event, 0)
    const fd = installUffd(k, task, child)
    if (fd < 0) {
      k.runs.moveWaiter(event, k.runs.uffdQueue(c, Q_EVENTS))
      return fd
    }
    k.uffds.setUnheard(child, false)
    new DataView(into.buffer, into.byteOffset, MESSAGE).setUint32(8, fd, true)
  }
  k.uffds.clearEvent(event)
  k.runs.wakeWaiter(event, OK)
  return OK
}

/** struct uffd_msg: event at 0; flags at 8, address at 16, thread at 24; or up to three words at 8, 16, 24. */
function write(k: Kernel, run: number, into: Uint8Array): void {
  into.fill(0)
  const view = new DataView(into.buffer, into.byteOffset, MESSAGE)
  const event = k.uffds.event(run)
  const word = (at: number, n: number): void => view.setBigUint64(at, BigInt(k.uffds.word(run, n)), true)
  view.setUint8(0, event)
  if (event === UFFD.EVENT_PAGEFAULT) {
    view.setBigUint64(8, BigInt(k.uffds.messageFlags(run)), true)
    word(16, 0)
    view.setUint32(24, k.uffds.word(run, 1), true)
  } else if (event !== UFFD.EVENT_FORK) {
    word(8, 0)
    word(16, 1)
    word(24, 2)
  }
}
