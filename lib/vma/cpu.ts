/** Synchronous accesses of a process, for emulators: no effect an access, no allocation. Floor 8, internal; `Task` has it. */
import { Effect } from "effect"
import { FAULT_OK } from "../flags/FaultFlags.ts"
import { switchMm } from "../mm/page/tlb.ts"
import type { Tlb } from "../mm/store/tlb.ts"
import { FAULT_WOULD_WAIT } from "../mm/sys/trap.ts"
import { onProcess, type Process, type Task } from "./process.ts"
import { type Signal, signalOf } from "./signal.ts"

/** What an access that must wait leaves in `fault`: do it once as an effect, `Task.load8` for instance, and go on. */
export interface WouldWait {
  /** Tells it from a signal. */
  readonly _tag: "WOULD_WAIT"
  /** Byte address of the access. */
  readonly address: number
}

/** A processor that runs one process. Addresses are bytes, plain numbers; values are int32 or bytes. After each access that
 * may fail look at `fault`: a number that it answers does not say.
 */
export interface Cpu {
  /** Makes this process the current one, if another ran since. Once before a stretch of accesses. */
  resume(): void
  /** Loads a byte, 0..255. */
  load8(address: number): number
  /** Loads 16 bits, 0..65535. */
  load16(address: number): number
  /** Loads 32 bits, as an int32. */
  load32(address: number): number
  /** Loads 64 bits, unsigned. Allocates: it is a bigint. */
  load64(address: number): bigint
  /** Stores the low 8 bits. */
  store8(address: number, value: number): void
  /** Stores the low 16 bits. */
  store16(address: number, value: number): void
  /** Stores 32 bits. */
  store32(address: number, value: number): void
  /** Stores the low 64 bits. */
  store64(address: number, value: bigint): void
  /** How the last access failed, if it did; forgets it. */
  takeFault(): Signal | WouldWait | undefined
}

class ProcessCpu implements Cpu {
  readonly #process: Process
  constructor(process: Process) {
    this.#process = process
  }
  resume(): void {
    const { k } = this.#process.world
    const mm = k.tasks.mm(this.#process.pid)
    k.runs.current = 0
    if (k.activeMm !== mm) switchMm(k, mm)
  }
  load8(address: number): number {
    return this.#process.world.k.tlb.load8(address)
  }
  load32(address: number): number {
    return this.#process.world.k.tlb.load32(address)
  }
  load16(address: number): number {
    const { tlb } = this.#process.world.k
    const low = tlb.load8(address)
    return tlb.fault === FAULT_OK ? low | (tlb.load8(address + 1) << 8) : 0
  }
  load64(address: number): bigint {
    const { tlb } = this.#process.world.k
    const low = tlb.load32(address)
    const high = tlb.fault === FAULT_OK ? tlb.load32(address + 4) : 0
    return tlb.fault === FAULT_OK ? (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0) : 0n
  }
  store8(address: number, value: number): void {
    this.#process.world.k.tlb.store8(address, value)
  }
  store16(address: number, value: number): void {
    const { tlb } = this.#process.world.k
    if (!mayStore(tlb, address, 2)) return
    tlb.store8(address, value)
    tlb.store8(address + 1, value >>> 8)
  }
  store64(address: number, value: bigint): void {
    const { tlb } = this.#process.world.k
    if (!mayStore(tlb, address, 8)) return
    tlb.store32(address, Number(BigInt.asIntN(32, value)))
    tlb.store32(address + 4, Number(BigInt.asIntN(32, value >> 32n)))
  }
  store32(address: number, value: number): void {
    this.#process.world.k.tlb.store32(address, value)
  }
  takeFault(): Signal | WouldWait | undefined {
    const { tlb } = this.#process.world.k
    const code = tlb.takeFault()
    if (code === FAULT_OK) return undefined
    const address = tlb.faultAddr[0]!
    return code === FAULT_WOULD_WAIT ? { _tag: "WOULD_WAIT", address } : signalOf(code, address)
  }
}

/** Faults in every page of a store before its first byte changes. */
function mayStore(tlb: Tlb, address: number, size: number): boolean {
  if (tlb.baseFor(address, true) < 0) return false
  const left = 4096 - (address & 4095)
  return left >= size || tlb.baseFor(address + left, true) >= 0
}

/** A synchronous accessor of the process that calls. It is good as long as the process lives.
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Task } from "pagewright"
 * const sum = (at: number, words: number) =>
 *   Effect.map(Task.cpu(), (cpu) => {
 *     let total = 0
 *     cpu.resume()
 *     for (let i = 0; i < words; i++) total = (total + cpu.load32(at + 4 * i)) | 0
 *     return cpu.takeFault() === undefined ? total : -1
 *   })
 * ```
 */
export const cpu = (): Effect.Effect<Cpu, never, Task> => onProcess((p) => Effect.sync(() => new ProcessCpu(p)))
