/** Bytes of a file into records, in constant memory. Floor 9. */
import { ByteLines, LineError, type LineReader, Lines } from "../lines.ts"
import { parseRecord } from "./parse.ts"
import { FormatError, type Recorded } from "./record.ts"
import { OpScanner } from "./scan.ts"

/** Lines into records; `take` gets the record of each, and may refuse it with a FormatError. */
export function newReader(take: (record: Recorded, line: number) => void): LineReader {
  return new Lines((text, line) => refusing(line, () => take(parseRecord(text), line)))
}

/** The same without what operations did to areas, which is a few times quicker. */
export function newQuickReader(take: (record: Recorded, line: number) => void): LineReader {
  const scanner = new OpScanner()
  return new ByteLines(
    (bytes, from, to, line) => {
      const op = scanner.scan(bytes, from, to)
      if (op !== undefined) refusing(line, () => take(op, line))
      return op !== undefined
    },
    (text, line) => refusing(line, () => take(parseRecord(text, false), line))
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
