/** Stops, locks and waits in words, for stories. Floor 9, internal. */
import {
  heldName,
  heldOf,
  hookNames,
  kindOf,
  NEED_HOOK,
  NEED_LOCK,
  NEED_PAGE,
  PREEMPT,
  stopNames,
  subOf,
  VMA_R,
  VMA_W,
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

/** Who cannot go on and why, a line each, with whose locks are in the way. */
export const deadlockText = (k: Kernel, stopped: readonly Stopped[]): string =>
  stopped.map((t) => `\n  ${t.name} ${stopText(k, t)}${inTheWay(k, t, stopped)}`).join("")

function inTheWay(k: Kernel, t: Stopped, others: readonly Stopped[]): string {
  if (kindOf(t.stop) !== NEED_LOCK) return ""
  const state = k.runs.lockState(t.a)
  if (state === 0) return ": nobody holds it"
  const isMmap = t.a >= k.runs.mmapLock(0)
  // a run says which mmap lock it holds, and only that it holds the lock of some area
  const holders = others.filter(({ row }) =>
    isMmap ? k.runs.mine[row] === t.a : (k.runs.held[row]! & (VMA_R | VMA_W)) !== 0
  )
  const names = holders.map(({ name }) => name).join(", ") || "somebody else"
  return state < 0 ? `: ${names} writes` : `: ${names} reads`
}
