import { Fail, Kernel, Mappable, MemoryFile, Range } from "pagewright"
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { onKernel } from "../support.ts"

const m = (start: number, end: number) => Range.make<"mappable">(start, end)
const required = Range.ofPages<"mappable">(3, 2)
const optional = Range.ofPages<"mappable">(2, 4)
const refused = Mappable.busError(Fail.make("EFAULT"))

/** Runs a test with a memory file, and a way to make translations. */
const withFile = (
  body: (file: MemoryFile.MemoryFile, to: (source: Range.MappableRange, some?: object) => unknown) => void
) =>
  onKernel(
    Effect.gen(function* () {
      const file = yield* MemoryFile.make()
      const ask = Mappable.question(required, optional, "rw-")
      body(file, (source, some = {}) => ask.translation({ source, file, offset: source.start, perms: "rw-", ...some }))
      yield* Kernel.findings
    })
  )
const check = (translations: readonly unknown[], error?: unknown) =>
  Mappable.checkTranslateResult(required, optional, "r--", translations, error)

describe("checkTranslateResult", () => {
  it("accepts one translation of what is required, of all that is optional, and several in a row", () =>
    withFile((_, to) => {
      for (const answer of [
        [to(required)],
        [to(optional)],
        [to(m(0x2000, 0x4000)), to(m(0x4000, 0x6000))],
        [to(m(0x3000, 0x4000)), to(m(0x4000, 0x5000))]
      ])
        expect(check(answer)).toBeUndefined()
    }))

  it.each([
    ["G-TR-03", m(0x3000, 0x3000), optional, "required is [0x3000, 0x3000), expected one page or more, page-aligned"],
    ["G-TR-03", m(0x5000, 0x3000), optional, "required is [0x5000, 0x3000), expected one page or more, page-aligned"],
    ["G-TR-04", m(0x10, 0x1000), optional, "required is [0x10, 0x1000), expected one page or more, page-aligned"],
    ["G-TR-05", m(0, 0x2000), m(0, 0x1000), "optional is [0x0, 0x1000), expected a superset of required [0x0, 0x2000)"],
    ["G-TR-06", m(0, 0x2000), m(0, 0x2001), "optional is [0x0, 0x2001), expected it page-aligned"]
  ])("a question that is none is a bug of whoever asks: %s [G-TR-03..06]", (_, req, opt, message) => {
    expect(() => Mappable.checkTranslateResult(req, opt, "r--", [], undefined)).toThrow(new RangeError(message))
  })

  it("the first translation has the first byte that is required, error or not [G-TR-07]", () =>
    withFile((_, to) => {
      const says =
        "the first translation is of [0x4000, 0x5000), which does not contain the first byte of [0x3000, 0x5000)"
      expect(check([to(m(0x4000, 0x5000))])).toBe(says)
      expect(check([to(m(0x4000, 0x5000))], refused)).toBe(says)
    }))

  it.each([
    ["G-TR-08", m(0x4000, 0x4000), {}, "translation 1: its source [0x4000, 0x4000) is empty or ill-formed"],
    ["G-TR-08", m(0x5000, 0x4000), {}, "translation 1: its source [0x5000, 0x4000) is empty or ill-formed"],
    ["G-TR-09", m(0x4000, 0x4001), {}, "translation 1: its source [0x4000, 0x4001) is not page-aligned"],
    ["G-TR-10", m(0x4000, 0x5000), { file: undefined }, "translation 1: it names no file"],
    ["G-TR-11", m(0x4000, 0x5000), { offset: 0x10 }, "translation 1: its file offset 16 is not page-aligned"],
    ["G-TR-11", m(0x4000, 0x5000), { offset: NaN }, "translation 1: its file offset NaN is not page-aligned"],
    [
      "G-TR-12",
      m(0x5000, 0x6000),
      {},
      "translation 1: its source [0x5000, 0x6000) does not begin where the one before ends, at 0x4000"
    ],
    [
      "G-TR-12",
      m(0x3000, 0x5000),
      {},
      "translation 1: its source [0x3000, 0x5000) does not begin where the one before ends, at 0x4000"
    ],
    [
      "G-TR-15",
      m(0x4000, 0x5000),
      { perms: "--x" },
      "translation 1: its permissions do not include r--, which was asked for"
    ]
  ])("each translation has a right shape: %s [G-TR-08..12, G-TR-15]", (_, source, some, says) =>
    withFile((_file, to) => {
      expect(check([to(m(0x3000, 0x4000)), to(source, some)])).toBe(says)
      expect(check([to(m(0x3000, 0x4000)), to(source, some)], refused), "an error excuses nothing").toBe(says)
    })
  )

  it("a translation has some of what is required [G-TR-13]", () =>
    withFile((_, to) => {
      expect(check([to(required), to(m(0x5000, 0x6000))])).toBe(
        "translation 1: its source [0x5000, 0x6000) has nothing of [0x3000, 0x5000)"
      )
    }))

  it("a translation stays within what is optional [G-TR-14]", () =>
    withFile((_, to) => {
      expect(check([to(m(0x3000, 0x7000))])).toBe(
        "translation 0: its source [0x3000, 0x7000) goes beyond [0x2000, 0x6000)"
      )
    }))

  it("no translation needs an error [G-TR-16]", () => {
    expect(check([])).toBe("no translation, and no error that says why")
    expect(check([], refused)).toBeUndefined()
  })

  it("less than what is required needs an error; all of it and an error are fine [G-TR-17, G-TR-18]", () =>
    withFile((_, to) => {
      const part = [to(m(0x3000, 0x4000))]
      expect(check(part)).toBe(
        "the translations end at 0x4000, before the end of [0x3000, 0x5000), and no error says why"
      )
      expect([check(part, refused), check([to(required)], refused)]).toEqual([undefined, undefined])
    }))

  it("of several defects the first in the order of the clauses is reported, item by item [G-TR-19]", () =>
    withFile((_, to) => {
      const first = to(m(0x3000, 0x4000))
      expect(check([first, to(m(0x5001, 0x5001), { file: undefined, offset: 1, perms: "--x" })])).toMatch(/is empty/)
      expect(check([first, to(m(0x5001, 0x5002), { file: undefined, offset: 1, perms: "--x" })])).toMatch(
        /not page-aligned/
      )
      expect(check([first, to(m(0x5000, 0x6000), { file: undefined, offset: 1, perms: "--x" })])).toMatch(
        /names no file/
      )
      expect(check([first, to(m(0x5000, 0x6000), { offset: 1, perms: "--x" })])).toMatch(/file offset 1/)
      expect(check([first, to(m(0x5000, 0x6000), { perms: "--x" })])).toMatch(/does not begin/)
      expect(check([first, to(m(0x4000, 0x7000), { perms: "--x" })])).toMatch(/goes beyond/)
    }))

  it("neighbours may lie anywhere, in any file; permissions are compared as they are [G-TR-20]", () =>
    onKernel(
      Effect.gen(function* () {
        const [one, other] = [yield* MemoryFile.make(), yield* MemoryFile.make()]
        const ask = Mappable.question(required, optional, "r--")
        const answer = [
          ask.translation({ source: m(0x3000, 0x4000), file: one, offset: 0x9000, perms: "r--" }),
          ask.translation({ source: m(0x4000, 0x5000), file: other, offset: 0, perms: "r--" })
        ]
        expect(check(answer)).toBeUndefined()
        expect(
          Mappable.checkTranslateResult(
            required,
            optional,
            "-w-",
            [ask.translation({ source: required, file: one, offset: 0, perms: "-w-" })],
            undefined
          )
        ).toBeUndefined()
      })
    ))

  it("a translation names as many bytes of its file as of the object, for at least what was asked [G-TR-01, G-TR-02]", () =>
    withFile((file, to) => {
      const t = to(m(0x3000, 0x5000), { offset: 0x5000 })
      expect(t).toMatchObject({ source: m(0x3000, 0x5000), file, offset: 0x5000 })
      expect(check([to(required, { perms: "rwx" })])).toBeUndefined()
    }))

  it("a bus error says what is inside [G-TR-21]", () => {
    expect(refused).toMatchObject({ _tag: "BusError", message: "BusError: bad address", error: Fail.make("EFAULT") })
  })
})
