/** `pagewright conform FILE...`: judges recordings of a real Linux against the simulation. Floor 11. */
import { newMachines } from "../proof/conform/machine.ts"
import { newReader } from "../proof/conform/reader.ts"
import { jsonOfTally, textOfTally } from "../proof/conform/report.ts"
import { Session } from "../proof/conform/session.ts"
import { EXIT_CHECK_FAILED, EXIT_OK, type Io } from "./io.ts"
import { commandErrorOf, whileReading } from "./log-file.ts"

/** Judges the recordings in `files` together; answers the exit code. */
export async function conformFiles(
  files: ReadonlyArray<string>,
  options: { readonly json: boolean },
  io: Io
): Promise<number> {
  const session = new Session(newMachines())
  const { tally } = session
  const progress = (): string => {
    const { divergences, operations, sequences } = tally.total
    return `${sequences} sequences, ${operations} operations, ${divergences} divergences`
  }
  await whileReading({ command: "conform", progress }, io, async (readInto) => {
    for (const file of files) {
      const lines = newReader((record, line) => session.take(record, line))
      await readInto(file, lines)
      try {
        session.finish(lines.count)
      } catch (error) {
        throw commandErrorOf(file, lines, error)
      }
    }
  })
  io.out(options.json ? `${JSON.stringify(jsonOfTally(tally))}\n` : textOfTally(tally))
  return tally.total.divergences === 0 ? EXIT_OK : EXIT_CHECK_FAILED
}
