/** Values as bytes and back: numbers, large ones too, strings, booleans, typed arrays, lists, maps, records. Floor 2.
 *
 * Typed arrays are written in blocks of 4 KiB, and a block of zeroes is one bit: most of a machine was never used.
 */

/** What can be written. */
export type Value =
  | number
  | bigint
  | string
  | boolean
  | undefined
  | Int32Array
  | Float64Array
  | Uint8Array
  | readonly Value[]
  | ReadonlyMap<Value, Value>
  | { readonly [name: string]: Value }

/** Why bytes cannot be read. */
export class Damaged extends Error {}

const NUMBER = 1
const STRING = 2
const TRUE = 3
const FALSE = 4
const NOTHING = 5
const INT32 = 6
const FLOAT64 = 7
const UINT8 = 8
const LIST = 9
const MAP = 10
const RECORD = 11
const BIGINT = 12
const BLOCK = 4096

const isRecord = (value: unknown): value is { readonly [name: string]: unknown } =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype

/** Writes values one after another. */
export class Writer {
  private buffer = new Uint8Array(1 << 16)
  private view = new DataView(this.buffer.buffer)
  private at = 0

  /** Can it be written, with all that is in it? */
  static takes(value: unknown): value is Value {
    if (
      value === undefined ||
      typeof value === "number" ||
      typeof value === "bigint" ||
      typeof value === "string" ||
      typeof value === "boolean"
    )
      return true
    if (value instanceof Int32Array || value instanceof Float64Array || value instanceof Uint8Array) return true
    if (Array.isArray(value)) return value.every((one) => Writer.takes(one))
    if (value instanceof Map) return [...value].every(([key, one]) => Writer.takes(key) && Writer.takes(one))
    return isRecord(value) && Object.values(value).every((one) => Writer.takes(one))
  }

  bytes(): Uint8Array {
    return this.buffer.subarray(0, this.at)
  }

  value(value: Value): void {
    if (typeof value === "number") {
      this.tag(NUMBER)
      this.room(8)
      this.view.setFloat64(this.at, value)
      this.at += 8
    } else if (typeof value === "bigint") {
      this.tag(BIGINT)
      this.string(value.toString(16))
    } else if (typeof value === "string") this.string(value)
    else if (typeof value === "boolean") this.tag(value ? TRUE : FALSE)
    else if (value === undefined) this.tag(NOTHING)
    else if (value instanceof Int32Array) this.blocks(INT32, value)
    else if (value instanceof Float64Array) this.blocks(FLOAT64, value)
    else if (value instanceof Uint8Array) this.blocks(UINT8, value)
    else if (isList(value)) {
      this.tag(LIST)
      this.count(value.length)
      for (const one of value) this.value(one)
    } else if (isMap(value)) {
      this.tag(MAP)
      this.count(value.size)
      for (const [key, one] of value) {
        this.value(key)
        this.value(one)
      }
    } else {
      const entries = Object.entries(value)
      this.tag(RECORD)
      this.count(entries.length)
      for (const [name, one] of entries) {
        this.string(name)
        this.value(one)
      }
    }
  }

  private string(text: string): void {
    const bytes = new TextEncoder().encode(text)
    this.tag(STRING)
    this.count(bytes.length)
    this.raw(bytes)
  }

  private blocks(tag: number, array: Int32Array | Float64Array | Uint8Array): void {
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
    this.tag(tag)
    this.count(array.length)
    for (let from = 0; from < bytes.length; from += BLOCK) {
      const block = bytes.subarray(from, from + BLOCK)
      const isUsed = hasOther(block)
      this.tag(isUsed ? 1 : 0)
      if (isUsed) this.raw(block)
    }
  }

  private raw(bytes: Uint8Array): void {
    this.room(bytes.length)
    this.buffer.set(bytes, this.at)
    this.at += bytes.length
  }
  private count(n: number): void {
    this.room(4)
    this.view.setUint32(this.at, n)
    this.at += 4
  }
  private tag(n: number): void {
    this.room(1)
    this.buffer[this.at++] = n
  }
  private room(n: number): void {
    if (this.at + n <= this.buffer.length) return
    const larger = new Uint8Array(Math.max(this.buffer.length * 2, this.at + n))
    larger.set(this.buffer)
    this.buffer = larger
    this.view = new DataView(larger.buffer)
  }
}

/** Is a byte of it not zero? */
function hasOther(block: Uint8Array): boolean {
  if (block.byteOffset % 4 !== 0 || block.length % 4 !== 0) return block.some((byte) => byte !== 0)
  const words = new Int32Array(block.buffer, block.byteOffset, block.length / 4)
  for (let i = 0; i < words.length; i++) if (words[i] !== 0) return true
  return false
}

const isList = (value: Value): value is readonly Value[] => Array.isArray(value)
const isMap = (value: object): value is ReadonlyMap<Value, Value> => value instanceof Map

/** Reads them again. Throws `Damaged` where there is no value. */
export class Reader {
  private readonly view: DataView
  private at = 0

  constructor(private readonly buffer: Uint8Array) {
    this.view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
  }

  atEnd(): boolean {
    return this.at >= this.buffer.length
  }

  value(): Value {
    const tag = this.tag()
    switch (tag) {
      case NUMBER:
        return this.view.getFloat64(this.move(8))
      case STRING:
        return this.text()
      case BIGINT:
        return this.big()
      case TRUE:
        return true
      case FALSE:
        return false
      case NOTHING:
        return undefined
      case INT32:
        return this.blocks((n) => new Int32Array(n))
      case FLOAT64:
        return this.blocks((n) => new Float64Array(n))
      case UINT8:
        return this.blocks((n) => new Uint8Array(n))
      case LIST:
        return Array.from({ length: this.count() }, () => this.value())
      case MAP:
        return new Map(Array.from({ length: this.count() }, () => [this.value(), this.value()] as const))
      case RECORD:
        return Object.fromEntries(Array.from({ length: this.count() }, () => [this.name(), this.value()] as const))
      default:
        throw new Damaged(`at byte ${this.at} there is no value`)
    }
  }

  private big(): bigint {
    const digits = this.name()
    if (!/^-?[0-9a-f]+$/.test(digits)) throw new Damaged(`at byte ${this.at} there is no number`)
    return digits.startsWith("-") ? -BigInt(`0x${digits.slice(1)}`) : BigInt(`0x${digits}`)
  }
  private name(): string {
    if (this.tag() !== STRING) throw new Damaged(`at byte ${this.at} there is no name`)
    return this.text()
  }
  private text(): string {
    const n = this.count()
    const from = this.move(n)
    return new TextDecoder().decode(this.buffer.subarray(from, from + n))
  }
  private blocks<A extends Int32Array | Float64Array | Uint8Array>(make: (n: number) => A): A {
    const array = make(this.count(BLOCK))
    const bytes = new Uint8Array(array.buffer)
    for (let from = 0; from < bytes.length; from += BLOCK) {
      if (this.tag() === 0) continue
      const n = Math.min(BLOCK, bytes.length - from)
      const at = this.move(n)
      bytes.set(this.buffer.subarray(at, at + n), from)
    }
    return array
  }
  /** How many follow: never more than there are bytes left, at `perByte` to the byte. */
  private count(perByte = 1): number {
    const n = this.view.getUint32(this.move(4))
    if (n / perByte > this.buffer.length - this.at) throw new Damaged("it says that more follows than there is")
    return n
  }
  private tag(): number {
    return this.buffer[this.move(1)]!
  }
  private move(n: number): number {
    const from = this.at
    if (from + n > this.buffer.length) throw new Damaged("it ends in the middle of a value")
    this.at = from + n
    return from
  }
}

const table = Int32Array.from({ length: 256 }, (_, n) => {
  let c = n
  for (let i = 0; i < 8; i++) c = (c & 1) !== 0 ? (c >>> 1) ^ 0xedb88320 : c >>> 1
  return c
})

/** CRC-32 of bytes, as gzip has it. */
export function checksum(bytes: Uint8Array): number {
  let c = -1
  for (let i = 0; i < bytes.length; i++) c = table[(c ^ bytes[i]!) & 255]! ^ (c >>> 8)
  return (c ^ -1) >>> 0
}
