/** Loads and stores that hit the TLB, beside a plain typed array in the same loop; and the allocator of frames. */
import { mmap, switchMm } from "../built.ts"
import { best, type Figures, use } from "../measure.ts"
import { AT, type Bench, FIXED, PAGE, RW, turn, world } from "../world.ts"

const PAGES = 256
const TIMES = 1 << 18
const BYTES = AT * PAGE
const MASK = PAGES * PAGE - 1

export function access(figures: Figures): void {
  const b = world({ frames: 1 << 12, maxVmas: 1 << 10 })
  switchMm(b.k, b.mm)
  turn(b.k, mmap(b.k, b.task, BYTES, PAGES * PAGE, RW, FIXED, -1, 0))
  for (let i = 0; i < PAGES; i++) b.k.tlb.store32(BYTES + i * PAGE, i)
  plain(figures)
  hits(b, figures)
  crooked(b, figures)
  frames(b, figures)
}

function plain(figures: Figures): void {
  const words = new Int32Array((PAGES * PAGE) / 4)
  const bytes = new Uint8Array(PAGES * PAGE)
  best(figures, "plain.load32", TIMES, (n) => {
    let sum = 0
    for (let i = 0; i < n; i++) sum = (sum + words[((i * 4) & MASK) >> 2]!) | 0
    use(sum)
  })
  best(figures, "plain.load8", TIMES, (n) => {
    let sum = 0
    for (let i = 0; i < n; i++) sum = (sum + bytes[i & MASK]!) | 0
    use(sum)
  })
  best(figures, "plain.store32", TIMES, (n) => {
    for (let i = 0; i < n; i++) words[((i * 4) & MASK) >> 2] = i
  })
}

function hits({ k: { tlb } }: Bench, figures: Figures): void {
  best(figures, "load32", TIMES, (n) => {
    let sum = 0
    for (let i = 0; i < n; i++) sum = (sum + tlb.load32(BYTES + ((i * 4) & MASK))) | 0
    use(sum)
  })
  best(figures, "load8", TIMES, (n) => {
    let sum = 0
    for (let i = 0; i < n; i++) sum = (sum + tlb.load8(BYTES + (i & MASK))) | 0
    use(sum)
  })
  best(figures, "store32", TIMES, (n) => {
    for (let i = 0; i < n; i++) tlb.store32(BYTES + ((i * 4) & MASK), i)
  })
}

function crooked({ k: { tlb } }: Bench, figures: Figures): void {
  best(figures, "unaligned", TIMES, (n) => {
    let sum = 0
    for (let i = 0; i < n; i++)
      sum = (sum + tlb.load32(BYTES + ((i * 4) & MASK & ~(PAGE - 1)) + 5 + ((i * 4) & 2047))) | 0
    use(sum)
  })
  best(figures, "crossing", TIMES, (n) => {
    let sum = 0
    for (let i = 0; i < n; i++) sum = (sum + tlb.load32(BYTES + (i & 127) * PAGE + PAGE - 2)) | 0
    use(sum)
  })
}

function frames({ k: { frames } }: Bench, figures: Figures): void {
  best(figures, "frame", TIMES, (n) => {
    for (let i = 0; i < n; i++) frames.put(frames.alloc())
  })
  best(figures, "frame.zeroed", TIMES >> 2, (n) => {
    for (let i = 0; i < n; i++) frames.put(frames.allocZeroed())
  })
}
