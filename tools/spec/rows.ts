/** Specification files: a status line, and tables whose first cell is a row's id. */

/** Ids look like `R-REF-01`, `UK-RG-01`, `L-MMAP-E3`, `L-SHM-SHMAT-E1`, `L-MADV-M-DONTNEED`. */
export const idShape = /^[A-Z]{1,2}-[A-Z][A-Z0-9_]*(?:-[A-Z0-9_]+)+$/

export type Row = { readonly id: string; readonly text: string; readonly line: number }

export type SpecFile = {
  readonly name: string
  readonly inForce: boolean
  /** How many rows may be left out; `undefined`: no bound is stated. */
  readonly mostLeftOut: number | undefined
  readonly rows: ReadonlyArray<Row>
}

/** The cells of a Markdown table's line, or `undefined` for any other line. `\|` is a bar inside a cell. */
function cellsOf(line: string): ReadonlyArray<string> | undefined {
  const trimmed = line.trim()
  if (!trimmed.startsWith("|") || /^\|[\s|:-]+$/.test(trimmed)) return undefined
  return trimmed
    .replace(/^\|/, "")
    .replace(/(?<!\\)\|$/, "")
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim().replaceAll("\\|", "|"))
}

/**
 * Reads a specification file. Its status line is `Status: in force`, `Status: in force, at most N left out` or
 * `Status: not in force`.
 */
export function parseSpec(name: string, text: string): SpecFile {
  const status = /^Status: (not )?in force(?:, at most (\d+) left out)?$/m.exec(text)
  if (status === null) throw new Error(`${name}: no status line; write "Status: in force" or "Status: not in force"`)
  const rows: Array<Row> = []
  const seen = new Map<string, number>()
  text.split("\n").forEach((line, index) => {
    const [id, ...cells] = cellsOf(line) ?? []
    if (id === undefined || !idShape.test(id)) return
    const before = seen.get(id)
    if (before !== undefined) throw new Error(`${name}:${index + 1}: row ${id} stands already in line ${before}`)
    seen.set(id, index + 1)
    // An errno step's sentence is spread over two cells, any other row's is its first.
    const sentence = /-E\d+$/.test(id) ? cells.slice(0, 2).filter((cell) => cell !== "") : cells.slice(0, 1)
    rows.push({ id, text: sentence.join(": "), line: index + 1 })
  })
  return {
    name,
    inForce: status[1] === undefined,
    mostLeftOut: status[2] === undefined ? undefined : Number(status[2]),
    rows
  }
}

export type Exclusion = {
  readonly id: string
  readonly state: "left out" | "next"
  readonly reason: string
  /** The open piece of work that builds a row which is `next`. */
  readonly work: string
  readonly line: number
}

/** Reads the table `| id | state | reason | built by |` of the exclusion file; one row may name one id only. */
export function parseExclusions(name: string, text: string): ReadonlyArray<Exclusion> {
  const found: Array<Exclusion> = []
  text.split("\n").forEach((line, index) => {
    const [id, state, reason, work = ""] = cellsOf(line) ?? []
    if (id === undefined || id === "id") return
    const where = `${name}:${index + 1}`
    if (!idShape.test(id)) throw new Error(`${where}: ${id} is not a row id`)
    if (state !== "left out" && state !== "next")
      throw new Error(`${where}: state of ${id} is neither "left out" nor "next"`)
    if (reason === undefined || reason === "") throw new Error(`${where}: ${id} gives no reason`)
    if (state === "next" && work === "") throw new Error(`${where}: ${id} is next, but no piece of work is named`)
    if (state === "left out" && work !== "") throw new Error(`${where}: ${id} is left out, so nothing builds it`)
    if (found.some((other) => other.id === id)) throw new Error(`${where}: ${id} stands here twice`)
    found.push({ id, state, reason, work, line: index + 1 })
  })
  return found
}
