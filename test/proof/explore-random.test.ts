/** Random programs of core verbs in random orders, with kills, failing hooks, failing reads and failing allocations. After
 * each step the invariants hold; at the end no frame, file, anon_vma or promise of memory is left.
 *
 * `EXPLORE_PROGRAMS=5000 npx vitest run test/proof/explore-random` plays more; `EXPLORE_SEED` is where the seeds begin.
 */
import { expect, it } from "vitest"
import { VM_MIXEDMAP } from "../../lib/flags/bits.ts"
import { ENOMEM, OK } from "../../lib/flags/Errno.ts"
import { FAULT_OK, READ as READING, WRITE as WRITING } from "../../lib/flags/FaultFlags.ts"
import * as MAP from "../../lib/flags/MapFlags.ts"
import { holdVma, letVmaGo } from "../../lib/mm/area/lookup.ts"
import { mmgetNotZero } from "../../lib/mm/area/mm.ts"
import { mmapUnlock, needMmap, READ, tryMmap } from "../../lib/mm/area/mmap-lock.ts"
import { closeFile } from "../../lib/mm/area/object.ts"
import { registerOps } from "../../lib/mm/area/ops.ts"
import {
  H_CLOSE,
  H_FAULT,
  H_MAY_SPLIT,
  H_MMAP,
  H_MPROTECT,
  H_OPEN,
  H_PAGE_MKWRITE,
  type StopName,
  type Verb
} from "../../lib/mm/base/stop.ts"
import type { Kernel } from "../../lib/mm/kernel.ts"
import { createDevice, createFile, installFd, openPath, RDWR, unlinkPath } from "../../lib/mm/object/file.ts"
import { punchHole, truncateObject } from "../../lib/mm/object/truncate.ts"
import { fault } from "../../lib/mm/page/fault.ts"
import { getUserPage } from "../../lib/mm/page/gup.ts"
import { vmInsertPage } from "../../lib/mm/page/insert.ts"
import { zapPageRangeSingle } from "../../lib/mm/page/zap.ts"
import { FILE_REGULAR, FILE_SHMEM } from "../../lib/mm/store/files.ts"
import { F_DRIVER } from "../../lib/mm/store/frames.ts"
import { TASK_LIVE } from "../../lib/mm/store/tasks.ts"
import { brk } from "../../lib/mm/sys/brk.ts"
import { mmap } from "../../lib/mm/sys/mmap.ts"
import { mprotect } from "../../lib/mm/sys/mprotect.ts"
import { munmap } from "../../lib/mm/sys/munmap.ts"
import { exit, fork, mmputAsync, spawn } from "../../lib/mm/sys/process.ts"
import { runNow } from "../../lib/mm/sys/run-now.ts"
import { userStore8 } from "../../lib/mm/sys/trap.ts"
import { tell } from "../../lib/proof/explore/search.ts"
import { dfs, numbers, pct, random, type Strategy } from "../../lib/proof/explore/strategy.ts"
import { bootSmall, type Call, exploreVerbs, type HookStop } from "../../lib/proof/explore/verbs.ts"
import { BASE, FIRST, PAGE } from "./explore-support.ts"

type Dice = (n: number) => number
const HOOKS = [H_OPEN, H_CLOSE, H_MAY_SPLIT, H_FAULT, H_PAGE_MKWRITE, H_MPROTECT]
const PATHS = ["/d", "/f", "/s"]

/** What mmap is asked: anonymous memory, the device, the file or shared memory; private or shared. */
function mapCall(k: Kernel, task: number, fds: readonly number[], dice: Dice, extra: number): () => Verb<StopName> {
  const kind = dice(4)
  const flags = kind === 0 ? MAP.PRIVATE | MAP.ANONYMOUS : dice(2) === 0 ? MAP.PRIVATE : MAP.SHARED
  const [at, pages, prot] = [dice(7), 1 + dice(4), dice(4)]
  const fd = kind === 0 ? -1 : fds[kind - 1]!
  return () => mmap(k, task, BASE + at * PAGE, pages * PAGE, prot, flags | MAP.FIXED | extra, fd, at * PAGE)
}

/** A machine with a device, a file and shared memory, and one or two processes that map them. */
function world(dice: Dice) {
  const k = bootSmall()
  const task = spawn(k, "p")
  const hooks = HOOKS.reduce((bits, hook) => (dice(2) === 0 ? bits : bits | (1 << hook)), 1 << H_MMAP)
  createDevice(k, "/d", registerOps(k, { name: "d", hooks }))
  const read = (i: number, into: Uint8Array): number => {
    into.fill(65 + i)
    return OK
  }
  createFile(k, "/f", FILE_REGULAR, 6 * PAGE, { read })
  createFile(k, "/s", FILE_SHMEM, 6 * PAGE)
  const fds = PATHS.map((path) => installFd(k, task, openPath(k, path, RDWR)))
  const frames = [0, 1, 2, 3, 4, 5].map(() => {
    const p = k.frames.allocZeroed()
    k.frames.setFlag(p, F_DRIVER)
    return p
  })
  const isMixed = dice(2) === 0
  const begin = (v: number): void => {
    if (isMixed) k.vmas.setFlags(v, k.vmas.flags(v) | VM_MIXEDMAP, k.vmas.flagsHi(v))
  }
  const onHook = (hook: number, v: number): number => {
    if (hook === H_MMAP) begin(v)
    return OK
  }
  for (let n = 1 + dice(3); n > 0; n--) runNow(k, mapCall(k, task, fds, dice, 0), onHook)
  for (let n = 0; n < 3; n++) userStore8(k, k.tasks.mm(task), BASE + dice(8) * PAGE, 7)
  const child = dice(3) === 0 ? runNow(k, () => fork(k, task, "c")) : 0
  return { k, tasks: [task, typeof child === "number" && child > 0 ? child : task], fds, frames, begin }
}
type World = ReturnType<typeof world>

/** A verb, with its operands in its name. */
function anyCall({ fds, frames, k, tasks }: World, dice: Dice): Call {
  const task = tasks[dice(2)]!
  const mm = k.tasks.mm(task)
  const at = dice(7)
  const pages = 1 + dice(4)
  const [addr, len, vpn] = [BASE + at * PAGE, pages * PAGE, FIRST + at]
  const obj = k.paths.get(PATHS[1 + dice(2)]!)!.obj
  const here = `${task}, ${at}`
  switch (dice(14)) {
    case 0:
      return [`load(${here})`, () => fault(k, mm, vpn, READING)]
    case 1:
    case 2:
      return [`store(${here})`, () => fault(k, mm, vpn, WRITING)]
    case 3:
      return [`munmap(${here}, ${pages})`, () => munmap(k, task, addr, len)]
    case 4: {
      const prot = dice(4)
      return [`mprotect(${here}, ${pages}, ${prot})`, () => mprotect(k, task, addr, len, prot)]
    }
    case 5:
      return [`mmap(${here})`, mapCall(k, task, fds, dice, [0, 0, MAP.POPULATE, MAP.GROWSDOWN][dice(4)]!)]
    case 6:
      return [`fork(${task})`, () => fork(k, task, "f")]
    case 7: {
      const size = dice(7) * PAGE + dice(2) * 100
      return verb(k, `truncate(${obj}, ${size})`, () => truncateObject(k, obj, size))
    }
    case 8:
      return verb(k, `punch(${obj}, ${at}, ${pages})`, () => punchHole(k, obj, at * PAGE, (at + pages) * PAGE - 50))
    case 9:
    case 10:
      return [
        `insert or zap(${here})`,
        function* () {
          const v = yield* holdVma(k, mm, vpn)
          if (v === 0) return "nothing there"
          const isMixed = (k.vmas.flags(v) & VM_MIXEDMAP) !== 0
          const r = pages > 2 && isMixed ? vmInsertPage(k, v, vpn, frames[at % 6]!) : OK
          if (pages <= 2) zapPageRangeSingle(k, v, vpn, 1)
          letVmaGo(k, mm, v)
          return r
        }
      ]
    case 11:
      return [
        `get_user_page(${here})`,
        function* () {
          if (!tryMmap(k, mm, READ)) yield needMmap(k, mm, READ)
          try {
            const p = yield* getUserPage(k, mm, vpn, pages > 2)
            if (p > 0) k.frames.put(p)
            return p
          } finally {
            mmapUnlock(k, mm, READ)
          }
        }
      ]
    case 12:
      return [
        `mmget, store(${here})`,
        function* () {
          yield k.runs.point()
          if (!mmgetNotZero(k, mm)) return "gone"
          try {
            const code = yield* fault(k, mm, vpn, WRITING)
            return code === FAULT_OK ? userStore8(k, mm, addr, 9) : code
          } finally {
            mmputAsync(k, mm)
          }
        }
      ]
    default:
      return [`brk(${task}, ${at})`, () => brk(k, task, at * PAGE)]
  }
}
const verb = (k: Kernel, name: string, body: () => void): Call => [
  name,
  function* () {
    yield k.runs.point()
    body()
    return OK
  }
]

/** Ends all processes, closes and unlinks everything: then nothing may be left. */
function tearDown({ frames, k }: World): void {
  k.fail.arm(0)
  for (let t = 1; t < k.tasks.limit(); t++) if (k.tasks.state(t) === TASK_LIVE) runNow(k, () => exit(k, t))
  for (let f = k.released.shift(); f !== undefined; f = k.released.shift()) closeFile(k, f)
  for (const path of PATHS) unlinkPath(k, path)
  for (const p of frames) k.frames.put(p)
  let used = 0
  k.frames.forEachUsed(() => used++)
  const left = { frames: used, files: k.files.liveFiles, anon: k.anon.live, committed: k.committed }
  if (Object.values(left).some((n) => n !== 0)) throw new Error(`left at the end: ${JSON.stringify(left)}`)
}

/** One random program, in 40 orders. */
function play(seed: number): string {
  const die = numbers(seed)
  const plan = Array.from({ length: 100 }, () => die(1 << 20))
  const strategy: Strategy = [pct(seed, 40, 40, 3), random(seed, 40), dfs(1)][seed % 3]!
  // the same plan for each schedule, whatever was asked of the dice before
  const from = (start: number): Dice => {
    let i = start
    return (n) => plan[i++ % plan.length]! % n
  }
  const hooks = (w: World, { hook, vma, vpn }: HookStop): number | readonly number[] => {
    if (hook === H_MMAP) w.begin(vma)
    if (hook === H_FAULT) return [w.frames[(vpn - FIRST) % 6]!, ENOMEM]
    return hook === H_CLOSE ? OK : [OK, ENOMEM]
  }
  const tasks = (w: World): Record<string, readonly Call[]> => {
    const dice = from(40)
    if (dice(3) === 0) w.k.fail.arm(1 + dice(40))
    const calls = (): readonly Call[] => Array.from({ length: 1 + dice(3) }, () => anyCall(w, dice))
    return dice(2) === 0 ? { A: calls(), B: calls() } : { A: calls(), B: calls(), C: calls() }
  }
  const outcome = exploreVerbs(
    {
      boot: () => world(from(0)),
      tasks,
      hooks,
      kills: die(3),
      readsMayFail: die(2) === 0,
      end: tearDown
    },
    strategy,
    40
  )
  return outcome.failure === undefined ? "" : `seed ${seed}: ${tell(outcome)}`
}

const programs = Number(process.env["EXPLORE_PROGRAMS"] ?? 25)
const first = Number(process.env["EXPLORE_SEED"] ?? 1)

it(`${programs} random programs in 40 orders each`, { timeout: 30_000 + programs * 1000 }, () => {
  for (let seed = first; seed < first + programs; seed++) expect(play(seed)).toBe("")
})
