/** System V shared memory: identifiers, attachments, what counts as one, and when a segment ends. */
import * as MREMAP from "../../../lib/flags/MremapFlags.ts"
import * as SHM from "../../../lib/flags/ShmFlags.ts"
import { describe, expect, it } from "vitest"
import { VM_SHARED } from "../../../lib/flags/bits.ts"
import { mapsLine } from "../../../lib/mm/proc/maps.ts"
import { RLIMIT_AS, RLIMIT_MEMLOCK } from "../../../lib/mm/store/tasks.ts"
import { mlockall } from "../../../lib/mm/sys/mlock.ts"
import { remapFilePages } from "../../../lib/mm/sys/remap-file-pages.ts"
import { setMdwe } from "../../../lib/mm/sys/prctl.ts"
import { shmat, shmdt, shmget } from "../../../lib/mm/sys/shm.ts"
import * as CTL from "../../../lib/mm/sys/shmctl.ts"
import { shmctl } from "../../../lib/mm/sys/shmctl.ts"
import { userLoad8, userStore8 } from "../../../lib/mm/sys/trap.ts"
import { at, NONE, outcome, RO, RW, RX } from "./words.ts"
import { type Proc, world } from "./world.ts"

const MINE = 0o600
type Page = `a${number}`

/** A segment of so many bytes: its identifier. */
function segment(p: Proc, bytes: number, mode = MINE, key = SHM.PRIVATE): number {
  const id = shmget(p.k, p.task, key, bytes, SHM.CREAT | mode)
  expect(id).toBeGreaterThanOrEqual(0)
  return id
}
const get = (p: Proc, key: number, bytes: number, flags: number): string => p.sys(shmget, key, bytes, flags)
const attach = (p: Proc, id: number, page: Page | 0, flags = 0): string =>
  p.sys(shmat, id, page === 0 ? 0 : at(page), flags)
const detach = (p: Proc, page: Page): string => p.sys(shmdt, at(page))
const control = (p: Proc, id: number, command: number, buffer = 0): string => p.sys(shmctl, id, command, buffer)
/** shm_nattch; or the errno of whoever may not know. */
function attached(p: Proc, id: number): number | string {
  const s = CTL.shmStat(p.k, p.task, id)
  return typeof s === "number" ? outcome(s) : s.attached
}
const modeOf = (p: Proc, id: number): string => {
  const s = CTL.shmStat(p.k, p.task, id)
  return typeof s === "number" ? outcome(s) : s.mode.toString(8)
}

describe("shmget", () => {
  it("finds a segment by its key, asked for fewer bytes, not for more: its size is not rounded up [L-SHM-01]", () => {
    const p = world()
    const id = segment(p, 5000, MINE, 7)
    expect([get(p, 7, 100, 0), get(p, 7, 5000, 0), get(p, 7, 0, 0)]).toEqual([`${id}`, `${id}`, `${id}`].map(zero))
    expect([get(p, 7, 5001, 0), get(p, 7, 8192, 0), get(p, 7, 9000, 0)]).toEqual(["EINVAL", "EINVAL", "EINVAL"])
  })

  it("makes nothing of no size, nor of one above kernel.shmmax [L-SHM-SHMGET-E1]", () => {
    const p = world("", { shmmax: 8192 })
    expect([get(p, 7, 0, SHM.CREAT), get(p, 7, -1, SHM.CREAT), get(p, 7, 8193, SHM.CREAT)]).toEqual(
      Array(3).fill("EINVAL")
    )
    expect(get(p, 7, 8192, SHM.CREAT)).toBe("ok")
    expect(get(world(), 7, -1, SHM.CREAT), "the default leaves 16 MiB of 64 bits").toBe("EINVAL")
  })

  it("needs IPC_CREAT for a new key, and never finds a private one [L-SHM-SHMGET-E2]", () => {
    const p = world()
    expect(get(p, 7, 0, 0), "before the size is looked at").toBe("ENOENT")
    expect(get(p, 7, 4096, MINE)).toBe("ENOENT")
    const ids = [SHM.PRIVATE, SHM.PRIVATE].map((key) => shmget(p.k, p.task, key, 4096, MINE))
    expect(ids).toEqual([0, 1])
  })

  it("with IPC_EXCL refuses a key that is there, before it looks at size or permissions [L-SHM-SHMGET-E3]", () => {
    const p = world()
    segment(p, 4096, 0, 7)
    expect(get(p.asUser(), 7, 9000, SHM.CREAT | SHM.EXCL | MINE)).toBe("EEXIST")
    expect(get(p, 7, 4096, SHM.EXCL), "alone it means nothing").toBe("ok")
  })

  it("says of one that is there that it is too small before it says whose it is [L-SHM-SHMGET-E4, L-SHM-SHMGET-E5]", () => {
    const p = world()
    segment(p, 4096, 0o640, 7)
    const user = p.fork().asUser()
    expect(get(user, 7, 4097, 0o600)).toBe("EINVAL")
    expect(get(user, 7, 4096, 0o400)).toBe("EACCES")
    expect(get(user, 7, 4096, 0), "nothing is asked for").toBe("ok")
    p.k.tasks.setIds(user.task, 65534, 0)
    expect([get(user, 7, 1, 0o440), get(user, 7, 1, 0o660)], "of the group").toEqual(["ok", "EACCES"])
    expect(get(p, 7, 1, 0o777), "root has CAP_IPC_OWNER").toBe("ok")
  })

  it("makes as many segments, and of as many pages, as there may be", () => {
    const p = world("", { shmmni: 2, shmall: 3 })
    segment(p, 4096)
    expect(get(p, 0, 3 * 4096, MINE)).toBe("ENOSPC")
    segment(p, 8192)
    expect(get(p, 0, 1, MINE)).toBe("ENOSPC")
    const q = world("", { shmmni: 2 })
    for (const [want, before] of [
      ["ok", 0],
      ["1", 0],
      ["ENOSPC", 2]
    ] as const) {
      expect(get(q, 0, 4096, MINE)).toBe(want)
      if (before === 2) expect(q.committed, "nothing stays promised").toBe(2)
    }
  })

  it("gives identifiers again only after 64, with a higher sequence number", () => {
    const p = world()
    const ids: number[] = []
    for (let i = 0; i < 66; i++) {
      const id = segment(p, 4096)
      ids.push(id)
      expect(control(p, id, CTL.IPC_RMID)).toBe("ok")
    }
    expect([ids[0], ids[63], ids[64], ids[65]]).toEqual([0, 63, 32768, 32769])
    expect(attached(p, 0), "an old identifier").toBe("EINVAL")
  })

  it("promises a segment's memory at once, unless SHM_NORESERVE says not to", () => {
    const p = world()
    segment(p, 5000)
    expect(p.committed).toBe(2)
    segment(p, 5000, MINE | SHM.NORESERVE)
    expect(p.committed).toBe(2)
    expect(get(p, 0, 30 * 2 ** 30, MINE)).toBe("ENOMEM")
    expect(get(p, 0, 30 * 2 ** 30, MINE | SHM.NORESERVE)).toBe("2")
  })
})

/** `outcome` writes 0 as `ok`. */
const zero = (id: string): string => (id === "0" ? "ok" : id)

describe("shmat", () => {
  it("maps the pages of the segment, shared, under its key and with its identifier as inode [L-SHM-02]", () => {
    const p = world()
    segment(p, 4096)
    const id = segment(p, 5000, MINE, 0x1234)
    expect(attach(p, id, "a0")).toBe("a0")
    expect(p.areas()).toEqual(["a0+2 rw-s"])
    expect(p.flags("a0")).toBe("rd wr sh mr mw me ms")
    expect(mapsLine(p.k, p.area("a0"))).toBe(
      "200000000000-200000002000 rw-s 00000000 00:01 1                          /SYSV00001234 (deleted)"
    )
    expect([p.write("a0+2"), p.read("a0+2")]).toEqual(["ok", "101 102"])
    const q = p.fork()
    expect(attach(q, id, "a10"), "another process").toBe("a10")
    expect(q.read("a10+2")).toBe("101 102")
  })

  it("takes any place for address 0; a named one must be free, may be rounded down, or replaced [L-SHM-03]", () => {
    const p = world("....bb")
    const id = segment(p, 8192)
    const somewhere = shmatAddress(p, id, 0, 0)
    expect(somewhere).toBe(0x7ffff7fff000 - 8192)
    expect(shmatAddress(p, id, 0, 0), "below it").toBe(somewhere - 8192)
    expect(attach(p, id, "a0")).toBe("a0")
    expect(attach(p, id, "a3")).toBe("EINVAL")
    expect(p.sys(shmat, id, at("a2") + 5, SHM.RND)).toBe("a2")
    expect(attach(p, id, "a5", SHM.REMAP)).toBe("a5")
    expect(p.areas()).toEqual(["a0+2 rw-s", "a2+2 rw-s", "a4 r--p", "a5+2 rw-s"])
  })

  it("wants an aligned address, unless it may round it, and a place for SHM_REMAP [L-SHM-SHMAT-E1]", () => {
    const p = world()
    const id = segment(p, 4096)
    expect(p.sys(shmat, id, at("a0") + 1, 0)).toBe("EINVAL")
    expect(p.sys(shmat, id, 0, SHM.REMAP)).toBe("EINVAL")
    expect(p.sys(shmat, id, 5, SHM.RND | SHM.REMAP), "rounded down to nothing").toBe("EINVAL")
    expect(p.sys(shmat, id, 5, SHM.RND), "page 0, which root may have").toBe("ok")
    expect(attached(p, id)).toBe(1)
  })

  it("knows no segment that is not there [L-SHM-SHMAT-E2]", () => {
    const p = world()
    const id = segment(p, 4096)
    expect([attach(p, id + 1, 0), attach(p, -1, 0), attach(p, id + 32768, 0)]).toEqual(Array(3).fill("EINVAL"))
    control(p, id, CTL.IPC_RMID)
    expect(attach(p, id, 0)).toBe("EINVAL")
  })

  it("asks for the permissions that it will have [L-SHM-05, L-SHM-SHMAT-E3]", () => {
    const p = world().asUser()
    const id = segment(p, 4096, 0o400)
    expect(attach(p, id, "a0")).toBe("EACCES")
    expect(attach(p, id, "a0", SHM.RDONLY | SHM.EXEC)).toBe("EACCES")
    expect(attach(p, id, "a0", SHM.RDONLY)).toBe("a0")
    const other = p.fork().asUser(1000)
    expect(attach(other, id, "a1", SHM.RDONLY), "somebody else").toBe("EACCES")
  })

  it("finds the place taken, or beyond the last address, with EINVAL [L-SHM-SHMAT-E4]", () => {
    const p = world("..n")
    const id = segment(p, 5000)
    expect(attach(p, id, "a1"), "without access, but there").toBe("EINVAL")
    expect(attach(p, id, "a0")).toBe("a0")
    expect(p.sys(shmat, id, -4096, 0), "it would wrap").toBe("EINVAL")
    expect(p.sys(shmat, id, -8192, 0), "it ends with the 64 bits").toBe("ENOMEM")
    expect(p.sys(shmat, id, 0x7ffffffff000 - 4096, 0), "it leaves user space").toBe("ENOMEM")
    expect(attached(p, id)).toBe(1)
  })

  it("obeys RLIMIT_AS, and MDWE where it would be written and executed [L-SHM-12, L-SHM-SHMAT-E5]", () => {
    const p = world("a").limit(RLIMIT_AS, 2)
    const id = segment(p, 8192)
    expect(attach(p, id, "a4")).toBe("ENOMEM")
    p.k.tasks.setRlimit(p.task, RLIMIT_AS, 3 * 4096, Infinity)
    expect(attach(p, id, "a4"), "an exact fit").toBe("a4")
    const q = world()
    const j = segment(q, 4096, 0o700)
    q.sys(setMdwe, 1)
    expect(attach(q, j, "a0", SHM.EXEC)).toBe("EACCES")
    expect(attach(q, j, "a0", SHM.EXEC | SHM.RDONLY)).toBe("a0")
    expect(attached(q, j)).toBe(1)
  })

  it("for reading only can never be written; SHM_EXEC makes it executable [L-SHM-04]", () => {
    const p = world()
    const id = segment(p, 4096, 0o700)
    expect(attach(p, id, "a0", SHM.RDONLY)).toBe("a0")
    expect(p.flags("a0")).toBe("rd mr me ms")
    expect(p.mprotect("a0", RW)).toBe("EACCES")
    expect(p.mprotect("a0", RX)).toBe("ok")
    expect(attach(p, id, "a1", SHM.EXEC)).toBe("a1")
    expect(attach(p, id, "a2", SHM.EXEC | SHM.RDONLY)).toBe("a2")
    expect(p.areas()).toEqual(["a0 r-xs", "a1 rwxs", "a2 r-xs"])
    expect(p.write("a0+3")).toBe("SEGV_ACCERR ok SEGV_ACCERR")
  })

  it("brings everything in where all that comes is to be locked", () => {
    const p = world()
    const id = segment(p, 8192)
    p.sys(mlockall, 2)
    expect(attach(p, id, "a0")).toBe("a0")
    expect([p.flags("a0"), p.pages("a0+2"), p.counts()]).toEqual(["rd wr sh mr mw me ms lo", "FF", "total 2 locked 2"])
  })
})

/** As a number: the place is none of the arena. */
function shmatAddress(p: Proc, id: number, addr: number, flags: number): number {
  return Number(p.sys(shmat, id, addr, flags))
}

describe("a segment's attachments", () => {
  it("are counted by areas: split, unmapped in part, moved and kept, forked [L-SHM-06, L-FORK-13]", () => {
    const p = world()
    const id = segment(p, 4 * 4096)
    attach(p, id, "a0")
    expect(attached(p, id)).toBe(1)
    p.mprotect("a1", NONE)
    expect(attached(p, id), "cut twice").toBe(3)
    p.munmap("a2+2")
    expect(attached(p, id)).toBe(2)
    const child = p.fork()
    expect(attached(p, id)).toBe(4)
    child.exit()
    expect(attached(p, id)).toBe(2)
    expect(p.mremap("a1", "a9", MREMAP.MAYMOVE | MREMAP.DONTUNMAP)).toBe("a9")
    expect(attached(p, id)).toBe(3)
    expect(p.mremap("a9", "a20")).toBe("a20")
    expect(attached(p, id), "a move takes one away").toBe(3)
    p.munmap("a0")
    attach(p, id, "a30")
    p.munmap("a31+2")
    expect(attached(p, id), "a hole in the middle").toBe(4)
  })

  it("stay in pieces once they are cut, and two that touch stay two [L-SHM-07]", () => {
    const p = world()
    const id = segment(p, 4 * 4096)
    attach(p, id, "a0")
    p.mprotect("a1", RO)
    p.mprotect("a1", RW)
    expect(p.draw()).toBe("a|a|aa")
    expect(p.areas()).toEqual(["a0 rw-s", "a1 rw-s", "a2+2 rw-s"])
    const j = segment(p, 4096)
    attach(p, j, "a10")
    attach(p, j, "a11")
    expect(p.areas().slice(3)).toEqual(["a10 rw-s", "a11 rw-s"])
  })

  it("may take in what comes back to its place from below only, as nothing of theirs is taken away [L-SHM-07]", () => {
    const p = world()
    const id = segment(p, 3 * 4096)
    attach(p, id, "a0")
    const remap = (pgoff: number): string => p.sys(remapFilePages, at("a1"), 4096, 0, pgoff, 0)
    expect(remap(2)).toBe("ok")
    expect([attached(p, id), p.areas().length]).toEqual([3, 3])
    expect(remap(1)).toBe("ok")
    expect([attached(p, id), p.areas()]).toEqual([2, ["a0+2 rw-s", "a2 rw-s"]])
  })

  it("go with shmdt, all pieces of one attach and no other, wherever it was cut [L-SHM-08]", () => {
    const p = world()
    const id = segment(p, 4 * 4096)
    attach(p, id, "a0")
    attach(p, id, "a4")
    p.mprotect("a2", RO)
    p.munmap("a0")
    expect([detach(p, "a1"), p.sys(shmdt, at("a0") + 1), detach(p, "a8")]).toEqual(Array(3).fill("EINVAL"))
    expect(detach(p, "a0"), "its first page is gone, but it began there").toBe("ok")
    expect([p.areas(), attached(p, id)]).toEqual([["a4+4 rw-s"], 1])
    expect(detach(p, "a0")).toBe("EINVAL")
  })

  it("go with shmdt as far as the segment reaches: pieces moved beyond that stay [L-SHM-08]", () => {
    const p = world()
    const id = segment(p, 2 * 4096)
    const other = segment(p, 2 * 4096)
    attach(p, id, "a0")
    p.mremap("a0+2", "a0+4", 0)
    p.mprotect("a3", RO)
    attach(p, other, "a10")
    p.mremap("a11", "a1")
    expect(p.areas()).toEqual(["a0 rw-s", "a1 rw-s", "a2 rw-s", "a3 r--s", "a10 rw-s"])
    expect(detach(p, "a0"), "a2 and a3 lie beyond the segment, a1 is another's").toBe("ok")
    expect(p.areas()).toEqual(["a1 rw-s", "a2 rw-s", "a3 r--s", "a10 rw-s"])
    p.munmap("a2+2")
  })

  it("that are sealed stay, and shmdt succeeds all the same [L-SHM-08]", () => {
    const p = world()
    const id = segment(p, 8192)
    attach(p, id, "a0")
    p.mseal("a0")
    expect(detach(p, "a0")).toBe("ok")
    expect([p.areas(), attached(p, id)]).toEqual([["a0 rw-s sl"], 1])
  })

  it("answer to their new address after a move [L-SHM-09]", () => {
    const p = world()
    const id = segment(p, 8192)
    attach(p, id, "a0")
    expect(p.mremap("a0+2", "a20+2")).toBe("a20")
    expect([detach(p, "a0"), detach(p, "a20")]).toEqual(["EINVAL", "ok"])
    expect(attached(p, id)).toBe(0)
  })

  it("may grow beyond the segment, where every access is a SIGBUS [L-SHM-11]", () => {
    const p = world()
    const id = segment(p, 8192)
    attach(p, id, "a0")
    expect(p.mremap("a0+2", 4)).toBe("a0")
    expect(p.write("a0+4")).toBe("ok ok SIGBUS SIGBUS")
  })

  it("fault and fork as shared memory does, one page at a time [L-SHM-14]", () => {
    const p = world()
    const id = segment(p, 8192 * 2)
    attach(p, id, "a0")
    expect(p.read("a1")).toBe("0")
    expect(p.pages("a0+4"), "a page of its own, not the zero page").toBe(".F..")
    p.write("a0+4")
    const child = p.fork()
    expect(child.pages("a0+4"), "nothing is copied").toBe("....")
    expect(child.read("a1")).toBe("102")
    expect([child.pages("a0+4"), p.pages("a0+4")], "no neighbours come along").toEqual([".f..", "FfFF"])
    expect([p.k.vmas.anon(p.area("a0")), p.k.vmas.flags(p.area("a0")) & VM_SHARED]).toEqual([0, VM_SHARED])
  })

  it("end with the process; the last one of a removed segment frees it [L-SHM-15]", () => {
    const p = world()
    const id = segment(p, 8192)
    const child = p.fork()
    attach(child, id, "a0")
    child.write("a0+2")
    expect(attached(p, id)).toBe(1)
    control(p, id, CTL.IPC_RMID)
    expect(p.committed).toBe(2)
    child.exit()
    expect([attached(p, id), p.committed, p.k.files.liveObjects]).toEqual(["EINVAL", 0, 0])
  })
})

describe("IPC_RMID", () => {
  it("marks a segment that is attached: it can be attached by its identifier until the last one leaves [L-SHM-10]", () => {
    const p = world()
    const id = segment(p, 4096, MINE, 7)
    attach(p, id, "a0")
    p.write("a0")
    expect(modeOf(p, id)).toBe("600")
    expect(control(p, id, CTL.IPC_RMID)).toBe("ok")
    expect(modeOf(p, id)).toBe("1600")
    expect(get(p, 7, 4096, 0), "nobody finds its key").toBe("ENOENT")
    expect(attach(p, id, "a1")).toBe("a1")
    expect(p.read("a1")).toBe("101")
    expect(control(p, id, CTL.IPC_RMID), "again").toBe("ok")
    expect(get(p, 7, 4096, SHM.CREAT), "another one may have the key").toBe("1")
    detach(p, "a0")
    expect(attached(p, id)).toBe(1)
    detach(p, "a1")
    expect([attached(p, id), attach(p, id, 0), control(p, id, CTL.IPC_RMID)]).toEqual(Array(3).fill("EINVAL"))
  })

  it("ends a segment at once where nobody is attached, also when its last mapping is replaced by itself", () => {
    const p = world()
    const id = segment(p, 3 * 4096)
    control(p, id, CTL.IPC_RMID)
    expect(attached(p, id)).toBe("EINVAL")
    const j = segment(p, 3 * 4096)
    attach(p, j, "a0")
    control(p, j, CTL.IPC_RMID)
    expect(p.sys(remapFilePages, at("a0"), 3 * 4096, 0, 1, 0), "the segment ends before it is mapped again").toBe(
      "EINVAL"
    )
    expect([p.areas(), p.committed]).toEqual([[], 0])
  })

  it("is its owner's, its creator's and root's", () => {
    const p = world()
    const id = segment(p, 4096, 0o666)
    const user = p.fork().asUser()
    expect(control(user, id, CTL.IPC_RMID)).toBe("EPERM")
    expect(outcome(CTL.shmSet(p.k, p.task, id, { uid: 65534, gid: 0, mode: 0o7666 }))).toBe("ok")
    expect(modeOf(p, id), "of the mode nine bits count").toBe("666")
    expect(control(user, id, CTL.IPC_RMID)).toBe("ok")
  })
})

describe("SHM_LOCK", () => {
  it("shows in the segment's mode, and neither in its areas nor in what their users have locked [L-SHM-13]", () => {
    const p = world()
    const id = segment(p, 8192)
    attach(p, id, "a0")
    expect(control(p, id, CTL.SHM_LOCK)).toBe("ok")
    expect([modeOf(p, id), p.areas(), p.counts()]).toEqual(["2600", ["a0+2 rw-s"], "total 2"])
    expect(p.pages("a0+2"), "nothing is brought in").toBe("..")
    expect([control(p, id, CTL.SHM_LOCK), control(p, id, CTL.SHM_UNLOCK)]).toEqual(["ok", "ok"])
    expect([modeOf(p, id), control(p, id, CTL.SHM_UNLOCK)]).toEqual(["600", "ok"])
  })

  it("counts for its user, over all segments, against RLIMIT_MEMLOCK [L-SHM-13]", () => {
    const p = world().asUser().limit(RLIMIT_MEMLOCK, 4)
    const [a, b] = [segment(p, 3 * 4096), segment(p, 2 * 4096)]
    expect([control(p, a, CTL.SHM_LOCK), control(p, b, CTL.SHM_LOCK)]).toEqual(["ok", "ENOMEM"])
    control(p, a, CTL.IPC_RMID)
    expect(control(p, b, CTL.SHM_LOCK), "a segment that ends is unlocked").toBe("ok")
    p.limit(RLIMIT_MEMLOCK, 0)
    expect([control(p, b, CTL.SHM_LOCK), control(p, b, CTL.SHM_UNLOCK)]).toEqual(["EPERM", "ok"])
    const other = p.fork().asUser(1000)
    expect([control(other, b, CTL.SHM_LOCK), control(other, b, CTL.SHM_UNLOCK)]).toEqual(["EPERM", "EPERM"])
  })
})

describe("shmctl", () => {
  /** 32-bit word of the structure that lies at a0. */
  const word = (p: Proc, offset: number): number =>
    [0, 1, 2, 3].reduce((sum, i) => sum + userLoad8(p.k, p.mm, at("a0") + offset + i) * 256 ** i, 0)

  it("writes a segment's record into the caller's memory, and reads one from there", () => {
    const p = world("a")
    const id = segment(p, 5000, 0o640, 7)
    attach(p, id, "a10")
    expect(control(p, id, CTL.IPC_STAT, at("a0"))).toBe("ok")
    const fields = { key: 0, uid: 4, mode: 20, size: 48, creator: 80, last: 84, attached: 88 }
    const seen = Object.fromEntries(Object.entries(fields).map(([name, offset]) => [name, word(p, offset)]))
    expect(seen).toEqual({ key: 7, uid: 0, mode: 0o640, size: 5000, creator: p.task, last: p.task, attached: 1 })
    userStore8(p.k, p.mm, at("a0") + 4, 0x44)
    expect(control(p, id, CTL.IPC_SET, at("a0"))).toBe("ok")
    expect(control(p, id, CTL.IPC_STAT, at("a0"))).toBe("ok")
    expect(word(p, 4)).toBe(0x44)
    expect([control(p, id, CTL.IPC_STAT), control(p, id, CTL.IPC_SET)]).toEqual(["EFAULT", "EFAULT"])
  })

  it("finds segments by index too, and tells what there is on the whole", () => {
    const p = world("a")
    segment(p, 4096, 0o600)
    const id = segment(p, 3 * 4096, 0)
    const user = p.fork().asUser()
    expect(control(p, 1, CTL.SHM_STAT, at("a0"))).toBe(`${id}`)
    expect([control(user, 1, CTL.SHM_STAT, at("a0")), control(user, 1, CTL.SHM_STAT_ANY, at("a0"))]).toEqual([
      "EACCES",
      `${id}`
    ])
    expect(control(user, id, CTL.IPC_STAT, at("a0"))).toBe("EACCES")
    expect([control(p, 0, CTL.SHM_INFO, at("a0")), word(p, 0), word(p, 8)]).toEqual(["1", 2, 4])
    expect([control(p, 0, CTL.IPC_INFO, at("a0")), word(p, 8), word(p, 16)]).toEqual(["1", 1, 4096])
    expect([control(p, 0, 99), control(p, -1, CTL.IPC_STAT, at("a0")), control(p, 77, CTL.SHM_STAT)]).toEqual(
      Array(3).fill("EINVAL")
    )
  })
})
