import { expect, it } from "vitest"
import { parseRecord } from "../../lib/proof/conform/parse.ts"
import { jsonOfTally, textOfTally } from "../../lib/proof/conform/report.ts"
import { type Options, Session } from "../../lib/proof/conform/session.ts"
import type { Tally } from "../../lib/proof/conform/tally.ts"
import { header, type Pose, Puppet, stubLine } from "./puppet.ts"

const fresh = "200000000000-200000002000 rw-p 0 -|rd wr mr mw me ac||.2|0,0,0,0,0,0,0,0"
const above = "200000001000-200000003000 rw-p 0 -|rd wr mr mw me ac||.2|0,0,0,0,0,0,0,0"
const written = "200000000000-200000002000 rw-p 0 -|rd wr mr mw me ac||A.|4,4,0,0,0,4,4,0"

const mmap = { op: "mmap", a: ["0x200000000000", "0x2000", 3, 50, -1, 0], r: "0x200000000000" }
const mapped = { ...mmap, d: { 0: { "+": [fresh] } }, st: { 0: [12, 0, 8, 0, 4] } }
const wr = { op: "wr", a: ["0x200000000000", 5], r: 0, d: { 0: { "+": [written] } } }
const end = { end: { 0: { "200000000000": "050000 000000" } } }
const numbered = (ops: readonly object[]): readonly object[] => ops.map((each, i) => ({ i, ...each }))

const address = { kind: "value", value: 0x200000000000 } as const
const zero = { kind: "value", value: 0 } as const
const afterMmap: Pose = { result: address, areas: { 0: [stubLine, fresh] }, stats: [12, 0, 8, 0, 4] }
const afterWr: Pose = { result: zero, areas: { 0: [stubLine, written] } }

const judge = (puppet: Puppet, records: readonly object[], options: Options = {}): Tally => {
  const session = new Session(() => puppet, options)
  session.file = "puppets.jsonl"
  records.forEach((record, i) => session.take(parseRecord(JSON.stringify(record)), i + 1))
  session.finish(records.length)
  return session.tally
}
const sequence = (...ops: readonly object[]): readonly object[] => [header, ...numbered(ops), end]
const withMemory = (puppet: Puppet): Puppet => {
  puppet.memory = (_, at) => (at === 0x200000000000 ? 5 : 0)
  return puppet
}

it("a world that does what Linux did is judged to the end, the sweep included", () => {
  const { divergences, total } = judge(
    withMemory(new Puppet({ mmap: () => afterMmap, wr: () => afterWr })),
    sequence(mapped, wr)
  )
  expect(divergences).toEqual([])
  expect(total).toMatchObject({ sequences: 1, complete: 1, operations: 2, judged: 2, skipped: 0, notJudged: 0 })
})

it.each<[string, Partial<{ mmap: Pose; wr: Pose }>, string]>([
  ["another address", { mmap: { ...afterMmap, result: zero } }, "result"],
  ["an error", { mmap: { ...afterMmap, result: { kind: "errno", errno: "ENOMEM" } } }, "result"],
  ["a missing area", { mmap: { ...afterMmap, areas: { 0: [stubLine] } } }, "area"],
  ["an area too many", { mmap: { ...afterMmap, areas: { 0: [stubLine, fresh, fresh] } } }, "area"],
  ["other statistics", { mmap: { ...afterMmap, stats: [8, 0, 8, 0, 4] } }, "VmSize"],
  ["a process too many", { mmap: { ...afterMmap, areas: { 0: [stubLine, fresh], 1: [] } } }, "processes"],
  [
    "other bounds",
    { mmap: { ...afterMmap, areas: { 0: [stubLine, fresh.replace("2000 ", "1000 ").replace(".2", ".")] } } },
    "bounds"
  ],
  [
    "other permissions",
    { mmap: { ...afterMmap, areas: { 0: [stubLine, fresh.replace("rw-p", "r--p")] } } },
    "permissions"
  ],
  ["another flag", { mmap: { ...afterMmap, areas: { 0: [stubLine, fresh.replace(" ac", "")] } } }, "VmFlags"],
  ["another offset", { mmap: { ...afterMmap, areas: { 0: [stubLine, fresh.replace(" 0 -", " 1000 -")] } } }, "offset"],
  ["another file", { mmap: { ...afterMmap, areas: { 0: [stubLine, fresh.replace("0 -", "0 f0")] } } }, "file"],
  ["another name", { mmap: { ...afterMmap, areas: { 0: [stubLine, fresh.replace("||", "|[heap]|")] } } }, "name"],
  ["other page states", { wr: { ...afterWr, areas: { 0: [stubLine, written.replace("A.", ".A")] } } }, "page states"],
  ["other numbers", { wr: { ...afterWr, areas: { 0: [stubLine, written.replace("4,4,0", "4,2,0")] } } }, "Pss"],
  [
    "a change of the stub",
    { wr: { ...afterWr, areas: { 0: [stubLine.replace("r--p", "rw-p"), written] } } },
    "permissions"
  ]
])("%s is a divergence, and the rest of the sequence is not judged", (_what, poses, what) => {
  const { divergences, total } = judge(
    new Puppet({ mmap: () => poses.mmap ?? afterMmap, wr: () => poses.wr ?? afterWr, rd: () => ({ result: zero }) }),
    sequence(mapped, wr, { op: "rd", a: [0], r: 0 })
  )
  expect(divergences).toMatchObject([{ seq: "7", theme: "puppets", what, line: poses.wr === undefined ? 2 : 3 }])
  expect(total).toMatchObject({ complete: 0, divergences: 1, judged: poses.wr === undefined ? 1 : 2 })
  expect(total.judged + total.notJudged).toBe(3)
})

it("other contents at the end are a divergence of the sweep", () => {
  const puppet = new Puppet({ mmap: () => afterMmap, wr: () => afterWr })
  const { divergences, total } = judge(puppet, sequence(mapped, wr))
  expect(divergences).toMatchObject([
    { what: "contents", where: "at 0x200000000000, three bytes of each page", linux: "050000 000000", ours: "000000*2" }
  ])
  expect(total).toMatchObject({ complete: 0, divergences: 1, judged: 2 })
})

it("a signal is judged by its name, its code and its address", () => {
  const access = { op: "rd", a: ["0x0"], sig: "SIGSEGV", code: "SEGV_MAPERR", addr: "0x0" }
  const ours = { kind: "signal", signal: "SIGSEGV", code: "SEGV_MAPERR", addr: 0 } as const
  const told = (result: typeof ours | { kind: "signal"; signal: string; code: string; addr: number }): number =>
    judge(new Puppet({ rd: () => ({ result }) }), [header, { i: 0, ...access }, { end: { 0: {} } }]).total.divergences
  expect(told(ours)).toBe(0)
  expect(told({ ...ours, signal: "SIGBUS" })).toBe(1)
  expect(told({ ...ours, code: "SEGV_ACCERR" })).toBe(1)
  expect(told({ ...ours, addr: 1 })).toBe(1)
})

it("an operation that is not built is skipped while its record shows no effect, and ends the judgement with its first", () => {
  const puppet = new Puppet({ mmap: () => afterMmap, wr: () => afterWr })
  const { missing, total } = judge(
    puppet,
    sequence(mapped, { op: "mlock", a: [1, 1], r: -1, e: "ENOMEM" }, { ...wr, op: "mlock" }, wr, {
      op: "rd",
      a: [1],
      r: 0
    })
  )
  expect(total).toMatchObject({
    operations: 5,
    judged: 1,
    skipped: 1,
    notJudged: 3,
    complete: 0,
    apart: 1,
    divergences: 0
  })
  expect(missing.list()).toEqual([["mlock", 2]])
})

it.each<[string, object, number]>([
  ["is skipped where it failed", { op: "close", a: [10], r: -1, e: "EBADF" }, 1],
  ["ends the judgement where it succeeded", { op: "close", a: [10], r: 0 }, 0]
])("an operation that is not built %s", (_what, op, skipped) => {
  const { total } = judge(new Puppet({ mmap: () => afterMmap }), sequence(op, mapped))
  expect(total).toMatchObject({ skipped, judged: skipped, notJudged: 2 - 2 * skipped })
})

it("what a failed ioctl stored is compared where it is recorded", () => {
  const op = { op: "uffdio_copy", a: [3], r: -1, e: "EEXIST", out: -17 }
  const alone = [header, { i: 0, ...op }, { end: { 0: {} } }]
  const stores = (also: string): Puppet =>
    new Puppet({ uffdio_copy: () => ({ result: { kind: "errno", errno: "EEXIST", also } }) })
  expect(judge(stores("-17"), alone).total).toMatchObject({ divergences: 0 })
  expect(judge(stores("0"), alone).total).toMatchObject({ divergences: 1 })
})

it("an errno that the recorder had no name for is the one of that number", () => {
  const op = { op: "madvise", a: [0, 0, 22], r: -1, e: "133" }
  const ours = new Puppet({ madvise: () => ({ result: { kind: "errno", errno: "EHWPOISON" } }) })
  expect(judge(ours, [header, { i: 0, ...op }, { end: { 0: {} } }]).total).toMatchObject({ divergences: 0 })
})

it("what the recorder did not run is skipped", () => {
  expect(judge(new Puppet(), [header, { i: 0, op: "rd", a: [1], r: "noproc" }, { end: {} }]).total).toMatchObject({
    skipped: 1
  })
})

it("a sequence whose process was lost is dropped, whatever was found in it", () => {
  const tally = judge(new Puppet({ mmap: () => ({ result: zero }) }), [
    header,
    ...numbered([mapped]),
    { dead: "timeout" }
  ])
  expect(tally.total).toMatchObject({ sequences: 0, operations: 0, divergences: 0 })
  expect(tally.dropped).toBe(1)
  expect(textOfTally(tally)).toContain("1 sequence dropped")
})

it("an error of our own is a divergence, not the end of the run", () => {
  const puppet = new Puppet({
    mmap: () => {
      throw new RangeError("no such frame")
    }
  })
  expect(judge(puppet, [...sequence(mapped), ...sequence(mapped)])).toMatchObject({
    total: { sequences: 2, divergences: 2 },
    divergences: [{ what: "the simulation broke", ours: "RangeError: no such frame" }, {}]
  })
})

it("broken promises of the world count if they are asked for", () => {
  const broken = (): Puppet => {
    const puppet = withMemory(new Puppet({ mmap: () => afterMmap, wr: () => afterWr }))
    puppet.broken = ["page 3 has no owner"]
    return puppet
  }
  expect(judge(broken(), sequence(mapped, wr)).total.divergences).toBe(0)
  const { divergences } = judge(broken(), sequence(mapped, wr), { check: true })
  expect(divergences).toMatchObject([{ what: "broken promise", ours: "page 3 has no owner" }])
})

it("areas and statistics of a forked process are judged like the others, until it exits", () => {
  const fork = { op: "fork", a: [1], r: 0, f: { 1: [stubLine, fresh] }, st: { 1: [12, 0, 8, 0, 4] } }
  const both: Pose = { result: zero, areas: { 0: [stubLine, fresh], 1: [stubLine, fresh] } }
  const script = (exit: Pose) => ({ mmap: () => afterMmap, fork: () => both, exit: () => exit })
  const records = [
    header,
    ...numbered([mapped, fork, { p: 1, op: "exit", a: [], r: 0 }]),
    { end: { 0: { "200000000000": "000000*2" } } }
  ]
  const gone: Pose = { result: zero, areas: { 0: [stubLine, fresh] } }
  expect(judge(new Puppet(script(gone)), records).total).toMatchObject({ judged: 3, complete: 1, divergences: 0 })
  expect(judge(new Puppet(script({ result: zero })), records).divergences).toMatchObject([
    { what: "processes", linux: "0", ours: "0 1" }
  ])
})

it.each<[string, readonly object[], string]>([
  ["an operation before any header", [{ i: 0, ...mapped }], "no sequence has begun"],
  ["an end before any header", [end], "no sequence has begun"],
  ["a header within a sequence", [header, header], "sequence 7 begins before sequence 7 has ended"],
  ["an operation that is missing", [header, { i: 1, ...mapped }], "operation 1 where 0 was expected"],
  ["a file that breaks off", [header, { i: 0, ...mapped }], "the file ends within sequence 7"],
  [
    "a delta that does not fit",
    [header, { i: 0, ...wr, d: { 0: { "-": ["5000"] } } }],
    "takes away 0x5000, where no area"
  ],
  ["a delta of nobody", [header, { i: 0, ...wr, d: { 2: {} } }], "process 2, which does not live"],
  ["a second birth", [header, { i: 0, ...wr, f: { 0: [] } }], "process 0, which lives already"],
  [
    "areas that overlap",
    [header, { i: 0, ...wr, d: { 0: { "+": [fresh, above] } } }],
    "areas overlap at 0x200000001000"
  ]
])("%s is refused", (_what, records, message) => {
  expect(() => judge(new Puppet(), records)).toThrow(message)
})

it("a divergence is told as a program, both answers, both lists of areas and both rows of pages", () => {
  const ours = "200000000000-200000001000 rw-p 0 -|rd wr mr mw me ac||A|4,4,0,0,0,4,4,0"
  const more = "200000001000-200000002000 rw-p 0 -|rd wr mr mw me ac||.|0,0,0,0,0,0,0,0"
  const puppet = new Puppet({
    mmap: () => afterMmap,
    wr: () => ({ result: zero, areas: { 0: [stubLine, ours, more] } })
  })
  const tally = judge(puppet, sequence(mapped, { op: "munlock", a: ["0x0", "0x0"], r: -1, e: "EINVAL" }, wr))
  expect(textOfTally(tally)).toMatchInlineSnapshot(`
    "theme    sequences  operations  judged          skipped  divergences
    puppets          1           3       2  66.7 %        1            1
    total            1           3       2  66.7 %        1            1

    0 of 1 sequence judged to the end, the last sweep included.
    1 sequence judged only up to calls that this version does not have: munlock 1.

    puppets.jsonl:4: sequence 7 (puppets), operation 2 differs: bounds of 200000000000-200000002000
        0  mmap(0x200000000000, 0x2000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0) = 0x200000000000
        1  munlock(0, 0) = -1 EINVAL  # skipped
      > 2  wr(0x200000000000, 5) = 0
      Linux: 200000000000-200000002000
      ours:  200000000000-200000001000
      areas (- Linux, + ours):
          400000-401000 r--p 0 exe|rd mr mw me|/subject
        - 200000000000-200000002000 rw-p 0 -|rd wr mr mw me ac||A.|4,4,0,0,0,4,4,0
        + 200000000000-200000001000 rw-p 0 -|rd wr mr mw me ac||A|4,4,0,0,0,4,4,0
        + 200000001000-200000002000 rw-p 0 -|rd wr mr mw me ac||.|0,0,0,0,0,0,0,0
      pages:
        Linux  0x1fffffffe000  __|A .|__
        ours                   __|A|.|__
        call                      ^

    An area is: start-end permissions offset file|VmFlags|name|pages|Rss,Pss,Shared_Clean,Shared_Dirty,Private_Clean,
    Private_Dirty,Anonymous,Locked in kB. A page is: . none, A anonymous, F of a file, a and f mapped by several, z the page of
    zeroes, g a guard, m another marker, w after it write-protected by userfaultfd. In pictures such a page is W, no area is _,
    and ? is not recorded.
    "
  `)
  expect(jsonOfTally(tally)).toMatchObject({
    themes: {
      puppets: { sequences: 1, operations: 3, judged: 2, skipped: 1, notJudged: 0, divergences: 1, judgedPercent: 66.7 }
    },
    total: { operations: 3 },
    divergences: [{ seq: "7", what: "bounds", program: { length: 3 } }]
  })
})
