/** Descriptors of userfaultfd, and what their types know. Floor 8, internal; `Userfaultfd` has them. */
import type { Effect } from "effect"
import type { Fail } from "./Fail.ts"
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

/** What answers of pages may fail with. EAGAIN: the address space is changing, ask again. ENOENT: not within one registered
 * area. EEXIST: there is a page already. EFAULT: no source, or beyond the file. ESRCH: the process is gone.
 */
export type AnswerErrno =
  | "EAGAIN"
  | "EBADF"
  | "EBUSY"
  | "EEXIST"
  | "EFAULT"
  | "EINVAL"
  | "EIO"
  | "ENOENT"
  | "ENOMEM"
  | "ESRCH"

/** How an answer is given. */
export interface Answer {
  /** Who waits for the page is not woken: `wakeup` does. */
  readonly dontWake?: boolean
}

/** An answer that may protect its page from the start. */
export interface ProtectingAnswer extends Answer {
  /** The next write to the page is a fault again. Needs mode WP. */
  readonly wp?: boolean
}

/** A message. Addresses and lengths in bytes. */
export type Event<F extends Feature, fd extends AfterUnlock> =
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
export interface UffdFresh<in out fd extends AfterUnlock> extends Held<fd> {
  readonly [mustNotOutliveItsLock]: (_: fd) => fd
  /** UFFDIO_API: the features that are wanted, all or nothing. Once a descriptor.
   * @returns EINVAL agreed already | EPERM EVENT_FORK without CAP_SYS_PTRACE
   */
  api<const Fs extends readonly Feature[]>(
    features: Fs
  ): Effect.Effect<Uffd<Fs[number], fd>, Fail<"EBADF" | "EINVAL" | "EPERM">, Held<fd>>
}

/** A descriptor that agreed on the features `F`. */
export interface Uffd<in F extends Feature, in out fd extends AfterUnlock> extends Held<fd> {
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
    Registered<Ms[number], fd>,
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
  /** Messages, at least one: waits until there is. Faults come before events.
   * @param most - messages; 16 if absent
   * @returns EMFILE, ENFILE no room for the descriptor of a child
   */
  readEvents(most?: number): Effect.Effect<readonly Event<F, fd>[], Fail<"EBADF" | "EMFILE" | "ENFILE">, Held<fd>>
  /** As `readEvents`, but does not wait: none where there is nothing. */
  pollEvents(most?: number): Effect.Effect<readonly Event<F, fd>[], Fail<"EBADF" | "EMFILE" | "ENFILE">, Held<fd>>
}

/** A registered range: each answer exists only for the modes that it serves. */
export interface Registered<in M extends Mode, in out fd extends AfterUnlock> extends Held<fd> {
  readonly [mustNotOutliveItsLock]: (_: fd) => fd
  readonly [registeredFor]: Grants<M>
  /** UFFDIO_COPY: whole pages over nothing. The source is bytes, or an address of the process that opened the descriptor.
   * @returns bytes that were copied, from the first on
   * @locks takes mmap_lock, read
   */
  copyPage(
    this: Registered<"MISSING", fd>,
    to: Register,
    from: Uint8Array | { readonly address: Register; readonly length: Register },
    answer?: ProtectingAnswer
  ): Effect.Effect<number, Fail<AnswerErrno>, Held<fd> | Takes<"mmap_lock">>
  /** UFFDIO_ZEROPAGE.
   * @returns bytes that were filled
   * @locks takes mmap_lock, read
   */
  zeroPage(
    this: Registered<"MISSING", fd>,
    start: Register,
    length: Register,
    answer?: Answer
  ): Effect.Effect<number, Fail<AnswerErrno>, Held<fd> | Takes<"mmap_lock">>
  /** UFFDIO_WRITEPROTECT: protects, or lets writes through and wakes who waits.
   * @locks takes mmap_lock, read
   */
  changeProtection(
    this: Registered<"WP", fd>,
    start: Register,
    length: Register,
    protect: boolean,
    answer?: Answer
  ): Effect.Effect<void, Fail<AnswerErrno>, Held<fd> | Takes<"mmap_lock">>
  /** UFFDIO_CONTINUE: maps what the object has.
   * @returns bytes that were mapped
   * @locks takes mmap_lock, read
   */
  continuePage(
    this: Registered<"MINOR", fd>,
    start: Register,
    length: Register,
    answer?: ProtectingAnswer
  ): Effect.Effect<number, Fail<AnswerErrno>, Held<fd> | Takes<"mmap_lock">>
  /** UFFDIO_POISON: who touches the pages gets SIGBUS.
   * @returns bytes that were poisoned
   * @locks takes mmap_lock, read
   */
  poison(
    start: Register,
    length: Register,
    answer?: Answer
  ): Effect.Effect<number, Fail<AnswerErrno>, Held<fd> | Takes<"mmap_lock">>
}
