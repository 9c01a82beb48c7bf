import { describe, expect, it } from "vitest"
import { parseRecord } from "../../lib/proof/conform/parse.ts"
import { diffOf, pictureOfAreas } from "../../lib/proof/conform/picture.ts"
import { lineOfOp } from "../../lib/proof/conform/program.ts"
import type { Op } from "../../lib/proof/conform/record.ts"
import { touchedBy } from "../../lib/proof/conform/touched.ts"
import { wordsOf } from "../../lib/proof/conform/words.ts"

const line = (start: number, end: number, pages: string): string =>
  `${start.toString(16)}000-${end.toString(16)}000 rw-p 0 -|rd||${pages}|0,0,0,0,0,0,0,0`
const stub = "10000-12000 r--p 0 exe|rd|/subject"
const op = (name: string, a: ReadonlyArray<number | string>, r: number | string = 0): Op =>
  parseRecord(JSON.stringify({ i: 0, op: name, a, r })) as Op

describe("a picture of pages", () => {
  const call = (from: number, to: number) => [{ from, to }]

  it("shows what differs, a character a page, bars at bounds, and where the call went", () => {
    const linux = [line(0x100, 0x104, "A.Fw."), line(0x104, 0x106, "z2")]
    const ours = [line(0x100, 0x102, "A."), line(0x104, 0x106, "z2")]
    expect(pictureOfAreas(linux, ours, call(0x102, 0x104))).toEqual([
      "Linux  0xfe000  __|A. W.|zz|",
      "ours            __|A.|__|zz|",
      "call                  ^^"
    ])
  })

  it("is one row where both are alike, and none where nothing is to be shown", () => {
    const areas = [stub, line(0x100, 0x102, "AA")]
    expect(pictureOfAreas(areas, areas, call(0x101, 0x102))).toEqual([
      "both   0xff000  _|AA|__",
      "call               ^"
    ])
    expect(pictureOfAreas(areas, areas, call(0x11, 0x13))).toEqual(["both   0xf000  _|??|___", "call              ^ ^"])
    expect(pictureOfAreas(areas, areas, [])).toEqual([])
  })

  it("writes long runs as one character and their number", () => {
    const linux = [line(0x100, 0x200, "A256"), line(0x7f000, 0x7f002, "..")]
    const ours = [line(0x100, 0x200, "A128a128"), line(0x7f000, 0x7f001, ".")]
    expect(pictureOfAreas(linux, ours, [])).toEqual([
      "Linux  0xfe000  __|A128A128|_519680|. .|__",
      "ours            __|A128a128|_519680|.|_ __"
    ])
  })
})

it("lines of areas: what differs with a line around it, and where the call went", () => {
  const areas = [1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => line(0x100 * n, 0x100 * n + 1, "."))
  const ours = areas.with(1, line(0x200, 0x201, "A"))
  const shown = diffOf(areas, ours, [{ from: 0x700, to: 0x701 }]).map((text) => text.slice(0, 8))
  expect(shown).toEqual(["  100000", "- 200000", "+ 200000", "  300000", "  600000", "  700000", "  800000"])
})

it("a call goes to the pages that it names and that it answers", () => {
  expect(touchedBy(op("munmap", [0x5001, 0x1000]))).toEqual([{ from: 5, to: 7 }])
  expect(touchedBy(op("wr", ["0x5fff", 1]))).toEqual([{ from: 5, to: 6 }])
  expect(touchedBy(op("mmap", [0, 0x2000, 3, 34, -1, 0], "0x9000"))).toEqual([{ from: 9, to: 11 }])
  expect(touchedBy(op("mremap", ["0x5000", 0x1000, 0x2000, 1, 0], "0x9000"))).toEqual([
    { from: 5, to: 6 },
    { from: 9, to: 11 }
  ])
  expect(touchedBy(op("rd", ["0xfffffffffffff000"]))).toEqual([])
  expect(touchedBy(op("ftruncate", [10, 0x5000]))).toEqual([])
})

it("a line of a program has flags by their names, the lowest bit first, and what has none in hex", () => {
  expect(lineOfOp(op("mmap", [0, 0x1000, 7, 0x40000022, 10, 0], "0x9000"), op("x", [], "0x9000").result)).toBe(
    "mmap(0, 0x1000, PROT_READ|PROT_WRITE|PROT_EXEC, MAP_PRIVATE|MAP_ANONYMOUS|0x40000000, 10, 0) = 0x9000"
  )
  const read = (name: string, at: number, value: number | bigint): string | undefined =>
    wordsOf(name, at, value)?.join("|")
  expect(read("mprotect", 2, 0)).toBe("PROT_NONE")
  expect(read("madvise", 2, 8)).toBe("MADV_FREE")
  expect(read("madvise", 2, 99)).toBe("99")
  expect(read("mmap", 3, 0)).toBe("0")
  expect(read("mmap", 3, 2n ** 64n - 1n)).toBe("-1")
  expect(read("mremap", 3, 5)).toBe("MREMAP_MAYMOVE|MREMAP_DONTUNMAP")
  expect(read("munmap", 0, 0x5000)).toBeUndefined()
})
