import fc from "fast-check"
import { expect, it } from "vitest"
import type { Area } from "../../../lib/proof/replay/areas.ts"
import { History, type Look } from "../../../lib/proof/replay/history.ts"
import { Scale } from "../../../lib/proof/replay/scale.ts"
import { Session } from "../../../lib/proof/replay/session.ts"
import { svgOf } from "../../../lib/proof/replay/svg.ts"
import { golden } from "./log.ts"

/** The picture of the process with the most calls, of a recorded log. */
function picture(name: string): string {
  const lines = golden(name).join("\n")
  const run = (session: Session): Session => {
    session.lines.push(new TextEncoder().encode(lines))
    session.lines.finish()
    session.finish()
    return session
  }
  const [most] = [...run(new Session()).tally.processes].sort((a, b) => b.calls - a.calls)
  const history = new History(most!.pid, most!.calls)
  run(new Session({ watch: (call, process, world) => history.watch(call, process, world) }))
  return svgOf(history, `${name} & <more>`)
}

interface Text {
  readonly x: number
  readonly y: number
  readonly words: string
  readonly anchor: string
}

const textsOf = (svg: string): readonly Text[] =>
  [...svg.matchAll(/<text x="([\d.]+)" y="([\d.]+)"([^>]*)>([^<]*)<\/text>/g)].map(([, x, y, attributes, words]) => ({
    x: Number(x),
    y: Number(y),
    words: words!,
    anchor: /text-anchor="(\w+)"/.exec(attributes!)?.[1] ?? "start"
  }))

it.each(["python.jsonl.gz", "mt_cpp.jsonl.gz", "random.jsonl.gz", "odd.strace.gz"])(
  "%s: no text lies on another",
  (name) => {
    const boxes = textsOf(picture(name)).map(({ anchor, words, x, y }) => {
      const width = words.length * 6
      const left = anchor === "end" ? x - width : anchor === "middle" ? x - width / 2 : x
      return { words, left, right: left + width, top: y - 9, bottom: y + 2 }
    })
    expect(boxes.length).toBeGreaterThan(10)
    for (const [i, a] of boxes.entries()) {
      for (const b of boxes.slice(i + 1)) {
        const apart = a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top
        expect(apart, `"${a.words}" and "${b.words}"`).toBe(true)
      }
    }
  }
)

it("is a picture that stands for itself: a title, a legend of what there is, addresses, names, numbers of calls", () => {
  const svg = picture("python.jsonl.gz")
  expect(svg).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" width="\d+" height="[\d.]+"/)
  expect(svg.trimEnd().endsWith("</svg>")).toBe(true)
  expect(svg).not.toMatch(/NaN|undefined|Infinity/)
  const words = textsOf(svg).map((text) => text.words)
  expect(words[0]).toBe("python.jsonl.gz &amp; &lt;more&gt;")
  expect(words).toEqual(
    expect.arrayContaining([
      "code",
      "[heap]",
      "anonymous",
      "libc.so.6",
      "555555554000",
      "42.7 T free",
      "number of the call in the log",
      "0",
      "20"
    ])
  )
  expect(words).not.toContain("shared")
})

it("draws nothing outside of the picture", () => {
  const svg = picture("mt_cpp.jsonl.gz")
  const [, width, height] = /width="(\d+)" height="([\d.]+)"/.exec(svg)!.map(Number)
  for (const [, x, y, w, h] of svg.matchAll(/<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"/g)) {
    expect(Number(x) + Number(w)).toBeLessThanOrEqual(width!)
    expect(Number(y) + Number(h)).toBeLessThanOrEqual(height!)
  }
})

const areaAt = (start: number, pages: number): Area => ({
  start,
  end: start + pages,
  perms: "rw-p",
  offset: 0,
  name: "",
  use: "anonymous"
})

it("higher addresses lie higher, and everything lies within the height, whatever is mapped", () => {
  const looks: fc.Arbitrary<readonly Look[]> = fc.array(
    fc
      .array(fc.tuple(fc.nat(2 ** 34), fc.integer({ min: 1, max: 100_000 })), { minLength: 1, maxLength: 20 })
      .map((list) => ({
        n: 0,
        areas: list.map(([start, pages]) => areaAt(start, pages))
      })),
    { minLength: 1, maxLength: 5 }
  )
  fc.assert(
    fc.property(looks, (all) => {
      const scale = new Scale(all, 100, 700)
      const pages = all.flatMap(({ areas }) => areas.flatMap(({ end, start }) => [start, end])).sort((a, b) => a - b)
      for (let i = 1; i < pages.length; i++) expect(scale.y(pages[i]!)).toBeLessThanOrEqual(scale.y(pages[i - 1]!))
      expect(scale.y(pages.at(-1)!)).toBeCloseTo(100)
      expect(scale.bottom).toBeLessThanOrEqual(801)
      expect(scale.y(pages[0]!)).toBe(scale.bottom)
    })
  )
})

it("looks at a process of very many calls now and then, and at its end", () => {
  const history = new History(1, 10_000)
  expect(history.looks).toEqual([])
  const world = { k: { maple: { list: () => [] } } } as never
  for (let n = 0; n < 10_000; n++) history.watch({ n } as never, { pid: 1, space: { mm: 1 } } as never, world)
  expect(history.looks.length).toBeLessThan(500)
  expect(history.looks.at(-1)!.n).toBe(9999)
  const before = history.looks.length
  history.watch({ n: 0 } as never, { pid: 1, space: { mm: 1 } } as never, world)
  history.watch({ n: 0 } as never, { pid: 2, space: { mm: 1 } } as never, world)
  expect(history.looks.length).toBe(before) // performed anew; somebody else's
})
