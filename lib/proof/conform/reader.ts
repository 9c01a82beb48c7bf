/** Bytes of a file into records, in constant memory. Floor 9. */
import { LineError, Lines } from "../lines.ts"
import { parseRecord } from "./parse.ts"
import { FormatError, type Recorded } from "./record.ts"

/** Lines into records; `take` gets the record of each, and may refuse it with a FormatError. */
export const newReader = (take: (record: Recorded, line: number) => void): Lines =>
  new Lines((text, line) => {
    try {
      take(parseRecord(text), line)
    } catch (error) {
      if (error instanceof FormatError) throw new LineError(line, error.message)
      throw error
    }
  })
