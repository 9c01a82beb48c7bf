import { readFileSync } from "node:fs"
import { isDeepStrictEqual } from "node:util"
import { gunzipSync } from "node:zlib"
import { expect, it } from "vitest"
import { parseRecord } from "../../lib/proof/conform/parse.ts"
import { type Op, FormatError } from "../../lib/proof/conform/record.ts"
import { OpScanner } from "../../lib/proof/conform/scan.ts"
import { forSeeds } from "../support/random.ts"

const golden = ["slice.jsonl.gz", "fresh.jsonl.gz"].flatMap((name) =>
  gunzipSync(readFileSync(new URL(`../golden/${name}`, import.meta.url)))
    .toString("utf8")
    .split("\n")
)

const scanner = new OpScanner()
/** Scans a line that lies between others, as it does in a file. */
const scan = (line: string): Op | undefined => {
  const bytes = new TextEncoder().encode(`{"i":0,\n${line}\n{"i":1,`)
  return scanner.scan(bytes, 8, bytes.length - 8)
}

/** What parse.ts reads; undefined where it refuses. */
function parsed(line: string) {
  try {
    return parseRecord(line, false)
  } catch (error) {
    if (error instanceof FormatError) return undefined
    throw error
  }
}

it("reads every recorded operation as JSON.parse does", () => {
  let scanned = 0
  for (const line of golden) {
    if (!line.startsWith('{"i":')) continue
    const op = scan(line)
    if (op === undefined) continue
    scanned++
    expect(op).toEqual(parsed(line))
  }
  expect(scanned / golden.length).toBeGreaterThan(0.9)
})

it.each([
  '{"seq":1}',
  '{"i":0,"op":"rd","a":[0],"r":"noproc"}',
  '{"i":0,"op":"r\\u0064","a":[0],"r":0}',
  '{"i":0,"op":"é","a":[0],"r":0}',
  '{"i":0, "op":"rd","a":[0],"r":0}',
  '{"i":0,"op":"rd","a":[0],"r":0} ',
  '{"i":0,"op":"rd","a":[0],"r":0,"new":1}',
  '{"i":0,"op":"rd","a":[01],"r":0}',
  '{"i":0,"op":"rd","a":[18446744073709551615],"r":0}',
  '{"i":0,"op":"rd","a":["0XF"],"r":0}',
  '{"i":0,"op":"rd","a":["0x"],"r":0}',
  '{"i":0,"op":"rd","a":[1.5],"r":0}',
  '{"i":0,"op":"rd","a":[0],"r":0,"d":{"0":{"+":["1000',
  '{"i":0,"op":"rd","a":[0],"r":0,"st":{"0":[1,2,3,4]}}',
  '{"i":0,"op":"rd","a":[0],"r":0,"st":{"0":[1,2,3,4,5]}',
  '{"i":0,"op":"rd","a":[0],"e":"EPERM"}'
])("leaves %s to JSON.parse", (line) => {
  expect(scan(line)).toBeUndefined()
})

it.each([
  ["0x1fffffffffffff", 0x1fffffffffffff],
  ["0x20000000000000", 0x20000000000000n],
  ["0xffffffffffffffff", 2n ** 64n - 1n],
  ["0x0000000000001000", 0x1000]
])("register %s is exact", (hex, value) => {
  expect(scan(`{"i":0,"op":"rd","a":["${hex}"],"r":0}`)?.args).toEqual([value])
})

it("a broken line is refused, or read as JSON.parse reads it", () => {
  const ops = golden.filter((line) => line.startsWith('{"i":') && !/"[df]":/.test(line))
  const marks = '{}[]",:0123456789abcdefx-. \\'
  const wrong: string[] = []
  forSeeds(100, (random) => {
    for (let n = 0; n < 200; n++) {
      const line = ops[random(ops.length)]!
      const at = random(line.length)
      const mark = marks[random(marks.length)]!
      const broken = [
        line.slice(0, at),
        line.slice(0, at) + line.slice(at + 1),
        line.slice(0, at) + mark + line.slice(at),
        line.slice(0, at) + mark + line.slice(at + 1)
      ][random(4)]!
      const op = scan(broken)
      if (op !== undefined && !isDeepStrictEqual(op, parsed(broken))) wrong.push(broken)
    }
  })
  expect(wrong).toEqual([])
})
