/** A process's loads and stores: through the TLB, or a fault first. Floor 8, internal. */
import { Effect } from "effect"
import { FAULT_OK, READ, WRITE } from "../flags/FaultFlags.ts"
import { type Addr, PAGE_SIZE, registerOf, vpnOf, type Word } from "../mm/base/units.ts"
import { fault } from "../mm/page/fault.ts"
import { switchMm } from "../mm/page/tlb.ts"
import { checkUserAddr, FAULT_WOULD_WAIT, userAddr } from "../mm/sys/trap.ts"
import type { Process } from "./process.ts"
import { door } from "./rim.ts"
import { type Signal, signalOf } from "./signal.ts"

/** Runs `use` on `length` bytes at `address`, page by page, once their translations are good; waits where a fault must.
 * @param length - bytes, at most what is left of two pages
 * @param use - gets the machine's bytes, where a piece begins in them, where in the range, and how long it is
 * @partial a later page's signal leaves what was done to the pages before
 */
export const access = <A>(
  p: Process,
  address: Word,
  length: number,
  write: boolean,
  use: (bytes: Uint8Array, at: number, offset: number, n: number) => void,
  done: () => A
): Effect.Effect<A, Signal> =>
  Effect.suspend(() => {
    if (length === 0) return Effect.succeed(done())
    const bad = checkUserAddr(address)
    if (bad !== FAULT_OK) return Effect.fail(signalOf(bad, asAddress(address)))
    return from(p, userAddr(address), length, write, use, done)
  })

const asAddress = (address: Word): number => Number(registerOf(address))

const from = <A>(
  p: Process,
  start: Addr,
  length: number,
  write: boolean,
  use: (bytes: Uint8Array, at: number, offset: number, n: number) => void,
  done: () => A
): Effect.Effect<A, Signal> => {
  const { k } = p.world
  const mm = k.tasks.mm(p.pid)
  if (k.activeMm !== mm) switchMm(k, mm)
  k.runs.current = 0 // the fault that a miss may run is nobody's hook
  // Small pieces are all or nothing: their two pages are translated before the first byte moves, and they move in one turn.
  const last = start + length - 1
  if (length <= 8 && vpnOf(last) !== vpnOf(start)) {
    for (const at of [start, vpnOf(last) * PAGE_SIZE]) {
      const stopped = translate(p, at, write)
      if (stopped !== undefined) return Effect.andThen(stopped, () => from(p, start, length, write, use, done))
    }
  }
  for (let offset = 0; offset < length;) {
    const at = start + offset
    const bad = checkUserAddr(at)
    if (bad !== FAULT_OK) return Effect.fail(signalOf(bad, at))
    const n = Math.min(PAGE_SIZE - (at % PAGE_SIZE), length - offset)
    const stopped = translate(p, at, write)
    if (stopped !== undefined) {
      const done0 = length <= 8 ? 0 : offset
      const rest = (bytes: Uint8Array, where: number, more: number, count: number): void =>
        use(bytes, where, done0 + more, count)
      return Effect.andThen(stopped, () => from(p, start + done0, length - done0, write, rest, done))
    }
    use(k.frames.bytes, k.tlb.baseFor(at, write) * 4 + (at % PAGE_SIZE), offset, n)
    offset += n
  }
  return Effect.succeed(done())
}

/** Makes the translation of one page good. Undefined if it is; else what must happen first, or the signal. */
function translate(p: Process, at: Addr, write: boolean): Effect.Effect<void, Signal> | undefined {
  const { k } = p.world
  if (k.tlb.baseFor(at, write) >= 0) return undefined
  const code = k.tlb.takeFault()
  if (code !== FAULT_WOULD_WAIT) return Effect.fail(signalOf(code, at))
  return door(
    p.world,
    p.pid,
    () => fault(k, k.tasks.mm(p.pid), vpnOf(at), write ? WRITE : READ, at % PAGE_SIZE),
    (outcome) => (outcome === FAULT_OK ? Effect.void : Effect.fail(signalOf(outcome, at)))
  )
}
