import { describe, expect, it } from "vitest"
import { entriesOfJson, type KnownEntry } from "../../lib/proof/conform/known.ts"
import { parseRecord } from "../../lib/proof/conform/parse.ts"
import type { Result } from "../../lib/proof/conform/record.ts"
import { jsonOfTally, textOfTally } from "../../lib/proof/conform/report.ts"
import { Session } from "../../lib/proof/conform/session.ts"
import type { Tally } from "../../lib/proof/conform/tally.ts"
import { header, Puppet, stubLine } from "./puppet.ts"

const area = "200000000000-200000001000 rw-p 0 -|rd wr mr mw me ac||.|0,0,0,0,0,0,0,0"
const mmap = { i: 0, op: "mmap", a: ["0x200000000000", "0x1000", 3, 50, -1, 0], r: "0x200000000000" }
const mapped = { ...mmap, d: { 0: { "+": [area] } } }
const msync = { i: 1, op: "msync", a: ["0x200000000000", "0x1000", 4], r: -1, e: "EBUSY" }
const end = { end: { 0: { "200000000000": "070000" } } }

const address = { kind: "value", value: 0x200000000000 } as const
const zero = { kind: "value", value: 0 } as const
const good = { mmap: () => ({ result: address, areas: { 0: [stubLine, area] } }), msync: () => ({ result: zero }) }

const judge = (known: readonly KnownEntry[], script = good, memory = 7): Tally => {
  const puppet = new Puppet(script)
  puppet.memory = (_, at) => (at === 0x200000000000 ? memory : 0)
  const session = new Session(() => puppet, { known })
  for (const record of [header, mapped, msync, end]) session.take(parseRecord(JSON.stringify(record)), 1)
  return session.tally
}

const busy: KnownEntry = { operation: "msync(*, MS_SYNC) = -1 EBUSY", what: "result", reason: "a writer was there" }

describe("a known difference", () => {
  it("of the result alone is counted, and the judgement goes on", () => {
    const { divergences, total } = judge([busy])
    expect(divergences).toEqual([])
    expect(total).toMatchObject({ judged: 2, notJudged: 0, known: 1, divergences: 0, complete: 1 })
  })

  it("of the state ends the judgement, without a divergence", () => {
    const other = area.replace("rw-p", "r--p")
    const script = { ...good, mmap: () => ({ result: address, areas: { 0: [stubLine, other] } }) }
    const { total } = judge([{ seq: "7", i: 0, what: "permissions", reason: "so it is" }], script)
    expect(total).toMatchObject({ judged: 1, notJudged: 1, known: 1, divergences: 0, complete: 0 })
  })

  it("of the last sweep is told by its place", () => {
    const sweep: KnownEntry = { operation: "sweep", what: "contents", ours: "080000", reason: "nobody knows" }
    expect(judge([busy, sweep], good, 8).total).toMatchObject({ known: 2, divergences: 0, complete: 0 })
    expect(judge([busy, sweep], good, 9).total).toMatchObject({ known: 1, divergences: 1 })
  })

  it.each<[string, Partial<KnownEntry>]>([
    ["theme", { theme: "other" }],
    ["sequence", { seq: "8" }],
    ["operation's number", { i: 0 }],
    ["operation", { operation: "msync(*, MS_ASYNC) = -1 EBUSY" }],
    ["kind", { what: "Rss" }],
    ["answer of Linux", { linux: "0" }],
    ["answer of ours", { ours: "-1 *" }]
  ])("with another %s is none", (_what, change) => {
    expect(judge([{ ...busy, ...change }]).total).toMatchObject({ known: 0, divergences: 1 })
  })

  it("excuses nothing that broke", () => {
    const script = {
      ...good,
      msync: () => {
        throw new RangeError("no such frame")
      }
    }
    expect(judge([{ operation: "*", what: "*", reason: "everything" }], script).total).toMatchObject({ divergences: 1 })
  })

  it("is told with its reason, and also if it was not met", () => {
    const tally = judge([busy, { seq: "9", what: "Rss", reason: "old" }])
    const text = textOfTally(tally)
    expect(text).toMatch(/^theme .* known +divergences$/m)
    expect(text).toContain(
      "Known difference 1, met 1 time: msync(*, MS_SYNC) = -1 EBUSY: result. Reason: a writer was there"
    )
    expect(text).toContain("Known difference 2 was not met: sequence 9: Rss.")
    expect(jsonOfTally(tally)).toMatchObject({ total: { known: 1 }, known: [{ met: 1 }, { met: 0, reason: "old" }] })
  })
})

it("patterns fit from end to end", () => {
  const fitting = (patterns: readonly string[]): readonly string[] =>
    patterns.filter((what) => judge([{ ...busy, what }]).total.known === 1)
  const good = ["result", "*", "res*", "*sult", "r*s*lt", "**", "*e*"]
  expect(fitting([...good, "", "res", "*x*", "result*t", "r*sul"])).toEqual(good)
})

it("a file of known differences is a list of entries", () => {
  expect(entriesOfJson('[{"seq":7,"i":3,"what":"Rss","reason":"r"}]')).toMatchObject([
    { seq: "7", i: 3, what: "Rss", reason: "r" }
  ])
  expect(entriesOfJson("[]")).toEqual([])
})

it.each([
  ["{", "not JSON"],
  ["{}", "not a list"],
  ["[7]", "entry 1 is no object"],
  ['[{"seq":7,"what":"Rss"}]', "entry 1 gives no reason"],
  ['[{"seq":7,"reason":"r"}]', "entry 1 does not say what differs"],
  ['[{"what":"Rss","reason":"r"}]', "entry 1 names neither a seq nor an operation"],
  ['[{"theme":"x","what":"Rss","reason":"r"}]', "entry 1 names neither"],
  ['[{"seq":7,"what":"Rss","reason":"r","linx":"0"}]', "entry 1 has a field linx"],
  ['[{"seq":[7],"what":"Rss","reason":"r"}]', "entry 1 has a seq that is"],
  ['[{"seq":7,"i":"1","what":"Rss","reason":"r"}]', "entry 1 has an i that is no number"],
  ['[{"seq":7,"what":5,"reason":"r"}]', "entry 1 has a what that is no text"]
])("refuses %s", (text, message) => {
  expect(() => entriesOfJson(text)).toThrow(message)
})

describe("bytes of the recorder's own memory, which no recording holds", () => {
  const file = "200000000000-200000005000 rw-s 0 f0|rd||.5|0,0,0,0,0,0,0,0"
  const swept = { end: { 0: { "200000000000": "555555 M*2 A*2" } } }
  const value = (n: number, also?: string) => ({ kind: "value", value: n, also }) as const

  /** A sequence that writes eight bytes at `from` into a file and reads them again; our bytes are others. */
  const total = (from: string, read: Result = value(0x66), letter = "M") => {
    const puppet = new Puppet({
      pwrite_mem: () => ({ result: value(8), areas: { 0: [stubLine, file] } }),
      rd: () => ({ result: read }),
      pread64: () => ({ result: value(4, "66666666") })
    })
    const pages = [0x66, -letter.charCodeAt(0), -77, -65, -65]
    puppet.memory = (_, at) => pages[(at - 0x200000000000 - (at % 4096)) / 4096]!
    const session = new Session(() => puppet)
    for (const record of [
      header,
      { i: 0, op: "pwrite_mem", a: [10, from, 8, 0], r: 8, d: { 0: { "+": [file] } } },
      { i: 1, op: "rd", a: ["0x200000000000"], r: 0x55 },
      { i: 2, op: "pread64", a: [10, 4, 0], r: 4, data: "55555555" },
      swept
    ]) {
      session.take(parseRecord(JSON.stringify(record)), 1)
    }
    return session.tally.total
  }

  it("are not compared once a file has them; everything else is", () => {
    expect(total("0x400ffc")).toMatchObject({ judged: 3, divergences: 0, complete: 1 })
    expect(total("0x400ffc", { kind: "errno", errno: "EFAULT" })).toMatchObject({ judged: 2, divergences: 1 })
    expect(total("0x400ffc", undefined, "B")).toMatchObject({ judged: 3, divergences: 1 })
  })

  it("are not there where the bytes came from elsewhere", () => {
    expect(total("0x401000")).toMatchObject({ judged: 2, divergences: 1 })
    expect(total("0x3ffff8")).toMatchObject({ judged: 2, divergences: 1 })
  })
})
