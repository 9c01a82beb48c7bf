import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { gunzipSync, gzipSync } from "node:zlib"
import { afterAll, expect, it } from "vitest"
import { main } from "../../lib/cli/main.ts"

const folder = mkdtempSync(join(tmpdir(), "pagewright-conform-"))
afterAll(() => rmSync(folder, { recursive: true }))

const goldenFile = fileURLToPath(new URL("../golden/fresh.jsonl.gz", import.meta.url))
const packed = readFileSync(goldenFile)
const text = gunzipSync(packed).toString("utf8")
const few = text.split("\n").slice(0, 62).join("\n") // one sequence

const put = (name: string, content: string | Uint8Array): string => {
  const file = join(folder, name)
  writeFileSync(file, content)
  return file
}

const conform = async (...args: ReadonlyArray<string>) => {
  const said = { out: "", err: "" }
  const exitCode = await main(["conform", ...args], {
    out: (more) => {
      said.out += more
    },
    err: (more) => {
      said.err += more
    }
  })
  return { exitCode, ...said }
}

it("exits with 0 and a table where nothing diverges, plain or packed, several files as one run", async () => {
  const plain = await conform(put("plain.jsonl", text))
  expect(plain).toMatchObject({ exitCode: 0, err: "" })
  expect(plain.out).toMatch(/^theme +sequences +operations +judged +.*divergences$/m)
  expect(plain.out).toMatch(/^total +125 +6900 +6\d\d\d +\d+\.\d % .*0$/m)
  expect((await conform(goldenFile)).out).toBe(plain.out)
  expect((await conform(goldenFile, goldenFile)).out).toMatch(/^total +250 +13800 /m)
}, 30_000)

it("says the same for machines, as one object", async () => {
  const { exitCode, out } = await conform(put("few.jsonl", few), "--json")
  expect(exitCode).toBe(0)
  expect(JSON.parse(out)).toMatchObject({
    total: { sequences: 1, operations: 60, judged: 60, skipped: 0, notJudged: 0, divergences: 0, judgedPercent: 100 },
    dropped: 0,
    missing: {},
    unknown: {},
    known: [],
    divergences: []
  })
})

it("exits with 1 and shows what diverged", async () => {
  const doctored = few.replace(/("op":"mmap",.*"r":-1,"e":)"\w+"/, '$1"EFAULT"')
  const { exitCode, out } = await conform(put("doctored.jsonl", doctored))
  expect(exitCode).toBe(1)
  expect(out).toMatch(/^ {2}Linux: -1 EFAULT$/m)
  expect(out).toMatch(/^ {2}ours: {2}-1 E\w+$/m)
  const json = JSON.parse((await conform(put("doctored.jsonl", doctored), "--json")).out) as { divergences: unknown[] }
  expect(json.divergences).toMatchObject([{ what: "result", linux: "-1 EFAULT" }])
})

it("accepts what --known lists, and says why", async () => {
  const doctored = put("known.jsonl", few.replace(/("op":"mmap",.*"r":-1,"e":)"\w+"/, '$1"EFAULT"'))
  const entries = [{ operation: "mmap(*) = -1 EFAULT", what: "result", reason: "this file was doctored" }]
  const known = put("known.json", JSON.stringify(entries))
  const { exitCode, out } = await conform(doctored, "--known", known)
  expect(exitCode).toBe(0)
  expect(out).toMatch(/^total .* 1 +0$/m)
  expect(out).toContain("this file was doctored")
  expect((await conform(doctored)).exitCode).toBe(1)
})

it("compares no map with --no-maps, and asks for broken promises with --check", async () => {
  const doctored = put("page.jsonl", text.replaceAll("|A|4,4", "|A|8,4"))
  expect((await conform(doctored)).exitCode).toBe(1)
  expect(await conform(doctored, "--no-maps")).toMatchObject({ exitCode: 0, err: "" })
  expect(await conform(put("few.jsonl", few), "--check")).toMatchObject({ exitCode: 0, err: "" })
}, 30_000)

it.each([
  ["no file", join(folder, "none.json"), "cannot read the known differences: ENOENT"],
  ["no JSON", put("broken.json", "["), "broken.json: not JSON"],
  ["an entry without a reason", put("reason.json", '[{"seq":1,"what":"Rss"}]'), "reason.json: entry 1 gives no reason"]
])("--known with %s is one plain line and exit code 2", async (_what, file, message) => {
  const { err, exitCode } = await conform(goldenFile, "--known", file)
  expect(exitCode).toBe(2)
  expect(err).toMatch(/^pagewright: [^\n]+\n$/)
  expect(err).toContain(message)
})

it("counts and names what it does not know, and goes on", async () => {
  const [head = "", ...rest] = few.split("\n")
  const strange = [
    head.replace('"theme":"', '"theme":"new ').replace('"rlimits":{}', '"kernel":"7.1","rlimits":{"NPROC":1}'),
    '{"comment":"between records"}',
    '{"i":0,"op":"fadvise64","a":["key",{"size":3}],"r":-1,"e":"ENOSPC"}',
    '{"i":1,"op":"toString","a":[],"r":null}',
    ...rest.map((line) => line.replace(/^\{"i":(\d+)/, (_, i) => `{"i":${Number(i) + 2}`))
  ].join("\n")
  const { err, exitCode, out } = await conform(put("strange.jsonl", strange))
  expect({ err, exitCode }).toEqual({ err: "", exitCode: 0 })
  expect(out).toMatch(/^new b-bad +1 +62 +/m)
  expect(out).toContain("1 sequence judged only up to calls that this version does not have: fadvise64 1, toString 1")
  expect(out).toContain("field kernel of seq 1, limit NPROC 1, record comment 1")
})

const lines = few.split("\n")
it.each<[string, string | Uint8Array, string]>([
  ["an empty file", "", ":1: the file is empty"],
  ["a file of something else", "hello\n", ":1: not JSON: hello"],
  ["another format", '{"t":"exec","pid":1}\n', ":1: a record of format 2"],
  ["bytes that are no text", new Uint8Array([0x7b, 0xff, 0x0a]), ":1: not UTF-8 text"],
  ["a file that breaks off between lines", lines.slice(0, 20).join("\n"), ":20: the file ends within sequence"],
  ["a file that breaks off within a line", few.slice(0, few.indexOf('"op"') + 9), ":2: not JSON"],
  ["a lost line", [...lines.slice(0, 5), ...lines.slice(6)].join("\n"), ":6: operation 5 where 4 was expected"],
  ["a broken line", few.replace('"a":[', '"a":{'), ":2: not JSON"],
  ["arguments that are none", few.replace('"a":["0x', '"a":["x0'), ":2: a holds x0"],
  ["a process that does not live", few.replace('"i":3,"op"', '"i":3,"p":2,"op"'), ":5: an operation of process 2"],
  ["a header that describes no process", few.replace("-408000 rw-p 3000 exe", "-800000408000 rw-p 3000 exe"), ":1: "],
  ["nothing but blank lines", " \n\n", ":2: the file holds no sequence"],
  ["records of another kind", '{"note":1}\n{"more":1}\n', ":1: no record of format 1: it begins with note"],
  ["a packed file that breaks off", packed.subarray(0, 2000), ": cannot read on: unexpected end of file"],
  ["a packed file of something else", gzipSync("{}\n"), ":1: no record of format 1"]
])("%s is one line with its place, and exit code 2", async (what, content, message) => {
  const file = put(`${what.replaceAll(" ", "-")}.jsonl`, content)
  const { err, exitCode, out } = await conform(file)
  expect({ exitCode, out }).toEqual({ exitCode: 2, out: "" })
  expect(err).toMatch(/^pagewright: [^\n]+\n$/)
  expect(err).toContain(file)
  expect(err).toContain(message)
})

it.each([
  ["no file", [], "name the recordings"],
  ["a missing file", [join(folder, "none")], "no file"],
  ["a folder", [folder], "is a folder"]
])("%s is one plain line and exit code 2", async (_what, args, message) => {
  const { err, exitCode } = await conform(...args)
  expect(exitCode).toBe(2)
  expect(err).toMatch(/^pagewright: [^\n]+\n$/)
  expect(err).toContain(message)
})
