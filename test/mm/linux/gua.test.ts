/** Where memory goes: files that huge pages would fit, and memory that is moved. The rest is in test/mm/area/gap.test.ts. */
import * as MREMAP from "../../../lib/flags/MremapFlags.ts"
import { describe, expect, it } from "vitest"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import type { KernelConfig } from "../../../lib/mm/base/config.ts"
import { FILE_ZERO } from "../../../lib/mm/store/files.ts"
import { RLIMIT_STACK } from "../../../lib/mm/store/tasks.ts"
import { mmap } from "../../../lib/mm/sys/mmap.ts"
import { ADDR_COMPAT_LAYOUT, personality, pickMmapLayout } from "../../../lib/mm/sys/personality.ts"
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

  it("counts as one where the next block's offset would pass 2^63, and so is negative [L-GUA-21]", () => {
    expect(place(1, 2 ** 51 - 3, zero)).toBe("0x7ffff7ffd000")
    expect(place(1, 2 ** 51 - 1, zero), "but then its end is, too").toBe("0x7ffff7ffe000")
    expect(place(1, 2 ** 51 - 512, zero), "that block begins the mapping").toBe("0x7ffff7ffe000")
    expect(place(1, 2 ** 51 - 511, zero)).toBe("0x7ffff7e01000")
  })

  it("may be the private zero device; it is not shared memory [L-GUA-20, L-GUA-21]", () => {
    expect(place(BLOCK + 1, 0, zero)).toBe("0x7ffff7c00000")
    expect(place(BLOCK + 1, 0, zero, MAP.SHARED)).toBe("0x7ffff7dfe000")
    expect(place(BLOCK + 1, 0, (p) => p.memfd(1))).toBe("0x7ffff7dfe000")
    expect(place(BLOCK, 0, () => -1, MAP.SHARED | MAP.ANONYMOUS)).toBe("0x7ffff7dff000")
  })
})

describe("the layout of a program that starts", () => {
  /** An empty address space whose program started under this stack limit, in pages. */
  function start(stackPages: number, bits = 0, config: Partial<KernelConfig> = {}): Proc {
    const p = world("", config).limit(RLIMIT_STACK, stackPages)
    p.sys(personality, bits)
    pickMmapLayout(p.k, p.task)
    return p
  }
  const MIB = 256

  it("leaves the stack its limit and its gap, within bounds, and fills the rest from the top [L-GUA-01]", () => {
    for (const [stack, top] of [
      [8 * MIB, 0x7ffff7fff000],
      [1, 0x7ffff7fff000],
      [256 * MIB, 0x7fffefeff000],
      [1024 * MIB, 0x7fffbfeff000]
    ] as const) {
      const p = start(stack)
      expect(p.mmapAnywhere(1, NONE), `${stack} pages`).toBe(`0x${(top - 4096).toString(16)}`)
      expect(p.mmapAnywhere(1, NONE)).toBe(`0x${(top - 8192).toString(16)}`)
      expect(p.fork().mmapAnywhere(1, NONE)).toBe(`0x${(top - 12288).toString(16)}`)
    }
  })

  it("without a stack limit has its top at a sixth, and still goes down [L-GUA-02]", () => {
    const p = start(Infinity)
    expect(p.mmapAnywhere(1, NONE)).toBe("0x155555555000")
    expect(p.mmapAnywhere(1, NONE)).toBe("0x155555554000")
  })

  it("is filled from a third of user space upwards, if the personality or the machine says so [L-GUA-03]", () => {
    for (const p of [start(8 * MIB, ADDR_COMPAT_LAYOUT), start(8 * MIB, 0, { legacyVaLayout: true })]) {
      expect(p.mmapAnywhere(1, NONE)).toBe("0x2aaaaaaab000")
      expect(p.mmapAnywhere(1, NONE)).toBe("0x2aaaaaaac000")
      expect(p.mmapAnywhere(BLOCK, NONE), "aligned").toBe("0x2aaaaac00000")
      expect(p.mmapAnywhere(BLOCK, NONE), "and once more, without a block between").toBe("0x2aaaaae00000")
      expect(p.mmapAnywhere(1, NONE, ANON, 0x1000), "a hint").toBe("0x10000")
      expect(p.mmapAnywhere(1, NONE, ANON, 2 ** 47), "none").toBe("0x2aaaaaaad000")
      expect(p.mmapAnywhere(1, NONE, ANON | MAP.MAP_32BIT)).toBe("0x40000000")
      expect(p.fork().mmapAnywhere(1, NONE)).toBe("0x2aaaaaaae000")
    }
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
  const MAYMOVE = MREMAP.MAYMOVE

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
    expect(hinted(MAYMOVE | MREMAP.DONTUNMAP)).toBe("a10")
    expect(hinted(MAYMOVE | MREMAP.DONTUNMAP), "busy by now").toBe("0x7ffff7ffd000")
    expect(p.mremap("a0+2", "a20+3", MAYMOVE), "no hint").toBe("0x7ffff7ffa000")
  })
})
