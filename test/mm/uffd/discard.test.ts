/** Pages dropped on advice, where a userfaultfd is told of it: which advice, which ranges, what comes meanwhile. As seen on
 * 6.18.44.
 */
import { describe, expect, it } from "vitest"
import * as MADV from "../../../lib/flags/AdviceFlags.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import * as MLOCK from "../../../lib/flags/MlockFlags.ts"
import * as UFFD from "../../../lib/flags/UffdFlags.ts"
import { madvise } from "../../../lib/mm/sys/madvise.ts"
import { type Pages, parse, RW } from "../linux/words.ts"
import { type Proc, world } from "../linux/world.ts"
import { begin, type Flight, uffd } from "./uffd.ts"

const advising = (p: Proc, range: Pages, advice: number): Flight => {
  const [page, pages] = parse(range)
  return begin(p, () => madvise(p.k, p.task, page * 4096, pages * 4096, advice))
}
const REMOVE = UFFD.FEATURE_EVENT_REMOVE

describe("advice that drops pages", () => {
  it("is told of for registered areas only, each range as it is of the area", () => {
    const p = world("aaaa")
    const u = uffd(p, "a1+2", REMOVE)
    for (const advice of [MADV.DONTNEED, MADV.FREE, MADV.DONTNEED_LOCKED]) {
      const w = advising(p, "a0+4", advice)
      expect([w.state, u.read(), w.state]).toEqual(["waits", ["remove a1 a3"], "ok"])
    }
    for (const advice of [MADV.COLD, MADV.PAGEOUT, MADV.GUARD_INSTALL, MADV.GUARD_REMOVE])
      expect([p.madvise("a0+4", advice), u.read()]).toEqual(["ok", "EAGAIN"])
  })
  it("is told of for holes punched by advice, not for those punched or cut off otherwise", () => {
    const p = world()
    p.mmap("a8+4", RW, MAP.SHARED, p.memfd(4))
    const u = uffd(p, "a8+2", REMOVE)
    const w = advising(p, "a8+4", MADV.REMOVE)
    expect([w.state, u.read(), w.state]).toEqual(["waits", ["remove a8 a10"], "ok"])
    expect(p.madvise("a10+2", MADV.REMOVE)).toBe("ok")
  })
  it("is told of before it is found out that FREE is not for shared memory; not where memory is locked", () => {
    const p = world("sa")
    const u = uffd(p, "a0+2", REMOVE)
    const w = advising(p, "a0", MADV.FREE)
    expect([w.state, u.read(), w.state]).toEqual(["waits", ["remove a0 a1"], "EINVAL"])
    expect(p.mlock("a1", MLOCK.ONFAULT)).toBe("ok")
    expect([p.madvise("a1", MADV.DONTNEED), u.read()]).toEqual(["EINVAL", "EAGAIN"])
    expect([p.madvise("a1", MADV.REMOVE), u.read()]).toEqual(["EINVAL", "EAGAIN"])
  })
  it("is told of area by area, the pages of one gone before the next is told of", () => {
    const p = world("aabbaa")
    p.write("a0+2")
    p.write("a4+2")
    const u = uffd(p, "a0+2", REMOVE)
    const v = uffd(p, "a4+2", REMOVE)
    const w = advising(p, "a1+4", MADV.DONTNEED)
    expect([u.read(), v.read(), w.state, p.pages("a0+6")]).toEqual([["remove a1 a2"], "EAGAIN", "waits", "A...AA"])
    expect([u.read(), v.read(), w.state, p.pages("a0+6")]).toEqual(["EAGAIN", ["remove a4 a5"], "ok", "A....A"])
  })
  it("is told of in parts where the area has a hole when it goes on, and ends in ENOMEM", () => {
    const p = world("aaaa")
    p.write("a0+4")
    const u = uffd(p, "a0+4", REMOVE)
    const w = advising(p, "a0+4", MADV.DONTNEED)
    expect(p.munmap("a1")).toBe("ok")
    expect([u.read(), w.state]).toEqual([["remove a0 a4"], "waits"])
    expect([u.read(), w.state, p.pages("a0+4")]).toEqual([["remove a2 a4"], "ENOMEM", "._.."])
  })
  it("ends in ENOMEM where the first page is gone when it goes on; the rest stays", () => {
    const p = world("aaaa")
    p.write("a0+4")
    const u = uffd(p, "a0+4", REMOVE)
    const w = advising(p, "a0+4", MADV.DONTNEED)
    expect(p.munmap("a0")).toBe("ok")
    expect([u.read(), w.state, p.pages("a0+4")]).toEqual([["remove a0 a4"], "ENOMEM", "_AAA"])
  })
  it("of an object goes through though the area is gone when it goes on", () => {
    const p = world()
    const fd = p.memfd(2)
    p.mmap("a0+2", RW, MAP.SHARED, fd)
    p.mmap("a10+2", RW, MAP.SHARED, fd)
    p.read("a10+2")
    const u = uffd(p, "a0+2", REMOVE)
    const w = advising(p, "a0+2", MADV.REMOVE)
    expect(p.munmap("a0+2")).toBe("ok")
    expect([u.read(), w.state, p.read("a10+2")]).toEqual([["remove a0 a2"], "ok", "0 0"])
  })
  it("of an object goes through though the caller is killed while it waits", () => {
    const p = world()
    const fd = p.memfd(2)
    p.mmap("a0+2", RW, MAP.SHARED, fd)
    p.mmap("a10+2", RW, MAP.SHARED, fd)
    const u = uffd(p, "a0+2", REMOVE)
    const w = advising(p, "a0", MADV.REMOVE)
    expect([w.state, p.read("a10+2")]).toEqual(["waits", "1 2"])
    w.kill()
    expect([u.poll, p.read("a10+2")]).toEqual(["", "0 2"])
  })
  it("goes through when the descriptor is closed instead; whoever is killed is told of no longer", () => {
    const p = world("aa")
    p.write("a0+2")
    const u = uffd(p, "a0+2", REMOVE)
    const killed = advising(p, "a0", MADV.DONTNEED)
    expect([killed.state, u.poll, u.zeropage("a0")]).toEqual(["waits", "IN", "EAGAIN"])
    killed.kill()
    expect([u.poll, u.poison("a0")], "nothing is changing any longer").toEqual(["", "EEXIST"])
    const w = advising(p, "a0+2", MADV.DONTNEED)
    expect(w.state).toBe("waits")
    u.close()
    expect([w.state, p.pages("a0+2"), p.read("a0")]).toEqual(["ok", "..", "0"])
  })
})
