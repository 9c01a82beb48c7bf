/** Bytes of a file into records, in constant memory. Floor 9. */
import { LineError, Lines } from "../lines.ts"
import { parseRecord } from "./parse.ts"
import { OpScanner } from "./scan.ts"
import { FormatError, type Recorded } from "./record.ts"

/** Lines into records; `take` gets the record of each, and may refuse it with a FormatError.
 * @param areas - is what operations did to areas to be read?
 */
export function newReader(take: (record: Recorded, line: number) => void, areas = true): Lines {
  const scanner = new OpScanner()
  return new Lines((text, line) => {
    try {
      take((areas ? undefined : scanner.scan(text)) ?? parseRecord(text, areas), line)
    } catch (error) {
      if (error instanceof FormatError) throw new LineError(line, error.message)
      throw error
    }
  })
}
