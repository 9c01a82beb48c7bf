/** Lines of format 1 into records; whatever is not one is refused in a few words. Floor 9. */
import { nameOf as nameOfErrno } from "../../flags/Errno.ts"
import type { Word } from "../../mm/base/units.ts"
import { knownLetters } from "./letters.ts"
import { codesOf, MOST_PAGES } from "./pages.ts"
import {
  type Area,
  type ByProcess,
  type Delta,
  FormatError,
  type Host,
  type LimitName,
  limitNames,
  type Op,
  type Recorded,
  type Result,
  type Stats
} from "./record.ts"

type Fields = { readonly [key: string]: unknown }
/** Is told of what there is not. */
export type Note = (what: string) => void

const headerFields: ReadonlySet<string> = new Set([
  "seq",
  "theme",
  "root",
  "rlimits",
  "brk",
  "st",
  "init",
  "stack",
  "host"
])
const opFields: ReadonlySet<string> = new Set([
  "i",
  "p",
  "op",
  "a",
  "data",
  "r",
  "e",
  "sig",
  "code",
  "addr",
  "vec",
  "out",
  "d",
  "f",
  "st"
])

function noteOthers(fields: Fields, known: ReadonlySet<string>, of: string, note: Note): void {
  for (const name in fields) if (!known.has(name)) note(`field ${short(name)} of ${of}`)
}

const none: ByProcess<never> = []
const emptySweep: ReadonlyMap<number, ReadonlyMap<number, string>> = new Map()

/** The record that `line` holds; what an operation did to areas only if `areas` is to be read.
 * Throws FormatError, which says what is wrong in one line.
 * @param note - is told of fields, flags and limits that format 1 does not have; they are left out
 */
export function parseRecord(line: string, areas = true, note: Note = () => {}): Recorded {
  const fields = objectOf(jsonOf(line), "record")
  if ("op" in fields) {
    const { a } = fields
    const isExact = !Array.isArray(a) || !a.some(isLarge)
    return opOf(isExact ? fields : objectOf(jsonOf(withHex(line)), "record"), areas, note)
  }
  if ("seq" in fields) return headerOf(fields, note)
  if ("end" in fields) return { kind: "end", sweep: sweepOf(fields["end"]) }
  if ("dead" in fields) return { kind: "dead" }
  if ("t" in fields) throw new FormatError("a record of format 2; conform takes format 1")
  return { kind: "stray", name: short(Object.keys(fields)[0] ?? "nothing") }
}

/** Integers among the arguments that a double may not hold. */
const large = /(?<=[[,])-?\d{16,20}(?=[,\]])/g

/** The same line with such integers in hex, which keeps all their digits. */
const withHex = (line: string): string =>
  line.replace(large, (digits) => `"0x${BigInt.asUintN(64, BigInt(digits)).toString(16)}"`)

const isLarge = (arg: unknown): boolean => typeof arg === "number" && !Number.isSafeInteger(arg)

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    throw new FormatError(`not JSON: ${short(line)}`)
  }
}

const short = (text: string): string => {
  const shown = text.length > 60 ? `${text.slice(0, 60)}...` : text
  return shown.replaceAll(/\p{Cc}/gu, "?") || "an empty line"
}

function headerOf(fields: Fields, note: Note): Recorded {
  noteOthers(fields, headerFields, "seq", note)
  const seq = fields["seq"]
  if (typeof seq !== "number" && typeof seq !== "string") throw new FormatError("seq is neither a number nor a name")
  const rlimits = new Map<LimitName, number>()
  for (const [name, bytes] of Object.entries(objectOf(fields["rlimits"] ?? {}, "rlimits"))) {
    const limit = limitNames.find((known) => known === name)
    if (limit === undefined) note(`limit ${short(name)}`)
    else if (typeof bytes === "number" && bytes >= 0) rlimits.set(limit, bytes)
    else throw new FormatError(`rlimits.${name} is no number of bytes`)
  }
  if (typeof fields["root"] !== "boolean") throw new FormatError("root is neither true nor false")
  return {
    kind: "header",
    seq: String(seq),
    theme: stringOf(fields["theme"], "theme"),
    root: fields["root"],
    rlimits,
    brk: Number(wordOf(fields["brk"], "brk")),
    stats: statsOf(fields["st"]),
    areas: areasOf(fields["init"], "init", note),
    ...(fields["stack"] === undefined ? {} : { stack: Number(wordOf(fields["stack"], "stack")) }),
    ...(fields["host"] === undefined ? {} : { host: hostOf(objectOf(fields["host"], "host")) })
  }
}

function hostOf(fields: Fields): Host {
  const count = (name: string): number => {
    const n = fields[name]
    return isCount(n) ? n : refuse(`host.${name} is no number`)
  }
  const { overcommit, memfdNoexec, isOwner } = fields
  return {
    kernel: stringOf(fields["kernel"], "host.kernel"),
    ramPages: count("ramPages"),
    maxMapCount: count("maxMapCount"),
    mmapMinAddr: count("mmapMinAddr"),
    lsmMinAddr: count("lsmMinAddr"),
    overcommit: overcommit === 0 || overcommit === 1 ? overcommit : refuse("host.overcommit is neither 0 nor 1"),
    memfdNoexec:
      memfdNoexec === 0 || memfdNoexec === 1 || memfdNoexec === 2
        ? memfdNoexec
        : refuse("host.memfdNoexec is not 0 to 2"),
    capabilities: listOf(fields["capabilities"], "host.capabilities").map((name) =>
      stringOf(name, "host.capabilities")
    ),
    isOwner: typeof isOwner === "boolean" ? isOwner : refuse("host.isOwner is neither true nor false")
  }
}

function refuse(why: string): never {
  throw new FormatError(why)
}

function opOf(fields: Fields, areas: boolean, note: Note): Op {
  noteOthers(fields, opFields, "op", note)
  const { d, f, i, p, st } = fields
  if (i !== undefined && !isCount(i)) throw new FormatError("i is no number of an operation")
  if (p !== undefined && !isCount(p)) throw new FormatError("p is no number of a process")
  return {
    kind: "op",
    i: i ?? -1,
    process: p ?? 0,
    name: stringOf(fields["op"], "op"),
    ...callOf(fields),
    hasEffect: d !== undefined || f !== undefined || st !== undefined,
    deltas: areas && d !== undefined ? byProcess(d, "d", (delta) => deltaOf(delta, note)) : none,
    forked: areas && f !== undefined ? byProcess(f, "f", (lines) => areasOf(lines, "f", note)) : none,
    stats: st === undefined ? none : byProcess(st, "st", statsOf)
  }
}

/** Arguments and result. Those of a call that we do not have may be of any kind. */
function callOf(fields: Fields): Pick<Op, "args" | "data" | "result" | "oddity"> {
  let oddity: string | undefined
  const orElse = <A>(read: () => A, otherwise: A): A => {
    try {
      return read()
    } catch (error) {
      if (!(error instanceof FormatError)) throw error
      oddity ??= error.message
      return otherwise
    }
  }
  const isWritten = "data" in fields && fields["op"] !== "pread64"
  const args = orElse(() => listOf(fields["a"], "a").map((arg) => wordOf(arg, "a")), [])
  const data = orElse(() => (isWritten ? stringOf(fields["data"], "data") : ""), "")
  const result = orElse(() => resultOf(fields), { kind: "nothing" })
  return oddity === undefined ? { args, data, result } : { args, data, result, oddity }
}

/** The name of a recorded errno: the recorder writes one it has no name for as its number. */
export const errnoOf = (text: string): string => nameOfErrno(-Number(text)) ?? text

function resultOf(fields: Fields): Result {
  const { addr, code, e, r, sig } = fields
  if (sig !== undefined) {
    if (typeof code !== "string" && typeof code !== "number") throw new FormatError("a signal without a code")
    return { kind: "signal", signal: stringOf(sig, "sig"), code: String(code), addr: wordOf(addr, "addr") }
  }
  if (e !== undefined) {
    const out = fields["out"]
    const errno = errnoOf(stringOf(e, "e"))
    return typeof out === "string" || typeof out === "number"
      ? { kind: "errno", errno, also: String(out) }
      : { kind: "errno", errno }
  }
  if (r === "noproc" || r === "badslot") return { kind: "nothing" }
  if (r === undefined) throw new FormatError("an operation without a result")
  const value = typeof r === "number" ? integerOf(r, "r") : wordOf(r, "r")
  const also = fields["op"] === "pread64" ? fields["data"] : (fields["vec"] ?? fields["out"])
  if (also === undefined) return { kind: "value", value }
  if (typeof also !== "string" && typeof also !== "number") throw new FormatError("no text besides the result")
  return { kind: "value", value, also: String(also) }
}

function deltaOf(value: unknown, note: Note): Delta {
  const fields = objectOf(value, "d")
  const gone = "-" in fields ? listOf(fields["-"], "d").map((start) => pageOf(stringOf(start, "d"))) : []
  return { gone, here: "+" in fields ? areasOf(fields["+"], "d", note) : [] }
}

function statsOf(value: unknown): Stats {
  const [size, locked, data, stack, exe, ...more] = listOf(value, "st")
  if (isCount(size) && isCount(locked) && isCount(data) && isCount(stack) && isCount(exe) && more.length === 0)
    return [size, locked, data, stack, exe]
  throw new FormatError("st is not five numbers of kB")
}

function sweepOf(value: unknown): ReadonlyMap<number, ReadonlyMap<number, string>> {
  const processes = objectOf(value, "end")
  if (Object.keys(processes).length === 0) return emptySweep
  const sweeps = byProcess(value, "end", (areas) => {
    const sweep = new Map<number, string>()
    for (const [start, bytes] of Object.entries(objectOf(areas, "end")))
      sweep.set(pageOf(start), stringOf(bytes, "end"))
    return sweep
  })
  return new Map(sweeps)
}

function byProcess<A>(value: unknown, what: string, read: (value: unknown) => A): ByProcess<A> {
  const found: Array<readonly [number, A]> = []
  for (const [process, its] of Object.entries(objectOf(value, what))) {
    if (!/^\d{1,9}$/.test(process)) throw new FormatError(`${what} names a process ${short(process)}`)
    found.push([Number(process), read(its)])
  }
  return found
}

const areasOf = (value: unknown, what: string, note: Note): readonly Area[] =>
  listOf(value, what).map((line) => areaWith(stringOf(line, what), note))

const head = /^([0-9a-f]{1,16})-([0-9a-f]{1,16}) ([r-][w-][x-][sp]) ([0-9a-f]{1,16}) (\S+)$/

/** An area line: three fields for the stub's own, five for the others. */
export const areaOf = (text: string): Area => areaWith(text, () => {})

function areaWith(text: string, note: Note): Area {
  const [place = "", flags = "", name, pages, numbers, ...more] = text.split("|")
  const found = head.exec(place)
  const isStub = pages === undefined
  if (found === null || name === undefined || more.length > 0 || (!isStub && numbers === undefined)) {
    throw new FormatError(`no line of an area: ${short(text)}`)
  }
  const start = pageOf(found[1]!)
  const end = pageOf(found[2]!)
  if (end <= start) throw new FormatError(`an area that ends before it starts: ${short(text)}`)
  const isShown = pages !== undefined && pages !== "*"
  if (isShown && end - start > MOST_PAGES) throw new FormatError(`page states of ${end - start} pages: ${short(text)}`)
  return {
    text,
    start,
    end,
    perms: found[3]!,
    offset: pageOf(found[4]!),
    file: found[5]!,
    flags: knownLetters(flags, note),
    name,
    isStub,
    pages: isShown ? codesOf(pages, end - start) : undefined,
    numbers: numbers === undefined ? [] : numbersOf(numbers)
  }
}

function numbersOf(text: string): readonly number[] {
  const numbers = text.split(",").map(Number)
  if (numbers.length !== 8 || !numbers.every(isCount))
    throw new FormatError(`not the eight numbers of an area: ${short(text)}`)
  return numbers
}

/** A multiple of 4096 below 2^64 has 52 bits: exact as a double, and so is its page number. */
function pageOf(hex: string): number {
  const page = /^[0-9a-f]{1,16}$/.test(hex) ? Number.parseInt(hex, 16) / 4096 : NaN
  if (!Number.isInteger(page)) throw new FormatError(`no multiple of the page size: ${short(hex)}`)
  return page
}

/** A register: an integer (negative ones are all ones and alike) or a hex string; a bigint only where it must be. */
function wordOf(value: unknown, what: string): Word {
  if (typeof value === "number") {
    const integer = integerOf(value, what)
    return integer >= 0 ? integer : BigInt.asUintN(64, BigInt(integer))
  }
  const text = stringOf(value, what)
  if (!/^0x[0-9a-f]{1,16}$/.test(text)) throw new FormatError(`${what} holds ${short(text)}, which is no number`)
  const number = Number(text)
  return Number.isSafeInteger(number) ? number : BigInt(text)
}

function integerOf(value: number, what: string): number {
  if (!Number.isSafeInteger(value)) throw new FormatError(`${what} holds ${value}, which is no whole number`)
  return value === 0 ? 0 : value // -0 is 0
}

const isCount = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0

function stringOf(value: unknown, what: string): string {
  if (typeof value !== "string") throw new FormatError(`${what} holds ${typeof value}, expected text`)
  return value
}

function listOf(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new FormatError(`${what} is no list`)
  return value
}

function objectOf(value: unknown, what: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new FormatError(`${what} is no object`)
  return value as Fields // what else is left of `object`
}
