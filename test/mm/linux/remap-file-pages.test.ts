/** remap_file_pages, as it is emulated: a fixed mapping of another part of the same file. */
import { describe, expect, it } from "vitest"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { FMODE_READ } from "../../../lib/mm/store/files.ts"
import { RLIMIT_MEMLOCK } from "../../../lib/mm/store/tasks.ts"
import { ftruncate } from "../../../lib/mm/sys/file.ts"
import { remapFilePages } from "../../../lib/mm/sys/remap-file-pages.ts"
import { at, RO, RW, SHARED_ANON } from "./words.ts"
import { type Proc, world } from "./world.ts"

/** Pages of the arena from page `pgoff` of their file on. */
function remap(p: Proc, page: `a${number}`, pages: number, pgoff: number | bigint, flags = 0): string {
  return p.sys(remapFilePages, at(page), pages * 4096, 0, pgoff, flags)
}
const raw = (p: Proc, ...[addr, size, prot, pgoff, flags]: (number | bigint)[]): string =>
  p.sys(remapFilePages, addr!, size!, prot!, pgoff!, flags!)

/** A process with a file of 8 pages mapped shared at a0, page i full of the byte i + 1. */
function withFile(prot = RW, pages = 4): Proc {
  const p = world()
  expect(p.mmap(`a0+${pages}`, prot, MAP.SHARED, p.memfd(8))).toBe("a0")
  return p
}

describe("remap_file_pages", () => {
  it("takes no protection [L-RFP-E1]", () => {
    const p = withFile()
    expect([raw(p, at("a0"), 4096, 1, 0, 0), raw(p, at("a9"), 0, 2n ** 40n, 0, 0)]).toEqual(["EINVAL", "EINVAL"])
  })

  it("takes a length that is not 0 and does not wrap, after both ends were rounded down [L-RFP-01, L-RFP-E2]", () => {
    const p = withFile()
    expect([raw(p, at("a0"), 0, 0, 0, 0), raw(p, at("a0"), 0xfff, 0, 0, 0)]).toEqual(["EINVAL", "EINVAL"])
    expect([raw(p, at("a0"), -1, 0, 0, 0), raw(p, at("a0"), -4096, 0, 0, 0), raw(p, -4096, 4096, 0, 0, 0)]).toEqual(
      Array(3).fill("EINVAL")
    )
    expect([raw(p, at("a0") + 1, 8191, 0, 3, 0), p.read("a0+2")]).toEqual(["ok", "4 2"])
  })

  it("takes an offset that does not wrap [L-RFP-E3]", () => {
    const p = withFile()
    expect([remap(p, "a0", 1, 2n ** 64n - 1n), remap(p, "a0", 2, 2n ** 64n - 2n)]).toEqual(["EINVAL", "EINVAL"])
    expect(remap(p, "a0", 1, 2n ** 64n - 2n), "it does not wrap, but no file reaches that far").toBe("EOVERFLOW")
  })

  it("works on shared memory only: not private, not anonymous, not shared through a read-only descriptor [L-RFP-04, L-RFP-E4]", () => {
    const p = world("a")
    const fd = p.memfd(4)
    p.mmap("a1", RW, MAP.PRIVATE, fd)
    p.mmap("a2", RO, MAP.SHARED, p.memfd(4, FMODE_READ))
    p.mmap("a3+2", RW, SHARED_ANON)
    expect([remap(p, "a0", 1, 0), remap(p, "a1", 1, 0), remap(p, "a2", 1, 0), remap(p, "a9", 1, 0)]).toEqual(
      Array(4).fill("EINVAL")
    )
    p.write("a4", 77)
    expect([remap(p, "a3", 1, 1), p.read("a3")], "shared anonymous memory").toEqual(["ok", "77"])
  })

  it("spans several areas if they touch and are of one file and one kind [L-RFP-03, L-RFP-E5]", () => {
    const p = withFile()
    expect(remap(p, "a1", 1, 5)).toBe("ok")
    expect(remap(p, "a0", 4, 4), "pieces that were remapped before").toBe("ok")
    expect([p.read("a0+4"), p.areas()]).toEqual(["5 6 7 8", ["a0+4 rw-s"]])
    p.mprotect("a2+2", RO)
    expect(remap(p, "a0", 4, 0), "other flags").toBe("EINVAL")
    expect(remap(p, "a0", 5, 0), "a hole").toBe("EINVAL")
    p.mprotect("a2+2", RW)
    p.mmap("a4", RW, MAP.SHARED, p.memfd(8))
    expect(remap(p, "a0", 5, 0), "another file").toBe("EINVAL")
    p.munmap("a1")
    expect(remap(p, "a0", 4, 0), "a hole inside").toBe("EINVAL")
  })

  it("fails as mmap would in its place, and what was there may be gone then [L-RFP-E6]", () => {
    const p = world("", { maxMapCount: 2 })
    p.mmap("a0+4", RW, MAP.SHARED, p.memfd(8))
    p.mmap("a10", RO)
    expect(remap(p, "a1", 1, 5), "too many areas").toBe("ENOMEM")
    expect(p.areas()).toEqual(["a0+4 rw-s", "a10 r--p"])
    const q = withFile().asUser().limit(RLIMIT_MEMLOCK, 4)
    q.mlock("a0+4")
    expect(remap(q, "a0", 4, 0), "as much again is to be locked").toBe("EAGAIN")
  })

  it("maps the file from another page on, with the rights of the area, and brings it in [L-RFP-02]", () => {
    const p = withFile()
    expect([remap(p, "a1", 2, 6), p.areas()]).toEqual(["ok", ["a0 rw-s", "a1+2 rw-s", "a3 rw-s"]])
    expect([p.offset("a0"), p.offset("a1"), p.offset("a3")]).toEqual(["0", "6", "3"])
    expect([p.pages("a0+4"), p.read("a0+4")]).toEqual([".FF.", "1 7 8 4"])
    expect([p.write("a1", 99), remap(p, "a3", 1, 6), p.read("a3")], "the same page twice").toEqual(["ok", "ok", "99"])
  })

  it("does not bring it in with MAP_NONBLOCK; other flags mean nothing [L-RFP-02]", () => {
    const p = withFile()
    expect([remap(p, "a0", 2, 4, MAP.NONBLOCK), p.pages("a0+2")]).toEqual(["ok", ".."])
    expect([remap(p, "a2", 1, 5, MAP.PRIVATE | MAP.ANONYMOUS | (2 ** 30)), p.pages("a2")]).toEqual(["ok", "F"])
    expect(p.flags("a2")).toBe("rd wr sh mr mw me ms")
  })

  it("maps beyond the end of the file, where every access is a SIGBUS [L-RFP-05]", () => {
    const p = world()
    const fd = p.memfd(2)
    p.mmap("a0+2", RW, MAP.SHARED, fd)
    expect([remap(p, "a0", 2, 1), p.read("a0+2")]).toEqual(["ok", "2 SIGBUS"])
    expect([p.sys(ftruncate, fd, 3 * 4096), p.read("a1")]).toEqual(["ok", "0"])
  })

  it("keeps locked memory locked and counted, and leaves sealed memory alone [L-RFP-06]", () => {
    const p = withFile()
    p.mlock("a0+4")
    expect([remap(p, "a1", 1, 7), p.areas()]).toEqual(["ok", ["a0 rw-s lo", "a1 rw-s lo", "a2+2 rw-s lo"]])
    expect(p.counts()).toBe("total 4 locked 4")
    p.mseal("a1")
    expect([remap(p, "a1", 1, 0), remap(p, "a0", 2, 0), p.read("a1")]).toEqual(["EPERM", "EINVAL", "8"])
  })
})
