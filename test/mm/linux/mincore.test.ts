/** mincore: which pages are in memory, who may ask, and how far the answers get. */
import { describe, expect, it } from "vitest"
import * as MADV from "../../../lib/flags/AdviceFlags.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { WRITE } from "../../../lib/mm/area/mmap-lock.ts"
import { NEED_LOCK } from "../../../lib/mm/base/stop.ts"
import { FILE_ZERO } from "../../../lib/mm/store/files.ts"
import { fchmod, ftruncate } from "../../../lib/mm/sys/file.ts"
import { memfdNamed } from "../../../lib/mm/sys/memfd.ts"
import { mincore } from "../../../lib/mm/sys/mincore.ts"
import { munmap } from "../../../lib/mm/sys/munmap.ts"
import { userLoad8, userStore8 } from "../../../lib/mm/sys/trap.ts"
import { Hand, withMmap } from "../rows/world.ts"
import { at, NONE, outcome, type Pages, parse, RO, RW, SHARED_ANON } from "./words.ts"
import { type Proc, world } from "./world.ts"

/** The page where the tests put their answers; the one behind it is a hole. */
const VECTOR = at("a1000")
const KERNEL = 0xffff_8000_0000_0000n
/** What nobody has written over. */
const OLD = 9

/** The answer, then a digit a page: what stands in the vector, of which every byte was 9. */
function ask(p: Proc, range: Pages, vector = VECTOR): string {
  const [page, pages] = parse(range)
  p.mmap("a1000", RW)
  for (let i = 0; i < 4096; i++) userStore8(p.k, p.mm, VECTOR + i, OLD)
  const answer = p.sys(mincore, page * 4096, pages * 4096, vector)
  const shown = Math.min(pages, VECTOR + 4096 - vector)
  const bytes = Array.from({ length: shown }, (_, i) => userLoad8(p.k, p.mm, vector + i))
  return `${answer} ${bytes.join("")}`
}

describe("refusals", () => {
  it("come in order: alignment, the range, the vector's place, then nothing is asked for [L-MINC-E1, L-MINC-E2, L-MINC-E3, L-MINC-E4, L-MINC-02]", () => {
    const p = world("aa")
    const errno = (addr: number | bigint, len: number | bigint, vector: number | bigint): string =>
      p.sys(mincore, addr, len, vector)
    expect([errno(at("a0") + 1, 0, KERNEL), errno(KERNEL + 1n, 4096, KERNEL)]).toEqual(["EINVAL", "EINVAL"])
    expect([errno(KERNEL, 4096, KERNEL), errno(at("a0"), 2 ** 47, KERNEL), errno(at("a0"), -1n, 0)]).toEqual([
      "ENOMEM",
      "ENOMEM",
      "ENOMEM"
    ])
    expect([errno(at("a0"), 4096, KERNEL), errno(at("a9"), 4096, KERNEL), errno(at("a0"), 0, KERNEL)]).toEqual([
      "EFAULT",
      "EFAULT",
      "EFAULT"
    ])
    expect([errno(at("a0"), 0, 0), errno(at("a9"), 0, 0)]).toEqual(["ok", "ok"])
  })

  it("come chunk by chunk: a hole where one is, then a vector that cannot be written [L-MINC-E5, L-MINC-02]", () => {
    const p = world("aa")
    expect([ask(p, "a2"), ask(p, "a0+3"), ask(p, "a2", 0)]).toEqual([
      "ENOMEM 9",
      "ENOMEM 009",
      expect.stringContaining("ENOMEM")
    ])
    expect([ask(p, "a0", 0), ask(p, "a0", at("a1001")), ask(p, "a2", at("a1001"))]).toEqual([
      expect.stringContaining("EFAULT"),
      expect.stringContaining("EFAULT"),
      expect.stringContaining("ENOMEM")
    ])
  })
})

describe("answers", () => {
  it("are a byte a page, of which bit 0 counts; a part of a page is one [L-MINC-01]", () => {
    const p = world("aa")
    p.write("a1")
    expect(ask(p, "a0+2")).toBe("ok 01")
    userStore8(p.k, p.mm, VECTOR + 2, OLD)
    expect([p.sys(mincore, at("a0"), 4097, VECTOR), p.sys(mincore, at("a1"), 1, VECTOR)]).toEqual(["ok", "ok"])
    expect([0, 1, 2].map((i) => userLoad8(p.k, p.mm, VECTOR + i))).toEqual([1, 1, OLD])
  })

  it("are written an area or 4096 pages at a time: those before what fails are there [L-MINC-03]", () => {
    const p = world("aabb.b")
    p.write("a0+2")
    expect(ask(p, "a0+6")).toBe("ENOMEM 110099")
    expect(ask(p, "a0+4", VECTOR + 4094), "b's do not fit").toBe("EFAULT 11")
    p.mmap("a2000+5000", RO)
    expect(ask(p, "a2000+5000"), "the second 4096 do not fit").toBe(`EFAULT ${"0".repeat(4096)}`)
  })

  it("are gathered under mmap_lock, which is let go after each 4096 pages: what comes then is looked up anew [L-MINC-03]", () => {
    const p = world()
    const { k } = p
    p.mmap("a1000+2", RW)
    p.write("a1000+2", OLD)
    p.mmap("a2000+5000", RO)
    let hand!: Hand<number>
    let other!: Hand<number>
    withMmap(k, p.mm, WRITE, () => {
      hand = new Hand(k, () => mincore(k, p.task, at("a2000"), 5000 * 4096, VECTOR)).to(NEED_LOCK)
      other = new Hand(k, () => munmap(k, p.task, at("a6096"), 4096)).to(NEED_LOCK)
    })
    hand.step()
    expect([hand.waits, other.waits, k.runs.held[hand.row]]).toEqual([true, false, 0])
    expect(other.finish()).toBe(0)
    expect(outcome(hand.finish()), "page 4096 of it has gone").toBe("ENOMEM")
    expect([userLoad8(k, p.mm, VECTOR + 4095), userLoad8(k, p.mm, VECTOR + 4096)]).toEqual([0, OLD])
  })

  it("say of anonymous memory whether an entry is there, of zeroes too, accessible or not; a guard is none [L-MINC-04]", () => {
    const p = world("aaaa")
    p.write("a0")
    p.read("a1")
    p.madvise("a3", MADV.GUARD_INSTALL)
    expect(ask(p, "a0+4")).toBe("ok 1100")
    p.mprotect("a0+4", NONE)
    expect(ask(p, "a0+4")).toBe("ok 1100")
  })

  it("say of files and shared memory what is cached, mapped or not; a private copy is there [L-MINC-05]", () => {
    const p = world()
    const fd = p.memfd(2)
    p.sys(ftruncate, fd, 4 * 4096)
    p.mmap("a0+6", RW, MAP.SHARED, fd)
    p.mmap("a20+6", RO, MAP.SHARED, p.open("/f", 3))
    p.mmap("a30+2", RW, SHARED_ANON)
    expect([ask(p, "a0+6"), ask(p, "a20+6"), ask(p, "a30+2")]).toEqual(["ok 110000", "ok 111000", "ok 00"])
    expect([p.pages("a0+6"), p.pages("a20+6")], "asked, not mapped").toEqual(["......", "......"])
    p.write("a31")
    expect(ask(p, "a30+2")).toBe("ok 01")
  })

  it("of a private copy outlive the page it was made of [L-MINC-05]", () => {
    const p = world()
    const fd = p.memfd(1)
    p.mmap("a0", RW, MAP.PRIVATE, fd)
    p.write("a0")
    p.mmap("a2", RW, MAP.SHARED, fd)
    p.madvise("a2", MADV.REMOVE)
    expect([ask(p, "a0"), ask(p, "a2")]).toEqual(["ok 1", "ok 0"])
  })

  it("are all the same to those who neither own the file nor may write it [L-MINC-06]", () => {
    const p = world()
    const fd = memfdNamed(p.k, p.task, "m", 0)
    p.sys(ftruncate, fd, 2 * 4096)
    p.sys(fchmod, fd, 0o644)
    p.mmap("a0+4", RO, MAP.SHARED, fd)
    expect(ask(p, "a0+4")).toBe("ok 0000")
    p.asUser()
    expect(ask(p, "a0+4"), "past the end too").toBe("ok 1111")
    p.k.files.setObjMode(p.k.vmas.obj(p.area("a0")), 0o666)
    expect(ask(p, "a0+4")).toBe("ok 0000")
  })

  it("are all the same for special mappings, touched or not [L-MINC-07]", () => {
    const p = world().placeSpecial("vvar", "a0+4").placeSpecial("vdso", "a6+2")
    expect([ask(p, "a0+4"), ask(p, "a6+2")]).toEqual(["ok 1111", "ok 11"])
  })

  it("say of /dev/zero, mapped privately, what they say of anonymous memory [L-MINC-08]", () => {
    const p = world()
    p.mmap("a0+2", RW, MAP.PRIVATE, p.special(FILE_ZERO))
    expect(ask(p, "a0+2")).toBe("ok 00")
    p.write("a1")
    expect(ask(p, "a0+2")).toBe("ok 01")
  })
})
