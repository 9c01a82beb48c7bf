/** What an object is asked for its pages, and what it may answer. Floor 8; `Mappable` has the names.
 * @source gvisor pkg/sentry/memmap/memmap.go Translation
 */
import type { Access, Effective, Within, WithinSome } from "./AccessType.ts"
import type { ErrnoName, Fail } from "./Fail.ts"
import type { MemoryFile } from "./memory-file.ts"
import type { MappableRange, PageRange } from "./Range.ts"
import type { AfterUnlock } from "./region.ts"

/** Key of the tag that ties a translation to its question. A symbol of its own, not that of what locks lend: an inner section,
 * say that of a driver's mutex, may well answer with a translation.
 */
declare const mustNotOutliveItsQuestion: unique symbol

/** Where offsets of an object have their bytes: `source` is at `offset` of `file`, and may be used as `perms` say.
 * Valid until the object's mappings are told to forget it, and known only inside the question it answers.
 */
export interface Translation<in out here extends AfterUnlock> {
  readonly [mustNotOutliveItsQuestion]: (_: here) => here
}

/** A translation to be. */
export interface Found<out Max extends Access> {
  /** Offsets of the object: whole pages. */
  readonly source: MappableRange
  /** The file that has their bytes. */
  readonly file: MemoryFile
  /** Byte offset in the file, of the first of them. */
  readonly offset: number
  /** What the bytes may be used for: all that was asked, and more if nobody need ask again. `Max` if absent. */
  readonly perms?: Within<Max>
}

/** A question: where are these pages? */
export interface Ask<in out Max extends Access, in out here extends AfterUnlock> {
  /** What must be answered. */
  readonly required: PageRange<"mappable">
  /** What may be answered along; `required` is inside. */
  readonly optional: PageRange<"mappable">
  /** What the pages are to be used for. */
  readonly at: Extract<Effective<WithinSome<Max>>, Access>
  /** An answer, or a part of one. */
  readonly translation: (found: Found<Max>) => Translation<here>
}

/** The access shall fail with SIGBUS, not SIGSEGV. */
export interface BusError {
  readonly _tag: "BusError"
  /** Why. */
  readonly error: Fail<ErrnoName>
  /** `BusError: ` and the reason. */
  readonly message: string
}

/** A failure that ends in SIGBUS. */
export const busError = (error: Fail<ErrnoName>): BusError =>
  Object.freeze({ _tag: "BusError", error, message: `BusError: ${error.message}` })

/** Why there is no translation: SIGBUS for a BusError, no memory for ENOMEM, else SIGSEGV. */
export type Reason = BusError | Fail<ErrnoName>

/** An answer with a reason why it does not go further. */
export interface Partial<in out here extends AfterUnlock> {
  readonly translations: readonly Translation<here>[]
  /** Counts only if `required` is not covered. */
  readonly error: Reason
}

/** An answer: translations in order, without gaps, that cover `required` and stay within `optional`. */
export type Answer<in_ extends AfterUnlock> = Translation<in_> | readonly Translation<in_>[] | Partial<in_>
