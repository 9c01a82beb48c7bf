/** `pagewright run MODULE.ts`: loads a module and runs the scenario that it exports. Floor 11. */
import { statSync } from "node:fs"
import { basename, resolve } from "node:path"
import { pathToFileURL } from "node:url"
import { inspect } from "node:util"
import { Cause, Console, Effect, Exit } from "effect"
import { CommandError, EXIT_CHECK_FAILED, EXIT_INTERRUPTED, EXIT_OK, findingsOf, firstLine, type Io } from "./io.ts"
import { installLoader } from "./loader.ts"
import { isFailedCheck, type Scenario, scenarioOf } from "./scenario.ts"

/** What a run with --json prints, as one object. */
type Report = {
  readonly scenario: string
  readonly ok: boolean
  readonly exitCode: number
  readonly error?: string
  readonly transcript: ReadonlyArray<string>
}

const runnable = /\.m?[jt]s$/

/** Runs the scenario of the module at `path`; answers the exit code. */
export async function runModule(path: string, options: { readonly json: boolean }, io: Io): Promise<number> {
  const file = fileAt(path)
  const scenario = await Promise.race([loadScenario(file, path), nothingLeft(`${path} never finished loading`)])
  const transcript: Array<string> = []
  const program = options.json
    ? Effect.provideService(scenario.run, Console.Console, recording(transcript))
    : scenario.run
  const exit = await Promise.race([
    untilInterrupted(program, scenario.name),
    nothingLeft(`scenario ${scenario.name} waits for something that never comes (a deadlock?)`)
  ])
  try {
    const exitCode = judge(scenario, exit)
    if (options.json) io.out(reportOf({ scenario: scenario.name, ok: true, exitCode, transcript }))
    return exitCode
  } catch (error) {
    if (options.json && error instanceof CommandError) {
      const { exitCode, message } = error
      io.out(reportOf({ scenario: scenario.name, ok: false, exitCode, error: message, transcript }))
    }
    throw error
  }
}

function fileAt(path: string): string {
  const file = resolve(path)
  const found = statSync(file, { throwIfNoEntry: false })
  if (found === undefined) throw new CommandError(`no file ${path}`)
  if (!found.isFile()) throw new CommandError(`${path} is not a file`)
  if (!runnable.test(file)) throw new CommandError(`${path} is neither TypeScript nor a JavaScript module`)
  return file
}

async function loadScenario(file: string, path: string): Promise<Scenario> {
  installLoader()
  let exports: { readonly default?: unknown }
  try {
    exports = (await import(pathToFileURL(file).href)) as { readonly default?: unknown }
  } catch (cause) {
    throw new CommandError(`cannot load ${path}: ${firstLine(cause)}`, { cause })
  }
  const scenario = scenarioOf(exports.default, basename(path).replace(runnable, ""))
  if (scenario === undefined) {
    throw new CommandError(`${path} has no scenario: its default export is neither an Effect nor { name, run: Effect }`)
  }
  return scenario
}

/** Runs a program to its end; Ctrl-C interrupts it, and its finalizers run. A second Ctrl-C ends the process. */
async function untilInterrupted(
  program: Effect.Effect<unknown, unknown>,
  name: string
): Promise<Exit.Exit<unknown, unknown>> {
  const controller = new AbortController()
  const interrupt = (): void => controller.abort()
  process.once("SIGINT", interrupt)
  process.once("SIGTERM", interrupt)
  try {
    const exit = await Effect.runPromiseExit(program, { signal: controller.signal })
    if (controller.signal.aborted && Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)) {
      throw new CommandError(`scenario ${name} was interrupted`, { exitCode: EXIT_INTERRUPTED })
    }
    return exit
  } finally {
    process.off("SIGINT", interrupt)
    process.off("SIGTERM", interrupt)
  }
}

/** Fails when Node has nothing more to do although something is still awaited. */
const nothingLeft = (message: string): Promise<never> =>
  new Promise((_, reject) => {
    process.once("beforeExit", () => reject(new CommandError(message)))
  })

function judge(scenario: Scenario, exit: Exit.Exit<unknown, unknown>): number {
  if (Exit.isSuccess(exit)) return EXIT_OK
  const cause = Cause.squash(exit.cause)
  if (isFailedCheck(cause)) {
    const message = `scenario ${scenario.name}: check failed: ${findingsOf(cause)}`
    throw new CommandError(message, { cause, exitCode: EXIT_CHECK_FAILED })
  }
  const verb = Cause.hasDies(exit.cause) ? "died" : Cause.hasFails(exit.cause) ? "failed" : "interrupted itself"
  throw new CommandError(`scenario ${scenario.name} ${verb}: ${firstLine(cause)}`, { cause })
}

/** A console that keeps what is said as lines; the rest of it is the process's own. */
function recording(lines: Array<string>): Console.Console {
  const say = (...words: ReadonlyArray<unknown>): void => {
    const text = words.map((word) => (typeof word === "string" ? word : inspect(word))).join(" ")
    lines.push(...text.split("\n"))
  }
  return Object.assign(Object.create(console) as Console.Console, {
    log: say,
    info: say,
    warn: say,
    error: say,
    debug: say
  })
}

const reportOf = (report: Report): string => `${JSON.stringify(report)}\n`
