/** Bytes of a file into records, in constant memory. Floor 9. */
import { ByteLines, LineError, type LineReader, Lines } from "../lines.ts"
import { parseRecord } from "./parse.ts"
import { FormatError, type Recorded } from "./record.ts"
import { OpScanner } from "./scan.ts"

/** Gets records. */
export interface Taker {
  /** The record of a line. May refuse it with a FormatError. */
  readonly take: (record: Recorded, line: number) => void
  /** Something that format 1 does not have, in a few words. */
  readonly note: (what: string) => void
}

/** Lines into records. */
export function newReader({ note, take }: Taker): LineReader {
  return new Lines((text, line) => refusing(line, () => take(parseRecord(text, true, note), line)))
}

/** The same without what operations did to areas, which is a few times quicker. */
export function newQuickReader({ note, take }: Taker): LineReader {
  const scanner = new OpScanner()
  return new ByteLines(
    (bytes, from, to, line) => {
      const op = scanner.scan(bytes, from, to)
      if (op !== undefined) refusing(line, () => take(op, line))
      return op !== undefined
    },
    (text, line) => refusing(line, () => take(parseRecord(text, false, note), line))
  )
}

function refusing(line: number, body: () => void): void {
  try {
    body()
  } catch (error) {
    if (error instanceof FormatError) throw new LineError(line, error.message)
    throw error
  }
}
