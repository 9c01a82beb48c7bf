#!/usr/bin/env node
/** The executable `pagewright`. Floor 11. */
import { CommandError, EXIT_ERROR, firstLine, type Io, stackOf } from "./io.ts"
import { main } from "./main.ts"

const io: Io = {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text)
}
const args = process.argv.slice(2)
const isDebug = args.includes("--debug")
if (isDebug) process.setSourceMapsEnabled(true)

/** Ends now, even if a scenario left a timer or a socket open, but not before what was written is out. */
const end = (code: number): void => {
  process.stdout.write("", () => process.stderr.write("", () => process.exit(code)))
}

// A reader that closed the pipe early, as `head` does, is no error; the exit code is the shell's for SIGPIPE.
process.stdout.on("error", () => process.exit(141))

/** What a module throws outside the program that is run: in a timer, in a promise that nobody awaits. */
process.on("uncaughtException", (error) => {
  io.err(`pagewright: uncaught: ${firstLine(error)}\n`)
  if (isDebug) io.err(`${stackOf(error)}\n`)
  end(error instanceof CommandError ? error.exitCode : EXIT_ERROR)
})

end(await main(args, io))
