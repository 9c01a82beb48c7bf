/** Stops, locks and waits in words, for stories. Floor 9, internal. */
import {
  heldName,
  heldOf,
  hookNames,
  kindOf,
  MMAP_R,
  MMAP_W,
  NEED_HOOK,
  NEED_LOCK,
  NEED_PAGE,
  PREEMPT,
  stopNames,
  subOf,
  WRITE
} from "../../mm/base/stop.ts"
import type { Kernel } from "../../mm/kernel.ts"

/** A verb at a stop. */
export interface Stopped {
  readonly name: string
  readonly row: number
  readonly stop: number
  /** The stop's first two operands, and its page number. */
  readonly a: number
  readonly b: number
  readonly vpn: number
}

/** A lock or wait queue by its name. */
function queueName(k: Kernel, q: number): string {
  const mm = q - k.runs.mmapLock(0)
  if (mm < 0) return `the lock of area ${q}`
  return mm < k.config.maxMms ? `mmap_lock of mm ${mm}` : "a wait queue"
}

/** What a verb stopped for, and what it holds: `waits for mmap_lock of mm 1 (write), holding nothing`. */
export function stopText(k: Kernel, t: Stopped): string {
  const holding = `, holding ${heldName(heldOf(t.stop))}`
  switch (kindOf(t.stop)) {
    case NEED_LOCK:
      return `waits for ${queueName(k, t.a)} (${subOf(t.stop) === WRITE ? "write" : "read"})${holding}`
    case NEED_HOOK:
      return `calls hook ${hookNames[subOf(t.stop)]} of area ${t.a}${holding}`
    case NEED_PAGE:
      return `waits for page ${t.b} of object ${t.a}${holding}`
    case PREEMPT:
      return `may be pre-empted${holding}`
    default:
      return `stops at ${stopNames[kindOf(t.stop)]}${holding}`
  }
}

/** Why a verb does not go on, with who is in its way. */
export function waitText(k: Kernel, t: Stopped): string {
  const text = `${t.name} ${stopText(k, t)}`
  if (kindOf(t.stop) !== NEED_LOCK) return text
  const state = k.runs.lockState(t.a)
  const who = state < 0 ? "a writer has it" : state === 0 ? "nobody has it" : `${state} read it`
  const behind = k.runs.waiters(t.a)
  const holders = rowsHolding(k, t.a)
  return `${text} (${who}${holders.length > 0 ? `: run ${holders.join(", ")}` : ""}; ${behind} in its queue)`
}

/** Runs that hold mmap lock `q`; a run does not say which area's lock it holds. */
function rowsHolding(k: Kernel, q: number): number[] {
  const rows: number[] = []
  for (let r = 1; r < k.runs.max; r++)
    if (k.runs.mine[r] === q && ((k.runs.held[r] ?? 0) & (MMAP_R | MMAP_W)) !== 0) rows.push(r)
  return rows
}
