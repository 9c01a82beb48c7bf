/** Bytes of a file into lines, in constant memory. Floor 9. */

/** Bytes that one line may have. The longest true one, a map at the limit of areas, is a fifth of that. */
const MOST_OF_A_LINE = 1 << 25
const NEWLINE = 0x0a
const SPACE = 0x20

/** Something is wrong with a line of the file. */
export class LineError extends Error {
  override readonly name = "LineError"

  constructor(
    readonly line: number,
    message: string
  ) {
    super(message)
  }
}

/** Takes a file piece by piece. */
export interface LineReader {
  /** Lines that were read. */
  readonly count: number
  /** The next bytes of the file. Throws LineError. */
  readonly push: (bytes: Uint8Array) => void
  /** The file is over. A last line needs no newline. */
  readonly finish: () => void
}

/** Cuts what is pushed into lines; `take` gets each that is not blank, and its number from 1. */
export class Lines implements LineReader {
  count = 0
  private readonly whole = new WholeLines((bytes) => this.takeAll(bytes), this)

  /** @param decoder - by default one that refuses what is not UTF-8 */
  constructor(
    private readonly take: (text: string, line: number) => void,
    private readonly decoder: Decoder = newDecoder()
  ) {}

  push(bytes: Uint8Array): void {
    this.whole.push(bytes)
  }

  finish(): void {
    this.whole.finish()
  }

  private takeAll(bytes: Uint8Array): void {
    const text = this.decode(bytes)
    let from = 0
    for (let to; (to = text.indexOf("\n", from)) >= 0; from = to + 1) this.line(text.slice(from, to))
    if (from < text.length) this.line(text.slice(from))
  }

  /** All at once, which is far quicker than line by line. */
  private decode(bytes: Uint8Array): string {
    try {
      return this.decoder.decode(bytes)
    } catch {
      let line = this.count
      for (let from = 0; from < bytes.length; from = endOfLine(bytes, from) + 1) {
        textOf(this.decoder, bytes.subarray(from, endOfLine(bytes, from)), ++line)
      }
      throw new LineError(line, NO_TEXT)
    }
  }

  private line(text: string): void {
    const line = ++this.count
    if (text.charCodeAt(0) > SPACE || text.trim() !== "") this.take(text, line)
  }
}

/** As `Lines`, but lines that `takeBytes` can do with are never made text: it gets where one lies, and answers whether it did. */
export class ByteLines implements LineReader {
  count = 0
  private readonly decoder = newDecoder()
  private readonly whole = new WholeLines((bytes) => this.takeAll(bytes), this)

  constructor(
    private readonly takeBytes: (bytes: Uint8Array, from: number, to: number, line: number) => boolean,
    private readonly take: (text: string, line: number) => void
  ) {}

  push(bytes: Uint8Array): void {
    this.whole.push(bytes)
  }

  finish(): void {
    this.whole.finish()
  }

  private takeAll(bytes: Uint8Array): void {
    for (let from = 0, to; from < bytes.length; from = to + 1) {
      to = endOfLine(bytes, from)
      const line = ++this.count
      if (this.takeBytes(bytes, from, to, line)) continue
      const text = textOf(this.decoder, bytes.subarray(from, to), line)
      if (text.trim() !== "") this.take(text, line)
    }
  }
}

/** Joins pieces; `take` gets whole lines, all but the file's last with their newlines. */
class WholeLines {
  /** The beginning of a line, in pieces. */
  private parts: Uint8Array[] = []
  private size = 0

  constructor(
    private readonly take: (bytes: Uint8Array) => void,
    private readonly counter: { readonly count: number }
  ) {}

  push(bytes: Uint8Array): void {
    const end = bytes.lastIndexOf(NEWLINE) + 1
    let from = 0
    if (end > 0 && this.size > 0) {
      from = bytes.indexOf(NEWLINE) + 1
      this.keep(bytes.subarray(0, from))
      this.finish()
    }
    if (from < end) this.take(bytes.subarray(from, end))
    if (end < bytes.length) this.keep(bytes.subarray(end))
    if (this.size > MOST_OF_A_LINE) {
      throw new LineError(this.counter.count + 1, `a line of more than ${MOST_OF_A_LINE} bytes`)
    }
  }

  finish(): void {
    const { parts, size } = this
    this.parts = []
    this.size = 0
    if (parts.length > 1) this.take(joined(parts, size))
    else if (parts.length === 1) this.take(parts[0]!)
  }

  private keep(bytes: Uint8Array): void {
    this.parts.push(bytes)
    this.size += bytes.length
  }
}

function joined(parts: readonly Uint8Array[], size: number): Uint8Array {
  const all = new Uint8Array(size)
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

function endOfLine(bytes: Uint8Array, from: number): number {
  const end = bytes.indexOf(NEWLINE, from)
  return end < 0 ? bytes.length : end
}

type Decoder = { readonly decode: (bytes: Uint8Array) => string }

const newDecoder = (): Decoder => new TextDecoder("utf-8", { fatal: true })

const NO_TEXT = "not UTF-8 text"

function textOf(decoder: Decoder, bytes: Uint8Array, line: number): string {
  try {
    return decoder.decode(bytes)
  } catch {
    throw new LineError(line, NO_TEXT)
  }
}
