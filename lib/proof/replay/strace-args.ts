/** The arguments and the result of a call, as strace writes them. Floor 9. */
import type { Word } from "../../mm/base/units.ts"
import type { Result } from "./event.ts"
import { words } from "./strace-words.ts"

/** Arguments, apart, and where the text goes on behind their parenthesis; -1 if it is never closed. */
export interface Arguments {
  readonly args: readonly string[]
  readonly end: number
}

/** What stands behind `= `. */
export interface Answer {
  readonly result: Result
  /** What -y shows behind a descriptor that is the answer. */
  readonly path: string | undefined
}

/** Cuts `text`, which begins behind an opening parenthesis, at its commas. Strings, what -y shows in angle brackets, and
 * whatever is in brackets of its own are kept whole.
 */
export function argumentsOf(text: string): Arguments {
  const args: string[] = []
  let from = 0
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case 0x22: // "
        at = endOfString(text, at)
        break
      case 0x3c: // <
        at = endOfAnnotation(text, at)
        break
      case 0x28: // (
      case 0x5b: // [
      case 0x7b: // {
        depth++
        break
      case 0x5d: // ]
      case 0x7d: // }
        depth--
        break
      case 0x29: // )
        if (depth-- > 0) break
        return { args: withLast(args, text.slice(from, at)), end: at + 1 }
      case 0x2c: // ,
        if (depth > 0) break
        args.push(text.slice(from, at).trim())
        from = at + 1
        break
      case 0x2f: // a comment
        if (text.charCodeAt(at + 1) === 0x2a) at = orEnd(text, text.indexOf("*/", at + 2)) + 1
        break
    }
  }
  return { args: withLast(args, text.slice(from)), end: -1 }
}

function withLast(args: string[], text: string): string[] {
  const last = text.trim()
  // a thread that died in the call shows what it knew, and then this
  const known = last.endsWith("<unfinished ...>") ? last.slice(0, -16).trim() : last
  if (known !== "" || args.length > 0) args.push(known)
  return args
}

const orEnd = (text: string, at: number): number => (at < 0 ? text.length : at)

/** Position of the quote that ends the string which begins at `at`. */
function endOfString(text: string, at: number): number {
  for (let i = at + 1; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c === 0x5c) i++
    else if (c === 0x22) return i
  }
  return text.length
}

/** Position of the bracket that ends what -y shows behind a descriptor; `at` itself where none begins, as in `21<<26`.
 * Paths have their own brackets escaped. Sockets show arrows.
 */
function endOfAnnotation(text: string, at: number): number {
  const before = text.charCodeAt(at - 1)
  const isFile = (before >= 0x30 && before <= 0x39) || before === 0x44 // a digit, AT_FDCWD
  if (!isFile || text.charCodeAt(at + 1) === 0x3c) return text.charCodeAt(at + 1) === 0x3c ? at + 1 : at
  const arrows = text.charCodeAt(at + 1) !== 0x2f
  let depth = 1
  for (let i = at + 1; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c === 0x3c) depth++
    else if (c === 0x3e && !(arrows && text.charCodeAt(i - 1) === 0x2d) && --depth === 0) return i
  }
  return text.length
}

/** Reads `= result`, with all that may follow. Undefined where there is none. */
export function answerOf(text: string): Answer | undefined {
  const found = /^\s*= (-?0x[0-9a-f]+|-?\d+|\?)/.exec(text)
  if (found === null) return undefined
  const number = found[1]!
  if (number === "?") return { result: { kind: "unknown" }, path: undefined }
  const rest = text.slice(found[0].length)
  if (number === "-1") {
    const errno = /^ ([A-Z][A-Z0-9_]+)\b/.exec(rest)?.[1] ?? /^ \(errno (\d+)\)/.exec(rest)?.[1]
    if (errno !== undefined) return { result: { kind: "errno", errno }, path: undefined }
  }
  const value = numberOf(number)
  if (value === undefined) return undefined
  return { result: { kind: "value", value }, path: rest.startsWith("<") ? annotationOf(number + rest) : undefined }
}

/** The register that an argument stands for. Undefined: it is shown as something else, or in words that nobody knows. */
export function wordOf(text: string): Word | undefined {
  const first = text.charCodeAt(0)
  const isNumber = (first >= 0x30 && first <= 0x39) || first === 0x2d
  if (isNumber) {
    const plain = numberOf(text)
    if (plain !== undefined) return plain
  }
  const bare = text.includes("/*") ? text.replace(/\/\*.*?\*\//g, "").trim() : text
  if (bare === "") return undefined
  let sum: Word = 0
  for (const part of bare.split("|")) {
    const one = termOf(part.trim())
    if (one === undefined) return undefined
    sum = or(sum, one)
  }
  return sum
}

const or = (a: Word, b: Word): Word => {
  if (a === 0) return b
  if (typeof a === "number" && typeof b === "number" && isSmall(a) && isSmall(b)) return a | b
  return narrow(BigInt.asUintN(64, BigInt(a)) | BigInt.asUintN(64, BigInt(b)))
}

const isSmall = (x: number): boolean => x >= 0 && x < 2 ** 31
const narrow = (x: bigint): Word => (x <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(x) : x)

/** A number, a word, a shift, a product; without what -y shows behind a descriptor. */
function termOf(text: string): Word | undefined {
  const known = words.get(text)
  if (known !== undefined) return known
  const plain = numberOf(text)
  if (plain !== undefined) return plain
  const shift = text.indexOf("<<")
  if (shift > 0) {
    const value = termOf(text.slice(0, shift))
    const by = termOf(text.slice(shift + 2))
    return value === undefined || by === undefined ? undefined : narrow(BigInt.asUintN(64, BigInt(value) << BigInt(by)))
  }
  const times = text.indexOf("*")
  if (times > 0) {
    const a = termOf(text.slice(0, times))
    const b = termOf(text.slice(times + 1))
    return a === undefined || b === undefined ? undefined : narrow(BigInt.asUintN(64, BigInt(a) * BigInt(b)))
  }
  const bracket = text.indexOf("<")
  return bracket > 0 ? termOf(text.slice(0, bracket)) : undefined
}

/** Decimal, hexadecimal, octal; a bigint where a double is too small. */
export function numberOf(text: string): Word | undefined {
  if (!/^-?(?:0x[0-9a-f]+|\d+)$/.test(text)) return undefined
  const negative = text.startsWith("-")
  const digits = negative ? text.slice(1) : text
  const octal = digits.length > 1 && digits.startsWith("0") && !digits.startsWith("0x")
  if (octal && /[89]/.test(digits)) return undefined
  const literal = octal ? `0o${digits.slice(1)}` : digits
  const value = Number(literal)
  if (Number.isSafeInteger(value)) return negative ? 0 - value : value
  return negative ? BigInt.asUintN(64, -BigInt(literal)) : BigInt(literal)
}

/** What -y shows behind a descriptor: `/etc/passwd`, `socket:[123]`, `/memfd:x (deleted)`. Undefined without -y. */
export function annotationOf(text: string): string | undefined {
  const open = text.indexOf("<")
  if (open < 0 || text.charCodeAt(open + 1) === 0x3c) return undefined
  const close = endOfAnnotation(text, open)
  if (close === open || close >= text.length) return undefined
  const shown = text.slice(open + 1, close)
  const device = shown.indexOf("<") // -yy: `/dev/pts/0<char 136:0>`
  const path = unescaped(device > 0 ? shown.slice(0, device) : shown)
  return text.startsWith("(deleted)", close + 1) ? `${path} (deleted)` : path
}

/** The text of a string argument. Undefined where it is none. */
export function stringOf(text: string): string | undefined {
  if (!text.startsWith('"')) return undefined
  return unescaped(text.slice(1, endOfString(text, 0)))
}

const escapes: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r", v: "\v", f: "\f" }

function unescaped(text: string): string {
  if (!text.includes("\\")) return text
  return text.replace(/\\(x[0-9a-f]{2}|[0-7]{1,3}|.)/g, (_all, code: string) => {
    if (/^x[0-9a-f]{2}$/.test(code)) return String.fromCharCode(Number.parseInt(code.slice(1), 16))
    if (/^[0-7]/.test(code)) return String.fromCharCode(Number.parseInt(code, 8))
    return escapes[code] ?? code
  })
}

/** The text of a field in a struct: `{rlim_cur=8192*1024, rlim_max=RLIM64_INFINITY}`. Undefined where it has none. */
export function fieldOf(text: string, name: string): string | undefined {
  const open = text.indexOf("{")
  const inside = open < 0 ? text : text.slice(open + 1)
  for (const field of argumentsOf(`${inside.replace(/\}\s*$/, "")})`).args) {
    const equals = field.indexOf("=")
    if (equals > 0 && field.slice(0, equals) === name) return field.slice(equals + 1)
  }
  return undefined
}
