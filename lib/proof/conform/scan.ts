/** Operations read quickly: in the form in which recorders write them, and without what they did to areas. Floor 9.
 *
 * Text and JSON.parse would make a string of every area line, which takes longer than performing the call. What has another
 * form, or is no operation, or is broken, is left to parse.ts.
 */
import type { Word } from "../../mm/base/units.ts"
import { errnoOf } from "./parse.ts"
import type { ByProcess, Op, Result, Stats } from "./record.ts"

const QUOTE = 0x22
const COMMA = 0x2c
const MINUS = 0x2d
const ZERO = 0x30
const NINE = 0x39
const BACKSLASH = 0x5c
const CLOSE = 0x5d
const LOWER_A = 0x61
const LOWER_F = 0x66
const LOWER_X = 0x78
const OPEN_BRACE = 0x7b
const BRACE = 0x7d
/** Digits of which a double holds every number. */
const SAFE_DIGITS = 15
const SAFE_HEX = 13
/** Names of calls and errors; there are fewer. */
const MOST_NAMES = 500

const ascii = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0))

const words = {
  i: ascii('{"i":'),
  p: ascii(',"p":'),
  op: ascii(',"op":"'),
  a: ascii(',"a":['),
  data: ascii(',"data":"'),
  sig: ascii(',"sig":"'),
  code: ascii(',"code":"'),
  addr: ascii(',"addr":"'),
  r: ascii(',"r":'),
  e: ascii(',"e":"'),
  vec: ascii(',"vec":"'),
  out: ascii(',"out":'),
  d: ascii(',"d":{'),
  f: ascii(',"f":{'),
  st: ascii(',"st":{"'),
  list: ascii('":[')
} as const

const none: ByProcess<never> = []

/** Another form: JSON.parse has to see to it. */
const other = new Error("not the form that is read quickly")

/** Reads one line after another. */
export class OpScanner {
  private bytes: Uint8Array = new Uint8Array(0)
  private at = 0
  private end = 0
  /** Strings that were read before, by a number made of their bytes. */
  private readonly names = new Map<number, string>()

  /** The operation in `bytes` from `from` to before `end`, without its areas; undefined if its form is another. */
  scan(bytes: Uint8Array, from: number, end: number): Op | undefined {
    this.bytes = bytes
    this.at = from
    this.end = end
    if (!this.takes(words.i)) return undefined
    try {
      return this.op()
    } catch (error) {
      if (error === other) return undefined
      throw error
    }
  }

  private op(): Op {
    const i = this.count()
    const process = this.takes(words.p) ? this.count() : 0
    this.expect(words.op)
    const name = this.string()
    this.expect(words.a)
    const args = this.args()
    const data = this.takes(words.data) ? this.string() : ""
    if (data !== "" && name === "pread64") throw other
    const result = this.result(name)
    const hasEffect = this.bytes[this.at] === COMMA
    const stats = hasEffect ? this.effect() : none
    if (this.at !== this.end - 1 || this.bytes[this.at] !== BRACE) throw other
    return { kind: "op", i, process, name, args, data, result, hasEffect, deltas: none, forked: none, stats }
  }

  private args(): readonly Word[] {
    const args: Word[] = []
    if (this.bytes[this.at] === CLOSE) {
      this.at++
      return args
    }
    for (;;) {
      args.push(this.word())
      const next = this.bytes[this.at++]
      if (next === CLOSE) return args
      if (next !== COMMA) throw other
    }
  }

  /** A register: an integer, of which negative ones wrap to 64 bits, or a hex string. */
  private word(): Word {
    if (this.bytes[this.at] === QUOTE) {
      this.at++
      return this.hex()
    }
    const integer = this.integer()
    return integer >= 0 ? integer : BigInt.asUintN(64, BigInt(integer))
  }

  /** `0x1000"` */
  private hex(): Word {
    const { bytes } = this
    const from = this.at + 2
    if (bytes[this.at] !== ZERO || bytes[this.at + 1] !== LOWER_X) throw other
    let value = 0
    let at = from
    for (let digit; (digit = hexDigit(bytes[at]!)) >= 0; at++) value = value * 16 + digit
    const digits = at - from
    if (digits === 0 || digits > 16 || bytes[at] !== QUOTE) throw other
    this.at = at + 1
    if (digits <= SAFE_HEX) return value
    const exact = BigInt(`0x${String.fromCharCode(...bytes.subarray(from, at))}`)
    return exact <= Number.MAX_SAFE_INTEGER ? Number(exact) : exact
  }

  private result(name: string): Result {
    if (this.takes(words.sig)) {
      const signal = this.string()
      this.expect(words.code)
      const code = this.string()
      this.expect(words.addr)
      return { kind: "signal", signal, code, addr: this.hex() }
    }
    this.expect(words.r)
    const value = this.bytes[this.at] === QUOTE ? this.word() : this.integer()
    if (this.takes(words.e)) {
      const errno = errnoOf(this.string())
      return this.takes(words.out) ? { kind: "errno", errno, also: this.also() } : { kind: "errno", errno }
    }
    if (name === "pread64") {
      this.expect(words.data)
      return { kind: "value", value, also: this.string() }
    }
    if (this.takes(words.vec)) return { kind: "value", value, also: this.string() }
    if (this.takes(words.out)) return { kind: "value", value, also: this.also() }
    return { kind: "value", value }
  }

  /** Text, or an integer as text. */
  private also(): string {
    if (this.bytes[this.at] !== QUOTE) return String(this.integer())
    this.at++
    return this.string()
  }

  /** Passes what was done to areas; the statistics, which come last. */
  private effect(): ByProcess<Stats> {
    if (!this.is(words.st, this.at)) {
      if (!this.is(words.d, this.at) && !this.is(words.f, this.at)) throw other
      const { bytes } = this
      // Statistics are numbers and punctuation; the last letter of the line is theirs, or there are none.
      let at = this.end - 1
      while (bytes[at]! < LOWER_A || bytes[at] === BRACE || bytes[at] === OPEN_BRACE) at--
      if (!this.is(words.st, at - 3)) {
        if (bytes[this.end - 2] !== BRACE) throw other
        this.at = this.end - 1
        return none
      }
      this.at = at - 3
    }
    this.at += words.st.length
    const stats: Array<readonly [number, Stats]> = []
    for (;;) {
      const process = this.count()
      this.expect(words.list)
      stats.push([
        process,
        [this.before(COMMA), this.before(COMMA), this.before(COMMA), this.before(COMMA), this.before(CLOSE)]
      ])
      const next = this.bytes[this.at++]
      if (next === BRACE) return stats
      if (next !== COMMA || this.bytes[this.at++] !== QUOTE) throw other
    }
  }

  /** A number, and the character after it. */
  private before(next: number): number {
    const value = this.count()
    if (this.bytes[this.at++] !== next) throw other
    return value
  }

  private integer(): number {
    if (this.bytes[this.at] !== MINUS) return this.count()
    this.at++
    return 0 - this.count()
  }

  /** Digits; what comes after them is looked at by others. */
  private count(): number {
    const { bytes } = this
    const from = this.at
    let value = 0
    let at = from
    for (let digit; (digit = bytes[at]!) >= ZERO && digit <= NINE; at++) value = value * 10 + (digit - ZERO)
    const digits = at - from
    if (digits === 0 || digits > SAFE_DIGITS || (digits > 1 && bytes[from] === ZERO)) throw other
    this.at = at
    return value
  }

  /** Up to the closing quote; the same string each time. */
  private string(): string {
    const { bytes } = this
    const from = this.at
    let at = from
    let key = 0
    for (let byte; at < this.end && (byte = bytes[at]!) !== QUOTE; at++) {
      if (byte === BACKSLASH || byte < 0x20 || byte >= 0x80) throw other
      key = (Math.imul(key, 31) + byte) | 0
    }
    if (at === this.end) throw other
    this.at = at + 1
    const known = this.names.get(key)
    if (known !== undefined && isAt(known, bytes, from, at)) return known
    let text = ""
    for (let i = from; i < at; i++) text += String.fromCharCode(bytes[i]!)
    if (known === undefined && this.names.size < MOST_NAMES) this.names.set(key, text)
    return text
  }

  private takes(word: Uint8Array): boolean {
    if (!this.is(word, this.at)) return false
    this.at += word.length
    return true
  }

  /** Lines end in a newline, or with the bytes: no word runs past that. */
  private is(word: Uint8Array, at: number): boolean {
    const { bytes } = this
    for (let i = 0; i < word.length; i++) if (bytes[at + i] !== word[i]) return false
    return true
  }

  private expect(word: Uint8Array): void {
    if (!this.takes(word)) throw other
  }
}

function isAt(text: string, bytes: Uint8Array, from: number, to: number): boolean {
  if (text.length !== to - from) return false
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) !== bytes[from + i]) return false
  return true
}

/** Lower case only, as recorders write it. */
function hexDigit(byte: number): number {
  if (byte >= ZERO && byte <= NINE) return byte - ZERO
  return byte >= LOWER_A && byte <= LOWER_F ? byte - LOWER_A + 10 : -1
}
