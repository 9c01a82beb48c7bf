import { Effect } from "effect"
import { type Mappable, MappingSet, Range } from "pagewright"
import { describe, expect, it } from "vitest"
import { forSeeds } from "../../support/random.ts"

/** A space that remembers what it was told to forget. */
const spaceOf = (name: string) => {
  const told: string[] = []
  const space: Mappable.MappingSpace = {
    invalidate: (range, { invalidatePrivate }) =>
      Effect.sync(() => void told.push(`${name} ${Range.format(range)}${invalidatePrivate ? " private too" : ""}`))
  }
  return { space, told }
}
type Space = Mappable.MappingSpace

const mapping = (space: Space, start: number, end: number, offset: number, writable = true): Mappable.Mapping => ({
  space,
  range: Range.ofPages(start / 4096, (end - start) / 4096),
  offset,
  writable
})
const texts = (ranges: readonly Range.MappableRange[]) => ranges.map((range) => Range.format(range))
const run = (effect: Effect.Effect<void>) => Effect.runSync(effect)

describe("a mapping set", () => {
  it("answers which offsets nobody had mapped before [G-SET-01]", () => {
    const set = MappingSet.make()
    const { space: a } = spaceOf("a")
    expect(texts(MappingSet.add(set, mapping(a, 0x10000, 0x12000, 0x1000)))).toEqual(["[0x1000, 0x3000)"])
    expect(texts(MappingSet.add(set, mapping(a, 0x20000, 0x24000, 0)))).toEqual(["[0x0, 0x1000)", "[0x3000, 0x4000)"])
    expect(texts(MappingSet.add(set, mapping(a, 0x30000, 0x34000, 0)))).toEqual([])
  })

  it("is cut to the edges of a new range, so that each segment is exact [G-SET-02]", () => {
    const set = MappingSet.make()
    const { space: a } = spaceOf("a")
    MappingSet.add(set, mapping(a, 0x10000, 0x14000, 0))
    MappingSet.add(set, mapping(a, 0x20000, 0x21000, 0x1000))
    expect(set.segments.map((s) => [Range.format(s), s.members.map((m) => m.addr)])).toEqual([
      ["[0x0, 0x1000)", [0x10000]],
      ["[0x1000, 0x2000)", [0x11000, 0x20000]],
      ["[0x2000, 0x4000)", [0x12000]]
    ])
  })

  it("has each mapping once [G-SET-03]", () => {
    const set = MappingSet.make()
    const { space: a } = spaceOf("a")
    for (let i = 0; i < 3; i++) MappingSet.add(set, mapping(a, 0x10000, 0x11000, 0))
    expect(set.segments[0]!.members).toHaveLength(1)
    MappingSet.add(set, mapping(a, 0x10000, 0x11000, 0, false))
    expect(set.segments[0]!.members, "writable or not is another mapping").toHaveLength(2)
  })

  it("answers which offsets nobody maps any more, and joins what is left [G-SET-04]", () => {
    const set = MappingSet.make()
    const { space: a } = spaceOf("a")
    const { space: b } = spaceOf("b")
    MappingSet.add(set, mapping(a, 0x10000, 0x16000, 0x1000))
    MappingSet.add(set, mapping(b, 0x20000, 0x21000, 0x4000))
    expect(texts(MappingSet.remove(set, mapping(a, 0x11000, 0x15000, 0x2000)))).toEqual([
      "[0x2000, 0x4000)",
      "[0x5000, 0x6000)"
    ])
    expect(texts(set.segments)).toEqual(["[0x1000, 0x2000)", "[0x4000, 0x5000)", "[0x6000, 0x7000)"])
    MappingSet.add(set, mapping(a, 0x11000, 0x15000, 0x2000))
    MappingSet.remove(set, mapping(b, 0x20000, 0x21000, 0x4000))
    expect(texts(set.segments), "neighbours that go on in each other are one again").toEqual(["[0x1000, 0x7000)"])
  })

  it("nobody is removed who is not there [G-SET-05]", () => {
    const set = MappingSet.make()
    const { space: a } = spaceOf("a")
    const gone = mapping(a, 0x10000, 0x11000, 0)
    expect(() => MappingSet.remove(set, gone)).toThrow("nobody maps its first offset")
    MappingSet.add(set, mapping(a, 0x11000, 0x12000, 0x1000))
    expect(() => MappingSet.remove(set, gone)).toThrow("nobody maps its first offset")
  })

  it("a segment is split with the addresses of its mappings, and only inside [G-SET-06]", () => {
    const { space } = spaceOf("a")
    const segment = { ...Range.make<"mappable">(0x1000, 0x3000), members: [{ space, addr: 0x10000, writable: true }] }
    const [below, above] = MappingSet.split(segment, 0x2000)
    expect([Range.format(below), below.members[0]!.addr]).toEqual(["[0x1000, 0x2000)", 0x10000])
    expect([Range.format(above), above.members[0]!.addr]).toEqual(["[0x2000, 0x3000)", 0x11000])
    for (const at of [0, 0x1000, 0x3000, 0x4000]) expect(() => MappingSet.split(segment, at)).toThrow("is split at")
  })

  it("neighbours are one only if each mapping goes on in the other, as writable as before [G-SET-07]", () => {
    const { space: a } = spaceOf("a")
    const { space: b } = spaceOf("b")
    const one = (start: number, addr: number, space: Space, writable = true) => ({
      ...Range.make<"mappable">(start, start + 0x1000),
      members: [{ space, addr, writable }]
    })
    const first = one(0, 0x10000, a)
    expect(Range.format(MappingSet.merge(first, one(0x1000, 0x11000, a))!)).toBe("[0x0, 0x2000)")
    for (const [why, other] of [
      ["elsewhere", one(0x1000, 0x12000, a)],
      ["another space", one(0x1000, 0x11000, b)],
      ["not writable", one(0x1000, 0x11000, a, false)],
      ["a gap", one(0x2000, 0x12000, a)],
      [
        "two mappings",
        {
          ...one(0x1000, 0x11000, a),
          members: [...one(0x1000, 0x11000, a).members, { space: b, addr: 0, writable: true }]
        }
      ]
    ] as const)
      expect(MappingSet.merge(first, other), `it is ${why}`).toBeUndefined()
  })

  it("tells each space exactly the addresses of the offsets [G-SET-08]", () => {
    const set = MappingSet.make()
    const a = spaceOf("a")
    const b = spaceOf("b")
    MappingSet.add(set, mapping(a.space, 0x10000, 0x13000, 0))
    MappingSet.add(set, mapping(b.space, 0x80000, 0x81000, 0x1000))
    run(MappingSet.invalidate(set, Range.ofPages(1, 1), { invalidatePrivate: false }))
    expect([a.told, b.told]).toEqual([["a [0x11000, 0x12000)"], ["b [0x80000, 0x81000)"]])
  })

  it("tells all of it, each mapping once a segment [G-SET-09]", () => {
    const set = MappingSet.make()
    const a = spaceOf("a")
    MappingSet.add(set, mapping(a.space, 0x10000, 0x13000, 0))
    MappingSet.add(set, mapping(a.space, 0x20000, 0x21000, 0x1000))
    run(MappingSet.invalidateAll(set, { invalidatePrivate: true }))
    expect(a.told.toSorted()).toEqual([
      "a [0x10000, 0x11000) private too",
      "a [0x11000, 0x12000) private too",
      "a [0x12000, 0x13000) private too",
      "a [0x20000, 0x21000) private too"
    ])
    run(MappingSet.invalidateAll(MappingSet.make(), { invalidatePrivate: true }))
  })

  it("a part of a mapping lies inside it [G-SET-10]", () => {
    const { space } = spaceOf("a")
    const whole = Range.make<"mappable">(0x1000, 0x3000)
    expect(MappingSet.subsetMapping(whole, Range.make(0x2000, 0x3000), space, 0x10000, true).addr).toBe(0x11000)
    for (const part of [Range.make<"mappable">(0, 0x2000), Range.make<"mappable">(0x2000, 0x4000)])
      expect(() => MappingSet.subsetMapping(whole, part, space, 0x10000, true)).toThrow("is no part of")
  })

  it("tells nobody of offsets that nobody maps [G-SET-11]", () => {
    const set = MappingSet.make()
    const a = spaceOf("a")
    MappingSet.add(set, mapping(a.space, 0x10000, 0x11000, 0x5000))
    for (const [start, end] of [
      [0, 0x5000],
      [0x6000, 0x9000]
    ] as const)
      run(MappingSet.invalidate(set, Range.ofPages(start / 4096, (end - start) / 4096), { invalidatePrivate: true }))
    expect(a.told).toEqual([])
  })

  it("is what a list of single pages says, whatever is added and removed", () => {
    forSeeds(40, (random) => {
      const set = MappingSet.make()
      const spaces = [spaceOf("a"), spaceOf("b")]
      let list: { readonly page: number; readonly space: number; readonly addr: number }[] = []
      const live: (readonly [space: number, at: number, offset: number, pages: number])[] = []
      for (let i = 0; i < 60; i++) {
        if (random(3) > 0 || live.length === 0) {
          const space = random(2)
          const [offset, pages] = [random(12), 1 + random(5)]
          const at = 100 * (1 + i)
          MappingSet.add(set, mapping(spaces[space]!.space, at * 4096, (at + pages) * 4096, offset * 4096))
          live.push([space, at, offset, pages])
          for (let p = 0; p < pages; p++) list.push({ page: offset + p, space, addr: at + p })
        } else {
          const [space, at, offset, pages] = live.splice(random(live.length), 1)[0]!
          const gone = MappingSet.remove(
            set,
            mapping(spaces[space]!.space, at * 4096, (at + pages) * 4096, offset * 4096)
          )
          list = list.filter((one) => one.space !== space || one.addr < at || one.addr >= at + pages)
          const empty = [...Array(pages).keys()]
            .map((p) => offset + p)
            .filter((p) => !list.some((one) => one.page === p))
          expect(
            gone.flatMap(({ end, start }) => [...Array((end - start) / 4096).keys()].map((p) => start / 4096 + p))
          ).toEqual(empty)
        }
        for (const { told } of spaces) told.length = 0
        const page = random(18)
        run(MappingSet.invalidate(set, Range.ofPages(page, 1), { invalidatePrivate: false }))
        const want = list
          .filter((one) => one.page === page)
          .map(({ addr, space }) => `${"ab"[space]} ${Range.format(Range.ofPages(addr, 1))}`)
        expect(spaces.flatMap(({ told }) => told).toSorted()).toEqual(want.toSorted())
      }
    })
  })
})
