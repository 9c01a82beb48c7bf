/** The errno of an mremap that is wrong in two ways: the first of Linux's order, for every two of them. */
import * as MREMAP from "../../../lib/flags/MremapFlags.ts"
import { describe, expect, it } from "vitest"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { mmapUnlock, tryMmap } from "../../../lib/mm/area/mmap-lock.ts"
import { READ } from "../../../lib/mm/base/stop.ts"
import { TASK_SIZE } from "../../../lib/mm/base/units.ts"
import { RLIMIT_AS, RLIMIT_MEMLOCK } from "../../../lib/mm/store/tasks.ts"
import { mremap } from "../../../lib/mm/sys/mremap.ts"
import { Hand } from "../rows/world.ts"
import { at, NONE, RO, RW } from "./words.ts"
import { type Proc, world } from "./world.ts"

const LIM = 20

/** The call as it is about to be made, in bytes; there is nothing wrong with it. */
interface Attempt {
  readonly p: Proc
  addr: number
  oldLen: number
  newLen: number
  flags: number
  to: number
}

/** One way to be wrong, and what is answered to it. */
interface Wrong {
  readonly name: string
  readonly errno: string
  readonly make: (a: Attempt) => void
}

/** A user without rights moves a0+4 to a20+5. Something else lies at a22, and a30+20 can be cut up. */
function attempt(): Attempt {
  const p = world("aaaa..................b", { maxMapCount: LIM }).asUser()
  p.mmap("a30+20", NONE)
  p.write("a0+4")
  return {
    p,
    addr: at("a0"),
    oldLen: 4 * 4096,
    newLen: 5 * 4096,
    flags: MREMAP.MAYMOVE | MREMAP.FIXED,
    to: at("a20")
  }
}

/** Equal lengths, and nothing at the target needs to go. */
const keep = (a: Attempt): void => {
  a.flags = MREMAP.MAYMOVE | MREMAP.DONTUNMAP
  a.newLen = a.oldLen
}

/** One page more, to a named place: as at first. */
const grow = (a: Attempt): void => {
  a.flags = MREMAP.MAYMOVE | MREMAP.FIXED
  a.newLen = a.oldLen + 4096
}

const call = (a: Attempt): string => a.p.sys(mremap, a.addr, a.oldLen, a.newLen, a.flags, a.to)

/** L-MRE-E1 and on: in order. */
const wrongs: readonly Wrong[] = [
  { name: "a flag is unknown", errno: "EINVAL", make: (a) => (a.flags |= 8) },
  { name: "the old place is unaligned", errno: "EINVAL", make: (a) => (a.addr += 1) },
  { name: "the new length is 0", errno: "EINVAL", make: (a) => (a.newLen = 0) },
  { name: "the new length is more than there is", errno: "EINVAL", make: (a) => (a.newLen = TASK_SIZE + 1) },
  { name: "the new place lies beyond user space", errno: "EINVAL", make: (a) => (a.to = TASK_SIZE - 4096) },
  { name: "the new place is unaligned", errno: "EINVAL", make: (a) => (a.to += 1) },
  { name: "it may not move", errno: "EINVAL", make: (a) => (a.flags &= ~MREMAP.MAYMOVE) },
  {
    name: "the old place stays, and lengths differ",
    errno: "EINVAL",
    make: (a) => {
      a.flags |= MREMAP.DONTUNMAP
      a.newLen = a.oldLen + 4096
    }
  },
  { name: "the places overlap", errno: "EINVAL", make: (a) => (a.to = a.addr + 4096) },
  {
    name: "there are too many areas",
    errno: "ENOMEM",
    make: ({ p }) => {
      for (let i = 31; p.k.maple.size(p.mm) < LIM - 5 && i < 50; i += 2) p.mprotect(`a${i}`, RO)
    }
  },
  { name: "nothing is there", errno: "EFAULT", make: (a) => (a.addr = at("a10")) },
  { name: "it is sealed", errno: "EPERM", make: ({ p }) => p.mseal("a0+4") },
  { name: "private memory of no length", errno: "EINVAL", make: (a) => (a.oldLen = 0) },
  {
    name: "a special mapping is to stay behind",
    errno: "EINVAL",
    make: (a) => {
      a.p.munmap("a0+4")
      a.p.placeSpecial("vvar", "a0+4")
      keep(a)
    }
  },
  {
    name: "the range passes the end of its area",
    errno: "EFAULT",
    make: (a) => {
      a.oldLen += 4096
      a.newLen += 4096
    }
  },
  {
    name: "a special mapping is to grow",
    errno: "EFAULT",
    make: (a) => {
      a.p.munmap("a0+4")
      a.p.placeSpecial("vvar", "a0+4")
      grow(a)
    }
  },
  {
    name: "not that much may be locked",
    errno: "EAGAIN",
    make: (a) => {
      a.p.limit(RLIMIT_MEMLOCK, 4)
      a.p.mlock("a0+4")
      grow(a)
    }
  },
  {
    name: "the address space may not grow",
    errno: "ENOMEM",
    make: (a) => {
      a.p.limit(RLIMIT_AS, 25)
      grow(a)
    }
  },
  {
    name: "what is at the target is sealed",
    errno: "EPERM",
    make: (a) => {
      a.p.mseal("a22")
      a.to = at("a20")
      a.flags |= MREMAP.FIXED
    }
  },
  {
    name: "the old place stays, and there is no room for both",
    errno: "ENOMEM",
    make: (a) => {
      keep(a)
      a.p.limit(RLIMIT_AS, 25)
    }
  },
  { name: "the new place is below the lowest address", errno: "EPERM", make: (a) => (a.to = 0) }
]

describe("mremap", () => {
  it("that nothing is wrong with works", () => {
    expect(call(attempt())).toBe("a20")
  })

  it("answers the first of Linux's errnos, whichever two things are wrong [L-MRE-E1..9, L-MRE-E11..15, L-MRE-E17..22, L-MRE-36]", () => {
    wrongs.forEach((first, i) => {
      for (const second of [undefined, ...wrongs.slice(i + 1)]) {
        const a = attempt()
        // the later mistake first, so that the earlier one stands where they touch the same argument
        second?.make(a)
        first.make(a)
        expect(call(a), `${first.name}${second === undefined ? "" : `, and ${second.name}`}`).toBe(first.errno)
      }
    })
  })

  it("is EINTR where it is killed while it waits for the lock, and has changed nothing [L-MRE-E10]", () => {
    const { p } = attempt()
    const { k } = p
    const holder = k.runs.alloc(0)
    k.runs.current = holder
    expect(tryMmap(k, p.mm, READ)).toBe(true)
    const hand = new Hand(k, () => mremap(k, p.task, at("a0"), 4096, 4096, MREMAP.MAYMOVE | MREMAP.FIXED, at("a20")))
    hand.step()
    expect(hand.waits).toBe(true)
    hand.kill()
    k.runs.current = holder
    mmapUnlock(k, p.mm, READ)
    k.runs.release(holder)
    expect(p.draw(22)).toBe("aaaa..................")
  })

  it("is ENOMEM at last for a move where areas are three short of the limit, or memory cannot be promised [L-MRE-E23]", () => {
    const p = world("aaaab", { maxMapCount: LIM })
    for (let i = 30; p.k.maple.size(p.mm) < LIM - 3; i += 2) p.mmap(`a${i}`, NONE)
    expect(p.mremap("a0+4", 5, MREMAP.MAYMOVE)).toBe("ENOMEM")
    expect(p.munmap("a30")).toBe("ok")
    expect(p.mremap("a0+4", 5, MREMAP.MAYMOVE)).not.toBe("ENOMEM")
    const q = world("aaaab", { ramPages: 64 })
    expect(q.mremap("a0+4", 69, MREMAP.MAYMOVE)).toBe("ENOMEM")
    expect(q.draw()).toBe("aaaab")
    expect(q.mremap("a0+4", 68, MREMAP.MAYMOVE), "64 more are promised").toBe("0x7ffff7fbb000")
  })

  it("finds out of parameters before it looks whether anything is there [L-MRE-01]", () => {
    for (const wrong of wrongs.slice(0, 9)) {
      const a = attempt()
      a.addr = at("a100")
      wrong.make(a)
      expect(call(a), `at a hole: ${wrong.name}`).toBe("EINVAL")
    }
    const p = world()
    expect(p.mremap("a100", "a200")).toBe("EFAULT")
    expect(p.mremap("a100", 2)).toBe("EFAULT")
    expect(p.sys(mremap, at("a100"), -1, 4096, 0, 0), "-1 rounds to 0").toBe("EFAULT")
  })

  it("does not look at the new place unless it is told to go there [L-MRE-02]", () => {
    const p = world("a")
    for (const to of [0x123, -1, TASK_SIZE]) {
      expect(p.sys(mremap, at("a0"), 1, 1, MREMAP.MAYMOVE, to)).toBe("a0")
      expect(p.sys(mremap, at("a0"), 1, 1, 0, to)).toBe("a0")
    }
  })

  it("cannot make a page offset wrap: bytes do, pages have 12 bits more [L-MRE-32, L-MRE-E16]", () => {
    const p = world()
    const fd = p.open("/f")
    p.mmap("a0", RW, MAP.PRIVATE, fd, 2 ** 51 - 2)
    expect(p.mremap("a0", 4)).toBe("a0")
    expect(p.read("a0+4")).toBe("SIGBUS SIGBUS SIGBUS SIGBUS")
    p.mmap("a10", RW, MAP.SHARED, p.device(), 2 ** 52 - 3)
    expect(p.mremap("a10", 4), "byte offsets beyond 2^64").toBe("a10")
    expect(p.mremap("a10+4", "a20+8")).toBe("a20")
    expect(p.areas()).toEqual(["a0+4 rw-p", "a20+8 rw-s"])
  })
})
