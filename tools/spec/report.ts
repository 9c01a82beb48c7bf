/** What `npm run spec` prints. */
import { type Coverage, count, type FileCoverage, isIncomplete, type State } from "./coverage.ts"
import type { Row } from "./rows.ts"

const states: ReadonlyArray<State["is"]> = ["covered", "next", "left out", "unexplained"]

const standing = (file: FileCoverage): string => (file.file.inForce ? "in force" : "not in force")

/** One line for each file. */
export function summary(coverage: Coverage): string {
  const width = Math.max(0, ...coverage.files.map((one) => one.file.name.length))
  return coverage.files
    .map((one) => {
      const counts = states.map((is) => `${String(count(one, is)).padStart(4)} ${is}`).join("")
      return `${one.file.name.padEnd(width)}  ${standing(one).padEnd(12)}  ${String(one.rows.length).padStart(4)} rows:${counts}`
    })
    .join("\n")
}

function explain(row: Row, state: State): string {
  switch (state.is) {
    case "covered": {
      const [first, ...more] = state.by
      return first === undefined
        ? ""
        : `${first.file}:${first.line}${more.length > 0 ? ` and ${more.length} more` : ""}`
    }
    case "next":
      return `${state.reason} (built by: ${state.work})`
    case "left out":
      return state.reason
    case "unexplained":
      return row.text
  }
}

/** Every row, by file and state. */
export function listing(coverage: Coverage): string {
  const lines: Array<string> = []
  for (const one of coverage.files) {
    lines.push(`${one.file.name}, ${standing(one)}, ${one.rows.length} rows`)
    for (const is of states) {
      const rows = one.rows.filter((each) => each.state.is === is)
      if (rows.length > 0) lines.push(`  ${is}: ${rows.length}`)
      for (const { row, state } of rows) lines.push(`    ${row.id.padEnd(12)}  ${explain(row, state)}`)
    }
    lines.push("")
  }
  return lines.join("\n").trimEnd()
}

/** The same for machines. */
export function json(coverage: Coverage): string {
  return JSON.stringify(
    {
      complete: !isIncomplete(coverage),
      faults: coverage.faults,
      files: coverage.files.map((one) => ({
        file: one.file.name,
        inForce: one.file.inForce,
        counts: Object.fromEntries([["rows", one.rows.length], ...states.map((is) => [is, count(one, is)] as const)]),
        rows: one.rows.map(({ row, state }) => ({ id: row.id, text: row.text, ...state }))
      }))
    },
    undefined,
    2
  )
}
