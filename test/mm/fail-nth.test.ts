/** Every allocation of every system call failed in turn: nothing held, nothing lost, and as if never called. */
import { describe, expect, it } from "vitest"
import { ENOMEM, OK } from "../../lib/flags/Errno.ts"
import * as MAP from "../../lib/flags/MapFlags.ts"
import { EXEC, NONE } from "../../lib/flags/ProtFlags.ts"
import { mmapUnlock, needMmap, tryMmap, WRITE } from "../../lib/mm/area/mmap-lock.ts"
import { H_CLOSE, H_MMAP, H_OPEN, type Verb } from "../../lib/mm/base/stop.ts"
import type { Kernel } from "../../lib/mm/kernel.ts"
import { installFd, openAnonymous, RDWR, unlinkPath } from "../../lib/mm/object/file.ts"
import { vmInsertPage, vmInsertPages } from "../../lib/mm/page/insert.ts"
import { zapPageRangeSingle } from "../../lib/mm/page/zap.ts"
import { FILE_SHMEM } from "../../lib/mm/store/files.ts"
import { F_DRIVER } from "../../lib/mm/store/frames.ts"
import { brk } from "../../lib/mm/sys/brk.ts"
import { madvise } from "../../lib/mm/sys/madvise.ts"
import { mlock } from "../../lib/mm/sys/mlock.ts"
import { mremap } from "../../lib/mm/sys/mremap.ts"
import { fork, spawn } from "../../lib/mm/sys/process.ts"
import { shmat, shmdt, shmget } from "../../lib/mm/sys/shm.ts"
import { shmRemove } from "../../lib/mm/sys/shmctl.ts"
import { copyToUser } from "../../lib/mm/sys/usercopy.ts"
import { bootTiny, call, endTask, HEAP, HERE } from "../../lib/proof/testing/calls.ts"
import { failEach } from "../../lib/proof/testing/fail-nth.ts"
import { Line, READ, RW } from "../support/line.ts"

const ANON = MAP.PRIVATE | MAP.ANONYMOUS
const at = (page: number): number => (HERE + page) * 4096

/** What a scenario begins with, and what its driver holds. */
interface Stage {
  readonly line: Line
  readonly pages: readonly number[]
}

const stage = (line: Line, pages: readonly number[] = []): Stage => ({ line, pages })

interface Scenario {
  readonly name: string
  readonly prepare: (p: Line) => Stage | Line
  readonly act: (p: Line, s: Stage) => number
  /** Does Linux leave something of a call that fails here? */
  readonly isPartial?: boolean
  /** Allocations that must be failed at least: the scenario goes where it is meant to. */
  readonly least?: number
}

/** A device's frames, which it holds. */
function driverPages(k: Kernel, n: number): number[] {
  return Array.from({ length: n }, () => {
    const p = k.frames.allocZeroed()
    k.frames.setFlag(p, F_DRIVER)
    return p
  })
}

function* underWrite(k: Kernel, mm: number, body: () => number): Verb<"NEED_LOCK"> {
  if (!tryMmap(k, mm, WRITE)) yield needMmap(k, mm, WRITE)
  try {
    return body()
  } finally {
    mmapUnlock(k, mm, WRITE)
  }
}

/** A written area, one read-only, a shared file and a memfd: what a fork has to do with. */
function household(p: Line): Line {
  const fd = p.open("/f")
  const memfd = installFd(p.k, p.task, openAnonymous(p.k, FILE_SHMEM, RDWR, "/memfd:m (deleted)", 8192))
  p.map("aab.f.m.g", {
    f: { prot: RW, flags: MAP.SHARED, fd },
    g: { prot: RW, flags: MAP.PRIVATE, fd },
    m: { prot: RW, flags: MAP.SHARED, fd: memfd, pgoff: -6 }
  })
  p.write(0, 1, 4, 6)
  p.read(8)
  return p
}

const scenarios: readonly Scenario[] = [
  { name: "mmap of new memory", prepare: (p) => p, act: (p) => p.mmap(0, 2), least: 2 },
  { name: "mmap that the area below takes in", prepare: (p) => p.map("aa"), act: (p) => p.mmap(2, 2), least: 0 },
  {
    name: "mmap between two written areas",
    prepare: (p) => {
      p.map("a.a").write(2)
      return p
    },
    act: (p) => p.mmap(1, 1)
  },
  {
    name: "mmap of shared memory",
    prepare: (p) => p,
    act: (p) => p.mmap(0, 2, RW, MAP.SHARED | MAP.ANONYMOUS),
    least: 4
  },
  {
    name: "mmap of a file",
    prepare: (p) => {
      p.open("/f")
      return p
    },
    act: (p) => p.mmap(0, 2, RW, MAP.SHARED, 0)
  },
  {
    name: "mmap with MAP_POPULATE",
    prepare: (p) => p,
    act: (p) => p.mmap(0, 3, RW, ANON | MAP.POPULATE),
    least: 8
  },
  {
    name: "mmap of a device that opens, closes and inserts pages",
    prepare: (p) => {
      const pages = driverPages(p.k, 2)
      p.device({ name: "dev", hooks: (1 << H_MMAP) | (1 << H_OPEN) | (1 << H_CLOSE) })
      p.hook = (hook, vma, _ops, vpn) => (hook === H_MMAP ? vmInsertPages(p.k, vma, vpn, pages) : OK)
      return stage(p, pages)
    },
    act: (p) => p.mmap(0, 2, RW, MAP.SHARED, 0),
    least: 5
  },
  {
    name: "MAP_FIXED inside a written area",
    prepare: (p) => {
      p.map("aaaa").write(0, 1, 2, 3)
      return p
    },
    act: (p) => p.mmap(1, 2, READ),
    isPartial: true,
    least: 6
  },
  {
    name: "munmap of a written area's middle",
    prepare: (p) => {
      p.map("aaaa").write(0, 1, 2, 3)
      return p
    },
    act: (p) => p.munmap(1, 2),
    isPartial: true,
    least: 4
  },
  {
    name: "munmap of a tail",
    prepare: (p) => {
      p.map("aaaa").write(0, 3)
      return p
    },
    act: (p) => p.munmap(2, 2),
    least: 3
  },
  {
    name: "munmap across areas",
    prepare: (p) => {
      p.map("aab.aa").write(0, 1, 4, 5)
      return p
    },
    act: (p) => p.munmap(1, 4),
    isPartial: true
  },
  {
    name: "mprotect of an inner page",
    prepare: (p) => {
      p.map("aaaa").write(1)
      return p
    },
    act: (p) => p.mprotect(1, 1, READ),
    isPartial: true,
    least: 4
  },
  {
    name: "mprotect of a head",
    prepare: (p) => {
      p.map("aaaa").write(1)
      return p
    },
    act: (p) => p.mprotect(0, 1, NONE)
  },
  {
    name: "mprotect that joins a written area to one that was not",
    prepare: (p) => {
      p.map("ab")
      p.mprotect(1, 1, RW | EXEC)
      p.write(1)
      return p
    },
    act: (p) => p.mprotect(1, 1, RW),
    least: 1
  },
  {
    name: "mprotect that joins three",
    prepare: (p) => {
      p.map("aba")
      p.mprotect(1, 1, RW | EXEC)
      p.write(2, 1)
      return p
    },
    act: (p) => p.mprotect(1, 1, RW)
  },
  {
    name: "brk up from nothing",
    prepare: (p) => p,
    act: (p) => (call(p.k, () => brk(p.k, p.task, HEAP * 4096 + 9000)) === HEAP * 4096 ? ENOMEM : OK),
    least: 2
  },
  {
    name: "brk up and down",
    prepare: (p) => {
      call(p.k, () => brk(p.k, p.task, HEAP * 4096 + 20_000))
      return p
    },
    act: (p) => {
      const to = HEAP * 4096 + 5000
      return call(p.k, () => brk(p.k, p.task, to)) === to ? OK : ENOMEM
    }
  },
  {
    name: "fork",
    prepare: household,
    act: (p) => {
      const child = call(p.k, () => fork(p.k, p.task, "child"))
      if (child > 0) endTask(p.k, child)
      return child
    },
    least: 15
  },
  {
    name: "fork of a fork that wrote",
    prepare: (p) => {
      p.map("aa").write(0)
      const child = p.fork()
      child.write(0, 1)
      p.exit()
      return child
    },
    act: (p) => {
      const child = call(p.k, () => fork(p.k, p.task, "child"))
      if (child > 0) endTask(p.k, child)
      return child
    },
    least: 8
  },
  {
    name: "a first read and a first write",
    prepare: (p) => p.map("aa"),
    act: (p) => (p.read(0) >= 0 ? p.write(1) : -1),
    isPartial: true,
    least: 6
  },
  { name: "a first write", prepare: (p) => p.map("a"), act: (p) => p.write(0), least: 6 },
  {
    name: "a write to a page shared with a child",
    prepare: (p) => {
      p.map("aa").write(0)
      p.fork()
      return p
    },
    act: (p) => p.write(0),
    least: 1
  },
  {
    name: "a child's write to what it shares with its parent",
    prepare: (p) => {
      p.map("aa").write(0)
      return p.fork()
    },
    act: (p) => p.write(0)
  },
  {
    name: "a read of a file",
    prepare: (p) => {
      p.mmap(0, 4, RW, MAP.SHARED, p.open("/f"))
      return p
    },
    act: (p) => Math.min(0, p.read(2)),
    least: 3
  },
  {
    name: "a write to a private mapping of a file",
    prepare: (p) => {
      p.mmap(0, 4, RW, MAP.PRIVATE, p.open("/f"))
      return p
    },
    act: (p) => p.write(2),
    least: 5
  },
  {
    name: "a write to shared memory",
    prepare: (p) => {
      p.mmap(0, 4, RW, MAP.SHARED | MAP.ANONYMOUS)
      return p
    },
    act: (p) => p.write(2),
    least: 5
  },
  {
    name: "a write below a stack",
    prepare: (p) => {
      p.mmap(20, 2, RW, ANON | MAP.GROWSDOWN)
      return p
    },
    act: (p) => p.write(17),
    isPartial: true,
    least: 4
  },
  {
    name: "vm_insert_page",
    prepare: (p) => stage(p.map("d", { d: { prot: RW, flags: MAP.SHARED, fd: plainDevice(p) } }), driverPages(p.k, 1)),
    act: (p, s) => call(p.k, () => underWrite(p.k, p.mm, () => vmInsertPage(p.k, p.area(0), HERE, s.pages[0]!))),
    // Linux too leaves VM_MIXEDMAP set when the insertion fails afterwards
    isPartial: true,
    least: 3
  },
  {
    name: "vm_insert_pages across two page tables, and zap",
    prepare: (p) => {
      const fd = plainDevice(p)
      p.mmap(510, 4, RW, MAP.SHARED, fd)
      return stage(p, driverPages(p.k, 4))
    },
    act: (p, s) =>
      call(p.k, () =>
        underWrite(p.k, p.mm, () => {
          const r = vmInsertPages(p.k, p.area(510), HERE + 510, s.pages)
          zapPageRangeSingle(p.k, p.area(510), HERE + 510, 4)
          return r
        })
      ),
    isPartial: true,
    least: 4
  },
  {
    name: "spawn",
    prepare: (p) => p,
    act: (p) => {
      const task = spawn(p.k, "another")
      if (task > 0) endTask(p.k, task)
      return task
    },
    least: 3
  },
  {
    name: "copy_to_user",
    prepare: (p) => p.map("aa"),
    act: (p) => (call(p.k, () => copyToUser(p.k, p.mm, at(0) + 4090, new Uint8Array(10).fill(1))) === 0 ? OK : -14),
    isPartial: true,
    least: 6
  },
  {
    name: "mremap to another place",
    prepare: (p) => {
      p.map("aa|b").write(0, 1)
      return p
    },
    act: (p) =>
      Math.min(
        0,
        call(p.k, () => mremap(p.k, p.task, at(0), 8192, 16_384, 1, 0))
      ),
    isPartial: true,
    least: 3
  },
  {
    name: "mlock of a part",
    prepare: (p) => p.map("aaaa"),
    act: (p) => call(p.k, () => mlock(p.k, p.task, at(1), 8192)),
    isPartial: true,
    least: 8
  },
  {
    name: "a segment made, attached, cut and detached",
    prepare: (p) => p.map("a"),
    act: (p) => {
      const id = shmget(p.k, p.task, 0, 4 * 4096, 0o600)
      if (id < 0) return id
      const r = call(p.k, () => shmat(p.k, p.task, id, at(4), 0))
      const cut = r < 0 ? r : p.munmap(5, 1)
      call(p.k, () => shmdt(p.k, p.task, at(4)))
      shmRemove(p.k, p.task, id)
      return cut
    },
    least: 6
  },
  {
    name: "madvise(MADV_DONTFORK) of a part",
    prepare: (p) => {
      p.map("aaaa").write(2)
      return p
    },
    act: (p) => call(p.k, () => madvise(p.k, p.task, at(1), 8192, 10)),
    isPartial: true,
    least: 4
  }
]

const plainDevice = (p: Line): number => p.device({ name: "dev", hooks: 1 << H_MMAP })

describe("an allocation that fails", () => {
  for (const { name, prepare, act, isPartial, least } of scenarios)
    it(`in ${name}: no lock held, nothing lost, ${isPartial === true ? "" : "as if never called, "}and it works when there is memory again`, () => {
      const failed = failEach<Stage>({
        boot: () => bootTiny({ frames: 128 }),
        prepare: (k) => {
          const s = prepare(new Line(k))
          return s instanceof Line ? stage(s) : s
        },
        act: (_, s) => act(s.line, s),
        end: (k, { pages }) => {
          for (let task = 1; task < k.tasks.limit(); task++) if (k.tasks.mm(task) !== 0) endTask(k, task)
          for (const path of k.paths.keys()) unlinkPath(k, path)
          for (const page of pages) k.frames.put(page)
        },
        ...(isPartial === true ? { isPartial } : {}),
        isRepeatable: true
      })
      expect(failed).toBeGreaterThanOrEqual(least ?? 1)
    })
})
