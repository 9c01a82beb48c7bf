/** Where memory goes: files that huge pages would fit, and memory that is moved. The rest is in test/mm/area/gap.test.ts. */
import { describe, expect, it } from "vitest"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { FILE_ZERO } from "../../../lib/mm/store/files.ts"
import { mmap } from "../../../lib/mm/sys/mmap.ts"
import { MREMAP_DONTUNMAP, MREMAP_MAYMOVE } from "../../../lib/mm/sys/mremap.ts"
import { ANON, at, NONE, RO, RW } from "./words.ts"
import { type Proc, world } from "./world.ts"

/** Pages of 2 MiB. */
const BLOCK = 512

/** mmap of a file of its own, on an empty address space: the top of the search is 0x7ffff7fff000. */
function place(pages: number, pgoff: number, open: (p: Proc) => number, flags: number = MAP.PRIVATE, hint = 0): string {
  const p = world()
  return p.sys(mmap, hint, pages * 4096, RO, flags, open(p), pgoff * 4096)
}

describe("a file in which a whole block of 2 MiB is mapped", () => {
  const file = (p: Proc): number => p.open("/f")
  const zero = (p: Proc): number => p.special(FILE_ZERO)

  it("goes where address and file offset agree modulo 2 MiB, whatever its length [L-GUA-21]", () => {
    expect(place(BLOCK + 1, 0, file)).toBe("0x7ffff7c00000")
    expect(place(BLOCK + 1, 0, file, MAP.SHARED)).toBe("0x7ffff7c00000")
    expect(place(2 * BLOCK - 1, 1, file), "pages 1 to 1023 have the block from 512 on").toBe("0x7ffff7a01000")
    expect(place(2 * BLOCK - 2, 1, file), "one page less has none").toBe("0x7ffff7c01000")
    expect(place(BLOCK, 1, file)).toBe("0x7ffff7dff000")
    expect(place(BLOCK, 0, file, MAP.PRIVATE | MAP.MAP_32BIT)).toBe("0x40200000")
    expect(place(BLOCK, 0, file, MAP.PRIVATE, at("a1")), "a free hint comes first").toBe("a1")
  })

  it("may be the private zero device; it is not shared memory [L-GUA-20, L-GUA-21]", () => {
    expect(place(BLOCK + 1, 0, zero)).toBe("0x7ffff7c00000")
    expect(place(BLOCK + 1, 0, zero, MAP.SHARED)).toBe("0x7ffff7dfe000")
    expect(place(BLOCK + 1, 0, (p) => p.memfd(1))).toBe("0x7ffff7dfe000")
    expect(place(BLOCK, 0, () => -1, MAP.SHARED | MAP.ANONYMOUS)).toBe("0x7ffff7dff000")
  })
})

describe("private anonymous memory of 2 MiB", () => {
  it("lies on a multiple of that for a stack, below 2 GiB, and without a promise of memory [L-GUA-17]", () => {
    for (const [flags, where] of [
      [MAP.STACK, "0x7ffff7c00000"],
      [MAP.NORESERVE, "0x7ffff7c00000"],
      [MAP.MAP_32BIT, "0x40200000"]
    ] as const)
      for (const prot of [NONE, RO, RW]) expect(world().mmapAnywhere(BLOCK, prot, ANON | flags)).toBe(where)
  })
})

describe("memory that mremap moves", () => {
  const MAYMOVE = MREMAP_MAYMOVE

  it("goes where mmap would put it [L-GUA-25]", () => {
    for (const [pages, flags, where] of [
      [2, ANON, "0x7ffff7ffd000"],
      [BLOCK, ANON, "0x7ffff7c00000"],
      [BLOCK + 1, ANON, "0x7ffff7dfe000"],
      [BLOCK + 1, ANON | MAP.GROWSDOWN, "0x7ffff7dfe000"]
    ] as const) {
      const p = world()
      p.mmap("a0", RW, flags)
      p.mmap("a1", NONE)
      expect(p.mremap("a0", pages, MAYMOVE), `${pages} pages`).toBe(where)
    }
  })

  it("agrees with its file offset modulo 2 MiB where a whole block of the file is mapped [L-GUA-21, L-GUA-25]", () => {
    const p = world()
    p.mmap("a0", RO, MAP.PRIVATE, p.open("/f"), 3)
    p.mmap("a1", NONE)
    expect(p.mremap("a0", 2 * BLOCK, MAYMOVE)).toBe("0x7ffff7a03000")
  })

  it("goes to the hint of DONTUNMAP if that is free; no other hint counts [L-GUA-25]", () => {
    const p = world("aab")
    const hinted = (flags: number): string => p.mremap("a0+2", "a10+2", flags)
    expect(hinted(MAYMOVE | MREMAP_DONTUNMAP)).toBe("a10")
    expect(hinted(MAYMOVE | MREMAP_DONTUNMAP), "busy by now").toBe("0x7ffff7ffd000")
    expect(p.mremap("a0+2", "a20+3", MAYMOVE), "no hint").toBe("0x7ffff7ffa000")
  })
})
