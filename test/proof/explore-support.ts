/** Worlds for the explorer: a process with a few pages of anonymous memory, a file or a device, and verbs upon them.
 *
 * Deeper searches: `EXPLORE=3 npx vitest run test/proof/explore` allows one pre-emption more in every search over the
 * core, and does not stop at any number of schedules.
 */
import { expect, it } from "vitest"
import { VM_MIXEDMAP } from "../../lib/flags/bits.ts"
import { OK } from "../../lib/flags/Errno.ts"
import { type Access, FAULT_OK, WRITE } from "../../lib/flags/FaultFlags.ts"
import * as MAP from "../../lib/flags/MapFlags.ts"
import * as PROT from "../../lib/flags/ProtFlags.ts"
import { fput } from "../../lib/mm/area/object.ts"
import { registerOps } from "../../lib/mm/area/ops.ts"
import { H_CLOSE, H_FAULT, H_MAY_SPLIT, H_MMAP, H_MPROTECT, H_OPEN, H_PAGE_MKWRITE } from "../../lib/mm/base/stop.ts"
import type { StopName, Verb } from "../../lib/mm/base/stop.ts"
import type { Kernel } from "../../lib/mm/kernel.ts"
import { createDevice, createFile, installFd, openPath, RDWR, unlinkPath } from "../../lib/mm/object/file.ts"
import { truncateObject } from "../../lib/mm/object/truncate.ts"
import { fault } from "../../lib/mm/page/fault.ts"
import { FILE_REGULAR } from "../../lib/mm/store/files.ts"
import { F_DRIVER } from "../../lib/mm/store/frames.ts"
import { mmap } from "../../lib/mm/sys/mmap.ts"
import { mprotect } from "../../lib/mm/sys/mprotect.ts"
import { munmap } from "../../lib/mm/sys/munmap.ts"
import { fork, spawn } from "../../lib/mm/sys/process.ts"
import { runNow } from "../../lib/mm/sys/run-now.ts"
import { userLoad8, userStore8 } from "../../lib/mm/sys/trap.ts"
import { tell } from "../../lib/proof/explore/search.ts"
import { dfs } from "../../lib/proof/explore/strategy.ts"
import { bootSmall, type Call, exploreVerbs, type HookStop, type VerbCase } from "../../lib/proof/explore/verbs.ts"

export const PAGE = 4096
/** Byte address and page number of the range that tests use. */
export const BASE = 0x1000_0000
export const FIRST = BASE / PAGE
export const RW = PROT.READ | PROT.WRITE
export const PRIVATE = MAP.PRIVATE | MAP.FIXED
export const SHARED = MAP.SHARED | MAP.FIXED
const ANON = PRIVATE | MAP.ANONYMOUS

/** One process, and what it maps. */
export interface World {
  readonly k: Kernel
  readonly task: number
  readonly mm: number
  /** The object behind the range; 0 if none. */
  readonly obj: number
  readonly fd: number
  /** Frames of the device. */
  readonly frames: number[]
}

const mapped = (k: Kernel, task: number, pages: number, flags: number, fd: number, prot: number): void => {
  expect(runNow(k, () => mmap(k, task, BASE, pages * PAGE, prot, flags, fd, 0))).toBe(BASE)
}

/** `pages` pages of anonymous memory; those of `touched` hold a 7. */
export const anonymous = (pages: number, touched: readonly number[] = [], flags: number = ANON): World => {
  const k = bootSmall()
  const task = spawn(k, "p")
  const mm = k.tasks.mm(task)
  mapped(k, task, pages, flags, -1, RW)
  for (const page of touched) expect(userStore8(k, mm, BASE + page * PAGE, 7)).toBe(OK)
  return { k, task, mm, obj: 0, fd: -1, frames: [] }
}

/** A file of `pages` pages that must be read: page i is full of 65 + i. */
export const fileWorld = (pages: number, flags: number): World => {
  const k = bootSmall()
  const task = spawn(k, "p")
  const read = (i: number, into: Uint8Array): number => {
    into.fill(65 + i)
    return OK
  }
  expect(createFile(k, "/f", FILE_REGULAR, pages * PAGE, { read })).toBe(OK)
  const fd = installFd(k, task, openPath(k, "/f", RDWR))
  mapped(k, task, pages, flags, fd, RW)
  return { k, task, mm: k.tasks.mm(task), obj: k.paths.get("/f")!.obj, fd, frames: [] }
}

/** A device of four frames with these hooks, besides mmap; mapped with `flags` unless they are 0. */
export const deviceWorld = (hooks: readonly number[], flags: number, prot = RW, isMixed = false): World => {
  const k = bootSmall()
  const task = spawn(k, "p")
  const bits = hooks.reduce((b, hook) => b | (1 << hook), 1 << H_MMAP)
  expect(createDevice(k, "/dev/d", registerOps(k, { name: "d", hooks: bits }))).toBe(OK)
  const fd = installFd(k, task, openPath(k, "/dev/d", RDWR))
  const frames = [0, 1, 2, 3].map(() => {
    const p = k.frames.allocZeroed()
    k.frames.setFlag(p, F_DRIVER)
    return p
  })
  const mm = k.tasks.mm(task)
  if (flags !== 0) mapped(k, task, 4, flags, fd, prot)
  if (isMixed) {
    const v = k.maple.lookup(mm, FIRST)
    k.vmas.setFlags(v, k.vmas.flags(v) | VM_MIXEDMAP, k.vmas.flagsHi(v)) // as its mmap hook would
  }
  return { k, task, mm, obj: 0, fd, frames }
}
export const LIFE = [H_OPEN, H_CLOSE, H_MAY_SPLIT]
export const PAGES = [H_FAULT, H_PAGE_MKWRITE]
export const EVERY = [...LIFE, ...PAGES, H_MPROTECT]

/** What that device answers: whatever a hook may, so that each becomes a choice. */
export const anyAnswer = (w: World, { hook, vpn }: HookStop): number | readonly number[] => {
  if (hook === H_CLOSE) return OK
  return hook === H_FAULT ? [w.frames[vpn - FIRST]!, -12, 0] : [OK, -12]
}

// ---- verbs, with names for stories
export const faultAt = ({ k, mm }: World, page: number, access: Access = WRITE): Call => [
  `fault(${page})`,
  () => fault(k, mm, FIRST + page, access)
]
export const unmap = ({ k, task }: World, from: number, pages: number): Call => [
  `munmap(${from}, ${pages})`,
  () => munmap(k, task, BASE + from * PAGE, pages * PAGE)
]
export const protect = ({ k, task }: World, from: number, pages: number, prot: number): Call => [
  `mprotect(${from}, ${pages})`,
  () => mprotect(k, task, BASE + from * PAGE, pages * PAGE, prot)
]
export const map = ({ fd, k, task }: World, from: number, pages: number, flags: number = ANON): Call => [
  `mmap(${from}, ${pages})`,
  () => mmap(k, task, BASE + from * PAGE, pages * PAGE, RW, flags, (flags & MAP.ANONYMOUS) !== 0 ? -1 : fd, 0)
]
export const forkCall = ({ k, task }: World): Call => ["fork", () => fork(k, task, "child")]

/** A verb of the test's own. */
export const verb = (name: string, body: () => Verb<StopName, unknown>): Call => [name, body]

/** Truncates the file to `pages` pages, and may be pre-empted before. */
export const truncate = ({ k, obj }: World, pages: number): Call =>
  verb(`truncate(${pages})`, function* () {
    yield k.runs.point()
    truncateObject(k, obj, pages * PAGE)
    return OK
  })

/** The descriptor goes, and the path: the object lives as long as its mappings. */
export const closeAndUnlink = ({ fd, k, task }: World): Call =>
  verb("close, unlink", function* () {
    yield k.runs.point()
    const file = k.tasks.file(task, fd)
    k.tasks.setFile(task, fd, 0)
    fput(k, file)
    return unlinkPath(k, "/f")
  })

/** A store by the process that has `mm`: the fault, and the access that follows it, until that succeeds. */
export const store = ({ k }: World, mm: number, page: number, value: number): Call =>
  verb(`store(${page}, ${value})`, function* () {
    for (;;) {
      const code = yield* fault(k, mm, FIRST + page, WRITE)
      if (code !== FAULT_OK) return code
      if (k.runs.preempt) yield k.runs.point()
      if (userStore8(k, mm, BASE + page * PAGE, value) === OK) return OK
    }
  })
export const loadNow = (k: Kernel, mm: number, page: number): number => userLoad8(k, mm, BASE + page * PAGE)

export const deeper = process.env["EXPLORE"] === undefined ? undefined : Number(process.env["EXPLORE"])

/** Every schedule of `scene` with at most two pre-emptions (`EXPLORE`: that many) passes. */
export const passes = <W extends World>(rule: string, scene: VerbCase<W>, bound = 2): void => {
  it(`in every order: ${rule}`, { timeout: deeper === undefined ? 20_000 : 3_600_000 }, () => {
    const outcome = exploreVerbs(scene, dfs(deeper ?? bound), deeper === undefined ? 20_000 : Infinity)
    if (deeper !== undefined) console.log(`${rule}: ${tell(outcome)}`)
    expect(outcome.failure === undefined ? "" : tell(outcome)).toBe("")
    expect(outcome.isComplete).toBe(true)
    expect(outcome.schedules).toBeGreaterThan(1)
  })
}
