/** A small machine for tests of rows: processes, areas and frames in few words, and verbs stepped by hand. */
import { expect } from "vitest"
import { FIXED, ANONYMOUS, PRIVATE } from "../../../lib/flags/MapFlags.ts"
import * as PTE from "../../../lib/flags/PteFlags.ts"
import { READ, WRITE } from "../../../lib/flags/ProtFlags.ts"
import { mmapUnlock, tryMmap } from "../../../lib/mm/area/mmap-lock.ts"
import { fput } from "../../../lib/mm/area/object.ts"
import { registerOps } from "../../../lib/mm/area/ops.ts"
import { lockVmaNow, vmaEndRead } from "../../../lib/mm/area/vma-lock.ts"
import { type KernelConfig, tiny } from "../../../lib/mm/base/config.ts"
import { H_MMAP, kindOf, NEED_LOCK, type StopName, type Verb } from "../../../lib/mm/base/stop.ts"
import type { Kernel, Ops } from "../../../lib/mm/kernel.ts"
import { createDevice, installFd, openAnonymous, openPath, RDWR } from "../../../lib/mm/object/file.ts"
import { bitsAt, follow } from "../../../lib/mm/page/walk.ts"
import { FILE_SHMEM } from "../../../lib/mm/store/files.ts"
import { F_ANON, F_DRIVER, F_SWAPBACKED } from "../../../lib/mm/store/frames.ts"
import { RUN_WOKEN } from "../../../lib/mm/store/runs.ts"
import { boot } from "../../../lib/mm/sys/boot.ts"
import { mmap as mmapVerb } from "../../../lib/mm/sys/mmap.ts"
import { mprotect as mprotectVerb } from "../../../lib/mm/sys/mprotect.ts"
import { munmap as munmapVerb } from "../../../lib/mm/sys/munmap.ts"
import { exit as exitVerb, fork as forkVerb, spawn } from "../../../lib/mm/sys/process.ts"
import { runNow, type SyncHook } from "../../../lib/mm/sys/run-now.ts"
import { userLoad8, userStore8 } from "../../../lib/mm/sys/trap.ts"

export const PAGE = 4096
/** Page 16: the lowest that a search or a hint would give. */
export const BASE = 16
export const RW = READ | WRITE

/** A machine with 64 frames, and what `some` says. */
export const machine = (some: Partial<KernelConfig> = {}): Kernel => boot({ ...tiny, ...some })

/** A verb that has no reason to wait, driven to its end. */
export function done<S extends StopName, A>(k: Kernel, make: () => Verb<S, A>, hook?: SyncHook): A {
  const r = runNow(k, make, hook)
  if (typeof r === "object" && r !== null && "_tag" in r) throw new Error(`the verb waits at ${r.stop}`)
  return r
}

/** Plain calls of one kernel stack, with what `begin` takes held for as long as `body` runs. */
function stack<A>(k: Kernel, begin: () => () => void, body: () => A): A {
  const before = k.runs.current
  const r = k.runs.alloc(before)
  k.runs.current = r
  const end = begin()
  try {
    return body()
  } finally {
    k.runs.current = r
    end()
    k.runs.release(r)
    k.runs.current = before
    k.runs.flush()
  }
}

/** Runs `body` with no lock at all. */
export const bare = <A>(k: Kernel, body: () => A): A => stack(k, () => () => {}, body)

/** Runs `body` with the mmap lock of `mm`; `mode` is READ or WRITE of area/mmap-lock.ts. */
export const withMmap = <A>(k: Kernel, mm: number, mode: number, body: () => A): A =>
  stack(
    k,
    () => {
      expect(tryMmap(k, mm, mode)).toBe(true)
      return () => mmapUnlock(k, mm, mode)
    },
    body
  )

/** Runs `body` with the read lock of the area at `vpn`, and no mmap lock. */
export const withVma = <A>(k: Kernel, mm: number, vpn: number, body: (vma: number) => A): A => {
  let vma = 0
  return stack(
    k,
    () => {
      vma = lockVmaNow(k, mm, vpn)
      expect(vma).not.toBe(0)
      return () => vmaEndRead(k, vma)
    },
    () => body(vma)
  )
}

/** A process, and its calls in pages. */
export class Proc {
  constructor(
    readonly k: Kernel,
    readonly task: number
  ) {}

  static spawn(k: Kernel, name = "p"): Proc {
    const t = spawn(k, name)
    expect(t).toBeGreaterThan(0)
    return new Proc(k, t)
  }

  get mm(): number {
    return this.k.tasks.mm(this.task)
  }

  /** mmap with MAP_FIXED; the page number, or an errno. Private anonymous unless `flags` or `fd` say otherwise. */
  map(at: number, pages: number, prot: number, flags = PRIVATE | ANONYMOUS, fd = -1, off = 0, hook?: SyncHook): number {
    const r = done(
      this.k,
      () => mmapVerb(this.k, this.task, at * PAGE, pages * PAGE, prot, flags | FIXED, fd, off * PAGE),
      hook
    )
    return r < 0 ? r : r / PAGE
  }
  unmap(at: number, pages: number, hook?: SyncHook): number {
    return done(this.k, () => munmapVerb(this.k, this.task, at * PAGE, pages * PAGE), hook)
  }
  protect(at: number, pages: number, prot: number, hook?: SyncHook): number {
    return done(this.k, () => mprotectVerb(this.k, this.task, at * PAGE, pages * PAGE, prot), hook)
  }
  fork(hook?: SyncHook): Proc {
    const t = done(this.k, () => forkVerb(this.k, this.task, "child"), hook)
    expect(t).toBeGreaterThan(0)
    return new Proc(this.k, t)
  }
  exit(hook?: SyncHook): void {
    done(this.k, () => exitVerb(this.k, this.task), hook)
  }
  /** A byte of page `vpn`, or a negated fault code. */
  load(vpn: number, offset = 0): number {
    return userLoad8(this.k, this.mm, vpn * PAGE + offset)
  }
  store(vpn: number, value: number, offset = 0): number {
    return userStore8(this.k, this.mm, vpn * PAGE + offset, value)
  }
  /** The area that covers `vpn`; there is one. */
  area(vpn: number): number {
    const v = this.k.maple.lookup(this.mm, vpn)
    expect(v).not.toBe(0)
    return v
  }
  flags(vpn: number): number {
    return this.k.vmas.flags(this.area(vpn))
  }
  /** Frame behind page `vpn`, -1 none. */
  frame(vpn: number): number {
    return follow(this.k, this.mm, vpn)
  }
  bits(vpn: number): number {
    return bitsAt(this.k, this.mm, vpn)
  }
  /** A picture of the areas of pages `[from, to)`: a letter an area, a dot where nothing is. */
  areas(from: number, to: number): string {
    let out = ""
    const seen: number[] = []
    for (let p = from; p < to; p++) {
      const v = this.k.maple.lookup(this.mm, p)
      if (v !== 0 && !seen.includes(v)) seen.push(v)
      out += v === 0 ? "." : String.fromCharCode(97 + seen.indexOf(v))
    }
    return out
  }
  /** A picture of the entries of pages `[from, to)`: zero page, anonymous, file, shmem, raw pfn; a dot is none. */
  pages(from: number, to: number): string {
    let out = ""
    for (let p = from; p < to; p++) {
      const bits = this.bits(p)
      const f = this.frame(p)
      out +=
        (bits & PTE.PRESENT) === 0
          ? "."
          : (bits & PTE.SPECIAL) !== 0
            ? "x"
            : (bits & PTE.ZERO) !== 0
              ? "z"
              : this.k.frames.has(f, F_ANON)
                ? "a"
                : this.k.frames.has(f, F_SWAPBACKED)
                  ? "s"
                  : "f"
    }
    return out
  }
  /** Resident pages: file, anonymous, shmem. */
  rss(): string {
    return `f${this.k.mms.rss(this.mm, 0)} a${this.k.mms.rss(this.mm, 1)} s${this.k.mms.rss(this.mm, 2)}`
  }
  /** A descriptor of a new memfd of `pages`. */
  memfd(pages: number, mode = RDWR): number {
    const f = openAnonymous(this.k, FILE_SHMEM, mode, "/memfd:m (deleted)", pages * PAGE)
    return installFd(this.k, this.task, f)
  }
  /** Opens `path`: descriptor or errno. */
  open(path: string, mode = RDWR): number {
    const f = openPath(this.k, path, mode)
    return f < 0 ? f : installFd(this.k, this.task, f)
  }
  close(fd: number): void {
    const f = this.k.tasks.file(this.task, fd)
    this.k.tasks.setFile(this.task, fd, 0)
    fput(this.k, f)
  }
}

let devices = 0

/** A device whose mmap hook is `hook`, and what else `ops` has; its path. */
export function device(k: Kernel, ops: Partial<Ops> = {}): string {
  const path = `/dev/d${devices++}`
  expect(createDevice(k, path, registerOps(k, { name: path, hooks: 1 << H_MMAP, ...ops }))).toBe(0)
  return path
}

/** Answers the mmap hook with `answer`, which gets the fresh area; every other hook agrees. */
export const onMmap =
  (answer: (vma: number) => number): SyncHook =>
  (hook, vma) =>
    hook === H_MMAP ? answer(vma) : 0

/** Maps `pages` of a new device at `at`, with `flags` (VM_*) set in its mmap hook. Shared unless `map` says otherwise. */
export function mapDevice(p: Proc, at: number, pages: number, prot: number, map: number, set: (vma: number) => number) {
  const fd = p.open(device(p.k))
  expect(p.map(at, pages, prot, map, fd, 0, onMmap(set))).toBe(at)
  p.close(fd)
  return p.area(at)
}

/** A frame of the driver's, reference 1, filled with `byte`. */
export function driverPage(k: Kernel, byte = 0): number {
  const f = k.frames.allocZeroed()
  expect(f).toBeGreaterThan(0)
  k.frames.setFlag(f, F_DRIVER)
  k.frames.bytes.fill(byte, f * PAGE, (f + 1) * PAGE)
  return f
}

/** A verb driven one stop at a time. */
export class Hand<A> {
  readonly row: number
  private readonly gen: Verb<StopName, A>
  /** Where it stands; 0 before the first step. */
  stop = 0
  ended = false
  result: A | undefined

  constructor(
    readonly k: Kernel,
    make: () => Verb<StopName, A>,
    parent = 0
  ) {
    this.row = k.runs.alloc(parent)
    this.gen = make()
  }

  /** One step: to the next stop, or to the end. */
  step(reply = 0): this {
    if (this.ended) throw new Error("the verb has ended")
    if (kindOf(this.stop) === NEED_LOCK && this.k.runs.state[this.row] !== RUN_WOKEN)
      throw new Error("the verb waits for a lock that nobody has given it")
    this.k.runs.current = this.row
    this.settle(this.gen.next(reply))
    return this
  }
  /** Steps until it stands at a stop of `kind`, or ends. */
  to(kind: number): this {
    do this.step()
    while (!this.ended && kindOf(this.stop) !== kind)
    return this
  }
  /** Steps to the end, through marks and granted locks. */
  finish(): A {
    while (!this.ended) this.step()
    return this.result as A
  }
  /** Its task is killed while it waits. */
  kill(): void {
    this.k.runs.current = this.row
    this.k.runs.withdraw(this.row, this.stop)
    this.settle(this.gen.return(undefined as A))
    expect(this.ended).toBe(true)
  }
  /** Does it wait for a lock that somebody else holds? */
  get waits(): boolean {
    return !this.ended && kindOf(this.stop) === NEED_LOCK && this.k.runs.state[this.row] !== RUN_WOKEN
  }
  private settle(t: IteratorResult<number, A>): void {
    if (t.done === true) {
      this.ended = true
      this.result = t.value
      this.k.runs.release(this.row)
    } else this.stop = t.value
    this.k.runs.current = 0
    this.k.runs.flush()
  }
}
