/** userfaultfd(2) for programs: a program of one's own answers the faults of an address space. Floor 8.
 *
 *     open  ->  api: features  ->  register: modes  ->  readEvents  ->  copyPage, zeroPage, ...  ->  who waited goes on
 *
 * What may be asked next is in the type: a descriptor before its handshake can do nothing else, a mode needs its feature, an
 * answer needs its mode, and nothing outlives the section. What only the kernel knows comes as a typed failure.
 * @source fs/userfaultfd.c, include/uapi/linux/userfaultfd.h (v6.18)
 */
import type { Effect } from "effect"
import * as UFFD from "../flags/UffdFlags.ts"
import type { Fail } from "./Fail.ts"
import type { Takes } from "./Lockdep.ts"
import { onProcess, type Task } from "./process.ts"
import { ran } from "./raw.ts"
import type { AfterUnlock, AnyEffect, Body, Release, Stay } from "./region.ts"
import type { Feature, UffdFresh } from "./uffd-handle.ts"
import { available, type Descriptor, openDescriptor, uffdOf } from "./userfault.ts"

export type {
  Again,
  Answer,
  Answered,
  AnswerErrno,
  Event,
  Feature,
  Giving,
  Granted,
  Grants,
  Known,
  Mode,
  Moving,
  ProtectingAnswer,
  RangeIoctl,
  Registered,
  Uffd,
  UffdFresh
} from "./uffd-handle.ts"

type A<Fx> = Effect.Success<Fx>
type E<Fx> = Effect.Error<Fx>
type Q<Fx> = Effect.Services<Fx>

/** What opening may fail with. EPERM: not only faults of user mode, without the right. */
export type OpenErrno = "EINVAL" | "EMFILE" | "ENFILE" | "ENOMEM" | "EPERM"

/** Opens a descriptor for the current process's address space, and closes it when the body is over, with those of children
 * that forked: every range is unregistered then, everybody who waits goes on, and who still reads or polls is sent away.
 * UNLIKE LINUX: also if a process was forked meanwhile, whose copy of the descriptor a close alone would leave in charge.
 * @param options - nonBlocking: `readEvents` never waits, `pollEvents` does; userModeOnly: faults of the kernel's own accesses
 *   are not answered, which needs no right
 * @returns what the body does | EPERM neither /dev/userfaultfd nor the system call is open to the process | ENOMEM, ENFILE, EMFILE no room
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { MapFlags, ProtFlags, Task, Userfaultfd } from "pagewright"
 * const program = Effect.gen(function*() {
 *   const at = yield* Task.mmap({ length: 4096, prot: ProtFlags.READ | ProtFlags.WRITE, flags: MapFlags.PRIVATE | MapFlags.ANONYMOUS })
 *   return yield* Userfaultfd.open((fresh) => Effect.gen(function*() {
 *     const uffd = yield* fresh.api([])
 *     const memory = yield* uffd.register(at, 4096, ["MISSING"])
 *     yield* memory.copyPage(at, new Uint8Array(4096).fill(7))
 *     return yield* Task.load8(at)
 *   }))
 * })
 * ```
 * @locks none held
 * @source fs/userfaultfd.c new_userfaultfd, userfaultfd_release (v6.18)
 */
export const open = <Fx extends AnyEffect, const N extends boolean = false>(
  body: <here extends AfterUnlock>(
    uffd: UffdFresh<here, [N] extends [true] ? "O_NONBLOCK" : never>
  ) => Stay<A<Fx>, E<Fx>, Body<Fx, here>>,
  options: { readonly nonBlocking?: N; readonly userModeOnly?: boolean } = {}
): Effect.Effect<A<Fx>, E<Fx> | Fail<OpenErrno>, Release<Q<Fx>> | Task | Takes<"mmap_lock">> =>
  onProcess((p) => {
    const opening = { flags: flagsOf(options), hook: "uffd_create_fd_nosys" }
    return openDescriptor(p, opening, (d: Descriptor) => ran<Fx>(body(uffdOf(d))))
  })

/** The features that this kernel has, whatever any descriptor agrees on. Opens a descriptor of its own, and closes it.
 * @returns as `open`
 */
export const queryFeatures = (
  options: { readonly userModeOnly?: boolean } = {}
): Effect.Effect<ReadonlySet<Feature>, Fail<OpenErrno>, Task | Takes<"mmap_lock">> =>
  onProcess((p) => openDescriptor(p, { flags: flagsOf(options), hook: "uffd_query_features_nosys" }, available))

const flagsOf = ({ nonBlocking, userModeOnly }: { nonBlocking?: boolean; userModeOnly?: boolean }): number =>
  (nonBlocking === true ? UFFD.NONBLOCK : 0) | (userModeOnly === true ? UFFD.USER_MODE_ONLY : 0)
