/** Random programs: what they do, and how they are run on a real machine. `model.ts` says what ought to come of it. */
import fc from "fast-check"
import { EFAULT, OK } from "../../lib/flags/Errno.ts"
import { FAULT_OK } from "../../lib/flags/FaultFlags.ts"
import * as MAP from "../../lib/flags/MapFlags.ts"
import { mmapUnlock, needMmap, tryMmap, WRITE } from "../../lib/mm/area/mmap-lock.ts"
import { registerOps } from "../../lib/mm/area/ops.ts"
import type { KernelConfig } from "../../lib/mm/base/config.ts"
import { H_MMAP, type StopName, type Verb } from "../../lib/mm/base/stop.ts"
import type { Kernel } from "../../lib/mm/kernel.ts"
import { createDevice, createFile, installFd, openAnonymous, openPath, unlinkPath } from "../../lib/mm/object/file.ts"
import { truncateObject } from "../../lib/mm/object/truncate.ts"
import { vmInsertPage } from "../../lib/mm/page/insert.ts"
import { switchMm } from "../../lib/mm/page/tlb.ts"
import { zapPageRangeSingle } from "../../lib/mm/page/zap.ts"
import { FILE_DEVICE, FILE_PIPE, FILE_REGULAR, FILE_SHMEM, FMODE_READ, FMODE_WRITE } from "../../lib/mm/store/files.ts"
import { F_DRIVER } from "../../lib/mm/store/frames.ts"
import { BRK, START_BRK } from "../../lib/mm/store/mms.ts"
import { brk } from "../../lib/mm/sys/brk.ts"
import { mmap } from "../../lib/mm/sys/mmap.ts"
import { mprotect } from "../../lib/mm/sys/mprotect.ts"
import { munmap } from "../../lib/mm/sys/munmap.ts"
import { fork } from "../../lib/mm/sys/process.ts"
import { bootTiny, call, endTask, spawnTask } from "../../lib/proof/testing/calls.ts"

/** Pages that programs play with: they lie across the border of two page tables. */
export const WINDOW = 0x10000 - 5
export const WINDOW_PAGES = 10
/** First page of the heap, inside the window, so that it meets other areas. */
export const HEAP_PAGE = WINDOW + 3
/** Searches for room start here, going down. */
export const TOP = WINDOW + WINDOW_PAGES
/** Bytes of the file and of the memfd at the start: two and a half pages. */
export const FILE_BYTES = 10_240
export const MOST_TASKS = 3

/** Descriptors that every process has. */
export const MEMFD = 0
const FILE_RW = 1
export const FILE_RO = 2
export const FILE_WO = 3
export const PIPE = 4
/** A device without a fault hook: only what its driver inserts is there. */
export const DEVICE = 5
/** Pages that its driver has. */
export const DEVICE_PAGES = 3
/** No such descriptor. */
export const NO_FD = 9

/** One step of a program. `p` is a process, by its number among those that live. */
export type Op =
  | {
      readonly op: "mmap"
      readonly p: number
      /** Byte address and length as the call gets them. */
      readonly addr: number
      readonly len: number
      readonly prot: number
      readonly flags: number
      readonly fd: number
      readonly off: number
    }
  | { readonly op: "munmap"; readonly p: number; readonly addr: number; readonly len: number }
  | {
      readonly op: "mprotect"
      readonly p: number
      readonly addr: number
      readonly len: number
      readonly prot: number
    }
  | { readonly op: "brk"; readonly p: number; readonly addr: number }
  | { readonly op: "fork"; readonly p: number }
  | { readonly op: "exit"; readonly p: number }
  | { readonly op: "load"; readonly p: number; readonly addr: number; readonly size: 1 | 4 }
  | { readonly op: "store"; readonly p: number; readonly addr: number; readonly size: 1 | 4; readonly value: number }
  | { readonly op: "insert"; readonly p: number; readonly page: number; readonly which: number }
  | { readonly op: "zap"; readonly p: number; readonly page: number; readonly pages: number }
  | { readonly op: "truncate"; readonly memfd: boolean; readonly size: number }

const process = fc.nat({ max: MOST_TASKS - 1 })
const page = fc.integer({ min: -1, max: WINDOW_PAGES })
/** Bytes that an address is off its page: rarely any. */
const ragged = fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.constantFrom(1, 8, 4095) })
const addr = fc.tuple(page, ragged).map(([at, by]) => (WINDOW + at) * 4096 + by)
const len = fc
  .tuple(
    fc.integer({ min: 1, max: 5 }),
    fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, fc.constantFrom(1, -1, 4095))
  )
  .map(([n, by]) => n * 4096 + by)
const lenOrNone = fc.oneof({ weight: 19, arbitrary: len }, { weight: 1, arbitrary: fc.constant(0) })
const prot = fc.oneof({ weight: 3, arbitrary: fc.constant(3) }, { weight: 2, arbitrary: fc.nat({ max: 7 }) })
const placement = fc
  .tuple(
    fc.constantFrom(0, MAP.FIXED, MAP.FIXED, MAP.FIXED, MAP.FIXED_NOREPLACE),
    fc.constantFrom(0, 0, 0, 0, 0, 0, 0, MAP.POPULATE)
  )
  .map(([place, populate]) => place | populate)
/** Offsets within a page where programs read and write: its ends, and the places from which a word crosses into the next. */
export const OFFSETS = [0, 1, 4, 2047, 2048, 4092, 4093, 4094, 4095] as const
const byteAddr = fc
  .tuple(fc.integer({ min: -1, max: WINDOW_PAGES }), fc.constantFrom(...OFFSETS))
  .map(([at, by]) => (WINDOW + at) * 4096 + by)

const anywhere = fc.oneof({ weight: 6, arbitrary: addr }, { weight: 1, arbitrary: fc.constant(0) })
const anonymous = fc
  .tuple(process, anywhere, lenOrNone, prot, placement, fc.constantFrom(MAP.PRIVATE, MAP.PRIVATE, MAP.SHARED))
  .map(([p, at, n, pr, place, kind]): Op => {
    const flags = kind | MAP.ANONYMOUS | place
    return { op: "mmap", p, addr: at, len: n, prot: pr, flags, fd: -1, off: 0 }
  })
const ofFile = fc
  .tuple(
    process,
    anywhere,
    lenOrNone,
    prot,
    placement,
    fc.constantFrom(MAP.PRIVATE, MAP.SHARED),
    fc.oneof(
      { weight: 8, arbitrary: fc.constantFrom(MEMFD, FILE_RW) },
      { weight: 3, arbitrary: fc.constantFrom(FILE_RO) },
      { weight: 4, arbitrary: fc.constantFrom(DEVICE) },
      { weight: 1, arbitrary: fc.constantFrom(FILE_WO, PIPE, NO_FD) }
    ),
    fc.nat({ max: 3 })
  )
  .map(([p, at, n, pr, place, kind, fd, off]): Op => {
    return { op: "mmap", p, addr: at, len: n, prot: pr, flags: kind | place, fd, off: off * 4096 }
  })

const some = (weight: number, arbitrary: fc.Arbitrary<Op>): { weight: number; arbitrary: fc.Arbitrary<Op> } => ({
  weight,
  arbitrary
})

/** One step. */
const anyOp: fc.Arbitrary<Op> = fc.oneof(
  some(16, anonymous),
  some(16, ofFile),
  some(10, fc.record({ op: fc.constant("munmap" as const), p: process, addr, len: lenOrNone })),
  some(16, fc.record({ op: fc.constant("mprotect" as const), p: process, addr, len: lenOrNone, prot })),
  some(
    6,
    fc.record({
      op: fc.constant("brk" as const),
      p: process,
      addr: fc
        .tuple(fc.integer({ min: -1, max: 6 }), fc.constantFrom(0, 0, 1, 100))
        .map(([n, by]) => (HEAP_PAGE + n) * 4096 + by)
    })
  ),
  some(6, fc.record({ op: fc.constant("fork" as const), p: process })),
  some(3, fc.record({ op: fc.constant("exit" as const), p: process })),
  some(
    34,
    fc.record({
      op: fc.constant("store" as const),
      p: process,
      addr: byteAddr,
      size: fc.constantFrom(1 as const, 4 as const),
      value: fc.integer({ min: 1, max: 0x7fffffff })
    })
  ),
  some(
    14,
    fc.record({
      op: fc.constant("load" as const),
      p: process,
      addr: byteAddr,
      size: fc.constantFrom(1 as const, 4 as const)
    })
  ),
  some(
    10,
    fc.record({
      op: fc.constant("insert" as const),
      p: process,
      page: fc.nat({ max: WINDOW_PAGES - 1 }),
      which: fc.nat({ max: DEVICE_PAGES - 1 })
    })
  ),
  some(
    3,
    fc.record({
      op: fc.constant("zap" as const),
      p: process,
      page: fc.nat({ max: WINDOW_PAGES - 1 }),
      pages: fc.integer({ min: 1, max: 3 })
    })
  ),
  some(
    4,
    fc.record({
      op: fc.constant("truncate" as const),
      memfd: fc.boolean(),
      size: fc.oneof(
        fc.nat({ max: 5 }).map((n) => n * 4096),
        fc.nat({ max: 20_000 })
      )
    })
  )
)

/** A program of up to `most` steps; a failing one is cut down to the steps that matter. */
export const anyProgram = (most: number): fc.Arbitrary<readonly Op[]> =>
  fc.array(anyOp, { minLength: 1, maxLength: most, size: "max" })

function* underMmap(k: Kernel, mm: number, body: () => number): Verb<"NEED_LOCK"> {
  if (!tryMmap(k, mm, WRITE)) yield needMmap(k, mm, WRITE)
  try {
    return body()
  } finally {
    mmapUnlock(k, mm, WRITE)
  }
}

/** What a load or a store came to: its value, or the signal's code and address. */
export const signal = (code: number, at: number): string => `signal ${code} at ${at.toString(16)}`

/** A machine on which programs run, and how its verbs are driven. */
export class Subject {
  readonly k: Kernel
  /** The processes that live, in order of birth. */
  readonly tasks: number[] = []
  readonly memfd: number
  readonly file: number
  /** Frames of the device's driver. */
  readonly driverPages: number[] = []

  constructor(config: Partial<KernelConfig> = {}) {
    const k = bootTiny({ frames: 128, maxVmas: 256, maxTables: 96, mmapBase: TOP, ...config })
    this.k = k
    const first = spawnTask(k)
    const mm = k.tasks.mm(first)
    k.mms.setStat(mm, START_BRK, HEAP_PAGE * 4096)
    k.mms.setStat(mm, BRK, HEAP_PAGE * 4096)
    const memfd = openAnonymous(k, FILE_SHMEM, FMODE_READ | FMODE_WRITE, "/memfd:m (deleted)", FILE_BYTES)
    createFile(k, "/file", FILE_REGULAR, FILE_BYTES)
    installFd(k, first, memfd)
    for (const mode of [FMODE_READ | FMODE_WRITE, FMODE_READ, FMODE_WRITE])
      installFd(k, first, openPath(k, "/file", mode))
    installFd(k, first, openAnonymous(k, FILE_PIPE, FMODE_READ, "pipe:[1]"))
    createDevice(k, "/dev/d", registerOps(k, { name: "d", hooks: 1 << H_MMAP }))
    installFd(k, first, openPath(k, "/dev/d", FMODE_READ | FMODE_WRITE))
    for (let i = 0; i < DEVICE_PAGES; i++) {
      const p = k.frames.allocZeroed()
      k.frames.setFlag(p, F_DRIVER)
      this.driverPages.push(p)
    }
    this.memfd = k.files.obj(memfd)
    this.file = k.paths.get("/file")!.obj
    this.tasks.push(first)
  }

  /** Drives a verb; other machines do it their own way. */
  call<W extends StopName>(verb: () => Verb<W>): number {
    return call(this.k, verb)
  }

  /** Touches memory as `task`: the value, and the fault code. */
  access(task: number, at: number, write: boolean, size: 1 | 4, value: number): { value: number; code: number } {
    const { k } = this
    switchMm(k, k.tasks.mm(task))
    let got = 0
    if (write) got = size === 1 ? k.tlb.store8(at, value) : k.tlb.store32(at, value)
    else got = size === 1 ? k.tlb.load8(at) : k.tlb.load32(at)
    return { value: got, code: k.tlb.takeFault() }
  }

  /** Runs one step; what came of it in words, the same as the model's. */
  run(op: Op): string {
    const { k, tasks } = this
    if (op.op === "truncate") {
      truncateObject(k, op.memfd ? this.memfd : this.file, op.size)
      return "ok"
    }
    const task = tasks[op.p % tasks.length]!
    switch (op.op) {
      case "mmap":
        return String(this.call(() => mmap(k, task, op.addr, op.len, op.prot, op.flags, op.fd, op.off)))
      case "munmap":
        return String(this.call(() => munmap(k, task, op.addr, op.len)))
      case "mprotect":
        return String(this.call(() => mprotect(k, task, op.addr, op.len, op.prot)))
      case "brk":
        return String(this.call(() => brk(k, task, op.addr)))
      case "fork": {
        if (tasks.length === MOST_TASKS) return "skipped"
        const child = this.call(() => fork(k, task, "child"))
        if (child < 0) return String(child)
        tasks.push(child)
        return "ok"
      }
      case "exit":
        if (tasks.length === 1) return "skipped"
        endTask(k, task)
        tasks.splice(tasks.indexOf(task), 1)
        return "ok"
      case "load": {
        const { value, code } = this.access(task, op.addr, false, op.size, 0)
        return code === FAULT_OK ? String(value >>> 0) : signal(code, k.tlb.faultAddr[0]!)
      }
      case "store": {
        const { code } = this.access(task, op.addr, true, op.size, op.value)
        return code === FAULT_OK ? "ok" : signal(code, k.tlb.faultAddr[0]!)
      }
      case "insert":
        return String(this.insert(k.tasks.mm(task), WINDOW + op.page, this.driverPages[op.which]!))
      case "zap":
        return String(this.zap(k.tasks.mm(task), WINDOW + op.page, op.pages))
      default:
        return op satisfies never
    }
  }

  /** The device's area at page `vpn`; 0 if there is none. */
  private deviceArea(mm: number, vpn: number): number {
    const v = this.k.maple.lookup(mm, vpn)
    return v !== 0 && this.k.files.kind(this.k.vmas.file(v)) === FILE_DEVICE ? v : 0
  }

  /** The driver maps one of its pages, under the mmap lock. */
  private insert(mm: number, vpn: number, frame: number): number {
    const { k } = this
    return this.call(() =>
      underMmap(k, mm, () => {
        const v = this.deviceArea(mm, vpn)
        return v === 0 ? EFAULT : vmInsertPage(k, v, vpn, frame)
      })
    )
  }

  /** The driver takes pages out again, up to the first that is not its own. */
  private zap(mm: number, vpn: number, pages: number): number {
    const { k } = this
    return this.call(() =>
      underMmap(k, mm, () => {
        if (this.deviceArea(mm, vpn) === 0) return EFAULT
        for (let at = vpn; at < vpn + pages; at++) {
          const v = this.deviceArea(mm, at)
          if (v === 0) break
          zapPageRangeSingle(k, v, at, 1)
        }
        return OK
      })
    )
  }

  /** Ends every process and removes every file. */
  end(): void {
    for (const task of this.tasks.splice(0)) endTask(this.k, task)
    unlinkPath(this.k, "/file")
    unlinkPath(this.k, "/dev/d")
    for (const p of this.driverPages.splice(0)) this.k.frames.put(p)
  }
}
