/** Faults, and what changes many pages at once. */
import {
  exit,
  fork,
  mmap,
  mmapUnlock,
  mprotect,
  munmap,
  reap,
  switchMm,
  tryMmap,
  vmInsertPage,
  zapPageRangeSingle
} from "../built.ts"
import { best, type Figures, timed, use } from "../measure.ts"
import {
  ANON,
  AT,
  type Bench,
  FIXED,
  MMAP_READ,
  MMAP_WRITE,
  NONE,
  NORESERVE,
  ok,
  PAGE,
  READ,
  RW,
  turn,
  world
} from "../world.ts"

/** 80 MB: more than a cache holds, as a real program's memory. */
const PAGES = 20_000
const ROUNDS = 12
/** Rounds before the clock starts: frames are first used, and V8 compiles. */
const WARM = 3
const BYTES = AT * PAGE

export function pages(figures: Figures): void {
  const b = world({ frames: 1 << 16, maxVmas: 1 << 12 })
  switchMm(b.k, b.mm)
  faults(b, figures)
  inserts(b, figures)
  scan(b, figures)
  forks(b, figures)
}

function faults(b: Bench, figures: Figures): void {
  const { k, task } = b
  turn(k, mmap(k, task, BYTES, PAGES * PAGE, RW, FIXED, -1, 0))
  for (let round = -WARM; round < ROUNDS; round++) {
    const time = (id: string, operations: number, body: () => void): void =>
      round < 0 ? body() : timed(figures, id, operations, body)
    time("fault.write", PAGES, () => writeAll(b))
    time("zap.page", PAGES, () => zapAll(b, PAGES))
    time("fault.read", PAGES, () => readAll(b))
    time("cow.zero", PAGES, () => writeAll(b))
    k.tlb.flushAll()
    time("miss", PAGES, () => readAll(b))
    let child = 0
    time("fork.page", PAGES, () => {
      child = turn(k, fork(k, task, "child"))
    })
    time("cow.fork", PAGES, () => writeAll(b))
    end(b, child)
    time("mprotect.page", 2 * PAGES, () => {
      turn(k, mprotect(k, task, BYTES, PAGES * PAGE, READ))
      turn(k, mprotect(k, task, BYTES, PAGES * PAGE, RW))
    })
    zapAll(b, PAGES)
  }
  turn(k, munmap(k, task, BYTES, PAGES * PAGE))
}

function writeAll({ k }: Bench): void {
  for (let i = 0; i < PAGES; i++)
    if (k.tlb.store32(BYTES + i * PAGE, i) !== 0) throw new Error("a signal in a benchmark")
}

function readAll({ k }: Bench): void {
  let sum = 0
  for (let i = 0; i < PAGES; i++) sum = (sum + k.tlb.load32(BYTES + i * PAGE)) | 0
  use(sum)
  if (k.tlb.takeFault() !== 0) throw new Error("a signal in a benchmark")
}

function end({ k }: Bench, child: number): void {
  turn(k, exit(k, child))
  reap(k, child)
}

/** Runs `body` with mmap_lock held. */
function locked({ k, mm }: Bench, mode: number, body: () => void): void {
  const row = k.runs.alloc(0)
  k.runs.current = row
  if (!tryMmap(k, mm, mode)) throw new Error("mmap_lock is taken in a benchmark")
  body()
  mmapUnlock(k, mm, mode)
  k.runs.release(row)
}

function zapAll(b: Bench, len: number): void {
  const { k } = b
  locked(b, MMAP_READ, () => zapPageRangeSingle(k, k.maple.lookup(b.mm, AT), AT, len))
}

/** One driver page at every page of an area. */
function inserts(b: Bench, figures: Figures): void {
  const { k, task, mm } = b
  turn(k, mmap(k, task, BYTES, PAGES * PAGE, RW, FIXED, -1, 0))
  const v = k.maple.lookup(mm, AT)
  const frame = k.frames.allocZeroed()
  const insertAll = (): void => {
    for (let i = 0; i < PAGES; i++) ok(vmInsertPage(k, v, AT + i, frame))
  }
  for (let round = -WARM; round < ROUNDS; round++) {
    locked(b, MMAP_WRITE, () => (round < 0 ? insertAll() : timed(figures, "insert", PAGES, insertAll)))
    zapAll(b, PAGES)
  }
  k.frames.put(frame)
  turn(k, munmap(k, task, BYTES, PAGES * PAGE))
}

/** A range whose page tables are there, and empty. */
function scan(b: Bench, figures: Figures): void {
  const { k, task } = b
  const len = 2 ** 27
  turn(k, mmap(k, task, BYTES, len * PAGE, RW, FIXED | NORESERVE, -1, 0))
  writeAll(b)
  zapAll(b, len)
  best(figures, "scan", 500, (n) => {
    for (let i = 0; i < n; i++) zapAll(b, len)
  })
  turn(k, munmap(k, task, BYTES, len * PAGE))
}

/** Areas of one written page each. */
function forks(b: Bench, figures: Figures): void {
  const { k, task } = b
  const few = 200
  const at = turn(k, mmap(k, task, 0, 2 * few * PAGE, NONE, ANON, -1, 0))
  for (let i = 0; i < few; i++) {
    turn(k, mprotect(k, task, at + 2 * i * PAGE, PAGE, RW))
    k.tlb.store32(at + 2 * i * PAGE, i)
  }
  // the price of a process alone is taken off, as on the other side
  const bare = world({ frames: 1 << 10, maxVmas: 1 << 12 })
  const both: Figures = new Map()
  const times = 200
  best(both, "bare", times, (n) => forkAndExit(bare, n))
  best(both, "full", times, (n) => forkAndExit(b, n))
  figures.set("fork.vma", (both.get("full")! - both.get("bare")!) / (2 * few))
}

function forkAndExit(b: Bench, n: number): void {
  for (let i = 0; i < n; i++) end(b, turn(b.k, fork(b.k, b.task, "child")))
}
