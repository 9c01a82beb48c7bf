/** A ring of trace points: four numbers each, no allocation. Floor 1. */
export const T_MMAP = 1
export const T_MUNMAP = 2
export const T_MPROTECT = 3
export const T_BRK = 4
export const T_FAULT = 5
export const T_FORK = 6
export const T_EXIT = 7
export const T_INSERT = 8
export const T_ZAP = 9
export const T_STACK_GROWTH = 10
/** Names by event. */
export const traceNames = [
  "",
  "mmap",
  "munmap",
  "mprotect",
  "brk",
  "fault",
  "fork",
  "exit",
  "vm_insert_page",
  "zap",
  "stack growth"
] as const

/** One event read back. */
export interface TraceEvent {
  readonly event: number
  readonly mm: number
  /** First operand: a page number as a rule. */
  readonly a: number
  /** Second operand: a length, a result. */
  readonly b: number
}

/** The last `size` events of one world; off until `on` is set. */
export class Trace {
  on = false
  private readonly ring: Float64Array
  private n = 0

  constructor(private readonly size = 256) {
    this.ring = new Float64Array(size * 4)
  }

  /** Records an event, if anybody listens. */
  point(event: number, mm: number, a: number, b: number): void {
    if (!this.on) return
    const i = (this.n++ % this.size) * 4
    this.ring[i] = event
    this.ring[i + 1] = mm
    this.ring[i + 2] = a
    this.ring[i + 3] = b
  }

  /** The events still in the ring, oldest first. */
  read(): TraceEvent[] {
    const out: TraceEvent[] = []
    for (let n = Math.max(0, this.n - this.size); n < this.n; n++) {
      const i = (n % this.size) * 4
      out.push({ event: this.ring[i]!, mm: this.ring[i + 1]!, a: this.ring[i + 2]!, b: this.ring[i + 3]! })
    }
    return out
  }
}
