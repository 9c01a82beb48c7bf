/** The errno of a call that is wrong in two ways: the first of Linux's order, for every two of them. */
import * as SEAL from "../../../lib/flags/SealFlags.ts"
import { describe, expect, it } from "vitest"
import { VM_MAYWRITE, VMH_SEALED } from "../../../lib/flags/bits.ts"
import {
  EACCES,
  EAGAIN,
  EBADF,
  EEXIST,
  EINVAL,
  ENODEV,
  ENOMEM,
  EOPNOTSUPP,
  EOVERFLOW,
  EPERM,
  OK
} from "../../../lib/flags/Errno.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { EXEC, GROWSDOWN, GROWSUP, READ, SEM } from "../../../lib/flags/ProtFlags.ts"
import { checkIdle } from "../../../lib/mm/area/check.ts"
import { H_MMAP, H_MPROTECT } from "../../../lib/mm/base/stop.ts"
import type { Word } from "../../../lib/mm/base/units.ts"
import { installFd, openAnonymous } from "../../../lib/mm/object/file.ts"
import { FILE_DIR, FILE_NOEXEC, FILE_SHMEM, FMODE_READ, FMODE_WRITE } from "../../../lib/mm/store/files.ts"
import { RLIMIT_AS, RLIMIT_MEMLOCK } from "../../../lib/mm/store/tasks.ts"
import { mmap } from "../../../lib/mm/sys/mmap.ts"
import { mprotect } from "../../../lib/mm/sys/mprotect.ts"
import { bootTiny, call, HERE } from "../../../lib/proof/testing/calls.ts"
import { visibleOf } from "../../../lib/proof/testing/tables.ts"
import { Line, RW } from "../../support/line.ts"

const AT = HERE * 4096
const RDWR = FMODE_READ | FMODE_WRITE

/** A call as it is about to be made, on a process whose surroundings can be made unfit for it. */
interface Attempt {
  readonly p: Line
  addr: Word
  len: Word
  prot: number
  flags: number
  fd: number
  off: Word
  /** What the driver's hook answers. */
  hook: number
}

/** One way to be wrong, and what is answered to it. */
interface Wrong {
  readonly name: string
  readonly errno: number
  readonly make: (a: Attempt) => void
}

/** Descriptors that are there. */
const [FILE, RO, WO, NOEXEC, DIR, SEALED, DEVICE] = [0, 1, 2, 3, 4, 5, 6]

/** A process without rights: a file on every kind of descriptor, something sealed at page 8, an area at page 10. */
function attempt(): Attempt {
  const p = new Line(bootTiny({ maxMapCount: 6 }))
  const { k, task } = p
  p.open("/f")
  p.open("/f", 4, FMODE_READ)
  p.open("/f", 4, FMODE_WRITE)
  const noexec = p.open("/noexec", 1)
  k.files.setFlags(k.tasks.file(task, noexec), FILE_NOEXEC)
  installFd(k, task, openAnonymous(k, FILE_DIR, FMODE_READ, "/dir"))
  const memfd = openAnonymous(k, FILE_SHMEM, RDWR, "/memfd:m (deleted)", 8192)
  k.files.setSeals(k.files.obj(memfd), SEAL.WRITE)
  installFd(k, task, memfd)
  p.device({ name: "dev", hooks: (1 << H_MMAP) | (1 << H_MPROTECT) })
  p.map("........a.b")
  k.vmas.setFlags(p.area(8), k.vmas.flags(p.area(8)), VMH_SEALED)
  k.tasks.setCaps(task, 0)
  const a: Attempt = {
    p,
    addr: AT,
    len: 8192,
    prot: RW,
    flags: MAP.SHARED | MAP.FIXED,
    fd: FILE,
    off: 0,
    hook: OK
  }
  p.hook = () => a.hook
  return a
}

const shared = (a: Attempt): void => {
  a.flags = (a.flags & ~(MAP.TYPE | MAP.ANONYMOUS)) | MAP.SHARED
}
const limit = (a: Attempt, resource: number, bytes: number): void =>
  a.p.k.tasks.setRlimit(a.p.task, resource, bytes, Infinity)

/** docs/spec/linux-mm.md, L-MMAP-E1 and on: in order. */
const wrongMmaps: readonly Wrong[] = [
  { name: "the offset is no multiple of pages", errno: EINVAL, make: (a) => (a.off = 1) },
  {
    name: "there is no such descriptor",
    errno: EBADF,
    make: (a) => {
      shared(a)
      a.fd = 99
    }
  },
  { name: "the length is 0", errno: EINVAL, make: (a) => (a.len = 0) },
  { name: "the length rounds to 0", errno: ENOMEM, make: (a) => (a.len = -1) },
  {
    name: "there are too many areas",
    errno: ENOMEM,
    make: ({ p }) => {
      for (let page = 20; page < 34; page += 2) p.mmap(page, 1, READ)
    }
  },
  { name: "the place lies beyond user space", errno: ENOMEM, make: (a) => (a.addr = 2 ** 47) },
  { name: "the place is unaligned", errno: EINVAL, make: (a) => (a.addr = AT + 1) },
  { name: "the place lies below the lowest address", errno: EPERM, make: (a) => (a.addr = 0) },
  {
    name: "something is there already",
    errno: EEXIST,
    make: (a) => {
      a.flags |= MAP.FIXED_NOREPLACE
      a.addr = AT + 9 * 4096
    }
  },
  {
    name: "nothing may be locked",
    errno: EPERM,
    make: (a) => {
      a.flags |= MAP.LOCKED
      limit(a, RLIMIT_MEMLOCK, 0)
    }
  },
  {
    name: "not that much may be locked",
    errno: EAGAIN,
    make: (a) => {
      a.flags |= MAP.LOCKED
      limit(a, RLIMIT_MEMLOCK, 4096)
    }
  },
  {
    name: "no file reaches that far",
    errno: EOVERFLOW,
    make: (a) => {
      shared(a)
      a.fd = FILE
      a.off = 2n ** 63n
    }
  },
  {
    name: "a flag is unknown to MAP_SHARED_VALIDATE",
    errno: EOPNOTSUPP,
    make: (a) => {
      a.flags = (a.flags & ~MAP.TYPE) | MAP.SHARED_VALIDATE | MAP.SYNC
    }
  },
  {
    name: "a file that is read-only is to be written",
    errno: EACCES,
    make: (a) => {
      shared(a)
      a.prot |= RW
      a.fd = RO
    }
  },
  {
    name: "a file cannot be read",
    errno: EACCES,
    make: (a) => {
      shared(a)
      a.fd = WO
    }
  },
  {
    name: "a file must not be executed",
    errno: EPERM,
    make: (a) => {
      shared(a)
      a.prot |= EXEC
      a.fd = NOEXEC
    }
  },
  {
    name: "the file is no memory",
    errno: ENODEV,
    make: (a) => {
      shared(a)
      a.prot = READ
      a.fd = DIR
    }
  },
  {
    name: "a file is to grow down",
    errno: EINVAL,
    make: (a) => {
      shared(a)
      a.flags |= MAP.GROWSDOWN
    }
  },
  {
    name: "the file is sealed against writes",
    errno: EPERM,
    make: (a) => {
      shared(a)
      a.prot |= RW
      a.fd = SEALED
    }
  },
  {
    name: "write and execute are not had together",
    errno: EACCES,
    make: (a) => {
      a.prot = 7
      a.p.k.mms.setMdwe(a.p.mm, 1)
    }
  },
  { name: "what is there is sealed", errno: EPERM, make: (a) => (a.addr = AT + 7 * 4096) },
  { name: "the address space may not grow", errno: ENOMEM, make: (a) => limit(a, RLIMIT_AS, 3 * 4096) },
  {
    name: "the driver says no",
    errno: EAGAIN,
    make: (a) => {
      shared(a)
      a.fd = DEVICE
      a.hook = EAGAIN
    }
  }
]

const runMmap = ({ p, addr, len, prot, flags, fd, off }: Attempt): number =>
  Math.min(
    0,
    call(p.k, () => mmap(p.k, p.task, addr, len, prot, flags, fd, off), p.hook)
  )

/** L-MPR-E1 and on. */
const wrongMprotects: readonly Wrong[] = [
  { name: "it is to grow both ways", errno: EINVAL, make: (a) => (a.prot |= GROWSDOWN | GROWSUP) },
  { name: "the place is unaligned", errno: EINVAL, make: (a) => (a.addr = AT + 1) },
  { name: "the length is 0, which is no error", errno: OK, make: (a) => (a.len = 0) },
  { name: "the end wraps", errno: ENOMEM, make: (a) => (a.len = -4096) },
  { name: "a bit is unknown", errno: EINVAL, make: (a) => (a.prot |= 0x10) },
  { name: "there is a hole at the start", errno: ENOMEM, make: (a) => (a.addr = AT + 4 * 4096) },
  { name: "nothing grows down there", errno: EINVAL, make: (a) => (a.prot |= GROWSDOWN) },
  { name: "nothing grows up at all", errno: EINVAL, make: (a) => (a.prot |= GROWSUP) },
  {
    name: "the right may not be had",
    errno: EACCES,
    make: (a) => {
      a.p.k.vmas.setFlags(a.p.area(0), a.p.k.vmas.flags(a.p.area(0)) & ~VM_MAYWRITE, 0)
      a.prot |= RW
    }
  },
  {
    name: "nothing becomes executable any more",
    errno: EACCES,
    make: (a) => {
      a.prot |= EXEC
      a.p.k.mms.setMdwe(a.p.mm, 1)
    }
  },
  {
    name: "the driver says no",
    errno: EAGAIN,
    make: (a) => (a.hook = EAGAIN)
  },
  {
    name: "the area is sealed",
    errno: EPERM,
    make: ({ p }) => p.k.vmas.setFlags(p.area(0), p.k.vmas.flags(p.area(0)), VMH_SEALED)
  }
]

/** The same with two pages of a device that wants to hear of mprotect, at the place that the call is about. */
function withArea(): Attempt {
  const a = attempt()
  a.p.map("dd", { d: { prot: READ, flags: MAP.PRIVATE, fd: DEVICE } })
  a.prot = READ
  return a
}

const runMprotect = (a: Attempt): number => {
  const { p, addr, len, prot } = a
  return call(p.k, () => mprotect(p.k, p.task, addr, len, prot), p.hook)
}

/** Makes the later mistake first, so that the earlier one stands where they touch the same argument. */
function holdsFirst(wrongs: readonly Wrong[], begin: () => Attempt, run: (a: Attempt) => number): void {
  wrongs.forEach((first, i) => {
    for (const second of [undefined, ...wrongs.slice(i + 1)]) {
      const a = begin()
      const both = second === undefined ? first.name : `${first.name}, and ${second.name}`
      second?.make(a)
      first.make(a)
      const before = visibleOf(a.p.k)
      const r = run(a)
      if (r !== first.errno) expect.fail(`${both}: answers ${r}, expected ${first.errno}`)
      if (run === runMmap && i < wrongs.length - 3 && visibleOf(a.p.k) !== before) expect.fail(`${both}: left traces`)
      checkIdle(a.p.k)
    }
  })
}

describe("mmap", () => {
  it("that nothing is wrong with works", () => {
    expect(runMmap(attempt())).toBe(OK)
  })

  it("answers the first of Linux's errnos, whichever two things are wrong, and changes nothing before E21 [L-MMAP-E1, L-MMAP-E2, L-MMAP-E4, L-MMAP-E5, L-MMAP-E7..17, L-MMAP-E19..22, L-MMAP-E25, L-MMAP-01, L-MMAP-02, L-MMAP-04, L-MMAP-05, L-MMAP-15, L-MMAP-17, L-GUA-12, L-GUA-13, L-VMA-35]", () => {
    holdsFirst(wrongMmaps, attempt, runMmap)
  })

  it("wants a type, and for anonymous memory one of three [L-MMAP-06, L-MMAP-07, L-MMAP-E18]", () => {
    for (const type of [0, 3, 4, 5, 7, 9, 15]) {
      const a = attempt()
      expect(a.p.mmap(0, 1, RW, type | MAP.ANONYMOUS), `type ${type}`).toBe(EINVAL)
      if (type !== 3) expect(a.p.mmap(0, 1, RW, type, FILE), `type ${type} of a file`).toBe(EINVAL)
    }
    const a = attempt()
    expect(a.p.mmap(0, 1, RW, MAP.DROPPABLE, FILE)).toBe(EINVAL)
    expect(a.p.mmap(0, 1, RW, MAP.DROPPABLE | MAP.ANONYMOUS)).toBe(OK)
  })

  it("is refused what the machine cannot promise [L-MMAP-E23]", () => {
    const p = new Line()
    expect(p.mmap(0, 65, RW, MAP.PRIVATE | MAP.ANONYMOUS)).toBe(ENOMEM)
    expect(p.mmap(0, 65, READ, MAP.PRIVATE | MAP.ANONYMOUS)).toBe(OK)
    checkIdle(p.k)
  })
})

describe("mprotect", () => {
  it("that nothing is wrong with works, PROT_SEM included [L-MPR-02]", () => {
    const a = withArea()
    a.prot = READ | SEM
    expect(runMprotect(a)).toBe(OK)
  })

  it("answers the first of Linux's errnos, whichever two things are wrong [L-MPR-E1..4, L-MPR-E6..8, L-MPR-01, L-MPR-08]", () => {
    holdsFirst(wrongMprotects, withArea, runMprotect)
  })
})
