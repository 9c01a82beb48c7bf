/** What stands behind `Userfaultfd`: a descriptor, asked by whoever has it. Floor 8, internal. */
import { Duration, Effect, Option } from "effect"
import { EAGAIN, EBADF, OK } from "../flags/Errno.ts"
import * as POLL from "../flags/PollFlags.ts"
import * as UFFD from "../flags/UffdFlags.ts"
import { fput } from "../mm/area/object.ts"
import { vmBugOn } from "../mm/base/debug.ts"
import type { StopName, Verb } from "../mm/base/stop.ts"
import type { Word } from "../mm/base/units.ts"
import type { Kernel } from "../mm/kernel.ts"
import { type File, FILE_UFFD, FMODE_READ, FMODE_WRITE } from "../mm/store/files.ts"
import { poll } from "../mm/sys/poll.ts"
import { uffdContinue, uffdCopy, uffdCopyBytes, uffdPoison, uffdZeropage } from "../mm/sys/uffd-fill.ts"
import { openUffdDevice } from "../mm/sys/uffd-device.ts"
import { uffdMove } from "../mm/sys/uffd-move.ts"
import { interruptReaders, MESSAGE, uffdPollWait, uffdRead } from "../mm/sys/uffd-read.ts"
import { uffdRegister, uffdUnregister, uffdWake } from "../mm/sys/uffd-register.ts"
import { uffdWriteprotect } from "../mm/sys/uffd-wp.ts"
import { newUserfaultfd, uffdApi, uffdShut, userfaultfd } from "../mm/sys/userfaultfd.ts"
import type { Fail } from "./Fail.ts"
import type { Process } from "./process.ts"
import type { AfterUnlock } from "./region.ts"
import { type Register, wordOf } from "./register.ts"
import { door, releaseFiles } from "./rim.ts"
import type {
  Again,
  Answer,
  AnswerErrno,
  Event,
  Feature,
  Mode,
  Moving,
  ProtectingAnswer,
  RangeIoctl,
  UffdFresh
} from "./uffd-handle.ts"
import { eventOf, features, modes, namesIn, rangeIoctls, sum } from "./uffd-message.ts"
import { type Asked, askFailed, failed, noIoctl, setupFailed } from "./uffd-report.ts"

// INVARIANT: a descriptor has every method of every state; which of them a program may call is what its type says, and the
// section `here` closes it.
export const uffdOf = <here extends AfterUnlock, N extends "O_NONBLOCK">(d: object): UffdFresh<here, N> =>
  d as UffdFresh<here, N>

/** How a descriptor is opened. */
export interface Opening {
  readonly flags: number
  /** Under which name it is told that it could not be. */
  readonly hook: string
}

/** May the process open /dev/userfaultfd? Found out once, and told: "device" or "syscall".
 * @source util/userfaultfd.c uffd_detect_open_mode (QEMU)
 */
const detected = (p: Process): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (p.opensUffdDevice !== undefined) return Effect.void
    const f = openUffdDevice(p.world.k, p.pid, FMODE_READ | FMODE_WRITE)
    if (f > 0) fput(p.world.k, f)
    p.opensUffdDevice = f > 0
    const mode = f > 0 ? "device" : "syscall"
    const told = Effect.annotateLogs(Effect.logTrace("uffd_detect_open_mode"), { mode })
    return Effect.andThen(releaseFiles(p.world), told)
  })

/** A new descriptor: by the device, where the process may open that, or else by the system call. */
const opened = ({ opensUffdDevice, pid, world }: Process, flags: number): number =>
  opensUffdDevice === true ? newUserfaultfd(world.k, pid, flags) : userfaultfd(world.k, pid, flags)

/** Opens a descriptor, lends it to `body`, and closes it. */
export const openDescriptor = <A, E, R>(
  p: Process,
  { flags, hook }: Opening,
  body: (d: Descriptor) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(detected(p), () => {
      const fd = opened(p, UFFD.CLOEXEC | flags)
      if (fd < 0) return setupFailed<never>(hook, fd)
      const d = new Descriptor(p, fd)
      return Effect.onExit(restore(Effect.suspend(() => body(d))), () => d.close())
    })
  )

/** The features of the kernel, asked on a descriptor that did not agree on any yet. */
export const available = (d: Descriptor): Effect.Effect<ReadonlySet<Feature>, Fail<"EINVAL">> =>
  Effect.suspend(() => {
    const all = d.agree(0)
    return all < 0
      ? setupFailed<"EINVAL">("uffd_query_features_api_failed", all)
      : Effect.succeed(namesIn(all, features))
  })

/** What a descriptor must be able to do after its handshake. */
const REQUIRED = (1 << UFFD.REGISTER) | (1 << UFFD.UNREGISTER)
const fillMode = ({ dontWake, wp }: ProtectingAnswer): number => (dontWake === true ? 1 : 0) | (wp === true ? 2 : 0)
type Failure = Fail<AnswerErrno> | Again

/** A descriptor at run time, and the ranges that it registered. */
export class Descriptor {
  private open = true
  /** Of children that forked: they close with it. */
  private readonly children: Descriptor[] = []
  constructor(
    private readonly p: Process,
    private readonly fd: number,
    /** Of the range, where this is one. */
    readonly ioctls: ReadonlySet<RangeIoctl> = new Set(),
    private readonly of?: Descriptor
  ) {}

  /** Closes it and those of children, if the process did not end before, which did. Who still waits in a call of theirs is sent
   * away: a reader holds the file.
   */
  close(): Effect.Effect<void> {
    const w = this.p.world
    const last: Descriptor[] = []
    this.shut(last)
    for (const d of last) interruptReaders(w.k, d.file())
    w.k.runs.flush()
    return Effect.andThen(
      Effect.forEach(last, (d) => d.closeOne(), { discard: true }),
      releaseFiles(w)
    )
  }

  private closeOne(): Effect.Effect<void> {
    const { pid, world } = this.p
    const { k } = world
    const f = this.file()
    return door(
      world,
      0,
      () => uffdShut(k, f),
      () => {
        if (this.file() !== f) return Effect.void
        k.tasks.setFile(pid, this.fd, 0)
        fput(k, f)
        return Effect.void
      }
    )
  }

  /** It and the children, from now on unusable; those that are open files still go to `last`. */
  private shut(last: Descriptor[]): void {
    for (const child of this.children) child.shut(last)
    if (this.open && this.file() !== 0) last.push(this)
    this.open = false
  }

  /** Its open file; 0 if the process has ended, or has closed the number itself. */
  private file(): File {
    const { k } = this.p.world
    const f = this.p.ended ? 0 : k.tasks.file(this.p.pid, this.fd)
    return f !== 0 && k.files.kind(f) === FILE_UFFD ? f : 0
  }

  /** UFFDIO_API. @returns all features of the kernel | errno */
  agree(wanted: number): number {
    const { k } = this.p.world
    const r = uffdApi(k, this.p.pid, this.fd, UFFD.API, wanted)
    return r < 0 ? r : k.out[0]!
  }

  api(wanted: readonly Feature[]): Effect.Effect<this, Failure> {
    return this.asked(() => {
      const r = this.agree(sum(wanted, features))
      if (r < 0) return setupFailed<"EINVAL">("uffd_create_fd_api_failed", r)
      const ioctls = this.p.world.k.out[1]!
      return (ioctls & REQUIRED) === REQUIRED ? Effect.succeed(this) : noIoctl(REQUIRED, ioctls)
    })
  }

  register(start: Register, length: Register, wanted: readonly Mode[]): Effect.Effect<Descriptor, Failure> {
    const asked = { addr: wordOf(start), length: wordOf(length), mode: sum(wanted, modes) }
    return this.verb(
      (k, pid, fd) => uffdRegister(k, pid, fd, asked.addr, asked.length, asked.mode),
      (r) =>
        r < 0
          ? setupFailed<"EINVAL">("uffd_register_memory_failed", r, asked)
          : Effect.succeed(new Descriptor(this.p, this.fd, namesIn(this.p.world.k.out[0]!, rangeIoctls), this))
    )
  }

  unregister(start: Register, length: Register): Effect.Effect<void, Failure> {
    const asked = { addr: wordOf(start), length: wordOf(length) }
    return this.verb(
      (k, pid, fd) => uffdUnregister(k, pid, fd, asked.addr, asked.length),
      (r) => (r < 0 ? setupFailed<"EINVAL">("uffd_unregister_memory_failed", r, asked) : Effect.void)
    )
  }

  wakeup(start: Register, length: Register): Effect.Effect<void, Failure> {
    return this.asked(() => {
      const { k } = this.p.world
      const asked = { addr: wordOf(start), length: wordOf(length) }
      const r = uffdWake(k, this.p.pid, this.fd, asked.addr, asked.length)
      k.runs.flush()
      return r < 0 ? askFailed("UFFDIO_WAKE", r, asked) : Effect.void
    })
  }

  copyPage(
    to: Register,
    from: Uint8Array | { readonly address: Register; readonly length: Register },
    answer: ProtectingAnswer = {}
  ): Effect.Effect<void, Failure> {
    const mode = fillMode(answer)
    const dst = wordOf(to)
    if (from instanceof Uint8Array) {
      const asked = { dst, length: from.length, mode }
      return this.fill("UFFDIO_COPY", asked, (k, pid, fd) => uffdCopyBytes(k, pid, fd, dst, from, mode))
    }
    const asked = { dst, src: wordOf(from.address), length: wordOf(from.length), mode }
    return this.fill("UFFDIO_COPY", asked, (k, pid, fd) => uffdCopy(k, pid, fd, dst, asked.src, asked.length, mode))
  }

  zeroPage(start: Register, length: Register, answer: Answer = {}): Effect.Effect<void, Failure> {
    const asked = rangeOf(start, length, fillMode({ dontWake: answer.dontWake === true }))
    return this.fill("UFFDIO_ZEROPAGE", asked, (k, pid, fd) =>
      uffdZeropage(k, pid, fd, asked.addr, asked.length, asked.mode)
    )
  }

  continuePage(start: Register, length: Register, answer: ProtectingAnswer = {}): Effect.Effect<void, Failure> {
    const asked = rangeOf(start, length, fillMode(answer))
    return this.fill("UFFDIO_CONTINUE", asked, (k, pid, fd) =>
      uffdContinue(k, pid, fd, asked.addr, asked.length, asked.mode)
    )
  }

  poison(start: Register, length: Register, answer: Answer = {}): Effect.Effect<void, Failure> {
    const asked = rangeOf(start, length, fillMode({ dontWake: answer.dontWake === true }))
    return this.fill("UFFDIO_POISON", asked, (k, pid, fd) =>
      uffdPoison(k, pid, fd, asked.addr, asked.length, asked.mode)
    )
  }

  move(to: Register, from: Register, length: Register, answer: Moving = {}): Effect.Effect<void, Failure> {
    const mode =
      (answer.dontWake === true ? UFFD.MOVE_MODE_DONTWAKE : 0) |
      (answer.allowSrcHoles === true ? UFFD.MOVE_MODE_ALLOW_SRC_HOLES : 0)
    const asked = { dst: wordOf(to), src: wordOf(from), length: wordOf(length), mode }
    return this.fill("UFFDIO_MOVE", asked, (k, pid, fd) =>
      uffdMove(k, pid, fd, asked.dst, asked.src, asked.length, mode)
    )
  }

  changeProtection(
    start: Register,
    length: Register,
    protect: boolean,
    answer: Answer = {}
  ): Effect.Effect<void, Failure> {
    const quiet = answer.dontWake === true ? UFFD.WRITEPROTECT_MODE_DONTWAKE : 0
    const asked = rangeOf(start, length, protect ? UFFD.WRITEPROTECT_MODE_WP : quiet)
    return this.verb(
      (k, pid, fd) => uffdWriteprotect(k, pid, fd, asked.addr, asked.length, asked.mode),
      (r) => (r < 0 ? askFailed("UFFDIO_WRITEPROTECT", r, asked) : Effect.void)
    )
  }

  readEvents(most = 16): Effect.Effect<readonly Event<never, AfterUnlock>[], Failure> {
    return Effect.suspend(() => {
      // Who waits is a run, so there are never more messages than those.
      const room = Math.min(Math.max(0, Math.trunc(most)), this.p.world.k.runs.max)
      const into = new Uint8Array(room * MESSAGE)
      return this.verb(
        (k, pid, fd) => uffdRead(k, pid, fd, into),
        (n): Effect.Effect<readonly Event<never, AfterUnlock>[], Failure> => {
          const read = Array.from({ length: Math.max(0, n) / MESSAGE }, (_, i) =>
            eventOf(into, i * MESSAGE, this.adopt)
          )
          // The section ended while it waited: what it read is nobody's, and who waits for an answer goes on with the close.
          if (!this.isOpen()) return Effect.andThen(this.close(), failed<"EBADF">(EBADF))
          return n < 0 && n !== EAGAIN ? askFailed("read", n, { count: into.length }) : Effect.succeed(read)
        }
      )
    })
  }

  pollEvents(timeout: Duration.Input = 0): Effect.Effect<boolean> {
    return Effect.suspend(() => {
      if (!this.isOpen()) return vmBugOn("a userfaultfd is used after its section closed it")
      if (this.p.ended) return Effect.succeed(false)
      const now = this.polled(poll(this.p.world.k, this.p.pid, this.fd, POLL.IN))
      if (now !== undefined) return now
      const duration = Duration.fromInputUnsafe(timeout)
      if (!Duration.isPositive(duration)) return Effect.succeed(false)
      const wait = door(
        this.p.world,
        this.p.pid,
        () => uffdPollWait(this.p.world.k, this.p.pid, this.fd),
        (bits) => (this.isOpen() ? this.polled(bits) : undefined) ?? Effect.succeed(false)
      )
      return Effect.map(Effect.timeoutOption(wait, duration), (ready) => Option.getOrElse(ready, () => false))
    })
  }

  /** What poll(2) said, as its user wants it; nothing where it said nothing. */
  private polled(bits: number): Effect.Effect<boolean> | undefined {
    const errno = (bits & POLL.NVAL) !== 0 ? EBADF : Math.min(bits, OK)
    if (errno < 0) return Effect.catchCause(askFailed("poll", errno, {}), () => Effect.succeed(false))
    return bits === 0 ? undefined : Effect.succeed((bits & POLL.IN) !== 0 && (bits & POLL.ERR) === 0)
  }

  private readonly adopt = (fd: number): object => {
    const child = new Descriptor(this.p, fd)
    this.children.push(child)
    return child
  }

  /** A verb that answers for a range: the whole of it, or it fails. */
  private fill(
    what: string,
    asked: Asked,
    make: (k: Kernel, pid: number, fd: number) => Verb<StopName>
  ): Effect.Effect<void, Failure> {
    return this.verb(make, (r) =>
      r < OK ? askFailed(what, r, asked, Math.max(0, this.p.world.k.out[0]!)) : Effect.void
    )
  }

  private verb<A, E>(
    make: (k: Kernel, pid: number, fd: number) => Verb<StopName>,
    done: (r: number) => Effect.Effect<A, E>
  ): Effect.Effect<A, E | Fail<"EBADF">> {
    return this.asked(() => door(this.p.world, this.p.pid, () => make(this.p.world.k, this.p.pid, this.fd), done))
  }

  private isOpen(): boolean {
    return this.of === undefined ? this.open : this.of.isOpen()
  }

  private asked<A, E>(f: () => Effect.Effect<A, E>): Effect.Effect<A, E | Fail<"EBADF">> {
    return Effect.suspend((): Effect.Effect<A, E | Fail<"EBADF">> => {
      if (!this.isOpen()) return vmBugOn("a userfaultfd is used after its section closed it")
      return this.p.ended ? failed<"EBADF">(EBADF) : f() // its descriptors went with it
    })
  }
}

const rangeOf = (start: Register, length: Register, mode: number): { addr: Word; length: Word; mode: number } => ({
  addr: wordOf(start),
  length: wordOf(length),
  mode
})
