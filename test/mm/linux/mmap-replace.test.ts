/** mmap over what is mapped: what it counts, what its owner hears, and in which order. */
import { describe, expect, it } from "vitest"
import { EIO } from "../../../lib/flags/Errno.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { H_CLOSE, H_MMAP, H_OPEN } from "../../../lib/mm/base/stop.ts"
import { RLIMIT_AS, RLIMIT_DATA } from "../../../lib/mm/store/tasks.ts"
import { A0, ANON, RO, RW } from "./words.ts"
import { world } from "./world.ts"

describe("MAP_FIXED over old memory", () => {
  it("is measured by what it adds, in every limit and in the promise [L-MMAP-30, L-MMAP-E22, L-MMAP-E23]", () => {
    const p = world("aaaabbbb").limit(RLIMIT_AS, 8).limit(RLIMIT_DATA, 4)
    expect(p.mmap("a0+4", RW, MAP.PRIVATE, p.memfd(4)), "as much as before").toBe("a0")
    expect(p.mmap("a6+3", RO), "one more").toBe("ENOMEM")
    expect(p.mmap("a0+4", RO)).toBe("a0")
    expect(p.counts()).toBe("total 8")
    expect(p.mmap("a4+4", RW)).toBe("a4")
    expect(p.mmap("a0+4", RW), "the new pages are data, the old ones count less than nothing").toBe("a0")
    expect(p.counts()).toBe("total 8 data 8")
    const q = world("", { ramPages: 64 })
    expect(q.mmap("a0+64", RW)).toBe("a0")
    expect(q.mmap("a0+64", RW, MAP.PRIVATE, q.memfd(1)), "what is charged already").toBe("a0")
    expect(q.mmap("a1+65", RW), "one page of 65 is new: as a whole it would be too much").toBe("a1")
    expect(q.mmap("a100+65", RW)).toBe("ENOMEM")
  })

  it("takes out, clears and closes the old, then asks the new one's owner, then counts it [L-MMAP-31, L-MMAP-E24]", () => {
    const p = world()
    const { k } = p
    p.mmap("a0+4", RW, MAP.SHARED, p.device([H_OPEN, H_CLOSE], { translate: () => p.driverPage() }))
    p.write("a0+4")
    const device = p.device()
    const seen: string[] = []
    p.machine.heard.length = 0
    p.machine.hook = (hook) => {
      if (hook === H_CLOSE || hook === H_MMAP)
        seen.push(`area ${k.maple.lookup(p.mm, A0 + 1)}, resident ${k.mms.rssTotal(p.mm)}, ${p.counts()}`)
      return 0
    }
    expect(p.mmap("a1+2", RW, MAP.SHARED, device)).toBe("a1")
    expect(p.machine.heard).toEqual(["open a0", "open a3", "close a1+2", "mmap a1+2"])
    expect(seen).toEqual(["area 0, resident 2, total 2", "area 0, resident 2, total 2"])
    expect(p.counts()).toBe("total 4")
    expect(p.draw()).toBe("abba")
  })

  it("whose owner refuses has taken out the old for good, and is counted no more [L-MMAP-E24, L-MMAP-E25, L-VMA-34]", () => {
    const p = world("aaaa")
    p.write("a0+4")
    const fd = p.device()
    p.machine.hook = () => EIO
    expect(p.mmap("a1+2", RW, MAP.PRIVATE, fd)).toBe("EIO")
    expect(p.draw()).toBe("a..a")
    expect(p.pages("a0+4")).toBe("A__A")
    expect(p.counts()).toBe("total 2 data 2")
    expect(p.committed).toBe(2)
  })
})

describe("a driver's mmap hook", () => {
  it("is not asked where the new range becomes part of an area that it made [L-MMAP-32]", () => {
    const p = world()
    const fd = p.device()
    p.mmap("a0+2", RW, MAP.SHARED, fd)
    p.mmap("a2+2", RW, MAP.SHARED, fd, 2)
    expect(p.draw()).toBe("aaaa")
    expect(p.machine.heard).toEqual(["mmap a0+2"])
    p.mmap("a4+2", RW, MAP.SHARED, fd, 7)
    expect(p.machine.heard).toEqual(["mmap a0+2", "mmap a4+2"])
    expect(p.draw()).toBe("aaaa|aa")
    expect(p.mmap("a6", RW, ANON)).toBe("a6")
  })
})
