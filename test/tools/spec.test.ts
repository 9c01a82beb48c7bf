import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import { type Coverage, count, cover, isIncomplete } from "../../tools/spec/coverage.ts"
import { coverageOf } from "../../tools/spec/gather.ts"
import { claimsOfTests, claimsOfTypesTests, idsIn } from "../../tools/spec/names.ts"
import { json, listing, summary } from "../../tools/spec/report.ts"
import { parseExclusions, parseSpec } from "../../tools/spec/rows.ts"

const spec = (status: string, ...ids: ReadonlyArray<string>): string =>
  `# Title\n\nStatus: ${status}\n\n| id | behaviour | source |\n|---|---|---|\n${ids.map((id) => `| ${id} | does ${id} | x |`).join("\n")}\n`

const exclusions = (...rows: ReadonlyArray<string>): string =>
  `| id | state | reason | built by |\n|---|---|---|---|\n${rows.join("\n")}\n`

const idsOf = (text: string): ReadonlyArray<string> => claimsOfTests("x.test.ts", text).map((claim) => claim.id)

describe("specification files", () => {
  it("gives rows with their sentence and line", () => {
    const file = parseSpec("a.md", spec("in force", "R-REF-01"))
    expect(file).toEqual({
      name: "a.md",
      inForce: true,
      mostLeftOut: undefined,
      rows: [{ id: "R-REF-01", text: "does R-REF-01", line: 7 }]
    })
  })

  it("reads result and condition of an errno step, and a bar inside a cell", () => {
    const file = parseSpec("a.md", "Status: not in force\n| L-A-E1 | EINVAL | a \\| b |\n| L-A-E2 | | as mmap |\n")
    expect(file.rows.map((row) => row.text)).toEqual(["EINVAL: a | b", "as mmap"])
    expect(file.inForce).toBe(false)
  })

  it("reads the bound on rows left out", () => {
    expect(parseSpec("a.md", "Status: in force, at most 12 left out\n").mostLeftOut).toBe(12)
  })

  it("takes other tables for text", () => {
    expect(parseSpec("a.md", "Status: in force\n| COLD | 0 |\n| U1 | x |\n").rows).toEqual([])
  })

  it("refuses a file without a status line, and a row that stands twice", () => {
    expect(() => parseSpec("a.md", "# Title\n")).toThrow("a.md: no status line")
    expect(() => parseSpec("a.md", spec("in force", "R-A-01", "R-A-01"))).toThrow(
      "a.md:8: row R-A-01 stands already in line 7"
    )
  })
})

describe("ids in brackets", () => {
  it("takes several, and ranges where they are written", () => {
    expect(idsIn("x [R-A-01] y [R-B-02, R-C-03 R-D-04]")).toEqual(["R-A-01", "R-B-02", "R-C-03", "R-D-04"])
    expect(idsIn("[R-FLAG-09..11]")).toEqual(["R-FLAG-09", "R-FLAG-10", "R-FLAG-11"])
    expect(idsIn("[R-FLAG-01..R-FLAG-02, L-MADV-M-FREE, L-SHM-SHMAT-E1]")).toEqual([
      "R-FLAG-01",
      "R-FLAG-02",
      "L-MADV-M-FREE",
      "L-SHM-SHMAT-E1"
    ])
  })

  it("passes over brackets that hold something else", () => {
    expect(idsIn("[0x1000, 0x2000) [start, end] [M24b] a[0] R-A-01")).toEqual([])
  })

  it("refuses a range that runs backwards or into another family", () => {
    expect(() => idsIn("[R-A-05..03]")).toThrow("R-A-05..03 is not a range of rows")
    expect(() => idsIn("[R-A-05..R-B-07]")).toThrow("is not a range of rows")
  })
})

describe("test names", () => {
  it("claims what it and test say, in any quotes, over several lines and strings", () => {
    expect(idsOf('it("a [R-A-01]", () => {})\ntest(\n  `b [R-A-02]`,\n  f)\nit(\'c\' +\n  " [R-A-03]", f)')).toEqual([
      "R-A-01",
      "R-A-02",
      "R-A-03"
    ])
  })

  it("claims through modifiers and tables", () => {
    expect(idsOf('it.effect("a [R-A-01]", f)\nit.each([["[R-A-09]", f(1)]])("%s [R-A-02]", f)')).toEqual([
      "R-A-01",
      "R-A-02"
    ])
    expect(idsOf('it.each`\n  a\n  ${1}\n`("b [R-A-03]", f)\ntest.concurrent.for([1])("c [R-A-04]", f)')).toEqual([
      "R-A-03",
      "R-A-04"
    ])
  })

  it("claims nothing for skipped tests, groups, comments, bodies and other calls", () => {
    expect(idsOf('it.skip("a [R-A-01]", f)\nit.todo("b [R-A-02]")\ndescribe("c [R-A-03]", f)')).toEqual([])
    expect(
      idsOf('// it("a [R-A-01]")\nconst s = \'it("b [R-A-02]")\'\nk.it("c [R-A-03]")\nit("d", () => s("[R-A-04]"))')
    ).toEqual([])
  })

  it("says where a claim stands", () => {
    expect(claimsOfTests("t.test.ts", '\n\nit("a [R-A-01]", f)')).toEqual([
      { id: "R-A-01", file: "t.test.ts", line: 3 }
    ])
    expect(() => claimsOfTests("t.test.ts", '\nit("a [R-A-02..01]", f)')).toThrow("t.test.ts:2: R-A-02..01 is not")
  })

  it("claims every case of a types test", () => {
    const text = "// M20 insert without the flag [R-MIX-08]\nexpectError(x)\n"
    expect(claimsOfTypesTests("a.test-d.ts", text)).toEqual([{ id: "R-MIX-08", file: "a.test-d.ts", line: 1 }])
  })
})

describe("exclusions", () => {
  it("reads left out and next", () => {
    expect(
      parseExclusions("l.md", exclusions("| R-A-01 | left out | no swap | |", "| R-A-02 | next | needs it | Work |"))
    ).toEqual([
      { id: "R-A-01", state: "left out", reason: "no swap", work: "", line: 3 },
      { id: "R-A-02", state: "next", reason: "needs it", work: "Work", line: 4 }
    ])
  })

  it.each([
    ["a word that is no id", "| R-A | left out | x | |", "R-A is not a row id"],
    ["a range", "| R-A-01..03 | left out | x | |", "is not a row id"],
    ["another state", "| R-A-01 | later | x | |", 'neither "left out" nor "next"'],
    ["no reason", "| R-A-01 | left out | | |", "gives no reason"],
    ["next without work", "| R-A-01 | next | x | |", "no piece of work is named"],
    ["left out with work", "| R-A-01 | left out | x | Work |", "nothing builds it"]
  ])("refuses %s", (_what, row, message) => {
    expect(() => parseExclusions("l.md", exclusions(row))).toThrow(message)
  })

  it("refuses a row that stands there twice", () => {
    const row = "| R-A-01 | left out | x | |"
    expect(() => parseExclusions("l.md", exclusions(row, row))).toThrow("l.md:4: R-A-01 stands here twice")
  })
})

const join3 = (
  status: string,
  ids: ReadonlyArray<string>,
  claimed: ReadonlyArray<string>,
  out: ReadonlyArray<string> = []
): Coverage =>
  cover(
    [parseSpec("a.md", spec(status, ...ids))],
    claimed.map((id) => ({ id, file: "t.test.ts", line: 1 })),
    parseExclusions("l.md", exclusions(...out)),
    "l.md"
  )

describe("coverage", () => {
  it("is complete when each row in force is covered, next or left out", () => {
    const coverage = join3(
      "in force",
      ["R-A-01", "R-A-02", "R-A-03"],
      ["R-A-01"],
      ["| R-A-02 | next | x | Work |", "| R-A-03 | left out | y | |"]
    )
    expect(isIncomplete(coverage)).toBe(false)
    expect(coverage.files[0]!.rows.map((one) => one.state.is)).toEqual(["covered", "next", "left out"])
  })

  it("is incomplete while a row in force is unexplained, but not for a file that is not in force", () => {
    expect(isIncomplete(join3("in force", ["R-A-01"], []))).toBe(true)
    const other = join3("not in force", ["R-A-01"], [])
    expect(isIncomplete(other)).toBe(false)
    expect(count(other.files[0]!, "unexplained")).toBe(1)
  })

  it("refuses an exclusion of a row that a test covers, and of a row that does not exist", () => {
    const covered = join3("in force", ["R-A-01"], ["R-A-01"], ["| R-A-01 | left out | x | |"])
    expect(covered.faults).toEqual(["l.md:3: R-A-01 is covered by t.test.ts:1; take it out here"])
    expect(join3("in force", [], [], ["| R-A-01 | left out | x | |"]).faults).toEqual(["l.md:3: no row R-A-01"])
    expect(isIncomplete(covered)).toBe(true)
  })

  it("refuses a claim of a row that does not exist, in a family it knows", () => {
    expect(join3("in force", ["R-A-01"], ["R-A-01", "R-A-99", "Z-A-01"]).faults).toEqual(["t.test.ts:1: no row R-A-99"])
  })

  it("refuses more rows left out than the file allows", () => {
    const out = ["R-A-01", "R-A-02"].map((id) => `| ${id} | left out | x | |`)
    expect(join3("in force, at most 1 left out", ["R-A-01", "R-A-02"], [], out).faults).toEqual([
      "a.md: 2 rows left out; at most 1 may be"
    ])
    expect(join3("in force, at most 2 left out", ["R-A-01", "R-A-02"], [], out).faults).toEqual([])
  })
})

describe("reports", () => {
  const coverage = join3(
    "in force",
    ["R-A-01", "R-A-02", "R-A-03", "R-A-04"],
    ["R-A-01", "R-A-01"],
    ["| R-A-02 | next | needs it | Work |", "| R-A-03 | left out | no swap | |"]
  )

  it("sums each file up in one line", () => {
    expect(summary(coverage)).toBe("a.md  in force         4 rows:   1 covered   1 next   1 left out   1 unexplained")
  })

  it("lists every row with its reason or its test", () => {
    expect(listing(coverage).split("\n")).toEqual([
      "a.md, in force, 4 rows",
      "  covered: 1",
      "    R-A-01        t.test.ts:1 and 1 more",
      "  next: 1",
      "    R-A-02        needs it (built by: Work)",
      "  left out: 1",
      "    R-A-03        no swap",
      "  unexplained: 1",
      "    R-A-04        does R-A-04"
    ])
  })

  it("says the same to machines", () => {
    expect(JSON.parse(json(coverage))).toMatchObject({
      complete: false,
      files: [{ file: "a.md", inForce: true, counts: { rows: 4, covered: 1, next: 1, "left out": 1, unexplained: 1 } }]
    })
  })
})

describe("on disk", () => {
  const top = mkdtempSync(join(tmpdir(), "pagewright-spec-"))
  afterAll(() => rmSync(top, { recursive: true }))
  const write = (file: string, text: string): void => {
    mkdirSync(dirname(join(top, file)), { recursive: true })
    writeFileSync(join(top, file), text)
  }

  it("finds rows, tests, types tests, pinned messages and exclusions where they stand", () => {
    write("docs/spec/a.md", spec("in force", "R-A-01", "R-A-02", "R-A-03", "R-A-04", "R-A-05"))
    write("docs/spec/left-out.md", exclusions("| R-A-05 | left out | x | |"))
    write("test/vma/a.test.ts", 'it("a [R-A-01]", f)\n')
    write("test/tools/spec.test.ts", 'it("not me [R-A-09]", f)\n')
    write("examples/binder/b.test.ts", 'it("b [R-A-02]", f)\n')
    write("types-tests/c.test-d.ts", "// c [R-A-03]\n")
    write("types-tests/diagnostics/d.txt", "d [R-A-04]\n")
    const coverage = coverageOf(top)
    expect(coverage.faults).toEqual([])
    expect(isIncomplete(coverage)).toBe(false)
    expect(count(coverage.files[0]!, "covered")).toBe(4)
  })
})
