/** What stands behind `Userfaultfd`: a descriptor, asked by whoever has it. Floor 8, internal. */
import { Effect } from "effect"
import { nameOf, OK } from "../flags/Errno.ts"
import * as UFFD from "../flags/UffdFlags.ts"
import { fput } from "../mm/area/object.ts"
import { isReadable } from "../mm/area/uffd.ts"
import { vmBugOn } from "../mm/base/debug.ts"
import type { StopName, Verb } from "../mm/base/stop.ts"
import type { Kernel } from "../mm/kernel.ts"
import { uffdContinue, uffdCopy, uffdCopyBytes, uffdPoison, uffdZeropage } from "../mm/sys/uffd-fill.ts"
import { MESSAGE, uffdRead } from "../mm/sys/uffd-read.ts"
import { uffdRegister, uffdUnregister, uffdWake } from "../mm/sys/uffd-register.ts"
import { uffdWriteprotect } from "../mm/sys/uffd-wp.ts"
import { uffdApi, userfaultfd } from "../mm/sys/userfaultfd.ts"
import { type ErrnoName, type Fail, make } from "./Fail.ts"
import type { Process } from "./process.ts"
import { failureOf } from "./raw.ts"
import type { AfterUnlock } from "./region.ts"
import { type Register, wordOf } from "./register.ts"
import { door, releaseFiles } from "./rim.ts"
import type { Answer, Event, Feature, Mode, ProtectingAnswer, UffdFresh } from "./uffd-handle.ts"

const features: Readonly<Record<Feature, number>> = {
  PAGEFAULT_FLAG_WP: UFFD.FEATURE_PAGEFAULT_FLAG_WP,
  EVENT_FORK: UFFD.FEATURE_EVENT_FORK,
  EVENT_REMAP: UFFD.FEATURE_EVENT_REMAP,
  EVENT_REMOVE: UFFD.FEATURE_EVENT_REMOVE,
  MISSING_SHMEM: UFFD.FEATURE_MISSING_SHMEM,
  EVENT_UNMAP: UFFD.FEATURE_EVENT_UNMAP,
  SIGBUS: UFFD.FEATURE_SIGBUS,
  THREAD_ID: UFFD.FEATURE_THREAD_ID,
  MINOR_SHMEM: UFFD.FEATURE_MINOR_SHMEM,
  EXACT_ADDRESS: UFFD.FEATURE_EXACT_ADDRESS,
  WP_HUGETLBFS_SHMEM: UFFD.FEATURE_WP_HUGETLBFS_SHMEM,
  WP_UNPOPULATED: UFFD.FEATURE_WP_UNPOPULATED,
  POISON: UFFD.FEATURE_POISON,
  WP_ASYNC: UFFD.FEATURE_WP_ASYNC,
  MOVE: UFFD.FEATURE_MOVE
}
const modes: Readonly<Record<Mode, number>> = {
  MISSING: UFFD.REGISTER_MODE_MISSING,
  WP: UFFD.REGISTER_MODE_WP,
  MINOR: UFFD.REGISTER_MODE_MINOR
}

// INVARIANT: a descriptor has every method of every state; which of them a program may call is what its type says, and the
// section `here` closes it.
export const uffdOf = <here extends AfterUnlock>(d: object): UffdFresh<here> => d as UffdFresh<here>

/** Opens a descriptor, lends it to `body`, and closes it. */
export const openDescriptor = <A, E, R>(
  p: Process,
  userModeOnly: boolean,
  body: (d: Descriptor) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) => {
    const { k } = p.world
    const fd = userfaultfd(k, p.pid, UFFD.CLOEXEC | (userModeOnly ? UFFD.USER_MODE_ONLY : 0))
    if (fd < 0) return failed<never>(fd)
    const d = new Descriptor(p, fd)
    return Effect.onExit(restore(Effect.suspend(() => body(d))), () => d.close())
  })

/** The features of the kernel, asked on a descriptor that did not agree on any yet. */
export function available(d: Descriptor): ReadonlySet<Feature> {
  const all = d.agree(0)
  // INVARIANT: the keys of a Record by Feature are features.
  return new Set((Object.keys(features) as Feature[]).filter((name) => (all & features[name]) !== 0))
}

const failed = <T extends ErrnoName>(errno: number): Effect.Effect<never, Fail<T>> =>
  // INVARIANT: the core verb's `@returns` line names them; the type of the call repeats it.
  Effect.fail(failureOf<T>(make((nameOf(errno) ?? "EINVAL") as T)))

const sum = <T extends string>(names: readonly T[], bits: Readonly<Record<T, number>>): number =>
  names.reduce((all, name) => all | bits[name], 0)
const fillMode = ({ dontWake, wp }: ProtectingAnswer): number => (dontWake === true ? 1 : 0) | (wp === true ? 2 : 0)

/** A descriptor at run time. */
export class Descriptor {
  private open = true
  constructor(
    private readonly p: Process,
    private readonly fd: number
  ) {}

  /** Closes it, if the process did not end before, which did. */
  close(): Effect.Effect<void> {
    this.open = false
    const { pid, world } = this.p
    const f = this.p.ended ? 0 : world.k.tasks.file(pid, this.fd)
    if (f === 0) return Effect.void
    world.k.tasks.setFile(pid, this.fd, 0)
    fput(world.k, f)
    return releaseFiles(world)
  }

  /** UFFDIO_API. @returns all features of the kernel | errno */
  agree(wanted: number): number {
    const { k } = this.p.world
    const r = uffdApi(k, this.p.pid, this.fd, UFFD.API, wanted)
    return r < 0 ? r : k.out[0]!
  }

  api(wanted: readonly Feature[]): Effect.Effect<this, Fail<never>> {
    return this.asked(() => {
      const r = this.agree(sum(wanted, features))
      return r < 0 ? failed<never>(r) : Effect.succeed(this)
    })
  }

  register(start: Register, length: Register, wanted: readonly Mode[]): Effect.Effect<this, Fail<never>> {
    const mode = sum(wanted, modes)
    return this.verb(
      (k, pid, fd) => uffdRegister(k, pid, fd, wordOf(start), wordOf(length), mode),
      () => this
    )
  }

  unregister(start: Register, length: Register): Effect.Effect<void, Fail<never>> {
    return this.verb((k, pid, fd) => uffdUnregister(k, pid, fd, wordOf(start), wordOf(length)), nothing)
  }

  wakeup(start: Register, length: Register): Effect.Effect<void, Fail<never>> {
    return this.asked(() => {
      const r = uffdWake(this.p.world.k, this.p.pid, this.fd, wordOf(start), wordOf(length))
      this.p.world.k.runs.flush()
      return r < 0 ? failed<never>(r) : Effect.void
    })
  }

  copyPage(
    to: Register,
    from: Uint8Array | { readonly address: Register; readonly length: Register },
    answer: ProtectingAnswer = {}
  ): Effect.Effect<number, Fail<never>> {
    const mode = fillMode(answer)
    return this.fill((k, pid, fd) =>
      from instanceof Uint8Array
        ? uffdCopyBytes(k, pid, fd, wordOf(to), from, mode)
        : uffdCopy(k, pid, fd, wordOf(to), wordOf(from.address), wordOf(from.length), mode)
    )
  }

  zeroPage(start: Register, length: Register, answer: Answer = {}): Effect.Effect<number, Fail<never>> {
    return this.fill((k, pid, fd) => uffdZeropage(k, pid, fd, wordOf(start), wordOf(length), fillMode(answer)))
  }

  continuePage(start: Register, length: Register, answer: ProtectingAnswer = {}): Effect.Effect<number, Fail<never>> {
    return this.fill((k, pid, fd) => uffdContinue(k, pid, fd, wordOf(start), wordOf(length), fillMode(answer)))
  }

  poison(start: Register, length: Register, answer: Answer = {}): Effect.Effect<number, Fail<never>> {
    return this.fill((k, pid, fd) => uffdPoison(k, pid, fd, wordOf(start), wordOf(length), fillMode(answer)))
  }

  changeProtection(
    start: Register,
    length: Register,
    protect: boolean,
    answer: Answer = {}
  ): Effect.Effect<void, Fail<never>> {
    const mode =
      (protect ? UFFD.WRITEPROTECT_MODE_WP : 0) | (answer.dontWake === true ? UFFD.WRITEPROTECT_MODE_DONTWAKE : 0)
    return this.verb((k, pid, fd) => uffdWriteprotect(k, pid, fd, wordOf(start), wordOf(length), mode), nothing)
  }

  readEvents(most = 16): Effect.Effect<readonly Event<never, AfterUnlock>[], Fail<never>> {
    return Effect.suspend(() => {
      const into = new Uint8Array(Math.max(1, most) * MESSAGE)
      return this.verb(
        (k, pid, fd) => uffdRead(k, pid, fd, into),
        (n) => Array.from({ length: n / MESSAGE }, (_, i) => this.event(into, i * MESSAGE))
      )
    })
  }

  pollEvents(most = 16): Effect.Effect<readonly Event<never, AfterUnlock>[], Fail<never>> {
    return this.asked(() => {
      const { k } = this.p.world
      const f = k.tasks.file(this.p.pid, this.fd)
      return f !== 0 && !isReadable(k, k.files.private(f)) ? Effect.succeed([]) : this.readEvents(most)
    })
  }

  private event(bytes: Uint8Array, at: number): Event<never, AfterUnlock> {
    const view = new DataView(bytes.buffer, bytes.byteOffset + at, MESSAGE)
    const word = (offset: number): number => Number(view.getBigUint64(offset, true))
    switch (view.getUint8(0)) {
      case UFFD.EVENT_PAGEFAULT: {
        const flags = word(8)
        const mode =
          (flags & UFFD.PAGEFAULT_FLAG_WP) !== 0
            ? "WP"
            : (flags & UFFD.PAGEFAULT_FLAG_MINOR) !== 0
              ? "MINOR"
              : "MISSING"
        const write = (flags & UFFD.PAGEFAULT_FLAG_WRITE) !== 0
        return { _tag: "Pagefault", address: word(16), write, mode, thread: view.getUint32(24, true) }
      }
      case UFFD.EVENT_FORK: {
        const child: object = new Descriptor(this.p, view.getUint32(8, true))
        // INVARIANT: the child's descriptor agreed on what its parent's did.
        return { _tag: "Fork", child } as Event<never, AfterUnlock>
      }
      case UFFD.EVENT_REMAP:
        return { _tag: "Remap", from: word(8), to: word(16), length: word(24) }
      case UFFD.EVENT_REMOVE:
        return { _tag: "Remove", start: word(8), end: word(16) }
      case UFFD.EVENT_UNMAP:
        return { _tag: "Unmap", start: word(8), end: word(16) }
      default:
        return vmBugOn(`a userfaultfd tells of event ${view.getUint8(0)}`)
    }
  }

  /** Bytes that were filled; a failure where there are none. */
  private fill(make: (k: Kernel, pid: number, fd: number) => Verb<StopName>): Effect.Effect<number, Fail<never>> {
    return this.verb(
      function* (k, pid, fd) {
        const r = yield* make(k, pid, fd)
        const done = k.out[0]!
        return done > 0 ? done : r
      },
      (done) => done
    )
  }

  private verb<A>(
    make: (k: Kernel, pid: number, fd: number) => Verb<StopName>,
    answer: (r: number) => A
  ): Effect.Effect<A, Fail<never>> {
    return this.asked(() =>
      door(
        this.p.world,
        this.p.pid,
        () => make(this.p.world.k, this.p.pid, this.fd),
        (r): Effect.Effect<A, Fail<never>> => (r < OK ? failed<never>(r) : Effect.succeed(answer(r)))
      )
    )
  }

  private asked<A, E>(f: () => Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.suspend(() => {
      if (!this.open) return vmBugOn("a userfaultfd is used after its section closed it")
      return this.p.ended ? failed<never>(-3) : f()
    })
  }
}

const nothing = (): void => {}
