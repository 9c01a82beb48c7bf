/** The command itself: how it is called wrongly, and a short live run where that can be. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import { openWorkshop } from "../../../tools/differential/host.ts"
import { run } from "../../../tools/run.ts"

const main = ["--import", "./tools/ts.mjs", "tools/differential/main.ts"]
const differential = (...args: readonly string[]): ReturnType<typeof run> => run("node", [...main, ...args])
const folder = mkdtempSync(join(tmpdir(), "pagewright-test-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Why no recorder can be had here; undefined where it can. */
function whyNot(): string | undefined {
  try {
    openWorkshop().close()
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

describe("npm run differential", () => {
  it("refuses what it does not understand, with exit code 2", async () => {
    const wrong = [
      ["--ops", "none"],
      ["--ops", "0"],
      ["--theme", "cats"],
      ["--sead", "1"],
      ["--jobs", "-1"],
      ["--threads", "--theme", "map"],
      ["--keep-all"]
    ]
    const ends = await Promise.all(wrong.map((args) => differential(...args)))
    expect(ends.map(({ code }) => code)).toEqual(wrong.map(() => 2))
    expect(ends[0]!.output).toContain("--ops none: a whole number from 1 is needed")
    expect(ends[2]!.output).toContain("there is no theme cats; there are")
    expect(ends[3]!.output).toContain("--help")
  }, 60_000)

  it("prints how it is used", async () => {
    const { code, output } = await differential("--help")
    expect([code, output.includes("--record-result")]).toEqual([0, true])
  }, 60_000)
})

const reason = whyNot()
describe.skipIf(reason !== undefined)(`live${reason === undefined ? "" : ` (not here: ${reason})`}`, () => {
  it("agrees with this host, and says so in JSON; the same programs run again from a file", async () => {
    const { code, output } = await differential("--ops", "200", "--seed", "1", "--jobs", "1", "--json")
    if (code === 2) return expect(output).toContain("cannot run here") // no right to trace
    expect(output).toContain('"divergences":0')
    expect(code).toBe(0)
    const file = join(folder, "programs.jsonl")
    const host = '"brk":"0x408000","st":[0,0,0,0,0],"init":[]'
    const lines = [
      `{"seq":"1","theme":"file","root":false,"rlimits":{},${host}}`,
      '{"i":0,"op":"mmap","a":["0x200000000000",4096,3,50,-1,0],"r":0}',
      '{"i":1,"op":"wr","a":["0x200000000000",7],"r":0}'
    ]
    writeFileSync(file, `${lines.join("\n")}\n`)
    const again = await differential(file, "--jobs", "1")
    expect(again.output).toContain("no difference")
    expect(again.code).toBe(0)
  }, 120_000)

  it("agrees with this host on scripts of many threads, where those can run; they are kept, and run again", async () => {
    const file = join(folder, "scripts.txt")
    const keep = ["--keep", file, "--keep-all"]
    const { code, output } = await differential("--threads", "--ops", "200", "--seed", "1", "--jobs", "1", ...keep)
    if (code === 2) return expect(output).toContain("cannot run here") // another kernel, not root, no userfaultfd
    expect([code, output.split("\n").at(-2)]).toEqual([0, "no difference"])
    const again = await differential("--threads", "--jobs", "1", file)
    expect([again.code, again.output.split("\n").at(-2)]).toEqual([0, "no difference"])
  }, 120_000)
})
