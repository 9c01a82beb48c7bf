/** Descriptors of userfaultfd, and what their types know. Floor 8, internal; `Userfaultfd` has them. */
import type { Duration, Effect } from "effect"
import type { Errno, Fail } from "./Fail.ts"
import type { Takes } from "./Lockdep.ts"
import type { AfterUnlock, Held, mustNotOutliveItsLock } from "./region.ts"
import type { Register } from "./register.ts"

/** What a descriptor can be asked to do, besides missing pages of anonymous memory. */
export type Feature =
  | "PAGEFAULT_FLAG_WP"
  | "EVENT_FORK"
  | "EVENT_REMAP"
  | "EVENT_REMOVE"
  | "MISSING_SHMEM"
  | "EVENT_UNMAP"
  | "SIGBUS"
  | "THREAD_ID"
  | "MINOR_SHMEM"
  | "EXACT_ADDRESS"
  | "WP_HUGETLBFS_SHMEM"
  | "WP_UNPOPULATED"
  | "POISON"
  | "WP_ASYNC"
  | "MOVE"

/** What a descriptor may know of itself: its features, and that it never waits. */
export type Granted = Feature | "O_NONBLOCK"

/** What the kernel can be asked for a range: the bits of the mask that registering it answers. */
export type RangeIoctl = "WAKE" | "COPY" | "ZEROPAGE" | "MOVE" | "WRITEPROTECT" | "CONTINUE" | "POISON"

/** Which faults of a range are answered: of missing pages, writes to protected pages, pages that are cached but not mapped. */
export type Mode = "MISSING" | "WP" | "MINOR"

interface Needs {
  readonly MISSING: never
  readonly WP: "PAGEFAULT_FLAG_WP"
  readonly MINOR: "MINOR_SHMEM"
}

declare const negotiated: unique symbol
declare const registeredFor: unique symbol
/** What was granted, so that missing it is named. */
export type Grants<K extends string> = { readonly [P in K]: true }

type Single<T, All = T> = T extends unknown ? ([All] extends [T] ? T : never) : never
/** What a list is known to have, whatever happens: of `(A | B)[]` nothing is, and of `[A, B | C]` it is `A`. */
export type Known<Ts extends readonly string[]> = number extends Ts["length"]
  ? never
  : { readonly [I in keyof Ts & `${number}`]: Single<Ts[I]> }[keyof Ts & `${number}`]

/** What answers of pages may fail with. ENOENT: not within one registered area. EEXIST: there is a page already. EFAULT: no
 * source, or beyond the file. EBUSY: a page to move is shared. ESRCH: the process is gone. EBADF: so is the one that opened the
 * descriptor, and its section goes on.
 */
export type AnswerErrno = "EBADF" | "EBUSY" | "EEXIST" | "EFAULT" | "EINVAL" | "EIO" | "ENOENT" | "ENOMEM" | "ESRCH"

/** EAGAIN: a part of the range was answered, or nothing, because the address space is changing. Asking for the rest tells why
 * it ended there.
 */
export interface Again extends Errno<"EAGAIN"> {
  /** Bytes that are answered, from the first on. */
  readonly done: number
}

/** How an answer is given. */
export interface Answer {
  /** Who waits for the page is not woken: `wakeup` does. */
  readonly dontWake?: boolean
}

/** An answer that may protect its page from the start. */
export interface ProtectingAnswer extends Answer {
  /** The next write to the page is a fault again. */
  readonly wp?: boolean
}

/** How a page may be given where the modes `M` are registered: protected, where writes to it would be told of. */
export type Giving<M extends Mode> = "WP" extends M ? ProtectingAnswer : Answer

/** How pages are moved. */
export interface Moving extends Answer {
  /** Where there is no page, none is moved; without it that is ENOENT. */
  readonly allowSrcHoles?: boolean
}

/** A message. Addresses and lengths in bytes. */
export type Event<F extends Granted, fd extends AfterUnlock> =
  | {
      readonly _tag: "Pagefault"
      readonly address: number
      readonly write: boolean
      readonly mode: Mode
      /** Who waits, with feature THREAD_ID; 0 else. */
      readonly thread: number
    }
  | { readonly _tag: "Fork"; readonly child: Uffd<F, fd> }
  | { readonly _tag: "Remap"; readonly from: number; readonly to: number; readonly length: number }
  | { readonly _tag: "Remove" | "Unmap"; readonly start: number; readonly end: number }

/** A descriptor before its handshake. */
export interface UffdFresh<in out fd extends AfterUnlock, in N extends "O_NONBLOCK" = never> extends Held<fd> {
  readonly [mustNotOutliveItsLock]: (_: fd) => fd
  readonly [negotiated]: Grants<N>
  /** UFFDIO_API: the features that are wanted, all or nothing. Once a descriptor. Its type knows those that are written out:
   * of a list that was put together at run time it knows none.
   * @returns EINVAL agreed already | EPERM EVENT_FORK without CAP_SYS_PTRACE
   */
  api<const Fs extends readonly Feature[]>(
    features: Fs
  ): Effect.Effect<Uffd<Known<Fs> | N, fd>, Fail<"EBADF" | "EINVAL" | "EPERM">, Held<fd>>
}

/** A descriptor that agreed on the features `F`. */
export interface Uffd<in F extends Granted, in out fd extends AfterUnlock> extends Held<fd> {
  readonly [mustNotOutliveItsLock]: (_: fd) => fd
  readonly [negotiated]: Grants<F>
  /** UFFDIO_REGISTER: faults of these kinds in the range come here from now on.
   * @returns EINVAL not whole pages, nothing mapped, or memory of another kind | EBUSY another descriptor's | EPERM never writable |
   *   ENOMEM
   * @locks takes mmap_lock, write
   */
  register<const Ms extends readonly [Mode, ...Mode[]]>(
    this: Uffd<Needs[Ms[number]], fd>,
    start: Register,
    length: Register,
    modes: Ms
  ): Effect.Effect<
    Registered<Known<Ms>, fd>,
    Fail<"EBADF" | "EBUSY" | "EINVAL" | "ENOMEM" | "EPERM">,
    Held<fd> | Takes<"mmap_lock">
  >
  /** UFFDIO_UNREGISTER: who waits in the range goes on.
   * @locks takes mmap_lock, write
   */
  unregister(
    start: Register,
    length: Register
  ): Effect.Effect<void, Fail<"EBADF" | "EINVAL" | "ENOMEM">, Held<fd> | Takes<"mmap_lock">>
  /** UFFDIO_WAKE: who waits in the range looks again. */
  wakeup(start: Register, length: Register): Effect.Effect<void, Fail<"EBADF" | "EINVAL">, Held<fd>>
  /** Messages, faults before events. Waits until there is one; of a descriptor that never waits, none where there is none.
   * What is answered is the reader's: no other fiber is told of it.
   * @param most - messages; 16 if absent
   * @returns EINVAL no room for one | EBADF the section ended while it waited | EMFILE, ENFILE no room for the descriptor of a child
   */
  readEvents(
    most?: number
  ): Effect.Effect<readonly Event<F, fd>[], Fail<"EBADF" | "EINVAL" | "EMFILE" | "ENFILE">, Held<fd>>
  /** Is there a message to read? Only of a descriptor that never waits: of another, poll(2) says POLLERR for ever.
   * @param timeout - how long to wait for one: not at all if absent, for ever with "Infinity"
   * @returns false too where nothing can ever come, for the descriptor is closed
   */
  pollEvents(this: Uffd<"O_NONBLOCK", fd>, timeout?: Duration.Input): Effect.Effect<boolean, never, Held<fd>>
}

/** A registered range: each answer exists only for the modes that it serves, and is for the whole of its pages. */
export interface Registered<in M extends Mode, in out fd extends AfterUnlock> extends Held<fd> {
  readonly [mustNotOutliveItsLock]: (_: fd) => fd
  readonly [registeredFor]: Grants<M>
  /** What the kernel can be asked for the range. */
  readonly ioctls: ReadonlySet<RangeIoctl>
  /** UFFDIO_COPY: whole pages over nothing. The source is bytes, or an address of the process that opened the descriptor.
   * @locks takes mmap_lock, read
   */
  copyPage(
    this: Registered<"MISSING", fd>,
    to: Register,
    from: Uint8Array | { readonly address: Register; readonly length: Register },
    answer?: Giving<M>
  ): Answered<fd>
  /** UFFDIO_ZEROPAGE.
   * @locks takes mmap_lock, read
   */
  zeroPage(this: Registered<"MISSING", fd>, start: Register, length: Register, answer?: Answer): Answered<fd>
  /** UFFDIO_WRITEPROTECT: protects, which wakes nobody; or lets writes through and wakes who waits.
   * @partial of areas before one that is not registered for it the entries are changed, and nobody is woken
   * @locks takes mmap_lock, read
   */
  changeProtection(
    this: Registered<"WP", fd>,
    start: Register,
    length: Register,
    protect: boolean,
    answer?: Answer
  ): Answered<fd>
  /** UFFDIO_CONTINUE: maps what the object has.
   * @locks takes mmap_lock, read
   */
  continuePage(this: Registered<"MINOR", fd>, start: Register, length: Register, answer?: Giving<M>): Answered<fd>
  /** UFFDIO_POISON: who touches the pages gets SIGBUS.
   * @locks takes mmap_lock, read
   */
  poison(start: Register, length: Register, answer?: Answer): Answered<fd>
  /** UFFDIO_MOVE: pages of private anonymous memory elsewhere in the same process come here, without a copy.
   * @locks takes mmap_lock, read
   */
  move(to: Register, from: Register, length: Register, answer?: Moving): Answered<fd>
}

/** What an answer is: everything was done, or it failed. */
export type Answered<fd extends AfterUnlock> = Effect.Effect<
  void,
  Fail<AnswerErrno> | Again,
  Held<fd> | Takes<"mmap_lock">
>
