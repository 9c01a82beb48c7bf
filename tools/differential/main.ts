/**
 * `npm run differential -- [--ops N] [--seed S] [FILE...]`: random programs, or those of recordings, run on this host's kernel
 * and in the simulation, and compared. Exit code 0 no difference, 1 a difference, 2 wrong use or it cannot run here.
 */
import { appendFileSync, readFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { parseArgs } from "node:util"
import { newMachines } from "../../lib/proof/conform/machine.ts"
import { parseRecord } from "../../lib/proof/conform/parse.ts"
import { proofOf, writeResults } from "../conformance/results.ts"
import { generate, SEQUENCE, type Source, themeOf } from "./generate.ts"
import { CannotRun, type HostFacts, openWorkshop, readFacts, type Workshop } from "./host.ts"
import { profileOf } from "./profile.ts"
import { call, type Program, programsOf } from "./program.ts"
import { progressOn } from "./progress.ts"
import { seedOfText } from "./random.ts"
import { Recorder } from "./recorder.ts"
import { jsonOfOutcome, textOfOutcome } from "./report.ts"
import { runAll } from "./run.ts"
import { ALL_ONES } from "./scene.ts"
import { themeNames } from "./themes.ts"
import { runThreadsCommand } from "./threads/command.ts"

const USAGE = `npm run differential -- [options] [FILE...]

Runs random programs on this host's kernel and in the simulation, and compares. With files, runs the programs of these
recordings instead.

  --ops N          operations in all (default 20000)
  --seed S         a number, or any text (default: a new one, which is printed)
  --threads        scripts of many threads, userfaultfds, forks and events instead, compared after each step
  --theme NAME     only programs about: ${themeNames.join(", ")}
  --jobs N         recorders side by side (default: one per processor, at most 4)
  --keep FILE      appends recordings of the programs that differ
  --keep-all       with --threads and --keep: of all of them
  --check          also looks for broken invariants after every operation
  --json           prints the outcome as JSON
  --record-result  writes the outcome to docs/conformance.json and docs/conformance.md
  --help           prints this
`

class UsageError extends Error {
  override readonly name = "UsageError"
}

interface Options {
  readonly ops: number
  readonly seed: string
  readonly threads: boolean
  readonly theme: string | undefined
  readonly jobs: number
  readonly keep: string | undefined
  readonly keepAll: boolean
  readonly check: boolean
  readonly json: boolean
  readonly record: boolean
  readonly help: boolean
  readonly files: readonly string[]
}

function optionsOf(args: readonly string[]): Options {
  const { positionals, values } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      ops: { type: "string", default: "20000" },
      seed: { type: "string" },
      threads: { type: "boolean", default: false },
      theme: { type: "string" },
      jobs: { type: "string" },
      keep: { type: "string" },
      "keep-all": { type: "boolean", default: false },
      check: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      "record-result": { type: "boolean", default: false },
      help: { type: "boolean", default: false }
    }
  })
  const { theme } = values
  if (theme !== undefined && themeOf(theme) === undefined) {
    throw new UsageError(`there is no theme ${theme}; there are ${themeNames.join(", ")}`)
  }
  if (values.threads) {
    for (const name of ["theme", "check", "record-result"] as const) {
      if (values[name] !== undefined && values[name] !== false) throw new UsageError(`--${name} is not for --threads`)
    }
  } else if (values["keep-all"]) throw new UsageError("--keep-all is for --threads")
  return {
    ops: countOf("ops", values.ops),
    seed: values.seed ?? String(Math.floor(Math.random() * 2 ** 32)),
    threads: values.threads,
    theme,
    jobs: values.jobs === undefined ? Math.min(availableParallelism(), 4) : countOf("jobs", values.jobs),
    keep: values.keep,
    keepAll: values["keep-all"],
    check: values.check,
    json: values.json,
    record: values["record-result"],
    help: values.help,
    files: positionals
  }
}

function countOf(name: string, text: string): number {
  if (!/^[1-9]\d{0,11}$/.test(text)) throw new UsageError(`--${name} ${text}: a whole number from 1 is needed`)
  return Number(text)
}

const empty = (root: boolean, calls: Program["calls"] = []): Program => ({
  seq: "probe",
  theme: "probe",
  root,
  rlimits: new Map(),
  calls
})

/** What can only be learned by asking the kernel. */
async function probe(workshop: Workshop): Promise<{ readonly facts: HostFacts; readonly headerLine: string }> {
  const guess = readFacts(65536)
  const recorder = new Recorder(workshop, guess, guess.cpus[0] ?? -1)
  try {
    const hint = call("mmap", [0x1000, 4096, 0, 0x22, ALL_ONES, 0])
    const [, line = ""] = await recorder.record(empty(false, [hint]))
    const lowest = /"r":"(0x[0-9a-f]+)"/.exec(line)?.[1]
    if (lowest === undefined) throw new CannotRun(whyNotTraced(line))
    const facts = readFacts(Number(lowest))
    const [header = ""] = await recorder.record(empty(facts.isRoot))
    return { facts, headerLine: header.replace(/"host":\{.*?\},/, `"host":${facts.json},`) }
  } finally {
    recorder.close()
  }
}

const whyNotTraced = (line: string): string =>
  `a first program fails: ${/"dead":"([^"]*)"/.exec(line)?.[1] ?? line}. The recorder traces its own children and reads ` +
  "their /proc/PID/pagemap: run it as root, or allow ptrace (kernel.yama.ptrace_scope at most 1; in a container, " +
  "--cap-add=SYS_PTRACE --security-opt seccomp=unconfined)"

function* randomPrograms(source: Source, operations: number): Generator<Program, void> {
  for (let n = 0; n * SEQUENCE < operations; n++) {
    yield generate(source, n, Math.min(SEQUENCE, operations - n * SEQUENCE))
  }
}

function sourceOf(options: Options, facts: HostFacts, headerLine: string): Source {
  const header = parseRecord(headerLine)
  if (header.kind !== "header") throw new CannotRun(`the recorder's header cannot be read: ${headerLine.slice(0, 200)}`)
  return {
    seed: seedOfText(options.seed),
    theme: options.theme === undefined ? undefined : themeOf(options.theme),
    facts,
    profile: profileOf(facts.host.kernel),
    header,
    newWorld: newMachines()
  }
}

/** Repeats the run. */
function commandOf({ files, ops, seed, theme }: Options): string {
  const what = files.length > 0 ? files.join(" ") : `--ops ${ops} --seed ${seed}`
  return `npm run differential -- ${what}${theme === undefined ? "" : ` --theme ${theme}`}`
}

async function run(options: Options, workshop: Workshop, ends: Set<() => void>): Promise<number> {
  const { facts, headerLine } = await probe(workshop)
  const source = sourceOf(options, facts, headerLine)
  const say = (text: string): void => void (options.json || process.stdout.write(`${text}\n`))
  const command = commandOf(options)
  say(`Linux ${facts.host.kernel}, seed ${options.seed}`)
  for (const note of [...source.profile.notes, ...facts.notes]) say(note)
  const begin = performance.now()
  const recorders = Array.from(
    { length: options.jobs },
    (_, i) => new Recorder(workshop, facts, facts.cpus[i % facts.cpus.length] ?? -1)
  )
  recorders.forEach((recorder) => ends.add(() => recorder.close()))
  const programs =
    options.files.length === 0
      ? randomPrograms(source, options.ops)
      : options.files.flatMap((file) => programsOf(readFileSync(file, "utf8"))).values()
  const progress = progressOn(options.json ? undefined : process.stderr)
  const outcome = await runAll({
    programs,
    hosts: recorders.map((recorder) => (program) => recorder.record(program)),
    check: options.check,
    onProgress: ({ total }) => progress.show(total.operations, total.divergences)
  })
  progress.clear()
  const seconds = (performance.now() - begin) / 1000
  if (options.keep !== undefined && outcome.differences.length + outcome.lost.length > 0) {
    const lines = [...outcome.differences.map(({ shrunk }) => shrunk), ...outcome.lost].flatMap((its) => its.lines)
    appendFileSync(options.keep, `${lines.join("\n")}\n`)
  }
  const told = { command, seconds, seed: options.seed, kernel: facts.host.kernel, keep: options.keep }
  process.stdout.write(options.json ? `${jsonOfOutcome(outcome, told)}\n` : textOfOutcome(outcome, told))
  if (options.record) {
    const { operations, sequences } = outcome.tally.total
    const name = `${command} (${outcome.unsteady} unsteady)`
    writeResults(
      "live",
      proofOf(outcome.tally, `Linux ${facts.host.kernel}`, [{ name, sequences, operations, seeds: options.seed }])
    )
  }
  const { divergences } = outcome.tally.total
  return divergences + outcome.tally.dropped === 0 ? 0 : 1
}

async function main(): Promise<number> {
  const ends = new Set<() => void>()
  const endAll = (): void => {
    for (const end of ends) end()
    ends.clear()
  }
  const stop = (): void => {
    endAll()
    process.exit(130)
  }
  process.once("SIGINT", stop).once("SIGTERM", stop)
  try {
    const options = optionsOf(process.argv.slice(2))
    if (options.help) {
      process.stdout.write(USAGE)
      return 0
    }
    if (options.threads) {
      return await runThreadsCommand(options, progressOn(options.json ? undefined : process.stderr), ends)
    }
    const workshop = openWorkshop()
    ends.add(workshop.close)
    return await run(options, workshop, ends)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    const isUse = error instanceof UsageError || (error instanceof TypeError && "code" in error)
    process.stderr.write(`differential: ${error instanceof CannotRun ? "cannot run here: " : ""}${why}\n`)
    if (isUse) process.stderr.write("npm run differential -- --help says how it is used\n")
    return 2
  } finally {
    process.off("SIGINT", stop).off("SIGTERM", stop)
    endAll()
  }
}

process.exitCode = await main()
