/** A machine whose verbs stop wherever they may: what an explorer sees, driven in the plainest way. */
import { FAULT_OK, READ, WRITE } from "../../lib/flags/FaultFlags.ts"
import { DIRTY, PRESENT, PROTNONE, SPECIAL, WRITE as PTE_WRITE } from "../../lib/flags/PteFlags.ts"
import { OK } from "../../lib/flags/Errno.ts"
import { checkMm } from "../../lib/mm/area/check.ts"
import type { KernelConfig } from "../../lib/mm/base/config.ts"
import { kindOf, NEED_HOOK, NEED_PAGE, PREEMPT, type StopName, stopNames, type Verb } from "../../lib/mm/base/stop.ts"
import type { Kernel } from "../../lib/mm/kernel.ts"
import { readNow } from "../../lib/mm/object/filemap.ts"
import { fault } from "../../lib/mm/page/fault.ts"
import { bitsAt } from "../../lib/mm/page/walk.ts"
import { RUN_RUNNING, RUN_WOKEN } from "../../lib/mm/store/runs.ts"
import { settle } from "../../lib/proof/testing/calls.ts"
import { Subject } from "./program.ts"

/** Drives a verb stop by stop; every invariant must hold at each. Hooks agree, pages are read, nobody else runs.
 * @returns the verb's result, and how often it stopped
 */
export function steps<W extends StopName>(k: Kernel, make: () => Verb<W>): { result: number; stops: number } {
  const before = k.runs.current
  const r = k.runs.alloc(before)
  const { preempt } = k.runs
  k.runs.preempt = true
  let stops = 0
  try {
    k.runs.current = r
    const verb = make()
    let turn = verb.next(OK)
    while (turn.done !== true) {
      stops++
      const stop: number = turn.value
      const [obj, pgoff] = [k.runs.a[r]!, k.runs.b[r]!]
      checkMm(k)
      if (kindOf(stop) === NEED_PAGE) readNow(k, obj, pgoff)
      else if (kindOf(stop) !== PREEMPT && kindOf(stop) !== NEED_HOOK && k.runs.state[r] !== RUN_WOKEN)
        throw new Error(`${stopNames[kindOf(stop)]}: nobody else runs, so nobody would wake it`)
      const reply = k.runs.state[r] === RUN_WOKEN ? k.runs.reply[r]! : OK
      k.runs.state[r] = RUN_RUNNING
      k.runs.current = r
      turn = verb.next(reply)
    }
    k.runs.release(r)
    k.runs.current = before
    k.runs.flush()
    settle(k)
    return { result: turn.value, stops }
  } finally {
    k.runs.preempt = preempt
  }
}

/** As Subject, but no verb is fused and every fault takes the slow way. */
export class SteppedSubject extends Subject {
  /** Stops so far. */
  stops = 0

  constructor(config: Partial<KernelConfig> = {}) {
    super(config)
    const { k } = this
    const fill = k.tlb.miss
    k.tlb.miss = (addr, write) => {
      const vpn = Math.floor(addr / 4096)
      if (!isGood(bitsAt(k, k.activeMm, vpn), write)) {
        const code = this.call(() => fault(k, k.activeMm, vpn, write ? WRITE : READ))
        if (code !== FAULT_OK) return code
      }
      return fill(addr, write)
    }
  }

  override call<W extends StopName>(verb: () => Verb<W>): number {
    const { result, stops } = steps(this.k, verb)
    this.stops += stops
    return result
  }
}

/** Would the processor take the entry as it is? */
const isGood = (bits: number, write: boolean): boolean =>
  (bits & (PRESENT | PROTNONE | SPECIAL)) === PRESENT &&
  (!write || (bits & (PTE_WRITE | DIRTY)) === (PTE_WRITE | DIRTY))
