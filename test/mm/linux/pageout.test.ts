/** MADV_PAGEOUT without swap: which pages go, which stay, whose may be asked to. */
import { describe, expect, it } from "vitest"
import * as MADV from "../../../lib/flags/AdviceFlags.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import * as MREMAP from "../../../lib/flags/MremapFlags.ts"
import * as SHM from "../../../lib/flags/ShmFlags.ts"
import { fchmod } from "../../../lib/mm/sys/file.ts"
import { shmat, shmget } from "../../../lib/mm/sys/shm.ts"
import { SHM_LOCK, shmctl } from "../../../lib/mm/sys/shmctl.ts"
import { at, RO, RW, SHARED_ANON } from "./words.ts"
import { world } from "./world.ts"

describe("PAGEOUT without swap", () => {
  it("takes shared memory that nobody wrote out of its object; what was written only leaves the tables [L-MADV-24]", () => {
    const p = world()
    p.mmap("a0+4", RW, SHARED_ANON)
    p.read("a0+2")
    p.write("a2+2")
    expect(p.madvise("a0+4", MADV.PAGEOUT)).toBe("ok")
    expect(p.pages("a0+4")).toBe("....")
    p.read("a3")
    expect(p.pages("a0+4"), "its neighbours are mapped with it, if they are there").toBe("..FF")
    expect(p.read("a0+4")).toBe("0 0 103 104")
  })

  it("drops lazily freed pages, unless they were written since [L-MADV-24]", () => {
    const p = world("aaa")
    p.write("a0+3")
    p.madvise("a0+2", MADV.FREE)
    p.write("a1")
    expect(p.madvise("a0+3", MADV.PAGEOUT)).toBe("ok")
    expect(p.pages("a0+3")).toBe(".AA")
  })

  it("leaves pages of a file alone that the caller neither owns nor may write [L-MADV-24]", () => {
    const p = world()
    const fd = p.memfd(4)
    p.mmap("a0+2", RO, MAP.PRIVATE, fd)
    p.read("a0+2")
    p.sys(fchmod, fd, 0o644)
    p.asUser()
    expect(p.madvise("a0+2", MADV.PAGEOUT)).toBe("ok")
    expect(p.pages("a0+2")).toBe("FF")
  })

  it("leaves pages of a locked segment alone [L-MADV-24]", () => {
    const p = world()
    p.sys(shmget, SHM.PRIVATE, 4096, SHM.CREAT | 0o600)
    p.sys(shmat, 0, at("a0"), 0)
    p.read("a0")
    expect(p.sys(shmctl, 0, SHM_LOCK, 0)).toBe("ok")
    expect(p.madvise("a0", MADV.PAGEOUT)).toBe("ok")
    expect(p.pages("a0")).toBe("F")
  })

  it("leaves pages alone that DONTUNMAP left behind in an area that was locked [L-MADV-24]", () => {
    const p = world()
    p.mmap("a0+4", RO, MAP.PRIVATE | MAP.LOCKED, p.memfd(4))
    p.mremap("a2", "a20", MREMAP.MAYMOVE | MREMAP.FIXED | MREMAP.DONTUNMAP)
    expect(p.areas()).toEqual(["a0+4 r--p", "a20 r--p lo"])
    expect(p.madvise("a0+2", MADV.PAGEOUT)).toBe("ok")
    expect(p.pages("a0+4")).toBe("FF.F")
  })
})
