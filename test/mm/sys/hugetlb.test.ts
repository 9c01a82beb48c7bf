/** Huge pages, of which the machine has none: what can be mapped all the same, and what can be done with it. From Linux 6.18. */
import * as MFD from "../../../lib/flags/MemfdFlags.ts"
import * as MREMAP from "../../../lib/flags/MremapFlags.ts"
import { describe, expect, it } from "vitest"
import * as MADV from "../../../lib/flags/AdviceFlags.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { smaps } from "../../../lib/mm/proc/smaps.ts"
import { mincoreTo } from "../../../lib/mm/sys/mincore.ts"
import { RLIMIT_MEMLOCK } from "../../../lib/mm/store/tasks.ts"
import { ftruncate } from "../../../lib/mm/sys/file.ts"
import { memfdNamed } from "../../../lib/mm/sys/memfd.ts"
import { mmap } from "../../../lib/mm/sys/mmap.ts"
import { runNow } from "../../../lib/mm/sys/run-now.ts"
import { shmat, shmget } from "../../../lib/mm/sys/shm.ts"
import { call } from "../../../lib/proof/testing/calls.ts"
import { at, NONE, RO, RW, SHARED_ANON } from "../linux/words.ts"
import { type Proc, world } from "../linux/world.ts"

const HUGE = MAP.PRIVATE | MAP.ANONYMOUS | MAP.HUGETLB | MAP.NORESERVE

describe("MAP_HUGETLB", () => {
  it("needs the pool, which is empty, unless nothing is to be promised", () => {
    const p = world()
    expect(p.mmap("a0+512", RW, HUGE & ~MAP.NORESERVE)).toBe("ENOMEM")
    expect(p.mmap("a0", RW, HUGE), "a page").toBe("a0")
    expect(p.areas(), "is 2 MiB").toEqual(["a0+512 rw-p de nr ht"])
    expect([p.name("a0"), p.counts(), p.committed]).toEqual(["/anon_hugepage (deleted)", "total 512 data 512", 0])
    expect([p.read("a0"), p.write("a511"), p.pages("a0+2")]).toEqual(["SIGBUS", "SIGBUS", ".."])
  })

  it("has pages of 2 MiB in smaps, whether there are any or not", () => {
    const p = world("a")
    p.mmap("a512+512", RW, HUGE)
    const text = runNow(p.k, () => smaps(p.k, p.mm))
    expect(typeof text === "string" && text.match(/^(?:Kernel|MMU)PageSize:.*\n/gm)).toEqual([
      "KernelPageSize:        4 kB\n",
      "MMUPageSize:           4 kB\n",
      "KernelPageSize:     2048 kB\n",
      "MMUPageSize:        2048 kB\n"
    ])
  })

  it("is placed on a multiple of 2 MiB; a hint is rounded up to one", () => {
    const p = world()
    const place = (hint: number, flags = HUGE): string => p.sys(mmap, hint, 4096, RW, flags, -1, 0)
    expect([place(0), place(0)]).toEqual(["0x7ffff7c00000", "0x7ffff7a00000"])
    expect([place(at("a1")), place(at("a512")), place(at("a1"), HUGE | MAP.FIXED)]).toEqual([
      "a512",
      "0x7ffff7800000",
      "EINVAL"
    ])
  })

  it("has an offset that is a multiple of it, or what a fixed mapping replaced is gone for nothing", () => {
    const p = world("aa")
    expect(p.mmap("a0", RW, HUGE, -1, 1)).toBe("EINVAL")
    expect(p.areas()).toEqual([])
    expect(p.mmap("a0", RW, HUGE, -1, 512)).toBe("a0")
  })

  it("is cut between huge pages only, and never merged", () => {
    const p = world()
    p.mmap("a0+1536", RW, HUGE)
    expect([p.munmap("a0"), p.mprotect("a1+512", RO), p.mmap("a5", RW), p.mseal("a0+256")]).toEqual(
      Array(4).fill("EINVAL")
    )
    expect(p.mprotect("a512+512", RO)).toBe("ok")
    expect(p.mprotect("a512+512", RW)).toBe("ok")
    expect(p.areas().map((one) => one.split(" ")[0])).toEqual(["a0+512", "a512+512", "a1024+512"])
    expect(p.munmap("a512+512")).toBe("ok")
    p.mmap("a512+512", RW, HUGE)
    expect(p.areas().length).toBe(3)
  })

  it("is not readable where its protection forbids it, before it is found to be empty", () => {
    const p = world()
    p.mmap("a0+512", RW, HUGE)
    p.mprotect("a0+512", NONE)
    expect(p.read("a0")).toBe("SEGV_ACCERR")
  })

  it("cannot be locked, as it cannot be brought in; MAP_LOCKED and MAP_POPULATE do not say so", () => {
    const p = world()
    expect(p.mmap("a0+512", RW, HUGE | MAP.LOCKED | MAP.POPULATE)).toBe("a0")
    expect([p.mlock("a0"), p.areas(), p.counts()]).toEqual(["ENOMEM", ["a0+512 rw-p de nr ht"], "total 512 data 512"])
  })

  it("takes advice by the huge page", () => {
    const p = world()
    p.mmap("a0+1024", RW, HUGE)
    expect([
      p.madvise("a0+512", MADV.DONTNEED),
      p.madvise("a0", MADV.DONTNEED),
      p.madvise("a1", MADV.DONTNEED)
    ]).toEqual(["ok", "ok", "EINVAL"])
    expect([p.madvise("a0", MADV.FREE), p.madvise("a0+512", MADV.FREE), p.madvise("a0", MADV.COLD)]).toEqual([
      "ok",
      "EINVAL",
      "EINVAL"
    ])
    expect([
      p.madvise("a0", MADV.REMOVE),
      p.madvise("a0", MADV.GUARD_INSTALL),
      p.madvise("a0", MADV.WIPEONFORK)
    ]).toEqual(["EACCES", "EINVAL", "EINVAL"])
    expect([p.madvise("a0", MADV.POPULATE_READ), p.madvise("a0", MADV.DONTFORK)]).toEqual(["EFAULT", "EINVAL"])
    expect([p.madvise("a0+1024", MADV.DONTFORK), p.fork().areas()]).toEqual(["ok", []])
    expect(p.madvise("a0+1024", MADV.MERGEABLE)).toBe("ok")
    expect(p.areas()).toEqual(["a0+1024 rw-p dc de nr ht"])
    const into: number[] = []
    expect(call(p.k, () => mincoreTo(p.k, p.task, at("a0"), 8192, 0, into))).toBe(0)
    expect(into).toEqual([0, 0])
  })

  it("moves and shrinks whole, and does not grow", () => {
    const p = world()
    p.mmap("a0+1024", RW, HUGE)
    expect([p.mremap("a0+1024", 1536), p.mremap("a0+1024", 1536, MREMAP.MAYMOVE)]).toEqual(["EINVAL", "EINVAL"])
    expect(p.mremap("a0+1024", "a2048+1024", MREMAP.MAYMOVE | MREMAP.DONTUNMAP)).toBe("EINVAL")
    expect(p.mremap("a0+1024", 512)).toBe("a0")
    expect(p.mremap("a0", "a1024+1"), "a page means a huge one").toBe("a1024")
    expect(p.mremap("a1024+512", "a1+512"), "to where none can be").toBe("EINVAL")
    expect(p.areas()).toEqual(["a1024+512 rw-p de nr ht"])
  })
})

describe("a file of huge pages", () => {
  const huge = (p: Proc): number => {
    const fd = memfdNamed(p.k, p.task, "h", MFD.HUGETLB)
    expect(p.sys(ftruncate, fd, 2 ** 21)).toBe("ok")
    return fd
  }

  it("is mapped in whole pages, with or without the flag, and grows with what is mapped for writing", () => {
    const p = world()
    const fd = huge(p)
    expect(p.mmap("a0", RW, MAP.SHARED, fd)).toBe("ENOMEM")
    expect(p.mmap("a0", RW, MAP.SHARED | MAP.NORESERVE, fd)).toBe("a0")
    expect(p.mmap("a512", RW, MAP.SHARED | MAP.NORESERVE | MAP.HUGETLB, fd, 512)).toBe("a512")
    expect(p.areas()).toEqual(["a0+512 rw-s de nr ht", "a512+512 rw-s de nr ht"])
    expect(p.k.files.size[p.k.vmas.obj(p.area("a0"))]).toBe(2 ** 22)
    expect([p.read("a0"), p.madvise("a0+512", MADV.REMOVE)]).toEqual(["SIGBUS", "ok"])
    expect(p.mmap("a1", RW, MAP.SHARED | MAP.NORESERVE, fd)).toBe("EINVAL")
    expect(p.mmap("a1024", RW, SHARED_ANON | MAP.HUGETLB | MAP.NORESERVE)).toBe("a1024")
  })

  it("may be a System V segment, if nothing is promised", () => {
    const p = world()
    const get = (flags: number): string => p.sys(shmget, 0, 4096, 0o600 | flags)
    expect([get(0o4000), get(0o4000 | (16 << 26)), get(0o14000)]).toEqual(["ENOMEM", "EINVAL", "ok"])
    expect([p.sys(shmat, 0, at("a1"), 0), p.sys(shmat, 0, at("a512"), 0)]).toEqual(["EINVAL", "a512"])
    expect([p.areas(), p.read("a512"), p.munmap("a512")]).toEqual([["a512+512 rw-s de ht"], "SIGBUS", "EINVAL"])
    const user = world().asUser().limit(RLIMIT_MEMLOCK, 511)
    expect(user.sys(shmget, 0, 4096, 0o14600)).toBe("EPERM")
    user.k.tasks.setRlimit(user.task, RLIMIT_MEMLOCK, 512 * 4096, Infinity)
    expect(user.sys(shmget, 0, 4096, 0o14600)).toBe("ok")
  })
})
