/** System calls that change areas. */
import { mmap, mprotect, mremap, munmap, runNow, switchMm } from "../built.ts"
import { best, type Figures } from "../measure.ts"
import { ANON, AT, type Bench, FIXED, NONE, ok, PAGE, READ, RW, turn, world } from "../world.ts"

const PAIRS = 20_000
/** MREMAP_MAYMOVE | MREMAP_FIXED */
const MAYMOVE_FIXED = 3
/** Half the areas of the comb: every second page has no access, so each is an area of its own. */
const HALF = 30_000
/** First byte of a tooth, spread over the comb. */
const tooth = (i: number): number => (AT + 2 * ((i * 7919) % HALF)) * PAGE

export function areas(figures: Figures): void {
  const b = world({ ramPages: 1 << 20 })
  best(figures, "mmap.empty", PAIRS, (n) => mapPairs(b, n))
  best(figures, "mmap.now", PAIRS, (n) => mapPairsNow(b, n))
  const at = populated(b)
  best(figures, "mremap", PAIRS, (n) => moves(b, at, n))
  turn(b.k, munmap(b.k, b.task, at, 12 * PAGE))
  comb(b)
  best(figures, "mmap.60k", PAIRS, (n) => mapPairs(b, n))
  best(figures, "fixed.60k", PAIRS, (n) => fixedPairs(b, n))
  best(figures, "mprotect.60k", PAIRS, (n) => protectPairs(b, n, READ))
  best(figures, "splitmerge.60k", PAIRS, (n) => protectPairs(b, n, NONE))
  const size = b.k.maple.size(b.mm)
  if (size !== 2 * HALF + 1) throw new Error(`${size} areas, expected ${2 * HALF + 1}`)
}

function comb({ k, task }: Bench): void {
  turn(k, mmap(k, task, AT * PAGE, (2 * HALF + 1) * PAGE, RW, FIXED, -1, 0))
  for (let i = 0; i < HALF; i++) turn(k, mprotect(k, task, (AT + 2 * i + 1) * PAGE, PAGE, NONE))
}

function mapPairs({ k, task }: Bench, n: number): void {
  for (let i = 0; i < n; i++) turn(k, munmap(k, task, turn(k, mmap(k, task, 0, PAGE, RW, ANON, -1, 0)), PAGE))
}

function mapPairsNow({ k, task }: Bench, n: number): void {
  for (let i = 0; i < n; i++) {
    const at = runNow(k, () => mmap(k, task, 0, PAGE, RW, ANON, -1, 0))
    if (typeof at !== "number") throw new Error("mmap waits in a benchmark")
    const r = runNow(k, () => munmap(k, task, ok(at), PAGE))
    if (r !== 0) throw new Error("munmap fails in a benchmark")
  }
}

/** Four written pages. */
function populated({ k, task, mm }: Bench): number {
  switchMm(k, mm)
  const at = turn(k, mmap(k, task, AT * PAGE, 4 * PAGE, RW, FIXED, -1, 0))
  for (let i = 0; i < 4; i++) k.tlb.store32(at + i * PAGE, i)
  return at
}

/** There and back: an even number of moves ends where they began. */
function moves({ k, task }: Bench, at: number, n: number): void {
  for (let i = 0; i < n; i += 2) {
    turn(k, mremap(k, task, at, 4 * PAGE, 4 * PAGE, MAYMOVE_FIXED, at + 8 * PAGE))
    turn(k, mremap(k, task, at + 8 * PAGE, 4 * PAGE, 4 * PAGE, MAYMOVE_FIXED, at))
  }
}

function fixedPairs({ k, task }: Bench, n: number): void {
  for (let i = 0; i < n; i++) {
    const at = tooth(i)
    turn(k, munmap(k, task, at, PAGE))
    turn(k, mmap(k, task, at, PAGE, RW, FIXED, -1, 0))
  }
}

function protectPairs({ k, task }: Bench, n: number, prot: number): void {
  for (let i = 0; i < n; i++) {
    const at = tooth(i)
    turn(k, mprotect(k, task, at, PAGE, prot))
    turn(k, mprotect(k, task, at, PAGE, RW))
  }
}
