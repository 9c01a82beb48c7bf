/** `pagewright run` as users start it: the built executable, a module in a folder of its own. */
import { spawn } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { pathToFileURL } from "node:url"
import { afterAll, beforeAll, expect, it } from "vitest"
import { build, isStale } from "../../tools/build.ts"
import { root } from "../../tools/run.ts"

const bin = join(root, "dist", "cli", "bin.js")
const folder = mkdtempSync(join(tmpdir(), "pagewright-run-"))

const write = (name: string, text: string): void => {
  mkdirSync(dirname(join(folder, name)), { recursive: true })
  writeFileSync(join(folder, name), text)
}

type Ended = { readonly exitCode: number; readonly out: string; readonly err: string }

/** Starts the executable; `whenSaid` runs once, at the first output. */
const pagewright = (args: ReadonlyArray<string>, whenSaid?: (kill: (signal: NodeJS.Signals) => void) => void) =>
  new Promise<Ended>((resolve, reject) => {
    const child = spawn(process.execPath, [bin, ...args], { cwd: folder })
    let out = ""
    let err = ""
    child.stdout.once("data", () => whenSaid?.((signal) => child.kill(signal)))
    child.stdout.on("data", (chunk) => (out += String(chunk)))
    child.stderr.on("data", (chunk) => (err += String(chunk)))
    child.on("error", reject)
    child.on("close", (code) => resolve({ exitCode: code ?? -1, out, err }))
  })

const run = (text: string, ...flags: ReadonlyArray<string>): Promise<Ended> => {
  write("scenario.ts", text)
  return pagewright(["run", "scenario.ts", ...flags])
}

/** At most three lines, none of them a line of a stack trace. */
const expectPlain = (err: string): void => {
  expect(err.trimEnd().split("\n").length).toBeLessThanOrEqual(3)
  expect(err).not.toMatch(/^ +at /m)
  expect(err).toMatch(/^pagewright: /)
}

const effect = 'import { Console, Effect } from "effect"\n'

beforeAll(async () => {
  if (isStale()) await build()
}, 60_000)
afterAll(() => rmSync(folder, { recursive: true }))

it("runs an Effect, and { name, run }", async () => {
  expect(await run(`${effect}export default Console.log("one")`)).toEqual({ exitCode: 0, out: "one\n", err: "" })
  const named = `${effect}export default { name: "greeting", run: Console.log("two") }`
  expect(await run(named)).toEqual({ exitCode: 0, out: "two\n", err: "" })
})

it("runs TypeScript as TypeScript users write it", async () => {
  write("inner.ts", "export const inner: string = 'inner'\nexport type Only = 1\n")
  const text =
    `${effect}import { inner, Only } from "./inner.js"\nenum E { A = 3 }\n` +
    "class P { constructor(readonly x: Only) {} }\n" +
    "const f = <A,>(a: A): A => a satisfies A\n" +
    "export default Console.log(inner, f(E.A), new P(1).x)\n"
  expect(await run(text)).toEqual({ exitCode: 0, out: "inner 3 1\n", err: "" })
})

it("gives the module this very library and its Effect, whatever lies in its node_modules", async () => {
  for (const name of ["pagewright", "effect"]) {
    write(`decoy/node_modules/${name}/package.json`, `{ "name": "${name}", "type": "module", "exports": "./index.js" }`)
    write(`decoy/node_modules/${name}/index.js`, "throw new Error('the decoy was loaded')")
  }
  write(
    "decoy/scenario.ts",
    `${effect}import * as named from "pagewright"\nimport * as doors from "pagewright/testing"\n` +
      `const here = await import(${JSON.stringify(pathToFileURL(join(root, "dist", "index.js")).href)})\n` +
      `const testing = await import(${JSON.stringify(pathToFileURL(join(root, "dist", "testing.js")).href)})\n` +
      "export default Console.log(named === here, doors === testing)\n"
  )
  expect(await pagewright(["run", "decoy/scenario.ts"])).toEqual({ exitCode: 0, out: "true true\n", err: "" })
})

it.each([
  ["a module without a scenario", "export const x = 1", "has no scenario"],
  ["a default export of another kind", "export default 42", "has no scenario"],
  ["a syntax error", "export const x: = 1", "scenario.ts:1: "],
  ["an import that leads nowhere", 'import "./nowhere.ts"', "nowhere.ts"],
  ["a module that throws", 'throw new TypeError("boom")', "cannot load scenario.ts: boom"],
  ["a module that never finishes loading", "await new Promise(() => {})", "never finished loading"],
  [
    "a scenario that dies",
    `${effect}export default Effect.die(new Error("BUG: one\\ntwo"))`,
    "scenario scenario died: BUG: one"
  ],
  [
    "a scenario that fails",
    `${effect}export default Effect.fail({ _tag: "EBUSY" })`,
    "scenario scenario failed: EBUSY"
  ],
  ["a scenario that waits for nothing", `${effect}export default Effect.never`, "a deadlock?"],
  [
    "a scenario that needs a service",
    `${effect}import { Context } from "effect"\nclass S extends Context.Service<S, 1>()("my/S") {}\n` +
      "export default Effect.flatMap(S, Effect.succeed)",
    "my/S"
  ],
  [
    "an error outside the scenario",
    `${effect}setTimeout(() => { throw new Error("late") }, 1)\nexport default Effect.sleep("10 seconds")`,
    "uncaught: late"
  ]
])("answers %s with a plain line and exit code 2", async (_what, text, message) => {
  const { err, exitCode } = await run(text)
  expectPlain(err)
  expect(err).toContain(message)
  expect(exitCode).toBe(2)
})

it("tells a failed check from a mishap: exit code 1", async () => {
  const text = `${effect}export default Effect.fail({ _tag: "CheckFailed", message: "1 page leaked" })`
  const { err, exitCode } = await run(text)
  expectPlain(err)
  expect(err).toContain("check failed: 1 page leaked")
  expect(exitCode).toBe(1)
})

it("says everything that a failed check found, and of very much the first dozen", async () => {
  const text = (n: number): string =>
    `${effect}export default Effect.fail({ _tag: "CheckFailed", message: ["leak check:", ...Array.from({ length: ${n} }, (_, i) => "  page " + i)].join("\\n") })`
  const few = await run(text(2))
  expect(few.err).toContain("check failed: leak check:\n  page 0\n  page 1\n")
  expect(few.exitCode).toBe(1)
  const many = await run(text(40))
  expect(many.err.trimEnd().split("\n")).toHaveLength(13)
  expect(many.err).toContain("  and 29 more")
})

it("names the line of the TypeScript where a page was put twice", async () => {
  const text = `import { Effect } from "effect"
import { Kernel, Page } from "pagewright"
interface Gone {
  readonly a: number
}
export default Kernel.scenario({ name: "twice", frames: 64 }, Effect.gen(function* () {
  const page = yield* Page.allocPage("GFP_KERNEL")
  yield* Page.put(page)
  yield* Page.put(page)
}).pipe(Effect.scoped, Effect.orDie))
export type { Gone }`
  const { err, exitCode } = await run(text)
  expect(err).toMatch(/put twice: at \S+:8:\d+, and again at \S+:9:\d+/)
  expect(exitCode).toBe(2)
})

it("shows a stack trace, with the source's own lines, only with --debug", async () => {
  const text = `${effect}\ntype Long =\n  | 1\n  | 2\nexport default Effect.sync(() => {\n  throw new Error("BUG: here")\n})`
  const { err, exitCode } = await run(text, "--debug")
  expect(err).toMatch(/^ +at .*scenario\.ts:7:/m)
  expect(exitCode).toBe(2)
})

it("prints one object with --json, with the transcript's lines", async () => {
  const good = await run(`${effect}export default { name: "n", run: Console.log("a\\nb", 1) }`, "--json")
  expect(JSON.parse(good.out)).toEqual({ scenario: "n", ok: true, exitCode: 0, transcript: ["a", "b 1"] })
  const bad = await run(`${effect}export default Console.log("a").pipe(Effect.andThen(Effect.die("gone")))`, "--json")
  expect(JSON.parse(bad.out)).toMatchObject({
    ok: false,
    exitCode: 2,
    error: "scenario scenario died: gone",
    transcript: ["a"]
  })
  expect(bad.exitCode).toBe(2)
})

it("ends when the scenario ends, even if a timer is left", async () => {
  const { exitCode } = await run(`${effect}setInterval(() => {}, 1000)\nexport default Effect.void`)
  expect(exitCode).toBe(0)
})

it("interrupts the scenario at Ctrl-C and lets its finalizers run: exit code 130", async () => {
  write(
    "long.ts",
    `${effect}export default Console.log("started").pipe(Effect.andThen(Effect.sleep("30 seconds")), Effect.ensuring(Console.log("cleaned")))`
  )
  const { err, exitCode, out } = await pagewright(["run", "long.ts"], (kill) => kill("SIGINT"))
  expect(out).toBe("started\ncleaned\n")
  expectPlain(err)
  expect(exitCode).toBe(130)
})
