import { readdirSync, readFileSync } from "node:fs"
import { expect, it } from "vitest"

const root = new URL("../../../", import.meta.url)
const folder = new URL("lib/proof/replay/bare/", root)
const guide = readFileSync(new URL("docs/guide/strace.md", root), "utf8")
const source = readdirSync(folder)
  .map((name) => readFileSync(new URL(name, folder), "utf8"))
  .join("\n")

/** First column of the table of reasons. */
const told = guide
  .split("\n")
  .filter((line) => line.startsWith("| ") && !line.startsWith("| reason"))
  .flatMap((line) => {
    const reasons = line.split(" | ")[0]!.slice(2)
    return /^\d|^exit/.test(reasons) ? [] : [reasons]
  })

it("every reason that the guide tells is one that a replay gives, word for word", () => {
  const phrases = told.join(", ")
  const given = [
    ...source.matchAll(
      /"((?:what|where|which|whether|how|in which|the rights|a hole|memory that|calls that|arguments) [^"]*)"/g
    )
  ].map(([, text]) => text!)
  expect(given.length).toBeGreaterThan(20)
  expect(given.filter((reason) => !phrases.includes(reason))).toEqual([])
  const rest = given.reduce((text, reason) => text.replace(reason, ""), phrases)
  expect(rest.replaceAll(/[\s,]/g, "")).toBe("")
})
