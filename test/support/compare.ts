/** A machine held against the model. */
import { VM_EXEC, VM_MAYSHARE, VM_READ, VM_WRITE } from "../../lib/flags/bits.ts"
import { FAULT_OK, FAULT_OOM, FAULT_SIGBUS } from "../../lib/flags/FaultFlags.ts"
import { EAGAIN, ENOMEM } from "../../lib/flags/Errno.ts"
import { checkIdle, checkMm } from "../../lib/mm/area/check.ts"
import type { Kernel } from "../../lib/mm/kernel.ts"
import { forEachEntry } from "../../lib/mm/page/check.ts"
import { F_ANON } from "../../lib/mm/store/frames.ts"
import { countsOf } from "../../lib/proof/testing/tables.ts"
import { bytesOf, faultOf, Model } from "./model.ts"
import { OFFSETS, type Op, signal, type Subject } from "./program.ts"

const same = (what: string, got: unknown, want: unknown): void => {
  if (got !== want) throw new Error(`${what}: got ${String(got)}, expected ${String(want)}`)
}

/** Every page of every process is mapped, protected and shared as the model says. */
function holdsAreas(k: Kernel, tasks: readonly number[], model: Model): void {
  tasks.forEach((task, i) => {
    const mm = k.tasks.mm(task)
    const { pages } = model.processes[i]!
    let n = 0
    for (let v = k.maple.find(mm, 0); v !== 0; v = k.maple.next(mm, v)) {
      const lo = k.vmas.flags(v)
      for (let at = k.vmas.startOf(v); at < k.vmas.endOf(v); at++) {
        const cell = pages.get(at)
        if (cell === undefined) throw new Error(`page ${at.toString(16)} of process ${i} is mapped, expected a hole`)
        same(`protection of page ${at.toString(16)} of process ${i}`, lo & (VM_READ | VM_WRITE | VM_EXEC), cell.prot)
        same(`sharing of page ${at.toString(16)} of process ${i}`, (lo & VM_MAYSHARE) !== 0, cell.shared)
        n++
      }
    }
    same(`pages mapped by process ${i}`, n, pages.size)
  })
}

/** Every byte that programs write to, of every page of every process: value or signal. */
function holdsContents(s: Subject, model: Model, isTight: boolean): void {
  const { k } = s
  s.tasks.forEach((task, i) => {
    for (const [at, cell] of model.processes[i]!.pages) {
      const code = faultOf(cell, false)
      for (const offset of OFFSETS) {
        const addr = at * 4096 + offset
        const want = code === FAULT_OK ? (bytesOf(cell).get(offset) ?? 0) : 0
        const got = s.access(task, addr, false, 1, 0)
        if (isTight && isShortage(k, got.code)) continue
        if (got.code !== code)
          same(`byte ${addr.toString(16)} of process ${i}`, signal(got.code, addr), signal(code, addr))
        if (got.value !== want) same(`byte ${addr.toString(16)} of process ${i}`, got.value, want)
      }
    }
  })
}

/** A step failed for want of memory: the model takes over what is allowed to have happened, and no more. */
function catchUp(s: Subject, model: Model): void {
  const { k } = s
  s.tasks.forEach((task, i) => {
    const mm = k.tasks.mm(task)
    const { pages } = model.processes[i]!
    for (const [at, cell] of pages) {
      const v = k.maple.lookup(mm, at)
      if (v === 0) pages.delete(at) // MAP_FIXED took out what was there
      else cell.prot = k.vmas.flags(v) & (VM_READ | VM_WRITE | VM_EXEC) // mprotect came so far
    }
    forEachEntry(k, mm, (at, slot) => {
      const cell = pages.get(at)
      // the first page of a crossing store may have become the process's own
      if (cell !== undefined && !cell.shared && k.frames.has(k.ptes.pfn(slot), F_ANON))
        cell.own ??= new Map(bytesOf(cell))
    })
  })
}

/** May a fault end so for want of memory? A file of shared memory whose next page is not promised gives a SIGBUS. */
const isShortage = (k: Kernel, code: number): boolean =>
  code === FAULT_OOM || (code === FAULT_SIGBUS && k.config.overcommit === 2)

/** Did the step fail for want of memory? */
function ranOut(k: Kernel, op: Op, outcome: string, brk: number): boolean {
  if (op.op === "brk") return outcome === String(brk)
  const code = /^signal (\d+) /.exec(outcome)?.[1]
  return outcome === String(ENOMEM) || outcome === String(EAGAIN) || (code !== undefined && isShortage(k, Number(code)))
}

/** How a program is run. */
export interface Rules {
  /** May memory and tables run out? Then a step may fail for that reason alone, and does no more than Linux lets it. */
  readonly isTight?: boolean
  /** Which allocation of step `step` is to fail; 0 none. Goes with `isTight`. */
  readonly failing?: (step: number) => number
  /** Called after each step. */
  readonly after?: (s: Subject) => void
}

/** Runs a program on a fresh machine and on the model. Throws at the first difference, broken invariant or leak.
 * @returns how many steps failed for want of memory
 */
export function holdsProgram(boot: () => Subject, program: readonly Op[], rules: Rules = {}): number {
  const isTight = rules.isTight === true
  let refused = 0
  const s = boot()
  const model = new Model()
  program.forEach((op, step) => {
    try {
      const brk = op.op === "brk" ? model.processes[op.p % model.processes.length]!.brk : 0
      s.k.fail.arm(rules.failing?.(step) ?? 0)
      const outcome = s.run(op)
      s.k.fail.arm(0)
      if (isTight && ranOut(s.k, op, outcome, brk)) {
        refused++
        catchUp(s, model)
      } else same("outcome", outcome, model.run(op))
      holdsAreas(s.k, s.tasks, model)
      checkMm(s.k)
      rules.after?.(s)
    } catch (cause) {
      throw new Error(
        `step ${step}, ${JSON.stringify(op)}: ${cause instanceof Error ? cause.message : String(cause)}`,
        {
          cause
        }
      )
    }
  })
  holdsContents(s, model, isTight)
  checkIdle(s.k)
  s.end()
  checkIdle(s.k)
  same("left at the end", JSON.stringify(rowsInUse(s.k)), "{}")
  return refused
}

/** Tables of a machine on which nothing runs any more that are not empty. */
const rowsInUse = (k: Kernel): Record<string, number> =>
  Object.fromEntries(Object.entries(countsOf(k)).filter(([, n]) => n !== 0))
