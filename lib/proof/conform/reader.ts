/** Bytes of a file into records, in constant memory. Floor 9. */
import { parseRecord } from "./parse.ts"
import { FormatError, type Recorded } from "./record.ts"

/** Characters that one line may have. The longest true one, a fork at the limit of areas, is a fifth of that. */
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

/** Cuts what is pushed into lines and gives the record of each to `take`, which may refuse it with a FormatError. */
export class Reader {
  private readonly decoder = new TextDecoder("utf-8", { fatal: true })
  private rest = ""
  /** Lines that were taken. */
  lines = 0

  constructor(private readonly take: (record: Recorded, line: number) => void) {}

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
      throw new LineError(this.lines + good.split("\n").length, "not UTF-8 text")
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
      throw new LineError(this.lines + 1, `a line of more than ${MOST_OF_A_LINE} characters`)
  }

  private line(text: string): void {
    const line = ++this.lines
    if (text.trim() === "") return
    try {
      this.take(parseRecord(text), line)
    } catch (error) {
      if (error instanceof FormatError) throw new LineError(line, error.message)
      throw error
    }
  }
}
