/** mmap: its arguments, and the order of its refusals where test/mm/sys/errnos.test.ts leaves something out. */
import * as PR from "../../../lib/flags/PrctlFlags.ts"
import * as SEAL from "../../../lib/flags/SealFlags.ts"
import { describe, expect, it } from "vitest"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { EXEC, GROWSDOWN, SEM, WRITE } from "../../../lib/flags/ProtFlags.ts"
import { permsText } from "../../../lib/mm/proc/maps.ts"
import { FILE_NOEXEC, FMODE_READ } from "../../../lib/mm/store/files.ts"
import { BRK } from "../../../lib/mm/store/mms.ts"
import { RLIMIT_AS, RLIMIT_MEMLOCK } from "../../../lib/mm/store/tasks.ts"
import { brk } from "../../../lib/mm/sys/brk.ts"
import { addSeals } from "../../../lib/mm/sys/memfd.ts"
import { mmap } from "../../../lib/mm/sys/mmap.ts"
import { personality, READ_IMPLIES_EXEC } from "../../../lib/mm/sys/personality.ts"
import { setMdwe } from "../../../lib/mm/sys/prctl.ts"
import { ANON, at, NONE, RO, RW, RWX, SHARED_ANON } from "./words.ts"
import { world } from "./world.ts"

const LOG_2M = 21 << MAP.HUGE_SHIFT

describe("mmap", () => {
  it("does not look at the descriptor of anonymous memory [L-MMAP-03]", () => {
    const p = world()
    expect(p.mmap("a0", RW, ANON, 99)).toBe("a0")
    expect(p.mmap("a1", RW, SHARED_ANON, 99)).toBe("a1")
  })

  it("takes the offset of anonymous memory as it is, wrapping or not; a file's has a limit of its own [L-MMAP-E6]", () => {
    const p = world()
    const last = 0xffff_ffff_ffff_f000n
    expect(p.sys(mmap, at("a0"), 8192, RW, ANON | MAP.FIXED, -1, last)).toBe("a0")
    const file = p.open("/f")
    expect(p.sys(mmap, at("a2"), 8192, RW, MAP.PRIVATE | MAP.FIXED, file, last)).toBe("EOVERFLOW")
    // after the address was chosen, while a wrap of the sum would come before
    expect(p.sys(mmap, at("a2") + 1, 8192, RW, MAP.PRIVATE | MAP.FIXED, file, last)).toBe("EINVAL")
  })

  it("lets offset and length of a regular file come to less than 2^63 bytes, whatever its size [L-MMAP-25, L-MMAP-E12]", () => {
    const p = world()
    const file = p.open("/f", 1)
    const map = (pages: number, offset: bigint): string =>
      p.sys(mmap, at("a0"), pages * 4096, RO, MAP.PRIVATE | MAP.FIXED, file, offset)
    expect(map(1, 0x1_0000_0000n)).toBe("a0")
    expect(p.read("a0"), "far beyond its end").toBe("SIGBUS")
    expect(map(1, 2n ** 63n - 8192n)).toBe("a0")
    expect(map(2, 2n ** 63n - 8192n)).toBe("EOVERFLOW")
    expect(map(1, 2n ** 63n)).toBe("EOVERFLOW")
    const device = p.device()
    expect(p.sys(mmap, at("a0"), 4096, RO, MAP.SHARED | MAP.FIXED, device, 2n ** 63n), "devices have more").toBe("a0")
  })

  it("ignores protection bits that it does not know [L-MMAP-09]", () => {
    const p = world()
    expect(p.mmap("a0", 0xf0)).toBe("a0")
    expect(p.mmap("a1", RO | SEM | GROWSDOWN)).toBe("a1")
    expect(p.areas()).toEqual(["a0 ---p", "a1 r--p"])
  })

  it("ignores DENYWRITE, EXECUTABLE and UNINITIALIZED [L-MMAP-10]", () => {
    const p = world("a")
    expect(p.mmap("a1", RW, ANON | MAP.DENYWRITE | MAP.EXECUTABLE | MAP.UNINITIALIZED)).toBe("a1")
    expect(p.draw()).toBe("aa")
  })

  it("refuses SHARED_VALIDATE flags that nobody knew when it came, before access; SHARED ignores them [L-MMAP-08, L-MMAP-E13]", () => {
    const p = world()
    const file = p.open("/f")
    const readOnly = p.open("/f", 4, FMODE_READ)
    const unknown = 0x20_0000
    for (const flag of [MAP.SYNC, unknown]) {
      expect(p.mmap("a0", RO, MAP.SHARED_VALIDATE | flag, file)).toBe("EOPNOTSUPP")
      expect(p.mmap("a0", RW, MAP.SHARED_VALIDATE | flag, readOnly), "before EACCES").toBe("EOPNOTSUPP")
      expect(p.mmap("a0", RO, MAP.SHARED | flag, file)).toBe("a0")
    }
    expect(p.mmap("a0", RW, MAP.SHARED_VALIDATE, readOnly)).toBe("EACCES")
    expect(p.mmap("a0", RW, MAP.SHARED_VALIDATE | MAP.NORESERVE, file)).toBe("a0")
  })

  it("has no stack that is shared, or of a file [L-MMAP-16]", () => {
    const p = world()
    expect(p.mmap("a0", RW, SHARED_ANON | MAP.GROWSDOWN)).toBe("EINVAL")
    expect(p.mmap("a0", RW, MAP.PRIVATE | MAP.GROWSDOWN, p.open("/f"))).toBe("EINVAL")
    expect(p.mmap("a0", RW, ANON | MAP.GROWSDOWN)).toBe("a0")
  })

  it("has no huge pages: not of an ordinary file, not of an odd size, and none in the pool [L-MMAP-24, L-MMAP-E3]", () => {
    const p = world("a")
    const HUGE = ANON | MAP.HUGETLB
    expect(p.mmap("a512+512", RW, MAP.PRIVATE | MAP.HUGETLB, p.open("/f"))).toBe("EINVAL")
    expect(p.mmap("a512+512", RW, MAP.PRIVATE | MAP.HUGETLB, 99), "no descriptor comes first").toBe("EBADF")
    expect(p.mmap("a512+512", RW, HUGE)).toBe("ENOMEM")
    expect(p.mmap("a512+512", RW, HUGE | LOG_2M)).toBe("ENOMEM")
    expect(p.mmap("a512+512", RW, HUGE | (20 << MAP.HUGE_SHIFT))).toBe("EINVAL")
    expect(p.mmap("a1", RW, HUGE), "the place must be a multiple too").toBe("EINVAL")
    // one page becomes 512, and the pages beyond the first are in the way
    p.mmap("a1023", RW)
    expect(p.mmap("a512", RW, HUGE | MAP.FIXED_NOREPLACE)).toBe("EEXIST")
  })

  it("refuses memory that is writable and executable under MDWE, before seals and limits [L-MMAP-29, L-MMAP-E20]", () => {
    const p = world("aa")
    p.mseal("a0")
    p.limit(RLIMIT_AS, 2)
    p.sys(setMdwe, PR.MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)
    expect(p.mmap("a0", RWX)).toBe("EACCES")
    expect(p.mmap("a4", RWX)).toBe("EACCES")
    expect(p.mmap("a0", RW), "the seal").toBe("EPERM")
    expect(p.mmap("a4", RW), "the limit").toBe("ENOMEM")
    expect(p.mmap("a1", RO | EXEC)).toBe("a1")
  })

  it("answers where the request is, though the area begins below [L-MMAP-34]", () => {
    const p = world("aa")
    expect(p.mmap("a2+2", RW)).toBe("a2")
    expect(p.areas()).toEqual(["a0+4 rw-p"])
  })
})

describe("READ_IMPLIES_EXEC", () => {
  it("makes executable what is mapped or made readable, if it may be; nothing else [L-MMAP-28]", () => {
    const p = world("b")
    expect(p.sys(personality, READ_IMPLIES_EXEC)).toBe("ok")
    expect(p.sys(personality, 0xffff_ffff), "asks").toBe("0x400000")
    const noexec = p.open("/noexec")
    p.k.files.setFlags(p.k.tasks.file(p.task, noexec), FILE_NOEXEC)
    p.mmap("a1", RO)
    p.mmap("a2", WRITE)
    p.mmap("a3", RO, MAP.PRIVATE, noexec)
    p.mmap("a4", NONE)
    expect(p.areas()).toEqual(["a0 r--p", "a1 r-xp", "a2 -w-p", "a3 r--p", "a4 ---p"])
    expect(p.mprotect("a0", RO)).toBe("ok")
    expect(p.mprotect("a2+3", RW)).toBe("ok")
    expect(p.areas()).toEqual(["a0+2 r-xp", "a2 rwxp", "a3 rw-p", "a4 rwxp"])
    expect(p.mprotect("a4", WRITE)).toBe("ok")
    expect(p.areas()[3]).toBe("a4 -w-p")
    expect(p.fork().mmap("a8", RO)).toBe("a8")
    p.sys(personality, 0)
    p.mprotect("a0", RO)
    expect(p.areas().slice(0, 2)).toEqual(["a0 r--p", "a1 r-xp"])
  })

  it("makes the heap that grows executable, too", () => {
    const p = world()
    const end = p.k.mms.stat(p.mm, BRK)
    p.sys(brk, end + 4096)
    p.sys(personality, READ_IMPLIES_EXEC)
    p.sys(brk, end + 8192)
    expect(p.k.maple.list(p.mm).map((v) => permsText(p.k.vmas.flags(v)))).toEqual(["rw-p", "rwxp"])
  })
})

describe("droppable memory", () => {
  const DROPPABLE = MAP.DROPPABLE | MAP.ANONYMOUS

  it("is never promised, dumped or inherited [L-MMAP-23]", () => {
    const p = world()
    expect(p.mmap("a0+2", RW, DROPPABLE)).toBe("a0")
    expect(p.flags("a0")).toBe("rd wr mr mw me nr wf dd dp")
    expect(p.committed).toBe(0)
  })

  it("is neither locked, nor huge, nor a stack; the right to lock is asked for first [L-MMAP-23]", () => {
    const p = world()
    for (const flag of [MAP.LOCKED, MAP.GROWSDOWN]) expect(p.mmap("a0", RW, DROPPABLE | flag)).toBe("EINVAL")
    expect(p.mmap("a512+512", RW, DROPPABLE | MAP.HUGETLB)).toBe("EINVAL")
    p.limit(RLIMIT_MEMLOCK, 1).asUser()
    expect(p.mmap("a0+2", NONE, DROPPABLE | MAP.LOCKED)).toBe("EAGAIN")
    p.limit(RLIMIT_MEMLOCK, 0)
    expect(p.mmap("a0+2", NONE, DROPPABLE | MAP.LOCKED)).toBe("EPERM")
  })
})

describe("a memfd that is sealed against writing", () => {
  it("cannot be mapped shared and writable; mapped read-only it stays so; private copies are free [L-MMAP-27, L-MMAP-E19]", () => {
    for (const seal of [SEAL.WRITE, SEAL.FUTURE_WRITE]) {
      const p = world()
      const fd = p.memfd(4)
      expect(p.sys(addSeals, fd, seal)).toBe("ok")
      expect(p.mmap("a0", RW, MAP.SHARED, fd)).toBe("EPERM")
      expect(p.mmap("a0", RO, MAP.SHARED, fd)).toBe("a0")
      expect(p.flags("a0"), "no mw").toBe("rd sh mr me ms")
      expect(p.mprotect("a0", RW)).toBe("EACCES")
      expect(p.mmap("a1", RW, MAP.PRIVATE, fd, 1)).toBe("a1")
      expect(p.write("a1", 9)).toBe("ok")
      expect(p.read("a0+2")).toBe("1 9")
    }
  })
})
