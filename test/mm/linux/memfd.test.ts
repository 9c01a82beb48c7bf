/** memfd_create and its seals, fallocate and ftruncate, secret memory. */
import * as MFD from "../../../lib/flags/MemfdFlags.ts"
import * as SEAL from "../../../lib/flags/SealFlags.ts"
import { describe, expect, it } from "vitest"
import * as MADV from "../../../lib/flags/AdviceFlags.ts"
import { LOCKED, PRIVATE, SHARED } from "../../../lib/flags/MapFlags.ts"
import { createFile, installFd, openPath, RDWR, reopen } from "../../../lib/mm/object/file.ts"
import {
  FILE_DIR,
  FILE_PIPE,
  FILE_REGULAR,
  FILE_SHMEM,
  FILE_ZERO,
  FMODE_READ,
  FMODE_WRITE
} from "../../../lib/mm/store/files.ts"
import { MAX_FDS, RLIMIT_MEMLOCK } from "../../../lib/mm/store/tasks.ts"
import { dup } from "../../../lib/mm/sys/fd.ts"
import { fallocate, fchmod, ftruncate, pread, preadUser, pwrite, pwriteUser } from "../../../lib/mm/sys/file.ts"
import { pidfdOpen } from "../../../lib/mm/sys/pidfd.ts"
import { addSeals, getSeals, memfdCreate, memfdNamed, memfdSecret } from "../../../lib/mm/sys/memfd.ts"
import { mincoreTo } from "../../../lib/mm/sys/mincore.ts"
import { mlock, munlock, munlockall } from "../../../lib/mm/sys/mlock.ts"
import { userStore8 } from "../../../lib/mm/sys/trap.ts"
import { call } from "../../../lib/proof/testing/calls.ts"
import { at, outcome, RO, RW, RX } from "./words.ts"
import { type Proc, world } from "./world.ts"

/** A memfd that may be sealed, of so many bytes: its descriptor. */
function memfd(p: Proc, bytes = 0, flags: number = MFD.ALLOW_SEALING): number {
  const fd = memfdNamed(p.k, p.task, "m", flags)
  expect(fd).toBeGreaterThanOrEqual(0)
  expect(p.sys(ftruncate, fd, bytes)).toBe("ok")
  return fd
}
/** A read-only descriptor of the same file. */
const readOnly = (p: Proc, fd: number): number =>
  installFd(p.k, p.task, reopen(p.k, p.k.tasks.file(p.task, fd), FMODE_READ))
/** memfd_create with a name that lies in memory at `address`. */
const create = (p: Proc, address: number, flags = 0): string => p.sys(memfdCreate, address, flags)
/** Writes a string, without a 0 after it, to memory. */
const spell = (p: Proc, address: number, text: string): void => {
  for (const [i, byte] of new TextEncoder().encode(text).entries()) userStore8(p.k, p.mm, address + i, byte)
}
const write = (p: Proc, fd: number, text: string, offset: number): string =>
  outcome(pwrite(p.k, p.task, fd, new TextEncoder().encode(text), offset))
const seals = (p: Proc, fd: number): string => p.sys(getSeals, fd)

/** Which pages of an area are in memory: `0110`. */
function inCore(p: Proc, page: `a${number}`, pages: number): string {
  const into: number[] = []
  expect(call(p.k, () => mincoreTo(p.k, p.task, at(page), pages * 4096, 0, into))).toBe(0)
  return into.join("")
}

describe("memfd_create", () => {
  it("takes a name of up to 249 bytes, and shows it as a deleted file [L-MEMFD-01, L-MEMFD-MEMFD_CREATE-E3]", () => {
    const p = world("a")
    spell(p, at("a0"), "x".repeat(250))
    expect(create(p, at("a0"))).toBe("EINVAL")
    expect(create(p, at("a0") + 1)).toBe("ok")
    spell(p, at("a0"), "a/b\n\0")
    expect(create(p, at("a0"))).toBe("1")
    expect(create(p, at("a0") + 4), "an empty name").toBe("2")
    p.mmap("a4", RO, SHARED, 1)
    expect(p.name("a4")).toBe("/memfd:a/b\\012 (deleted)")
  })

  it("reads the name from memory, as far as it needs it [L-MEMFD-01, L-MEMFD-MEMFD_CREATE-E2]", () => {
    const p = world("a")
    expect(create(p, 0)).toBe("EFAULT")
    spell(p, at("a1") - 300, "y".repeat(300))
    expect(create(p, at("a1") - 10), "it leaves the area before it ends").toBe("EFAULT")
    expect(create(p, at("a1") - 250), "250 bytes and no end: too long is all that is asked").toBe("EINVAL")
    expect(create(p, -1)).toBe("EFAULT")
  })

  it("knows five flags, of which two exclude each other, before it looks at the name [L-MEMFD-02, L-MEMFD-MEMFD_CREATE-E1]", () => {
    const p = world()
    for (const flags of [0x20, 0x100, 1 << 26, -1, MFD.EXEC | MFD.NOEXEC_SEAL])
      expect(create(p, 0, flags), `flags ${flags}`).toBe("EINVAL")
    const flags = [MFD.CLOEXEC, MFD.ALLOW_SEALING, MFD.NOEXEC_SEAL, MFD.EXEC]
    expect(flags.map((one) => memfdNamed(p.k, p.task, "m", one))).toEqual([0, 1, 2, 3])
    expect([0, 1, 2, 3].map((fd) => p.k.tasks.closesOnExec(p.task, fd))).toEqual([true, false, false, false])
  })

  it("makes files of huge pages that there are none of, of sizes that there are [L-MEMFD-02, L-MEMFD-MEMFD_CREATE-E4]", () => {
    const p = world()
    const huge = (log: number): string => p.sys((k, task) => memfdNamed(k, task, "h", MFD.HUGETLB | (log << 26)))
    expect([huge(0), huge(21), huge(30), huge(16), huge(5)]).toEqual(["ok", "1", "2", "ENODEV", "ENODEV"])
    expect([p.sys(ftruncate, 0, 4096), p.sys(ftruncate, 0, 2 ** 21)]).toEqual(["EINVAL", "ok"])
    expect(p.sys(fallocate, 0, 0, 0, 2 ** 21)).toBe("ENOSPC")
    expect([write(p, 0, "x", 0), outcome(pread(p.k, p.task, 0, new Uint8Array(8), 2 ** 21 - 5))]).toEqual([
      "EINVAL",
      "5"
    ])
  })

  it("needs a descriptor: before it knows the size of huge pages, after it has read the name [L-MEMFD-MEMFD_CREATE-E5]", () => {
    const p = world("a")
    memfd(p)
    for (let fd = 1; fd < MAX_FDS; fd++) p.sys(dup, 0)
    expect(create(p, at("a0"))).toBe("EMFILE")
    expect(create(p, at("a0"), MFD.HUGETLB | (16 << 26))).toBe("EMFILE")
    expect(create(p, 0)).toBe("EFAULT")
    expect(p.sys(memfdSecret, 0)).toBe("EMFILE")
    const q = world("", { maxFiles: 4 })
    expect([1, 2, 3, 4].map(() => memfdNamed(q.k, q.task, "m", 0)).map(outcome)).toEqual(["ok", "1", "2", "ENFILE"])
  })

  it("seals against seals unless told otherwise, and gives permissions by its flags [L-MEMFD-03]", () => {
    const p = world()
    const of = (flags: number): string => {
      const fd = memfdNamed(p.k, p.task, "m", flags)
      return `${seals(p, fd)} ${p.k.files.objMode(p.k.files.obj(p.k.tasks.file(p.task, fd))).toString(8)}`
    }
    expect(of(0)).toBe("1 777")
    expect(of(MFD.ALLOW_SEALING)).toBe("ok 777")
    expect(of(MFD.NOEXEC_SEAL)).toBe("32 666")
    expect(of(MFD.EXEC)).toBe("1 777")
  })

  it("makes files that are not executable where vm.memfd_noexec says so", () => {
    const p = world("", { memfdNoexec: 1 })
    expect([memfdNamed(p.k, p.task, "m", 0), seals(p, 0)]).toEqual([0, "32"])
    expect([memfdNamed(p.k, p.task, "m", MFD.EXEC), seals(p, 1)]).toEqual([1, "1"])
    const q = world("", { memfdNoexec: 2 })
    expect(outcome(memfdNamed(q.k, q.task, "m", MFD.EXEC))).toBe("EACCES")
    expect(outcome(memfdNamed(q.k, q.task, "m", 0))).toBe("ok")
  })
})

describe("seals", () => {
  it("are what shared memory has: every tmpfs file is sealed against them, others have none [L-MEMFD-04]", () => {
    const p = world()
    createFile(p.k, "/tmpfs/f", FILE_SHMEM, 0)
    createFile(p.k, "/f", FILE_REGULAR, 0)
    const fds = ["/tmpfs/f", "/f"].map((path) => installFd(p.k, p.task, openPath(p.k, path, RDWR)))
    expect(fds.map((fd) => seals(p, fd))).toEqual(["1", "EINVAL"])
    expect([seals(p, p.special(FILE_ZERO)), seals(p, p.special(FILE_PIPE)), seals(p, 99)]).toEqual([
      "EINVAL",
      "EINVAL",
      "EBADF"
    ])
  })

  it("are six bits; adding one again, or none, is fine [L-MEMFD-05, L-MEMFD-F_ADD_SEALS-E2]", () => {
    const p = world()
    const fd = memfd(p)
    expect([p.sys(addSeals, fd, SEAL.GROW), p.sys(addSeals, fd, SEAL.GROW), p.sys(addSeals, fd, 0)]).toEqual([
      "ok",
      "ok",
      "ok"
    ])
    expect([seals(p, fd), p.sys(addSeals, fd, 64), p.sys(addSeals, fd, 0x100)]).toEqual(["4", "EINVAL", "EINVAL"])
    const sealed = memfd(p, 0, 0)
    expect(p.sys(addSeals, sealed, 64), "before it is found to be sealed").toBe("EINVAL")
  })

  it("are added through a descriptor for writing only, whatever they are [L-MEMFD-05, L-MEMFD-F_ADD_SEALS-E1]", () => {
    const p = world()
    const ro = readOnly(p, memfd(p))
    expect([p.sys(addSeals, ro, 64), p.sys(addSeals, ro, 2)]).toEqual(["EPERM", "EPERM"])
    expect(p.sys(addSeals, p.special(FILE_ZERO, FMODE_READ), 2)).toBe("EPERM")
    expect(p.sys(addSeals, 99, 2)).toBe("EBADF")
  })

  it("cannot be added to other files [L-MEMFD-F_ADD_SEALS-E3]", () => {
    const p = world()
    expect([p.sys(addSeals, p.special(FILE_ZERO), 2), p.sys(addSeals, p.open("/f"), 2)]).toEqual(["EINVAL", "EINVAL"])
  })

  it("end with the seal against seals: then not even none may be added [L-MEMFD-05, L-MEMFD-F_ADD_SEALS-E4]", () => {
    const p = world()
    const fd = memfd(p)
    expect(p.sys(addSeals, fd, SEAL.SEAL | SEAL.SHRINK)).toBe("ok")
    expect([p.sys(addSeals, fd, SEAL.GROW), p.sys(addSeals, fd, 0), seals(p, fd)]).toEqual(["EPERM", "EPERM", "3"])
  })

  it("against execution bring all others on a file with an execute bit [L-MEMFD-06]", () => {
    const p = world()
    const fd = memfd(p)
    expect([p.sys(addSeals, fd, SEAL.EXEC), seals(p, fd)]).toEqual(["ok", "62"])
    const other = memfd(p)
    p.sys(fchmod, other, 0o600)
    expect([p.sys(addSeals, other, SEAL.EXEC), seals(p, other)]).toEqual(["ok", "32"])
  })

  it("against execution, bringing the one against writes, wait for writable mappings too [L-MEMFD-06, L-MEMFD-08]", () => {
    const p = world()
    const fd = memfd(p, 4096)
    p.mmap("a0", RO, SHARED, fd)
    expect([p.sys(addSeals, fd, SEAL.EXEC), seals(p, fd)]).toEqual(["EBUSY", "ok"])
  })

  it("against execution keep the execute bits as they are [L-MEMFD-07]", () => {
    const p = world()
    const fd = memfd(p, 0, MFD.NOEXEC_SEAL)
    expect([p.sys(fchmod, fd, 0o755), p.sys(fchmod, fd, 0o600), p.sys(fchmod, fd, 0o640)]).toEqual([
      "EPERM",
      "ok",
      "ok"
    ])
    const user = p.fork().asUser()
    expect(user.sys(fchmod, fd, 0o600), "somebody else's").toBe("EPERM")
    expect(user.sys(fchmod, memfd(user), 0o600)).toBe("ok")
  })

  it("against writes wait until nobody has a shared mapping that may be written, a read-only one included [L-MEMFD-08, L-MEMFD-F_ADD_SEALS-E5]", () => {
    const p = world()
    const fd = memfd(p, 8192)
    p.mmap("a0", RO, SHARED, fd)
    expect(p.sys(addSeals, fd, SEAL.WRITE | SEAL.SHRINK), "nothing is added").toBe("EBUSY")
    expect(seals(p, fd)).toBe("ok")
    p.munmap("a0")
    p.mmap("a0", RO, SHARED, readOnly(p, fd))
    p.mmap("a1", RW, PRIVATE, fd)
    expect([p.sys(addSeals, fd, SEAL.WRITE), seals(p, fd)], "through a read-only descriptor").toEqual(["ok", "8"])
  })

  it("against future writes leave mappings alone that may be written already [L-MEMFD-09]", () => {
    const p = world()
    const fd = memfd(p, 4 * 4096)
    p.mmap("a0+2", RO, SHARED, fd)
    expect(p.sys(addSeals, fd, SEAL.FUTURE_WRITE)).toBe("ok")
    expect([p.mprotect("a0+2", RW), p.write("a0+2")]).toEqual(["ok", "ok"])
    expect([p.mremap("a1", "a9"), p.write("a9")]).toEqual(["a9", "ok"])
    const child = p.fork()
    expect(child.write("a0", 7)).toBe("ok")
    expect(p.read("a0")).toBe("7")
    expect(p.mmap("a20", RW, SHARED, fd)).toBe("EPERM")
    expect([write(p, fd, "x", 0), p.madvise("a0", MADV.REMOVE), p.sys(fallocate, fd, 3, 0, 4096)]).toEqual(
      Array(3).fill("EPERM")
    )
    expect([p.mmap("a20", RO, SHARED, fd), p.mprotect("a20", RW)]).toEqual(["a20", "EACCES"])
  })

  it("against growth and shrinking hold for every way to change a size [L-MEMFD-10]", () => {
    const p = world()
    const fd = memfd(p, 4096)
    p.sys(addSeals, fd, SEAL.GROW)
    expect([p.sys(ftruncate, fd, 4097), p.sys(fallocate, fd, 0, 4096, 1), p.sys(fallocate, fd, 1, 4096, 1)]).toEqual(
      Array(3).fill("EPERM")
    )
    expect([write(p, fd, "ab", 4095), write(p, fd, "ab", 4096)], "the first part, then nothing").toEqual(["1", "EPERM"])
    expect([p.sys(ftruncate, fd, 4096), p.sys(ftruncate, fd, 100), p.sys(fallocate, fd, 0, 0, 100)]).toEqual(
      Array(3).fill("ok")
    )
    p.sys(addSeals, fd, SEAL.SHRINK)
    expect([p.sys(ftruncate, fd, 99), p.sys(ftruncate, fd, 100)]).toEqual(["EPERM", "ok"])
    expect(write(p, fd, "ab", 99), "both bytes lie in one page: neither is written").toBe("EPERM")
  })

  it("against writes forbid holes, the one against shrinking does not [L-MEMFD-11]", () => {
    const p = world()
    for (const [seal, answer] of [
      [SEAL.SHRINK, "ok"],
      [SEAL.WRITE, "EPERM"],
      [SEAL.FUTURE_WRITE, "EPERM"]
    ] as const) {
      const fd = memfd(p, 8192)
      p.sys(addSeals, fd, seal)
      expect(p.sys(fallocate, fd, 3, 0, 4096), `seal ${seal}`).toBe(answer)
    }
  })

  it("against writes leave shared mappings for reading, and private ones [L-MEMFD-12]", () => {
    const p = world()
    const fd = memfd(p, 8192)
    p.sys(addSeals, fd, SEAL.WRITE)
    expect([p.mmap("a0", RW, SHARED, fd), p.mmap("a0", RO, SHARED, fd), p.mmap("a1", RW, PRIVATE, fd)]).toEqual([
      "EPERM",
      "a0",
      "a1"
    ])
    expect([p.flags("a0"), p.mprotect("a0", RW), p.write("a1")]).toEqual(["rd sh mr me ms", "EACCES", "ok"])
    p.mmap("a2", RO, SHARED, fd)
    expect(p.sys(addSeals, fd, SEAL.WRITE), "once more").toBe("ok")
  })
})

describe("fallocate and ftruncate", () => {
  it("know three modes, and what can be written to [L-MEMFD-13]", () => {
    const p = world()
    const fd = memfd(p, 8192)
    expect([0, 1, 3].map((mode) => p.sys(fallocate, fd, mode, 0, 4096))).toEqual(["ok", "ok", "ok"])
    expect([2, 8, 9, 0x10, 0x20].map((mode) => p.sys(fallocate, fd, mode, 0, 4096))).toEqual(
      Array(5).fill("EOPNOTSUPP")
    )
    expect([p.sys(fallocate, fd, 0, 0, 0), p.sys(fallocate, fd, 0, -1, 1), p.sys(fallocate, fd, 0, 0, -1)]).toEqual(
      Array(3).fill("EINVAL")
    )
    expect(p.sys(fallocate, readOnly(p, fd), 0, 0, 1)).toBe("EBADF")
    expect(p.sys(fallocate, p.special(FILE_PIPE, FMODE_READ), 0, 0, 1)).toBe("EBADF")
    expect(p.sys(fallocate, p.special(FILE_PIPE, FMODE_WRITE), 0, 0, 1)).toBe("ESPIPE")
    expect(p.sys(fallocate, p.special(FILE_ZERO), 0, 0, 1)).toBe("ENODEV")
  })

  it("look at the mode, then at the right to write, then at the file and how far it reaches", () => {
    const p = world()
    const fd = memfd(p, 4096)
    const reader = readOnly(p, fd)
    const badModes = [2, 4, 9, 0x12, 0x18, 0x21, 0x42, 0x81, 0x100]
    expect(badModes.map((mode) => p.sys(fallocate, reader, mode, 0, 4096))).toEqual(badModes.map(() => "EOPNOTSUPP"))
    const modes = [0, 1, 3, 8, 0x10, 0x11, 0x20, 0x40, 0x41, 0x80]
    expect(modes.map((mode) => p.sys(fallocate, reader, mode, 0, 4096))).toEqual(modes.map(() => "EBADF"))
    for (const mode of [0, 3, 8]) expect(p.sys(fallocate, fd, mode, 2n ** 63n - 4096n, 4096), `${mode}`).toBe("EFBIG")
    expect(p.sys(fallocate, fd, 3, 2n ** 63n - 4096n, 4095)).toBe("ok")
    expect(p.sys(fallocate, p.special(FILE_ZERO), 0, 2n ** 63n - 4096n, 4096)).toBe("ENODEV")
    const process = pidfdOpen(p.k, p.task, p.task, 0)
    expect([p.sys(fallocate, process, 0, 0, 4096), p.sys(ftruncate, process, 0)]).toEqual(["EOPNOTSUPP", "EOPNOTSUPP"])
  })

  it("that find too little memory leave none allocated, and what was allocated before", () => {
    const p = world()
    const fd = memfd(p, 0)
    expect(p.sys(fallocate, fd, 0, 4096, 2 * 4096)).toBe("ok")
    const free = p.k.frames.free()
    expect(p.sys(fallocate, fd, 1, 0, (free + 3) * 4096)).toBe("ENOSPC")
    expect([p.k.frames.free(), p.k.files.cached(p.k.files.obj(p.k.tasks.file(p.task, fd)))]).toEqual([free, 2])
    p.mmap("a0+3", RW, SHARED, fd)
    expect(inCore(p, "a0", 3), "allocated twice is as good as touched").toBe("011")
  })

  it("set no size that is negative, nor of what cannot be written or has none [L-MEMFD-14]", () => {
    const p = world()
    const fd = memfd(p)
    expect([p.sys(ftruncate, fd, -1), p.sys(ftruncate, readOnly(p, fd), 0)]).toEqual(["EINVAL", "EINVAL"])
    expect([FILE_PIPE, FILE_ZERO, FILE_DIR].map((kind) => p.sys(ftruncate, p.special(kind), 0))).toEqual(
      Array(3).fill("EINVAL")
    )
    expect(p.sys(ftruncate, 99, 0)).toBe("EBADF")
  })
})

describe("a hole of a memfd", () => {
  it("gets a page of its own when it is read, and only the one that was [L-MEMFD-16]", () => {
    const p = world()
    const fd = memfd(p, 0)
    p.sys(ftruncate, fd, 16 * 4096)
    p.mmap("a0+16", RW, SHARED, fd)
    expect([p.read("a8"), p.pages("a0+16"), inCore(p, "a0", 16)]).toEqual(["0", "........F.......", "0000000010000000"])
  })

  it("gets one too when a private mapping writes there [L-MEMFD-17]", () => {
    const p = world()
    const fd = memfd(p, 16 * 4096)
    p.mmap("a0+16", RW, PRIVATE, fd)
    p.mmap("a20+16", RW, SHARED, fd)
    p.write("a2", 9)
    expect([p.pages("a0+4"), inCore(p, "a20", 4)]).toEqual(["..A.", "0010"])
    expect([p.read("a21"), p.pages("a20+4")], "it comes along as a neighbour").toEqual(["0", ".FF."])
    expect(p.read("a22"), "and is not the copy").toBe("0")
  })
})

describe("memfd_secret", () => {
  const secret = (p: Proc, pages: number): number => {
    const fd = memfdSecret(p.k, p.task, 0)
    expect(p.sys(ftruncate, fd, pages * 4096)).toBe("ok")
    return fd
  }

  it("has a size that is set once [L-MEMFD-15]", () => {
    const p = world()
    expect([p.sys(memfdSecret, 1), p.sys(memfdSecret, 0o2000000), p.k.tasks.closesOnExec(p.task, 0)]).toEqual([
      "EINVAL",
      "ok",
      true
    ])
    expect([0, 8192, 8192, 0].map((size) => p.sys(ftruncate, 0, size))).toEqual(["ok", "ok", "EINVAL", "EINVAL"])
  })

  it("is mapped shared only, always locked, never executable [L-MEMFD-15]", () => {
    const p = world()
    const fd = secret(p, 4)
    expect(p.mmap("a0", RW, PRIVATE, fd)).toBe("EINVAL")
    expect([p.mmap("a0", RX, SHARED, fd), p.mmap("a0+2", RW, SHARED, fd), p.mprotect("a0", RX)]).toEqual([
      "EPERM",
      "a0",
      "EACCES"
    ])
    expect([p.flags("a0"), p.counts(), p.pages("a0+2")]).toEqual(["rd wr sh mr mw ms lo dd", "total 2 locked 2", ".."])
    expect([p.write("a0"), p.read("a1"), p.pages("a0+2")]).toEqual(["ok", "0", "FF"])
    expect(p.k.mms.rss(p.mm, 0), "resident as pages of a file").toBe(2)
    expect(p.mmap("a2", RW, SHARED, fd, 2), "its neighbour").toBe("a2")
    expect(p.areas(), "is one with it").toEqual(["a0+3 rw-s lo dd"])
    expect(p.mremap("a0+3", 6), "it may grow beyond its end").toBe("a0")
    expect(p.read("a4")).toBe("SIGBUS")
  })

  it("counts as locked, and against the limit [L-MEMFD-15]", () => {
    const p = world().asUser().limit(RLIMIT_MEMLOCK, 4)
    const fd = secret(p, 8)
    expect([p.mmap("a0+5", RW, SHARED, fd), p.mmap("a0+4", RW, SHARED, fd), p.mmap("a8", RW, SHARED, fd)]).toEqual([
      "EAGAIN",
      "a0",
      "EAGAIN"
    ])
    expect(p.counts()).toBe("total 4 locked 4")
  })

  it("takes away what a fixed mapping replaced, even where it refuses to be mapped", () => {
    const p = world("aaaa")
    expect(p.mmap("a1+2", RW, PRIVATE, secret(p, 4))).toBe("EINVAL")
    expect([p.draw(), p.counts(), p.committed]).toEqual(["a..a", "total 2 data 2", 2])
  })

  it("cannot be unlocked, nor brought in, nor read or written as a file", () => {
    const p = world("a")
    const fd = secret(p, 2)
    p.mmap("a2+2", RW, SHARED, fd)
    expect([p.sys(munlock, at("a2"), 4096), p.sys(munlockall), p.flags("a2")]).toEqual([
      "ok",
      "ok",
      "rd wr sh mr mw ms lo dd"
    ])
    expect(p.sys(mlock, at("a2"), 4096), "its pages cannot be had by the kernel").toBe("ENOMEM")
    expect(
      [MADV.POPULATE_READ, MADV.DONTNEED, MADV.REMOVE, MADV.DODUMP].map((advice) => p.madvise("a2", advice))
    ).toEqual(["EINVAL", "EINVAL", "EINVAL", "ok"])
    expect(p.areas().slice(1)).toEqual(["a2 rw-s lo", "a3 rw-s lo dd"])
    expect([write(p, fd, "x", 0), outcome(pread(p.k, p.task, fd, new Uint8Array(1), 0)), seals(p, fd)]).toEqual([
      "ESPIPE",
      "ESPIPE",
      "EINVAL"
    ])
    expect([p.sys(preadUser, fd, at("a0"), 1, 0), p.sys(pwriteUser, fd, at("a0"), 1, 0)]).toEqual(["ESPIPE", "ESPIPE"])
    expect(p.sys(fallocate, fd, 0, 0, 4096)).toBe("EOPNOTSUPP")
  })

  it("is shared with a child, who has it unlocked", () => {
    const p = world()
    p.mmap("a0", RW, SHARED | LOCKED, secret(p, 1))
    p.write("a0", 5)
    const child = p.fork()
    expect([child.read("a0"), child.flags("a0"), child.counts()]).toEqual(["5", "rd wr sh mr mw ms dd", "total 1"])
  })
})
