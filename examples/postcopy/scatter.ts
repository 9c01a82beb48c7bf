/**
 * The task that migrates: it visits words of its memory in an order that looks random, and changes each. Where it is, and
 * what it has summed up, is in registers, and those are in memory, as the processor has it.
 */
import { Effect } from "effect"
import { ProtFlags, Task } from "pagewright"
import { map } from "../lazy-restore/eager.ts"
import { assemble, REGISTERS, startAt } from "../lazy-restore/processor.ts"
import { PAGE } from "./layout.ts"

const TEXT = 0x40_0000
const DATA = 0x2000_0000
/** End of the stack. */
const STACK = 0x1000_0000
const STACK_PAGES = 4
/** Pages that are filled at once. */
const BATCH = 256
/** Instructions of one visit and of the way to the next. */
const EACH = 13

/** The next word is the one that a linear congruential generator says. */
const source = (words: number, visits: number): string => `
        set    r1, 0              ; the generator
        set    r2, ${words}
        set    r3, ${DATA}
        set    r4, 0              ; visits
        set    r5, ${visits}
        set    r6, 0              ; sum
        set    r15, ${STACK}
next:   muli   r1, r1, 1664525
        addi   r1, r1, 1013904223
        remu   r7, r1, r2
        muli   r7, r7, 4
        add    r7, r7, r3         ; address
        call   visit
        addi   r4, r4, 1
        branch r4, r5, next
        halt
visit:  load   r8, r7, 0
        add    r6, r6, r8
        add    r6, r6, r1
        store  r6, r7, 0
        ret
`
/** Instructions until so many visits are over, and a bit: up to the middle of the next one. */
export const visiting = (visits: number): number => 7 + EACH * visits + 8

const { EXEC, READ, WRITE } = ProtFlags
const rw = READ | WRITE

/** Makes the current process the task, ready to run. A quarter of its data is never filled: pages of zeroes.
 * @param pages - of data
 * @param visits - of words that it will make before it halts
 */
export const load = (pages: number, visits: number) =>
  Effect.gen(function* () {
    yield* map({ start: TEXT, length: PAGE, prot: rw })
    yield* map({ start: REGISTERS, length: PAGE, prot: rw })
    yield* map({ start: STACK - STACK_PAGES * PAGE, length: STACK_PAGES * PAGE, prot: rw })
    yield* map({ start: DATA, length: pages * PAGE, prot: rw })
    const filled = Math.ceil((pages * 3) / 4)
    for (let page = 0; page < filled; page += BATCH) {
      const count = Math.min(BATCH, filled - page)
      yield* Task.storeBytes(DATA + page * PAGE, noise(page + 1, count * PAGE))
      yield* Effect.yieldNow
    }
    yield* Task.storeBytes(TEXT, assemble(TEXT, source((pages * PAGE) / 4, visits)))
    yield* Task.mprotect(TEXT, PAGE, READ | EXEC)
    yield* startAt(TEXT)
  })

/** Bytes that look random, the same for the same seed (xorshift32). */
const noise = (seed: number, length: number): Uint8Array => {
  const words = new Uint32Array(length / 4)
  let x = seed
  for (let i = 0; i < words.length; i++) {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    words[i] = x
  }
  return new Uint8Array(words.buffer)
}
