import { describe, expect, it } from "vitest"
import { codesOf, textOfCodes } from "../../lib/proof/conform/pages.ts"
import { areaOf, parseRecord } from "../../lib/proof/conform/parse.ts"
import { newQuickReader, newReader } from "../../lib/proof/conform/reader.ts"
import { LineError } from "../../lib/proof/lines.ts"
import type { Op, Recorded } from "../../lib/proof/conform/record.ts"
import { header } from "./puppet.ts"

const op = (fields: object): Op => parseRecord(JSON.stringify({ i: 0, op: "mmap", a: [], ...fields })) as Op

const line = "200000002000-200000005000 rw-s 1000 f0|rd wr sh mr mw me ms|/memfd:f0 (deleted)|F2.|8,4,0,8,0,0,0,0"

it("an area line becomes page numbers, text fields, page codes and numbers", () => {
  expect(areaOf(line)).toEqual({
    text: line,
    start: 0x200000002,
    end: 0x200000005,
    perms: "rw-s",
    offset: 1,
    file: "f0",
    flags: "rd wr sh mr mw me ms",
    name: "/memfd:f0 (deleted)",
    isStub: false,
    pages: codesOf("F2.", 3),
    numbers: [8, 4, 0, 8, 0, 0, 0, 0]
  })
})

it("an area of the stub has three fields, and the page above user space is exact", () => {
  expect(areaOf("ffffffffff600000-ffffffffff601000 --xp 0 -|ex|[vsyscall]")).toMatchObject({
    start: 0xffffffffff600,
    isStub: true,
    pages: undefined,
    numbers: []
  })
})

it.each(["A", "A.2w3", ".1024", "zAaFfgm", "Aw2aw.w.", "mw3m"])(
  "page states %s read and written are the same",
  (text) => {
    const n = [...text.matchAll(/[^\dw]w?(\d*)/g)].reduce((sum, found) => sum + Number(found[1] || 1), 0)
    if (text.startsWith("A.2w3")) return expect(() => codesOf(text, n)).toThrow("no page state w")
    return expect(textOfCodes(codesOf(text, n), n)).toBe(text)
  }
)

it("registers are numbers, or bigints where a double is too small; negative ones wrap to 64 bits", () => {
  const { args } = op({ a: [0, 50, -1, "0x7ffffffff000", "0xfffffffffffff000", -2], r: 0 })
  expect(args).toEqual([0, 50, 2n ** 64n - 1n, 0x7ffffffff000, 0xfffffffffffff000n, 2n ** 64n - 2n])
})

it("integers that no double holds are exact", () => {
  const text = '{"op":"x","a":[18446744073709551615,4503599627370496,18446744073709547520],"r":0}'
  expect((parseRecord(text) as Op).args).toEqual([2n ** 64n - 1n, 2 ** 52, 2n ** 64n - 4096n])
})

it("results are values, errors, signals, or nothing that was run", () => {
  expect(op({ r: "0x7ffff7ff0000" }).result).toEqual({ kind: "value", value: 0x7ffff7ff0000 })
  expect(op({ r: 65 }).result).toEqual({ kind: "value", value: 65 })
  expect(op({ r: -1, e: "ENOMEM" }).result).toEqual({ kind: "errno", errno: "ENOMEM" })
  expect(op({ sig: "SIGSEGV", code: "SEGV_MAPERR", addr: "0xffffffffffffffff" }).result).toEqual({
    kind: "signal",
    signal: "SIGSEGV",
    code: "SEGV_MAPERR",
    addr: 2n ** 64n - 1n
  })
  expect(op({ r: "noproc" }).result).toEqual({ kind: "nothing" })
})

it("a header, a delta, a fork's areas, statistics and a sweep are read", () => {
  expect(parseRecord(JSON.stringify({ ...header, rlimits: { AS: 1000 } }))).toMatchObject({
    kind: "header",
    seq: "7",
    theme: "puppets",
    root: true,
    rlimits: new Map([["AS", 1000]]),
    brk: 0x408000,
    stats: [4, 0, 0, 0, 4]
  })
  const read = op({
    r: 0,
    d: { 0: { "-": ["200000000000"], "+": [line] } },
    f: { 1: [line] },
    st: { 1: [1, 2, 3, 4, 5] }
  })
  expect(new Map(read.deltas).get(0)).toMatchObject({ gone: [0x200000000], here: [{ start: 0x200000002 }] })
  expect(new Map(read.forked).get(1)).toMatchObject([{ end: 0x200000005 }])
  expect(new Map(read.stats).get(1)).toEqual([1, 2, 3, 4, 5])
  expect(parseRecord('{"end":{"0":{"200000000000":"000000*2 M"}}}')).toEqual({
    kind: "end",
    sweep: new Map([[0, new Map([[0x200000000, "000000*2 M"]])]])
  })
  expect(parseRecord('{"dead":"timeout p0"}')).toEqual({ kind: "dead" })
})

it.each([
  ["{", "not JSON: {"],
  ["\u0001\u0002", "not JSON: ??"],
  ["[]", "record is no object"],
  ["7", "record is no object"],
  ['{"t":"exec","pid":1}', "format 2"],
  ['{"seq":null}', "seq is neither"],
  [JSON.stringify({ ...header, root: 1 }), "root is neither"],
  [JSON.stringify({ ...header, theme: undefined }), "theme holds undefined"],
  [JSON.stringify({ ...header, rlimits: { AS: "1" } }), "rlimits.AS is no number of bytes"],
  [JSON.stringify({ ...header, st: [1, 2, 3, 4] }), "st is not five numbers"],
  [JSON.stringify({ ...header, init: ["nonsense"] }), "no line of an area: nonsense"],
  [JSON.stringify({ ...header, init: [7] }), "init holds number"],
  ['{"i":-1,"op":"rd","a":[],"r":0}', "i is no number of an operation"],
  ['{"p":"x","op":"rd","a":[],"r":0}', "p is no number of a process"],
  ['{"op":"rd","a":[],"r":0,"st":{"x":[1,2,3,4,5]}}', "st names a process x"],
  ['{"op":"rd","a":[],"r":0,"d":{"0":{"-":["200000000800"]}}}', "no multiple of the page size"],
  ['{"op":"rd","a":[],"r":0,"d":{"0":{"+":["5000-4000 rw-p 0 -|rd||.|0,0,0,0,0,0,0,0"]}}}', "ends before it starts"],
  ['{"op":"rd","a":[],"r":0,"d":{"0":{"+":["4000-5000 rw-p 0 -|rd||.2|0,0,0,0,0,0,0,0"]}}}', "run past the 1 pages"],
  ['{"op":"rd","a":[],"r":0,"d":{"0":{"+":["4000-6000 rw-p 0 -|rd||.|0,0,0,0,0,0,0,0"]}}}', "states of 1 pages"],
  ['{"op":"rd","a":[],"r":0,"d":{"0":{"+":["4000-5000 rw-p 0 -|rd||Q|0,0,0,0,0,0,0,0"]}}}', "no page state Q"],
  ['{"op":"rd","a":[],"r":0,"d":{"0":{"+":["4000-5000 rw-p 0 -|rd||.|0,0"]}}}', "not the eight numbers"]
])("refuses %s in one line", (text, message) => {
  expect(() => parseRecord(text)).toThrow(message)
  expect(() => parseRecord(text)).toThrow(/^[^\n]+$/)
})

it.each([
  ['{"op":"rd","a":[]}', "without a result"],
  ['{"op":"rd","a":"x","r":0}', "a is no list"],
  ['{"op":"rd","a":["0xzz"],"r":0}', "a holds 0xzz, which is no number"],
  ['{"op":"rd","a":[1.5],"r":0}', "a holds 1.5, which is no whole number"],
  ['{"op":"rd","a":[],"r":1e300}', "which is no whole number"],
  ['{"op":"rd","a":[],"sig":"SIGSEGV","addr":"0x0"}', "a signal without a code"]
])("%s is odd: right only for a call that we do not have", (text, message) => {
  expect(parseRecord(text)).toMatchObject({ args: [], oddity: expect.stringContaining(message) as string })
})

it("what format 1 does not have is noted and left out", () => {
  const notes: string[] = []
  const read = (record: object): Recorded => parseRecord(JSON.stringify(record), true, (what) => notes.push(what))
  const area = "1000-2000 r--p 0 -|rd zz mr sd||.|0,0,0,0,0,0,0,0"
  expect(read({ ...header, weather: "h", rlimits: { NPROC: "many", AS: 5 } })).toMatchObject({
    rlimits: new Map([["AS", 5]])
  })
  expect(read({ op: "rd", a: [], r: 0, took: 5, d: { 0: { "+": [area, area] } } })).toMatchObject({
    deltas: [[0, { here: [{ flags: "rd mr sd" }, { text: area }] }]]
  })
  expect(read({ comment: "", seen: 1 })).toEqual({ kind: "stray", name: "comment" })
  expect(notes).toEqual(["field weather of seq", "limit NPROC", "field took of op", "VmFlags zz", "VmFlags zz"])
})

it("a header may say what its machine was like", () => {
  const host = {
    kernel: "6.18.44",
    ramPages: 1000,
    maxMapCount: 65530,
    mmapMinAddr: 4096,
    lsmMinAddr: 65536,
    overcommit: 0,
    memfdNoexec: 1,
    capabilities: ["IPC_LOCK"],
    isOwner: false
  }
  const read = (fields: object): Recorded => parseRecord(JSON.stringify({ ...header, ...fields }))
  expect(read({ host, stack: "0x7ffffffff000" })).toMatchObject({ host, stack: 0x7ffffffff000 })
  for (const wrong of [
    { kernel: 6 },
    { ramPages: -1 },
    { overcommit: 2 },
    { memfdNoexec: 3 },
    { capabilities: 1 },
    { isOwner: 0 }
  ])
    expect(() => read({ host: { ...host, ...wrong } })).toThrow(Object.keys(wrong)[0])
})

describe.each([
  ["a reader", newReader],
  ["a quick reader", newQuickReader]
])("%s", (_what, newReaderOf) => {
  const readAll = (chunks: ReadonlyArray<Uint8Array>): ReadonlyArray<readonly [number, Recorded["kind"]]> => {
    const found: Array<readonly [number, Recorded["kind"]]> = []
    const reader = newReaderOf({ take: (record, at) => found.push([at, record.kind]), note: () => {} })
    for (const chunk of chunks) reader.push(chunk)
    reader.finish()
    return found
  }

  it("takes bytes cut anywhere, and a last line without a newline", () => {
    const text = '{"dead":"é"}\n\n{"end":{}}\n \r\n{"i":0,"op":"rd","a":[],"r":0}\n{"dead":""}'
    const bytes = new TextEncoder().encode(text)
    const whole = [
      [1, "dead"],
      [3, "end"],
      [5, "op"],
      [6, "dead"]
    ]
    expect(readAll([bytes])).toEqual(whole)
    expect(readAll([...bytes].map((byte) => Uint8Array.of(byte)))).toEqual(whole)
    for (let at = 0; at <= bytes.length; at++) {
      expect(readAll([bytes.subarray(0, at), bytes.subarray(at)])).toEqual(whole)
    }
  })

  it("tells what is wrong with its line", () => {
    const fail = (text: string | Uint8Array): LineError => {
      try {
        readAll([typeof text === "string" ? new TextEncoder().encode(text) : text])
      } catch (error) {
        if (error instanceof LineError) return error
      }
      throw new Error("nothing was wrong")
    }
    expect(fail('{"dead":""}\n{"end"')).toMatchObject({ line: 2, message: 'not JSON: {"end"' })
    expect(fail(new Uint8Array([10, 255, 254]))).toMatchObject({ line: 2, message: "not UTF-8 text" })
    expect(fail("x".repeat(2 ** 25 + 1))).toMatchObject({
      line: 1,
      message: expect.stringContaining("a line of more") as string
    })
  })
})
