/** mmap: locked, populated and promised memory. */
import * as MCL from "../../../lib/flags/MlockallFlags.ts"
import { describe, expect, it } from "vitest"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { FILE_DIR } from "../../../lib/mm/store/files.ts"
import { RLIMIT_MEMLOCK } from "../../../lib/mm/store/tasks.ts"
import { mlockall } from "../../../lib/mm/sys/mlock.ts"
import { ANON, NONE, RO, RW, SHARED_ANON } from "./words.ts"
import { world } from "./world.ts"

const { LOCKED, NONBLOCK, POPULATE, PRIVATE, SHARED } = MAP

describe("MAP_LOCKED", () => {
  it("wants the right to lock, then the room, before anything about the file; after what is in the way [L-MMAP-17, L-MMAP-E10, L-MMAP-E11]", () => {
    const p = world("a").limit(RLIMIT_MEMLOCK, 1).asUser()
    const dir = p.special(FILE_DIR)
    expect(p.mmap("a2+2", RO, PRIVATE | LOCKED, dir)).toBe("EAGAIN")
    expect(p.mmap("a2", RO, PRIVATE | LOCKED, dir)).toBe("ENODEV")
    expect(p.mmap("a2+2", RO, MAP.ANONYMOUS | LOCKED), "no type").toBe("EAGAIN")
    expect(p.mmap("a0+2", RW, ANON | LOCKED | MAP.FIXED_NOREPLACE)).toBe("EEXIST")
    p.limit(RLIMIT_MEMLOCK, 0)
    expect(p.mmap("a2", RO, PRIVATE | LOCKED, dir)).toBe("EPERM")
    expect(p.mmap("a0+2", RW, ANON | LOCKED | MAP.FIXED_NOREPLACE)).toBe("EEXIST")
  })

  it("is what every mapping has after mlockall(FUTURE), limit and all [L-MMAP-18]", () => {
    const p = world().limit(RLIMIT_MEMLOCK, 4).asUser()
    expect(p.sys(mlockall, MCL.FUTURE)).toBe("ok")
    expect(p.mmap("a0+4", RW)).toBe("a0")
    expect(p.areas()).toEqual(["a0+4 rw-p lo"])
    expect(p.pages("a0+4")).toBe("AAAA")
    expect(p.mmap("a8+4", RW)).toBe("EAGAIN")
    expect(p.counts()).toBe("total 4 locked 4 data 4")
  })

  it("brings pages in as mlock does; that some cannot be had is nobody's error [L-MMAP-19]", () => {
    const p = world()
    expect(p.mmap("a0+4", RO, PRIVATE | LOCKED, p.open("/f", 2))).toBe("a0")
    expect(p.pages("a0+4"), "up to the end of the file").toBe("FF..")
    expect(p.mmap("a4+2", NONE, ANON | LOCKED)).toBe("a4")
    expect(p.pages("a4+2")).toBe("..")
    expect(p.mmap("a6+2", RW, ANON | LOCKED)).toBe("a6")
    expect(p.pages("a6+2")).toBe("AA")
    expect(p.counts()).toBe("total 8 locked 8 data 2")
  })
})

describe("MAP_POPULATE", () => {
  it("writes to private memory that may be written, reads else, and stops quietly [L-MMAP-20]", () => {
    const p = world()
    const fd = p.memfd(4)
    p.mmap("a0+2", RW, ANON | POPULATE)
    p.mmap("a2+2", RO, ANON | POPULATE)
    p.mmap("a4+2", NONE, ANON | POPULATE)
    p.mmap("a6+2", RW, SHARED_ANON | POPULATE)
    expect(p.pages("a0+8")).toBe("AAzz..FF")
    p.mmap("a10+2", RW, PRIVATE | POPULATE, fd)
    p.mmap("a12+2", RO, PRIVATE | POPULATE, fd, 2)
    p.mmap("a14+2", RW, SHARED | POPULATE, p.memfd(2))
    expect(p.pages("a10+6")).toBe("AAFFFF")
    expect(p.mmap("a16+4", RW, SHARED | POPULATE, p.memfd(2))).toBe("a16")
    expect(p.pages("a16+4"), "up to the end of the object").toBe("FF..")
  })

  it("does nothing beside MAP_NONBLOCK [L-MMAP-20]", () => {
    const p = world()
    p.mmap("a0+2", RW, ANON | POPULATE | NONBLOCK)
    p.mmap("a2+2", RW, SHARED | POPULATE | NONBLOCK, p.memfd(4))
    expect(p.pages("a0+4")).toBe("....")
  })
})

describe("a promise of memory", () => {
  it("is made for what is private and may be written; for shared memory by its object [L-MMAP-22]", () => {
    const p = world()
    const fd = p.memfd(4)
    for (const [prot, flags, fds, isCharged] of [
      [RW, ANON, -1, true],
      [RO, ANON, -1, false],
      [NONE, ANON, -1, false],
      [RW, ANON | MAP.NORESERVE, -1, false],
      [RW, PRIVATE, fd, true],
      [RO, PRIVATE, fd, false],
      [RW, SHARED, fd, false]
    ] as const) {
      const before = p.committed
      p.mmap("a0+4", prot, flags, fds)
      expect(p.flags("a0").split(" ").includes("ac"), `${prot} ${flags}`).toBe(isCharged)
      expect(p.committed - before).toBe(isCharged ? 4 : 0)
      p.munmap("a0+4")
    }
    const before = p.committed
    p.mmap("a0+4", RO, SHARED_ANON)
    expect(p.flags("a0")).not.toContain("ac")
    expect(p.committed - before, "whoever may write it").toBe(4)
    p.munmap("a1+2")
    expect(p.committed - before, "the object is as long as ever").toBe(4)
  })

  it("is not made with MAP_NORESERVE, which shows; unless the machine never promises too much [L-MMAP-21]", () => {
    const p = world()
    p.mmap("a0", RW, ANON | MAP.NORESERVE)
    p.mmap("a1", RW, SHARED_ANON | MAP.NORESERVE)
    expect(p.flags("a0")).toBe("rd wr mr mw me nr")
    expect(p.flags("a1")).toBe("rd wr sh mr mw me ms nr")
    expect(p.committed).toBe(0)
    const strict = world("", { overcommit: 2 })
    strict.mmap("a0", RW, ANON | MAP.NORESERVE)
    expect(strict.flags("a0")).toBe("rd wr mr mw me ac")
    expect(strict.committed).toBe(1)
    const always = world("", { overcommit: 1 })
    always.mmap("a0", RW, ANON | MAP.NORESERVE)
    expect(always.flags("a0")).toBe("rd wr mr mw me nr")
  })
})
