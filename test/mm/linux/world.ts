/** Address spaces in the words of docs/spec/linux-mm.md: `a3` is page 3 of an empty arena, `a1+3` the three pages from a1;
 * areas and pages are written as /proc/PID/maps, smaps and pagemap show them, errnos and signals by name.
 *
 *     const p = world("aa.b")                           // a process with a0+2 read-write and a3 read-only
 *     expect(p.mprotect("a1", RO)).toBe("ok")
 *     expect(p.draw()).toBe("ab.b")
 *     expect(p.areas()).toEqual(["a0 rw-p", "a1 r--p", "a3 r--p"])
 *     expect(p.write("a0+2")).toBe("ok SEGV_ACCERR")
 *     expect(p.pages("a0+4")).toBe("A._.")
 *
 * After each test every process of every world ends. Nothing may be broken before, and nothing left over afterwards.
 */
import * as MREMAP from "../../../lib/flags/MremapFlags.ts"
import { afterEach } from "vitest"
import {
  VM_DONTDUMP,
  VM_DONTEXPAND,
  VM_EXEC,
  VM_IO,
  VM_MAYEXEC,
  VM_MAYREAD,
  VM_MAYWRITE,
  VM_PFNMAP,
  VM_READ
} from "../../../lib/flags/bits.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { checkIdle } from "../../../lib/mm/area/check.ts"
import { fget, fput } from "../../../lib/mm/area/object.ts"
import { registerOps } from "../../../lib/mm/area/ops.ts"
import type { KernelConfig } from "../../../lib/mm/base/config.ts"
import { H_MMAP, hookNames, type StopName, type Verb } from "../../../lib/mm/base/stop.ts"
import type { Word } from "../../../lib/mm/base/units.ts"
import type { Kernel, Ops } from "../../../lib/mm/kernel.ts"
import {
  createDevice,
  createFile,
  installFd,
  openAnonymous,
  openPath,
  RDWR,
  unlinkPath,
  writeObject
} from "../../../lib/mm/object/file.ts"
import { destroy } from "../../../lib/mm/object/shm.ts"
import { nameOf as areaName, permsText } from "../../../lib/mm/proc/maps.ts"
import { pageLetters } from "../../../lib/mm/proc/mem-size-stats.ts"
import { flagLetters } from "../../../lib/mm/proc/smaps.ts"
import { FILE_REGULAR, FILE_SHMEM } from "../../../lib/mm/store/files.ts"
import { F_DRIVER } from "../../../lib/mm/store/frames.ts"
import { DATA_VM, EXEC_VM, LOCKED_VM, STACK_VM, TOTAL_VM } from "../../../lib/mm/store/mms.ts"
import { TASK_LIVE } from "../../../lib/mm/store/tasks.ts"
import { KIND_VDSO, KIND_VVAR } from "../../../lib/mm/store/vmas.ts"
import { placeArea } from "../../../lib/mm/sys/exec.ts"
import { madvise } from "../../../lib/mm/sys/madvise.ts"
import { mlock, munlock } from "../../../lib/mm/sys/mlock.ts"
import { mmap } from "../../../lib/mm/sys/mmap.ts"
import { mprotect } from "../../../lib/mm/sys/mprotect.ts"
import { mremap } from "../../../lib/mm/sys/mremap.ts"
import { munmap } from "../../../lib/mm/sys/munmap.ts"
import { exit, fork, reap } from "../../../lib/mm/sys/process.ts"
import { setrlimit } from "../../../lib/mm/sys/rlimit.ts"
import type { SyncHook } from "../../../lib/mm/sys/run-now.ts"
import { mseal } from "../../../lib/mm/sys/seal.ts"
import { userLoad8, userStore8 } from "../../../lib/mm/sys/trap.ts"
import { bootTiny, call, endTask, spawnTask } from "../../../lib/proof/testing/calls.ts"
import { drawAreas, type Legend, mapPicture } from "../../../lib/proof/testing/picture.ts"
import { type Counts, countsOf, leaksSince } from "../../../lib/proof/testing/tables.ts"
import { A0, ANON, ARENA_PAGES, byteOrSignal, outcome, type Pages, parse, placeName, rangeName } from "./words.ts"

/** The spec's machine: 24 GiB to promise, though few frames stand for it. */
const machine: Partial<KernelConfig> = { frames: 256, ramPages: (24 * 2 ** 30) / 4096, maxVmas: 256, maxAnon: 256 }

/** What all processes of a machine have in common. */
class Machine {
  /** Hooks of devices, in the order in which they were called: `open a0+2`. */
  readonly heard: string[] = []
  /** Answers hooks; OK if absent. */
  hook: SyncHook | undefined
  /** Frames that drivers hold. */
  readonly frames: number[] = []

  constructor(
    readonly k: Kernel,
    /** What was in use before its first process. */
    readonly atFirst: Counts = countsOf(k)
  ) {}

  readonly answer: SyncHook = (hook, vma, ops, vpn) => {
    const { vmas } = this.k
    this.heard.push(`${hookNames[hook]} ${rangeName(vmas.startOf(vma), vmas.endOf(vma))}`)
    return this.hook === undefined ? 0 : this.hook(hook, vma, ops, vpn)
  }

  /** Ends everything. Throws with what was broken or is left. */
  end(): void {
    const { k } = this
    checkIdle(k)
    for (let task = 1; task < k.tasks.limit(); task++) if (k.tasks.state(task) === TASK_LIVE) endTask(k, task)
    for (const path of k.paths.keys()) unlinkPath(k, path)
    for (const segment of k.shm.all()) destroy(k, segment)
    for (const frame of [...k.vdso.splice(0), ...this.frames]) k.frames.put(frame)
    checkIdle(k)
    const left = leaksSince(k, this.atFirst)
    if (left.length > 0) throw new Error(`when everything has ended: ${left.join(", ")}`)
  }
}

const machines: Machine[] = []
afterEach(({ task }) => {
  const all = machines.splice(0)
  if (task.result?.state !== "fail") for (const one of all) one.end()
})

/** A machine with one process, whose arena is a picture: `a` RW, `b` RO, `c` RX, `n` no access, `s` shared anonymous, `.` a
 * hole, `|` the border of two calls.
 */
export function world(picture = "", config: Partial<KernelConfig> = {}): Proc {
  const k = bootTiny({ ...machine, ...config })
  const one = new Machine(k)
  machines.push(one)
  return new Proc(one, spawnTask(k)).map(picture)
}

/** The same process on a machine that was made from its own. It ends with the test, as its twin does. */
export function twin(p: Proc, k: Kernel): Proc {
  let one = machines.find((machine) => machine.k === k)
  if (one === undefined) machines.push((one = new Machine(k, p.machine.atFirst)))
  return new Proc(one, p.task)
}

/** A process. Where a method takes pages, they are registers of the call; `sys` takes the registers themselves. */
export class Proc {
  readonly k: Kernel

  constructor(
    readonly machine: Machine,
    readonly task: number
  ) {
    this.k = machine.k
  }

  get mm(): number {
    return this.k.tasks.mm(this.task)
  }

  // Calls

  /** Any system call of the core. */
  sys<W extends readonly Word[]>(
    verb: (k: Kernel, task: number, ...words: W) => Verb<StopName> | number,
    ...words: W
  ): string {
    const r = verb(this.k, this.task, ...words)
    return outcome(typeof r === "number" ? r : call(this.k, () => r, this.machine.answer))
  }

  /** mmap with MAP_FIXED; private anonymous memory unless `flags` say otherwise. */
  mmap(range: Pages, prot: number, flags: number = ANON, fd = -1, pgoff = 0): string {
    const [page, pages] = parse(range)
    return this.sys(mmap, page * 4096, pages * 4096, prot, flags | MAP.FIXED, fd, pgoff * 4096)
  }
  /** mmap of so many pages without MAP_FIXED: anywhere, or near a hint in bytes. */
  mmapAnywhere(pages: number, prot: number, flags: number = ANON, hint = 0, fd = -1): string {
    return this.sys(mmap, hint, pages * 4096, prot, flags, fd, 0)
  }
  munmap(range: Pages): string {
    const [page, pages] = parse(range)
    return this.sys(munmap, page * 4096, pages * 4096)
  }
  mprotect(range: Pages, prot: number): string {
    const [page, pages] = parse(range)
    return this.sys(mprotect, page * 4096, pages * 4096, prot)
  }
  /** mremap to so many pages, or to the named ones (MAYMOVE|FIXED unless `flags` say otherwise). */
  mremap(from: Pages, to: number | Pages, flags = typeof to === "number" ? 0 : MREMAP.MAYMOVE | MREMAP.FIXED): string {
    const [page, pages] = parse(from)
    const [target, length] = typeof to === "number" ? [0, to] : parse(to)
    return this.sys(mremap, page * 4096, pages * 4096, length * 4096, flags, target * 4096)
  }
  madvise(range: Pages, advice: number): string {
    const [page, pages] = parse(range)
    return this.sys(madvise, page * 4096, pages * 4096, advice)
  }
  mlock(range: Pages, flags = 0): string {
    const [page, pages] = parse(range)
    return this.sys(mlock, page * 4096, pages * 4096, flags)
  }
  munlock(range: Pages): string {
    const [page, pages] = parse(range)
    return this.sys(munlock, page * 4096, pages * 4096)
  }
  mseal(range: Pages): string {
    const [page, pages] = parse(range)
    return this.sys(mseal, page * 4096, pages * 4096, 0)
  }
  fork(): Proc {
    const child = call(this.k, () => fork(this.k, this.task, "child"), this.machine.answer)
    if (child < 0) throw new Error(`fork answers ${outcome(child)}`)
    return new Proc(this.machine, child)
  }
  exit(): void {
    call(this.k, () => exit(this.k, this.task), this.machine.answer)
    reap(this.k, this.task)
  }

  // Memory

  /** Stores a byte in each page, page number + 101 unless told; `ok` if all could be, else the outcome of each. */
  write(range: Pages, byte?: number): string {
    const [page, pages] = parse(range)
    const each = Array.from({ length: pages }, (_, i) => {
      const r = userStore8(this.k, this.mm, (page + i) * 4096, byte ?? (page + i - A0 + 101) & 255)
      return r < 0 ? byteOrSignal(r) : "ok"
    })
    return each.every((one) => one === "ok") ? "ok" : each.join(" ")
  }
  /** The first byte of each page, or the signal: `101 SIGBUS 0`. */
  read(range: Pages): string {
    const [page, pages] = parse(range)
    return Array.from({ length: pages }, (_, i) => byteOrSignal(userLoad8(this.k, this.mm, (page + i) * 4096))).join(
      " "
    )
  }

  // What is there

  /** Each area of the arena as maps and smaps have it: place, permissions, and the flag letters that do not go without
   * saying (all but those of the permissions, and `ac`).
   */
  areas(): string[] {
    const out: string[] = []
    for (let v = this.k.maple.find(this.mm, A0); v !== 0; v = this.k.maple.next(this.mm, v)) {
      const start = this.k.vmas.startOf(v)
      if (start >= A0 + ARENA_PAGES) break
      const lo = this.k.vmas.flags(v)
      const extra = this.lettersOf(v).filter((letters) => !usual.has(letters))
      out.push([rangeName(start, this.k.vmas.endOf(v)), permsText(lo), ...extra].join(" "))
    }
    return out
  }
  /** The VmFlags line of the area at a page. */
  flags(page: `a${number}`): string {
    return this.lettersOf(this.area(page)).join(" ")
  }
  private lettersOf(v: number): string[] {
    return flagLetters(this.k.vmas.flags(v), this.k.vmas.flagsHi(v)).split(" ")
  }
  /** The arena from a0 on; see `world`, but letters are given in order of appearance. */
  draw(pages?: number): string {
    return drawAreas(this.k, this.mm, A0, pages ?? this.end())
  }
  private end(): number {
    const last = this.k.maple.below(this.mm, A0 + ARENA_PAGES)
    return last === 0 ? 0 : Math.max(0, this.k.vmas.endOf(last) - A0)
  }
  /** What the page tables have, as recordings write it: `.` nothing, `A` anonymous memory mapped once, `a` several times,
   * `F` and `f` the same for pages of an object, `z` the page of zeroes, `g` a guard; `_` no area.
   */
  pages(range: Pages): string {
    const [page, pages] = parse(range)
    return Array.from({ length: pages }, (_, i) => {
      const v = this.k.maple.lookup(this.mm, page + i)
      return v === 0 ? "_" : pageLetters(this.k, v)[page + i - this.k.vmas.startOf(v)]!
    }).join("")
  }
  /** Row of the area at a page. Throws where there is none. */
  area(page: `a${number}`): number {
    const v = this.k.maple.lookup(this.mm, A0 + Number(page.slice(1)))
    if (v === 0) throw new Error(`no area at ${page}`)
    return v
  }
  /** Name of the area at a page, as maps shows it. */
  name(page: `a${number}`): string {
    return areaName(this.k, this.area(page))
  }
  /** Page offset of the area at a page; in the arena `a7` for the offsets of anonymous memory. */
  offset(page: `a${number}`): string {
    const pgoff = this.k.vmas.pgoff(this.area(page))
    return pgoff < A0 ? String(pgoff) : placeName(pgoff * 4096)
  }
  /** Counts of pages in use by class, those that are not zero: `total 4 data 2`. */
  counts(): string {
    const fields = { total: TOTAL_VM, locked: LOCKED_VM, data: DATA_VM, exec: EXEC_VM, stack: STACK_VM }
    return Object.entries(fields)
      .map(([name, field]) => [name, this.k.mms.stat(this.mm, field)] as const)
      .filter(([, pages]) => pages !== 0)
      .map(([name, pages]) => `${name} ${pages}`)
      .join(" ")
  }
  /** Pages promised on the whole machine (Committed_AS). */
  get committed(): number {
    return this.k.committed
  }

  // What it takes

  /** Maps a picture; see `world`. Further letters may stand in a legend. */
  map(picture: string, legend?: Legend): this {
    const r = mapPicture(this.k, this.task, picture, legend, A0, this.machine.answer)
    if (r < 0) throw new Error(`mapping "${picture}" answers ${outcome(r)}`)
    return this
  }
  /** Nobody: no capabilities. */
  asUser(uid = 65534): this {
    this.k.tasks.setCaps(this.task, 0)
    this.k.tasks.setIds(this.task, uid, uid)
    return this
  }
  /** Sets a limit, soft and hard, in pages. */
  limit(resource: number, pages: number): this {
    const r = this.sys(setrlimit, resource, pages * 4096, pages * 4096)
    if (r !== "ok") throw new Error(`setrlimit answers ${r}`)
    return this
  }
  /** Descriptor of a new memfd; page i is full of the byte i + 1. */
  memfd(pages: number, mode = RDWR): number {
    const f = openAnonymous(this.k, FILE_SHMEM, mode, "/memfd:m (deleted)")
    this.fill(this.k.files.obj(f), pages)
    return installFd(this.k, this.task, f)
  }
  /** Opens a regular file: its descriptor. Who opens it first makes it, of so many pages, page i full of the byte i + 1. */
  open(path: string, pages = 4, mode = RDWR): number {
    if (!this.k.paths.has(path)) {
      createFile(this.k, path, FILE_REGULAR, 0)
      this.fill(this.k.paths.get(path)!.obj, pages)
    }
    return installFd(this.k, this.task, openPath(this.k, path, mode))
  }
  private fill(object: number, pages: number): void {
    writeObject(
      this.k,
      object,
      0,
      Uint8Array.from({ length: pages * 4096 }, (_, i) => 1 + (i >> 12))
    )
  }
  /** Descriptor of a file of another kind: FILE_ZERO, FILE_DIR, FILE_PIPE. */
  special(kind: number, mode = RDWR, name = "/special"): number {
    return installFd(this.k, this.task, openAnonymous(this.k, kind, mode, name))
  }
  /** Descriptor of a device that has these hooks (H_*), and mmap. They are listed in `machine.heard` and answered by
   * `machine.hook`.
   */
  device(hooks: readonly number[] = [], ops: Partial<Ops> = {}): number {
    const name = `/dev/${this.k.paths.size}`
    const bits = [H_MMAP, ...hooks].reduce((all, hook) => all | (1 << hook), 0)
    createDevice(this.k, name, registerOps(this.k, { name, hooks: bits, ...ops }))
    return installFd(this.k, this.task, openPath(this.k, name, RDWR))
  }
  /** A second descriptor of the same open file. */
  dup(fd: number): number {
    const f = this.k.tasks.file(this.task, fd)
    fget(this.k, f)
    return installFd(this.k, this.task, f)
  }
  /** A frame of zeroes that a driver may map; it is the driver's until the end. */
  driverPage(): number {
    const frame = this.k.frames.allocZeroed()
    this.k.frames.setFlag(frame, F_DRIVER)
    this.machine.frames.push(frame)
    return frame
  }
  close(fd: number): void {
    const f = this.k.tasks.file(this.task, fd)
    this.k.tasks.setFile(this.task, fd, 0)
    fput(this.k, f)
  }
  /** Puts [vvar] or [vdso] at these pages, with the flags that they have on x86. */
  placeSpecial(what: "vvar" | "vdso", range: Pages): this {
    const [start, pages] = parse(range)
    const lo =
      what === "vvar"
        ? VM_READ | VM_MAYREAD | VM_PFNMAP | VM_IO | VM_DONTEXPAND | VM_DONTDUMP
        : VM_READ | VM_EXEC | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC | VM_DONTEXPAND
    const kind = what === "vvar" ? KIND_VVAR : KIND_VDSO
    const r = call(this.k, () => placeArea(this.k, this.mm, { start, end: start + pages, lo, kind, pgoff: 0 }))
    if (r !== 0) throw new Error(`placing ${what} answers ${outcome(r)}`)
    return this
  }
}

/** Letters that `areas` leaves out. */
const usual: ReadonlySet<string> = new Set(["rd", "wr", "ex", "sh", "mr", "mw", "me", "ms", "ac", ""])
