/** Lines of format 2, JSON objects as the recorder writes them, into events. Floor 9. */
import type { Word } from "../../mm/base/units.ts"
import type { Call, Delta, Event, FileRef, LogReader, MapLine, Result, Sink } from "./event.ts"
import { mapLineOf } from "./map-line.ts"

type Fields = { readonly [key: string]: unknown }

/** A line that is none of the format; its message says why. */
class Malformed extends Error {}

/** Reads a log of format 2. */
export function newFormat2Reader(sink: Sink): LogReader {
  return {
    format: "format 2",
    showsMaps: true,
    push: (text, line) => {
      try {
        sink.event(eventOf(objectOf(jsonOf(text), "record"), line))
      } catch (error) {
        if (!(error instanceof Malformed)) throw error
        sink.malformed(line, error.message)
      }
    },
    finish: () => {}
  }
}

/** Does `text` begin as the lines of format 2 do? */
export const looksLikeFormat2 = (text: string): boolean => text.trimStart().startsWith("{")

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    const isCut = looksLikeFormat2(text) && !text.trimEnd().endsWith("}")
    throw new Malformed(isCut ? "not JSON: cut off?" : "not JSON")
  }
}

function eventOf(fields: Fields, line: number): Event {
  const type = stringOf(fields, "t")
  const pid = countOf(fields, "pid")
  const tid = "tid" in fields ? countOf(fields, "tid") : pid
  switch (type) {
    case "exec":
      return {
        kind: "exec",
        line,
        pid,
        path: stringOf(fields, "path"),
        maps: linesOf(fields["maps"]),
        ...("start_stack" in fields ? { startStack: addressOf(fields, "start_stack") } : {}),
        ...("start_brk" in fields ? { startBrk: addressOf(fields, "start_brk") } : {})
      }
    case "sys":
      return callOf(fields, line, pid, tid)
    case "drift":
      return { kind: "drift", line, pid, tid, maps: deltaOf(fields["maps"]) }
    case "clone":
      return {
        kind: "clone",
        line,
        pid,
        tid,
        childTid: countOf(fields, "child"),
        childPid: "cpid" in fields ? countOf(fields, "cpid") : countOf(fields, "child"),
        sharesMemory: countOf(fields, "vm") !== 0,
        flags: wordOf(fields["flags"], "flags"),
        ...optionalDelta(fields)
      }
    case "sig": {
      const number = integerOf(fields["sig"], "sig")
      return {
        kind: "signal",
        line,
        pid,
        tid,
        signal: signalName(number),
        code: codeName(number, integerOf(fields["code"], "code")),
        addr: wordOf(fields["addr"], "addr"),
        ...optionalDelta(fields)
      }
    }
    case "exit":
      return { kind: "exit", line, pid, tid, ...("maps" in fields ? { maps: linesOf(fields["maps"]) } : {}) }
    case "end":
      return {
        kind: "end",
        line,
        pid,
        status: integerOf(fields["status"], "status"),
        signal: integerOf(fields["sig"], "sig")
      }
    default:
      throw new Malformed(`t is ${short(type)}, which is no record of format 2`)
  }
}

function callOf(fields: Fields, line: number, pid: number, tid: number): Call {
  const { fd, iov, rlim, uffd, vec } = fields
  const n = countOf(fields, "n")
  return {
    kind: "call",
    line,
    pid,
    tid,
    n,
    name: stringOf(fields, "sc"),
    args: wordsOf(fields["a"], "a"),
    result: resultOf(fields),
    began: 2 * line,
    ended: 2 * line + 1,
    ...(fd === undefined ? {} : { fd: fileOf(objectOf(fd, "fd")) }),
    ...optionalDelta(fields),
    ...(vec === undefined ? {} : { vec: vectorOf(vec) }),
    ...(uffd === undefined ? {} : { uffd: wordsOf(uffd, "uffd") }),
    ...(iov === undefined ? {} : { iov: pairsOf(wordsOf(iov, "iov")) }),
    ...(rlim === undefined ? {} : { rlim: limitsOf(wordsOf(rlim, "rlim")) })
  }
}

function resultOf(fields: Fields): Result {
  const { err, ret } = fields
  if (err !== undefined) return { kind: "errno", errno: stringOf(fields, "err") }
  if (ret === undefined) throw new Malformed("a call without ret")
  return { kind: "value", value: wordOf(ret, "ret") }
}

function fileOf(fields: Fields): FileRef {
  return {
    path: stringOf(fields, "path"),
    dev: stringOf(fields, "dev"),
    ino: countOf(fields, "ino"),
    size: integerOf(fields["size"], "size"),
    mode: octalOf(fields, "mode"),
    flags: octalOf(fields, "flags")
  }
}

const optionalDelta = (fields: Fields): { readonly maps?: Delta } =>
  "maps" in fields ? { maps: deltaOf(fields["maps"]) } : {}

const none: readonly MapLine[] = []

function deltaOf(value: unknown): Delta {
  const fields = objectOf(value, "maps")
  return {
    gone: "-" in fields ? linesOf(fields["-"]) : none,
    here: "+" in fields ? linesOf(fields["+"]) : none
  }
}

/** Lines of a map; rising and apart, as the kernel prints them. */
function linesOf(value: unknown): readonly MapLine[] {
  if (!Array.isArray(value)) throw new Malformed("maps is no list of lines")
  const lines: MapLine[] = []
  let end = 0
  for (const text of value) {
    const line = typeof text === "string" ? mapLineOf(text) : undefined
    if (line === undefined) throw new Malformed(`no line of a map: ${short(String(text))}`)
    if (line.start < end) throw new Malformed(`areas overlap or are out of order: ${short(line.text)}`)
    end = line.end
    lines.push(line)
  }
  return lines
}

function wordsOf(value: unknown, what: string): readonly Word[] {
  if (!Array.isArray(value)) throw new Malformed(`${what} is no list of words`)
  return value.map((word) => wordOf(word, what))
}

function pairsOf(words: readonly Word[]): readonly (readonly [Word, Word])[] {
  const pairs: [Word, Word][] = []
  for (let at = 0; at + 1 < words.length; at += 2) pairs.push([words[at]!, words[at + 1]!])
  return pairs
}

function limitsOf(words: readonly Word[]): readonly [Word, Word] {
  const [soft, hard] = words
  if (soft === undefined || hard === undefined) throw new Malformed("rlim is not two words")
  return [soft, hard]
}

function vectorOf(value: unknown): string {
  if (typeof value === "string" && /^[01]*$/.test(value)) return value
  throw new Malformed("vec holds something other than 0 and 1")
}

const hexWord = /^0x[0-9a-f]{1,16}$/

/** 64 bits in hex; a number that a double holds, else a bigint. */
function wordOf(value: unknown, what: string): Word {
  if (typeof value === "string" && hexWord.test(value)) return value.length <= 15 ? Number(value) : BigInt(value)
  if (typeof value === "number" && Number.isSafeInteger(value)) return value
  throw new Malformed(`${what} is no word of 64 bits: ${short(String(value))}`)
}

function addressOf(fields: Fields, name: string): number {
  const word = wordOf(fields[name], name)
  if (typeof word === "number") return word
  throw new Malformed(`${name} is no address of user space: 0x${word.toString(16)}`)
}

function octalOf(fields: Fields, name: string): number {
  const text = stringOf(fields, name)
  if (!/^[0-7]{1,12}$/.test(text)) throw new Malformed(`${name} is not octal: ${short(text)}`)
  return Number.parseInt(text, 8)
}

function stringOf(fields: Fields, name: string): string {
  const value = fields[name]
  if (typeof value === "string") return value
  throw new Malformed(value === undefined ? `${name} is missing` : `${name} is no string`)
}

function integerOf(value: unknown, name: string): number {
  if (typeof value === "number" && Number.isSafeInteger(value)) return value
  throw new Malformed(value === undefined ? `${name} is missing` : `${name} is no integer`)
}

function countOf(fields: Fields, name: string): number {
  const value = integerOf(fields[name], name)
  if (value >= 0) return value
  throw new Malformed(`${name} is negative`)
}

function objectOf(value: unknown, name: string): Fields {
  // INVARIANT: an object that is not null and no array has string keys and unknown values.
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Fields
  throw new Malformed(`${name} is no object`)
}

const short = (text: string): string => (text.length > 60 ? `${text.slice(0, 60)}...` : text)

const SIGBUS = 7
const SIGSEGV = 11

const signalName = (number: number): string =>
  number === SIGSEGV ? "SIGSEGV" : number === SIGBUS ? "SIGBUS" : `signal ${number}`

const codes: Readonly<Record<number, readonly string[]>> = {
  [SIGSEGV]: ["SI_USER", "SEGV_MAPERR", "SEGV_ACCERR", "SEGV_BNDERR", "SEGV_PKUERR"],
  [SIGBUS]: ["SI_USER", "BUS_ADRALN", "BUS_ADRERR", "BUS_OBJERR", "BUS_MCEERR_AR", "BUS_MCEERR_AO"]
}
const general: Readonly<Record<number, string>> = {
  0x80: "SI_KERNEL",
  [-1]: "SI_QUEUE",
  [-2]: "SI_TIMER",
  [-6]: "SI_TKILL"
}

const codeName = (signal: number, code: number): string => codes[signal]?.[code] ?? general[code] ?? String(code)
