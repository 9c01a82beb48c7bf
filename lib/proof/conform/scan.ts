/** Operations read quickly: in the form in which recorders write them, and without what they did to areas. Floor 9.
 *
 * JSON.parse makes a string of every area line, which takes longer than performing the call. What has another form, or is
 * no operation, or is broken, is left to parse.ts.
 */
import type { Word } from "../../mm/base/units.ts"
import type { Op, Result, Stats } from "./record.ts"

const QUOTE = 0x22
const COMMA = 0x2c
const MINUS = 0x2d
const ZERO = 0x30
const NINE = 0x39
const BACKSLASH = 0x5c
const CLOSE = 0x5d
const BRACE = 0x7d
/** Digits of which a double holds every number. */
const SAFE_DIGITS = 15
const SAFE_HEX = 13

const none: ReadonlyMap<number, never> = new Map<number, never>()

/** Another form: JSON.parse has to see to it. */
class Other extends Error {}
const other = new Other("not the form that is read quickly")

/** Reads one line after another. */
export class OpScanner {
  private text = ""
  private at = 0

  /** The operation that `line` holds, without its areas; undefined if its form is another. */
  scan(line: string): Op | undefined {
    this.text = line
    this.at = 0
    if (!this.takes('{"i":')) return undefined
    try {
      return this.op()
    } catch (error) {
      if (error === other) return undefined
      throw error
    }
  }

  private op(): Op {
    const i = this.count()
    const process = this.takes(',"p":') ? this.count() : 0
    this.expect(',"op":"')
    const name = this.string()
    this.expect(',"a":[')
    const args = this.words()
    let data = this.takes(',"data":"') ? this.string() : ""
    const result = this.result(name)
    if (name === "pread64") data = ""
    const hasEffect = this.text.charCodeAt(this.at) === COMMA
    const stats = hasEffect ? this.effect() : none
    if (this.text.charCodeAt(this.at) !== BRACE || this.at !== this.text.length - 1) throw other
    return { kind: "op", i, process, name, args, data, result, hasEffect, deltas: none, forked: none, stats }
  }

  private words(): readonly Word[] {
    const words: Word[] = []
    if (this.text.charCodeAt(this.at) === CLOSE) {
      this.at++
      return words
    }
    for (;;) {
      words.push(this.word())
      const next = this.text.charCodeAt(this.at++)
      if (next === CLOSE) return words
      if (next !== COMMA) throw other
    }
  }

  /** A register: an integer, of which negative ones are all ones and alike, or a hex string. */
  private word(): Word {
    if (this.text.charCodeAt(this.at) !== QUOTE) {
      const integer = this.integer()
      return integer >= 0 ? integer : BigInt.asUintN(64, BigInt(integer))
    }
    this.at++
    return this.hex()
  }

  /** `0x1000"` */
  private hex(): Word {
    const { text } = this
    const from = this.at + 2
    if (text.charCodeAt(this.at) !== ZERO || text.charCodeAt(this.at + 1) !== 0x78) throw other
    let value = 0
    let at = from
    for (; ; at++) {
      const digit = hexDigit(text.charCodeAt(at))
      if (digit < 0) break
      value = value * 16 + digit
    }
    if (at === from || at - from > 16 || text.charCodeAt(at) !== QUOTE) throw other
    this.at = at + 1
    if (at - from <= SAFE_HEX) return value
    const exact = BigInt(text.slice(from - 2, at))
    return exact <= Number.MAX_SAFE_INTEGER ? Number(exact) : exact
  }

  private result(name: string): Result {
    if (this.takes(',"sig":"')) {
      const signal = this.string()
      this.expect(',"code":"')
      const code = this.string()
      this.expect(',"addr":"')
      return { kind: "signal", signal, code, addr: this.hex() }
    }
    this.expect(',"r":')
    const isText = this.text.charCodeAt(this.at) === QUOTE
    if (isText && this.text.charCodeAt(this.at + 1) !== ZERO) throw other // nothing was run
    const value = isText ? this.word() : this.integer()
    if (this.takes(',"e":"')) {
      const errno = this.string()
      if (this.takes(',"out":')) this.also()
      return { kind: "errno", errno }
    }
    if (name === "pread64" && this.takes(',"data":"')) return { kind: "value", value, also: this.string() }
    if (this.takes(',"vec":"')) return { kind: "value", value, also: this.string() }
    if (this.takes(',"out":')) return { kind: "value", value, also: this.also() }
    return { kind: "value", value }
  }

  /** Text, or an integer as text. */
  private also(): string {
    if (this.text.charCodeAt(this.at) !== QUOTE) return String(this.integer())
    this.at++
    return this.string()
  }

  /** Passes what was done to areas; the statistics, which come last. */
  private effect(): ReadonlyMap<number, Stats> {
    const { text } = this
    if (!text.startsWith(',"st":{"', this.at)) {
      if (!text.startsWith(',"d":{', this.at) && !text.startsWith(',"f":{', this.at)) throw other
      const at = text.lastIndexOf(',"st":{"')
      if (at < 0) {
        this.at = text.length - 1
        if (text.charCodeAt(this.at - 1) !== BRACE) throw other
        return none
      }
      this.at = at
    }
    this.at += ',"st":{'.length
    const stats = new Map<number, Stats>()
    for (;;) {
      this.expect('"')
      const process = this.count()
      this.expect('":[')
      const its = [this.count(), this.after(), this.after(), this.after(), this.after()] as const
      this.expect("]")
      stats.set(process, its)
      const next = text.charCodeAt(this.at++)
      if (next === BRACE) return stats
      if (next !== COMMA) throw other
    }
  }

  /** The next number of a list. */
  private after(): number {
    this.expect(",")
    return this.count()
  }

  private integer(): number {
    if (this.text.charCodeAt(this.at) !== MINUS) return this.count()
    this.at++
    return -this.count()
  }

  /** Digits; what comes after them is looked at by others. */
  private count(): number {
    const { text } = this
    const from = this.at
    let value = 0
    let at = from
    for (let digit; (digit = text.charCodeAt(at)) >= ZERO && digit <= NINE; at++) value = value * 10 + (digit - ZERO)
    const digits = at - from
    if (digits === 0 || digits > SAFE_DIGITS || (digits > 1 && text.charCodeAt(from) === ZERO)) throw other
    this.at = at
    return value
  }

  /** Up to the closing quote. */
  private string(): string {
    const { text } = this
    const from = this.at
    const to = text.indexOf('"', from)
    if (to < 0) throw other
    for (let at = from; at < to; at++) {
      const code = text.charCodeAt(at)
      if (code === BACKSLASH || code < 0x20) throw other
    }
    this.at = to + 1
    return text.slice(from, to)
  }

  private takes(word: string): boolean {
    if (!this.text.startsWith(word, this.at)) return false
    this.at += word.length
    return true
  }

  private expect(word: string): void {
    if (!this.takes(word)) throw other
  }
}

/** Lower case only, as recorders write it. */
function hexDigit(code: number): number {
  if (code >= ZERO && code <= NINE) return code - ZERO
  return code >= 0x61 && code <= 0x66 ? code - 0x57 : -1
}
