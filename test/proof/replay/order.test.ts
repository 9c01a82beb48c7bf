import fc from "fast-check"
import { expect, it } from "vitest"
import { BarePlayer } from "../../../lib/proof/replay/bare/player.ts"
import type { Call, Event } from "../../../lib/proof/replay/event.ts"
import { eventsOf, linesOf, map, replay, start } from "./strace-support.ts"

const threads = (count: number): string =>
  Array.from({ length: count }, (_, at) => `1  clone(child_stack=0x1, flags=CLONE_VM|CLONE_THREAD) = ${at + 2}`).join(
    "\n"
  )

/** A program of two threads that has mapped a page at 0x7ffff7fbf000. */
const two = `${start}\n${threads(1)}\n${map(1, "0x7ffff7fbf000")}`

it("a place that another thread frees at the same time: freed first, though that call ended last", () => {
  const { differs, order } = replay(`${two}
1  munmap(0x7ffff7fbf000, 4096 <unfinished ...>
2  mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7ffff7fbf000
1  <... munmap resumed>)             = 0
${map(1, "0x7ffff7fbe000")}`)
  expect(differs).toEqual([])
  expect(order).toMatchObject({ reordered: 1, unexplained: 0 })
})

it("the order in which calls ended is the first that is tried", () => {
  const { differs, order } = replay(`${two}
1  munmap(0x7ffff7fbf000, 4096 <unfinished ...>
2  mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7ffff7fbe000
1  <... munmap resumed>)             = 0
${map(1, "0x7ffff7fbf000")}`)
  expect(differs).toEqual([])
  expect(order).toMatchObject({ reordered: 0, unexplained: 0 })
})

it("a call that had ended when another began comes before it: no order explains this log", () => {
  const { differs, order } = replay(`${two}
2  mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7ffff7fbf000
1  munmap(0x7ffff7fbf000, 4096)      = 0`)
  expect(differs).toEqual([linesOf(two).length + 1])
  expect(order).toMatchObject({ reordered: 0 })
})

it("calls that overlap, and an answer that no order gives: the difference stands, and what follows is judged", () => {
  const before = linesOf(two).length
  const { differs, order } = replay(`${two}
1  munmap(0x7ffff7fbf000, 4096 <unfinished ...>
2  mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7ffff7fb0000
1  <... munmap resumed>)             = 0
${map(1, "0x7ffff7fbf000")}
${map(1, "0x7ffff7fbe000")}`)
  expect(differs).toEqual([before + 2])
  expect(order).toMatchObject({ reordered: 0, unexplained: 1 })
})

it("three threads: each of two places is taken after it was freed, in the one order that explains both", () => {
  const { differs, order } = replay(`${start}
${threads(2)}
${map(1, "0x7ffff7fbf000")}
${map(2, "0x7ffff7fbd000")}
1  munmap(0x7ffff7fbd000, 8192 <unfinished ...>
2  munmap(0x7ffff7fbf000, 4096 <unfinished ...>
3  mmap(NULL, 12288, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7ffff7fbd000
2  <... munmap resumed>)             = 0
1  <... munmap resumed>)             = 0
${map(1, "0x7ffff7fbc000")}`)
  expect(differs).toEqual([])
  expect(order).toMatchObject({ reordered: 1, unexplained: 0 })
})

it("a choice that only a later call refutes is taken back", () => {
  const fixed = "mmap(0x7ffff7fbf000, 4096, PROT_READ, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0"
  const log = (later: string): string => `${two}
1  ${fixed} <unfinished ...>
2  munmap(0x7ffff7fbf000, 4096 <unfinished ...>
1  <... mmap resumed>)               = 0x7ffff7fbf000
2  <... munmap resumed>)             = 0
1  madvise(0x7ffff7fc0000, 4096, MADV_DONTNEED) = 0
${later}`
  const mapped = replay(log("1  mprotect(0x7ffff7fbf000, 4096, PROT_NONE) = 0"))
  expect(mapped.differs).toEqual([])
  expect(mapped.order).toMatchObject({ reordered: 1 })
  const gone = replay(log("1  mprotect(0x7ffff7fbf000, 4096, PROT_NONE) = -1 ENOMEM (Cannot allocate memory)"))
  expect(gone.differs).toEqual([])
  expect(gone.order).toMatchObject({ reordered: 0 })
  const neither = replay(log("1  mprotect(0x7ffff7fbf000, 4096, PROT_NONE) = -1 EACCES (Permission denied)"))
  expect(neither.differs).toHaveLength(1)
  expect(neither.order).toMatchObject({ reordered: 0, unexplained: 1 })
})

it("of more orders than can be tried, none may be the right one: that is said", () => {
  // twelve calls that touch the same page, none of which explains where the last one found room
  const count = 12
  const lines = [...linesOf(start), ...linesOf(threads(count)), map(1, "0x7ffff7fbf000")]
  for (let tid = 1; tid <= count; tid++) lines.push(`${tid}  mprotect(0x7ffff7fbf000, 4096, PROT_READ <unfinished ...>`)
  for (let tid = 1; tid <= count; tid++) lines.push(`${tid}  <... mprotect resumed>) = 0`)
  lines.push(map(1, "0x7ffff7f00000"))
  const { differs, order } = replay(lines)
  expect(differs).toEqual([lines.length])
  expect(order).toMatchObject({ reordered: 0, unexplained: 0, cutShort: 1 })
})

it("a call that never returned may have been done when others need it", () => {
  const { differs } = replay(`${two}
1  munmap(0x7ffff7fbf000, 4096 <unfinished ...>
2  mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7ffff7fbe000`)
  expect(differs).toEqual([])
})

it("other processes go on while one is in trouble, and a fork in between has what its parent had", () => {
  const { differs, order } = replay(`${two}
1  fork()                            = 9
1  munmap(0x7ffff7fbf000, 4096 <unfinished ...>
2  mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7ffff7fbf000
${map(1, "0x7ffff7fbe000", "NULL", 9)}
2  clone(child_stack=NULL, flags=SIGCHLD) = 10
${map(1, "0x7ffff7fbe000", "NULL", 10)}
9  +++ exited with 0 +++
1  <... munmap resumed>)             = 0
${map(1, "0x7ffff7fbd000", "NULL", 10)}
${map(1, "0x7ffff7fbe000")}`)
  expect(differs).toEqual([])
  expect(order).toMatchObject({ reordered: 1, unexplained: 0 })
})

// ---- random histories

/** What a thread does in one step; numbers pick among what there is. */
const action = fc.record({
  thread: fc.integer({ min: 0, max: 2 }),
  kind: fc.constantFrom("map", "map", "map", "unmap", "unmap", "unmap", "protect", "fixed", "move"),
  page: fc.integer({ min: 0, max: 5 }),
  pages: fc.integer({ min: 1, max: 3 }),
  /** How long before and after the moment it is done the call is seen to last. */
  lead: fc.integer({ min: 0, max: 12 }),
  lag: fc.integer({ min: 0, max: 12 })
})
type Action = typeof action extends fc.Arbitrary<infer A> ? A : never

const ARENA = 0x7ffff7fb0000

const argsOf = ({ kind, page, pages }: Action): string => {
  const at = `0x${(ARENA + page * 4096).toString(16)}`
  const bytes = pages * 4096
  switch (kind) {
    case "map":
      return `mmap(NULL, ${bytes}, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0`
    case "fixed":
      return `mmap(${at}, ${bytes}, PROT_READ, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0`
    case "unmap":
      return `munmap(${at}, ${bytes}`
    case "protect":
      return `mprotect(${at}, ${bytes}, PROT_NONE`
    case "move":
      return `mremap(${at}, 4096, ${bytes}, MREMAP_MAYMOVE`
  }
}

const begin = [...linesOf(start), ...linesOf(threads(2)), map(16, "0x7ffff7fb0000")]

const answerText = (got: number): string =>
  got === -12 ? "-1 ENOMEM (Cannot allocate memory)" : got === -14 ? "-1 EFAULT (Bad address)" : `0x${got.toString(16)}`

/** A log of the actions, done one after another by the simulation and seen to overlap; `spoil` changes one answer. */
function logOf(actions: readonly Action[], spoil: number): readonly string[] {
  const truth = new BarePlayer()
  for (const event of eventsOf(begin)) truth.perform(event)
  const lines: { readonly time: number; readonly text: string }[] = []
  const free = [0, 0, 0]
  actions.forEach((one, at) => {
    const now = (at + 1) * 4
    const began = Math.max(free[one.thread]! + 0.5, now - one.lead)
    const next = actions.findIndex((other, i) => i > at && other.thread === one.thread)
    const ended = Math.min(now + one.lag, next < 0 ? Infinity : (next + 1) * 4 - 1)
    free[one.thread] = ended
    const call = eventsOf([...begin, `1  ${argsOf(one)}) = 0`]).at(-1) as Call // the last of the log
    const got = truth.state.attempt(truth.state.processOf(1), call) ?? NaN
    const answer = answerText(spoil === at ? (got > 4096 ? got + 4096 : got === 0 ? -12 : 0) : got)
    lines.push({ time: began, text: `${one.thread + 1}  ${argsOf(one)} <unfinished ...>` })
    lines.push({ time: ended, text: `${one.thread + 1}  <... ${argsOf(one).split("(")[0]} resumed>) = ${answer}` })
  })
  return [...begin, ...lines.sort((a, b) => a.time - b.time).map(({ text }) => text)]
}

/** Is there any order at all? Tries every one. */
function isExplained(events: readonly Event[]): boolean {
  const player = new BarePlayer()
  const calls: Call[] = []
  for (const event of events) {
    if (event.kind === "call" && event.line > begin.length) calls.push(event)
    else player.perform(event)
  }
  const go = (left: readonly Call[]): boolean => {
    if (left.length === 0) return true
    const first = Math.min(...left.map(({ ended }) => ended))
    return left.some((one) => {
      if (one.began > first) return false
      const mark = player.mark()
      if (player.tryOut(one).kind === "differs") return false
      if (go(left.filter((other) => other !== one))) return true
      player.back(mark)
      return false
    })
  }
  return go(calls)
}

it("an order is found exactly if there is one", () => {
  let reordered = 0
  let none = 0
  fc.assert(
    fc.property(fc.array(action, { minLength: 4, maxLength: 7 }), fc.integer({ min: -4, max: 6 }), (actions, spoil) => {
      const log = logOf(actions, spoil)
      const exists = isExplained(eventsOf(log))
      const { differs, order } = replay(log)
      expect(differs.length === 0).toBe(exists)
      if (spoil < 0) expect(exists).toBe(true)
      if (order.reordered > 0) reordered++
      if (!exists) none++
    }),
    { numRuns: 60 }
  )
  expect(reordered).toBeGreaterThan(0)
  expect(none).toBeGreaterThan(0)
}, 120_000)
