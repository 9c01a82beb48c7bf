/** Text under construction, as bytes, like seq_file's buffer. Floor 6.
 *
 * Strings that are put together piece by piece leave V8 half a microsecond of garbage a line; bytes leave none.
 * @source fs/seq_file.c seq_put_hex_ll, seq_put_decimal_ull_width, seq_pad (v6.18)
 */
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const decoder = new TextDecoder()

const HEX = utf8("0123456789abcdef")
const ZERO = 48
const SPACE = 32
/** Digits of an address that are always there, but for the last three: page numbers have those. */
const LEAST_DIGITS = 5

/** Text that grows at its end. Whoever puts numbers in first makes room for them. */
export class Text {
  private bytes: Uint8Array
  private n = 0

  /** @param size - bytes it will likely have */
  constructor(size = 4096) {
    this.bytes = new Uint8Array(size)
  }

  /** Bytes so far. */
  get length(): number {
    return this.n
  }
  /** Makes room for so many bytes more. */
  room(more: number): void {
    if (this.n + more <= this.bytes.length) return
    const bytes = new Uint8Array(Math.max(this.bytes.length * 2, this.n + more))
    bytes.set(this.bytes.subarray(0, this.n))
    this.bytes = bytes
  }
  /** A string, in UTF-8; makes its own room. */
  put(text: string): void {
    this.room(text.length * 3)
    const { bytes } = this
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i)
      if (code >= 128) {
        this.putBytes(utf8(text.slice(i)))
        return
      }
      bytes[this.n++] = code
    }
  }
  /** Bytes; makes its own room. */
  putBytes(more: Uint8Array): void {
    this.room(more.length)
    this.bytes.set(more, this.n)
    this.n += more.length
  }
  /** One byte. */
  putByte(byte: number): void {
    this.bytes[this.n++] = byte
  }
  /** Spaces up to `width` bytes behind `from`; none if there are as many already. */
  padTo(from: number, width: number): void {
    while (this.n < from + width) this.bytes[this.n++] = SPACE
  }
  /** The byte address of a page, or a byte offset, in hex: at least eight digits. `page` is below 2^52. */
  putAddress(page: number): void {
    const high = (page / 2 ** 24) | 0
    const low = page & 0xffffff
    const { bytes } = this
    let n = this.n
    for (let shift = high === 0 ? -4 : (31 - Math.clz32(high)) & ~3; shift >= 0; shift -= 4)
      bytes[n++] = HEX[(high >>> shift) & 15]!
    const least = high === 0 ? Math.max(LEAST_DIGITS * 4 - 4, (31 - Math.clz32(low | 1)) & ~3) : 20
    for (let shift = least; shift >= 0; shift -= 4) bytes[n++] = HEX[(low >>> shift) & 15]!
    bytes[n++] = ZERO
    bytes[n++] = ZERO
    bytes[n++] = ZERO
    this.n = n
  }
  /** A number of at most 2^53, right-aligned in `width` columns, or wider. */
  putNumber(x: number, width: number): void {
    let digits = 1
    for (let y = x; y >= 10; y = Math.floor(y / 10)) digits++
    for (let i = digits; i < width; i++) this.bytes[this.n++] = SPACE
    let at = (this.n += digits)
    let left = x
    do {
      const next = Math.floor(left / 10)
      this.bytes[--at] = ZERO + (left - next * 10)
      left = next
    } while (left > 0)
  }
  /** The text. */
  read(): string {
    return decoder.decode(this.bytes.subarray(0, this.n))
  }
  /** The text as bytes of its own. */
  copy(): Uint8Array {
    return this.bytes.slice(0, this.n)
  }
}
