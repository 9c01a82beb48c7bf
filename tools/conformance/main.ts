/**
 * `npm run conformance -- [--kernel NAME] FILE...`: judges recordings with every check, and writes what it finds to
 * docs/conformance.json and docs/conformance.md. Without files, it only renders the page anew. Exit code as `pagewright conform`.
 */
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { basename, join } from "node:path"
import { parseArgs } from "node:util"
import { judgeFiles, knownOf } from "../../lib/cli/conform.ts"
import { CommandError, type Io } from "../../lib/cli/io.ts"
import { newMachines } from "../../lib/proof/conform/machine.ts"
import { textOfTally } from "../../lib/proof/conform/report.ts"
import { Session } from "../../lib/proof/conform/session.ts"
import { root } from "../run.ts"
import { proofOf, readResults, renderResults, type Source, writeResults } from "./results.ts"
import { shortenSeeds } from "./seeds.ts"

const io: Io = { out: (text) => void process.stdout.write(text), err: (text) => void process.stderr.write(text) }
const known = join(root, "docs", "conformance-known.json")

async function judge(files: readonly string[], kernel: string): Promise<number> {
  const session = new Session(newMachines(), {
    check: true,
    coverage: true,
    known: knownOf(known)
  })
  const { tally } = session
  const sources: Source[] = []
  let before = { ...tally.total }
  let names: string[] = []
  await judgeFiles(files, session, io, {
    onHeader: ({ seq }) => void names.push(seq),
    onFile: (file) => {
      const { operations, sequences } = tally.total
      sources.push({
        name: basename(file),
        sha256: createHash("sha256").update(readFileSync(file)).digest("hex"),
        sequences: sequences - before.sequences,
        operations: operations - before.operations,
        seeds: shortenSeeds(names)
      })
      before = { ...tally.total }
      names = []
    }
  })
  console.log(textOfTally(tally))
  writeResults("recordings", proofOf(tally, kernel, sources))
  console.log("written: docs/conformance.json, docs/conformance.md, README.md")
  return tally.total.divergences === 0 ? 0 : 1
}

async function main(): Promise<number> {
  try {
    const { positionals, values } = parseArgs({ allowPositionals: true, options: { kernel: { type: "string" } } })
    const results = readResults()
    if (positionals.length === 0) {
      renderResults(results)
      return 0
    }
    return await judge(positionals, values.kernel ?? (results.recordings.kernel || "Linux 6.18"))
  } catch (error) {
    console.error(`conformance: ${error instanceof Error ? error.message : String(error)}`)
    return error instanceof CommandError ? error.exitCode : 2
  }
}

process.exitCode = await main()
