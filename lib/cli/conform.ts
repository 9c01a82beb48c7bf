/** `pagewright conform FILE...`: judges recordings of a real Linux against the simulation. Floor 11. */
import type { Lines } from "../proof/lines.ts"
import { newMachines } from "../proof/conform/machine.ts"
import { newReader } from "../proof/conform/reader.ts"
import type { Header } from "../proof/conform/record.ts"
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
  await judgeFiles(files, session, io)
  const { tally } = session
  io.out(options.json ? `${JSON.stringify(jsonOfTally(tally))}\n` : textOfTally(tally))
  return tally.total.divergences === 0 ? EXIT_OK : EXIT_CHECK_FAILED
}

/** What may be done on the way. */
export interface Watch {
  readonly onHeader?: (header: Header) => void
  readonly onFile?: (file: string) => void
}

/** Gives the records of all files to `session`. Throws CommandError where one is no recording, or cannot be read. */
export async function judgeFiles(
  files: ReadonlyArray<string>,
  session: Session,
  io: Io,
  watch: Watch = {}
): Promise<void> {
  const progress = (): string => {
    const { divergences, operations, sequences } = session.tally.total
    return `${sequences} sequences, ${operations} operations, ${divergences} divergences`
  }
  await whileReading({ command: "conform", progress }, io, async (readInto) => {
    for (const file of files) await judgeFile(file, session, readInto, watch)
  })
}

async function judgeFile(
  file: string,
  session: Session,
  readInto: (file: string, lines: Lines) => Promise<void>,
  { onFile, onHeader }: Watch
): Promise<void> {
  const lines = newReader((record, line) => {
    if (record.kind === "header") onHeader?.(record)
    session.take(record, line)
  })
  await readInto(file, lines)
  try {
    session.finish(lines.count)
  } catch (error) {
    throw commandErrorOf(file, lines, error)
  }
  onFile?.(file)
}
