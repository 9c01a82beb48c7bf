/**
 * What is saved and restored: a program that builds a ring of records through all of its heap, a page after the other in
 * scattered order, and walks round it, changing each record as it comes by. Its cursor, its sum and its counters are in
 * registers, and those are in memory: nothing of it is anywhere else.
 */
import { Effect } from "effect"
import { MapFlags, ProtFlags, Task } from "pagewright"
import { type Area, PAGE } from "./image.ts"
import { assemble, REGISTERS, startAt } from "./processor.ts"

const TEXT = 0x40_0000
const HEAP = 0x1000_0000
const LOG = 0x2000_0000
const RECORD = 64
const EACH = PAGE / RECORD
/** Times round the ring. Each leaves its sum in a page of the log that nobody has touched before. */
const TURNS = 3
/** How long it works on a record. */
const ROUNDS = 8

/** Page p is followed by page 5p + 3: that goes through every page once, where their number is a power of two. */
const source = (pages: number): string => `
        set    r1, 0                  ; page
        set    r2, ${pages}
        set    r5, ${EACH}
page:   muli   r3, r1, ${PAGE}
        addi   r3, r3, ${HEAP}        ; record
        set    r4, 0
record: addi   r6, r3, ${RECORD}
        store  r6, r3, 0              ; the next one
        muli   r7, r3, 0x9e3779b1
        store  r7, r3, 4              ; its value
        move   r8, r3
        move   r3, r6
        addi   r4, r4, 1
        branch r4, r5, record
        muli   r6, r1, 5
        addi   r6, r6, 3
        andi   r6, r6, ${pages - 1}
        muli   r6, r6, ${PAGE}
        addi   r6, r6, ${HEAP}
        store  r6, r8, 0              ; the last one of a page leads to another page
        addi   r1, r1, 1
        branch r1, r2, page

        set    r1, 0                  ; turn
        set    r2, ${TURNS}
        set    r3, ${HEAP}            ; cursor
        set    r4, ${HEAP}
        set    r5, 0                  ; sum
        set    r6, ${LOG}
        set    r9, ${ROUNDS}
visit:  load   r7, r3, 4
        set    r8, 0
mix:    muli   r7, r7, 5
        add    r7, r7, r5
        addi   r8, r8, 1
        branch r8, r9, mix
        store  r7, r3, 4
        add    r5, r5, r7
        load   r3, r3, 0
        branch r3, r4, visit
        store  r5, r6, 0
        addi   r6, r6, ${PAGE}
        addi   r1, r1, 1
        branch r1, r2, visit
        halt
`

/** Instructions until the ring of so many pages is built. */
export const building = (pages: number): number => 3 + pages * (3 + EACH * 8 + 8)
/** Instructions of one time round it. */
export const turning = (pages: number): number => pages * EACH * (6 + ROUNDS * 4) + 4

const { EXEC, READ, WRITE } = ProtFlags

/** Where its memory lies. */
export const memory = (pages: number): readonly Area[] => [
  { start: TEXT, length: PAGE, prot: READ | EXEC },
  { start: REGISTERS, length: PAGE, prot: READ | WRITE },
  { start: HEAP, length: pages * PAGE, prot: READ | WRITE },
  { start: LOG, length: TURNS * PAGE, prot: READ | WRITE }
]

/** Maps the program's memory and loads the program; `execute` runs it.
 * @param pages - of the ring, a power of two
 */
export const load = (pages: number) =>
  Effect.gen(function* () {
    const flags = MapFlags.PRIVATE | MapFlags.ANONYMOUS | MapFlags.FIXED
    for (const { length, start } of memory(pages))
      yield* Task.mmap({ address: start, length, prot: READ | WRITE, flags })
    yield* Task.storeBytes(TEXT, assemble(TEXT, source(pages)))
    yield* Task.mprotect(TEXT, PAGE, READ | EXEC)
    yield* startAt(TEXT)
  })
