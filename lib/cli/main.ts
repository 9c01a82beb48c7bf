/** The command line: reads arguments, finds the command, turns its end into an exit code. Floor 11. */
import { readFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { CommandError, EXIT_OK, type Io, stackOf } from "./io.ts"

/** Every option there is. Those that are not in `common` belong to commands, which name them. */
const flags = {
  known: { type: "string" },
  "no-maps": { type: "boolean" },
  check: { type: "boolean" },
  at: { type: "string" },
  svg: { type: "string" },
  pid: { type: "string" },
  json: { type: "boolean" },
  debug: { type: "boolean" },
  version: { type: "boolean" },
  help: { type: "boolean", short: "h" }
} as const

type Flag = keyof typeof flags
// INVARIANT: the keys of an object literal are what its type says.
const flagNames = Object.keys(flags) as readonly Flag[]
type Options = { readonly [name in Flag]?: (typeof flags)[name]["type"] extends "string" ? string : boolean }

const common: readonly Flag[] = ["json", "debug", "version", "help"]

/** What an option does, where it takes part in a command; in the order of the help. */
const about: Readonly<Record<Flag, string>> = {
  known: "conform: a JSON file of differences that are accepted, each with its reason",
  "no-maps": "conform: compare answers, sizes and the last sweep, not the map after each operation; much faster",
  check: "conform: also look for broken invariants of the simulation after each operation",
  at: "replay: the address space after call N of the log as well, from 0",
  svg: "replay: draws the address space over time into this file",
  pid: "replay: whose address space --svg draws; by default that of the process with the most calls",
  json: "one JSON object instead of text",
  debug: "stack traces with errors",
  version: "the version of this library",
  help: "this text"
}

type Command = {
  readonly usage: string
  readonly what: string
  /** Options of its own. */
  readonly options?: readonly Flag[]
  readonly run: (operands: ReadonlyArray<string>, options: Options, io: Io) => Promise<number>
}

/** Each loads only what it needs, when it is run. */
const commands: ReadonlyMap<string, Command> = new Map([
  [
    "run",
    {
      usage: "run MODULE.ts",
      what: "runs the scenario that the module exports by default: an Effect, or { name, run: Effect }",
      run: async (operands, options, io) => {
        const [path, ...more] = operands
        if (path === undefined)
          throw new CommandError("run: name the module that exports the scenario: pagewright run MODULE.ts")
        if (more.length > 0) throw new CommandError(`run: one module at a time, not also ${more.join(" ")}`)
        const { runModule } = await import("./run.ts")
        return runModule(path, { json: options.json === true }, io)
      }
    }
  ],
  [
    "conform",
    {
      usage: "conform FILE...",
      what: "judges recordings of a real Linux (format 1, plain or .gz) against the simulation",
      options: ["known", "no-maps", "check"],
      run: async (operands, options, io) => {
        if (operands.length === 0)
          throw new CommandError("conform: name the recordings: pagewright conform FILE... (format 1, plain or .gz)")
        const { conformFiles } = await import("./conform.ts")
        return conformFiles(
          operands,
          {
            json: options.json === true,
            areas: options["no-maps"] !== true,
            check: options.check === true,
            known: options.known
          },
          io
        )
      }
    }
  ],
  [
    "replay",
    {
      usage: "replay FILE",
      what: "replays the log of a program (strace -f, or format 2; plain or .gz): its maps, and whether we do what Linux did",
      options: ["at", "svg", "pid"],
      run: async (operands, options, io) => {
        const [file, ...more] = operands
        if (file === undefined) throw new CommandError("replay: name the log: pagewright replay FILE")
        if (more.length > 0) throw new CommandError(`replay: one log at a time, not also ${more.join(" ")}`)
        const { replayFile } = await import("./replay.ts")
        return replayFile(
          file,
          {
            json: options.json === true,
            at: countOf(options.at, "--at"),
            svg: options.svg,
            pid: countOf(options.pid, "--pid")
          },
          io
        )
      }
    }
  ]
])

/** The number that an option was given. */
function countOf(text: string | undefined, option: string): number | undefined {
  if (text === undefined) return undefined
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new CommandError(`replay: ${option} ${text} is no number`)
}

const help = (): string => {
  const width = Math.max(...[...commands.values()].map((command) => command.usage.length))
  const values: Options = { known: "FILE", at: "N" }
  const options = flagNames.map((name) => [`--${name} ${values[name] ?? ""}`, about[name]] as const)
  return [
    "pagewright: typed virtual memory areas over a simulated Linux mm",
    "",
    "usage: pagewright COMMAND [OPTIONS]",
    "",
    ...[...commands.values()].map((command) => `  ${command.usage.padEnd(width)}  ${command.what}`),
    "",
    ...options.map(([option, what]) => `  ${option.padEnd(12)}  ${what}`),
    "",
    "exit code: 0 all went well, 1 a check failed, 2 the command could not be carried out, 130 ended by Ctrl-C",
    ""
  ].join("\n")
}

/** The version in the package's own package.json, two folders up from where this file is built. */
function version(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"))
  return typeof manifest === "object" && manifest !== null && "version" in manifest
    ? String(manifest.version)
    : "unknown"
}

function parse(args: ReadonlyArray<string>) {
  try {
    return parseArgs({ args: [...args], allowPositionals: true, options: flags })
  } catch (cause) {
    // Node's message goes on with advice on escaping; its first sentence is the point.
    const message = cause instanceof Error ? cause.message.split(". ")[0]! : String(cause)
    throw new CommandError(`${message}; see pagewright --help`, { cause })
  }
}

async function dispatch(args: ReadonlyArray<string>, io: Io): Promise<number> {
  const { positionals, values } = parse(args)
  if (values.help === true) {
    io.out(help())
    return EXIT_OK
  }
  if (values.version === true) {
    io.out(values.json === true ? `${JSON.stringify({ name: "pagewright", version: version() })}\n` : `${version()}\n`)
    return EXIT_OK
  }
  const [name, ...operands] = positionals
  if (name === undefined) throw new CommandError("no command; see pagewright --help")
  const command = commands.get(name)
  if (command === undefined) {
    throw new CommandError(`no command ${name}; there are ${[...commands.keys()].join(", ")}; see pagewright --help`)
  }
  const foreign = Object.keys(values).find(
    (option) => ![...common, ...(command.options ?? [])].some((own) => own === option)
  )
  if (foreign !== undefined) throw new CommandError(`${name} has no option --${foreign}; see pagewright --help`)
  return command.run(operands, values, io)
}

/** Runs one command line; answers the exit code. What went wrong is one line on standard error. */
export async function main(args: ReadonlyArray<string>, io: Io): Promise<number> {
  try {
    return await dispatch(args, io)
  } catch (error) {
    const known =
      error instanceof CommandError ? error : new CommandError(`internal error: ${String(error)}`, { cause: error })
    io.err(`pagewright: ${known.message}\n`)
    if (args.includes("--debug") && known.cause !== undefined) io.err(`${stackOf(known.cause)}\n`)
    return known.exitCode
  }
}
