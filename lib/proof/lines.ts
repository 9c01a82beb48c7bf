/** Bytes of a file into lines, in constant memory. Floor 9. */

/** Characters that one line may have. The longest true one, a map at the limit of areas, is a fifth of that. */
const MOST_OF_A_LINE = 1 << 25

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

/** Cuts what is pushed into lines; `take` gets each that is not blank, and its number from 1. */
export class Lines {
  private rest = ""
  /** Lines that were read. */
  count = 0

  /** @param decoder - by default one that refuses what is not UTF-8 */
  constructor(
    private readonly take: (text: string, line: number) => void,
    private readonly decoder = new TextDecoder("utf-8", { fatal: true })
  ) {}

  /** The next bytes of the file. Throws LineError. */
  push(bytes: Uint8Array): void {
    this.pushText(this.decode(bytes, true))
  }

  /** The file is over. A last line needs no newline. */
  finish(): void {
    this.pushText(this.decode(new Uint8Array(0), false))
    if (this.rest !== "") this.line(this.rest)
    this.rest = ""
  }

  private decode(bytes: Uint8Array, stream: boolean): string {
    try {
      return this.decoder.decode(bytes, { stream })
    } catch {
      const [good = ""] = new TextDecoder().decode(bytes).split("\ufffd", 1)
      throw new LineError(this.count + good.split("\n").length, "not UTF-8 text")
    }
  }

  private pushText(text: string): void {
    let from = 0
    for (let to; (to = text.indexOf("\n", from)) >= 0; from = to + 1) {
      this.line(this.rest === "" ? text.slice(from, to) : this.rest + text.slice(from, to))
      this.rest = ""
    }
    this.rest += text.slice(from)
    if (this.rest.length > MOST_OF_A_LINE)
      throw new LineError(this.count + 1, `a line of more than ${MOST_OF_A_LINE} characters`)
  }

  private line(text: string): void {
    const line = ++this.count
    if (text.trim() !== "") this.take(text, line)
  }
}
