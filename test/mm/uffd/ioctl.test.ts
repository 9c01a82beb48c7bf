/** ioctl(2), read(2) and poll(2) of a userfaultfd by a program that has nothing but its memory: structs, numbers, what is
 * written back and what is not. As a probe in C saw it on 6.18.44.
 */
import { describe, expect, it } from "vitest"
import * as POLL from "../../../lib/flags/PollFlags.ts"
import * as UFFD from "../../../lib/flags/UffdFlags.ts"
import { fdinfo } from "../../../lib/mm/proc/fdinfo.ts"
import { FILE_DIR, FILE_PIPE, FILE_ZERO, FMODE_READ, FMODE_WRITE } from "../../../lib/mm/store/files.ts"
import { madvise } from "../../../lib/mm/sys/madvise.ts"
import { ioctl } from "../../../lib/mm/sys/ioctl.ts"
import { memfdSecret } from "../../../lib/mm/sys/memfd.ts"
import { fork } from "../../../lib/mm/sys/process.ts"
import { pidfdOpen } from "../../../lib/mm/sys/pidfd.ts"
import { poll } from "../../../lib/mm/sys/poll.ts"
import { pread, preadUser, pwrite } from "../../../lib/mm/sys/file.ts"
import { read } from "../../../lib/mm/sys/read.ts"
import { openUffdDevice } from "../../../lib/mm/sys/uffd-device.ts"
import { copyFromUser, copyToUser } from "../../../lib/mm/sys/usercopy.ts"
import { userfaultfd } from "../../../lib/mm/sys/userfaultfd.ts"
import { installFd } from "../../../lib/mm/object/file.ts"
import { call } from "../../../lib/proof/testing/calls.ts"
import { at, NONE, outcome, RO, RW } from "../linux/words.ts"
import { Proc, world } from "../linux/world.ts"
import { begin, inWords, MISSING, READ, touch, WP, WRITE } from "./uffd.ts"

const PAGE = 4096
/** Where the tests' structs lie, when they do not say: the last page of an arena `aaaaaaaaaa`. */
const HERE = at("a9")
const NOWHERE = 8

/** Stores words in memory. */
function put(p: Proc, words: readonly (number | bigint)[], addr = HERE): void {
  const bytes = new Uint8Array(BigInt64Array.from(words, BigInt).buffer)
  expect(call(p.k, () => copyToUser(p.k, p.mm, addr, bytes))).toBe(0)
}
/** Words in memory. */
function got(p: Proc, words: number, addr = HERE): number[] {
  const out = new BigInt64Array(words)
  expect(call(p.k, () => copyFromUser(p.k, p.mm, addr, new Uint8Array(out.buffer)))).toBe(0)
  return Array.from(out, Number)
}
/** The command with these words as its struct: what it answers, and what the struct is then. */
function ask(p: Proc, fd: number, command: number, ...words: number[]): (string | number)[] {
  put(p, words)
  const r = p.sys(ioctl, fd, command, HERE)
  return [r, ...got(p, words.length)]
}
/** A descriptor whose handshake is done, by ioctl; these pages are registered. */
function uffd(p: Proc, range: readonly [from: number, pages: number], mode = MISSING, features = 0): number {
  const fd = userfaultfd(p.k, p.task, UFFD.NONBLOCK)
  expect(ask(p, fd, UFFD.IOCTL_API, UFFD.API, features, 0)[0]).toBe("ok")
  const [from, pages] = range
  expect(ask(p, fd, UFFD.IOCTL_REGISTER, at(`a${from}`), pages * PAGE, mode, 0)[0]).toBe("ok")
  return fd
}
/** All commands, and where each has its result. */
const commands = {
  REGISTER: UFFD.IOCTL_REGISTER,
  UNREGISTER: UFFD.IOCTL_UNREGISTER,
  WAKE: UFFD.IOCTL_WAKE,
  COPY: UFFD.IOCTL_COPY,
  ZEROPAGE: UFFD.IOCTL_ZEROPAGE,
  MOVE: UFFD.IOCTL_MOVE,
  WRITEPROTECT: UFFD.IOCTL_WRITEPROTECT,
  CONTINUE: UFFD.IOCTL_CONTINUE,
  POISON: UFFD.IOCTL_POISON
} as const
const [EAGAIN, EEXIST, ENOENT, EINVAL] = [-11, -17, -2, -22]

describe("commands", () => {
  it("have the numbers of linux/userfaultfd.h: direction, size, 0xaa, bit [U-CON-01, U-CON-02]", () => {
    const numbers = { API: UFFD.IOCTL_API, ...commands, NEW: UFFD.IOCTL_NEW }
    expect(Object.values(numbers).map((n) => n.toString(16))).toEqual([
      "c018aa3f",
      "c020aa00",
      "8010aa01",
      "8010aa02",
      "c028aa03",
      "c020aa04",
      "c028aa05",
      "c018aa06",
      "c020aa07",
      "c020aa08",
      "aa00"
    ])
  })
  it("but API are EINVAL before the handshake, whatever their struct is, and so is one that there is not [UK-API-01]", () => {
    const p = world("aaaaaaaaaa")
    const fd = userfaultfd(p.k, p.task, UFFD.NONBLOCK)
    for (const command of [...Object.values(commands), 0x1234, UFFD.IOCTL_NEW])
      expect(p.sys(ioctl, fd, command, NOWHERE)).toBe("EINVAL")
    expect(ask(p, fd, UFFD.IOCTL_API, UFFD.API, 0, 0)[0]).toBe("ok")
    for (const command of Object.values(commands)) expect(p.sys(ioctl, fd, command, NOWHERE)).toBe("EFAULT")
    expect(p.sys(ioctl, fd, 0x1234, NOWHERE)).toBe("EINVAL")
    expect(p.sys(ioctl, fd, UFFD.IOCTL_WAKE + 2 ** 32, NOWHERE), "commands have 32 bits").toBe("EFAULT")
  })
  it("are ENOTTY of a file that has none, EBADF of no file", () => {
    const p = world("a")
    expect(p.sys(ioctl, p.memfd(1), UFFD.IOCTL_WAKE, 0)).toBe("ENOTTY")
    expect(p.sys(ioctl, 99, UFFD.IOCTL_WAKE, 0)).toBe("EBADF")
  })
})

describe("UFFDIO_API", () => {
  const fresh = (p: Proc): number => userfaultfd(p.k, p.task, UFFD.NONBLOCK)
  it("writes all features and the ioctls of a descriptor; zeroes where it is refused [UK-API-02, UK-API-04, UK-API-06, UK-API-07, U-CON-03]", () => {
    const p = world("aaaaaaaaaa")
    const fd = fresh(p)
    expect(ask(p, fd, UFFD.IOCTL_API, 0x11, 5, 7)).toEqual(["EINVAL", 0, 0, 0])
    expect(ask(p, fd, UFFD.IOCTL_API, UFFD.API, 2 ** 40, 7)).toEqual(["EINVAL", 0, 0, 0])
    put(p, [UFFD.API, UFFD.FEATURE_SIGBUS, 7])
    expect(p.sys(ioctl, fd, UFFD.IOCTL_API, HERE)).toBe("ok")
    expect(got(p, 2)).toEqual([0xaa, 0x1ffff])
    expect(got(p, 3)[2]).toBe(Number(-0x7ffffffffffffffdn))
    expect(ask(p, fd, UFFD.IOCTL_API, UFFD.API, 0, 7)).toEqual(["EINVAL", 0, 0, 0])
  })
  it("is EFAULT where it cannot write, and then nothing is agreed", () => {
    const p = world("aaaaaaaaaa")
    const fd = fresh(p)
    expect(p.sys(ioctl, fd, UFFD.IOCTL_API, NOWHERE)).toBe("EFAULT")
    for (const version of [UFFD.API, 0x11]) {
      put(p, [version, 0, 7])
      p.mprotect("a9", RO)
      expect(p.sys(ioctl, fd, UFFD.IOCTL_API, HERE)).toBe("EFAULT")
      p.mprotect("a9", RW)
      expect(got(p, 3)).toEqual([version, 0, 7])
    }
    expect(ask(p, fd, UFFD.IOCTL_API, UFFD.API, 0, 7)[0]).toBe("ok")
  })
})

describe("structs", () => {
  it("of REGISTER have the mask of ioctls written where it succeeds, and keep it where it does not [U-REG-03, U-CON-06]", () => {
    const p = world("aaaaaaaaaa")
    const fd = userfaultfd(p.k, p.task, UFFD.NONBLOCK)
    ask(p, fd, UFFD.IOCTL_API, UFFD.API, 0, 0)
    expect(ask(p, fd, UFFD.IOCTL_REGISTER, at("a0"), PAGE, 0, 7).slice(-2)).toEqual([0, 7])
    expect(ask(p, fd, UFFD.IOCTL_REGISTER, at("a0"), PAGE, MISSING | WP, 7)).toEqual(["ok", at("a0"), PAGE, 3, 0x17c])
    expect(ask(p, fd, UFFD.IOCTL_UNREGISTER, at("a0"), PAGE)[0]).toBe("ok")
    put(p, [at("a0"), PAGE, MISSING, 7])
    p.mprotect("a9", RO)
    expect(p.sys(ioctl, fd, UFFD.IOCTL_REGISTER, HERE), "registered, though it cannot say so").toBe("EFAULT")
    expect(p.flags("a0")).toContain("um")
  })
  it("of COPY say how many bytes were done, or the first page's errno; of bad arguments nothing [UK-CP-02, UK-CP-07, UK-CP-08]", () => {
    const p = world("aaaaaaaaaa")
    p.write("a8", 7)
    const fd = uffd(p, [0, 4])
    const copy = (to: `a${number}`, pages: number, mode = 0): (string | number)[] => {
      const answer = ask(p, fd, UFFD.IOCTL_COPY, at(to), at("a8"), pages * PAGE, mode, 99)
      return [answer[0]!, answer.at(-1)!]
    }
    expect(copy("a0", 1)).toEqual(["ok", PAGE])
    expect(p.read("a0")).toBe("7")
    expect(copy("a0", 1)).toEqual(["EEXIST", EEXIST])
    expect(copy("a0", 1, 64)).toEqual(["EINVAL", 99])
    expect(copy("a8", 1)).toEqual(["ENOENT", ENOENT])
    expect(copy("a3", 1)).toEqual(["ok", PAGE])
    p.write("a9", 3)
    expect(copy("a2", 2), "one page was done, the next was there").toEqual(["EAGAIN", PAGE])
  })
  it("of ZEROPAGE, CONTINUE, POISON and MOVE do the same [UK-ZP-01, UK-CT-01, UK-PO-01, UK-MV-01]", () => {
    const p = world("aaaaaaaaaa")
    p.write("a5", 5)
    const fd = uffd(p, [0, 4])
    const filled = (command: number, to: `a${number}`, pages = 1): (string | number)[] => {
      const answer = ask(p, fd, command, at(to), pages * PAGE, 0, 99)
      return [answer[0]!, answer.at(-1)!]
    }
    expect(filled(UFFD.IOCTL_ZEROPAGE, "a0")).toEqual(["ok", PAGE])
    expect(filled(UFFD.IOCTL_ZEROPAGE, "a0")).toEqual(["EEXIST", EEXIST])
    expect(filled(UFFD.IOCTL_CONTINUE, "a1")).toEqual(["EINVAL", EINVAL])
    expect(filled(UFFD.IOCTL_POISON, "a1")).toEqual(["ok", PAGE])
    expect(filled(UFFD.IOCTL_POISON, "a1")).toEqual(["EEXIST", EEXIST])
    const move = (to: `a${number}`, from: `a${number}`, mode = 0): (string | number)[] => {
      const answer = ask(p, fd, UFFD.IOCTL_MOVE, at(to), at(from), PAGE, mode, 99)
      return [answer[0]!, answer.at(-1)!]
    }
    expect(move("a2", "a6")).toEqual(["ENOENT", ENOENT])
    expect(move("a2", "a5", 77)).toEqual(["EINVAL", 99])
    expect([move("a2", "a5"), p.read("a2")]).toEqual([["ok", PAGE], "5"])
  })
  it("of WRITEPROTECT, WAKE and UNREGISTER are only read [UK-WP-01, UK-WK-01, UK-UR-01]", () => {
    const p = world("aaaaaaaaaa")
    p.write("a0")
    const fd = uffd(p, [0, 1], MISSING | WP)
    const range = [at("a0"), PAGE]
    expect(ask(p, fd, UFFD.IOCTL_WRITEPROTECT, ...range, 3)).toEqual(["EINVAL", ...range, 3])
    expect(ask(p, fd, UFFD.IOCTL_WRITEPROTECT, ...range, 1)).toEqual(["ok", ...range, 1])
    const w = touch(p, "a0", WRITE)
    expect(ask(p, fd, UFFD.IOCTL_WAKE, ...range)).toEqual(["ok", ...range])
    expect(w.state, "nothing is resolved").toBe("waits")
    expect(ask(p, fd, UFFD.IOCTL_WRITEPROTECT, ...range, 0)[0]).toBe("ok")
    expect(w.state).toBe("ok")
    expect(ask(p, fd, UFFD.IOCTL_UNREGISTER, ...range)).toEqual(["ok", ...range])
  })
  it("whose result cannot be written are EFAULT: the page is there, and who waits for it is not woken", () => {
    const p = world("aaaaaaaaaa")
    p.write("a8", 7)
    const fd = uffd(p, [0, 2])
    const w = touch(p, "a0")
    put(p, [at("a0"), at("a8"), PAGE, 0, 99])
    p.mprotect("a9", RO)
    expect(p.sys(ioctl, fd, UFFD.IOCTL_COPY, HERE)).toBe("EFAULT")
    expect([w.state, p.pages("a0")]).toEqual(["waits", "A"])
    p.mprotect("a9", RW)
    expect(ask(p, fd, UFFD.IOCTL_WAKE, at("a0"), PAGE)[0]).toBe("ok")
    expect(w.state).toBe("ok")
    const last = HERE + PAGE - 32
    put(p, [at("a1"), at("a8"), PAGE, 0], last)
    expect(p.sys(ioctl, fd, UFFD.IOCTL_COPY, last), "its last field is in a hole").toBe("EFAULT")
    expect(p.pages("a1")).toBe("A")
    expect(p.sys(ioctl, fd, UFFD.IOCTL_COPY, last + 16), "half of it is").toBe("EFAULT")
  })
  it("say EAGAIN while the address space changes, before anything of them is read [UK-CP-01, UK-EV-04]", () => {
    const p = world("aaaaaaaaaa")
    const fd = uffd(p, [0, 4], MISSING, UFFD.FEATURE_EVENT_REMOVE)
    const e = begin(p, () => madvise(p.k, p.task, at("a3"), PAGE, 4))
    expect(e.state).toBe("waits")
    for (const [command, words] of [
      [UFFD.IOCTL_COPY, 5],
      [UFFD.IOCTL_MOVE, 5],
      [UFFD.IOCTL_ZEROPAGE, 4],
      [UFFD.IOCTL_CONTINUE, 4],
      [UFFD.IOCTL_POISON, 4]
    ] as const) {
      const answer = ask(p, fd, command, ...Array.from({ length: words }, () => 1))
      expect([answer[0], answer.at(-1)]).toEqual(["EAGAIN", EAGAIN])
      expect(p.sys(ioctl, fd, command, NOWHERE)).toBe("EFAULT")
    }
    expect(p.sys(ioctl, fd, UFFD.IOCTL_WRITEPROTECT, NOWHERE)).toBe("EAGAIN")
    expect(p.sys(read, fd, HERE, 32)).toBe("32")
    expect(e.state).toBe("ok")
  })
})

describe("read(2)", () => {
  /** A message in memory, in words. */
  const message = (p: Proc, addr = HERE): string =>
    inWords(new Uint8Array(BigInt64Array.from(got(p, 4, addr), BigInt).buffer))
  it("gives messages into memory, as many as fit [U-RD-04, U-CON-13, UK-RD-01]", () => {
    const p = world("aaaaaaaaaa")
    const fd = uffd(p, [0, 4])
    expect(p.sys(read, fd, HERE, 32)).toBe("EAGAIN")
    for (const size of [0, 31]) expect(p.sys(read, fd, NOWHERE, size)).toBe("EINVAL")
    const all = [touch(p, "a0", WRITE), touch(p, "a2", READ), touch(p, "a3", READ)]
    expect(p.sys(read, fd, HERE, 95)).toBe("64")
    expect([message(p), message(p, HERE + 32)]).toEqual(["fault a0 write", "fault a2 read"])
    expect(p.sys(read, fd, HERE, 1 << 20)).toBe("32")
    expect(ask(p, fd, UFFD.IOCTL_ZEROPAGE, at("a0"), 4 * PAGE, 0, 0)[0]).toBe("ok")
    expect(all.map((w) => w.state)).toEqual(["ok", "ok", "ok"])
  })
  it("loses the message that it cannot store, and no other", () => {
    const p = world("aaaaaaaaaa")
    const fd = uffd(p, [0, 4])
    const all = [touch(p, "a0"), touch(p, "a1"), touch(p, "a2"), touch(p, "a3")]
    expect(p.sys(read, fd, HERE + PAGE - 32, 96), "there is nothing behind a9").toBe("32")
    expect(message(p, HERE + PAGE - 32)).toBe("fault a0 read")
    expect(p.sys(read, fd, NOWHERE, 32)).toBe("EFAULT")
    expect(p.sys(read, fd, 2n ** 63n, 32), "no user's memory at all: nothing is taken").toBe("EFAULT")
    expect(p.sys(read, fd, HERE, 32)).toBe("32")
    expect(message(p)).toBe("fault a3 read")
    expect(p.sys(read, fd, HERE, 32)).toBe("EAGAIN")
    expect(ask(p, fd, UFFD.IOCTL_ZEROPAGE, at("a0"), 4 * PAGE, 0, 0)[0]).toBe("ok")
    expect(all.map((w) => w.state)).toEqual(["ok", "ok", "ok", "ok"])
  })
  it("is EINVAL before the handshake; a userfaultfd has no offsets: ESPIPE", () => {
    const p = world("aaaaaaaaaa")
    const fd = userfaultfd(p.k, p.task, 0)
    expect(p.sys(read, fd, HERE, 32)).toBe("EINVAL")
    expect(outcome(pwrite(p.k, p.task, fd, new Uint8Array(32), 0))).toBe("ESPIPE")
    expect(p.sys(preadUser, fd, HERE, 32, 0)).toBe("ESPIPE")
  })
  it("of a file goes on where the last one ended; of others says why not", () => {
    const p = world("aaaaaaaaaa")
    const fd = p.open("/f", 2)
    const second = p.dup(fd)
    expect([p.sys(read, fd, HERE, 1000), p.sys(read, second, HERE, 3500)]).toEqual(["1000", "3500"])
    expect(got(p, 1, HERE + 3096), "the second page began there").toEqual([Number(0x0202020202020202n)])
    expect([p.sys(read, fd, HERE, PAGE), p.sys(read, fd, HERE, PAGE)]).toEqual([String(2 * PAGE - 4500), "ok"])
    expect(p.sys(read, 99, HERE, 8)).toBe("EBADF")
    expect(p.sys(read, p.open("/f", 2, FMODE_WRITE), HERE, 8)).toBe("EBADF")
    expect(p.sys(read, p.special(FILE_ZERO), HERE, 8)).toBe("8")
    expect(p.sys(read, p.special(FILE_DIR, FMODE_READ), HERE, 8)).toBe("EISDIR")
    expect(p.sys(read, memfdSecret(p.k, p.task, 0), HERE, 8)).toBe("EINVAL")
    expect(p.sys(read, p.device(), HERE, 8)).toBe("EINVAL")
    p.mprotect("a9", NONE)
    expect(p.sys(read, p.open("/f"), HERE, 8)).toBe("EFAULT")
  })
})

describe("poll(2)", () => {
  const ANY = 0x3ff
  it("says what a userfaultfd has to say, of what it is asked [UK-PL-01, UK-PL-02]", () => {
    const p = world("aaaaaaaaaa")
    const blocking = userfaultfd(p.k, p.task, 0)
    expect(p.sys(poll, blocking, POLL.IN), "never asked for, always told").toBe(String(POLL.ERR))
    const fd = uffd(p, [0, 1])
    expect(p.sys(poll, fd, ANY)).toBe("ok")
    const w = touch(p, "a0")
    expect([p.sys(poll, fd, ANY), p.sys(poll, fd, POLL.OUT)]).toEqual([String(POLL.IN), "ok"])
    expect(ask(p, fd, UFFD.IOCTL_ZEROPAGE, at("a0"), PAGE, 0, 0)[0]).toBe("ok")
    expect([w.state, p.sys(poll, fd, ANY)]).toEqual(["ok", "ok"])
  })
  it("finds a file without a say ready for everything, and one that is not open not there", () => {
    const p = world("a")
    const all = String(POLL.IN | POLL.OUT | POLL.RDNORM | POLL.WRNORM)
    for (const fd of [p.memfd(1), p.open("/f"), p.special(FILE_ZERO), p.special(FILE_DIR), p.device()])
      expect(p.sys(poll, fd, ANY)).toBe(all)
    expect(p.sys(poll, p.special(FILE_PIPE, FMODE_WRITE), ANY)).toBe(String(POLL.OUT | POLL.WRNORM))
    expect(p.sys(poll, p.special(FILE_PIPE, FMODE_READ), ANY)).toBe("ok")
    expect([p.sys(poll, 99, 0), p.sys(poll, -1, ANY)]).toEqual([String(POLL.NVAL), "ok"])
  })
  it("finds a process that has ended", () => {
    const p = world("a")
    const child = p.fork()
    const fd = pidfdOpen(p.k, p.task, child.task, 0)
    expect(p.sys(poll, fd, ANY)).toBe("ok")
    child.exit()
    expect(p.sys(poll, fd, ANY)).toBe(String(POLL.IN | POLL.RDNORM | POLL.HUP))
  })
})

describe("/dev/userfaultfd", () => {
  const open = (p: Proc): number => {
    const f = openUffdDevice(p.k, p.task, FMODE_READ | FMODE_WRITE)
    return f < 0 ? f : installFd(p.k, p.task, f)
  }
  it("is root's: who may open it gets userfaultfds without another right", () => {
    const p = world("a")
    const dev = open(p)
    p.asUser()
    expect(outcome(userfaultfd(p.k, p.task, 0)), "without the right").toBe("EPERM")
    expect(p.sys(ioctl, dev, UFFD.IOCTL_NEW, UFFD.NONBLOCK)).toBe("1")
    expect(p.sys(ioctl, dev, UFFD.IOCTL_NEW, 2)).toBe("EINVAL")
    expect(p.sys(ioctl, dev, UFFD.IOCTL_NEW, 2 ** 32), "flags have 32 bits").toBe("2")
    expect(p.sys(ioctl, dev, UFFD.IOCTL_API, 0)).toBe("EINVAL")
    expect(outcome(open(p))).toBe("EACCES")
  })
  it("is no memory, and has nothing to read or write", () => {
    const p = world("a")
    const dev = open(p)
    expect(p.sys(read, dev, at("a0"), 8)).toBe("EINVAL")
    expect(outcome(pread(p.k, p.task, dev, new Uint8Array(8), 0))).toBe("EINVAL")
    expect(outcome(pwrite(p.k, p.task, dev, new Uint8Array(8), 0))).toBe("EINVAL")
    expect(p.mmap("a1", RO, 1, dev)).toBe("ENODEV")
    expect(p.sys(poll, dev, 0x3ff)).toBe(String(0x145))
  })
})

describe("fdinfo", () => {
  it("has position, flags, and of a userfaultfd who waits and the interface [UK-FD-01]", () => {
    const p = world("aaaaaaaaaa")
    const fd = userfaultfd(p.k, p.task, UFFD.CLOEXEC | UFFD.NONBLOCK)
    const text = (n: number): string | undefined => fdinfo(p.k, p.task, n)
    const none = "pending:\t0\ntotal:\t0\n"
    expect(text(fd)).toBe(`pos:\t0\nflags:\t02004000\n${none}API:\taa:0:80000000000001ff\n`)
    const features = UFFD.FEATURES & ~(UFFD.FEATURE_SIGBUS | UFFD.FEATURE_EVENT_FORK | UFFD.FEATURE_WP_ASYNC)
    ask(p, fd, UFFD.IOCTL_API, UFFD.API, features, 0)
    expect(text(fd)).toContain("API:\taa:80017f7d:80000000000001ff\n")
    expect(text(userfaultfd(p.k, p.task, 0))).toMatch(/^pos:\t0\nflags:\t00\n/)
    const file = p.open("/f", 2)
    p.sys(read, file, HERE, 100)
    expect(text(file)).toBe("pos:\t100\nflags:\t0100002\n")
    expect(text(99)).toBeUndefined()
  })
  it("of a child's descriptor is as its parent's: closed by exec, waiting or not [UK-RD-06]", () => {
    const p = world("aaaaaaaaaa")
    const fd = userfaultfd(p.k, p.task, UFFD.CLOEXEC)
    ask(p, fd, UFFD.IOCTL_API, UFFD.API, UFFD.FEATURE_EVENT_FORK, 0)
    ask(p, fd, UFFD.IOCTL_REGISTER, at("a0"), PAGE, MISSING, 0)
    const forking = begin(p, () => fork(p.k, p.task, "child"))
    expect(p.sys(read, fd, HERE, 32)).toBe("32")
    const theirs = got(p, 2)[1]!
    expect(fdinfo(p.k, p.task, theirs)).toBe(
      "pos:\t0\nflags:\t02000000\npending:\t0\ntotal:\t0\nAPI:\taa:80000002:80000000000001ff\n"
    )
    const child = new Proc(p.machine, Number(forking.state))
    expect(fdinfo(p.k, child.task, fd), "it has its parent's, too").toContain("flags:\t02000000\n")
    child.exit()
    expect(ask(p, theirs, UFFD.IOCTL_ZEROPAGE, at("a0"), PAGE, 0, 99)).toEqual(["ESRCH", at("a0"), PAGE, 0, 99])
  })
})
