/** Who hears that a userfaultfd could not do something: besides the caller, who has it as a failure, the log. Floor 8, internal.
 *
 *     setting up   level Trace: the name of the hook, its arguments as annotations
 *     answering    level Debug: a sentence, the arguments as annotations
 *
 * UNLIKE QEMU: answers that fail are not reported as errors: the caller has the failure, and knows whether it is one.
 */
import { Effect } from "effect"
import { EAGAIN, EINVAL, nameOf } from "../flags/Errno.ts"
import type { Word } from "../mm/base/units.ts"
import { type Errno, type ErrnoName, type Fail, make } from "./Fail.ts"
import { failureOf } from "./raw.ts"
import type { Again, AnswerErrno } from "./uffd-handle.ts"

/** What was asked, by name. Numbers but `errno` are told in hexadecimal. */
export type Asked = Readonly<Record<string, Word>>

const hex = (word: Word): string => `0x${word.toString(16)}`
const told = (asked: Asked): Record<string, string> =>
  Object.fromEntries(Object.entries(asked).map(([name, word]) => [name, hex(word)]))

/** The failure that an errno stands for. */
export const failed = <T extends ErrnoName>(errno: number): Effect.Effect<never, Fail<T>> =>
  // INVARIANT: the core verb's `@returns` line names them; the type of the call repeats it.
  Effect.fail(failureOf<T>(make((nameOf(errno) ?? "EINVAL") as T)))

/** Setting up failed.
 * @param hook - as QEMU calls it
 * @source util/trace-events of QEMU
 */
export const setupFailed = <T extends ErrnoName>(
  hook: string,
  errno: number,
  asked: Asked = {}
): Effect.Effect<never, Fail<T>> =>
  Effect.andThen(
    Effect.annotateLogs(Effect.logTrace(hook), { ...told(asked), errno: String(-errno) }),
    failed<T>(errno)
  )

/** The handshake gave less than a descriptor is good for. */
export const noIoctl = (required: number, supported: number): Effect.Effect<never, Fail<"EINVAL">> =>
  setupFailed("uffd_create_fd_api_noioctl", EINVAL, { required, supported })

/** Answering, or hearing, failed.
 * @param what - as the kernel calls it
 * @param done - bytes that were answered nevertheless
 */
export const askFailed = (
  what: string,
  errno: number,
  asked: Asked,
  done = 0
): Effect.Effect<never, Fail<AnswerErrno> | Again> => {
  const why = make(nameOf(errno) ?? "EINVAL")
  const part = done === 0 ? "" : ` after ${done} bytes`
  const report = Effect.logDebug(`userfaultfd: ${what} failed${part}: ${why._tag}, ${why.message}`)
  // INVARIANT: as in `failed`.
  const failure = errno === EAGAIN ? { ...make("EAGAIN"), done } : failureOf<AnswerErrno>(why as Errno<AnswerErrno>)
  return Effect.andThen(
    Effect.annotateLogs(report, { ...told(asked), errno: String(-errno) }),
    Effect.fail<Fail<AnswerErrno> | Again>(failure)
  )
}
