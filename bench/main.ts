/** `npm run bench`: what operations cost on the built library, beside the host kernel.
 *
 *     npm run bench [-- --json] [-- --group NAME]... [-- --rounds N]
 *
 * Each group runs in a node process of its own, in turn with the C program; of all rounds the best figure counts. Nothing
 * fails here: a figure above its target is a word in the table.
 */
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { cpus, release } from "node:os"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { compile, parse } from "./host.ts"
import type { Figures } from "./measure.ts"
import { judge, type Line, summary, table } from "./report.ts"
import { type Group, groups, rows } from "./rows.ts"

const { values } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    group: { type: "string", multiple: true, default: [] },
    rounds: { type: "string", default: "3" },
    /** Measures one group in this process, and prints its figures. */
    measure: { type: "string" }
  }
})

const isGroup = (name: string): name is Group => groups.some((group) => group === name)

/** Is there a row that the C program measures too? */
const hasRival = (group: Group): boolean => rows.some((row) => row.group === group && row.rival === "kernel")

/** Measures one group. */
async function measure(group: Group): Promise<Figures> {
  const figures: Figures = new Map()
  if (group === "areas") (await import("./groups/areas.ts")).areas(figures)
  else if (group === "pages") (await import("./groups/pages.ts")).pages(figures)
  else if (group === "access") (await import("./groups/access.ts")).access(figures)
  else if (group === "boot") (await import("./groups/boot.ts")).boots(figures)
  else if (group === "rim") await (await import("./groups/rim.ts")).rim(figures)
  else if (group === "objects") await (await import("./groups/objects.ts")).objects(figures)
  else if (group === "proc") (await import("./groups/proc.ts")).proc(figures)
  else if (group === "uffd") await (await import("./groups/uffd.ts")).uffd(figures)
  else if (group === "replay") await (await import("./groups/replay.ts")).replays(figures)
  else await (await import("./groups/api.ts")).api(figures)
  return figures
}

const self = fileURLToPath(import.meta.url)
const hook = new URL("../tools/ts.mjs", import.meta.url).href

/** Measures one group in a process of its own; answers why not, where that fails. */
function inChild(group: Group, figures: Figures): string | undefined {
  const child = spawnSync(process.execPath, ["--import", hook, self, "--measure", group], { encoding: "utf8" })
  if (child.status === 0) {
    parse(figures, child.stdout)
    return undefined
  }
  const lines = child.stderr.split("\n")
  return lines.find((line) => /^\w*Error/.test(line)) ?? child.error?.message ?? `exit code ${child.status}`
}

function all(chosen: readonly Group[], rounds: number): void {
  const began = Date.now()
  const ours: Figures = new Map()
  const kernel: Figures = new Map()
  const notes = new Set<string>()
  const host = chosen.some(hasRival) ? compile() : undefined
  if (typeof host === "string") notes.add(`nothing is compared with the host kernel: ${host}`)
  try {
    for (let round = 0; round < rounds; round++)
      for (const group of chosen) {
        if (typeof host === "object" && hasRival(group)) host.run(kernel)
        const failed = inChild(group, ours)
        if (failed !== undefined) notes.add(`group ${group} was not measured: ${failed}`)
      }
  } finally {
    if (typeof host === "object") host.close()
  }
  print(judge(chosen, ours, kernel), [...notes], Date.now() - began)
}

function print(lines: readonly Line[], notes: readonly string[], ms: number): void {
  const machine = `node ${process.version}, ${cpus()[0]?.model ?? "unknown"} x${cpus().length}, Linux ${release()}`
  if (values.json) {
    console.log(JSON.stringify({ machine, ms, notes, rows: lines }, null, 2))
    return
  }
  console.log(`${machine}\n`)
  console.log(table(lines))
  console.log(`\n${summary(lines)} (${(ms / 1000).toFixed(0)} s)`)
  console.log("theirs: the host kernel's CPU time for the same, or a loop over a plain typed array; best of all rounds")
  if (lines.some((line) => line.id === "uffd.fault"))
    console.log(
      "of faults that two fibers settle: the wall clock of two threads on two processors; verbs alone: both on one"
    )
  for (const note of notes) console.log(`note: ${note}`)
}

async function main(): Promise<void> {
  if (!existsSync(new URL("../dist/mm/sys/boot.js", import.meta.url))) {
    console.error("bench: there is no build; run `npm run build`")
    process.exitCode = 2
    return
  }
  if (values.measure !== undefined && isGroup(values.measure)) {
    for (const [id, ns] of await measure(values.measure)) console.log(`${id} ${ns}`)
    return
  }
  const rounds = Number(values.rounds)
  const unknown = values.group.find((name) => !isGroup(name))
  if (unknown !== undefined || !Number.isInteger(rounds) || rounds < 1) {
    console.error(
      unknown === undefined
        ? `bench: --rounds is ${values.rounds}, expected a whole number of 1 or more`
        : `bench: there is no group ${unknown}; there are ${groups.join(", ")}`
    )
    process.exitCode = 2
    return
  }
  const chosen = values.group.filter(isGroup)
  all(chosen.length > 0 ? chosen : groups, rounds)
}

await main()
