/** Which rows the tests claim: ids in square brackets, in test names and in the cases of types-tests. */
import { lineOf, read } from "../source.ts"
import { idShape } from "./rows.ts"

export type Claim = { readonly id: string; readonly file: string; readonly line: number }

/** `R-FLAG-01..26` and `R-FLAG-01..R-FLAG-26` are the rows between, ends included. */
function expand(token: string): ReadonlyArray<string> {
  const [first, last] = token.split("..")
  if (first === undefined || !idShape.test(first)) return []
  if (last === undefined) return [first]
  const [, prefix, from] = /^(.*?)(\d+)$/.exec(first) ?? []
  const to = prefix === undefined ? undefined : last.startsWith(prefix) ? last.slice(prefix.length) : last
  if (
    prefix === undefined ||
    from === undefined ||
    to === undefined ||
    !/^\d+$/.test(to) ||
    Number(to) < Number(from)
  ) {
    throw new Error(`${token} is not a range of rows`)
  }
  const count = Number(to) - Number(from) + 1
  return Array.from({ length: count }, (_, i) => prefix + String(Number(from) + i).padStart(from.length, "0"))
}

/** The rows named in `text`, as in "splits in two [R-REF-01, R-FLAG-01..26]". */
export function idsIn(text: string): ReadonlyArray<string> {
  return [...text.matchAll(/\[([^[\]]+)\]/g)].flatMap((match) => match[1]!.split(/[\s,]+/).flatMap(expand))
}

const located = (file: string, line: number, text: string): ReadonlyArray<Claim> => {
  try {
    return idsIn(text).map((id) => ({ id, file, line }))
  } catch (error) {
    throw new Error(`${file}:${line}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
}

/** The offset after the bracket that closes the one at `at`. */
function afterBracket(bare: string, at: number): number {
  let depth = 0
  for (let i = at; i < bare.length; i++) {
    if (bare[i] === "(") depth++
    else if (bare[i] === ")" && --depth === 0) return i + 1
  }
  return bare.length
}

const notRun = new Set(["skip", "todo", "fails", "skipIf", "runIf"])
const tabled = new Set(["each", "for"])

/** The rows that the names of the tests in a test file claim. A test that is skipped claims nothing. */
export function claimsOfTests(file: string, text: string): ReadonlyArray<Claim> {
  const { bare, code } = read(text)
  const found: Array<Claim> = []
  for (const match of bare.matchAll(/(?<![\w$.])(?:it|test)((?:\.\w+)*)\s*([(`])/g)) {
    const modifiers = match[1]!.split(".").filter((word) => word !== "")
    if (modifiers.some((word) => notRun.has(word))) continue
    let open = match.index + match[0].length - 1
    if (modifiers.some((word) => tabled.has(word))) {
      // The table comes first, as a call or as a template; the call that follows has the name.
      const table = match[2] === "(" ? afterBracket(bare, open) : bare.indexOf("`", open + 1) + 1
      open = table + /^\s*/.exec(bare.slice(table))![0].length
      if (bare[open] !== "(") continue
    } else if (match[2] !== "(") continue
    const name = /^\(\s*((?:(["'`])[\s\S]*?\2\s*\+?\s*)+)/.exec(bare.slice(open))
    if (name === null) continue
    const start = open + name[0].length - name[1]!.length
    found.push(...located(file, lineOf(code, match.index), code.slice(start, start + name[1]!.length)))
  }
  return found
}

/** The rows that a file of types-tests claims: anywhere, since its cases are comments and pinned messages. */
export function claimsOfTypesTests(file: string, text: string): ReadonlyArray<Claim> {
  return text.split("\n").flatMap((line, index) => located(file, index + 1, line))
}
