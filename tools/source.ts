/** Reads TypeScript just well enough to find imports, test names and calls: no parser, no types. */
import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"

/** Every file under `folder` (given relative to `top`) whose name ends in `ending`, as a path relative to `top`. */
export function filesUnder(top: string, folder: string, ending: string): ReadonlyArray<string> {
  const here = join(top, folder)
  if (!existsSync(here)) return []
  return readdirSync(here, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(ending) && !name.split(/[\\/]/).includes("node_modules"))
    .map((name) => `${folder}/${name.replaceAll("\\", "/")}`)
    .sort()
}

/**
 * Two readings of a file, both of the same length and with the same line breaks as the file itself:
 * `code` has its comments blanked, `bare` also what strings, templates and regular expressions contain.
 */
export type Reading = { readonly code: string; readonly bare: string }

const startsRegExp = (before: string): boolean =>
  /(?:^|[=(,:[!&|?{};+\-*%<>~^]|=>|\b(?:return|typeof|case|in|of|yield|await|void|delete))\s*$/.test(before.slice(-200))

/** Blanks comments (and, in `bare`, quoted text). */
export function read(text: string): Reading {
  const code = text.split("")
  const bare = [...code]
  const blank = (from: number, to: number, ...where: ReadonlyArray<Array<string>>): void => {
    for (const out of where) for (let i = from; i < to; i++) if (out[i] !== "\n") out[i] = " "
  }
  /** For each template that is open: how many braces of its `${` are open. */
  const templates: Array<number> = []
  let i = 0
  const templateText = (from: number): void => {
    i = from
    while (i < text.length && text[i] !== "`" && !text.startsWith("${", i)) i += text[i] === "\\" ? 2 : 1
    blank(from, Math.min(i, text.length), bare)
    if (text[i] === "`") i++
    else if (i < text.length) {
      templates.push(0)
      i += 2
    }
  }
  while (i < text.length) {
    const at = i
    const c = text[i]
    const two = text.slice(i, i + 2)
    if (two === "//") {
      i = text.indexOf("\n", i)
      if (i < 0) i = text.length
      blank(at, i, code, bare)
    } else if (two === "/*") {
      i = text.indexOf("*/", i + 2)
      i = i < 0 ? text.length : i + 2
      blank(at, i, code, bare)
    } else if (c === '"' || c === "'") {
      i++
      while (i < text.length && text[i] !== c && text[i] !== "\n") i += text[i] === "\\" ? 2 : 1
      blank(at + 1, Math.min(i, text.length), bare)
      i++
    } else if (c === "`") {
      templateText(i + 1)
    } else if (c === "/" && startsRegExp(code.slice(Math.max(0, i - 200), i).join(""))) {
      let inClass = false
      i++
      while (i < text.length && text[i] !== "\n" && (inClass || text[i] !== "/")) {
        if (text[i] === "[") inClass = true
        else if (text[i] === "]") inClass = false
        i += text[i] === "\\" ? 2 : 1
      }
      blank(at + 1, Math.min(i, text.length), bare)
      i++
    } else if (templates.length > 0 && c === "{") {
      templates[templates.length - 1]! += 1
      i++
    } else if (templates.length > 0 && c === "}") {
      if (templates.at(-1) === 0) {
        templates.pop()
        templateText(i + 1)
      } else {
        templates[templates.length - 1]! -= 1
        i++
      }
    } else i++
  }
  return { code: code.join(""), bare: bare.join("") }
}

/** The line, from 1, of offset `at`. */
export const lineOf = (text: string, at: number): number => text.slice(0, at).split("\n").length

export type Import = { readonly from: string; readonly clause: string; readonly line: number }

const importForms = [
  /\bimport\s+((?:type\s+)?[\w$*{}\s,]+?)\s*from\s*(["'])([^"'\n]+)\2/g,
  /\bexport\s+((?:type\s+)?(?:\*(?:\s+as\s+[\w$]+)?|\{[^}]*\}))\s*from\s*(["'])([^"'\n]+)\2/g,
  /\bimport\s*()(["'])([^"'\n]+)\2/g,
  /\bimport\s*\(\s*()(["'])([^"'\n]+)\2/g
]

/** Every import of a file, type-only, dynamic and re-exporting ones included, in the order of their lines. */
export function importsOf(text: string): ReadonlyArray<Import> {
  const { bare, code } = read(text)
  return importForms
    .flatMap((form) => [...code.matchAll(form)])
    .filter((match) => /^(?:im|ex)port/.test(bare.slice(match.index, match.index + 6)))
    .map((match) => ({ from: match[3]!, clause: match[1]!.trim(), line: lineOf(code, match.index) }))
    .sort((a, b) => a.line - b.line)
}
