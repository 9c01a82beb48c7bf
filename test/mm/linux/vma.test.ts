/** Merging, splitting, and the life of an area: what test/mm/area/merge.test.ts does not show. */
import { describe, expect, it } from "vitest"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { FILE_ZERO } from "../../../lib/mm/store/files.ts"
import { RW } from "./words.ts"
import { world } from "./world.ts"

describe("memory that was moved", () => {
  it("counts its pages from the new place if nobody wrote it, and so merges there [L-VMA-07]", () => {
    const p = world("a.aaa")
    expect(p.mremap("a0", "a5")).toBe("a5")
    expect(p.offset("a5")).toBe("a2")
    expect(p.draw()).toBe("..aaaa")
  })

  it("keeps the offsets of its old place once it was written, and fits no native of the new one [L-VMA-07]", () => {
    const p = world("aaa.a")
    p.write("a1")
    expect(p.mremap("a0+3", "a20+3")).toBe("a20")
    expect(p.offset("a20")).toBe("a0")
    p.mmap("a23", RW)
    p.mmap("a19", RW)
    expect(p.areas(), "neighbours of its own kind stay apart").toEqual([
      "a4 rw-p",
      "a19 rw-p",
      "a20+3 rw-p",
      "a23 rw-p"
    ])
    p.munmap("a21")
    expect(p.mremap("a22", "a21")).toBe("a21")
    expect(p.areas().slice(1), "nor in a hole of its own").toEqual(["a19 rw-p", "a20 rw-p", "a21 rw-p", "a23 rw-p"])
  })

  it("merges again where offsets and anon_vma agree: back home, or at the distance it had [L-VMA-08]", () => {
    const p = world("aaaaaa")
    p.write("a0+6")
    p.mremap("a2+2", "a20+2")
    expect(p.areas()).toEqual(["a0+2 rw-p", "a4+2 rw-p", "a20+2 rw-p"])
    expect(p.mremap("a4+2", "a22+2")).toBe("a22")
    expect(p.areas(), "two pieces of one original").toEqual(["a0+2 rw-p", "a20+4 rw-p"])
    p.mremap("a20+4", "a2+4")
    expect(p.draw()).toBe("aaaaaa")
    expect(p.read("a0+6")).toBe("101 102 103 104 105 106")
  })

  it("that is a private /dev/zero is anonymous, and shows its new address as its file offset [L-VMA-09]", () => {
    const p = world()
    const zero = p.special(FILE_ZERO)
    p.mmap("a0", RW, MAP.PRIVATE, zero, 3)
    expect(p.offset("a0")).toBe("3")
    p.mremap("a0", "a10")
    expect(p.offset("a10")).toBe("a10")
    expect(p.k.vmas.file(p.area("a10")), "it keeps its file").toBe(p.k.tasks.file(p.task, zero))
    p.write("a10")
    p.mremap("a10", "a12")
    expect(p.offset("a12"), "written by now").toBe("a10")
  })
})
