/** Synchronous accesses of a process, for emulators: no effect an access, no allocation. Floor 8, internal; `Task` has it. */
import { Effect } from "effect"
import { FAULT_OK } from "../flags/FaultFlags.ts"
import { switchMm } from "../mm/page/tlb.ts"
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
  /** Loads 32 bits, as an int32. */
  load32(address: number): number
  /** Stores the low 8 bits. */
  store8(address: number, value: number): void
  /** Stores 32 bits. */
  store32(address: number, value: number): void
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
  store8(address: number, value: number): void {
    this.#process.world.k.tlb.store8(address, value)
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
