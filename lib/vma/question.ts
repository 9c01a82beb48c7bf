/** Questions and answers at run time: what an object is asked, and whether its answer keeps the contract. Floor 8; `Mappable` has
 * the names.
 * @source gvisor pkg/sentry/memmap/memmap.go CheckTranslateResult
 */
import type { Access, Effective, Within } from "./AccessType.ts"
import { bits } from "./AccessType.ts"
import { isFail } from "./Fail.ts"
import { MemoryFile } from "./memory-file.ts"
import { format, isPages, isSupersetOf, type MappableRange, overlaps, type PageRange } from "./Range.ts"
import { askOf, translationOf } from "./raw.ts"
import type { AfterUnlock } from "./region.ts"
import type { Ask, Found, Reason, Translation } from "./translation.ts"

/** A translation at run time. */
export class Made {
  /** Whose answer it is. */
  readonly question: Question
  readonly source: MappableRange
  readonly file: MemoryFile
  readonly offset: number
  readonly perms: number
  /** What the question knew to be forgotten when it was made. */
  readonly after: number
  constructor(question: Question, source: MappableRange, file: MemoryFile, offset: number, perms: number) {
    this.question = question
    this.source = source
    this.file = file
    this.offset = offset
    this.perms = perms
    this.after = question.meanwhile === undefined ? 0 : question.meanwhile.forgotten.length
  }
}

/** Offsets that were forgotten while an object was asked, and whether that was its own doing. */
interface Forgotten {
  readonly range: MappableRange
  readonly own: boolean
}

/** What happens to a question whose answer takes its time. */
export class Meanwhile {
  /** What has been forgotten, in order. */
  readonly forgotten: Forgotten[] = []
  /** What the answer was, once it is used. */
  answer: readonly Made[] = []

  /** What has been forgotten of `t` since it was made; what was the object's own doing comes first. */
  forgottenOf(t: Made): Forgotten | undefined {
    const of = this.forgotten.slice(t.after).filter(({ range }) => overlaps(range, t.source))
    return of.find(({ own }) => own) ?? of[0]
  }

  /** Has some of the answer been forgotten? */
  isLate(): boolean {
    return this.forgotten.length !== 0 && this.answer.some((t) => this.forgottenOf(t) !== undefined)
  }
}

/** A question at run time. */
export class Question {
  readonly required: PageRange<"mappable">
  readonly optional: PageRange<"mappable">
  readonly at: Access
  readonly max: Access
  /** Only if the answer takes its time. */
  meanwhile: Meanwhile | undefined = undefined
  constructor(required: PageRange<"mappable">, optional: PageRange<"mappable">, at: Access, max: Access) {
    this.required = required
    this.optional = optional
    this.at = at
    this.max = max
  }

  translation<here extends AfterUnlock>(found: Found<Access>): Translation<here> {
    const { start, end } = found.source
    if (typeof start !== "number" || typeof end !== "number") throw new TypeError("a translation's source is no range")
    return translationOf(new Made(this, found.source, found.file, found.offset, bits(found.perms ?? this.max)))
  }

  /** Does it ask for the same as another one? */
  isLike(other: Question): boolean {
    const [a, b] = [this.optional, other.optional]
    return (
      this.required.start === other.required.start && a.start === b.start && a.end === b.end && this.at === other.at
    )
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

/** The same for a question that is one.
 * @param of - the question, if the translations must be made for it
 */
export function checkAnswer(
  required: MappableRange,
  optional: MappableRange,
  at: Access,
  translations: readonly unknown[],
  error: unknown,
  of?: Question
): string | undefined {
  const n = translations.length
  let before = required.start
  for (let i = 0; i < n; i++) {
    const t = translations[i]
    if (!(t instanceof Made)) return `translation ${i} is none`
    if (of !== undefined && t.question !== of) return `translation ${i} was made for another question`
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

/** What was thrown or failed with, for a warning. */
export const describe = (error: unknown): string =>
  error instanceof Error ? String(error) : (JSON.stringify(error) ?? String(error))

/** Is it a reason that an object may give? */
export const isReason = (error: unknown): error is Reason =>
  isFail(error) || (typeof error === "object" && error !== null && "_tag" in error && error._tag === "BusError")

/** What an answer consists of, whatever it is. */
export function partsOf(answer: unknown): { readonly found: readonly unknown[]; readonly error: Reason | undefined } {
  if (Array.isArray(answer)) return { found: answer, error: undefined }
  if (typeof answer !== "object" || answer === null || !("translations" in answer))
    return { found: [answer], error: undefined }
  return {
    found: Array.isArray(answer.translations) ? answer.translations : [answer.translations],
    error: "error" in answer && isReason(answer.error) ? answer.error : undefined
  }
}
