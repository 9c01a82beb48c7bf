/** Files that shrink and grow, and holes in them: what those who map them see. */
import * as MFD from "../../../lib/flags/MemfdFlags.ts"
import * as SEAL from "../../../lib/flags/SealFlags.ts"
import { describe, expect, it } from "vitest"
import * as MADV from "../../../lib/flags/AdviceFlags.ts"
import { READ as READING } from "../../../lib/flags/FaultFlags.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { NEED_PAGE } from "../../../lib/mm/base/stop.ts"
import { createFile, installFd, openPath, RDWR } from "../../../lib/mm/object/file.ts"
import { readClaim, readDone, readTarget } from "../../../lib/mm/object/filemap.ts"
import { fault } from "../../../lib/mm/page/fault.ts"
import { FILE_REGULAR } from "../../../lib/mm/store/files.ts"
import { fallocate, ftruncate, pwrite } from "../../../lib/mm/sys/file.ts"
import { addSeals, memfdNamed } from "../../../lib/mm/sys/memfd.ts"
import { userLoad8, userStore8 } from "../../../lib/mm/sys/trap.ts"
import { Hand } from "../rows/world.ts"
import { A0, at, byteOrSignal, RO, RW } from "./words.ts"
import { type Proc, world } from "./world.ts"

const resize = (p: Proc, fd: number, bytes: number): string => p.sys(ftruncate, fd, bytes)
/** Makes bytes `[from, from + length)` a hole. */
const punch = (p: Proc, fd: number, from: number, length: number): string => p.sys(fallocate, fd, 3, from, length)
/** The byte at an address, or the signal. */
const byte = (p: Proc, addr: number): string => byteOrSignal(userLoad8(p.k, p.mm, addr))
const store = (p: Proc, addr: number, value: number): void => expect(userStore8(p.k, p.mm, addr, value)).toBe(0)

/** Four pages of a memfd, 1 2 3 4: shared at a0, private at a10, private at a20 for reading. */
function threeViews(): { readonly p: Proc; readonly fd: number; readonly cached: () => number } {
  const p = world()
  const fd = p.memfd(4)
  p.mmap("a0+4", RW, MAP.SHARED, fd)
  p.mmap("a10+4", RW, MAP.PRIVATE, fd)
  p.mmap("a20+4", RO, MAP.PRIVATE, fd)
  const cached = (): number => p.k.files.cached(p.k.files.obj(p.k.tasks.file(p.task, fd)))
  return { p, fd, cached }
}

describe("a file that shrinks", () => {
  it("leaves every mapping behind its new last page, private copies too, and the cache [L-TRUNC-01, L-TRUNC-10]", () => {
    const { p, fd, cached } = threeViews()
    p.read("a0+4")
    p.write("a11+2")
    p.read("a20+4")
    const child = p.fork()
    child.read("a20+4")
    const [areas, counts] = [p.areas(), p.counts()]
    expect([p.pages("a0+4"), p.pages("a10+4"), p.pages("a20+4"), cached()]).toEqual(["ffff", ".aa.", "ffff", 4])
    const free = p.k.frames.free()
    expect(resize(p, fd, 4096 + 100)).toBe("ok")
    for (const one of [p, child])
      expect([one.pages("a2+2"), one.pages("a12+2"), one.pages("a22+2")]).toEqual(["..", "..", ".."])
    expect([p.pages("a0+2"), p.pages("a10+2"), p.pages("a20+2")]).toEqual(["ff", ".a", "ff"])
    expect([cached(), p.k.frames.free() - free], "two of the cache, one copy").toEqual([2, 3])
    expect([p.areas(), p.counts(), child.areas()]).toEqual([areas, counts, areas])
  })

  it("to the size it has: bytes that were stored behind its end are zero again [L-TRUNC-02]", () => {
    const { p, fd } = threeViews()
    resize(p, fd, 3 * 4096 + 100)
    store(p, at("a3") + 200, 9)
    expect(byte(p, at("a3") + 200)).toBe("9")
    expect(resize(p, fd, 3 * 4096 + 100)).toBe("ok")
    expect([byte(p, at("a3") + 99), byte(p, at("a3") + 200)]).toEqual(["4", "0"])
  })

  it("is zero behind its end, within its last page; a private copy of that page keeps its bytes [L-TRUNC-02]", () => {
    const { p, fd } = threeViews()
    store(p, at("a10"), 50)
    resize(p, fd, 100)
    expect([99, 100, 4095].map((i) => byte(p, at("a0") + i))).toEqual(["1", "0", "0"])
    expect([0, 99, 100, 4095].map((i) => byte(p, at("a10") + i))).toEqual(["50", "1", "1", "1"])
    expect([99, 100].map((i) => byte(p, at("a20") + i))).toEqual(["1", "0"])
  })

  it("gives SIGBUS behind its last page until it grows again, then zeroes, without a call [L-TRUNC-03, L-TRUNC-12]", () => {
    const { p, fd } = threeViews()
    resize(p, fd, 4097)
    for (const range of ["a0+4", "a10+4", "a20+4"] as const) expect(p.read(range)).toBe("1 2 SIGBUS SIGBUS")
    expect([p.write("a2"), p.write("a13")]).toEqual(["SIGBUS", "SIGBUS"])
    resize(p, fd, 2 * 4096 + 1)
    for (const range of ["a0+4", "a10+4", "a20+4"] as const) expect(p.read(range)).toBe("1 2 0 SIGBUS")
    expect(p.write("a2", 9)).toBe("ok")
    expect(p.read("a22")).toBe("9")
    resize(p, fd, 6 * 4096)
    expect([p.read("a3"), p.areas().length], "which has one area as before").toEqual(["0", 3])
  })

  it("of shared memory does not forget what was written behind its end since: that comes back [L-TRUNC-04]", () => {
    const { p, fd } = threeViews()
    resize(p, fd, 100)
    store(p, at("a0") + 200, 77)
    resize(p, fd, 300)
    expect([150, 200].map((i) => byte(p, at("a0") + i))).toEqual(["0", "77"])
  })

  it("to nothing is all zeroes when it has grown again [L-TRUNC-05]", () => {
    const { p, fd, cached } = threeViews()
    p.read("a0+4")
    resize(p, fd, 0)
    expect([p.read("a0"), cached()]).toEqual(["SIGBUS", 0])
    resize(p, fd, 4 * 4096)
    expect([p.read("a0+4"), p.read("a10+4"), p.read("a20+4")]).toEqual(["0 0 0 0", "0 0 0 0", "0 0 0 0"])
  })

  it("leaves guards, which come before SIGBUS [L-TRUNC-08]", () => {
    const { p, fd } = threeViews()
    for (const page of ["a1", "a11", "a2"] as const) expect(p.madvise(page, MADV.GUARD_INSTALL)).toBe("ok")
    resize(p, fd, 0)
    expect([p.pages("a0+4"), p.pages("a10+4")]).toEqual([".gg.", ".g.."])
    expect([p.read("a0+4"), p.write("a11")]).toEqual(["SIGBUS SEGV_MAPERR SEGV_MAPERR SIGBUS", "SEGV_MAPERR"])
  })

  it("is not kept from it by sealed areas, but by its own seals [L-TRUNC-11]", () => {
    const p = world()
    const fd = memfdNamed(p.k, p.task, "m", MFD.ALLOW_SEALING)
    resize(p, fd, 4 * 4096)
    p.mmap("a0+4", RW, MAP.SHARED, fd)
    p.write("a0+4")
    p.mseal("a0+4")
    expect([resize(p, fd, 4096), p.pages("a0+4"), punch(p, fd, 0, 4096), p.pages("a0")]).toEqual([
      "ok",
      "F...",
      "ok",
      "."
    ])
    p.sys(addSeals, fd, SEAL.SHRINK)
    expect([resize(p, fd, 0), resize(p, fd, 8192)]).toEqual(["EPERM", "ok"])
    p.sys(addSeals, fd, SEAL.GROW)
    expect([resize(p, fd, 3 * 4096), resize(p, fd, 8192)]).toEqual(["EPERM", "ok"])
  })

  it("while a page of it is being read: the fault looks at the size again and gives SIGBUS [L-TRUNC-09]", () => {
    const p = world()
    const { k } = p
    createFile(k, "/slow", FILE_REGULAR, 2 * 4096, { read: () => 0 })
    const fd = installFd(k, p.task, openPath(k, "/slow", RDWR))
    const o = k.files.obj(k.tasks.file(p.task, fd))
    p.mmap("a0+2", RO, MAP.SHARED, fd)
    const reader = new Hand(k, () => fault(k, p.mm, A0 + 1, READING)).to(NEED_PAGE)
    expect(reader.ended).toBe(false)
    expect(readClaim(k, o, 1)).toBe(true)
    readTarget(k, o, 1).fill(7)
    resize(p, fd, 4096)
    readDone(k, o, 1, 0)
    expect(byteOrSignal(-reader.finish())).toBe("SIGBUS")
    expect([p.pages("a0+2"), k.files.cached(o)]).toEqual(["..", 0])
  })
})

describe("a file that grows", () => {
  it("is there for those who mapped more than there was, without a call [L-TRUNC-12]", () => {
    const p = world()
    const fd = p.memfd(1)
    p.mmap("a0+3", RW, MAP.SHARED, fd)
    expect(p.read("a0+3")).toBe("1 SIGBUS SIGBUS")
    expect(pwrite(p.k, p.task, fd, Uint8Array.of(8), 4096)).toBe(1)
    expect(p.read("a0+3")).toBe("1 8 SIGBUS")
  })
})

describe("a hole", () => {
  it("takes whole pages from cache and mappings and zeroes parts of others; private copies stay [L-TRUNC-06, L-TRUNC-10]", () => {
    const { p, fd, cached } = threeViews()
    p.read("a0+4")
    p.read("a10+4")
    p.write("a11", 90)
    p.write("a13", 91)
    p.read("a20+4")
    const areas = p.areas()
    expect(punch(p, fd, 4000, 2 * 4096)).toBe("ok")
    expect([p.pages("a0+4"), p.pages("a10+4"), p.pages("a20+4"), cached()]).toEqual(["f.ff", "fAfA", "f.ff", 3])
    expect([3999, 4000, 4095].map((i) => byte(p, at("a0") + i))).toEqual(["1", "0", "0"])
    expect([p.read("a1"), byte(p, at("a2") + 3999), byte(p, at("a2") + 4000)]).toEqual(["0", "0", "3"])
    expect([p.read("a10+4"), p.areas()]).toEqual(["1 90 0 91", areas])
  })

  it("that MADV_REMOVE makes is one of the part that is mapped [L-TRUNC-13]", () => {
    const { p, fd, cached } = threeViews()
    p.mmap("a30", RW, MAP.SHARED, fd, 2)
    p.write("a11", 90)
    p.read("a20+4")
    expect(p.madvise("a30", MADV.REMOVE)).toBe("ok")
    expect([p.read("a0+4"), p.read("a20+4"), p.read("a10+4")]).toEqual(["1 2 0 4", "1 2 0 4", "1 90 0 4"])
    expect([p.madvise("a0+2", MADV.REMOVE), cached()]).toEqual(["ok", 2])
    expect(p.read("a10+4")).toBe("0 90 0 4")
  })
})
