/**
 * `npm test`: every gate in turn, one line each; what a gate printed is shown only when it fails.
 * `npm test -- lint types` runs only the gates named.
 */
import { run } from "./run.ts"

type Gate = { readonly name: string; readonly what: string; readonly scripts: ReadonlyArray<string> }

const gates: ReadonlyArray<Gate> = [
  { name: "format", what: "format check", scripts: ["format:check"] },
  { name: "build", what: "build", scripts: ["build"] },
  { name: "check", what: "type check", scripts: ["check"] },
  { name: "lint", what: "lint, floating effects", scripts: ["lint:oxlint", "lint:effect"] },
  { name: "unit", what: "unit, property, layer tests", scripts: ["test:unit"] },
  { name: "types", what: "tsd on the built types", scripts: ["test:types"] },
  { name: "api", what: "API report", scripts: ["api:check"] },
  { name: "pack", what: "package check", scripts: ["pack:check"] },
  { name: "spec", what: "specification rows", scripts: ["spec"] }
]

const seconds = (since: number): string => `${((Date.now() - since) / 1000).toFixed(1).padStart(6)} s`

/** A gate's own count, where it gives one. */
const countIn = (output: string): string => /^\s*Tests\s+(.*?)(?: \(\d+\))?\s*$/m.exec(stripColour(output))?.[1] ?? ""

// oxlint-disable-next-line no-control-regex -- the escape character is what it looks for
const stripColour = (text: string): string => text.replaceAll(/\u001B\[[\d;]*m/g, "")

async function runGate(gate: Gate): Promise<boolean> {
  const since = Date.now()
  if (process.stdout.isTTY) process.stdout.write(`   ..  ${gate.what}\r`)
  let output = ""
  for (const script of gate.scripts) {
    const finished = await run("npm", ["run", "-s", script])
    output += finished.output
    if (finished.code !== 0) {
      console.log(` FAIL  ${gate.what.padEnd(30)}${seconds(since)}\n${output.trimEnd()}\n`)
      return false
    }
  }
  console.log(`   ok  ${gate.what.padEnd(30)}${seconds(since)}   ${countIn(output)}`.trimEnd())
  return true
}

async function main(names: ReadonlyArray<string>): Promise<number> {
  const unknown = names.filter((name) => !gates.some((gate) => gate.name === name))
  if (unknown.length > 0) {
    console.error(`no gate named ${unknown.join(", ")}; there are ${gates.map((gate) => gate.name).join(", ")}`)
    return 2
  }
  const since = Date.now()
  const failed: Array<string> = []
  for (const gate of gates) {
    if (names.length > 0 && !names.includes(gate.name)) continue
    if (!(await runGate(gate))) failed.push(gate.name)
  }
  console.log(failed.length === 0 ? `all gates pass${seconds(since)}` : `failed: ${failed.join(", ")}${seconds(since)}`)
  return failed.length === 0 ? 0 : 1
}

process.exitCode = await main(process.argv.slice(2))
