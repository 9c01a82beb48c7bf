/** What an object is asked for its pages, and what it may answer. Floor 8; `Mappable` has the names.
 * @source gvisor pkg/sentry/memmap/memmap.go Translation, CheckTranslateResult
 */
import type { Access, Effective, Within } from "./AccessType.ts"
import { bits } from "./AccessType.ts"
import type { ErrnoName, Fail } from "./Fail.ts"
import { MemoryFile } from "./memory-file.ts"
import { format, isPages, isSupersetOf, type MappableRange, overlaps, type PageRange } from "./Range.ts"
import { askOf, translationOf } from "./raw.ts"
import type { AfterUnlock, mustNotOutliveItsLock } from "./region.ts"

/** Where offsets of an object have their bytes: `source` is at `offset` of `file`, and may be used as `perms` say.
 * Valid until the object's mappings are told to forget it, and known only inside the question it answers.
 */
export interface Translation<in out here extends AfterUnlock> {
  readonly [mustNotOutliveItsLock]: (_: here) => here
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
  readonly at: Extract<Effective<Within<Max>>, Access>
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

/** An answer with a reason why it does not go further. */
export interface Partial<in out here extends AfterUnlock> {
  readonly translations: readonly Translation<here>[]
  /** Counts only if `required` is not covered: SIGBUS for a BusError, no memory for ENOMEM, else SIGSEGV. */
  readonly error: BusError | Fail<ErrnoName>
}

/** An answer: translations in order, without gaps, that cover `required` and stay within `optional`. */
export type Answer<in_ extends AfterUnlock> = Translation<in_> | readonly Translation<in_>[] | Partial<in_>

/** A translation at run time. */
export class Made {
  readonly source: MappableRange
  readonly file: MemoryFile
  readonly offset: number
  readonly perms: number
  constructor(source: MappableRange, file: MemoryFile, offset: number, perms: number) {
    this.source = source
    this.file = file
    this.offset = offset
    this.perms = perms
  }
}

/** A question at run time. */
export class Question {
  readonly required: PageRange<"mappable">
  readonly optional: PageRange<"mappable">
  readonly at: Access
  readonly max: Access
  constructor(required: PageRange<"mappable">, optional: PageRange<"mappable">, at: Access, max: Access) {
    this.required = required
    this.optional = optional
    this.at = at
    this.max = max
  }
  translation<here extends AfterUnlock>(found: Found<Access>): Translation<here> {
    return translationOf(new Made(found.source, found.file, found.offset, bits(found.perms ?? this.max)))
  }
}

/** A question of one's own, to try an object's answers with `checkTranslateResult`: required, and optional as well. */
export const question = <const Max extends Access = "rwx">(
  required: PageRange<"mappable">,
  optional: PageRange<"mappable">,
  at: Extract<Effective<Within<Max>>, Access>,
  max?: Max
): Ask<Max, AfterUnlock> => askOf(new Question(required, optional, at, max ?? "rwx"))

/** What is wrong with an answer, as the clause of the contract that it breaks; undefined if nothing is. The first clause
 * counts. `error` excuses what is missing, not what is there.
 * Throws RangeError where the question is no question.
 */
export function checkTranslateResult(
  required: MappableRange,
  optional: MappableRange,
  at: Access,
  translations: readonly unknown[],
  error: unknown
): string | undefined {
  if (!isPages(required))
    throw new RangeError(`required is ${format(required)}, expected one page or more, page-aligned`)
  if (!isSupersetOf(optional, required))
    throw new RangeError(`optional is ${format(optional)}, expected a superset of required ${format(required)}`)
  if (!isPages(optional)) throw new RangeError(`optional is ${format(optional)}, expected it page-aligned`)
  return checkAnswer(required, optional, at, translations, error)
}

/** The same for a question that is one. */
export function checkAnswer(
  required: MappableRange,
  optional: MappableRange,
  at: Access,
  translations: readonly unknown[],
  error: unknown
): string | undefined {
  const n = translations.length
  let before = required.start
  for (let i = 0; i < n; i++) {
    const t = translations[i]
    if (!(t instanceof Made)) return `translation ${i} is none of this question`
    if (i === 0) {
      if (!(t.source.start <= required.start && required.start < t.source.end))
        return `the first translation is of ${format(t.source)}, which does not contain the first byte of ${format(required)}`
      before = t.source.start
    }
    const clause = checkOne(t, before, required, optional, at)
    if (clause !== undefined) return `translation ${i}: ${clause}`
    before = t.source.end
  }
  if (error !== undefined || before >= required.end) return undefined
  return n === 0
    ? "no translation, and no error that says why"
    : `the translations end at 0x${before.toString(16)}, before the end of ${format(required)}, and no error says why`
}

/** The same for an answer of one translation, which is most of them. */
export function checkOnly(required: MappableRange, optional: MappableRange, at: Access, t: Made): string | undefined {
  const { source } = t
  const isRight =
    source.start <= required.start &&
    source.end >= required.end &&
    source.start >= optional.start &&
    source.end <= optional.end &&
    source.start % 4096 === 0 &&
    source.end % 4096 === 0 &&
    t.offset % 4096 === 0 &&
    t.offset >= 0 &&
    t.file instanceof MemoryFile &&
    (bits(at) & ~t.perms) === 0
  return isRight ? undefined : checkAnswer(required, optional, at, [t], undefined)
}

function checkOne(
  t: Made,
  before: number,
  required: MappableRange,
  optional: MappableRange,
  at: Access
): string | undefined {
  const { source, offset } = t
  if (!(source.start < source.end)) return `its source ${format(source)} is empty or ill-formed`
  if (!isPages(source)) return `its source ${format(source)} is not page-aligned`
  if (!(t.file instanceof MemoryFile)) return "it names no file"
  if (!Number.isSafeInteger(offset) || offset % 4096 !== 0 || offset < 0)
    return `its file offset ${offset} is not page-aligned`
  if (before !== source.start)
    return `its source ${format(source)} does not begin where the one before ends, at 0x${before.toString(16)}`
  if (!overlaps(source, required)) return `its source ${format(source)} has nothing of ${format(required)}`
  if (!isSupersetOf(optional, source)) return `its source ${format(source)} goes beyond ${format(optional)}`
  if ((bits(at) & ~t.perms) !== 0) return `its permissions do not include ${at}, which was asked for`
  return undefined
}
