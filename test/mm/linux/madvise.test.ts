/** madvise: its refusals in their order, and how far it gets; what it does is in madvise-pages and madvise-matrix. */
import * as SEAL from "../../../lib/flags/SealFlags.ts"
import { describe, expect, it } from "vitest"
import * as MADV from "../../../lib/flags/AdviceFlags.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { EXEC, WRITE as PROT_WRITE } from "../../../lib/flags/ProtFlags.ts"
import { mmapUnlock, tryMmap } from "../../../lib/mm/area/mmap-lock.ts"
import { READ, WRITE } from "../../../lib/mm/base/stop.ts"
import { FILE_ZERO, FMODE_READ } from "../../../lib/mm/store/files.ts"
import { addSeals } from "../../../lib/mm/sys/memfd.ts"
import { madvise } from "../../../lib/mm/sys/madvise.ts"
import { Hand } from "../rows/world.ts"
import { at, RO, RW, SHARED_ANON } from "./words.ts"
import { type Proc, world } from "./world.ts"

const raw = (p: Proc, addr: number, len: number, advice: number): string => p.sys(madvise, addr, len, advice)

describe("madvise", () => {
  it("looks at the advice first, then at the range, then whether there is one [L-MADV-01, L-MADV-E1, L-MADV-E2, L-MADV-E3]", () => {
    const p = world("a")
    expect(raw(p, at("a0"), 0, 99)).toBe("EINVAL")
    expect(raw(p, at("a0") + 1, 0, MADV.NORMAL)).toBe("EINVAL")
    expect(raw(p, at("a0"), -1, MADV.NORMAL), "rounds to 0").toBe("EINVAL")
    expect(raw(p, at("a0"), -4096, MADV.NORMAL), "wraps").toBe("EINVAL")
    expect(raw(p, at("a5"), 0, MADV.NORMAL), "nothing to do, nothing to miss").toBe("ok")
    expect(raw(p, at("a0"), 1, MADV.RANDOM), "a whole page").toBe("ok")
    expect(p.areas()).toEqual(["a0 rw-p rr"])
  })

  it("passes over holes, and mentions them at the end [L-MADV-02, L-MADV-E5]", () => {
    const p = world(".a.a")
    p.write("a1")
    p.write("a3")
    expect(p.madvise("a0+4", MADV.DONTNEED)).toBe("ENOMEM")
    expect(p.pages("a0+4")).toBe("_._.")
    expect(p.madvise("a1+8", MADV.DONTDUMP)).toBe("ENOMEM")
    expect(p.areas()).toEqual(["a1 rw-p dd", "a3 rw-p dd"])
  })

  it("stops at memory that refuses: what came before is done, and holes are forgotten [L-MADV-03, L-MADV-E4]", () => {
    const p = world("a.aaa")
    p.write("a0")
    p.write("a2+3")
    p.mlock("a3")
    expect(p.madvise("a0+5", MADV.DONTNEED)).toBe("EINVAL")
    expect(p.pages("a0+5")).toBe("._.AA")
    p.munlock("a3")
    p.mprotect("a3", RO)
    p.mseal("a3")
    p.write("a0")
    expect(p.madvise("a0+5", MADV.DONTNEED)).toBe("EPERM")
    expect(p.pages("a0+5")).toBe("._.AA")
  })

  it("looks for the seal before anything else about the memory [L-MADV-E4]", () => {
    const p = world("b")
    p.mlock("a0")
    p.mseal("a0")
    expect(p.madvise("a0", MADV.DONTNEED)).toBe("EPERM")
    expect(p.madvise("a0", MADV.REMOVE)).toBe("EPERM")
    expect(p.madvise("a0", MADV.COLD)).toBe("EINVAL")
  })

  it("about flags splits and merges; that it cannot split is EAGAIN [L-MADV-04]", () => {
    const p = world("aaaa")
    p.madvise("a1+2", MADV.DONTDUMP)
    expect(p.draw()).toBe("abba")
    p.madvise("a0+4", MADV.DONTDUMP)
    expect(p.areas()).toEqual(["a0+4 rw-p dd"])
    const full = world("aaaa", { maxMapCount: 1 })
    expect(full.madvise("a1", MADV.DONTDUMP)).toBe("EAGAIN")
    expect(full.madvise("a0+4", MADV.DONTDUMP)).toBe("ok")
  })

  it("about flags is refused by a part of a special mapping, which cannot be split [L-MADV-12]", () => {
    for (const what of ["vdso", "vvar"] as const) {
      const p = world().placeSpecial(what, "a0+2")
      expect(p.madvise("a0", MADV.DONTFORK)).toBe("EINVAL")
      expect(p.madvise("a0", MADV.WIPEONFORK)).toBe("EINVAL")
      expect(p.madvise("a0+2", MADV.DONTFORK)).toBe("ok")
      expect(p.madvise("a0+2", MADV.WIPEONFORK)).toBe("ok")
      expect([what, p.madvise("a0+2", MADV.DOFORK)]).toEqual(what === "vdso" ? [what, "ok"] : [what, "EINVAL"])
    }
  })

  it("WIPEONFORK wants memory without any file, and gives a child zeroes [L-MADV-25]", () => {
    const p = world("a")
    p.mmap("a1", RW, MAP.PRIVATE, p.special(FILE_ZERO))
    p.write("a0+2")
    expect(p.madvise("a0", MADV.WIPEONFORK)).toBe("ok")
    expect(p.madvise("a1", MADV.WIPEONFORK)).toBe("EINVAL")
    expect(p.fork().read("a0+2")).toBe("0 102")
  })
})

describe("POPULATE", () => {
  it("wants the right, finds holes, and reaches what there is: in the order of the range, what is done stays done [L-MADV-13]", () => {
    const p = world("ab.a")
    expect(p.madvise("a0+4", MADV.POPULATE_WRITE), "a1 may not be written").toBe("EINVAL")
    expect(p.pages("a0+4")).toBe("A._.")
    expect(p.madvise("a0+4", MADV.POPULATE_READ), "a2 is a hole").toBe("ENOMEM")
    expect(p.pages("a0+4")).toBe("Az_.")
    const q = world("aaa")
    q.madvise("a1", MADV.GUARD_INSTALL)
    expect(q.madvise("a0+3", MADV.POPULATE_READ), "a guard").toBe("EFAULT")
    expect(q.pages("a0+3")).toBe("zg.")
    q.mmap("a4+3", RO, MAP.SHARED, q.memfd(1))
    expect(q.madvise("a4+3", MADV.POPULATE_READ), "behind the end").toBe("EFAULT")
    expect(q.pages("a4+3")).toBe("F..")
  })

  it("reads nothing that may only be written or executed [L-MADV-14]", () => {
    const p = world()
    p.mmap("a0+2", PROT_WRITE)
    expect(p.madvise("a0+2", MADV.POPULATE_READ)).toBe("EINVAL")
    expect(p.madvise("a0+2", MADV.POPULATE_WRITE)).toBe("ok")
    expect(p.pages("a0+2")).toBe("AA")
    p.mmap("a2", EXEC)
    expect(p.madvise("a2", MADV.POPULATE_READ)).toBe("EINVAL")
  })

  it("_READ shows private memory that may be written the page of zeroes, or the file's [L-MADV-15]", () => {
    const p = world("aa")
    p.mmap("a2+2", RW, MAP.PRIVATE, p.memfd(4))
    expect(p.madvise("a0+4", MADV.POPULATE_READ)).toBe("ok")
    expect(p.pages("a0+4")).toBe("zzFF")
    expect(p.madvise("a0+4", MADV.POPULATE_WRITE)).toBe("ok")
    expect(p.pages("a0+4")).toBe("AAAA")
    expect(p.read("a0+4")).toBe("0 0 1 2")
  })

  it("_READ of a page brings those around it that are cached, _WRITE only its own [L-MADV-16]", () => {
    const p = world()
    const fd = p.memfd(20)
    p.mmap("a0+20", RW, MAP.SHARED, fd)
    expect(p.madvise("a5", MADV.POPULATE_READ)).toBe("ok")
    expect(p.pages("a0+20"), "16 pages by virtual address").toBe("FFFFFFFFFFFFFFFF....")
    p.mmap("a0+20", RW, MAP.SHARED, fd)
    expect(p.madvise("a5", MADV.POPULATE_WRITE)).toBe("ok")
    expect(p.pages("a0+20")).toBe(".....F..............")
  })
})

describe("REMOVE", () => {
  it("punches a hole for all who map the object, which stays as long as it is [L-MADV-10]", () => {
    const p = world()
    const fd = p.memfd(4)
    p.mmap("a0+4", RW, MAP.SHARED, fd)
    const other = p.fork()
    p.read("a0+4")
    expect(other.read("a0+4")).toBe("1 2 3 4")
    expect(p.madvise("a1+2", MADV.REMOVE)).toBe("ok")
    expect([p.pages("a0+4"), other.pages("a0+4")]).toEqual(["f..f", "f..f"])
    expect(other.read("a0+4")).toBe("1 0 0 4")
    expect(p.k.files.size[p.k.files.obj(p.k.tasks.file(p.task, fd))]).toBe(4 * 4096)
  })

  it("is not for sealed objects, nor for mappings that may never write [L-MADV-10]", () => {
    const p = world()
    const fd = p.memfd(4)
    p.mmap("a0", RW, MAP.SHARED, fd)
    p.mmap("a1", RO, MAP.SHARED, p.open("/f", 1, FMODE_READ))
    expect(p.sys(addSeals, fd, SEAL.FUTURE_WRITE)).toBe("ok")
    p.mmap("a2", RO, MAP.SHARED, fd)
    expect(p.madvise("a0", MADV.REMOVE), "writable, and mapped before the seal").toBe("EPERM")
    expect(p.madvise("a1", MADV.REMOVE)).toBe("EACCES")
    expect(p.madvise("a2", MADV.REMOVE), "mapped since").toBe("EACCES")
    expect(p.read("a0")).toBe("1")
  })

  it("asks whether it is locked, then for a file, then whether it is shared and writable [L-MADV-11]", () => {
    const p = world("b")
    p.mmap("a1", RO, MAP.PRIVATE, p.memfd(1))
    p.mlock("a1")
    expect(p.madvise("a1", MADV.REMOVE), "locked").toBe("EINVAL")
    p.munlock("a1")
    expect(p.madvise("a1", MADV.REMOVE), "private").toBe("EACCES")
    expect(p.madvise("a0", MADV.REMOVE), "no file, and not writable").toBe("EINVAL")
  })
})

describe("the lock of advice", () => {
  /** Does this advice wait while somebody else holds the mmap lock in `mode`? */
  function waits(mode: number, advice: number, range: "a0" | "a0+2", prepare?: (p: Proc) => void): boolean {
    const p = world("ab")
    p.write("a0")
    prepare?.(p)
    const { k } = p
    const holder = k.runs.alloc(0)
    k.runs.current = holder
    expect(tryMmap(k, p.mm, mode)).toBe(true)
    const pages = range === "a0" ? 1 : 2
    const hand = new Hand(k, () => madvise(k, p.task, at("a0"), pages * 4096, advice))
    hand.step()
    const { waits } = hand
    k.runs.current = holder
    mmapUnlock(k, p.mm, mode)
    k.runs.release(holder)
    hand.finish()
    return waits
  }

  it("is mmap_lock for writing where flags change, for reading where pages do [L-MADV-27]", () => {
    for (const advice of [MADV.NORMAL, MADV.RANDOM, MADV.DONTFORK, MADV.DONTDUMP, MADV.MERGEABLE, MADV.HUGEPAGE]) {
      expect(waits(READ, advice, "a0"), `advice ${advice}`).toBe(true)
    }
    for (const advice of [
      MADV.WILLNEED,
      MADV.COLD,
      MADV.PAGEOUT,
      MADV.REMOVE,
      MADV.POPULATE_READ,
      MADV.POPULATE_WRITE,
      MADV.COLLAPSE
    ]) {
      expect(waits(READ, advice, "a0"), `advice ${advice}`).toBe(false)
      expect(waits(WRITE, advice, "a0"), `advice ${advice}`).toBe(true)
    }
  })

  it("is the area's own where one area has the whole range, and pages go [L-MADV-27]", () => {
    for (const advice of [MADV.DONTNEED, MADV.DONTNEED_LOCKED, MADV.FREE, MADV.GUARD_INSTALL, MADV.GUARD_REMOVE]) {
      expect(waits(WRITE, advice, "a0"), `advice ${advice}`).toBe(false)
      expect(waits(WRITE, advice, "a0+2"), `advice ${advice}, two areas`).toBe(true)
      expect(waits(READ, advice, "a0+2"), `advice ${advice}, two areas`).toBe(false)
    }
    const fresh = (p: Proc): void => {
      p.mmap("a0", RW, SHARED_ANON)
    }
    expect(waits(WRITE, MADV.DONTNEED, "a0", fresh), "shared memory, too").toBe(false)
  })
})
