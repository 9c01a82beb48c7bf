import fc from "fast-check"
import { expect, it } from "vitest"
import { checkIdle } from "../../../lib/mm/area/check.ts"
import type { Kernel } from "../../../lib/mm/kernel.ts"
import { boot } from "../../../lib/mm/sys/boot.ts"
import { exit, fork, reap, spawn } from "../../../lib/mm/sys/process.ts"
import { runNow } from "../../../lib/mm/sys/run-now.ts"
import { userStore8 } from "../../../lib/mm/sys/trap.ts"
import { calls } from "../../../lib/proof/calls.ts"
import { bootForReplay, newProcess } from "../../../lib/proof/replay/boot.ts"
import { Checkpoint } from "../../../lib/proof/replay/checkpoint.ts"
import { Journal } from "../../../lib/proof/replay/journal.ts"

const PAGE = 4096
const BASE = 0x10000000

/** Something that happens to a machine: which call, where, how much, how. */
type Step = readonly [what: number, page: number, pages: number, how: number]

const steps = fc.array(fc.tuple(fc.nat(9), fc.nat(30), fc.integer({ min: 1, max: 6 }), fc.nat(3)), {
  minLength: 1,
  maxLength: 40
})

function happen(k: Kernel, [what, page, pages, how]: Step): void {
  const living = Array.from({ length: k.tasks.limit() }, (_, t) => t).filter((t) => t !== 0 && k.tasks.state(t) === 1)
  const task = living[(page + how) % living.length]!
  const at = BASE + page * PAGE
  const call = (name: string, ...args: number[]): void => {
    const made = calls[name]!(k, task, (i) => args[i] ?? 0)
    if (typeof made === "object") runNow(k, () => made)
  }
  if (what < 2) call("mmap", at, pages * PAGE, [0, 1, 3, 3][how]!, what === 0 ? 0x32 : 0x31, -1, 0)
  else if (what === 2) call("munmap", at, pages * PAGE)
  else if (what === 3) call("mprotect", at, pages * PAGE, [0, 1, 3, 3][how]!)
  else if (what === 4) call("mremap", at, pages * PAGE, pages * PAGE, 3, BASE + ((page + 7) % 30) * PAGE)
  else if (what === 5) call("madvise", at, pages * PAGE, [4, 10, 12, 16][how]!)
  else if (what === 6) userStore8(k, k.tasks.mm(task), at, 1)
  else if (what === 7) call("brk", 0x500000 + pages * PAGE)
  else if (what === 8 && living.length < 6) runNow(k, () => fork(k, task, "child"))
  else if (what === 9 && living.length > 1) {
    runNow(k, () => exit(k, task))
    reap(k, task)
  }
}

/** Everything that a machine remembers, a short word for each field. Bytes of frames and rows of calls in flight are none
 * of it, nor are limits of processes that never were.
 */
function memoryOf(k: Kernel): Record<string, string> {
  const out: Record<string, string> = {}
  for (const [name, part] of [["k", k] as const, ...Object.entries(k)]) {
    if (typeof part !== "object" || part === null || ["trace", "config", "fail", "warn", "runs"].includes(name))
      continue
    for (const [field, value] of Object.entries(part as object) as [string, unknown][]) {
      if (["words", "bytes"].includes(field) || (name === "k" && typeof value === "object")) continue
      const its = `${name}.${field}`
      if (its === "tasks.lim") out[its] = wordOf([...(value as Float64Array).subarray(0, k.tasks.limit() * 32)])
      else if (ArrayBuffer.isView(value)) out[its] = wordOf([...(value as Int32Array)])
      else if (value instanceof Map || Array.isArray(value)) out[its] = JSON.stringify([...value])
      else if (typeof value === "number" || typeof value === "boolean") out[its] = String(value)
    }
  }
  return out
}

/** How many there are that are not zero, and a sum that depends on their places. */
const wordOf = (numbers: readonly number[]): string =>
  `${numbers.filter((n) => n !== 0).length} ${numbers.reduce((sum, n, i) => (sum * 31 + (Number.isFinite(n) ? n : 7) * (i + 1)) % 1000003, 0)}`

const small = { frames: 128, maxTables: 64, maxVmas: 128, maxMms: 8, maxFiles: 64, maxAnon: 128, maxRuns: 4 }

it("makes a machine what it was, whatever happened since, as often as one likes", () => {
  fc.assert(
    fc.property(steps, steps, steps, (first, second, third) => {
      const k = boot(small)
      spawn(k, "first")
      const checkpoint = new Checkpoint(k)
      for (const step of first) happen(k, step)
      checkpoint.take()
      const before = memoryOf(k)
      for (const more of [second, third]) {
        for (const step of more) happen(k, step)
        checkpoint.restore()
        expect(memoryOf(k)).toEqual(before)
        checkIdle(k)
      }
    }),
    { numRuns: 20 }
  )
})

it("copies only what is in use: a large machine in which little happens costs little", () => {
  const k = bootForReplay()
  newProcess(k, 1)
  expect(new Checkpoint(k).take()).toBeLessThan(200_000)
})

it("a journal goes back to any step since it was settled, and does again what came before", () => {
  fc.assert(
    fc.property(steps, fc.nat(), (all, where) => {
      const k = boot(small)
      spawn(k, "first")
      const journal = new Journal(k, () => () => {})
      const at = where % all.length
      let mark = journal.mark()
      let before = memoryOf(k)
      all.forEach((step, i) => {
        if (i === at) {
          mark = journal.mark()
          before = memoryOf(k)
        }
        happen(k, step)
        journal.add(() => happen(k, step))
      })
      journal.back(mark)
      // inode numbers and alike are given out again in the same order
      expect(memoryOf(k)).toEqual(before)
    }),
    { numRuns: 20 }
  )
})
