/** mmap of files: what a descriptor allows, what the mapping may become, and what /proc calls it. */
import { describe, expect, it } from "vitest"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { EXEC, WRITE } from "../../../lib/flags/ProtFlags.ts"
import {
  FILE_APPEND,
  FILE_DIR,
  FILE_NOEXEC,
  FILE_PIPE,
  FILE_ZERO,
  FMODE_READ,
  FMODE_WRITE
} from "../../../lib/mm/store/files.ts"
import { ftruncate } from "../../../lib/mm/sys/file.ts"
import { memfdSecret } from "../../../lib/mm/sys/memfd.ts"
import { munlockall } from "../../../lib/mm/sys/mlock.ts"
import { NONE, RO, RW, RX } from "./words.ts"
import { type Proc, world } from "./world.ts"

const { PRIVATE, SHARED } = MAP

/** Sets FILE_* flags of an open file. */
function mark(p: Proc, fd: number, flag: number): number {
  p.k.files.setFlags(p.k.tasks.file(p.task, fd), flag)
  return fd
}

describe("a descriptor", () => {
  it("open for reading gives no shared memory to write to; one for writing only gives none at all [L-MMAP-11, L-MMAP-E14, L-MMAP-E15]", () => {
    const p = world()
    const ro = p.open("/f", 4, FMODE_READ)
    const wo = p.open("/f", 4, FMODE_WRITE)
    expect(p.mmap("a0", RW, SHARED, ro)).toBe("EACCES")
    expect(p.mmap("a0", RO, SHARED, ro)).toBe("a0")
    expect(p.mmap("a1", RW, PRIVATE, ro)).toBe("a1")
    for (const type of [SHARED, PRIVATE])
      for (const prot of [NONE, RO, WRITE, RW]) expect(p.mmap("a2", prot, type, wo)).toBe("EACCES")
  })

  it("open for reading makes shared memory that never becomes writable, and is not called shared but in maps [L-MMAP-12]", () => {
    const p = world()
    expect(p.mmap("a0", RO, SHARED, p.open("/f", 4, FMODE_READ))).toBe("a0")
    expect(p.areas()).toEqual(["a0 r--s"])
    expect(p.flags("a0")).toBe("rd mr me ms")
    expect(p.mprotect("a0", RW)).toBe("EACCES")
  })

  it("open for appending gives no shared memory if it may be written to [L-MMAP-13]", () => {
    const p = world()
    const rw = mark(p, p.open("/f"), FILE_APPEND)
    const ro = mark(p, p.open("/f", 4, FMODE_READ), FILE_APPEND)
    expect(p.mmap("a0", RO, SHARED, rw)).toBe("EACCES")
    expect(p.mmap("a0", RW, PRIVATE, rw)).toBe("a0")
    expect(p.mmap("a1", RO, SHARED, ro)).toBe("a1")
  })

  it("of a noexec file system gives nothing to execute, now or later [L-MMAP-14, L-MMAP-E16]", () => {
    const p = world()
    const fd = mark(p, p.open("/f"), FILE_NOEXEC)
    expect(p.mmap("a0", RX, PRIVATE, fd)).toBe("EPERM")
    expect(p.mmap("a0", RW, SHARED, fd)).toBe("a0")
    expect(p.flags("a0"), "no me").toBe("rd wr sh mr mw ms")
    expect(p.mprotect("a0", RX)).toBe("EACCES")
    expect(p.mprotect("a0", EXEC)).toBe("EACCES")
  })

  it("of a directory or a pipe gives nothing, for want of rights first [L-MMAP-15, L-MMAP-16, L-MMAP-E17]", () => {
    const p = world()
    const dir = p.special(FILE_DIR, FMODE_READ)
    expect(p.mmap("a0", RO, PRIVATE, dir)).toBe("ENODEV")
    expect(p.mmap("a0", RW, SHARED, dir)).toBe("EACCES")
    expect(p.mmap("a0", RO, PRIVATE | MAP.GROWSDOWN, dir), "before the stack").toBe("ENODEV")
    const pipe = p.special(FILE_PIPE, FMODE_READ)
    expect(p.mmap("a0", RO, PRIVATE, pipe)).toBe("ENODEV")
    expect(p.mmap("a0", RX, PRIVATE, pipe), "all of pipefs is noexec").toBe("EPERM")
  })
})

describe("/dev/zero", () => {
  it("private is anonymous memory with a name, shared an object of its own with another [L-MMAP-26]", () => {
    const p = world()
    const zero = p.special(FILE_ZERO, FMODE_READ | FMODE_WRITE, "/dev/zero")
    p.mmap("a0", RW, PRIVATE, zero)
    p.mmap("a2+2", RW, SHARED, zero)
    p.mmap("a6", RW, SHARED, zero, 7)
    expect([p.name("a0"), p.name("a2")]).toEqual(["/dev/zero", "/dev/zero (deleted)"])
    expect(p.flags("a0")).toBe("rd wr mr mw me ac")
    p.write("a0")
    p.write("a2+2")
    expect(p.pages("a0+7")).toBe("A_FF__.")
    const child = p.fork()
    child.write("a0", 1)
    child.write("a2", 2)
    expect(p.read("a0+4")).toBe("101 SEGV_MAPERR 2 104")
    expect([p.offset("a6"), p.read("a6")], "an offset points behind the end of the new object").toEqual(["7", "SIGBUS"])
  })

  it("opened for reading stays what it is where it is mapped shared: VM_SHARED is gone [L-MMAP-26]", () => {
    const p = world()
    p.mmap("a0", RO, SHARED, p.special(FILE_ZERO, FMODE_READ, "/dev/zero"))
    expect([p.name("a0"), p.flags("a0")]).toEqual(["/dev/zero", "rd mr me ms"])
  })
})

describe("secret memory", () => {
  const secret = (p: Proc): number => {
    const fd = memfdSecret(p.k, p.task, 0)
    expect(p.sys(ftruncate, fd, 4 * 4096)).toBe("ok")
    return fd
  }

  it("is shared, locked for good, left out of dumps, and never executed [L-MMAP-33]", () => {
    const p = world()
    const fd = secret(p)
    expect(p.mmap("a0+2", RW, PRIVATE, fd)).toBe("EINVAL")
    expect(p.mmap("a0+2", RX, SHARED, fd)).toBe("EPERM")
    expect(p.mmap("a0+2", RW, SHARED, fd)).toBe("a0")
    expect(p.flags("a0")).toBe("rd wr sh mr mw ms lo dd")
    expect(p.munlock("a0+2")).toBe("ok")
    expect(p.sys(munlockall)).toBe("ok")
    expect(p.mprotect("a0", RX)).toBe("EACCES")
    expect(p.flags("a0"), "without effect").toBe("rd wr sh mr mw ms lo dd")
    expect(p.counts()).toBe("total 2 locked 2")
  })

  it("has its flags before neighbours are looked at, and so is one with its like [L-MMAP-32]", () => {
    const p = world()
    const fd = secret(p)
    p.mmap("a0", RW, SHARED, fd)
    p.mmap("a1", RW, SHARED, fd, 1)
    expect(p.areas()).toEqual(["a0+2 rw-s lo dd"])
  })

  it("that is refused has taken out what was there [L-VMA-34]", () => {
    const p = world("aaaa")
    p.write("a0+4")
    expect(p.mmap("a1+2", RW, PRIVATE, secret(p))).toBe("EINVAL")
    expect(p.draw()).toBe("a..a")
    expect(p.counts()).toBe("total 2 data 2")
    expect(p.committed).toBe(2)
  })
})
