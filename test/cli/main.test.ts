import { expect, it } from "vitest"
import { main } from "../../lib/cli/main.ts"

const call = async (...args: ReadonlyArray<string>) => {
  const said = { out: "", err: "" }
  const exitCode = await main(args, {
    out: (text) => {
      said.out += text
    },
    err: (text) => {
      said.err += text
    }
  })
  return { exitCode, ...said }
}

it("prints help with every command and the exit codes", async () => {
  const { exitCode, out } = await call("--help")
  expect(exitCode).toBe(0)
  expect(out).toMatch(/^ {2}run MODULE\.ts +\S/m)
  expect(out).toContain("exit code: 0")
})

it("prints its version, for machines too", async () => {
  expect(await call("--version")).toMatchObject({
    exitCode: 0,
    out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) as string
  })
  const { out } = await call("--version", "--json")
  expect(JSON.parse(out)).toMatchObject({ name: "pagewright", version: expect.stringMatching(/^\d/) as string })
})

it.each([
  ["no command", [], "no command"],
  ["an unknown command", ["frobnicate"], "no command frobnicate"],
  ["an unknown option", ["run", "a.ts", "--bogus"], "'--bogus'"],
  ["run without a module", ["run"], "name the module"],
  ["run with two modules", ["run", "a.ts", "b.ts"], "one module at a time"],
  ["a missing file", ["run", "nothing.ts"], "no file nothing.ts"],
  ["a folder", ["run", "test"], "test is not a file"],
  ["a file of another kind", ["run", "package.json"], "neither TypeScript nor"]
])("answers %s with one plain line and exit code 2", async (_what, args, message) => {
  const { err, exitCode, out } = await call(...args)
  expect(exitCode).toBe(2)
  expect(out).toBe("")
  expect(err).toMatch(/^pagewright: [^\n]+\n$/)
  expect(err).toContain(message)
})
