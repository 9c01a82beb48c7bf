/** munmap: what test/mm/sys/munmap.test.ts does not show. */
import { describe, expect, it } from "vitest"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { H_CLOSE, heldName } from "../../../lib/mm/base/stop.ts"
import { notifierRegister } from "../../../lib/mm/page/notifier.ts"
import { ANON, RW } from "./words.ts"
import { world } from "./world.ts"

describe("munmap", () => {
  it("of what lies strictly inside one area is ENOMEM at the limit of areas [L-MUN-E3]", () => {
    const p = world("aaaa.n.n", { maxMapCount: 3 })
    expect(p.munmap("a1+2")).toBe("ENOMEM")
    expect(p.draw()).toBe("aaaa.b.b")
    expect(p.munmap("a5")).toBe("ok")
    expect(p.munmap("a1+2"), "room for one more").toBe("ok")
    expect(p.draw()).toBe("a..a...b")
  })

  it("takes special mappings whole or not at all [L-MUN-06, L-MUN-E4]", () => {
    for (const what of ["vdso", "vvar"] as const) {
      const p = world("aa").placeSpecial(what, "a2+2")
      expect(p.munmap("a2")).toBe("EINVAL")
      expect(p.munmap("a3")).toBe("EINVAL")
      expect(p.munmap("a0+3"), "nor what is below it").toBe("EINVAL")
      expect(p.draw()).toBe("aabb")
      expect(p.munmap("a1+3")).toBe("ok")
      expect(p.draw()).toBe("a")
    }
  })

  it("takes what it removes out of the count of its class [L-MUN-07]", () => {
    const p = world("abcn")
    p.mmap("a4+2", RW, ANON | MAP.GROWSDOWN)
    p.mlock("a0")
    const left: string[] = []
    for (const range of ["a0", "a1", "a2", "a3", "a4+2"] as const) {
      left.push(p.counts())
      p.munmap(range)
    }
    expect(left).toEqual([
      "total 6 locked 1 data 1 exec 1 stack 2",
      "total 5 exec 1 stack 2",
      "total 4 exec 1 stack 2",
      "total 3 stack 2",
      "total 2 stack 2"
    ])
    expect([p.counts(), p.committed]).toEqual(["", 0])
  })

  it("has let readers in when its pages go and its owner is told [L-MUN-08]", () => {
    const p = world()
    const { k } = p
    p.mmap("a0+2", RW, MAP.SHARED, p.device([H_CLOSE], { translate: () => p.driverPage() }))
    p.write("a0+2")
    const seen: string[] = []
    const note = (what: string) => (): void => {
      seen.push(`${what} ${heldName(k.runs.held[k.runs.current]!)} ${k.mms.rssTotal(p.mm)}`)
    }
    notifierRegister(k, p.mm, { start: note("before"), end: note("after") })
    p.machine.hook = () => (note("close")(), 0)
    expect(p.munmap("a0+2")).toBe("ok")
    expect(seen).toEqual(["before mmap:r 2", "after mmap:r 0", "close mmap:r 0"])
  })
})
