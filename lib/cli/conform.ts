/** `pagewright conform FILE...`: judges recordings of a real Linux against the simulation. Floor 11. */
import { readFileSync } from "node:fs"
import type { LineReader } from "../proof/lines.ts"
import { entriesOfJson, type KnownEntry } from "../proof/conform/known.ts"
import { newMachines } from "../proof/conform/machine.ts"
import { newQuickReader, newReader } from "../proof/conform/reader.ts"
import type { Header } from "../proof/conform/record.ts"
import { jsonOfTally, textOfTally } from "../proof/conform/report.ts"
import { Session } from "../proof/conform/session.ts"
import { CommandError, EXIT_CHECK_FAILED, EXIT_OK, firstLine, type Io } from "./io.ts"
import { commandErrorOf, whileReading } from "./log-file.ts"

/** How to judge, and how to tell. */
export interface ConformOptions {
  readonly json: boolean
  /** Compare areas after each operation? */
  readonly areas: boolean
  /** Check every invariant after each operation? */
  readonly check: boolean
  /** The file of known differences. */
  readonly known: string | undefined
}

/** Judges the recordings in `files` together; answers the exit code. */
export async function conformFiles(files: ReadonlyArray<string>, options: ConformOptions, io: Io): Promise<number> {
  const session = new Session(newMachines(), {
    areas: options.areas,
    check: options.check,
    known: options.known === undefined ? [] : knownOf(options.known)
  })
  await judgeFiles(files, session, io, { areas: options.areas })
  const { tally } = session
  io.out(options.json ? `${JSON.stringify(jsonOfTally(tally))}\n` : textOfTally(tally))
  return tally.total.divergences === 0 ? EXIT_OK : EXIT_CHECK_FAILED
}

/** What may be done on the way. */
export interface Watch {
  /** Are areas to be read? */
  readonly areas?: boolean
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
  readInto: (file: string, lines: LineReader) => Promise<void>,
  { areas, onFile, onHeader }: Watch
): Promise<void> {
  const lines = (areas === false ? newQuickReader : newReader)({
    take: (record, line) => {
      if (record.kind === "header") onHeader?.(record)
      session.take(record, line)
    },
    note: session.note
  })
  session.file = file
  await readInto(file, lines)
  try {
    session.finish(lines.count)
  } catch (error) {
    throw commandErrorOf(file, lines, error)
  }
  onFile?.(file)
}

/** The entries of a file of known differences. */
export function knownOf(file: string): readonly KnownEntry[] {
  let text: string
  try {
    text = readFileSync(file, "utf8")
  } catch (error) {
    throw new CommandError(`cannot read the known differences: ${firstLine(error)}`, { cause: error })
  }
  try {
    return entriesOfJson(text)
  } catch (error) {
    throw new CommandError(`${file}: ${firstLine(error)}`, { cause: error })
  }
}
