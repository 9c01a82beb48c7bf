/** The processes of a log and their address spaces, in one simulated machine. Floor 9. */
import { OK } from "../../flags/Errno.ts"
import { LEGACY_BASE } from "../../mm/area/gap.ts"
import { vmBugOn } from "../../mm/base/debug.ts"
import type { StopName, Verb } from "../../mm/base/stop.ts"
import { addrOf, TASK_PAGES } from "../../mm/base/units.ts"
import type { Kernel } from "../../mm/kernel.ts"
import { type Mm, MMAP_BASE, MMAP_BOTTOM_UP } from "../../mm/store/mms.ts"
import { RLIMIT_AS, RLIMIT_DATA, type Task } from "../../mm/store/tasks.ts"
import { clone, CLONE_VM } from "../../mm/sys/clone.ts"
import { exec, type Image } from "../../mm/sys/exec.ts"
import { close } from "../../mm/sys/fd.ts"
import { drainMmput, exit, fork, reap } from "../../mm/sys/process.ts"
import { runNow } from "../../mm/sys/run-now.ts"
import { anonVmaPrepare } from "../../mm/area/rmap.ts"
import { releaseFile } from "../../mm/sys/userfaultfd.ts"
import { bootForReplay, newProcess } from "./boot.ts"
import type { Clone, Exec, MapLine } from "./event.ts"
import { FileTable } from "./files.ts"
import { VSYSCALL } from "./map-line.ts"
import { placementOf } from "./place.ts"
import type { Pages } from "./ranges.ts"
import { Recollection } from "./recollection.ts"

/** Where memory was before it was moved: a place, and the offset that its first page had. */
export interface Move {
  readonly start: number
  readonly end: number
  readonly pgoff: number
}

/** One address space. */
export interface Space {
  readonly mm: Mm
  /** What the log says of it; undefined where the log shows no maps. */
  readonly recorded: Recollection | undefined
  /** Does it come from a fork, so that areas may be a parent's that were written to before? */
  readonly isForked: boolean
  /** Are addresses random? */
  readonly isRandom: boolean
  /** Memory that was moved, the latest last. */
  moves: readonly Move[]
  /** Pages that calls changed, of which the log shows the map only later. */
  ahead: readonly Pages[]
}

/** One process. */
export interface Process {
  readonly pid: number
  readonly task: Task
  space: Space
  /** Its program, as exec named it; a fork's is the parent's. */
  path: string
  /** Threads that live. */
  threads: number
  /** Our descriptors of userfaultfds, by the log's. */
  uffds: ReadonlyMap<number, number>
}

/** A call that waits until somebody answers a fault. It was interrupted, as by a signal that kills. */
export class Waits extends Error {}

/** The simulated machine of one log. */
export class World {
  readonly files: FileTable
  readonly processes = new Map<number, Process>()
  /** Our identifiers of System V segments, by the log's. */
  readonly segments = new Map<number, number>()

  constructor(readonly k: Kernel = bootForReplay()) {
    this.files = new FileTable(k)
  }

  /** The process `pid`, if it lives. */
  find(pid: number): Process | undefined {
    return this.processes.get(pid)
  }

  /** Runs a verb, one at a time, and what it leaves to be done. Nothing can keep it waiting, but for faults that a
   * userfaultfd is to answer: then it throws `Waits`.
   */
  run<A>(make: () => Verb<StopName, A>): A {
    const end = this.runAlone(make)
    this.tidy()
    return end
  }

  /** Closes a descriptor of ours. */
  close(process: Process, fd: number): void {
    close(this.k, process.task, fd)
    this.tidy()
  }

  /** What the last closers of files and the last users of address spaces leave to be done. */
  private tidy(): void {
    const { k } = this
    for (let f = k.released.shift(); f !== undefined; f = k.released.shift()) {
      const file = f
      this.runAlone(() => releaseFile(k, file))
    }
    if (k.deferredMmput.length > 0) this.runAlone(() => drainMmput(k))
  }

  private runAlone<A>(make: () => Verb<StopName, A>): A {
    const end = runNow<StopName, A | { readonly _tag: "DONE" }>(this.k, make)
    if (typeof end === "object" && end !== null && "stop" in end) {
      if (end.undone) throw new Waits()
      vmBugOn(`alone in the world, and waits: ${end.stop}`)
    }
    return end as A // not WOULD_WAIT
  }

  /** A process that the log never saw begin; nothing is known of its map. */
  appear(pid: number): Process {
    const task = newProcess(this.k, pid)
    const space: Space = {
      mm: this.k.tasks.mm(task),
      recorded: undefined,
      isForked: false,
      isRandom: true,
      moves: [],
      ahead: []
    }
    const process: Process = { pid, task, space, path: "", threads: 1, uffds: new Map() }
    this.processes.set(pid, process)
    return process
  }

  /** A new program: a fresh address space with the areas that the log shows. */
  startProgram(event: Exec, maps: readonly MapLine[]): Process {
    const { k } = this
    const process = this.find(event.pid) ?? this.appear(event.pid)
    const { task } = process
    // the log shows that there was room
    const limits = [RLIMIT_AS, RLIMIT_DATA].map(
      (which) => [which, k.tasks.rlimit(task, which), k.tasks.rlimitMax(task, which)] as const
    )
    for (const [which] of limits) k.tasks.setRlimit(task, which, Infinity, Infinity)
    const done = this.run(() => exec(k, task, this.imageOf(event, maps)))
    for (const [which, soft, hard] of limits) k.tasks.setRlimit(task, which, soft, hard)
    if (done !== OK) vmBugOn(`there is no room for the program of process ${event.pid}`)
    const mm = k.tasks.mm(task)
    const layout = layoutOf(event, maps)
    k.mms.setStat(mm, MMAP_BASE, layout.base)
    k.mms.setStat(mm, MMAP_BOTTOM_UP, layout.goesUp ? 1 : 0)
    // the kernel wrote the program's arguments there
    const stack = maps.find((line) => line.name === "[stack]")
    if (stack !== undefined) anonVmaPrepare(k, k.maple.lookup(mm, stack.end - 1))
    process.space = {
      mm,
      recorded: new Recollection(maps),
      isForked: false,
      isRandom: isRandom(maps),
      moves: [],
      ahead: []
    }
    process.path = event.path
    process.threads = 1
    process.uffds = new Map()
    return process
  }

  /** A child; undefined where the parent is not known. */
  startChild(event: Clone): Process | undefined {
    const parent = this.find(event.pid) ?? this.appear(event.pid)
    if (event.childPid === event.pid) {
      parent.threads++
      return undefined
    }
    const before = this.find(event.childPid)
    if (before !== undefined) this.end(before) // its end was not recorded, and its number was used again
    return event.sharesMemory ? this.share(parent, event.childPid) : this.fork(parent, event.childPid)
  }

  /** A process is gone. */
  end(process: Process): void {
    const { k } = this
    this.processes.delete(process.pid)
    this.run(() => exit(k, process.task))
    reap(k, process.task)
  }

  /** How to make the list of processes, and the files, what they are now. */
  save(): () => void {
    const processes = [...this.processes.values()].map((process) => ({ process, was: { ...process } }))
    const spaces = processes.map(({ process: { space } }) => ({ space, moves: space.moves, ahead: space.ahead }))
    const files = this.files.save()
    const segments = [...this.segments]
    return () => {
      this.segments.clear()
      for (const [theirs, ours] of segments) this.segments.set(theirs, ours)
      this.processes.clear()
      for (const { process, was } of processes) this.processes.set(was.pid, Object.assign(process, was))
      for (const { ahead, moves, space } of spaces) Object.assign(space, { moves, ahead })
      files()
    }
  }

  private fork(parent: Process, pid: number): Process {
    const { k } = this
    const task = this.run(() => fork(k, parent.task, `process ${pid}`))
    if (task < 0) vmBugOn(`the fork of process ${parent.pid} fails with ${task}`)
    const space: Space = {
      mm: k.tasks.mm(task),
      recorded: parent.space.recorded?.copy(),
      isForked: true,
      isRandom: parent.space.isRandom,
      moves: parent.space.moves,
      ahead: []
    }
    const child: Process = { pid, task, space, path: parent.path, threads: 1, uffds: parent.uffds }
    this.processes.set(pid, child)
    return child
  }

  private share(parent: Process, pid: number): Process {
    const { k } = this
    const task = this.run(() => clone(k, parent.task, CLONE_VM, `process ${pid}`))
    if (task < 0) vmBugOn(`more processes at once than there is room for: ${k.config.maxMms}`)
    const child: Process = { pid, task, space: parent.space, path: parent.path, threads: 1, uffds: parent.uffds }
    this.processes.set(pid, child)
    return child
  }

  /** A new program as its first map shows it. */
  private imageOf(event: Exec, maps: readonly MapLine[]): Image {
    const stack = maps.find((line) => line.name === "[stack]")
    const own = maps.filter((line) => line.ino !== 0 && line.name === event.path)
    const code = own.find((line) => line.perms[2] === "x")
    const data = own.find((line) => line.perms[1] === "w")
    return {
      name: event.path,
      areas: maps
        .filter((line) => line.name !== VSYSCALL)
        .map((line) => placementOf(line, line.ino !== 0 ? this.files.mapped(line) : 0)),
      startCode: addrOf(code?.start ?? 0),
      endCode: addrOf(code?.end ?? 0),
      startData: addrOf(data?.start ?? 0),
      // where within its last page the data ends is not recorded
      endData: data === undefined ? 0 : addrOf(data.end) - 2048,
      brk: event.startBrk ?? 0,
      startStack: event.startStack ?? (stack === undefined ? 0 : addrOf(stack.end) - 64)
    }
  }
}

/** Where searches for room begin, and which way they go. */
interface Layout {
  /** First page above the mmap area; in a layout that goes up, its first page. */
  readonly base: number
  readonly goesUp: boolean
}

/** What exec maps first, the program's interpreter or else the vdso, lies at the edge of the mmap area, and the other of them
 * next to it, which tells the direction. A program without an interpreter may itself be what was mapped first.
 * @source fs/binfmt_elf.c load_elf_binary; arch/x86/mm/mmap.c arch_pick_mmap_layout (v6.18)
 */
function layoutOf({ path }: Exec, maps: readonly MapLine[]): Layout {
  const stack = maps.find((line) => line.name === "[stack]")?.start ?? TASK_PAGES
  const below = maps.filter((line) => line.end <= stack)
  const vdso = below.find((line) => line.name.startsWith("[v"))
  const interpreter = below.find((line) => line.ino !== 0 && line.name !== path)
  const first = interpreter ?? vdso
  if (first === undefined) return { base: below.at(-1)?.end ?? stack, goesUp: false }
  const goesUp =
    vdso !== undefined &&
    (interpreter === undefined
      ? vdso.start >= LEGACY_BASE && vdso.start < LEGACY_BASE + MOST_RANDOM
      : vdso.start > interpreter.start)
  if (goesUp) return { base: first.start, goesUp }
  let base = 0
  for (const line of below) {
    const isOfArea = line === first || line === vdso || line.start === base || interpreter === undefined
    if (isOfArea) base = line.end
  }
  return { base, goesUp }
}

/** Pages by which the base of the mmap area varies: 28 bits. */
const MOST_RANDOM = 2 ** 28

/** Does a first map have its stack elsewhere than at the end of user space? */
const isRandom = (maps: readonly MapLine[]): boolean => maps.find((line) => line.name === "[stack]")?.end !== TASK_PAGES
