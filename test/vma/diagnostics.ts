/** Reads the cases of `types-tests/diagnostics` and what TypeScript 7 says to each.
 *
 *     //: M01 what is done wrong [row ids]     the correct program follows
 *     //! refused                              the wrong one follows, if there is one
 */
import { spawnSync } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { basename, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../../", import.meta.url))
const folder = join(root, "types-tests", "diagnostics")

/** One case: a correct program, and what is refused beside it. */
export interface Case {
  readonly file: string
  readonly id: string
  readonly title: string
  readonly accepted: Program
  /** Absent where a case only shows what must compile. */
  readonly refused: Program | undefined
}
/** A stretch of lines, and the compiler's errors in it, each with its whole text. */
interface Program {
  readonly code: string
  readonly errors: readonly string[]
}

/** An error and where it begins. */
interface Located {
  readonly file: string
  readonly line: number
  readonly text: string
}

function compile(): readonly Located[] {
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc")
  const { stdout, stderr } = spawnSync(process.execPath, [tsc, "-p", folder, "--pretty", "false"], {
    cwd: root,
    encoding: "utf8"
  })
  if (stderr !== "") throw new Error(stderr)
  const found: { file: string; line: number; text: string }[] = []
  let ours = false // errors of the library itself are found elsewhere
  for (const line of stdout.trimEnd().split("\n")) {
    const head = /^(\S+)\((\d+),\d+\): error (TS\d+: .*)$/.exec(line)
    if (head !== null) ours = head[1]!.startsWith("types-tests/")
    if (!ours) continue
    const text = (head?.[3] ?? line).replaceAll(root, "")
    if (head !== null) found.push({ file: basename(head[1]!), line: Number(head[2]), text })
    else if (line !== "") found.at(-1)!.text += `\n${text}`
  }
  return found
}

/** All cases, in the order of the files. Throws for an error that belongs to none of them. */
export function readCases(): readonly Case[] {
  const errors = new Set(compile())
  const cases: Case[] = []
  for (const file of readdirSync(folder)
    .filter((name) => name.endsWith(".ts"))
    .sort()) {
    const lines = readFileSync(join(folder, file), "utf8").split("\n")
    const marks = lines.flatMap((line, i) => (line.startsWith("//: ") || line.startsWith("//! ") ? [i] : []))
    const programAt = (mark: number): Program => {
      const end = marks.find((next) => next > mark) ?? lines.length
      const here = [...errors].filter((e) => e.file === file && e.line > mark && e.line <= end)
      for (const e of here) errors.delete(e)
      return {
        code: lines
          .slice(mark + 1, end)
          .join("\n")
          .trim(),
        errors: here.map((e) => e.text)
      }
    }
    for (const [n, mark] of marks.entries()) {
      const [, id, title] = /^\/\/: (\S+) (.*)$/.exec(lines[mark]!) ?? []
      if (id === undefined || title === undefined) continue
      const next = marks[n + 1]
      const refused = next !== undefined && lines[next]!.startsWith("//! ") ? programAt(next) : undefined
      cases.push({ file, id, title, accepted: programAt(mark), refused })
    }
  }
  for (const e of errors) throw new Error(`${e.file}:${e.line}: outside every case: ${e.text}`)
  return cases
}

/** What the compiler says to each wrong program: the text that is kept in `messages.txt`. */
export function transcriptOf(cases: readonly Case[]): string {
  const indented = (text: string): string => text.replaceAll(/^/gm, "      ")
  return cases
    .filter((one) => one.refused !== undefined)
    .map((one) => `${one.id} ${one.title}\n${one.refused!.errors.map(indented).join("\n")}\n`)
    .join("\n")
}
