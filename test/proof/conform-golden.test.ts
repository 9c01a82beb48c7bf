import { readFileSync } from "node:fs"
import { gunzipSync } from "node:zlib"
import { describe, expect, it } from "vitest"
import { newMachines } from "../../lib/proof/conform/machine.ts"
import { newQuickReader, newReader } from "../../lib/proof/conform/reader.ts"
import { type Options, Session } from "../../lib/proof/conform/session.ts"
import type { Tally } from "../../lib/proof/conform/tally.ts"

const golden = (name: string): string =>
  gunzipSync(readFileSync(new URL(`../golden/${name}`, import.meta.url))).toString("utf8")

const judge = (text: string, options: Options = {}): Tally => {
  const session = new Session(newMachines(), { shown: 1, ...options })
  const reader = (options.areas === false ? newQuickReader : newReader)(session)
  reader.push(new TextEncoder().encode(text))
  reader.finish()
  session.finish(reader.count)
  return session.tally
}

const slice = golden("slice.jsonl.gz")
const fresh = golden("fresh.jsonl.gz")

it("recorded random sequences and directed probes: no divergence, and every promise of the core holds", () => {
  const { divergences, themes, total } = judge(slice, { check: true })
  expect(divergences).toEqual([])
  expect(total).toMatchObject({ sequences: 244, operations: 6405, divergences: 0 })
  expect(themes.size).toBe(14)
  expect(total.judged / total.operations).toBeGreaterThan(0.8)
}, 60_000)

it("fresh recordings with other seeds: no divergence up to the last sweep", () => {
  const { divergences, total } = judge(fresh, { check: true })
  expect(divergences).toEqual([])
  expect(total).toMatchObject({ sequences: 125, operations: 6900, divergences: 0 })
  expect(total.complete).toBeGreaterThan(100)
  expect(total.judged / total.operations).toBeGreaterThan(0.9)
}, 60_000)

/** The lines of the first fresh sequence in which `change` finds something to change, with that one change. */
const doctored = (change: (line: string) => string): string => {
  let lines: string[] = []
  let isChanged = false
  for (const line of fresh.split("\n")) {
    if (line.startsWith('{"seq"')) lines = []
    const now: string = isChanged ? line : change(line)
    isChanged ||= now !== line
    lines.push(now)
    if (line.startsWith('{"end"') && isChanged) break
  }
  return `${lines.join("\n")}\n`
}

describe("one changed field of a recording is found", () => {
  const area = (pattern: RegExp, by: string) => (line: string) =>
    line.startsWith('{"i"') ? line.replace(pattern, by) : line
  it.each<[string, (line: string) => string]>([
    ["an address", area(/"r":"0x7ffff7ff(\d)000"/, '"r":"0x7ffff7fe$1000"')],
    ["a success", area(/"r":0(?=[,}])/, '"r":-1,"e":"EINVAL"')],
    ["an errno", area(/"e":"ENOMEM"/, '"e":"EINVAL"')],
    ["a byte", area(/"op":"rd",(.*)"r":(\d+)/, '"op":"rd",$1"r":2$2')],
    ["a signal's name", area(/SIGBUS/, "SIGSEGV")],
    ["a signal's code", area(/SEGV_MAPERR/, "SEGV_ACCERR")],
    ["a signal's address", area(/"addr":"0x(\w+)"/, '"addr":"0x1"')],
    ["bounds", area(/"\+":\["200000(\w+)-200000(\w+)/, '"+":["200040$1-200040$2')],
    ["permissions", area(/ rw-p /, " r--p ")],
    ["an offset", area(/ rw-s 0 /, " rw-s 1000 ")],
    ["a file", area(/ f0\|/, " f1|")],
    ["VmFlags", area(/ ac\|\|/, " ac nr||")],
    ["a name", area(/\[heap\]/, "")],
    ["a page state", area(/\|A\|/, "|a|")],
    ["Rss", area(/\|A\|4,/, "|A|8,")],
    ["Pss", area(/\|A\|4,4,/, "|A|4,2,")],
    ["Shared_Clean", area(/,0,0,0,4,4,0"/, ',4,0,0,4,4,0"')],
    ["Private_Dirty", area(/\|A\|4,4,0,0,0,4/, "|A|4,4,0,0,4,0")],
    ["Anonymous", area(/\|A\|4,4,0,0,0,4,4/, "|A|4,4,0,0,0,4,0")],
    ["VmSize", area(/"st":\{"0":\[\d+/, '"st":{"0":[4')],
    ["VmData", area(/("st":\{"0":\[\d+,\d+),\d+/, "$1,4")],
    ["a forked area", area(/("f":\{"1":\[.*) rw-p 0 -\|/, "$1 r--p 0 -|")],
    ["what the last sweep read", (line) => line.replace(/^(\{"end":.*)000000/, "$1000001")]
  ])("%s", (_what, change) => {
    expect(judge(doctored(change)).total.divergences).toBe(1)
  })

  it.each<[string, (line: string) => string]>([
    ["an address", area(/"r":"0x7ffff7ff(\d)000"/, '"r":"0x7ffff7fe$1000"')],
    ["an errno", area(/"e":"ENOMEM"/, '"e":"EINVAL"')],
    ["a byte", area(/"op":"rd",(.*)"r":(\d+)/, '"op":"rd",$1"r":2$2')],
    ["a signal's name", area(/SIGBUS/, "SIGSEGV")],
    ["VmSize", area(/"st":\{"0":\[\d+/, '"st":{"0":[4')],
    ["the size of a forked process", area(/("st":\{.*"1":)\[\d+/, "$1[4")],
    ["what the last sweep read", (line) => line.replace(/^(\{"end":.*)000000/, "$1000001")]
  ])("without the map: %s", (_what, change) => {
    expect(judge(doctored(change), { areas: false }).total.divergences).toBe(1)
  })

  it("without the map: a page state is not", () => {
    expect(judge(doctored(area(/\|A\|/, "|a|")), { areas: false }).total.divergences).toBe(0)
  })
})

it("without the map, all answers, sizes and sweeps agree too", () => {
  for (const text of [slice, fresh]) {
    const { total } = judge(text, { areas: false })
    expect(total.divergences).toBe(0)
    expect(total).toEqual(judge(text).total)
  }
}, 60_000)

it("a kernel that is used again answers as a fresh one", () => {
  expect(judge(fresh + slice + fresh).total.divergences).toBe(0)
}, 60_000)
