/** Reading recordings and logs: unpacked if need be, interruptible, with progress on a terminal. Floor 11. */
import { createReadStream, statSync } from "node:fs"
import { Readable } from "node:stream"
import { createGunzip } from "node:zlib"
import { LineError, type LineReader } from "../proof/lines.ts"
import { CommandError, EXIT_INTERRUPTED, firstLine, type Io } from "./io.ts"

/** Milliseconds between two lines of progress. */
const PROGRESS_EVERY = 250

/** Who reads, for whom. */
export interface Reading {
  /** The command, for the message of an interruption: `conform`. */
  readonly command: string
  /** How far it is, in words: `12 operations`. */
  readonly progress: () => string
}

/** Pushes a whole file into lines. Throws CommandError, which names file and line. */
export type ReadInto = (file: string, lines: LineReader) => Promise<void>

/** Runs `body`, which reads files with what it is given; Ctrl-C ends it between two pieces of a file. */
export async function whileReading<A>(
  { command, progress }: Reading,
  io: Io,
  body: (readInto: ReadInto) => Promise<A>
): Promise<A> {
  const shown = progressOn(io)
  const controller = new AbortController()
  const interrupt = (): void => controller.abort()
  process.once("SIGINT", interrupt)
  try {
    return await body((file, lines) =>
      readFile(file, lines, () => {
        if (controller.signal.aborted) {
          throw new CommandError(`${command} was interrupted after ${progress()}`, { exitCode: EXIT_INTERRUPTED })
        }
        shown.show(() => `${file}: ${progress()}`)
      })
    )
  } finally {
    process.off("SIGINT", interrupt)
    shown.clear()
  }
}

/** Pushes a whole file into `lines`, asking `goOn` before each piece. Throws CommandError, which names file and line. */
async function readFile(file: string, lines: LineReader, goOn: () => void): Promise<void> {
  try {
    for await (const bytes of await bytesOf(file)) {
      goOn()
      lines.push(bytes)
    }
    lines.finish()
    if (lines.count === 0) throw new LineError(1, "the file is empty")
  } catch (error) {
    throw commandErrorOf(file, lines, error)
  }
}

/** An error while `file` was read, as one line for the user. */
export function commandErrorOf(file: string, lines: LineReader, error: unknown): CommandError {
  if (error instanceof CommandError) return error
  if (error instanceof LineError) return new CommandError(`${file}:${error.line}: ${error.message}`, { cause: error })
  return new CommandError(`${file}:${lines.count + 1}: cannot read on: ${firstLine(error)}`, { cause: error })
}

/** Bytes that are read, and unpacked, at a time. */
const PIECE = 1 << 18

/** The bytes of a file, unpacked if they begin as gzip does. The file may be a pipe. */
async function bytesOf(file: string): Promise<AsyncIterable<Uint8Array>> {
  const found = statSync(file, { throwIfNoEntry: false })
  if (found === undefined) throw new CommandError(`no file ${file}`)
  if (found.isDirectory()) throw new CommandError(`${file} is a folder, expected a recording`)
  const pieces = createReadStream(file, { highWaterMark: PIECE })[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>
  let start: Uint8Array = new Uint8Array(0)
  for (let next; start.length < 2 && (next = await pieces.next()).done !== true;) {
    start = Buffer.concat([start, next.value])
  }
  const whole = withStart(start, { [Symbol.asyncIterator]: () => pieces })
  if (start[0] !== 0x1f || start[1] !== 0x8b) return whole
  const packed = Readable.from(whole)
  const unpacked = createGunzip({ chunkSize: PIECE })
  packed.on("error", (error) => unpacked.destroy(error))
  return packed.pipe(unpacked)
}

async function* withStart(start: Uint8Array, rest: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  yield start
  yield* rest
}

/** One line on a terminal's standard error, overwritten; nothing where standard error is no terminal. */
function progressOn(io: Io): { readonly show: (text: () => string) => void; readonly clear: () => void } {
  if (!process.stderr.isTTY) return { show: () => {}, clear: () => {} }
  let next = Date.now() + PROGRESS_EVERY
  let isShown = false
  return {
    show: (text) => {
      if (Date.now() < next) return
      next = Date.now() + PROGRESS_EVERY
      isShown = true
      io.err(`\r\u001b[K${text()}`)
    },
    clear: () => {
      if (isShown) io.err("\r\u001b[K")
    }
  }
}
