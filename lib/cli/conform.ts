/** `pagewright conform FILE...`: judges recordings of a real Linux against the simulation. Floor 11. */
import { createReadStream, statSync } from "node:fs"
import { open } from "node:fs/promises"
import { createGunzip } from "node:zlib"
import { newMachines } from "../proof/conform/machine.ts"
import { LineError, Reader } from "../proof/conform/reader.ts"
import { jsonOfTally, textOfTally } from "../proof/conform/report.ts"
import { Session } from "../proof/conform/session.ts"
import { CommandError, EXIT_CHECK_FAILED, EXIT_INTERRUPTED, EXIT_OK, firstLine, type Io } from "./io.ts"

/** Milliseconds between two lines of progress. */
const PROGRESS_EVERY = 250

/** Judges the recordings in `files` together; answers the exit code. */
export async function conformFiles(
  files: ReadonlyArray<string>,
  options: { readonly json: boolean },
  io: Io
): Promise<number> {
  const session = new Session(newMachines())
  const progress = progressOn(io, session)
  const controller = new AbortController()
  const interrupt = (): void => controller.abort()
  process.once("SIGINT", interrupt)
  try {
    for (const file of files) await judgeFile(file, session, controller.signal, progress.show)
  } finally {
    process.off("SIGINT", interrupt)
    progress.clear()
  }
  const { tally } = session
  io.out(options.json ? `${JSON.stringify(jsonOfTally(tally))}\n` : textOfTally(tally))
  return tally.total.divergences === 0 ? EXIT_OK : EXIT_CHECK_FAILED
}

async function judgeFile(
  file: string,
  session: Session,
  signal: AbortSignal,
  show: (file: string) => void
): Promise<void> {
  const reader = new Reader((record, line) => session.take(record, line))
  try {
    for await (const bytes of await bytesOf(file)) {
      if (signal.aborted) throw interrupted(session)
      reader.push(bytes)
      show(file)
    }
    reader.finish()
    if (reader.lines === 0) throw new LineError(1, "the file is empty")
    session.finish(reader.lines)
  } catch (error) {
    if (error instanceof CommandError) throw error
    if (error instanceof LineError) throw new CommandError(`${file}:${error.line}: ${error.message}`, { cause: error })
    throw new CommandError(`${file}:${reader.lines + 1}: cannot read on: ${firstLine(error)}`, { cause: error })
  }
}

const interrupted = (session: Session): CommandError =>
  new CommandError(`conform was interrupted after ${session.tally.total.operations} operations`, {
    exitCode: EXIT_INTERRUPTED
  })

/** The bytes of a file, unpacked if they begin as gzip does. */
async function bytesOf(file: string): Promise<AsyncIterable<Uint8Array>> {
  const found = statSync(file, { throwIfNoEntry: false })
  if (found === undefined) throw new CommandError(`no file ${file}`)
  if (found.isDirectory()) throw new CommandError(`${file} is a folder, expected a recording`)
  const plain = createReadStream(file)
  if (!(await isGzip(file))) return plain
  const unpacked = createGunzip()
  plain.on("error", (error) => unpacked.destroy(error))
  return plain.pipe(unpacked)
}

async function isGzip(file: string): Promise<boolean> {
  const handle = await open(file)
  try {
    const { buffer, bytesRead } = await handle.read(new Uint8Array(2), 0, 2, 0)
    return bytesRead === 2 && buffer[0] === 0x1f && buffer[1] === 0x8b
  } finally {
    await handle.close()
  }
}

/** One line on a terminal's standard error, overwritten; nothing where standard error is no terminal. */
function progressOn(io: Io, session: Session): { readonly show: (file: string) => void; readonly clear: () => void } {
  if (!process.stderr.isTTY) return { show: () => {}, clear: () => {} }
  let next = Date.now() + PROGRESS_EVERY
  let isShown = false
  return {
    show: (file) => {
      if (Date.now() < next) return
      next = Date.now() + PROGRESS_EVERY
      isShown = true
      const { divergences, operations, sequences } = session.tally.total
      io.err(`\r\u001b[K${file}: ${sequences} sequences, ${operations} operations, ${divergences} divergences`)
    },
    clear: () => {
      if (isShown) io.err("\r\u001b[K")
    }
  }
}
