/** Text put together as bytes: the same as strings put together, for every number and name. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Text } from "../../../lib/mm/proc/text.ts"

const of = (put: (t: Text) => void): string => {
  const t = new Text(8)
  t.room(64)
  put(t)
  return t.read()
}

describe("text", () => {
  it("has addresses in at least eight hex digits, whatever the page number", () => {
    const holds = (page: number): void => {
      expect(of((t) => t.putAddress(page))).toBe(`${page.toString(16)}000`.padStart(8, "0"))
    }
    for (let bit = 0; bit < 52; bit++) for (const d of [-1, 0, 1]) if (2 ** bit + d < 2 ** 52) holds(2 ** bit + d)
    fc.assert(fc.property(fc.integer({ min: 0, max: 2 ** 52 - 1 }), holds))
  })

  it("has numbers right-aligned, and wider where they need to be", () => {
    const holds = (x: number): void => {
      expect(of((t) => t.putNumber(x, 8))).toBe(String(x).padStart(8))
    }
    for (let digits = 0; digits < 16; digits++)
      for (const d of [-1, 0, 1]) if (10 ** digits + d > 0) holds(10 ** digits + d)
    fc.assert(fc.property(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), holds))
  })

  it("has strings of any letters, as often as there are any, and pads by bytes", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "grapheme" }), { maxLength: 40 }), (parts) => {
        expect(of((t) => parts.forEach((part) => t.put(part)))).toBe(parts.join(""))
      })
    )
    const padded = (text: string): string =>
      of((t) => {
        t.put("begin ")
        const from = t.length
        t.put(text)
        t.padTo(from, 4)
        t.put("|")
      })
    expect([padded("ab"), padded("abcd"), padded("abcdef"), padded("é")]).toEqual([
      "begin ab  |",
      "begin abcd|",
      "begin abcdef|",
      "begin é  |"
    ])
  })
})
