/** The programs in the guides, as they stand there: what they print, and what the compiler says. */
import { spawnSync } from "node:child_process"
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { basename, join } from "node:path"
import { Console, Effect } from "effect"
import { afterAll, describe, expect, it } from "vitest"
import { root } from "../../tools/run.ts"

const guide = join(root, "docs", "guide")
const folder = join(root, "temp", `guide-${process.pid}`)

type Block = { readonly label: string; readonly code: string }

/** Blocks that have a label, in square brackets after the language, or are the first behind one that has. */
const blocksOf = (page: string): readonly Block[] => {
  const text = readFileSync(join(guide, page), "utf8")
  return [...text.matchAll(/^```(?:ts|text)(?: \[(.+)\])?\n([^]*?)^```$/gm)].map(([, label = "", code]) => ({
    label,
    code: code!
  }))
}

const first = blocksOf("first-driver.md")
const locks = blocksOf("locks-sections-flags.md")
const uffd = blocksOf("userfaultfd.md")
const objects = blocksOf("objects.md")
const program = (name: string): string => readFileSync(join(guide, "programs", name), "utf8")

/** The first guide's mistakes: one edit of the program each. */
const noflag = program("greeter.ts").replace("vma.setMixedmap().tryClearMaywrite()", "vma.tryClearMaywrite()")

/** What TypeScript says to each file. */
function compile(files: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  mkdirSync(folder, { recursive: true })
  for (const [name, code] of files) writeFileSync(join(folder, name), code)
  const options = { extends: "../../tsconfig.json", include: ["."] }
  const compilerOptions = { noUnusedLocals: false, noErrorTruncation: true }
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ ...options, compilerOptions }))
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc")
  const { stdout } = spawnSync(process.execPath, [tsc, "-p", folder, "--pretty", "false"], {
    cwd: root,
    encoding: "utf8"
  })
  const said = new Map<string, string>()
  let file = ""
  for (const line of stdout.split("\n").filter((each) => each !== "")) {
    const [, path, message] = /^(\S+)\(\d+,\d+\): (error .*)$/.exec(line) ?? []
    if (path !== undefined) file = basename(path)
    said.set(file, `${said.get(file) ?? ""}${message ?? line}\n`)
  }
  return said
}

/** The pieces of a page, each behind the lines that they share, with what the compiler is to say. */
const piecesOf = (page: string, blocks: readonly Block[], lines?: string) => {
  const given = lines ?? blocks.find((one) => one.label === "given")!.code
  return blocks.flatMap(({ label, code }, i) =>
    label === "accepted" || label === "refused"
      ? [
          {
            file: `${page}-${i}-${label}.ts`,
            code: given + code,
            expected: label === "refused" ? blocks[i + 1]!.code : undefined
          }
        ]
      : []
  )
}
const givenUffd = `import { Effect } from "effect"
import { Task, UffdFlags, Userfaultfd } from "pagewright"
const [at, length] = [0x1000_0000, 4 * 4096]
`
const givenObjects = `import { Effect } from "effect"
import { type Fail, type Locked, Mappable, type MemoryFile, type Range } from "pagewright"
declare const file: MemoryFile.MemoryFile
`
const pairs = [
  ...piecesOf("locks", locks),
  ...piecesOf("uffd", uffd, givenUffd),
  ...piecesOf("objects", objects, givenObjects)
]
const names = ["hello.ts", "greeter.ts", "unseen.ts", "answer.ts", "events.ts", "almanac.ts"]
const said = compile(
  new Map([
    ...pairs.map(({ file, code }) => [file, code] as const),
    ...names.map((name) => [name, program(name)] as const),
    ["noflag.ts", noflag]
  ])
)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe("what is a type", () => {
  it("there are programs of both kinds", () => expect(pairs.length).toBeGreaterThan(15))
  it.each(pairs)("$file: the compiler says what the page says", ({ file, expected }) => {
    expect(said.get(file)).toBe(expected)
  })
})

describe("whole programs", () => {
  const printed = [...first, ...locks, ...uffd, ...objects].filter(({ label }) => label.startsWith("output of "))
  it.each([...first, ...uffd].filter(({ label }) => label.endsWith(".ts") && !label.includes(" ")))(
    "$label stands in the guide as it is in its file",
    ({ label, code }) => expect(code).toBe(program(label))
  )
  it.each([...uffd, ...objects].filter(({ label }) => label.startsWith("part of ")))(
    "$label stands in the guide as it is in its file",
    ({ label, code }) => expect(program(label.slice("part of ".length))).toContain(code)
  )
  it.each(names)("%s compiles", (name) => expect(said.get(name)).toBeUndefined())
  it("a missing flag is refused in the words of the guide", () => {
    expect(said.get("noflag.ts")).toBe(first.find(({ label }) => label === "compiler on noflag.ts")!.code)
  })
  it.each(printed)("$label", async ({ label, code }) => {
    const module = (await import(join(guide, "programs", label.slice("output of ".length)))) as {
      readonly default: { readonly run: Effect.Effect<void, unknown> }
    }
    const lines: string[] = []
    const listening = Object.assign(Object.create(console) as Console.Console, {
      log: (...words: readonly unknown[]) => lines.push(words.join(" "))
    })
    await Effect.runPromise(Effect.provideService(module.default.run, Console.Console, listening))
    expect(`${lines.join("\n")}\n`).toBe(code)
  })
})
