/** `npm run differential -- --threads`: many threads and userfaultfds, on this host and here. */
import { appendFileSync, readFileSync } from "node:fs"
import { release } from "node:os"
import { gunzipSync } from "node:zlib"
import { readFacts } from "../host.ts"
import type { Progress } from "../progress.ts"
import { seedOfText } from "../random.ts"
import { generateScript, type ThreadSource } from "./generate.ts"
import { compileThreads, probeThreads, ThreadsHost } from "./host.ts"
import { jsonOfThreads, textOfThreads } from "./report.ts"
import { runThreads } from "./run.ts"
import { type Recorded, recordedOf, type Script, textOfRecorded } from "./script.ts"

/** What is asked for. */
export interface ThreadsOptions {
  /** Steps in all; the last script is finished. */
  readonly ops: number
  readonly seed: string
  readonly jobs: number
  /** Gets what the host made of scripts that differ; with `keepAll`, of all. */
  readonly keep: string | undefined
  readonly keepAll: boolean
  readonly json: boolean
  /** Transcripts whose scripts run again, in place of random ones. */
  readonly files: readonly string[]
}

/** Runs scripts, and prints what came of it.
 * @param ends - gets what must be done when the run ends early
 * @returns exit code: 0 no difference, 1 a difference
 */
export async function runThreadsCommand(
  options: ThreadsOptions,
  progress: Progress,
  ends: Set<() => void>
): Promise<number> {
  const program = compileThreads()
  ends.add(program.close)
  const facts = readFacts(65536)
  const hosts = Array.from(
    { length: options.jobs },
    (_, i) => new ThreadsHost(program, facts.cpus[i % facts.cpus.length] ?? 0)
  )
  hosts.forEach((host) => ends.add(() => host.close()))
  await probeThreads(hosts[0]!)
  const kernel = release()
  const source = { seed: seedOfText(options.seed), hasSwap: facts.avoids.has("pageout") }
  if (!options.json) process.stdout.write(`Linux ${kernel}, seed ${options.seed}\n`)
  const keep = ({ script, transcript }: Recorded): void => {
    if (options.keep !== undefined) appendFileSync(options.keep, textOfRecorded({ script, transcript }))
  }
  const begin = performance.now()
  const outcome = await runThreads({
    scripts:
      options.files.length === 0 ? randomScripts(source, options.ops) : options.files.flatMap(scriptsOf).values(),
    hosts: hosts.map((host) => (script) => host.run(script)),
    onScript: (recorded, tally) => {
      if (options.keepAll) keep(recorded)
      progress.show(tally.steps, tally.differences)
    }
  })
  progress.clear()
  if (!options.keepAll) outcome.found.forEach(keep)
  const told = {
    command: commandOf(options),
    seconds: (performance.now() - begin) / 1000,
    seed: options.seed,
    kernel,
    keep: options.keep
  }
  process.stdout.write(options.json ? `${jsonOfThreads(outcome, told)}\n` : textOfThreads(outcome, told))
  return outcome.tally.differences === 0 ? 0 : 1
}

function* randomScripts(source: ThreadSource, steps: number): Generator<Script, void> {
  for (let nth = 0, done = 0; done < steps; nth++) {
    const script = generateScript(source, nth)
    done += script.steps.length
    yield script
  }
}

/** The scripts of a file of transcripts, plain or packed by gzip. */
function scriptsOf(file: string): Script[] {
  const bytes = readFileSync(file)
  const text = (bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes).toString("utf8")
  return recordedOf(text).map(({ script }) => script)
}

/** Repeats the run. */
const commandOf = ({ files, ops, seed }: ThreadsOptions): string =>
  `npm run differential -- --threads ${files.length > 0 ? files.join(" ") : `--ops ${ops} --seed ${seed}`}`
