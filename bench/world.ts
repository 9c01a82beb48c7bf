/** A machine with one process, and its verbs driven as the rim's uncontended door drives them: one row, one turn. */
import type { KernelConfig } from "../lib/mm/base/config.ts"
import type { Stop, StopName, Verb } from "../lib/mm/base/stop.ts"
import type { Kernel } from "../lib/mm/kernel.ts"
import { boot, spawn } from "./built.ts"

export const PAGE = 4096
export const NONE = 0
export const READ = 1
export const RW = 3
export const MMAP_READ = 1
export const MMAP_WRITE = 2
/** MAP_PRIVATE | MAP_ANONYMOUS, and with MAP_FIXED and MAP_NORESERVE. */
export const ANON = 0x22
export const FIXED = 0x32
export const NORESERVE = 0x4000

/** Where mappings go: page numbers above 2^31, as real addresses have. */
export const AT = 0x7f0000000

/** The machine of one measuring program. */
export interface Bench {
  readonly k: Kernel
  readonly task: number
  readonly mm: number
}

/** Boots one. */
export function world(config: Partial<KernelConfig> = {}): Bench {
  const k = boot(config)
  const task = ok(spawn(k, "bench"))
  return { k, task, mm: k.tasks.mm(task) }
}

/** A result that must be no errno: a benchmark of a failure measures nothing. */
export function ok(r: number): number {
  if (r < 0) throw new Error(`errno ${-r} in a benchmark`)
  return r
}

/** Runs a verb that does not have to wait. */
export function turn(k: Kernel, verb: Verb<StopName>): number {
  const { runs } = k
  const row = runs.alloc(0)
  runs.current = row
  const t: IteratorResult<Stop<StopName>, number> = verb.next()
  if (t.done !== true) throw new Error("a verb waits in a benchmark")
  runs.release(row)
  return ok(t.value)
}
